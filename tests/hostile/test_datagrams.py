"""A stranger's datagrams: positions go to the autopilot alone, and nothing of a stranger's is taken for its words."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega

from gps_denied_onboard.autopilot.gcs import GroundStation
from gps_denied_onboard.autopilot.mavlink.connection import SILENT_PEER_NS, MavlinkConnection
from gps_denied_onboard.autopilot.mavlink.gps_primary_selector import GpsPrimarySelector
from gps_denied_onboard.autopilot.mavlink.link import ArduPilotLink
from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.signing import Signing
from gps_denied_onboard.autopilot.msp.link import InavLink
from gps_denied_onboard.autopilot.msp.messages import packed
from gps_denied_onboard.autopilot.transport import ReopeningLink
from gps_denied_onboard.messages import Alert, AttitudeSample, NavState, SourceLabel

from ..gps_denied_onboard.live.peer import free_port

KEY = bytes(range(1, 33))
STEP_NS = 5_000_000
STATE = NavState(
    10_000_000_000, 48.5, 37.25, 800.0, (10.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9,
    3.0, 3.0, 0.0, 2.0, 3.0, 0.3, SourceLabel.SATELLITE_ANCHORED, 0, 3,
)  # fmt: skip


class Sender:
    """Somebody with a UDP socket, who speaks MAVLink under a system id."""

    def __init__(self, system_id: int = 1, component_id: int = 1, key: bytes = b"") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.mav = ardupilotmega.MAVLink(None, srcSystem=system_id, srcComponent=component_id)
        if key:
            self.mav.signing.secret_key, self.mav.signing.sign_outgoing = key, True
            self.mav.signing.timestamp = 10**12

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def packet(self, message: Any) -> bytes:
        data: bytes = message.pack(self.mav)
        self.mav.seq = (self.mav.seq + 1) % 256
        return data

    def heartbeat(self) -> bytes:
        return self.packet(self.mav.heartbeat_encode(1, 3, 0, 0, 4))

    def attitude(self, roll: float = 0.0) -> bytes:
        return self.packet(self.mav.attitude_encode(30_000, roll, 0.0, 0.0, 0.0, 0.0, 0.0))

    def say(self, port: int, *packets: bytes) -> None:
        for data in packets:
            self.socket.sendto(data, ("127.0.0.1", port))

    def kinds(self) -> set[str]:
        """What it was sent since the last call."""
        parser, out = ardupilotmega.MAVLink(None), set()
        while True:
            try:
                out |= {message.get_type() for message in parser.parse_buffer(self.socket.recv(65536)) or []}
            except BlockingIOError:
                return out


class Flight:
    """An ArduPilot link on a clock of its own."""

    def __init__(self, address: str, signing: Signing | None = None) -> None:
        self.port = MavlinkConnection(address, signing)
        self.link = ArduPilotLink(self.port, MavlinkEncoder(signing=signing))
        self.now_ns = 60_000_000_000
        self.received: list[Any] = []

    def step(self, count: int = 1, step_ns: int = STEP_NS) -> None:
        for _ in range(count):
            self.now_ns += step_ns
            self.received += self.link.poll(self.now_ns)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 10.0
        while not condition():
            assert time.monotonic() < end, (self.received[-3:], self.link.counts())
            self.step()

    def rolls(self) -> list[float]:
        return [2.0 * s.quaternion_body_to_ned[1] for s in self.received if isinstance(s, AttitudeSample)]

    def close(self) -> None:
        self.link.close()


@pytest.fixture
def people() -> Iterator[Callable[..., Sender]]:
    """Return a maker of senders, which are closed at the end."""
    made: list[Sender] = []

    def make(*options: Any, **named: Any) -> Sender:
        made.append(Sender(*options, **named))
        return made[-1]

    yield make
    for sender in made:
        sender.socket.close()


@pytest.fixture
def listening() -> Iterator[tuple[Flight, int]]:
    """Return a link that listens, and its port."""
    port = free_port()
    flight = Flight(f"udpin:127.0.0.1:{port}")
    flight.step()
    yield flight, port
    flight.close()


def gets_positions(flight: Flight, whom: Sender, *others: Sender) -> None:
    """Send a position: it comes to one and to none of the others."""
    for sender in (whom, *others):
        sender.kinds()
    assert flight.link.send_position(flight.now_ns, STATE) == []
    heard: set[str] = set()

    def arrived() -> bool:
        heard.update(whom.kinds())
        return "GPS_INPUT" in heard

    flight.until(arrived)
    for other in others:
        assert other.kinds() == set()


def test_a_datagram_to_a_sending_port_redirects_nothing(people: Callable[..., Sender]) -> None:
    """`udpout`: a stranger who finds the port is neither heard nor answered."""
    autopilot, stranger = people(), people()
    flight = Flight(f"udpout:127.0.0.1:{autopilot.port}")
    flight.step()
    _, ours = autopilot.socket.recvfrom(65536)
    for _ in range(3):
        stranger.say(ours[1], stranger.heartbeat(), stranger.attitude(0.5), b"x" * 100)
        autopilot.say(ours[1], autopilot.heartbeat(), autopilot.attitude(0.1))
        flight.step(5)
    flight.until(lambda: len(flight.rolls()) >= 3)
    assert max(flight.rolls()) == pytest.approx(0.1, abs=1e-3)
    gets_positions(flight, autopilot, stranger)
    flight.close()


NAMES = {"the autopilot": (1, 1), "us": (1, 191), "another autopilot": (2, 1), "a ground station": (255, 190)}
# Without signatures the first to speak as the autopilot is the autopilot: see the threat model.
CASES = [(name, first) for name in NAMES for first in (False, True) if (name, first) != ("the autopilot", True)]


@pytest.mark.parametrize(("name", "first"), CASES)
def test_a_listening_port_answers_the_autopilot(
    people: Callable[..., Sender], listening: tuple[Flight, int], name: str, first: bool
) -> None:
    """`udpin`: whoever speaks last, or first under another name, gets nothing; nor is he heard as the autopilot."""
    flight, port = listening
    autopilot, other = people(), people(*NAMES[name])
    if first:
        other.say(port, other.heartbeat(), other.attitude(0.5), b"\xfd\xff" + bytes(40))
        flight.step(3)
    autopilot.say(port, autopilot.heartbeat(), autopilot.attitude(0.1))
    flight.until(lambda: bool(flight.rolls()))
    for _ in range(3):
        other.say(port, other.heartbeat(), other.attitude(0.5), b"\xfd\xff" + bytes(40))
        flight.step(3)
    gets_positions(flight, autopilot, other)
    assert max(flight.rolls()) == pytest.approx(0.1, abs=1e-3)


def test_a_strangers_half_message_swallows_nothing(
    people: Callable[..., Sender], listening: tuple[Flight, int]
) -> None:
    """The head of a long message from one sender is not completed with another's bytes."""
    flight, port = listening
    autopilot, other = people(), people(9, 9)
    for k in range(5):
        other.say(port, b"\xfd\xff\x00\x00\x00\x01\x01\x1e\x00\x00")
        autopilot.say(port, autopilot.attitude(0.1 + k / 100))
    flight.until(lambda: len(flight.rolls()) == 5)


def test_signed_the_key_says_who_the_autopilot_is(people: Callable[..., Sender], tmp_path: Path) -> None:
    """With a key, one who speaks as the autopilot without it is not answered even when he spoke first."""
    port = free_port()
    flight = Flight(f"udpin:127.0.0.1:{port}", Signing(bytearray(KEY), tmp_path / "state"))
    flight.step()
    stranger, wrong, autopilot = people(), people(key=KEY[::-1]), people(key=KEY)
    stranger.say(port, stranger.heartbeat(), stranger.attitude(0.5))
    wrong.say(port, wrong.heartbeat(), wrong.attitude(0.5))
    flight.until(lambda: flight.port.refused == 3)
    autopilot.say(port, autopilot.heartbeat(), autopilot.attitude(0.1))
    flight.until(lambda: bool(flight.rolls()))
    gets_positions(flight, autopilot, stranger, wrong)
    flight.close()


def test_an_autopilot_that_comes_back_from_another_port(
    people: Callable[..., Sender], listening: tuple[Flight, int]
) -> None:
    """After SILENT_PEER_NS of silence another peer that speaks as the autopilot is taken."""
    flight, port = listening
    before, after = people(), people()
    before.say(port, before.heartbeat())
    flight.until(lambda: before.kinds() != set())
    flight.step(1, SILENT_PEER_NS + STEP_NS)
    flight.step()
    after.say(port, after.attitude(0.1))
    flight.until(lambda: bool(flight.rolls()))
    gets_positions(flight, after, before)


def test_a_second_ground_station_takes_nothing_from_the_first(people: Callable[..., Sender]) -> None:
    """The ground's port answers each ground station that speaks; no one displaces another."""
    port = free_port()
    ground = GroundStation(MavlinkConnection(f"udpin:127.0.0.1:{port}"), MavlinkEncoder(), own=True)
    now_ns = 60_000_000_000
    ground.poll(now_ns)
    first, second = people(255, 190), people(254, 190)
    heard: set[str] = set()
    for sender in (first, second):
        sender.say(port, sender.heartbeat())
        end = time.monotonic() + 10.0
        while "GLOBAL_POSITION_INT_COV" not in heard:
            assert time.monotonic() < end
            now_ns += 600_000_000
            ground.poll(now_ns)
            ground.send_state(now_ns, STATE)
            heard |= sender.kinds()
        heard.clear()
    now_ns += 600_000_000
    ground.send_state(now_ns, STATE)
    assert "GLOBAL_POSITION_INT_COV" in first.kinds()
    ground.close()


def test_an_inav_port_stays_with_the_one_that_answers(people: Callable[..., Sender]) -> None:
    """MSP over datagrams: who speaks later is neither asked nor believed, until the first has been silent."""
    port = free_port()
    link = InavLink(ReopeningLink(f"udpin:127.0.0.1:{port}"), 100.0)
    now_ns = 60_000_000_000
    link.poll(now_ns)
    inav, other = people(), people()
    inav.say(port, packed(102, bytes(18), ">"))
    asked = b""
    end = time.monotonic() + 10.0
    while b"$X<" not in asked:
        assert time.monotonic() < end
        other.say(port, packed(102, bytes(18), ">"))
        now_ns += STEP_NS
        link.poll(now_ns)
        try:
            asked += inav.socket.recv(65536)
        except BlockingIOError:
            continue
    with pytest.raises(BlockingIOError):
        other.socket.recv(65536)
    link.close()


def test_forwarded_heartbeats_do_not_hide_an_attack(people: Callable[..., Sender], tmp_path: Path) -> None:
    """Unsigned heartbeats that an autopilot forwards are no alert; one unsigned command among them is."""
    port = free_port()
    flight = Flight(f"udpin:127.0.0.1:{port}", Signing(bytearray(KEY), tmp_path / "state"))
    flight.step()
    ground, attacker = people(255, 190), people()
    for _ in range(30):
        ground.say(port, ground.heartbeat())
    flight.until(lambda: flight.port.forwarded == 30)
    assert not [alert for alert in flight.received if isinstance(alert, Alert)]
    attacker.say(port, attacker.attitude(0.5))
    flight.until(lambda: any(isinstance(item, Alert) for item in flight.received))
    assert [a.text for a in flight.received] == ["autopilot link: 1 frames refused, not signed"]
    assert flight.link.counts()["forwarded"] == 30
    flight.close()


def test_noise_at_any_rate_is_looked_at_a_little_at_a_time(
    people: Callable[..., Sender], listening: tuple[Flight, int]
) -> None:
    """Of a peer that sends noise each poll looks at a kilobyte; the autopilot's messages beside it all arrive."""
    flight, port = listening
    autopilot, other = people(), people()
    autopilot.say(port, autopilot.heartbeat())
    flight.until(lambda: autopilot.kinds() != set())
    for k in range(20):
        other.say(port, *(b"\xfe\x00\x00\x01\x01\x00\x00\x00" * 500 for _ in range(20)))
        autopilot.say(port, autopilot.attitude(0.1 + k / 1000))
        before = flight.port.bad_bytes
        flight.step()
        assert flight.port.bad_bytes - before <= 4096
    flight.until(lambda: len(flight.rolls()) == 20)


def test_a_primary_gps_that_somebody_else_set() -> None:
    """A GPS_PRIMARY that was not asked for here is told as that, and asked for again."""
    promotion = GpsPrimarySelector(0, 1)
    assert promotion.on_parameter(1, "GPS_PRIMARY", 1.0) == []
    (told,) = promotion.on_parameter(2, "GPS_PRIMARY", 0.0)
    assert "somebody else set GPS_PRIMARY from 1 to 0" in told.text
    assert promotion.on_state(10**9, STATE) is None  # ours already
    (told,) = promotion.on_parameter(2 * 10**9, "GPS_PRIMARY", 1.0)
    assert told.text == "somebody else set GPS_PRIMARY from 0 to 1; asking for 0 again"
    assert promotion.on_state(3 * 10**9, STATE) == 0
    (told,) = promotion.on_parameter(4 * 10**9, "GPS_PRIMARY", 0.0)
    assert told.text == "the autopilot follows our position (GPS 1)"
