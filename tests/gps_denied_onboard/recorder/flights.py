"""What the recorder's tests share: a recorder in a folder, and messages to record."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import FixType, GpsHealth, ImuSample, NavState, PositionSource, SourceLabel
from gps_denied_onboard.recorder.chain import FlightKey
from gps_denied_onboard.recorder.client import RecorderClient
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, FlightRecorder, open_flight
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_onboard.recorder.records import HeaderRecord, LogRecord
from gps_denied_onboard.recorder.writer import FlightWriter

META = RecordingMeta(CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), 48.0, 37.0, 100.0, 2.0)
ABOARD = BuildInfo({"numpy": "2"}, "test", "", {}, {})
SECOND_NS = 1_000_000_000


def imu(t_ns: int) -> ImuSample:
    rng = random.Random(t_ns)
    return ImuSample(t_ns, (rng.random(), rng.random(), -9.8), (rng.random(), rng.random(), rng.random()))


def bulk(t_ns: int) -> LogRecord:
    """A record of some 3 kB that does not compress well: segments fill quickly."""
    return LogRecord(t_ns, "error", random.Random(t_ns).randbytes(1500).hex(), {})


def navstate(t_ns: int, latitude_deg: float = 48.1) -> NavState:
    covariance = (9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 16.0)
    return NavState(
        t_ns, latitude_deg, 37.1, 900.0, (20.0, 1.0, 0.0), (1.0, 0.0, 0.0, 0.0), covariance, 7.3, 7.3, 0.0, 3.0, 4.0,
        0.5, SourceLabel.SATELLITE_ANCHORED, 200, FixType.FIX_3D, 7, GpsHealth.SPOOFED, PositionSource.COMPANION,
    )  # fmt: skip


def recorder(folder: Path, **settings: Any) -> FlightRecorder:
    """An open recorder with its own thread, under the flight root `folder`."""
    return open_flight(RecorderConfig(directory=str(folder), **settings), META, ABOARD)


class Stepped:
    """A writer that a test drives by its own clock, with one client; `told` is what it says."""

    def __init__(self, folder: Path, slots: int = 1024, **settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        key = FlightKey()
        header = HeaderRecord(0, "test", "", "", {}, "test", "", {}, {}, "", key.public, "")
        self.told: list[tuple[int, str]] = []
        config = RecorderConfig(ring_slots=slots, **settings)
        self.writer = FlightWriter(folder, header, key, config, lambda: 0, lambda *said: self.told.append(said))
        self.client = RecorderClient("flight", slots, checked=True)
        self.writer.add_producer(self.client)

    def close(self, t_ns: int = 10**12) -> None:
        try:
            self.writer.close(t_ns, clean=True)
        finally:
            self.writer.abandon()
