"""Recorded flights whose story is known: a forged GPS that is left and taken back; never any position."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import (
    AidRecord,
    Alert,
    GpsHealth,
    GpsSample,
    NavState,
    PoseFix,
    PositionSource,
    RejectReason,
    SourceLabel,
)
from gps_denied_onboard.recorder.client import RecorderClient
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, open_flight
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_onboard.recorder.records import MovedRecord, ThumbnailRecord

SECOND_NS = 1_000_000_000
UTC = "2026-04-01T10:15:00Z"
FORGED_S, HONEST_S, GOOD_S, BACK_S, END_S = 40.0, 70.0, 71.0, 81.5, 100.0
EAST_M = 600.0
"""From FORGED_S to HONEST_S the receiver lies this far to the east; it is called good at GOOD_S, taken at BACK_S."""
MakeState = Callable[..., NavState]


def forged_flight(
    root: Path, make_state: MakeState, origin: LocalFrame, shift_m: float = 0.0, believed_s: float | None = None
) -> Path:
    """Fly north at 15 m/s, in use of the GPS from 20 s on; a map fix each second, one refused for its tilt at 50 s.
    At `believed_s` frames together made the fix of then sure enough."""
    flight, client = _opened(root, origin)
    for k in range(int(END_S * 2)):
        t_s = 1.0 + k / 2.0
        at = np.array([shift_m, 15.0 * t_s - 700.0, 400.0])
        _gps(client, t_s, at, origin)
        if k % 2 == 0:
            client.record(MovedRecord(_ns(t_s), k // 2, None))
            _fix(client, t_s, at)
        client.record(_state(make_state, t_s, at))
    client.record(AidRecord(_ns(1.0), "failsafe", (9.0, 0.0, 0.0), (), (), (), 0.1, False, "3D fix"))
    client.record(AidRecord(_ns(20.0), "gps_gate", (0.0, 0.0), (), (1.0, 0.0), (9.0, 9.0), 0.02, True, "agrees"))
    client.record(AidRecord(_ns(BACK_S), "gps_gate", (0.0, 0.0), (), (0.3, 0.4), (9.0, 9.0), 0.01, True, "agrees"))
    for t_s, severity, text in (
        (1.0, 5, "position: 3D fix"), (FORGED_S, 2, "GPS is SPOOFED: jump, position"),
        (FORGED_S, 2, "GPS left, position from companion"), (BACK_S, 5, "GPS taken back: agrees"),
    ):  # fmt: skip
        client.record(Alert(_ns(t_s), severity, text, always=True))
    if believed_s is not None:
        told = "3 frames together: wrong with probability 2.0e-05"
        client.record(AidRecord(_ns(believed_s), "belief", (0.0, 0.0), (1.0, 1.0), (), (), 0.0, True, told))
    client.record(ThumbnailRecord(_ns(50.0), 50, "tilt", _thumbnail()))
    flight.close(flight.flight_id, clean=True)
    return Path(flight.folder)


def blind_flight(root: Path, origin: LocalFrame) -> Path:
    """A minute with pictures and a GPS, but without any position."""
    flight, client = _opened(root, origin)
    for second in range(1, 61):
        client.record(MovedRecord(_ns(second), second, None))
        _gps(client, float(second), np.array([0.0, 15.0 * second, 400.0]), origin, known=False)
    client.record(Alert(_ns(5.0), 2, "NO_ESTIMATE_TIMEOUT"))
    flight.close(flight.flight_id, clean=True)
    return Path(flight.folder)


def _opened(root: Path, origin: LocalFrame):  # type: ignore[no-untyped-def]
    meta = RecordingMeta(
        CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), origin.latitude_deg, origin.longitude_deg, origin.altitude_m, 2.0,
        utc_at_zero=UTC,
    )  # fmt: skip
    flight = open_flight(RecorderConfig(directory=str(root)), meta, BuildInfo({}, "test", "", {}, {}))
    return flight, flight.client("flight")


def _ns(t_s: float) -> int:
    return round(t_s * SECOND_NS)


def _health(t_s: float) -> GpsHealth:
    if t_s < 5.0:
        return GpsHealth.UNKNOWN
    return GpsHealth.SPOOFED if FORGED_S <= t_s < GOOD_S else GpsHealth.STABLE_NON_SPOOFED


def _gps(client: RecorderClient, t_s: float, at: np.ndarray, origin: LocalFrame, known: bool = True) -> None:
    off = EAST_M if FORGED_S <= t_s < HONEST_S else 1.5
    latitude, longitude, altitude = origin.geodetic_from_enu(at + np.array([off, 0.0, 0.0]))
    client.record(GpsSample(_ns(t_s), float(latitude), float(longitude), float(altitude), (15.0, 0.0, 0.0), 3, 11, 1.0))
    if not known:
        told = AidRecord(_ns(t_s), "gps", (0.0, 0.0), (), (), (), 0.0, False, "UNKNOWN: no state to compare with")
    else:
        health = _health(t_s)
        why = ": jump, position" if health is GpsHealth.SPOOFED else ""
        ratio = 40.0 if off > 100.0 else 0.1
        told = AidRecord(
            _ns(t_s), "gps", (0.0, 0.0), (1.0, 1.0), (off, 0.0), (9.0, 9.0), ratio,
            health is GpsHealth.STABLE_NON_SPOOFED, health.value + why,
        )  # fmt: skip
    client.record(told)


def _fix(client: RecorderClient, t_s: float, at: np.ndarray) -> None:
    refused = t_s == 50.0
    numbers = {"inliers": 61.0, "inlier_ratio": 0.57, "tilt_rad": 0.63 if refused else 0.02, "rival": 0.1}
    client.record(
        PoseFix(
            _ns(t_s), not refused, RejectReason.TILT if refused else RejectReason.NONE, at,
            np.diag([1.0, -1.0, -1.0]), np.eye(6) * 4.0, 61, 61,
            2.0, False, numbers, int(t_s),
        )
    )  # fmt: skip
    if not refused:
        client.record(AidRecord(_ns(t_s), "fix", (0.0,), (1.0,), (0.2,), (1.0,), 0.1, True, "fused"))


def _state(make_state: MakeState, t_s: float, at: np.ndarray) -> NavState:
    followed = 20.0 <= t_s < FORGED_S or t_s >= BACK_S
    label = SourceLabel.VISUAL_PROPAGATED if 50.0 <= t_s < 52.0 else SourceLabel.SATELLITE_ANCHORED
    return dataclasses.replace(
        make_state(_ns(t_s), at, label=label),
        gps_health=_health(t_s),
        position_source=PositionSource.GPS if followed else PositionSource.COMPANION,
    )


def _thumbnail() -> str:
    grey = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 255, (90, 160), dtype=np.uint8), (0, 0), 3.0)
    return base64.b64encode(cv2.imencode(".jpg", grey)[1].tobytes()).decode()
