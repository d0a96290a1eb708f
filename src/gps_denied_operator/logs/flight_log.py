"""What every reader of logs yields, and the one place where its values are checked and its clock is made steady."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from gps_denied_onboard.autopilot.mavlink.telemetry import STANDARD_GRAVITY_MPS2
from gps_denied_onboard.messages import (
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    FixType,
    GpsSample,
    ImuSample,
    RangefinderSample,
    TakeoffOrigin,
    Telemetry,
)

LATE_NS = 1_000_000_000
"""A time that runs back by less is a message that was written late; by more, a clock that was started again."""
AHEAD_NS = 3_600_000_000_000
"""A step ahead of more than an hour is a clock that was set, not a pause."""
PAUSE_NS = 1_000_000_000
HDOP_M = 3.0
"""Horizontal accuracy in m a unit of HDOP: an ordinary receiver's range error."""
UNKNOWN_ACCURACY_M = 9999.0
SPEED_MPS_MAX = 400.0
NOWHERE = (0.0, 0.0)
CALIBRATION_SAMPLES = 10
FED_GPS = 14
"""ArduPilot's type of a receiver that another computer feeds by MAVLink, as a companion's position is."""
GPS_TYPE_PARAMETERS = {"GPS_TYPE": 0, "GPS1_TYPE": 0, "GPS_TYPE2": 1, "GPS2_TYPE": 1}


class LogKind(StrEnum):
    """Formats that are read."""

    DATAFLASH = "ArduPilot dataflash"
    TELEMETRY_LOG = "MAVLink telemetry log"
    ULOG = "PX4 ULog"
    BLACKBOX_CSV = "iNav blackbox, decoded"


@dataclass(frozen=True, slots=True)
class LogText:
    """A line that the autopilot wrote for people."""

    t_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class FlightLog:
    """A log: `t_ns` counts from its first message. `messages` are in the order of time, and so is `camera_ns`: when
    pictures were taken, or asked for where nothing tells that.

    `breaks_ns` are times at which the clock was started again or a part is missing: nothing goes on across them.
    `unix_ns_at_zero` is the UTC of t_ns = 0 by the log's own receiver, None where it never told. `own_origin` is the
    autopilot's own first position. `notes` are sentences about what could not be used.
    """

    path: Path
    kind: LogKind
    duration_ns: int
    messages: tuple[Telemetry, ...]
    camera_ns: tuple[int, ...] = ()
    texts: tuple[LogText, ...] = ()
    breaks_ns: tuple[int, ...] = ()
    unix_ns_at_zero: int | None = None
    own_origin: TakeoffOrigin | None = None
    notes: tuple[str, ...] = ()

    def rate_hz(self, kind: type[Telemetry]) -> float:
        """How often a message comes, by the median of its steps; 0 for fewer than two."""
        times = np.array([m.t_ns for m in self.messages if type(m) is kind])
        steps = np.diff(times)[np.diff(times) > 0] if len(times) > 1 else np.array([])
        return 1e9 / float(np.median(steps)) if len(steps) else 0.0


class Receivers:
    """Which of an ArduPilot's receivers is a real one: what a companion feeds is its own claim, and no truth."""

    def __init__(self) -> None:
        self._types: dict[int, int] = {}
        self.instance = 0

    def parameter(self, name: str, value: float) -> bool:
        """Hear of a parameter; True where another receiver is the one to take from now on."""
        if name not in GPS_TYPE_PARAMETERS or not math.isfinite(value):
            return False
        self._types[GPS_TYPE_PARAMETERS[name]] = round(value)
        before = self.instance
        self.instance = int(self._types.get(0) == FED_GPS and self._types.get(1, 0) not in (0, FED_GPS))
        return self.instance != before

    def sentence(self) -> str:
        """What is to be said of the choice; empty where there was none."""
        if self._types.get(self.instance) == FED_GPS:
            return (
                "its only receiver is fed by another computer (GPS1_TYPE 14): that computer's claim is taken for the "
                "truth, so do not score the computer by it."
            )
        return "" if self.instance == 0 else (
            "its first receiver is fed by another computer (GPS1_TYPE 14): the second one was taken."
        )  # fmt: skip


class LogBuilder:
    """Takes a log's values as they come, with the log's own times in ns, and makes a FlightLog of those that can be.

    Call `clock` with each message's time before its values are added; `sorted_times` is for formats whose messages
    come topic by topic, where a step back is only another topic.
    """

    def __init__(self, path: Path, kind: LogKind, *, sorted_times: bool = True) -> None:
        self._path, self._kind, self._sorted = path, kind, sorted_times
        self._zero_ns: int | None = None
        self._newest_ns = 0  # on the log's own clock
        self._shift_ns = 0  # from the log's own clock to t_ns
        self.messages: list[Telemetry] = []
        self.texts: list[LogText] = []
        self.breaks_ns: list[int] = []
        self.own_origin: TakeoffOrigin | None = None
        self._notes: dict[str, None] = {}
        self._refused: Counter[str] = Counter()
        self._taken_ns: list[int] = []
        self._triggers_ns: list[int] = []
        self._armed = False
        self._armings = 0
        self._restarts = 0
        self._end_ns = 0
        self._utc: list[tuple[int, int]] = []
        self._baro_is_relative = False

    def note(self, sentence: str) -> None:
        """Say something of the log once."""
        self._notes[sentence] = None

    def refuse(self, what: str) -> None:
        """Count a value that cannot be."""
        self._refused[what] += 1

    def clock(self, log_ns: int) -> int:
        """t_ns of a time of the log's own clock; notes where that clock was started again."""
        if self._zero_ns is None:
            self._zero_ns, self._newest_ns, self._shift_ns = log_ns, log_ns, -log_ns
        if self._sorted and not self._newest_ns - LATE_NS <= log_ns <= self._newest_ns + AHEAD_NS:
            self._restart(log_ns)
        self._newest_ns = max(self._newest_ns, log_ns)
        t_ns = max(log_ns + self._shift_ns, 0)
        self._end_ns = max(self._end_ns, t_ns)
        return t_ns

    def beside(self, log_ns: int) -> int | None:
        """t_ns of a time in a table beside the log, read after it; None where the log itself has nothing."""
        t_ns = log_ns + self._shift_ns
        return t_ns if 0 <= t_ns <= self._end_ns else None

    def begin(self, log_ns: int) -> None:
        """Fix the time of the first message, where the format tells it."""
        self._zero_ns, self._newest_ns, self._shift_ns = log_ns, log_ns, -log_ns

    def _restart(self, log_ns: int) -> None:
        """What follows begins a second after what came: on a clock of its own."""
        self._restarts += 1
        begin_ns = self._end_ns + PAUSE_NS
        self.breaks_ns.append(begin_ns)
        self._shift_ns, self._newest_ns = begin_ns - log_ns, log_ns

    def restarted(self, log_ns: int) -> None:
        """The clock was started again at this time, on which the times that follow are already."""
        self._restarts += 1
        self.breaks_ns.append(self.clock(log_ns))

    def break_here(self, t_ns: int) -> None:
        """A part of the log is missing before `t_ns`."""
        self.breaks_ns.append(t_ns)

    def imu(self, t_ns: int, accel_mps2: tuple[float, ...], gyro_radps: tuple[float, ...]) -> None:
        """Specific force and angular rate, body FRD."""
        values = [float(v) for v in (*accel_mps2, *gyro_radps)]
        if not all(math.isfinite(v) and abs(v) < 1e5 for v in values):
            return self.refuse("IMU samples")
        a, g = values[:3], values[3:]
        return self.messages.append(ImuSample(t_ns, (a[0], a[1], a[2]), (g[0], g[1], g[2])))

    def attitude(self, t_ns: int, quaternion: tuple[float, ...]) -> None:
        """Body to NED, (w, x, y, z), of any length near one."""
        length = math.sqrt(sum(float(q) * float(q) for q in quaternion))
        if not 0.9 < length < 1.1:  # False for NaN
            return self.refuse("attitudes")
        w, x, y, z = (float(q) / length for q in quaternion)
        return self.messages.append(AttitudeSample(t_ns, (w, x, y, z)))

    def airspeed(self, t_ns: int, true_mps: float) -> None:
        """True airspeed; zero and less say that there is no sensor."""
        if not math.isfinite(true_mps) or true_mps > SPEED_MPS_MAX:
            return self.refuse("airspeeds")
        if true_mps > 0.0:
            self.messages.append(AirspeedSample(t_ns, float(true_mps)))
        return None

    def baro(self, t_ns: int, altitude_m: float, *, relative: bool) -> None:
        """Altitude by pressure; `relative` to where the sensor was started, or by the standard atmosphere: it is set to
        the receiver's altitude once, at its first good fix."""
        if not abs(altitude_m) < 1e7:  # its unit is looked at when all are there
            return self.refuse("barometric altitudes")
        self._baro_is_relative |= relative
        return self.messages.append(BaroSample(t_ns, float(altitude_m)))

    def rangefinder(self, t_ns: int, distance_m: float) -> None:
        """Distance to the ground below."""
        if not 0.0 < distance_m < 1000.0:
            return self.refuse("distances to the ground")
        return self.messages.append(RangefinderSample(t_ns, float(distance_m)))

    def drop_gps(self) -> None:
        """Forget what was taken of a receiver: it is not the one."""
        self.messages = [m for m in self.messages if not isinstance(m, GpsSample)]
        self.own_origin = None
        self._utc.clear()

    def gps(self, sample: GpsSample) -> None:
        """A receiver's claim. Numbers that cannot be are refused, a place of (0, 0) with a fix too; without one it is
        kept."""
        place = (sample.latitude_deg, sample.longitude_deg, sample.altitude_amsl_m, *sample.velocity_ned_mps)
        if not all(math.isfinite(v) for v in place):
            return self.refuse("GPS samples")
        if abs(sample.latitude_deg) > 90.0 or abs(sample.longitude_deg) > 180.0:
            return self.refuse("GPS samples")
        if (sample.latitude_deg, sample.longitude_deg) == NOWHERE and sample.fix_type >= FixType.FIX_2D:
            return self.refuse("GPS fixes at latitude 0 and longitude 0")
        if sample.utc_ns:
            self._utc.append((sample.t_ns, sample.utc_ns))
        return self.messages.append(sample)

    def arm(self, armed: bool) -> None:
        """The arming state; only changes count."""
        self._armings += armed and not self._armed
        self._armed = armed

    def picture(self, t_ns: int) -> None:
        """A picture was taken."""
        self._taken_ns.append(t_ns)

    def trigger(self, t_ns: int) -> None:
        """A picture was asked for: that counts where nothing tells when the pictures were taken."""
        self._triggers_ns.append(t_ns)

    def _drop_heights(self) -> None:
        kept = [m for m in self.messages if not isinstance(m, BaroSample) or _is_height(m.altitude_amsl_m)]
        self._refused["barometric altitudes"] += len(self.messages) - len(kept)
        self.messages = kept

    def built(self) -> FlightLog:
        """The whole log."""
        self.messages.sort(key=lambda m: m.t_ns)
        checked_units(self)
        checked_heights(self)
        checked_airspeeds(self)
        self._drop_heights()
        if self._baro_is_relative:
            self.messages = _baro_above_sea(self.messages)
        if self._restarts:
            self.note(
                f"its clock was started again {self._restarts} times (two flights in one file, a restart in the air, "
                "a clock that was set): each part is taken for itself."
            )
        if self._armings > 1:
            self.note(f"the motors were armed {self._armings} times: it holds more than one flight.")
        for what, count in sorted((+self._refused).items()):
            self.note(f"{count} {what} cannot be (not finite, or out of all range): left out.")
        utc = sorted(utc_ns - t_ns for t_ns, utc_ns in self._utc)[len(self._utc) // 2] if self._utc else None
        return FlightLog(
            path=self._path,
            kind=self._kind,
            duration_ns=self._end_ns,
            messages=tuple(self.messages),
            camera_ns=tuple(sorted(self._taken_ns or self._triggers_ns)),
            texts=tuple(self.texts),
            breaks_ns=tuple(sorted(self.breaks_ns)),
            unix_ns_at_zero=utc,
            own_origin=self.own_origin,
            notes=tuple(self._notes),
        )


_ACCEL_UNITS = (
    ("m/s²", 1.0),
    ("g", STANDARD_GRAVITY_MPS2),
    ("thousandths of g", STANDARD_GRAVITY_MPS2 / 1000.0),
    ("cm/s²", 0.01),
)
RATE_RADPS_MAX = 12.0
"""Half of the rates of an aircraft are never beyond this, by far; in degrees a second they would be."""


def checked_units(builder: LogBuilder) -> None:
    """Set right an IMU whose numbers are plainly of another unit than the format says, and leave out one of no unit.

    Gravity tells the accelerometer's: the median length of the specific force is near 9.8 m/s². The gyros' rates are
    compared with how fast the attitude turns.
    """
    samples = [m for m in builder.messages if isinstance(m, ImuSample)]
    if len(samples) < 20:
        return
    force = float(np.median([math.sqrt(sum(a * a for a in m.accel_body_mps2)) for m in samples]))
    unit = next(
        (u for u in _ACCEL_UNITS if 0.6 * STANDARD_GRAVITY_MPS2 < force * u[1] < 1.6 * STANDARD_GRAVITY_MPS2), None
    )
    if unit is None:
        builder.note(
            f"its accelerometer shows {force:.3g} at rest, which is gravity in no known unit: the IMU is left out."
        )
        builder.messages = [m for m in builder.messages if not isinstance(m, ImuSample)]
        return
    turn = _gyro_factor(samples, [m for m in builder.messages if isinstance(m, AttitudeSample)])
    if unit[1] == 1.0 and turn == 1.0:
        return
    if unit[1] != 1.0:
        builder.note(f"its accelerations are in {unit[0]}, not in m/s² as its format says: they were converted.")
    if turn != 1.0:
        builder.note("its rates are in degrees a second, not in rad/s as its format says: they were converted.")
    builder.messages = [_scaled(m, unit[1], turn) if isinstance(m, ImuSample) else m for m in builder.messages]


def _is_height(altitude_m: float) -> bool:
    return -2000.0 <= altitude_m <= 20_000.0


_HEIGHT_UNITS = (("centimetres", 0.01), ("millimetres", 0.001), ("feet", 0.3048), ("kilometres", 1000.0))
HEIGHT_SPREAD_M, HEIGHT_PAIRS, HEIGHT_ALIKE, HEIGHT_OFF = 20.0, 50, 0.95, 0.1
"""A unit of heights is told by a receiver that climbed so much, and that the barometer follows so closely."""


def checked_heights(builder: LogBuilder) -> None:
    """Set right a barometer whose altitudes are plainly of another unit than metres: they follow the receiver's, at a
    known unit's ratio."""
    baro = [m for m in builder.messages if isinstance(m, BaroSample)]
    gps = [m for m in builder.messages if isinstance(m, GpsSample) and m.fix_type >= FixType.FIX_3D]
    if len(baro) < HEIGHT_PAIRS or len(gps) < HEIGHT_PAIRS:
        return
    up = np.array([m.altitude_amsl_m for m in gps])
    shown_m = np.interp([m.t_ns for m in gps], [m.t_ns for m in baro], [m.altitude_amsl_m for m in baro])
    if np.ptp(np.percentile(up, (5.0, 95.0))) < HEIGHT_SPREAD_M or float(np.std(shown_m)) == 0.0:
        return
    if float(np.corrcoef(up, shown_m)[0, 1]) < HEIGHT_ALIKE:
        return
    per_m = float(np.std(up) / np.std(shown_m))
    unit = next((u for u in _HEIGHT_UNITS if abs(per_m / u[1] - 1.0) < HEIGHT_OFF), None)
    if unit is None:
        return
    builder.note(f"its barometer's altitudes are in {unit[0]}, not in metres as its format says: they were converted.")
    builder.messages = [replace(m, altitude_amsl_m=m.altitude_amsl_m * unit[1]) if isinstance(m, BaroSample) else m
                        for m in builder.messages]  # fmt: skip


_SPEED_UNITS = (("km/h", 1.0 / 3.6), ("knots", 1852.0 / 3600.0), ("mph", 0.44704))
SPEED_PAIRS, SPEED_LEAST_MPS, SPEED_OFF, SPEED_SPREAD, SPEED_REST_MPS = 100, 5.0, 0.07, 0.3, 3.0


def checked_airspeeds(builder: LogBuilder) -> None:
    """Set right airspeeds that are plainly of another unit than m/s: over ground the aircraft moves by that ratio of
    them ahead, and by one wind. Headings have to be of more than one direction."""
    air = [m for m in builder.messages if isinstance(m, AirspeedSample)]
    turned = [m for m in builder.messages if isinstance(m, AttitudeSample)]
    gps = [m for m in builder.messages if isinstance(m, GpsSample) and m.fix_type >= FixType.FIX_3D]
    gps = [m for m in gps if math.hypot(*m.velocity_ned_mps[:2]) > SPEED_LEAST_MPS]
    if len(air) < SPEED_PAIRS or len(turned) < SPEED_PAIRS or len(gps) < SPEED_PAIRS:
        return
    t_ns = np.array([m.t_ns for m in gps])
    speed = np.interp(t_ns, [m.t_ns for m in air], [m.true_airspeed_mps for m in air])
    at = np.clip(np.searchsorted([m.t_ns for m in turned], t_ns), 0, len(turned) - 1)
    w, x, y, z = np.array([turned[k].quaternion_body_to_ned for k in at]).T
    ahead = speed * np.exp(1j * np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)))
    ground = np.array([complex(*m.velocity_ned_mps[:2]) for m in gps])
    apart, over = ahead - ahead.mean(), ground - ground.mean()
    spread = float(np.mean(np.abs(apart) ** 2))
    if spread < (SPEED_SPREAD * float(np.mean(speed))) ** 2 or spread == 0.0:
        return
    per_mps = float(np.mean((apart.conj() * over).real)) / spread
    unit = next((u for u in _SPEED_UNITS if abs(per_mps / u[1] - 1.0) < SPEED_OFF), None)
    if unit is None or float(np.sqrt(np.mean(np.abs(over - per_mps * apart) ** 2))) > SPEED_REST_MPS:
        return
    builder.note(f"its airspeeds are in {unit[0]}, not in m/s as its format says: they were converted.")
    builder.messages = [replace(m, true_airspeed_mps=m.true_airspeed_mps * unit[1]) if isinstance(m, AirspeedSample)
                        else m for m in builder.messages]  # fmt: skip


def _scaled(m: ImuSample, accel: float, gyro: float) -> ImuSample:
    a, g = m.accel_body_mps2, m.gyro_body_radps
    return ImuSample(m.t_ns, (a[0] * accel, a[1] * accel, a[2] * accel), (g[0] * gyro, g[1] * gyro, g[2] * gyro))


def _gyro_factor(samples: list[ImuSample], attitudes: list[AttitudeSample]) -> float:
    """pi/180 where the gyros turn some fifty times as fast as the attitude does, else 1."""
    rates = np.array([math.sqrt(sum(g * g for g in m.gyro_body_radps)) for m in samples])
    if len(attitudes) < 20:
        return 1.0 if float(np.median(rates)) < RATE_RADPS_MAX else math.radians(1.0)
    turned, seconds = 0.0, 0.0
    for a, b in itertools.pairwise(attitudes):
        dt_s = (b.t_ns - a.t_ns) / 1e9
        if 0.0 < dt_s < 1.0:
            dot = abs(sum(p * q for p, q in zip(a.quaternion_body_to_ned, b.quaternion_body_to_ned, strict=True)))
            turned += 2.0 * math.acos(min(dot, 1.0))
            seconds += dt_s
    mean = turned / seconds if seconds else 0.0
    if mean < 0.02:  # it stood still: nothing to compare with
        return 1.0
    return math.radians(1.0) if float(np.mean(rates)) > 20.0 * mean else 1.0


def _baro_above_sea(messages: list[Telemetry]) -> list[Telemetry]:
    """The barometer's altitudes moved by what lies between them and the receiver's at its first good fixes."""
    altitude: float | None = None
    offsets: list[float] = []
    for m in messages:
        if isinstance(m, BaroSample):
            altitude = m.altitude_amsl_m
        elif isinstance(m, GpsSample) and altitude is not None and m.fix_type >= FixType.FIX_3D and m.satellites >= 6:
            offsets.append(m.altitude_amsl_m - altitude)
            if len(offsets) >= CALIBRATION_SAMPLES:
                break
    if not offsets:
        return messages
    offset = float(np.median(offsets))
    return [BaroSample(m.t_ns, m.altitude_amsl_m + offset) if isinstance(m, BaroSample) else m for m in messages]


def horizontal_accuracy_m(told_m: float | None, hdop: float | None) -> float:
    """What a receiver claims of its position: its own accuracy and its geometry, the worse of the two."""
    known = [
        v for v in (told_m, None if hdop is None else HDOP_M * hdop) if v is not None and math.isfinite(v) and v > 0
    ]
    return max(known) if known else UNKNOWN_ACCURACY_M
