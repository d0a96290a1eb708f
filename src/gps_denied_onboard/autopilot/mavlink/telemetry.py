"""MAVLink telemetry as our messages: units, frames and clocks are converted here and nowhere else; no I/O."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from gps_denied_onboard.autopilot.gps_time import GPS_EPOCH_UNIX_S
from gps_denied_onboard.autopilot.mavlink import gnss_integrity
from gps_denied_onboard.autopilot.mavlink.clock import ClockAlignment
from gps_denied_onboard.geometry.rotations import quaternion_zyx
from gps_denied_onboard.messages import (
    AirspeedSample,
    Alert,
    AttitudeSample,
    BaroSample,
    FixType,
    GpsSample,
    ImuSample,
    RangefinderSample,
    RelocHint,
    Severity,
    TakeoffOrigin,
    Telemetry,
)

STANDARD_GRAVITY_MPS2 = 9.80665
SEA_LEVEL_HPA = 1013.25
CALIBRATION_SAMPLES = 10
SILENT_NS = 1_000_000_000
MAX_RELOC_RADIUS_M = 50_000.0
UNIX_US = 10**15
"""Microseconds above this count from 1970, not from the autopilot's start."""
GPS_MESSAGES = ("GPS_RAW_INT", "GPS2_RAW")
UTC_KNOWN_NS = 1_500_000_000_000_000_000
"""A clock of the autopilot that has never shown as much has not been set."""
GPS_EPOCH_NS = GPS_EPOCH_UNIX_S * 1_000_000_000
"""A clock that was set may be thrown back, by 1024 weeks for one, but not to before this."""
UTC_AGE_NS = 3_000_000_000
INTERFERENCE_AGE_NS = 3_000_000_000
NOWHERE_E7 = 100_000
"""So near to latitude 0 and longitude 0, about a kilometre, is where a filter has it that has no origin yet."""
UNKNOWN_16 = 65535
EKF_POSITION_ABSOLUTE = 16
FACING_DOWN = 25  # MAV_SENSOR_ROTATION_PITCH_270

Received: TypeAlias = Telemetry | Alert


class TelemetryDecoder:
    """Turns parsed pymavlink messages into ours, at most one for each; None for those that say nothing to us.

    `real_gps_instance` is the receiver whose claims are watched (0: GPS_RAW_INT, 1: GPS2_RAW, -1: none), never the one
    that we feed. Where several messages carry the same sensor the best that is alive counts. `malformed` counts
    messages whose numbers cannot be. `last_position` is the autopilot's own estimate, for the start.
    """

    def __init__(self, clock: ClockAlignment, real_gps_instance: int = 0) -> None:
        self._clock = clock
        self.watch_receiver(real_gps_instance)
        self._imu = _Preference("HIGHRES_IMU", "RAW_IMU", "SCALED_IMU2")
        self._attitude = _Preference("ATTITUDE_QUATERNION", "ATTITUDE")
        self._height = _Preference("SCALED_PRESSURE", "VFR_HUD")
        self._barometer = Barometer()
        self._utc: tuple[int, int] | None = None  # (t_ns, UTC ns since 1970) of the newest SYSTEM_TIME
        self._interference: tuple[int, int] | None = None  # (arrival, bits) of the newest GNSS_INTEGRITY
        self._located: bool | None = None  # by EKF_STATUS_REPORT; None: it never came
        self._lost = False  # the autopilot's filter has not had a place yet
        self.malformed = 0
        self.last_position: TakeoffOrigin | None = None
        self._handlers: dict[str, Callable[[Any, int], Received | None]] = {
            "HIGHRES_IMU": self._on_highres_imu,
            "RAW_IMU": self._on_scaled_imu,
            "SCALED_IMU2": self._on_scaled_imu,
            "ATTITUDE_QUATERNION": self._on_attitude_quaternion,
            "ATTITUDE": self._on_attitude,
            "SCALED_PRESSURE": self._on_pressure,
            "GPS_RAW_INT": self._on_gps,
            "GPS2_RAW": self._on_gps,
            gnss_integrity.NAME: self._on_gnss_integrity,
            "GLOBAL_POSITION_INT": self._on_position,
            "EKF_STATUS_REPORT": self._on_filter,
            "DISTANCE_SENSOR": self._on_distance,
            "STATUSTEXT": self._on_text,
            "SYSTEM_TIME": self._on_system_time,
        }

    def watch_receiver(self, instance: int) -> None:
        """From now on the claims of this receiver are watched (-1: of none)."""
        self._gps_id = instance
        self._gps_type = GPS_MESSAGES[instance] if instance >= 0 else ""

    def decode(self, message: Any, now_ns: int) -> list[Received]:
        """Our messages for one parsed MAVLink message that arrived at `now_ns`."""
        kind = message.get_type()
        if kind == "VFR_HUD":
            found = self._on_hud(message, now_ns)
        else:
            handler = self._handlers.get(kind)
            one = handler(message, now_ns) if handler is not None else None
            found = [] if one is None else [one]
        good = [item for item in found if isinstance(item, Alert) or _is_finite(item)]
        self.malformed += len(found) - len(good)
        return good

    def _boot_time(self, boot_ns: int, now_ns: int) -> int:
        return self._clock.time_ns(boot_ns, now_ns)

    def _usec_time(self, time_usec: int, now_ns: int) -> int:
        return now_ns if time_usec == 0 or time_usec >= UNIX_US else self._boot_time(time_usec * 1000, now_ns)

    def _on_highres_imu(self, m: Any, now_ns: int) -> Received | None:
        t_ns = self._usec_time(m.time_usec, now_ns)
        if getattr(m, "id", 0) != 0 or not self._imu.allows(m.get_type(), now_ns):
            return None
        return ImuSample(t_ns, (m.xacc, m.yacc, m.zacc), (m.xgyro, m.ygyro, m.zgyro))

    def _on_scaled_imu(self, m: Any, now_ns: int) -> Received | None:
        raw = m.get_type() == "RAW_IMU"
        t_ns = self._usec_time(m.time_usec, now_ns) if raw else self._boot_time(m.time_boot_ms * 1_000_000, now_ns)
        if not self._imu.allows(m.get_type(), now_ns):
            return None
        scale = STANDARD_GRAVITY_MPS2 / 1000.0
        return ImuSample(
            t_ns,
            (m.xacc * scale, m.yacc * scale, m.zacc * scale),
            (m.xgyro / 1000.0, m.ygyro / 1000.0, m.zgyro / 1000.0),
        )

    def _on_attitude_quaternion(self, m: Any, now_ns: int) -> Received | None:
        t_ns = self._boot_time(m.time_boot_ms * 1_000_000, now_ns)
        norm = math.sqrt(m.q1 * m.q1 + m.q2 * m.q2 + m.q3 * m.q3 + m.q4 * m.q4)
        if not 0.9 < norm < 1.1:
            self.malformed += 1
            return None
        if not self._attitude.allows(m.get_type(), now_ns):
            return None
        return AttitudeSample(t_ns, (m.q1 / norm, m.q2 / norm, m.q3 / norm, m.q4 / norm))

    def _on_attitude(self, m: Any, now_ns: int) -> Received | None:
        t_ns = self._boot_time(m.time_boot_ms * 1_000_000, now_ns)
        if not self._attitude.allows(m.get_type(), now_ns):
            return None
        return AttitudeSample(t_ns, quaternion_zyx(m.yaw, m.pitch, m.roll))

    def _on_hud(self, m: Any, now_ns: int) -> list[Received]:
        """Airspeed, made true with the altitude's air density; and the altitude, where no pressure comes."""
        if not (math.isfinite(m.alt) and -1000.0 <= m.alt <= 20_000.0):
            self.malformed += 1
            return []
        out: list[Received] = []
        if m.airspeed > 0.0 or not math.isfinite(m.airspeed):
            out.append(AirspeedSample(now_ns, m.airspeed * true_per_equivalent_airspeed(m.alt)))
        if not self._lost and self._height.allows("VFR_HUD", now_ns):
            out.append(BaroSample(now_ns, m.alt))
        return out

    def _on_pressure(self, m: Any, now_ns: int) -> Received | None:
        t_ns = self._boot_time(m.time_boot_ms * 1_000_000, now_ns)
        if not 100.0 <= m.press_abs <= 1200.0:
            self.malformed += 1
            return None
        altitude = self._barometer.on_pressure(m.press_abs)
        if altitude is None or not self._height.allows("SCALED_PRESSURE", now_ns):
            return None
        return BaroSample(t_ns, altitude)

    def _on_gps(self, m: Any, now_ns: int) -> Received | None:
        if m.get_type() != self._gps_type:
            return None
        # ArduPilot's time is that of the last fix: without one it stands still, and would look like a restart.
        t_ns = self._usec_time(m.time_usec, now_ns) if m.fix_type >= FixType.FIX_2D else now_ns
        if abs(m.lat) > 900_000_000 or abs(m.lon) > 1_800_000_000:
            self.malformed += 1
            return None
        # A speed without a course is no velocity: zero says that none was told.
        speed, course = (0.0, 0.0) if UNKNOWN_16 in (m.vel, m.cog) else (m.vel / 100.0, math.radians(m.cog / 100.0))
        accuracy = m.h_acc / 1000.0 if m.h_acc else 9999.0
        return GpsSample(
            t_ns,
            m.lat / 1e7,
            m.lon / 1e7,
            m.alt / 1000.0,
            (speed * math.cos(course), speed * math.sin(course), 0.0),
            m.fix_type,
            0 if m.satellites_visible == 255 else m.satellites_visible,
            accuracy,
            self._utc_ns(t_ns, m.time_usec),
            self._interference_at(now_ns),
        )

    def _utc_ns(self, t_ns: int, time_usec: int) -> int:
        """The UTC that is claimed for `t_ns`: by the message, where its time counts from 1970, else by the autopilot,
        whose clock its GPS sets; 0 where it told none lately. A sample may be older than the SYSTEM_TIME before it."""
        if UNIX_US <= time_usec < 2**63 // 1000:
            return time_usec * 1000
        if self._utc is None or abs(t_ns - self._utc[0]) > UTC_AGE_NS:
            return 0
        return self._utc[1] + t_ns - self._utc[0]

    def _on_gnss_integrity(self, m: Any, now_ns: int) -> Received | None:
        if m.id == self._gps_id:
            self._interference = (now_ns, gnss_integrity.interference_of(m.jamming_state, m.spoofing_state))
        return None

    def _interference_at(self, now_ns: int) -> int:
        if self._interference is None or now_ns - self._interference[0] > INTERFERENCE_AGE_NS:
            return 0
        return self._interference[1]

    def _on_system_time(self, m: Any, now_ns: int) -> Received | None:
        t_ns = self._boot_time(m.time_boot_ms * 1_000_000, now_ns)
        utc_ns = m.time_unix_usec * 1000
        least_ns = UTC_KNOWN_NS if self._utc is None else GPS_EPOCH_NS
        self._utc = (t_ns, utc_ns) if least_ns <= utc_ns < 2**63 else None
        return None

    def _on_position(self, m: Any, now_ns: int) -> Received | None:
        t_ns = self._boot_time(m.time_boot_ms * 1_000_000, now_ns)
        nowhere = max(abs(m.lat), abs(m.lon)) < NOWHERE_E7
        if self._located is None:
            self._lost = nowhere and self.last_position is None
        if not nowhere and not self._lost and abs(m.lat) <= 900_000_000 and abs(m.lon) <= 1_800_000_000:
            if self._located:
                self._barometer.on_altitude(m.alt / 1000.0)
            velocity = (m.vx / 100.0, m.vy / 100.0, m.vz / 100.0)
            self.last_position = TakeoffOrigin(t_ns, m.lat / 1e7, m.lon / 1e7, m.alt / 1000.0, 5.0, 5.0, velocity)
        return None

    def _on_filter(self, m: Any, now_ns: int) -> Received | None:
        """Whether the autopilot's filter has a place on earth; until then its position and altitude are left-overs."""
        del now_ns
        self._located = bool(m.flags & EKF_POSITION_ABSOLUTE)
        self._lost = not self._located and (self._lost or self.last_position is None)
        return None

    def _on_distance(self, m: Any, now_ns: int) -> Received | None:
        t_ns = self._boot_time(m.time_boot_ms * 1_000_000, now_ns)
        if m.orientation != FACING_DOWN or not m.min_distance < m.current_distance < m.max_distance:
            return None
        return RangefinderSample(t_ns, m.current_distance / 100.0)

    def _on_text(self, m: Any, now_ns: int) -> Received | None:
        return parse_reloc(str(m.text), now_ns, (m.get_srcSystem(), m.get_srcComponent()))


def parse_reloc(text: str, now_ns: int, sender: tuple[int, int] = (0, 0)) -> RelocHint | Alert | None:
    """The operator's `RELOC:<lat>,<lon>,<radius_m>` with the sender's MAVLink ids (system, component); an Alert that
    says what is wrong with it; None for other texts."""
    word, colon, rest = text.strip("\0 ").partition(":")
    if word != "RELOC" or not colon:
        return None
    who = f", from {sender[0]}/{sender[1]}" if any(sender) else ""
    try:
        latitude, longitude, radius_m = (float(part) for part in rest.split(","))
    except ValueError:
        return Alert(now_ns, Severity.WARNING, f"RELOC refused: want RELOC:<lat>,<lon>,<radius_m>{who}")
    if not (abs(latitude) <= 85.0 and abs(longitude) <= 180.0):
        return Alert(now_ns, Severity.WARNING, f"RELOC refused: no such latitude and longitude{who}")
    if not 1.0 <= radius_m <= MAX_RELOC_RADIUS_M:
        return Alert(now_ns, Severity.WARNING, f"RELOC refused: radius must be 1 to {MAX_RELOC_RADIUS_M:.0f} m{who}")
    return RelocHint(now_ns, latitude, longitude, radius_m, *sender)


class Barometer:
    """Altitude above mean sea level from static pressure, calibrated once on the ground.

    From when the autopilot knows where it is (EKF_STATUS_REPORT, GLOBAL_POSITION_INT), CALIBRATION_SAMPLES pressures
    are compared with its altitude; after that only pressure counts, so that no false GPS can move it. Standard
    atmosphere (ICAO 7488/3): 44330.8 m, exponent 0.190263.
    """

    def __init__(self) -> None:
        self._altitude_m: float | None = None
        self._offsets_m: list[float] = []
        self._offset_m: float | None = None

    def on_altitude(self, altitude_amsl_m: float) -> None:
        """The autopilot's altitude; counts until the calibration is done."""
        self._altitude_m = altitude_amsl_m

    def on_pressure(self, pressure_hpa: float) -> float | None:
        """Altitude in m for a pressure; None while there is nothing to calibrate with."""
        standard_m = 44330.8 * (1.0 - float((pressure_hpa / SEA_LEVEL_HPA) ** 0.190263))
        if self._offset_m is None:
            if self._altitude_m is None:
                return None
            self._offsets_m.append(self._altitude_m - standard_m)
            middle = sorted(self._offsets_m)[len(self._offsets_m) // 2]
            if len(self._offsets_m) >= CALIBRATION_SAMPLES:
                self._offset_m = middle
            return standard_m + middle
        return standard_m + self._offset_m


class _Preference:
    """Which of several message types, best first, speaks for a sensor: the best that was heard within SILENT_NS."""

    def __init__(self, *kinds: str) -> None:
        self._rank = {kind: k for k, kind in enumerate(kinds)}
        self._current = len(kinds)
        self._heard_ns = 0

    def allows(self, kind: str, now_ns: int) -> bool:
        rank = self._rank[kind]
        if rank > self._current and now_ns - self._heard_ns < SILENT_NS:
            return False
        self._current, self._heard_ns = rank, now_ns
        return True


def true_per_equivalent_airspeed(altitude_amsl_m: float) -> float:
    """True over equivalent airspeed in the standard atmosphere, the root of sea level's density over this one's."""
    density_ratio = max(1.0 - 2.25577e-5 * min(max(altitude_amsl_m, -500.0), 11_000.0), 0.1) ** 4.25588
    return float(1.0 / math.sqrt(density_ratio))


def _is_finite(message: Telemetry) -> bool:
    for name in message.__slots__:
        value = getattr(message, name)
        values = value if isinstance(value, tuple) else (value,)
        if not all(v is None or math.isfinite(v) for v in values):
            return False
    return True
