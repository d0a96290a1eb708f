"""iNav's answers as our messages: units and frames are converted here and nowhere else; no I/O.

iNav's body is forward, left, up (fc_msp.c writes its accelerations in 1/512 g and its rates in whole degrees a second
as they are); ours is forward, right, down. Its pitch counts nose down as positive. Its yaw is cut off to whole degrees:
the middle of the degree is taken. Nothing of it carries a time: what arrives is of `now_ns`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

from gps_denied_onboard.autopilot.mavlink.telemetry import STANDARD_GRAVITY_MPS2, Received, true_per_equivalent_airspeed
from gps_denied_onboard.geometry.rotations import quaternion_zyx
from gps_denied_onboard.messages import AirspeedSample, AttitudeSample, BaroSample, ImuSample

RAW_IMU = 102
RAW_GPS = 106
ATTITUDE = 108
ALTITUDE = 109
WAYPOINT = 118
SENSOR_STATUS = 151
INAV_STATUS = 0x2000
INAV_AIR_SPEED = 0x2009
HERE = 255
"""The waypoint number under which MSP_WP answers with the autopilot's own position."""

_RAW_IMU = struct.Struct("<9h")
_RAW_GPS = struct.Struct("<BBiiHHHH")
_ATTITUDE = struct.Struct("<hhh")
_ALTITUDE = struct.Struct("<ihi")
_WAYPOINT = struct.Struct("<BBiiihhhB")
_AIR_SPEED = struct.Struct("<I")
_SENSOR_STATUS = struct.Struct("<9B")
_STATUS = struct.Struct("<HHHHBI")
_ARMED = 1 << 2
GPS_OK = 1


class InavDecoder:
    """Answers in, at most one message out for each. `malformed` counts answers that are too short or cannot be.

    `gps_status` is MSP_SENSOR_STATUS's word on the GPS that we are (1: in use; lost: 0, and 2 from the fifth loss since
    it was started on), `echo` its MSP_RAW_GPS (fix
    type, latitude and longitude in deg), `here` the place of its own estimate, `armed` from MSP2_INAV_STATUS; all None
    before they came. The altitude counts from where the barometer was started, `ground_altitude_m`.
    """

    def __init__(self, ground_altitude_m: float) -> None:
        self._ground_altitude_m = ground_altitude_m
        self._altitude_m = ground_altitude_m
        self.malformed = 0
        self.gps_status: int | None = None
        self.echo: tuple[int, float, float] | None = None
        self.here: tuple[float, float] | None = None
        self.armed: bool | None = None
        self._handlers: dict[int, tuple[struct.Struct, Callable[[tuple[int, ...], int], Received | None]]] = {
            RAW_IMU: (_RAW_IMU, self._on_imu),
            RAW_GPS: (_RAW_GPS, self._on_gps),
            ATTITUDE: (_ATTITUDE, self._on_attitude),
            ALTITUDE: (_ALTITUDE, self._on_altitude),
            WAYPOINT: (_WAYPOINT, self._on_waypoint),
            SENSOR_STATUS: (_SENSOR_STATUS, self._on_sensors),
            INAV_STATUS: (_STATUS, self._on_status),
            INAV_AIR_SPEED: (_AIR_SPEED, self._on_airspeed),
        }

    def decode(self, function: int, payload: bytes, now_ns: int) -> Received | None:
        """Our message for an answer that arrived at `now_ns`; None where it holds none."""
        layout, handler = self._handlers.get(function, (None, None))
        if layout is None or handler is None:
            return None
        if len(payload) < layout.size:
            self.malformed += 1
            return None
        return handler(layout.unpack_from(payload), now_ns)

    def _on_imu(self, v: tuple[int, ...], now_ns: int) -> Received | None:
        forward, left, up = (a * STANDARD_GRAVITY_MPS2 / 512.0 for a in v[:3])
        roll, pitch, yaw = (math.radians(w) for w in v[3:6])
        return ImuSample(now_ns, (forward, -left, -up), (roll, -pitch, -yaw))

    def _on_attitude(self, v: tuple[int, ...], now_ns: int) -> Received | None:
        roll, pitch, yaw = math.radians(v[0] / 10.0), math.radians(-v[1] / 10.0), math.radians(v[2] + 0.5)
        if abs(v[0]) > 1800 or abs(v[1]) > 900 or not -360 <= v[2] <= 360:
            self.malformed += 1
            return None
        return AttitudeSample(now_ns, quaternion_zyx(yaw, pitch, roll))

    def _on_altitude(self, v: tuple[int, ...], now_ns: int) -> Received | None:
        altitude_m = self._ground_altitude_m + v[2] / 100.0
        if not -1000.0 <= altitude_m <= 20_000.0:
            self.malformed += 1
            return None
        self._altitude_m = altitude_m
        return BaroSample(now_ns, altitude_m)

    def _on_airspeed(self, v: tuple[int, ...], now_ns: int) -> Received | None:
        if v[0] == 0:
            return None  # no pitot tube
        if v[0] > 20_000:
            self.malformed += 1
            return None
        return AirspeedSample(now_ns, v[0] / 100.0 * true_per_equivalent_airspeed(self._altitude_m))

    def _on_gps(self, v: tuple[int, ...], _now_ns: int) -> Received | None:
        self.echo = (v[0], v[2] / 1e7, v[3] / 1e7)
        return None

    def _on_waypoint(self, v: tuple[int, ...], _now_ns: int) -> Received | None:
        if v[0] == HERE and abs(v[2]) <= 900_000_000 and abs(v[3]) <= 1_800_000_000:
            self.here = (v[2] / 1e7, v[3] / 1e7) if (v[2], v[3]) != (0, 0) else None
        return None

    def _on_sensors(self, v: tuple[int, ...], _now_ns: int) -> Received | None:
        self.gps_status = v[5]
        return None

    def _on_status(self, v: tuple[int, ...], _now_ns: int) -> Received | None:
        self.armed = bool(v[5] & _ARMED)
        return None
