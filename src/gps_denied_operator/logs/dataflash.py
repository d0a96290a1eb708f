"""ArduPilot's dataflash logs (`.bin`, and `.log` as text), read by pymavlink's DFReader."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gps_denied_onboard.autopilot.gps_time import GPS_EPOCH_UNIX_S, WEEK_MS, leap_seconds
from gps_denied_onboard.autopilot.mavlink.telemetry import FACING_DOWN, true_per_equivalent_airspeed
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.rotations import quaternion_zyx
from gps_denied_onboard.messages import FixType, GpsSample, TakeoffOrigin
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.logs.flight_log import (
    NOWHERE,
    FlightLog,
    LogBuilder,
    LogKind,
    LogText,
    Receivers,
    horizontal_accuracy_m,
)

TYPES = (
    "IMU", "ATT", "BARO", "ARSP", "RFND", "GPS", "GPA", "CAM", "TRIG", "MSG", "ARM", "EV", "POS", "PARM",
)  # fmt: skip
ARMED_EVENT, DISARMED_EVENT = 10, 11
ACCURACY_AGE_NS = 1_500_000_000

_UNITS = {
    "deg": math.radians(1.0), "degrees": math.radians(1.0), "rad": 1.0,
    "deg/s": math.radians(1.0), "rad/s": 1.0,
    "m": 1.0, "cm": 0.01, "mm": 0.001,
    "m/s": 1.0, "cm/s": 0.01, "mm/s": 0.001, "km/h": 1.0 / 3.6,
    "m/s/s": 1.0, "cm/s/s": 0.01, "mm/s/s": 0.001,
}  # fmt: skip
"""Units as FMTU tells them, to radians, metres and seconds."""


class _Counted(io.TextIOBase):
    """Takes what pymavlink prints and keeps only how many lines there were."""

    lines = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)


def read_dataflash(path: Path) -> FlightLog:
    """The log; UserError where nothing of it can be read."""
    builder = LogBuilder(path, LogKind.DATAFLASH)
    reader = _Reader(builder)
    said = _Counted()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            for message in _messages(path):
                reader.take(message)
    except _BrokenError as error:
        if not builder.messages:
            raise UserError(f"{shown(path)} is no ArduPilot log that can be read: {error}; copy it again.") from error
        builder.note(f"it is damaged ({error}): what came before was used.")
    if said.lines:
        builder.note("it has damaged parts, which were passed over.")
    if reader.receivers.sentence():
        builder.note(reader.receivers.sentence())
    return builder.built()


class _BrokenError(Exception):
    """The library cannot go on with this file."""


def _messages(path: Path) -> Iterator[Any]:
    from pymavlink.DFReader import DFReader_binary, DFReader_text

    os.environ["PYMAVLINK_FAST_INDEX"] = "0"  # the fast one says of damage what it says to the terminal alone
    try:
        with path.open("rb") as stream:
            text = stream.read(3) == b"FMT"
        log = DFReader_text(str(path)) if text else DFReader_binary(str(path))
    except Exception as error:
        raise _BrokenError(f"{type(error).__name__}: {shown(error, 120)}") from error
    try:
        while True:
            try:
                message = log.recv_match(type=list(TYPES))
            except Exception as error:
                raise _BrokenError(f"{type(error).__name__}: {shown(error, 120)}") from error
            if message is None:
                return
            yield message
    finally:
        log.close()


class _Reader:
    """One dataflash message after the other into the builder."""

    def __init__(self, builder: LogBuilder) -> None:
        self._out = builder
        self._accuracy: tuple[int, float] | None = None  # (t_ns, m) of the newest GPA
        self._altitude_m = 0.0
        self.receivers = Receivers()
        self._handlers = {
            "IMU": self._imu, "ATT": self._attitude, "BARO": self._baro, "ARSP": self._airspeed,
            "RFND": self._rangefinder, "GPS": self._gps, "GPA": self._gps_accuracy, "POS": self._position,
            "MSG": self._text, "ARM": self._arm, "EV": self._event, "CAM": self._picture, "TRIG": self._trigger,
            "PARM": self._parameter,
        }  # fmt: skip

    def take(self, m: Any) -> None:
        """Convert one message; what is incomplete or cannot be is counted."""
        kind = m.get_type()
        log_ns = _time_ns(m)
        if log_ns is None:
            return
        t_ns = self._out.clock(log_ns)
        if _number(m, "I", default=0.0) != (self.receivers.instance if kind in ("GPS", "GPA") else 0.0):
            return  # of another sensor than the first
        try:
            self._handlers[kind](m, t_ns)
        except (_AbsentError, TypeError, ValueError, OverflowError):
            self._out.refuse(f"{kind} messages")

    def _picture(self, _m: Any, t_ns: int) -> None:
        self._out.picture(t_ns)

    def _trigger(self, _m: Any, t_ns: int) -> None:
        self._out.trigger(t_ns)

    def _imu(self, m: Any, t_ns: int) -> None:
        accel = tuple(_number(m, name, "m/s/s") for name in ("AccX", "AccY", "AccZ"))
        self._out.imu(t_ns, accel, tuple(_number(m, name, "rad/s") for name in ("GyrX", "GyrY", "GyrZ")))

    def _attitude(self, m: Any, t_ns: int) -> None:
        roll, pitch, yaw = (_number(m, name, "deg") for name in ("Roll", "Pitch", "Yaw"))
        self._out.attitude(t_ns, quaternion_zyx(yaw, pitch, roll))

    def _baro(self, m: Any, t_ns: int) -> None:
        self._out.baro(t_ns, _number(m, "Alt", "m"), relative=True)

    def _airspeed(self, m: Any, t_ns: int) -> None:
        speed = _number(m, "Airspeed", "m/s")
        self._out.airspeed(t_ns, speed * true_per_equivalent_airspeed(self._altitude_m))

    def _rangefinder(self, m: Any, t_ns: int) -> None:
        orientation = _number(m, "Orient", default=float(FACING_DOWN))
        good = _number(m, "Stat", default=4.0) == 4.0
        name = "Dist" if "Dist" in m.get_fieldnames() else "Dist1"
        distance_m = _number(m, name, "m")
        if orientation == FACING_DOWN and good and distance_m > 0.0:
            self._out.rangefinder(t_ns, distance_m)

    def _gps(self, m: Any, t_ns: int) -> None:
        speed, course = _number(m, "Spd", "m/s"), _number(m, "GCrs", "deg")
        self._altitude_m = _number(m, "Alt", "m")
        fix = int(_number(m, "Status"))
        fresh = self._accuracy is not None and t_ns - self._accuracy[0] <= ACCURACY_AGE_NS
        told_m = self._accuracy[1] if self._accuracy is not None and fresh else None
        down = _number(m, "VZ", "m/s", default=0.0)
        sample = GpsSample(
            t_ns,
            _number(m, "Lat"),
            _number(m, "Lng"),
            self._altitude_m,
            (speed * math.cos(course), speed * math.sin(course), down if speed else 0.0),
            fix,
            int(_number(m, "NSats")),
            horizontal_accuracy_m(told_m, _number(m, "HDop", default=math.nan)),
            _utc_ns(m),
        )
        self._out.gps(sample)
        placed = fix >= FixType.FIX_3D and (sample.latitude_deg, sample.longitude_deg) != NOWHERE
        if self._out.own_origin is None and placed and sample.satellites >= 6:
            self._out.own_origin = TakeoffOrigin(
                t_ns, sample.latitude_deg, sample.longitude_deg, sample.altitude_amsl_m, 5.0, 5.0,
                sample.velocity_ned_mps,
            )  # fmt: skip

    def _gps_accuracy(self, m: Any, t_ns: int) -> None:
        accuracy_m = _number(m, "HAcc", "m", default=math.nan)
        if math.isfinite(accuracy_m) and accuracy_m > 0.0:
            self._accuracy = (t_ns, accuracy_m)

    def _position(self, m: Any, _t_ns: int) -> None:
        self._altitude_m = _number(m, "Alt", "m")

    def _parameter(self, m: Any, _t_ns: int) -> None:
        if self.receivers.parameter(str(m.Name), _number(m, "Value")):
            self._out.drop_gps()

    def _text(self, m: Any, t_ns: int) -> None:
        self._out.texts.append(LogText(t_ns, shown(getattr(m, "Message", ""), 120)))

    def _arm(self, m: Any, _t_ns: int) -> None:
        self._out.arm(_number(m, "ArmState") != 0.0)

    def _event(self, m: Any, _t_ns: int) -> None:
        number = _number(m, "Id")
        if number in (ARMED_EVENT, DISARMED_EVENT):
            self._out.arm(number == ARMED_EVENT)


class _AbsentError(Exception):
    """A message has no such column, or no number in it."""


def _number(m: Any, name: str, expected: str = "", default: float | None = None) -> float:
    """A column in SI units (angles in rad) by what FMTU says of it, else by `expected`."""
    value = getattr(m, name, default)
    if value is None or isinstance(value, str | bytes):
        raise _AbsentError(name)
    if not expected:
        return float(value)
    unit = m.fmt.get_unit(name) if getattr(m.fmt, "units", None) and name in m.fmt.colhash else ""
    return float(value) * _UNITS.get(unit, _UNITS[expected])


def _time_ns(m: Any) -> int | None:
    """The log's own time of a message: since the start in us, or in ms in old logs, where a GPS message's is T."""
    names = m.get_fieldnames()
    if "TimeUS" in names:
        value, scale = m.TimeUS, 1000
    elif m.get_type() == "GPS" and "T" in names:
        value, scale = m.T, 1_000_000
    elif "TimeMS" in names and m.get_type() != "GPS":
        value, scale = m.TimeMS, 1_000_000
    else:
        return None
    return int(value) * scale if isinstance(value, int | float) and 0 <= value < 2**52 else None


def _utc_ns(m: Any) -> int:
    """The UTC that a GPS message claims; 0 where it tells none."""
    names = m.get_fieldnames()
    week, ms = ("GWk", "GMS") if "GWk" in names else ("Week", "TimeMS")
    if week not in names or ms not in names:
        return 0
    weeks, week_ms = int(_number(m, week)), int(_number(m, ms))
    if not 0 < weeks < 20_000 or not 0 <= week_ms < WEEK_MS:
        return 0
    gps_s = GPS_EPOCH_UNIX_S + weeks * (WEEK_MS // 1000)
    return (gps_s - (leap_seconds(gps_s) or 18)) * 1_000_000_000 + week_ms * 1_000_000
