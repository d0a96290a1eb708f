"""PX4's logs (`.ulg`), read by pyulog: topics as columns, all of them of the first instance."""

from __future__ import annotations

import contextlib
import io
import math
import mmap
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.autopilot.mavlink.gnss_integrity import interference_of
from gps_denied_onboard.autopilot.mavlink.telemetry import FACING_DOWN
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import FloatArray, GpsSample, TakeoffOrigin
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.logs.flight_log import (
    LATE_NS,
    PAUSE_NS,
    FlightLog,
    LogBuilder,
    LogKind,
    LogText,
    horizontal_accuracy_m,
)

TOPICS = (
    "sensor_combined", "vehicle_attitude", "airspeed_validated", "airspeed", "vehicle_air_data", "sensor_baro",
    "distance_sensor", "vehicle_gps_position", "sensor_gps", "camera_capture", "camera_trigger", "vehicle_status",
    "vehicle_global_position", "vehicle_imu",
)  # fmt: skip
ARMED = 2
UTC_KNOWN_US = 1_500_000_000_000_000
HEAD = b"ULog\x01\x12\x35"
FILES_MAX = 1000
STAMP_US_MAX = 4e15
"""A simulator's clock may count from 1970."""
NEIGHBOURS, ALONE_US = 5, 600e6
"""A time that is ten minutes away from the middle of five around it is damage; a pause has times on both sides."""


def read_ulog(path: Path) -> FlightLog:
    """The log; UserError where pyulog can make nothing of it."""
    from pyulog import ULog

    parts = _files_in(path)
    first, end = max(parts, key=lambda part: part[1] - part[0])
    try:
        with contextlib.redirect_stdout(None), path.open("rb") as stream:  # it prints what it finds damaged
            stream.seek(first)
            log = ULog(str(path) if len(parts) == 1 else io.BytesIO(stream.read(end - first)), list(TOPICS))
    except Exception as error:  # a torn header raises anything: struct.error, KeyError, its own
        raise UserError(
            f"{shown(path)} is no PX4 log that can be read ({type(error).__name__}: {shown(error, 120)}); copy it "
            "again."
        ) from error
    builder = LogBuilder(path, LogKind.ULOG, sorted_times=False)
    builder.begin(int(log.start_timestamp) * 1000)
    _Reader(builder, log).read()
    if len(parts) > 1:
        builder.note(
            f"{len(parts)} logs were put into one file: the longest was read; cut the file to read another one."
        )
    if log.file_corruption:
        builder.note("it has damaged parts or a cut end: what could be read was used.")
    lost_s = sum(float(d.duration) for d in log.dropouts) / 1000.0
    if lost_s > 1.0:
        builder.note(f"its writer lost {lost_s:.1f} s in {len(log.dropouts)} pieces (a slow card).")
    for line in log.logged_messages:
        builder.texts.append(LogText(builder.clock(int(line.timestamp) * 1000), shown(line.message, 120)))
    return builder.built()


def _files_in(path: Path) -> list[tuple[int, int]]:
    """First byte and end of each log that a file holds, by their heads."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        begins, at = [0], 1
        while len(begins) <= FILES_MAX and (at := data.find(HEAD, at)) >= 0:
            begins.append(at)
            at += 1
        return list(zip(begins, [*begins[1:], len(data)], strict=True))


class _Parts:
    """The log's parts, each with a clock that runs on; one begins where the times of most topics run back together.

    Topics come one after the other here, so where a part begins is asked of all of them before any is read.
    """

    def __init__(self, topics: Iterable[FloatArray]) -> None:
        spans = [self._spans(stamps) for stamps in topics if len(stamps) >= 2 * NEIGHBOURS]
        self.count = statistics.mode(len(span) for span in spans) if spans else 1
        full = np.array([span for span in spans if len(span) == self.count])  # (topics, parts, first and last)
        self.shifts_us = np.zeros(self.count)
        for part in range(1, self.count):
            begin, end = full[:, part, 0].min(), full[:, part - 1, 1].max() + self.shifts_us[part - 1]
            self.shifts_us[part] = end + PAUSE_NS / 1000.0 - begin
        self.begins_ns = [round((full[:, part, 0].min() + self.shifts_us[part]) * 1000.0)
                          for part in range(1, self.count)]  # fmt: skip

    @staticmethod
    def usable(stamps: FloatArray) -> npt.NDArray[np.bool_]:
        """(N,) False where a time is alone among its neighbours, or no time."""
        good = (stamps > 0.0) & (stamps < STAMP_US_MAX)
        if len(stamps) < NEIGHBOURS:
            return good
        around = np.median(np.lib.stride_tricks.sliding_window_view(stamps, NEIGHBOURS), axis=1)
        half = NEIGHBOURS // 2
        around = np.concatenate([np.full(half, around[0]), around, np.full(half, around[-1])])
        return good & (np.abs(stamps - around) < ALONE_US)

    @staticmethod
    def part_of(stamps: FloatArray) -> npt.NDArray[np.intp]:
        """(N,) which part each of usable times is of, by the times that ran back before it."""
        return np.cumsum(np.diff(stamps, prepend=stamps[:1]) < -LATE_NS / 1000.0)

    def _spans(self, stamps: FloatArray) -> list[tuple[float, float]]:
        good = stamps[self.usable(stamps)]
        part = self.part_of(good)
        return [(float(good[part == k].min()), float(good[part == k].max())) for k in np.unique(part)]


class _Topic:
    """One topic's columns; times that run back alone or that stand alone are left out."""

    def __init__(self, builder: LogBuilder, data: Any, parts: _Parts) -> None:
        self._data = data.data
        stamps = np.asarray(self._data["timestamp"], dtype=np.float64)
        rows = np.flatnonzero(parts.usable(stamps))
        part = np.minimum(parts.part_of(stamps[rows]), parts.count - 1)
        moved = stamps[rows] + parts.shifts_us[part]
        before = np.maximum.accumulate(np.concatenate([[-math.inf], moved[:-1]])) if len(moved) else moved
        steady = moved >= before
        left = len(stamps) - int(steady.sum())
        if left:
            builder.note(f"{left} times of '{shown(data.name, 40)}' run back or cannot be: left out.")
        self.rows = rows[steady]
        self.t_ns = [builder.clock(int(us) * 1000) for us in moved[steady]]

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def column(self, name: str, otherwise: float = math.nan) -> FloatArray:
        """A column's values as floats; `otherwise` where the topic has no such column."""
        if name not in self._data:
            return np.full(len(self.rows), otherwise)
        return np.asarray(self._data[name], dtype=np.float64)[self.rows]

    def columns(self, names: Sequence[str]) -> FloatArray:
        """(N, len(names))."""
        return np.stack([self.column(name) for name in names], axis=1)


class _Reader:
    """All topics into the builder."""

    def __init__(self, builder: LogBuilder, log: Any) -> None:
        self._out = builder
        self._sets: dict[str, Any] = {}
        for data in log.data_list:
            key = data.name
            if key not in self._sets or data.multi_id < self._sets[key].multi_id:
                self._sets[key] = data
        timed = [d.data["timestamp"] for d in self._sets.values() if "timestamp" in d.data]
        self._parts = _Parts(np.asarray(stamps, dtype=np.float64) for stamps in timed)
        for begin_ns in self._parts.begins_ns:
            builder.restarted(begin_ns)

    def read(self) -> None:
        """Every sensor that is there."""
        self._imu()
        self._attitude()
        self._airspeed()
        self._baro()
        self._rangefinder()
        self._gps()
        self._events()

    def _topic(self, *names: str) -> _Topic | None:
        """The first of these topics that holds anything."""
        for name in names:
            data = self._sets.get(name)
            if data is not None and "timestamp" in data.data and len(data.data["timestamp"]):
                return _Topic(self._out, data, self._parts)
        return None

    def _imu(self) -> None:
        if (topic := self._topic("sensor_combined")) is not None:
            accel = topic.columns([f"accelerometer_m_s2[{k}]" for k in range(3)])
            gyro = topic.columns([f"gyro_rad[{k}]" for k in range(3)])
        elif (topic := self._topic("vehicle_imu")) is not None:
            dt = np.stack([topic.column("delta_velocity_dt"), topic.column("delta_angle_dt")]) * 1e-6
            with np.errstate(divide="ignore", invalid="ignore"):
                accel = topic.columns([f"delta_velocity[{k}]" for k in range(3)]) / dt[0][:, None]
                gyro = topic.columns([f"delta_angle[{k}]" for k in range(3)]) / dt[1][:, None]
        else:
            return
        for t_ns, a, g in zip(topic.t_ns, accel.tolist(), gyro.tolist(), strict=True):
            self._out.imu(t_ns, tuple(a), tuple(g))

    def _attitude(self) -> None:
        if (topic := self._topic("vehicle_attitude")) is not None:
            rows = topic.columns([f"q[{k}]" for k in range(4)]).tolist()
            for t_ns, q in zip(topic.t_ns, rows, strict=True):
                self._out.attitude(t_ns, tuple(q))

    def _airspeed(self) -> None:
        topic = self._topic("airspeed_validated", "airspeed")
        if topic is None:
            return
        speeds = topic.column("true_airspeed_m_s")
        if not np.isfinite(speeds).any() and (measured := self._topic("airspeed")) is not None:
            topic, speeds = measured, measured.column("true_airspeed_m_s")
        for t_ns, speed in zip(topic.t_ns, speeds.tolist(), strict=True):
            if math.isfinite(speed):  # NaN: PX4 itself does not believe it
                self._out.airspeed(t_ns, speed)

    def _baro(self) -> None:
        topic = self._topic("vehicle_air_data", "sensor_baro")
        if topic is None or ("baro_alt_meter" not in topic and "altitude" not in topic):
            topic = self._topic("sensor_combined")
        if topic is None:
            return
        name = "altitude" if "altitude" in topic and "baro_alt_meter" not in topic else "baro_alt_meter"
        if name in topic:
            for t_ns, altitude_m in zip(topic.t_ns, topic.column(name).tolist(), strict=True):
                self._out.baro(t_ns, altitude_m, relative=True)

    def _rangefinder(self) -> None:
        topic = self._topic("distance_sensor")
        if topic is None:
            return
        facing = topic.column("orientation", FACING_DOWN)
        least, most = topic.column("min_distance", 0.0), topic.column("max_distance", 1000.0)
        for k, distance_m in enumerate(topic.column("current_distance").tolist()):
            if facing[k] == FACING_DOWN and least[k] < distance_m < most[k]:
                self._out.rangefinder(topic.t_ns[k], distance_m)

    def _gps(self) -> None:
        topic = self._topic("vehicle_gps_position", "sensor_gps")
        if topic is None:
            return
        new = "latitude_deg" in topic
        scale = 1.0 if new else 1e-7
        latitude = topic.column("latitude_deg" if new else "lat") * scale
        longitude = topic.column("longitude_deg" if new else "lon") * scale
        altitude = topic.column("altitude_msl_m") if new else topic.column("alt") / 1000.0
        velocity = np.nan_to_num(topic.columns(["vel_n_m_s", "vel_e_m_s", "vel_d_m_s"]))
        valid = topic.column("vel_ned_valid", 1.0)
        fix, satellites = topic.column("fix_type", 0.0), topic.column("satellites_used", 0.0)
        eph, hdop, utc = topic.column("eph"), topic.column("hdop"), topic.column("time_utc_usec", 0.0)
        jammed, spoofed = topic.column("jamming_state", 0.0), topic.column("spoofing_state", 0.0)
        for k, t_ns in enumerate(topic.t_ns):
            north, east, down = velocity[k].tolist() if valid[k] else (0.0, 0.0, 0.0)
            self._out.gps(GpsSample(
                t_ns, float(latitude[k]), float(longitude[k]), float(altitude[k]), (north, east, down), int(fix[k]),
                int(satellites[k]), horizontal_accuracy_m(float(eph[k]), float(hdop[k])),
                int(utc[k]) * 1000 if utc[k] > UTC_KNOWN_US else 0,
                interference_of(_state(jammed[k]), _state(spoofed[k])),
            ))  # fmt: skip

    def _events(self) -> None:
        topic = self._topic("camera_capture", "camera_trigger")
        for t_ns in [] if topic is None else topic.t_ns:
            self._out.picture(t_ns)
        if (status := self._topic("vehicle_status")) is not None:
            for state in status.column("arming_state", 0.0).tolist():
                self._out.arm(state == ARMED)
        if (place := self._topic("vehicle_global_position")) is not None and len(place.t_ns):
            row = place.columns(["lat", "lon", "alt", "vel_n", "vel_e", "vel_d"])[0]
            if np.isfinite(row[:3]).all():
                north, east, down = np.nan_to_num(row[3:]).tolist()
                self._out.own_origin = TakeoffOrigin(
                    place.t_ns[0], float(row[0]), float(row[1]), float(row[2]), 5.0, 5.0, (north, east, down)
                )


def _state(value: float) -> int:
    """PX4's jamming and spoofing states (0 unknown, 1 none, 2 mitigated or warning, 3 detected or critical)."""
    return int(value) if math.isfinite(value) and 0 <= value <= 3 else 0
