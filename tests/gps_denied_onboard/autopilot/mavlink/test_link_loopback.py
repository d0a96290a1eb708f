"""The link against real pymavlink peers: UDP and TCP on loopback, serial over a pseudo terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pty
import random
import socket
import time
import tty
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega

from gps_denied_onboard.autopilot.gcs import GroundStation
from gps_denied_onboard.autopilot.mavlink.connection import MavlinkConnection
from gps_denied_onboard.autopilot.mavlink.link import ArduPilotLink
from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.telemetry import Received
from gps_denied_onboard.autopilot.transport import MAX_PENDING_BYTES, RETRY_NS, ReopeningLink, opener
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import Alert, AttitudeSample, ImuSample, NavState, RelocHint, SourceLabel

from ...live.peer import free_port

PATIENCE_S = 10.0
STEP_NS = 5_000_000
STATE = NavState(
    10_000_000_000, 48.5, 37.25, 800.0, (10.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9,
    3.0, 3.0, 0.0, 2.0, 3.0, 0.3, SourceLabel.SATELLITE_ANCHORED, 0, 3,
)  # fmt: skip


class Flight:
    """A link, its clock in steps of 5 ms, and the peer's messages so far."""

    def __init__(self, address: str, hear: Callable[[], Any], **options: Any) -> None:
        encoder = MavlinkEncoder()
        self.link = ArduPilotLink(MavlinkConnection(address), encoder, **options)
        self.ground = GroundStation(self.link.port, encoder, own=False)
        self.now_ns = 60_000_000_000
        self.received: list[Received] = []
        self.heard: list[Any] = []
        self._hear = hear

    def step(self) -> None:
        self.now_ns += STEP_NS
        self.received += self.link.poll(self.now_ns)
        with contextlib.suppress(BlockingIOError):
            while (message := self._hear()) is not None:
                self.heard.append(message)

    def until(self, condition: Callable[[], bool]) -> None:
        """Step until `condition` holds; the time that this may take is real, the link's is not."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, (self.received, self.heard[-3:])
            self.step()

    def kinds(self) -> set[str]:
        return {message.get_type() for message in self.heard}

    def texts(self) -> list[str]:
        return [item.text for item in self.received if isinstance(item, Alert)]


def greet(peer: Any) -> None:
    peer.mav.heartbeat_send(1, 3, 0, 0, 4)


@pytest.fixture
def udp() -> Iterator[tuple[Flight, Any]]:
    """A link that listens, and an autopilot that sends to it."""
    port = free_port()
    peer = mavutil.mavlink_connection(f"udpout:127.0.0.1:{port}", source_system=1, source_component=1)
    flight = Flight(f"udpin:127.0.0.1:{port}", peer.recv_match)
    flight.step()
    yield flight, peer
    flight.link.close()
    peer.close()


def test_udp_telemetry_in_and_positions_out(udp: tuple[Flight, Any]) -> None:
    """Samples arrive in our units; GPS_INPUT, label, text, heartbeat and rate requests reach the autopilot."""
    flight, peer = udp
    greet(peer)
    peer.mav.highres_imu_send(30_000_000, 0.5, 0.25, -9.75, 0.125, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63)
    peer.mav.attitude_send(30_000, 0.0, 0.0, 0.0, 0, 0, 0)
    ground = ardupilotmega.MAVLink(None, srcSystem=255, srcComponent=190)
    hint_packet = ground.statustext_encode(6, b"RELOC:48.5,37.25,800").pack(ground)
    peer.port.sendto(hint_packet, peer.destination_addr)
    flight.until(lambda: len(flight.received) == 3)
    imu, attitude, hint = flight.received
    assert isinstance(imu, ImuSample)
    assert imu.accel_body_mps2 == (0.5, 0.25, -9.75)
    assert isinstance(attitude, AttitudeSample)
    assert attitude.quaternion_body_to_ned == (1.0, 0.0, 0.0, 0.0)
    assert hint == RelocHint(hint.t_ns, 48.5, 37.25, 800.0, 255, 190)
    assert flight.link.send_position(flight.now_ns, STATE) == []
    flight.ground.send_state(flight.now_ns, STATE)
    flight.ground.send_alert(flight.now_ns, Alert(1, 4, "camera is dark"))
    wanted = {"GPS_INPUT", "GLOBAL_POSITION_INT_COV", "NAMED_VALUE_FLOAT", "STATUSTEXT", "HEARTBEAT", "COMMAND_LONG"}
    flight.until(lambda: flight.kinds() >= wanted)
    fix = next(message for message in flight.heard if message.get_type() == "GPS_INPUT")
    assert (fix.lat, fix.lon, fix.horiz_accuracy) == (485_000_000, 372_500_000, 2.0)
    asked = {m.param1: m.param2 for m in flight.heard if m.get_type() == "COMMAND_LONG" and m.command == 511}
    assert asked[105] == 10_000.0
    assert "BAD_DATA" not in flight.kinds()


def test_an_open_link_says_what_it_waits_for(udp: tuple[Flight, Any]) -> None:
    """Open is not heard: until the autopilot's heartbeat comes the link waits for it, by system id; silence is told."""
    flight, peer = udp
    assert flight.link.waits_for(flight.now_ns) == "waiting for a heartbeat of system 1"
    stranger = ardupilotmega.MAVLink(None, srcSystem=7, srcComponent=1)
    peer.port.sendto(stranger.heartbeat_encode(1, 3, 0, 0, 4).pack(stranger), peer.destination_addr)
    flight.until(lambda: bool(flight.texts()))
    assert flight.link.waits_for(flight.now_ns) == "waiting for a heartbeat of system 1 (heard: system 7)"
    greet(peer)
    flight.until(lambda: flight.link.waits_for(flight.now_ns) == "")
    flight.now_ns += 60_000_000_000
    assert flight.link.waits_for(flight.now_ns) == "system 1 is silent"


@pytest.mark.parametrize(("lost_ms", "unsure"), [(0, False), (300, True)])
def test_clocks_that_disagree_make_the_position_less_sure(udp: tuple[Flight, Any], lost_ms: int, unsure: bool) -> None:
    """What TIMESYNC leaves open is told, and what the aircraft flies in that time is in the accuracy that is sent."""
    flight, peer = udp
    greet(peer)

    def asked() -> list[Any]:
        return [m for m in flight.heard if m.get_type() == "TIMESYNC" and m.tc1 == 0]

    for k in range(2):
        flight.until(lambda wanted=k + 1: len(asked()) >= wanted)
        moment_ns = asked()[-1].ts1
        peer.mav.timesync_send(moment_ns - 50_000_000_000 - k * lost_ms * 1_000_000, moment_ns)
        flight.until(lambda answers=k + 1: flight.link.clock.answers >= answers)
        flight.now_ns += 1_000_000_000
    flight.link.send_position(flight.now_ns, STATE)
    flight.until(lambda: "GPS_INPUT" in flight.kinds())
    fix = next(message for message in flight.heard if message.get_type() == "GPS_INPUT")
    assert (fix.horiz_accuracy > 3.0) is unsure  # 10 m/s over 0.3 s, and 2 m
    assert any("clock known to" in text for text in flight.texts()) is unsure


def test_a_rate_that_is_refused_is_asked_for_at_less(udp: tuple[Flight, Any]) -> None:
    """ArduPilot refuses more than its loop can do and goes on as before: what is far too rare is asked for at less."""
    flight, peer = udp
    imu, attitude = ardupilotmega.MAVLINK_MSG_ID_HIGHRES_IMU, ardupilotmega.MAVLINK_MSG_ID_ATTITUDE_QUATERNION

    def asked_hz(number: int) -> list[float]:
        requests = [m for m in flight.heard if m.get_type() == "COMMAND_LONG" and m.command == 511]
        return [round(1e6 / m.param2) for m in requests if m.param1 == number]

    for second in range(1, 19):
        greet(peer)
        for _ in range(20):
            peer.mav.attitude_quaternion_send(30_000, 1.0, 0.0, 0.0, 0.0, 0, 0, 0)
        peer.mav.highres_imu_send(30_000_000, 0.5, 0.25, -9.75, 0.125, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63)
        flight.until(lambda heard=22 * second: flight.link.messages >= heard)
        flight.now_ns += 1_000_000_000
    flight.until(lambda: len(asked_hz(imu)) >= 4)
    assert asked_hz(imu)[:4] == [100, 40, 16, 10]
    assert asked_hz(attitude) == [25]
    assert asked_hz(ardupilotmega.MAVLINK_MSG_ID_GNSS_INTEGRITY) == [1, 1, 1]  # never comes: rounds one, two, four


def test_who_is_followed_depends_on_the_motors(udp: tuple[Flight, Any]) -> None:
    """Unanchored and disarmed: its own receiver. What was said of the motors counts for three seconds."""
    flight, peer = udp
    assert flight.link.armed(flight.now_ns) is None
    greet(peer)
    flight.until(lambda: flight.link.armed(flight.now_ns) is False)
    flight.link.send_position(flight.now_ns, dataclasses.replace(STATE, source_label=SourceLabel.DEAD_RECKONED))
    flight.until(lambda: "PARAM_SET" in flight.kinds())
    (wish,) = (m for m in flight.heard if m.get_type() == "PARAM_SET")
    assert (wish.param_id, wish.param_value) == ("GPS_PRIMARY", 1.0)
    assert flight.link.armed(flight.now_ns + 4_000_000_000) is None
    peer.mav.heartbeat_send(1, 3, 128, 0, 4)
    flight.until(lambda: flight.link.armed(flight.now_ns) is True)


def test_timesync_is_asked_and_answered(udp: tuple[Flight, Any]) -> None:
    """Our questions bring the autopilot's clock onto ours; its questions are answered with our time."""
    flight, peer = udp
    greet(peer)
    flight.until(lambda: any(m.get_type() == "TIMESYNC" and m.tc1 == 0 for m in flight.heard))
    question = next(m for m in flight.heard if m.get_type() == "TIMESYNC")
    peer.mav.timesync_send(question.ts1 - 50_000_000_000, question.ts1)
    flight.until(lambda: flight.link.clock.answers > 0)
    assert flight.link.clock.offset_ns == pytest.approx(50_000_000_000, abs=500_000_000)
    peer.mav.timesync_send(0, 1234)
    flight.until(lambda: any(m.get_type() == "TIMESYNC" and m.tc1 > 0 and m.ts1 == 1234 for m in flight.heard))


def test_noise_between_messages_is_counted_and_skipped(udp: tuple[Flight, Any]) -> None:
    """Random bytes, cut packets and flipped bits cost themselves only; whole messages around them arrive."""
    flight, peer = udp
    greet(peer)
    rng = random.Random(4)
    packer = ardupilotmega.MAVLink(None, srcSystem=1, srcComponent=1)
    stream, good = b"", 60
    for k in range(good):
        packet = packer.attitude_quaternion_encode(30_000 + k, 1.0, 0.0, 0.0, 0.0, 0, 0, 0).pack(packer)
        flipped = bytearray(packet)
        flipped[rng.randrange(12, len(packet))] ^= 1 << rng.randrange(8)
        stream += packet + (packet[: rng.randrange(3, 20)] + bytes(40), rng.randbytes(30), bytes(flipped))[k % 3]
        stream += bytes(300)  # lets a parser that took noise for a long packet's head come back
    for at in range(0, len(stream), 700):
        peer.port.sendto(stream[at : at + 700], peer.destination_addr)
    flight.until(lambda: sum(isinstance(item, AttitudeSample) for item in flight.received) >= good * 0.8)
    flight.step()
    assert flight.link.port.bad_bytes > 1000
    assert all(
        item.quaternion_body_to_ned == (1.0, 0.0, 0.0, 0.0)
        for item in flight.received
        if isinstance(item, AttitudeSample)
    )


def test_an_autopilot_that_restarts_is_noticed(udp: tuple[Flight, Any]) -> None:
    """A clock that begins anew gives one alert, and the rates are asked for again."""
    flight, peer = udp
    greet(peer)
    peer.mav.attitude_send(300_000, 0, 0, 0, 0, 0, 0)
    flight.until(lambda: "COMMAND_LONG" in flight.kinds())
    flight.heard.clear()
    peer.mav.attitude_send(900, 0, 0, 0, 0, 0, 0)
    flight.until(lambda: "COMMAND_LONG" in flight.kinds())
    assert flight.texts() == ["the autopilot has restarted: clock aligned anew"]


def test_slow_messages_are_asked_for_again(udp: tuple[Flight, Any]) -> None:
    """After five seconds the messages that come at their rate are left alone, the others asked for anew."""
    flight, peer = udp
    greet(peer)
    flight.until(lambda: "COMMAND_LONG" in flight.kinds())
    asked_ns = flight.now_ns
    flight.heard.clear()
    while flight.now_ns < asked_ns + 4_900_000_000:
        since_ms = (flight.now_ns - asked_ns) // 1_000_000
        if since_ms % 40 == 0:
            peer.mav.attitude_quaternion_send(30_000 + since_ms, 1, 0, 0, 0, 0, 0, 0)
        if since_ms % 500 == 0:
            peer.mav.vfr_hud_send(20, 20, 0, 0, 100, 0)
        flight.step()
    flight.until(lambda: "COMMAND_LONG" in flight.kinds())
    flight.step()
    asked = {m.param1 for m in flight.heard if m.get_type() == "COMMAND_LONG"}
    assert 31 not in asked  # ATTITUDE_QUATERNION at 25 Hz
    assert {74, 105} <= asked  # VFR_HUD at 2 Hz, HIGHRES_IMU not at all


def test_other_systems_do_not_speak_for_the_autopilot(udp: tuple[Flight, Any]) -> None:
    """Telemetry of another vehicle on the same link is passed over."""
    flight, peer = udp
    greet(peer)
    flight.until(lambda: "COMMAND_LONG" in flight.kinds())
    stranger = ardupilotmega.MAVLink(None, srcSystem=9, srcComponent=1)
    packet = stranger.attitude_encode(30_000, 0.5, 0, 0, 0, 0, 0).pack(stranger)
    peer.port.sendto(packet, peer.destination_addr)
    peer.mav.attitude_send(30_000, 0, 0, 0, 0, 0, 0)
    flight.until(lambda: bool(flight.received))
    assert [item for item in flight.received if isinstance(item, AttitudeSample)] == flight.received
    assert len(flight.received) == 1


def test_a_withheld_position_is_not_sent(udp: tuple[Flight, Any]) -> None:
    """A state that may not be sent comes back as an alert."""
    flight, _ = udp
    wrong = NavState(*(getattr(STATE, name) if name != "latitude_deg" else 91.0 for name in NavState.__slots__))
    (alert,) = flight.link.send_position(flight.now_ns, wrong)
    assert alert.text == "position withheld from autopilot: latitude 91.0"


def test_tcp_is_opened_again_when_the_peer_goes() -> None:
    """A peer that closes is told once; when it listens again the link is back and telemetry flows."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        peers: list[socket.socket] = []
        flight = Flight(f"tcp:127.0.0.1:{port}", lambda: None)
        packer = ardupilotmega.MAVLink(None, srcSystem=1, srcComponent=1)
        server.setblocking(False)

        def accepted() -> bool:
            with contextlib.suppress(BlockingIOError):
                peers.append(server.accept()[0])
            return bool(peers)

        for attitudes in (1, 2):
            flight.until(accepted)
            peer = peers.pop()
            peer.sendall(packer.attitude_encode(30_000, 0, 0, 0, 0, 0, 0).pack(packer))
            flight.until(lambda n=attitudes: sum(isinstance(i, AttitudeSample) for i in flight.received) == n)
            assert flight.link.send_position(flight.now_ns, STATE) == []
            peer.settimeout(PATIENCE_S)
            parsed = ardupilotmega.MAVLink(None)
            kinds: set[str] = set()
            while "GPS_INPUT" not in kinds:
                kinds |= {message.get_type() for message in parsed.parse_buffer(peer.recv(4096)) or []}
            peer.close()
            flight.until(lambda n=attitudes: sum("dead" in text for text in flight.texts()) == n)
        assert "autopilot link is back" in flight.texts()
        flight.link.close()


def test_serial_over_a_pseudo_terminal() -> None:
    """A serial port gives and takes the same messages, and its end is told, not raised."""
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    parser = ardupilotmega.MAVLink(None)
    parser.robust_parsing = True
    waiting: list[Any] = []

    def hear() -> Any:
        waiting.extend(parser.parse_buffer(os.read(ours, 4096)) or [])
        return waiting.pop(0) if waiting else None

    flight = Flight(f"{os.ttyname(theirs)},115200", hear)
    flight.step()
    packer = ardupilotmega.MAVLink(None, srcSystem=1, srcComponent=1)
    os.write(ours, packer.heartbeat_encode(1, 3, 0, 0, 4).pack(packer))
    os.write(ours, packer.attitude_encode(30_000, 0, 0, 0, 0, 0, 0).pack(packer))
    flight.until(lambda: any(isinstance(item, AttitudeSample) for item in flight.received))
    flight.link.send_position(flight.now_ns, STATE)
    flight.until(lambda: flight.kinds() >= {"GPS_INPUT", "HEARTBEAT", "COMMAND_LONG"})
    flight.received.clear()
    whole = packer.attitude_encode(30_020, 0, 0, 0, 0, 0, 0).pack(packer)
    for piece in (random.Random(2).randbytes(900), whole[:17], bytes(300), whole[:20], whole[20:]):
        os.write(ours, piece)  # line noise, half a frame, and a whole one in two halves
        flight.step()
    flight.until(lambda: any(isinstance(item, AttitudeSample) for item in flight.received))
    assert [item.quaternion_body_to_ned for item in flight.received if isinstance(item, AttitudeSample)] == [
        (1.0, 0.0, 0.0, 0.0)
    ]
    assert flight.link.port.bad_bytes > 500
    os.close(theirs)
    os.close(ours)
    flight._hear = lambda: None
    flight.until(lambda: any("dead" in text for text in flight.texts()))
    flight.link.close()


def test_a_peer_that_does_not_read_never_blocks() -> None:
    """When the other side stops reading, packets are dropped whole and counted; nothing waits, little is held."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen()
        link = ReopeningLink(f"tcp:127.0.0.1:{server.getsockname()[1]}")
        packet = MavlinkEncoder().gps_input(STATE)
        assert isinstance(packet, bytes)
        now_ns, sent = 0, 0
        while link.dropped_packets < 100:
            now_ns += STEP_NS
            sent += link.send(now_ns, packet)
            assert now_ns < 500_000 * STEP_NS
        peer = server.accept()[0]
        peer.settimeout(PATIENCE_S)
        parser = ardupilotmega.MAVLink(None)
        parser.robust_parsing = True
        heard: list[Any] = []
        while len(heard) < sent:
            now_ns += STEP_NS
            link.receive(now_ns)
            heard += parser.parse_buffer(peer.recv(65536)) or []
        assert {message.get_type() for message in heard} == {"GPS_INPUT"}
        assert MAX_PENDING_BYTES < 10_000
        peer.close()
        link.close()


def test_a_link_that_cannot_be_opened_is_tried_again() -> None:
    """Nobody listening is no error: the link stays dead, drops, and tries again once a second."""
    port = free_port(socket.SOCK_STREAM)
    link = ReopeningLink(f"tcp:127.0.0.1:{port}")
    now_ns = 0
    for _ in range(1000):
        now_ns += RETRY_NS // 100
        link.send(now_ns, b"x")
        link.receive(now_ns)
    assert 5 <= link.opened <= 11
    assert link.dropped_packets > 0
    assert link.last_error
    missing = ReopeningLink("/dev/tty-absent,57600")
    assert missing.send(0, b"x") is False
    assert missing.last_error


@pytest.mark.parametrize(
    "address",
    ["", "udp", "udpout:host", "udpout::14550", "tcp:1.2.3.4:0", "tcp:1.2.3.4:99999", "udpin:h:port", "/dev/ttyACM0",
     "/dev/ttyACM0,", "/dev/ttyACM0,fast", "serial:/dev/ttyACM0:0", "http://1.2.3.4:80"],
)  # fmt: skip
def test_addresses_that_are_none_are_refused(address: str) -> None:
    """An address that cannot be understood is the configuration's mistake, with an example of a right one."""
    with pytest.raises(UserError, match=r"link '"):
        opener(address)
