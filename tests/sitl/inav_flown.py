"""A simulated flight as it goes by in real time: on the ground, up to height, then along its route."""

from __future__ import annotations

import math
import time
from pathlib import Path

from gps_denied_onboard.autopilot.mavlink.telemetry import true_per_equivalent_airspeed
from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.recorder.meta import FRAMES_FOLDER, read_meta
from gps_denied_sim.recording import FlyRequest, Prepared, make_recording, prepare
from gps_denied_sim.vehicle.route import CRUISE_MPS

from . import inav_xplane as xplane

CLIMB_MPS = 20.0
GRAVITY_MPS2 = 9.80665
FILTER_ROWS = 2
"""Each way, at 100 Hz: no aircraft turns faster, and iNav is asked for its IMU 50 times a second."""


class Flown:
    """The flight of a request; its recording (pictures, map, camera) is made in `folder` unless it is there.

    The aircraft stands on the ground under the route's start until `take_off`, climbs there, level, and is on its
    route from `start_s` (monotonic) on.
    """

    def __init__(self, request: FlyRequest, folder: Path) -> None:
        self.prepared: Prepared = prepare(request)
        self.folder = folder
        if not folder.exists():
            make_recording(request, folder, lambda *_: None)
        self.pictures = sorted((folder / FRAMES_FOLDER).glob("*.jpg"))
        assert len(self.pictures) == len(self.prepared.frame_times_s), f"{folder} is another flight"
        self.meta = read_meta(folder)
        self.ground_altitude_m = self.meta.origin_altitude_m
        truth = self.prepared.flight
        self._first_up_m = self._geodetic(truth.position_enu_m[0])[2] - self.ground_altitude_m
        self.climb_s = self._first_up_m / CLIMB_MPS
        self.start_s = math.inf

    def take_off(self) -> None:
        """Begin the climb now."""
        self.start_s = time.monotonic() + self.climb_s

    def geodetic_at(self, now_s: float) -> tuple[float, float, float]:
        """The true latitude, longitude (deg) and altitude (m) at a time of the monotonic clock."""
        position, _ = self.prepared.flight.at(max(now_s - self.start_s, 0.0))
        latitude_deg, longitude_deg, altitude_m = self._geodetic(position)
        missing_m = min(max(self.start_s - now_s, 0.0) * CLIMB_MPS, self._first_up_m)
        return latitude_deg, longitude_deg, altitude_m - missing_m

    def state_at(self, now_s: float) -> xplane.State:
        """What the aircraft's sensors feel."""
        flight = self.prepared.flight
        altitude_m = self.geodetic_at(now_s)[2]
        height_m = altitude_m - self.ground_altitude_m
        if now_s < self.start_s:
            rising = now_s > self.start_s - self.climb_s
            level = (0.0, 0.0, _attitude(flight.rotation_body_to_enu[0])[2])
            airspeed_mps = CRUISE_MPS if rising else 0.0
            return xplane.State(altitude_m, height_m, level, (0.0, 0.0, -GRAVITY_MPS2), (0.0, 0.0, 0.0), airspeed_mps)
        row = min(round((now_s - self.start_s) / flight.dt_s), len(flight.position_enu_m) - 1)
        window = slice(max(row - FILTER_ROWS, 0), row + FILTER_ROWS + 1)
        return xplane.State(
            altitude_m,
            height_m,
            _attitude(flight.rotation_body_to_enu[row]),
            _triple(flight.specific_force_body_mps2[window].mean(axis=0)),
            _triple(flight.rate_body_radps[window].mean(axis=0)),
            float(flight.airspeed_mps[row]) / true_per_equivalent_airspeed(altitude_m),
        )

    def _geodetic(self, position_enu_m: FloatArray) -> tuple[float, float, float]:
        return _triple(self.prepared.frame.geodetic_from_enu(position_enu_m))


def _attitude(rotation_body_to_enu: FloatArray) -> tuple[float, float, float]:
    """Roll, pitch and yaw in rad."""
    ned = ROTATION_NED_TO_ENU.T @ rotation_body_to_enu
    return (
        math.atan2(float(ned[2, 1]), float(ned[2, 2])),
        -math.asin(min(max(float(ned[2, 0]), -1.0), 1.0)),
        math.atan2(float(ned[1, 0]), float(ned[0, 0])),
    )


def _triple(v: FloatArray) -> tuple[float, float, float]:
    return (float(v[0]), float(v[1]), float(v[2]))
