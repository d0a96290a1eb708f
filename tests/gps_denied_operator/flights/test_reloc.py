"""A hint through a ground station's link: the product's own ground link and pipeline answer on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace

import pytest

from gps_denied_onboard.autopilot.gcs import GroundStation
from gps_denied_onboard.autopilot.mavlink.connection import MavlinkConnection
from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import Alert, RelocHint
from gps_denied_onboard.runtime_root.build import World, build_pipeline
from gps_denied_onboard.runtime_root.strategies import load_composition
from gps_denied_operator.flights.reloc import RelocRefusedError, RelocUnansweredError, send_reloc

from ...gps_denied_onboard.live.peer import free_port


class Aircraft:
    """A pipeline without a map behind its own ground link, on a thread. `hints` are what arrived."""

    def __init__(self, address: str) -> None:
        config = Config()
        config = replace(config, strategies=replace(config.strategies, fusion="eskf"))
        world = World(LocalFrame(48.4, 37.1, 140.0), 140.0, 5.0, CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0))
        self._stack = ExitStack()
        self._pipeline = build_pipeline(config, world, None, load_composition(), lambda _: nullcontext(), self._stack)
        self._ground = GroundStation(MavlinkConnection(address), MavlinkEncoder(), own=True)
        self._stop = threading.Event()
        self.hints: list[RelocHint] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            now_ns = time.monotonic_ns()
            for received in self._ground.poll(now_ns):
                outputs = [received]
                if isinstance(received, RelocHint):
                    self.hints.append(received)
                    outputs = list(self._pipeline.on_telemetry(received))
                for output in outputs:
                    if isinstance(output, Alert):
                        self._ground.send_alert(now_ns, output)

    def __enter__(self) -> Aircraft:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._ground.close()
        self._stack.close()


@pytest.fixture(params=["udpin", "udpout"])
def link(request: pytest.FixtureRequest) -> Iterator[tuple[Aircraft, str]]:
    """Return an aircraft that listens, or that sends to a ground station that listens; and the ground's address."""
    port = free_port()
    here, there = f"{request.param}:127.0.0.1:{port}", "udpout" if request.param == "udpin" else "udpin"
    with Aircraft(here) as aircraft:
        yield aircraft, f"{there}:127.0.0.1:{port}"


def test_the_hint_arrives_and_its_answer_comes_back(link: tuple[Aircraft, str]) -> None:
    """South and west too, to a metre; the answer is the pipeline's own."""
    aircraft, address = link
    answer = send_reloc(-48.123456, -37.25, 800.0, address)
    assert answer.text == "RELOC taken: -48.12346,-37.25000,800"
    assert answer.seconds < 10.0
    hint = aircraft.hints[0]
    assert hint == RelocHint(hint.t_ns, -48.123456, -37.25, 800.0, 255, 190)


def test_silence_is_told_as_such() -> None:
    """Nobody there: an error of its own code after the time that was given."""
    with pytest.raises(RelocUnansweredError, match="Nothing was heard") as caught:
        send_reloc(48.0, 37.0, 800.0, f"udpout:127.0.0.1:{free_port()}", timeout_s=0.2)
    assert caught.value.exit_code == 42


def test_a_refusal_is_told_in_the_aircrafts_words() -> None:
    """An aircraft that refuses: its text, put together from two chunks, and an error of its own code."""
    port = free_port()
    ground = GroundStation(MavlinkConnection(f"udpin:127.0.0.1:{port}"), MavlinkEncoder(), own=True)
    stop = threading.Event()

    def refuse() -> None:
        while not stop.wait(0.005):
            if any(isinstance(received, RelocHint) for received in ground.poll(time.monotonic_ns())):
                text = "RELOC refused: radius must be 1 to 50000 m, from 255/190 over the link"
                ground.send_alert(time.monotonic_ns(), Alert(0, 4, text))

    thread = threading.Thread(target=refuse)
    thread.start()
    try:
        with pytest.raises(RelocRefusedError, match="50000 m, from 255/190 over the link") as caught:
            send_reloc(48.0, 37.0, 800.0, f"udpout:127.0.0.1:{port}")
    finally:
        stop.set()
        thread.join()
        ground.close()
    assert caught.value.exit_code == 41


@pytest.mark.parametrize("hint", [(91.0, 0.0, 5.0), (48.0, 200.0, 5.0), (48.0, 37.0, 0.0), (float("nan"), 0.0, 5.0)])
def test_what_is_no_hint_is_not_sent(hint: tuple[float, float, float]) -> None:
    """The aircraft's own rules are applied before anything is sent."""
    with pytest.raises(UserError, match="RELOC refused"):
        send_reloc(*hint, f"udpout:127.0.0.1:{free_port()}")
