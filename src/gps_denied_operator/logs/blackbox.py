"""An iNav blackbox as `blackbox_decode` (iNav's blackbox-tools) writes it: a table of commas, units in its headings.

Axes and signs are iNav's (x forward, y left, z up; pitch up negative), as measured over MSP: `autopilot.msp.telemetry`.
GPS columns are there with `--merge-gps`, else in the file beside it whose name ends with `.gps.csv`.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gps_denied_onboard.autopilot.mavlink.telemetry import STANDARD_GRAVITY_MPS2, true_per_equivalent_airspeed
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.rotations import quaternion_zyx
from gps_denied_onboard.messages import FixType, GpsSample
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.logs.flight_log import (
    FlightLog,
    LogBuilder,
    LogKind,
    horizontal_accuracy_m,
)

LINE_BYTES_MAX = 65_536
RAW_COUNTS_PER_G = 512.0
"""Of raw accelerations where gravity does not say otherwise."""
CALIBRATION_ROWS = 2000
_HEADING = re.compile(r"\s*(.+?)\s*(?:\(([^()]*)\))?\s*")
_UNITS = {
    "us": 1e-6, "s": 1.0, "ms": 1e-3, "deg/s": math.radians(1.0), "rad/s": 1.0, "g": STANDARD_GRAVITY_MPS2, "m/s2": 1.0,
    "m/s^2": 1.0, "cm": 0.01, "m": 1.0, "ft": 0.3048, "m/s": 1.0, "cm/s": 0.01, "km/h": 1.0 / 3.6, "mi/h": 0.44704,
    "mph": 0.44704, "kph": 1.0 / 3.6,
}  # fmt: skip


def read_blackbox_csv(path: Path) -> FlightLog:
    """The log; UserError where the table has no times."""
    builder = LogBuilder(path, LogKind.BLACKBOX_CSV)
    table = _Table(path)
    if not table.has("time"):
        raise UserError(f"{shown(path)} has no column 'time (us)'; decode the blackbox again with blackbox_decode.")
    _Rows(builder, table, _counts_per_g(table)).read()
    beside = path.with_suffix(".gps.csv")
    if not table.has("GPS_coord[0]") and beside.is_file():
        _gps_beside(builder, beside)
    return builder.built()


class _Table:
    """The columns by name, and their scales to SI by the units in the headings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r", encoding="utf-8", errors="replace", newline="") as stream:
            names = next(csv.reader([stream.readline(LINE_BYTES_MAX)]), [])
        self._at: dict[str, tuple[int, float | None]] = {}
        for number, heading in enumerate(names):
            match = _HEADING.fullmatch(heading)
            if match:
                unit = match[2]
                self._at.setdefault(match[1], (number, _UNITS.get(unit.strip()) if unit else None))
        self.width = len(names)
        self.torn = 0

    def has(self, name: str) -> bool:
        return name in self._at

    def scale(self, name: str, otherwise: float) -> float:
        """Of a column to SI: by its heading, else `otherwise`."""
        told = self._at[name][1] if name in self._at else None
        return otherwise if told is None else told

    def told(self, name: str) -> bool:
        """Whether a column tells its unit."""
        return name in self._at and self._at[name][1] is not None

    def rows(self) -> Iterator[list[str]]:
        """Whole rows; those with another number of cells are counted in `torn`."""
        with self.path.open("r", encoding="utf-8", errors="replace", newline="") as stream:
            stream.readline(LINE_BYTES_MAX)
            for line in iter(lambda: stream.readline(LINE_BYTES_MAX), ""):
                row = line.rstrip("\r\n").replace('"', "").split(",")
                if len(row) < self.width:
                    self.torn += bool(line.strip())
                else:
                    yield row

    def number(self, row: Sequence[str], name: str) -> float:
        """A cell as it stands; NaN where there is none."""
        if name not in self._at:
            return math.nan
        try:
            return float(row[self._at[name][0]])
        except ValueError:
            return math.nan


def _counts_per_g(table: _Table) -> float:
    """Raw accelerometer counts of one g: the middle of the vector's lengths over the first rows."""
    lengths: list[float] = []
    for row in table.rows():
        raw = [table.number(row, f"accSmooth[{k}]") for k in range(3)]
        length = math.sqrt(sum(a * a for a in raw))
        if math.isfinite(length) and length > 0.0:
            lengths.append(length)
        if len(lengths) >= CALIBRATION_ROWS:
            break
    return sorted(lengths)[len(lengths) // 2] if lengths else RAW_COUNTS_PER_G


class _Rows:
    """Row after row of the main table into the builder."""

    def __init__(self, builder: LogBuilder, table: _Table, counts_per_g: float) -> None:
        self._out, self._table = builder, table
        self._gyro = table.scale("gyroADC[0]", math.radians(1.0))
        self._accel = table.scale("accSmooth[0]", STANDARD_GRAVITY_MPS2 / counts_per_g)
        if table.has("accSmooth[0]") and not table.told("accSmooth[0]"):
            builder.note(f"its accelerations are raw: {counts_per_g:.0f} counts are taken for one g, by their middle.")
        self._altitude_m = 0.0
        self._last_gps: tuple[float, ...] = ()

    def read(self) -> None:
        """All rows."""
        seconds = self._table.scale("time", 1e-6)
        for row in self._table.rows():
            time = self._table.number(row, "time")
            if not math.isfinite(time) or not 0.0 <= time * seconds < 1e7:
                self._out.refuse("times")
                continue
            self._row(row, self._out.clock(round(time * seconds * 1e9)))
        if self._table.torn:
            self._out.note(f"{self._table.torn} of its lines are cut off: passed over.")

    def _row(self, row: Sequence[str], t_ns: int) -> None:
        n, out = self._table.number, self._out
        gyro = [n(row, f"gyroADC[{k}]") * self._gyro for k in range(3)]
        accel = [n(row, f"accSmooth[{k}]") * self._accel for k in range(3)]
        if self._table.has("gyroADC[0]") and self._table.has("accSmooth[0]"):
            out.imu(t_ns, (accel[0], -accel[1], -accel[2]), (gyro[0], -gyro[1], -gyro[2]))
        if self._table.has("attitude[0]"):
            roll, pitch, yaw = (math.radians(n(row, f"attitude[{k}]") / 10.0) for k in range(3))
            out.attitude(t_ns, quaternion_zyx(yaw, -pitch, roll))
        altitude_m = n(row, "BaroAlt") * self._table.scale("BaroAlt", 0.01)
        if math.isfinite(altitude_m):
            self._altitude_m = altitude_m
            out.baro(t_ns, altitude_m, relative=True)
        airspeed = n(row, "AirSpeed") * self._table.scale("AirSpeed", 0.01)
        if math.isfinite(airspeed):
            out.airspeed(t_ns, airspeed * true_per_equivalent_airspeed(self._altitude_m))
        surface_m = n(row, "surfaceRaw") * self._table.scale("surfaceRaw", 0.01)
        if math.isfinite(surface_m) and surface_m > 0.0:
            out.rangefinder(t_ns, surface_m)
        if self._table.has("GPS_coord[0]"):
            cells = _gps_cells(self._table, row)
            if cells and cells != self._last_gps:  # a row repeats the last fix until the next one comes
                self._last_gps = cells
                _gps(out, self._table, row, t_ns)


def _gps_cells(table: _Table, row: Sequence[str]) -> tuple[float, ...]:
    names = ("GPS_coord[0]", "GPS_coord[1]", "GPS_altitude", "GPS_speed", "GPS_ground_course", "GPS_numSat",
             "GPS_fixType", "GPS_hdop", "GPS_velned[0]", "GPS_velned[1]")  # fmt: skip
    cells = tuple(table.number(row, name) for name in names)
    return tuple(-1.0 if math.isnan(v) else v for v in cells) if math.isfinite(cells[0]) else ()


def _gps(out: LogBuilder, table: _Table, row: Sequence[str], t_ns: int) -> None:
    """A row's GPS columns as a sample; iNav's fix types are 0 none, 1 2D, 2 3D."""

    def n(name: str) -> float:
        return table.number(row, name)

    speed = n("GPS_speed") * table.scale("GPS_speed", 1.0)
    course = math.radians(n("GPS_ground_course"))
    velocity = [n(f"GPS_velned[{k}]") * table.scale(f"GPS_velned[{k}]", 0.01) for k in range(3)]
    if not all(map(math.isfinite, velocity)):
        known = math.isfinite(speed) and math.isfinite(course)
        velocity = [speed * math.cos(course), speed * math.sin(course), 0.0] if known else [0.0, 0.0, 0.0]
    satellites = n("GPS_numSat")
    told = n("GPS_fixType")
    fix = int(told) + 1 if math.isfinite(told) else FixType.FIX_3D if satellites >= 5 else FixType.NONE
    hdop, eph = n("GPS_hdop"), n("GPS_eph")
    out.gps(GpsSample(
        t_ns, n("GPS_coord[0]"), n("GPS_coord[1]"), n("GPS_altitude") * table.scale("GPS_altitude", 1.0),
        (velocity[0], velocity[1], velocity[2]), fix, int(satellites) if math.isfinite(satellites) else 0,
        horizontal_accuracy_m(eph * table.scale("GPS_eph", 0.01), hdop / 100.0),
    ))  # fmt: skip


def _gps_beside(out: LogBuilder, path: Path) -> None:
    """The GPS table that the decoder writes beside the main one, with the same clock."""
    if out.breaks_ns:
        out.note(f"its clock was started again: which part {shown(path.name, 80)} belongs to nothing tells, left out.")
        return
    table = _Table(path)
    seconds = table.scale("time", 1e-6)
    for row in table.rows():
        time = table.number(row, "time")
        t_ns = out.beside(round(time * seconds * 1e9)) if math.isfinite(time) else None
        if t_ns is not None:
            _gps(out, table, row, t_ns)
