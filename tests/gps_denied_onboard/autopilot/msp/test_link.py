"""The iNav link over TCP on loopback: positions out, bounded asking, proof of use, a peer that goes."""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from gps_denied_onboard.autopilot.mavlink.telemetry import Received
from gps_denied_onboard.autopilot.msp.link import MAX_WAITING, RATES_HZ, InavLink
from gps_denied_onboard.autopilot.msp.messages import crc8_dvb_s2
from gps_denied_onboard.autopilot.transport import ReopeningLink, TcpTransport
from gps_denied_onboard.messages import (
    AirspeedSample,
    Alert,
    AttitudeSample,
    BaroSample,
    ImuSample,
    NavState,
    SourceLabel,
)

from ..inav_peer import Inav

PATIENCE_S = 10.0
STEP_NS = 5_000_000
STATE = NavState(
    10_000_000_000, 48.5, 37.25, 800.0, (10.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9,
    3.0, 3.0, 0.0, 2.0, 3.0, 0.3, SourceLabel.SATELLITE_ANCHORED, 0, 3,
)  # fmt: skip


class Flight:
    """A link and its iNav on one clock in steps of 5 ms."""

    def __init__(self) -> None:
        self.inav = Inav()
        self.link = InavLink(ReopeningLink(f"tcp:127.0.0.1:{self.inav.port}"), 100.0)
        self.now_ns = 60_000_000_000
        self.received: list[Received] = []
        self.sending: NavState | None = None

    def step(self) -> None:
        self.now_ns += STEP_NS
        if self.sending is not None and self.now_ns % 200_000_000 == 0:
            assert self.link.send_position(self.now_ns, replace(self.sending, t_ns=self.now_ns)) == []
        self.received += self.link.poll(self.now_ns)
        if self.link._waiting and self.link._waiting[-1][1] == self.now_ns:
            self.inav.wait()  # loopback is slower than this clock
        answered = self.inav.answered
        self.inav.step(self.now_ns)
        if self.inav.answered > answered:
            select.select([self.socket()], [], [], 1.0)

    def socket(self) -> socket.socket:
        transport = self.link._link._transport
        assert isinstance(transport, TcpTransport)
        return transport._socket

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, (self.received[-5:], self.link.counts())
            self.step()

    def run(self, seconds: float) -> None:
        end_ns = self.now_ns + round(seconds * 1e9)
        self.until(lambda: self.now_ns >= end_ns)

    def texts(self) -> list[str]:
        return [item.text for item in self.received if isinstance(item, Alert)]


@pytest.fixture
def flight() -> Iterator[Flight]:
    made = Flight()
    made.until(lambda: any(isinstance(item, ImuSample) for item in made.received))
    yield made
    made.link.close()
    made.inav.close()


def test_telemetry_comes_by_asking(flight: Flight) -> None:
    """Each kind is asked for at its own rate, and the answers are our messages."""
    flight.inav.asked.clear()
    flight.run(4.0)
    kinds = {type(item) for item in flight.received}
    assert kinds >= {ImuSample, AttitudeSample, BaroSample, AirspeedSample}
    asked = Counter(flight.inav.asked)
    for function, rate_hz in RATES_HZ.items():
        assert 0.8 * rate_hz * 4.0 <= asked[function] <= 1.3 * rate_hz * 4.0, (function, asked[function])
    assert flight.link.counts()["bad_bytes"] == 0


def test_fewer_frames_than_the_serial_task_takes() -> None:
    """iNav takes one frame a port 100 times a second: questions and ten positions a second leave some room."""
    assert sum(RATES_HZ.values()) + 10.0 <= 95.0


def test_a_stall_makes_no_answer_newer(flight: Flight) -> None:
    """What lay in the buffer while half a second nobody looked is of the moment of its question, not of now."""
    flight.run(1.0)
    flight.until(lambda: any(f in (102, 108) for f, _ in flight.link._waiting))
    asked_ns = flight.now_ns
    select.select([flight.socket()], [], [], 1.0)
    flight.received.clear()
    flight.received += flight.link.poll(asked_ns + 500_000_000)
    samples = [item for item in flight.received if isinstance(item, ImuSample | AttitudeSample)]
    assert samples
    assert all(asked_ns <= sample.t_ns <= asked_ns + 20_000_000 for sample in samples)


def test_positions_arrive_whole_and_are_used(flight: Flight) -> None:
    """Positions of 52 bytes, five a second; the sensor status, not the echo, proves that they are used."""
    flight.sending = STATE
    flight.run(7.0)
    assert len(flight.inav.positions) == pytest.approx(35, abs=2)
    assert flight.inav.positions[-1][9:12] == (372_500_000, 485_000_000, 80_000)
    assert "the autopilot uses our position as its GPS" in flight.texts()
    assert not any("does not use" in text for text in flight.texts())


def test_a_position_that_is_not_used_is_told(flight: Flight) -> None:
    """A lost GPS sensor, though the echo goes on, and an estimate that is elsewhere are alerts."""
    flight.sending = STATE
    flight.run(7.0)
    flight.inav._gps_ns = None
    flight.inav.positions = flight.inav.positions[-1:]
    flight.sending = None
    flight.run(3.0)
    assert flight.texts()[-1] == "the autopilot does not use our position: sensor status 2"
    flight.inav.estimate = (486_000_000, 372_500_000)
    flight.sending = STATE
    flight.run(3.0)
    assert flight.link._used is False
    flight.inav.estimate = None
    flight.run(3.0)
    assert flight.texts()[-1] == "the autopilot uses our position as its GPS"


def test_asking_is_bounded(flight: Flight) -> None:
    """An autopilot that does not answer is not buried in questions; what it owes is given up and counted."""
    flight.inav.mute = set(RATES_HZ)
    flight.inav.asked.clear()
    flight.run(2.0)
    assert len(flight.inav.asked) <= MAX_WAITING * (2.0 / 0.2 + 1)
    assert flight.link.counts()["unanswered"] >= MAX_WAITING * 5
    flight.run(2.0)
    assert "the autopilot is silent" in flight.texts()
    flight.inav.mute = set()
    flight.run(1.0)
    assert flight.texts()[-1] == "the autopilot is heard again"


def test_noise_and_answers_that_nobody_asked_for(flight: Flight) -> None:
    """Noise before every answer costs nothing but itself; an answer without a question is not believed."""
    flight.inav.noise = b"\x00$M>\x03$X>\x00\x01"
    before = sum(isinstance(item, ImuSample) for item in flight.received)
    flight.run(2.0)
    assert sum(isinstance(item, ImuSample) for item in flight.received) - before >= 80
    assert flight.link.counts()["bad_bytes"] > 500
    assert flight.inav._peer is not None
    flight.inav.noise = b""
    flight.inav.mute = set(RATES_HZ)
    flight.run(1.0)
    count = len(flight.received)
    flight.link._waiting.clear()
    flight.link._due_ns = dict.fromkeys(RATES_HZ, flight.now_ns + 10**12)
    body = b"\x00\x6c\x00\x06\x00" + bytes(6)
    flight.inav._peer.sendall(b"$X>" + body + bytes([crc8_dvb_s2(body)]))
    flight.until(lambda: flight.link.unasked == 1)
    assert not any(isinstance(item, AttitudeSample) for item in flight.received[count:])


def test_a_flood_does_not_hold_the_loop(flight: Flight) -> None:
    """Of a flood one poll looks at a bounded part and counts the rest; afterwards answers are heard as before."""
    flight.inav.mute = set(RATES_HZ)
    flight.run(1.0)
    peer = flight.inav._peer
    assert peer is not None
    heard = len([item for item in flight.received if isinstance(item, ImuSample)])
    answer = b"\x00\x66\x00\x12\x00" + bytes(18)
    peer.setblocking(True)
    peer.sendall((b"$X>" + answer + bytes([crc8_dvb_s2(answer)])) * 2200)
    peer.setblocking(False)
    flight.until(lambda: flight.link.counts()["flooded_bytes"] > 20_000)
    assert len([item for item in flight.received if isinstance(item, ImuSample)]) - heard <= MAX_WAITING
    flight.inav.mute = set()
    flight.until(lambda: len([item for item in flight.received if isinstance(item, ImuSample)]) - heard > 30)


def test_a_link_that_dies_is_opened_again(flight: Flight) -> None:
    """The peer that hangs up is told once; when it takes the call again positions and telemetry flow."""
    flight.inav.hang_up()
    flight.until(lambda: any("dead" in text for text in flight.texts()))
    count = len(flight.received)
    flight.sending = STATE
    flight.until(lambda: any(isinstance(item, ImuSample) for item in flight.received[count:]))
    flight.until(lambda: bool(flight.inav.positions))
    assert "autopilot link is back" in flight.texts()


def test_what_cannot_be_sent_is_an_alert(flight: Flight) -> None:
    """A state with a latitude beyond the pole is withheld."""
    (alert,) = flight.link.send_position(flight.now_ns, replace(STATE, latitude_deg=91.0))
    assert alert.text == "position withheld from autopilot: latitude 91.0"


def test_that_the_link_is_open_is_told(flight: Flight) -> None:
    """MSP has no signatures: the recorder and the ground get to know, once."""
    flight.run(1.0)
    assert flight.texts().count("the autopilot link is open: MSP cannot be signed") == 1
