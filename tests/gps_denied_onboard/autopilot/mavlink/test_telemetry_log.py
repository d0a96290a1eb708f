"""The telemetry log reads in pymavlink: every packet, with the time of its message."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from pymavlink import mavutil

from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.tlog import TlogWriter
from gps_denied_onboard.messages import Alert, NavState, SourceLabel

UNIX_NS = 1_751_349_600_000_000_000
STEP_NS = 125_000_000


def state(k: int) -> NavState:
    return NavState(
        10_000_000_000 + k * STEP_NS, 48.0 + k * 1e-6, 37.0, 800.0, (10.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9,
        3.0, 3.0, 0.0, 2.0, 3.0, 0.3, SourceLabel.SATELLITE_ANCHORED, 0, 3, k,
    )  # fmt: skip


def write(path: Path, unix_ns: int | None) -> bytes:
    encoder = MavlinkEncoder(unix_ns_at_zero=unix_ns)
    with TlogWriter(path, unix_ns) as log:
        for k in range(400):
            packet = encoder.gps_input(state(k))
            assert isinstance(packet, bytes)
            log.write(state(k).t_ns, packet)
            if k % 8 == 0:
                log.write(state(k).t_ns, encoder.heartbeat())
                for part in encoder.statustext(Alert(state(k).t_ns, 5, "a text of more than fifty bytes" * 3)):
                    log.write(state(k).t_ns, part)
    return path.read_bytes()


@pytest.mark.parametrize("unix_ns", [None, UNIX_NS])
def test_pymavlink_reads_every_message(unix_ns: int | None, tmp_path: Path) -> None:
    """All messages decode without bad data; GPS_INPUT never pauses for more than 220 ms of log time."""
    write(tmp_path / "flight.tlog", unix_ns)
    log = mavutil.mavlink_connection(str(tmp_path / "flight.tlog"))
    times_s, kinds = [], []
    while (message := log.recv_match()) is not None:
        kinds.append(message.get_type())
        if kinds[-1] == "GPS_INPUT":
            times_s.append(message._timestamp)
    log.close()
    assert kinds.count("GPS_INPUT") == 400
    assert kinds.count("HEARTBEAT") == 50
    assert kinds.count("STATUSTEXT") == 100
    assert "BAD_DATA" not in kinds
    assert times_s[0] == pytest.approx(10.0 + (unix_ns or 0) / 1e9, abs=1e-5)
    assert max(b - a for a, b in itertools.pairwise(times_s)) < 0.220


def test_same_messages_same_bytes(tmp_path: Path) -> None:
    """The log of the same messages is the same byte for byte."""
    assert write(tmp_path / "a.tlog", UNIX_NS) == write(tmp_path / "b.tlog", UNIX_NS)
