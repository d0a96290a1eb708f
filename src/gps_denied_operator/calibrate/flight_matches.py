"""Reads from a flight's recording what the calibration of the mount needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import AttitudeSample, GpsSample, NavState, PoseFix
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_operator.calibrate.boresight import Look, looks_of_flight

KINDS = ("fix", "attitude", "gps", "navstate")
TYPES: tuple[type, ...] = (PoseFix, AttitudeSample, GpsSample, NavState)


def read_looks(folder: Path, progress: Callable[[int], None]) -> tuple[list[Look], CameraModel]:
    """What a flight says of its camera's mount, and the camera that it was flown with. UserError where it is none."""
    meta = read_meta(folder)
    found: dict[type, list[Any]] = {kind: [] for kind in TYPES}
    for count, message in enumerate(FlightReader(folder).messages(KINDS)):
        found[type(message)].append(message)
        if count % 1000 == 0:
            progress(count)
    fixes, attitudes, gps, states = (sorted(found[kind], key=lambda message: message.t_ns) for kind in TYPES)
    local = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
    return looks_of_flight(fixes, attitudes, gps, states, local, meta.camera.mount), meta.camera
