"""A log's packets sent to a listener on loopback."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from gps_denied_onboard.autopilot.mavlink.tlog import TlogWriter, own_stream, send_tlog
from gps_denied_onboard.errors import UserError

SPEED = 1000.0


def packet(number: int, payload: bytes) -> bytes:
    """A MAVLink 2 frame as far as its length tells; the sum is not looked at on the way out."""
    return framed(number, payload, 1, 191, 0)


def framed(number: int, payload: bytes, system: int, component: int, message: int) -> bytes:
    head = bytes([0xFD, len(payload), 0, 0, number, system, component]) + message.to_bytes(3, "little")
    return head + payload + b"\x00\x00"


def log_of(path: Path, *entries: tuple[int, bytes]) -> Path:
    path.write_bytes(b"".join(struct.pack(">Q", time_us) + data for time_us, data in entries))
    return path


GPS, BEAT, TEXT, COMMAND, SETTING = 232, 0, 253, 76, 23
OLD = bytes([0xFE, 3, 0, 255, 190, 0]) + b"abc\0\0"


def test_only_the_sender_of_positions_is_heard(tmp_path: Path) -> None:
    """Commands and settings of anyone, other systems' packets and MAVLink 1 stay behind, and that is told."""
    kept = [framed(0, b"p", 1, 191, GPS), framed(1, b"h", 1, 191, BEAT), framed(2, b"t", 1, 191, TEXT)]
    others = [framed(3, b"c", 1, 191, COMMAND), framed(4, b"s", 1, 191, SETTING), framed(5, b"h", 1, 1, BEAT),
              framed(6, b"a", 255, 190, COMMAND), framed(7, b"p", 255, 190, GPS), OLD]  # fmt: skip
    path = log_of(tmp_path / "a.tlog", *((k, p) for k, p in enumerate([*kept, *others])))
    packets, notes = own_stream(path)
    assert [packet for _, packet in packets] == kept
    assert "6 of 9 packets" in notes[0]


def test_of_two_aircraft_one_is_sent(tmp_path: Path) -> None:
    """A ground station's log of two companions: the positions of both on one link would be one aircraft that jumps."""
    first = [framed(k, b"p", 1, 191, GPS) for k in range(3)]
    second = [framed(k, b"q", 2, 191, GPS) for k in range(2)]
    path = log_of(tmp_path / "a.tlog", *((k, p) for k, p in enumerate([*second, *first])))
    packets, notes = own_stream(path)
    assert [packet for _, packet in packets] == first
    assert "positions of 1/191 are sent; 2/191 sent some, too" in notes[1]


def test_positions_of_a_ground_station_are_not_sent(tmp_path: Path) -> None:
    """What a person injects as GPS_INPUT from a ground station never goes to a flight controller."""
    beat = framed(0, bytes([0, 0, 0, 0, 6, 8, 0, 4, 3]), 255, 190, BEAT)
    path = log_of(tmp_path / "a.tlog", (0, beat), (1, framed(1, b"p", 255, 190, GPS)))
    with pytest.raises(UserError, match="another station's log"):
        own_stream(path)


@pytest.mark.parametrize("stamps", [(0, 1_784_000_000_000_000), (10**15, 5), (10**15, 10**15 + 3_600_000_000)])
def test_a_clock_that_jumps_costs_no_time(stamps: tuple[int, int], tmp_path: Path) -> None:
    """A first stamp of 0, a clock set back and an hour's gap are left out, and told."""
    path = log_of(tmp_path / "a.tlog", (stamps[0], packet(0, b"a")), (stamps[1], packet(1, b"b")),
                  (stamps[1] + 200_000, packet(2, b"c")))  # fmt: skip
    packets, notes = own_stream(path)
    assert [time_us for time_us, _ in packets] == [0, 0, 200_000]
    assert "1 times its clock" in notes[0]


@pytest.mark.parametrize("name", ["jump.tlog", "qgc.tlog"])
def test_a_ground_stations_log_is_refused(name: str, case_file: Callable[[str], Path]) -> None:
    """A log with a forced arming and no position of ours never reaches a flight controller."""
    with pytest.raises(UserError, match="another station's log"):
        own_stream(case_file(f"15-tlog-first-stamp-zero/{name}"))


def test_every_packet_arrives_whole_and_in_order(tmp_path: Path) -> None:
    """What was written to the log is what the listener hears, one datagram a packet."""
    packets = [packet(k, bytes(range(k))) for k in range(30)]
    with TlogWriter(tmp_path / "a.tlog") as log:
        for number, one in enumerate(packets):
            log.write(number * 100_000_000, one)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5.0)
        assert send_tlog(tmp_path / "a.tlog", f"udpout:127.0.0.1:{listener.getsockname()[1]}", SPEED) == 30
        assert [listener.recv(400) for _ in packets] == packets


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"not a log at all", "no MAVLink 2 packet"), (bytes(8) + packet(0, b"abc")[:-1], "ends inside a packet")],
)
def test_what_is_no_log_is_refused_before_anything_is_sent(tmp_path: Path, content: bytes, said: str) -> None:
    """A torn log or another file is the user's mistake, told in a sentence."""
    (tmp_path / "x.tlog").write_bytes(content)
    with pytest.raises(UserError, match=said):
        send_tlog(tmp_path / "x.tlog", "udpout:127.0.0.1:9", SPEED)


@pytest.mark.parametrize("end", [bytes(8) + packet(9, b"abcdef")[:-3], bytes(5000), b"\xff" * 37])
def test_a_log_that_was_never_closed_is_sent_up_to_its_end(tmp_path: Path, end: bytes) -> None:
    """A piece of a packet, or the zeros of a file that grew before a power cut, are left out and told."""
    with TlogWriter(tmp_path / "a.tlog") as log:
        for number in range(3):
            log.write(number * 100_000_000, packet(number, b"abc"))
    whole = (tmp_path / "a.tlog").read_bytes()
    (tmp_path / "a.tlog").write_bytes(whole + end)
    packets, notes = own_stream(tmp_path / "a.tlog")
    assert len(packets) == 3
    assert f"its last {len(end)} bytes are no whole packet" in notes[0]
    (tmp_path / "a.tlog").write_bytes(whole + b"\x55" * 500 + whole)
    with pytest.raises(UserError, match="no MAVLink 2 packet"):
        own_stream(tmp_path / "a.tlog")


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A serial port that cannot be opened is named."""
    with TlogWriter(tmp_path / "a.tlog") as log:
        log.write(0, packet(0, b"a"))
    with pytest.raises(UserError, match="no-such-port"):
        send_tlog(tmp_path / "a.tlog", "/dev/no-such-port,115200", SPEED)
