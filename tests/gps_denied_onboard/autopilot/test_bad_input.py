"""What a hostile or broken link brings: counted, told, never a crash, never a wrong position."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega

from gps_denied_onboard.autopilot.gcs import GroundStation
from gps_denied_onboard.autopilot.mavlink.connection import MavlinkConnection
from gps_denied_onboard.autopilot.mavlink.link import ArduPilotLink
from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.signing import Signing
from gps_denied_onboard.autopilot.mavlink.telemetry import Received
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import Alert, AttitudeSample, GpsSample, NavState, RelocHint, SourceLabel

KEY = bytes(range(1, 33))
STEP_NS = 5_000_000
DAY_MS = 86_400_000
STATE = NavState(
    10_000_000_000, 48.5, 37.25, 800.0, (10.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9,
    3.0, 3.0, 0.0, 2.0, 3.0, 0.3, SourceLabel.SATELLITE_ANCHORED, 0, 3,
)  # fmt: skip


class Flight:
    """A link that listens on UDP, on a clock in steps of 5 ms; `hear` sends datagrams to it."""

    def __init__(self, signing: Signing | None = None, **options: Any) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self._address = probe.getsockname()
        encoder = MavlinkEncoder(signing=signing)
        self.port = MavlinkConnection(f"udpin:127.0.0.1:{self._address[1]}", signing)
        self.link = ArduPilotLink(self.port, encoder, **options)
        self.ground = GroundStation(self.port, encoder, own=False)
        self.now_ns = 60_000_000_000
        self.received: list[Received] = []
        self.step()

    def step(self) -> None:
        self.now_ns += STEP_NS
        self.received += self.link.poll(self.now_ns)

    def hear(self, *packets: bytes) -> None:
        for packet in packets:
            self._socket.sendto(packet, self._address)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 10.0
        while not condition():
            assert time.monotonic() < end, (self.received[-3:], self.link.counts())
            self.step()

    def sent(self) -> list[Any]:
        """What the link has sent to us so far, as messages."""
        parser, out = ardupilotmega.MAVLink(None), []
        while True:
            try:
                out += parser.parse_buffer(self._socket.recv(65536)) or []
            except BlockingIOError:
                return out

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.received if isinstance(item, kind)]

    def close(self) -> None:
        self.link.close()
        self._socket.close()


@pytest.fixture
def flight() -> Iterator[Flight]:
    made = Flight()
    yield made
    made.close()


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[Flight]:
    state = tmp_path / "state"
    state.write_text(json.dumps({"timestamp": 10**12, "streams": {}}))
    made = Flight(Signing(bytearray(KEY), state))
    yield made
    made.close()


def packer(system_id: int = 1, component_id: int = 1, key: bytes = b"") -> Any:
    mav = ardupilotmega.MAVLink(None, srcSystem=system_id, srcComponent=component_id)
    if key:
        mav.signing.secret_key, mav.signing.sign_outgoing, mav.signing.timestamp = key, True, 10**12
    return mav


def packed(mav: Any, message: Any) -> bytes:
    packet: bytes = message.pack(mav)
    mav.seq = (mav.seq + 1) % 256
    return packet


def attitude(mav: Any, boot_ms: int = 30_000, roll: float = 0.0) -> bytes:
    return packed(mav, mav.attitude_encode(boot_ms, roll, 0.0, 0.0, 0.0, 0.0, 0.0))


def hint(mav: Any, text: bytes = b"RELOC:48.5,37.25,800") -> bytes:
    return packed(mav, mav.statustext_encode(6, text))


def test_unsigned_input_is_refused_where_signing_is_on(signed: Flight) -> None:
    """Telemetry and hints without our signature are counted, told and not believed; signed ones are."""
    plain, ground = packer(), packer(255, 190)
    signed.hear(attitude(plain), hint(ground), attitude(packer(key=KEY[::-1])))
    signed.until(lambda: signed.port.refused == 3)
    signed.step()
    texts = [alert.text for alert in signed.of(Alert)]
    assert texts == ["RELOC refused: not signed, from 255/190", "autopilot link: 3 frames refused, not signed"]
    assert signed.received == signed.of(Alert)
    signed.hear(attitude(packer(key=KEY)), hint(packer(255, 190, KEY)))
    signed.until(lambda: bool(signed.of(RelocHint)))
    assert signed.of(RelocHint) == [RelocHint(signed.of(RelocHint)[0].t_ns, 48.5, 37.25, 800.0, 255, 190)]
    assert len(signed.of(AttitudeSample)) == 1


def test_forwarded_heartbeats_do_not_hide_an_attack(signed: Flight) -> None:
    """Those of a ground station that does not sign are counted apart: the alert tells of the one forged frame alone."""
    ground = packer(255, 190)
    beats = [packed(ground, ground.heartbeat_encode(6, 8, 0, 0, 4)) for _ in range(20)]
    signed.hear(*beats, attitude(packer()))
    signed.until(lambda: signed.port.forwarded == 20 and signed.port.refused == 1)
    signed.step()
    assert [alert.text for alert in signed.of(Alert)] == ["autopilot link: 1 frames refused, not signed"]


def test_an_unsigned_frame_of_an_unknown_kind_is_refused(signed: Flight) -> None:
    """A kind of message that the parser does not know is not looked into; unsigned, it is refused like the others."""
    head = bytes([4, 0, 0, 0, 1, 1, 0x60, 0xEA, 0])
    signed.hear(b"\xfd" + head + b"abcd" + bytes(2))
    signed.until(lambda: signed.port.refused == 1)
    assert signed.link.messages == 0


def test_nothing_is_sent_before_a_signed_frame_was_heard(signed: Flight) -> None:
    """After a start the link listens first; then everything that leaves is signed."""
    signed.hear(attitude(packer()))  # now it has somebody to answer
    signed.until(lambda: signed.port.refused == 1)
    assert signed.link.send_position(signed.now_ns, STATE) == []
    assert signed.sent() == []
    assert signed.port.withheld > 0
    signed.hear(attitude(packer(key=KEY)))
    signed.until(lambda: bool(signed.of(AttitudeSample)))
    signed.link.send_position(signed.now_ns, STATE)
    heard: list[Any] = []
    signed.until(lambda: bool(heard.extend(signed.sent())) or any(m.get_type() == "GPS_INPUT" for m in heard))
    assert all(message.get_header().incompat_flags == 1 for message in heard)


def test_a_replayed_stream_is_refused(signed: Flight) -> None:
    """The same signed frames a second time are refused, every one."""
    mav = packer(key=KEY)
    frames = [attitude(mav, 30_000 + k) for k in range(20)]
    signed.hear(*frames)
    signed.until(lambda: len(signed.of(AttitudeSample)) == 20)
    signed.hear(*frames)
    signed.until(lambda: signed.port.refused == 20)
    assert len(signed.of(AttitudeSample)) == 20


def test_another_system_is_passed_over_and_named(flight: Flight) -> None:
    """Another vehicle's heartbeat and telemetry are not ours; while ours is not heard its id is told, once."""
    other = packer(9)
    beat = packed(other, other.heartbeat_encode(1, 3, 0, 0, 4))
    flight.hear(beat, attitude(other, roll=0.5), beat)
    flight.until(lambda: flight.link.messages == 3)
    assert [alert.text for alert in flight.received if isinstance(alert, Alert)] == [
        "an autopilot with system id 9 is heard, not 1: see system_id"
    ]
    assert flight.of(AttitudeSample) == []


def test_our_own_words_are_not_hints(flight: Flight) -> None:
    """A text that a router brings back to us, and one of the autopilot's own, move no search."""
    own, autopilot = packer(1, 191), packer()
    flight.hear(packed(autopilot, autopilot.heartbeat_encode(1, 3, 0, 0, 4)), hint(own), hint(autopilot))
    flight.until(lambda: flight.link.messages == 3)
    assert flight.received == []


def test_a_flood_does_not_hold_the_loop(flight: Flight) -> None:
    """Of a flood one poll looks at a bounded part; the rest is counted, and the next honest message is heard."""
    mav = packer()
    junk = attitude(mav, roll=0.25) * 1000
    for _ in range(6):
        flight.hear(junk)
    flight.until(lambda: flight.port.flooded_bytes > 0)
    flight.hear(attitude(mav, 30_001, roll=1.0))
    flight.until(
        lambda: bool(flight.of(AttitudeSample)) and flight.of(AttitudeSample)[-1].quaternion_body_to_ned[1] > 0.4
    )
    assert len(flight.of(AttitudeSample)) < 6 * 1000


@pytest.mark.parametrize("jump_ms", [DAY_MS, -DAY_MS + 1])
def test_a_clock_that_jumps_a_day(flight: Flight, jump_ms: int) -> None:
    """Samples never lie in the future or the past by more than seconds, whatever the autopilot's clock says."""
    mav = packer()
    for k in range(20):
        flight.hear(attitude(mav, DAY_MS + 20 * k + (jump_ms if k >= 10 else 0)))
        flight.until(lambda n=k + 1: len(flight.of(AttitudeSample)) == n)
        assert abs(flight.now_ns - flight.of(AttitudeSample)[-1].t_ns) < 2_000_000_000


def test_numbers_that_cannot_be(flight: Flight) -> None:
    """NaN attitude, latitude beyond the pole, an endless pressure: counted, and nothing goes on."""
    mav = packer()
    nan, inf = float("nan"), float("inf")
    flight.hear(
        attitude(mav, roll=nan),
        packed(mav, mav.attitude_quaternion_encode(30_000, nan, 0, 0, 0, 0, 0, 0)),
        packed(mav, mav.gps2_raw_encode(0, 3, 900_000_001, 0, 0, 100, 100, 100, 0, 10, 0, 0)),
        packed(mav, mav.scaled_pressure_encode(30_000, inf, 0.0, 20)),
        packed(mav, mav.vfr_hud_encode(20.0, 20.0, 0, 0, nan, 0.0)),
    )
    flight.until(lambda: flight.link.decoder.malformed == 5)
    assert flight.received == []


def test_the_receiver_that_we_are_is_not_the_one_that_is_watched() -> None:
    """With our GPS as the second, the first is watched, and what we send never comes back as a measurement."""
    flight = Flight(gps_id=1, real_gps_id=0)
    mav = packer()
    ours = mav.gps2_raw_encode(0, 3, 485_000_000, 372_500_000, 0, 100, 100, 100, 0, 10, 0, 0)
    real = mav.gps_raw_int_encode(0, 3, 486_000_000, 372_500_000, 0, 100, 100, 100, 0, 12)
    flight.hear(packed(mav, ours), packed(mav, real))
    flight.until(lambda: flight.link.messages == 2)
    assert [(s.latitude_deg, s.satellites) for s in flight.of(GpsSample)] == [(48.6, 12)]
    flight.close()
    for wrong in ({"gps_id": 0, "real_gps_id": 0}, {"gps_id": 2}, {"real_gps_id": 2}, {"gps_id": 1}):
        with pytest.raises(UserError, match=r"cannot be: one of them is 0, the other 1"):
            Flight(**wrong)


def test_a_link_that_is_silent_for_half_a_minute(flight: Flight) -> None:
    """Silence is told after three seconds; when the autopilot speaks again that is told, and its rates asked for."""
    mav = packer()
    beat = packed(mav, mav.heartbeat_encode(1, 3, 0, 0, 4))
    flight.hear(beat)
    flight.until(lambda: flight.link.messages == 1)
    end_ns = flight.now_ns + 30_000_000_000
    flight.until(lambda: flight.now_ns >= end_ns)
    assert [alert.text for alert in flight.of(Alert)] == ["the autopilot is silent"]
    flight.sent()
    flight.hear(beat)
    flight.until(lambda: len(flight.of(Alert)) == 2)
    heard: list[Any] = []
    flight.until(lambda: bool(heard.extend(flight.sent())) or any(m.get_type() == "COMMAND_LONG" for m in heard))
    assert flight.of(Alert)[1].text == "the autopilot is heard again"


@pytest.mark.parametrize(
    "text",
    [b"RELOC:", b"RELOC:1,2", b"RELOC:1,2,3,4", b"RELOC:nan,2,300", b"RELOC:91,2,300", b"RELOC:1,181,300",
     b"RELOC:1,2,inf", b"RELOC:1,2,-5", b"RELOC:1,2,0.5", b"RELOC:1,2,50001", b"RELOC:\xff\xfe,2,3", b"RELOC:1;2;3",
     b"RELOC:0x10,2,300", b"RELOC:" + b"9" * 44],
)  # fmt: skip
def test_garbage_as_a_hint(flight: Flight, text: bytes) -> None:
    """A hint that is none is refused to its sender's face, with what would be right; no search moves."""
    flight.hear(hint(packer(255, 190), text))
    flight.until(lambda: bool(flight.received))
    (alert,) = flight.received
    assert isinstance(alert, Alert)
    assert alert.text.startswith("RELOC refused: ")
    assert alert.text.endswith("from 255/190")


def test_random_bytes_for_long(flight: Flight) -> None:
    """A hundred thousand random bytes between honest messages: no exception, no sample that was not sent."""
    rng, mav = random.Random(11), packer()
    for k in range(50):
        flight.hear(rng.randbytes(2000), bytes(300), attitude(mav, 30_000 + k))
        flight.step()
    flight.until(lambda: flight.port.bad_bytes > 50_000)
    assert all(s.quaternion_body_to_ned == (1.0, 0.0, 0.0, 0.0) for s in flight.of(AttitudeSample))
    assert flight.received == flight.of(AttitudeSample)


def test_states_that_cannot_be_reach_nobody(flight: Flight) -> None:
    """A NaN in a state withholds it from the autopilot and from the ground."""
    flight.hear(attitude(packer()))
    flight.until(lambda: bool(flight.received))
    flight.sent()
    wrong = replace(STATE, longitude_deg=float("nan"))
    (alert,) = flight.link.send_position(flight.now_ns, wrong)
    flight.ground.send_state(flight.now_ns, wrong)
    assert alert.text == "position withheld from autopilot: longitude nan"
    kinds = {message.get_type() for message in flight.sent()}
    assert not kinds & {"GPS_INPUT", "GLOBAL_POSITION_INT_COV"}
