"""A log's packets sent to a listener on loopback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gps_denied_onboard.autopilot.mavlink.tlog import TlogWriter, send_tlog
from gps_denied_onboard.errors import UserError

SPEED = 1000.0


def packet(number: int, payload: bytes) -> bytes:
    """A MAVLink 2 frame as far as its length tells; the sum is not looked at on the way out."""
    return bytes([0xFD, len(payload), 0, 0, number, 1, 191, 0, 0, 0]) + payload + b"\x00\x00"


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


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A serial port that cannot be opened is named."""
    with TlogWriter(tmp_path / "a.tlog") as log:
        log.write(0, packet(0, b"a"))
    with pytest.raises(UserError, match="no-such-port"):
        send_tlog(tmp_path / "a.tlog", "/dev/no-such-port,115200", SPEED)
