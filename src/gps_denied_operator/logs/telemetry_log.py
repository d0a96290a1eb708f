"""Telemetry logs of ground stations (`.tlog`): MAVLink packets with the time of their arrival, read by pymavlink.

The messages are converted as in flight (`autopilot.mavlink.telemetry`): the same units, frames and clocks.
"""

from __future__ import annotations

import math
import struct
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gps_denied_onboard.autopilot.mavlink import gnss_integrity
from gps_denied_onboard.autopilot.mavlink.clock import ClockAlignment
from gps_denied_onboard.autopilot.mavlink.telemetry import UNKNOWN_16, TelemetryDecoder
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import Alert, FixType, GpsSample, RelocHint
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.logs.flight_log import (
    FlightLog,
    LogBuilder,
    LogKind,
    LogText,
    Receivers,
    horizontal_accuracy_m,
)

ARMED = 128  # MAV_MODE_FLAG_SAFETY_ARMED
NO_AUTOPILOT = 8  # MAV_AUTOPILOT_INVALID
SENDERS_MAX = 16
RESTART_NS, LEARNING_NS, AWAY_NS = 10_000_000_000, 10_000_000_000, 60_000_000_000
"""A clock that runs back by more was started again; how long the least delay is looked for; no link holds back longer.
"""
LATELY_NS = 5_000_000_000
"""Over so long the least delay tells how far the ground station's clock has gone from the autopilot's since."""
PICTURES = ("CAMERA_FEEDBACK", "CAMERA_IMAGE_CAPTURED")
STAMP_US = (1e12, 1e17)
"""Times of arrival in us since 1970 that can be."""


def read_telemetry_log(path: Path) -> FlightLog:
    """The log; UserError where it holds no vehicle."""
    readers: dict[tuple[int, int], _Reader] = {}
    heartbeats: Counter[tuple[int, int]] = Counter()
    first_us, damaged = 0, 0
    for message, arrival_us in _messages(path):
        first_us = first_us or arrival_us
        if message.get_type() == "BAD_DATA":
            damaged += 1
            continue
        sender = message.get_srcSystem(), message.get_srcComponent()
        if message.get_type() == "HEARTBEAT" and message.autopilot != NO_AUTOPILOT:
            heartbeats[sender] += 1
        if sender not in readers and len(readers) < SENDERS_MAX:
            readers[sender] = _Reader(LogBuilder(path, LogKind.TELEMETRY_LOG), first_us)
        if sender in readers:
            readers[sender].take(message, arrival_us)
    known = [(count, sender) for sender, count in heartbeats.most_common() if sender in readers]
    if not known:
        raise UserError(
            f"{shown(path)} holds no heartbeat of an autopilot; give the log of a ground station in flight."
        )
    count, vehicle = known[0]
    builder = readers[vehicle].finished()
    if len(known) > 1:
        builder.note(
            f"{len(known)} autopilots speak in it: the one that spoke most was taken (system {vehicle[0]}, {count} "
            "heartbeats)."
        )
    if damaged:
        builder.note(f"{damaged} pieces in it are no MAVLink (a cut end, a damaged copy): passed over.")
    return builder.built()


def _messages(path: Path) -> Iterator[tuple[Any, int]]:
    """(message, us since 1970) of every packet, what is no packet included; ends where the file does."""
    from pymavlink import mavutil
    from pymavlink.dialects.v20 import ardupilotmega

    gnss_integrity.add_to(ardupilotmega)
    log = mavutil.mavlogfile(str(path))
    log.first_byte = False  # MAVLink 2's parser reads the older packets too; the library would choose by the first one
    log.mav = ardupilotmega.MAVLink(log)
    log.mav.robust_parsing = True
    last_us = 0
    try:
        while True:
            try:
                message = log.recv_msg()
            except (struct.error, ValueError, IndexError, TypeError, UnicodeError):
                continue  # each failure takes bytes: the file's end comes
            if message is None:
                if log.f.tell() >= log.filesize:
                    return
                continue
            stamp_us = round(message._timestamp * 1e6)
            last_us = stamp_us if STAMP_US[0] < stamp_us < STAMP_US[1] else last_us
            if last_us:
                yield message, last_us
    finally:
        log.close()


class _LogClock(ClockAlignment):
    """The autopilot's clock on the log's: one offset from each start of the autopilot on, the least delay of its
    first seconds. In a log, unlike in flight, packets that came late or in another order are put where they belong."""

    def __init__(self) -> None:
        super().__init__()
        self._offset_ns: int | None = None
        self._first_ns = self._newest_ns = self._arrival_ns = 0
        self._lately: deque[tuple[int, int]] = deque()  # (arrival, arrival minus boot), each the least of what follows

    def time_ns(self, boot_ns: int, now_ns: int) -> int:
        """t_ns of a moment of the autopilot's clock, told by the message that has arrived."""
        del now_ns
        if self._offset_ns is not None and boot_ns < self._newest_ns - RESTART_NS:
            self.reboots += 1
            self._offset_ns = None
        apart_ns = self._arrival_ns - boot_ns
        if self._offset_ns is None or abs(apart_ns - self._offset_ns) > AWAY_NS:
            self._lately.clear()
        while self._lately and self._lately[-1][1] >= apart_ns:
            self._lately.pop()
        self._lately.append((self._arrival_ns, apart_ns))
        if self._offset_ns is None or abs(apart_ns - self._offset_ns) > AWAY_NS:
            self._offset_ns, self._first_ns, self._newest_ns = apart_ns, boot_ns, boot_ns
        elif boot_ns - self._first_ns < LEARNING_NS:
            self._offset_ns = min(self._offset_ns, apart_ns)
        self._newest_ns = max(self._newest_ns, boot_ns)
        return boot_ns + self._offset_ns

    def arrived(self, arrival_ns: int) -> int:
        """A message has arrived: t_ns of what it tells without a time of its own, on the autopilot's clock as that
        runs by now."""
        self._arrival_ns = arrival_ns
        while len(self._lately) > 1 and self._lately[0][0] < arrival_ns - LATELY_NS:
            self._lately.popleft()
        if self._offset_ns is None or not self._lately:
            return arrival_ns
        return max(arrival_ns - (self._lately[0][1] - self._offset_ns), 0)


class _Reader:
    """One MAVLink message after the other into the builder."""

    def __init__(self, builder: LogBuilder, first_us: int) -> None:
        self._out = builder
        builder.begin(first_us * 1000)
        self._clock = _LogClock()
        self._decoder = TelemetryDecoder(self._clock)
        self._reboots = 0
        self._receivers = Receivers()

    def take(self, m: Any, arrival_us: int) -> None:
        """Convert one message of the vehicle."""
        now_ns = self._clock.arrived(self._out.clock(arrival_us * 1000))
        kind = m.get_type()
        if kind == "HEARTBEAT":
            self._out.arm(bool(m.base_mode & ARMED))
        elif kind in PICTURES:
            self._out.picture(self._stamped(m, now_ns))
        elif kind == "CAMERA_TRIGGER":
            self._out.trigger(self._stamped(m, now_ns))
        elif kind == "PARAM_VALUE":
            if self._receivers.parameter(m.param_id, m.param_value):
                self._decoder.watch_receiver(self._receivers.instance)
                self._out.drop_gps()
        elif kind == "STATUSTEXT":
            self._out.texts.append(LogText(now_ns, shown(m.text, 120)))
        for found in self._decoder.decode(m, now_ns):
            if isinstance(found, GpsSample):
                self._out.gps(_with_accuracy(found, m))
            elif not isinstance(found, Alert | RelocHint):
                self._out.messages.append(replace(found, t_ns=max(found.t_ns, 0)))
        if self._clock.reboots != self._reboots:
            self._reboots = self._clock.reboots
            self._out.break_here(now_ns)
            self._out.note("the autopilot was started again in it: each part is taken for itself.")
        if self._out.own_origin is None and self._decoder.last_position is not None:
            self._out.own_origin = replace(self._decoder.last_position, t_ns=max(self._decoder.last_position.t_ns, 0))

    def finished(self) -> LogBuilder:
        """After the last message."""
        for _ in range(self._decoder.malformed):
            self._out.refuse("messages")
        if self._receivers.sentence():
            self._out.note(self._receivers.sentence())
        return self._out

    def _stamped(self, m: Any, now_ns: int) -> int:
        """The time that a camera message tells of itself, on our clock; else that of its arrival."""
        boot_ms = getattr(m, "time_boot_ms", 0)
        return max(self._clock.time_ns(boot_ms * 1_000_000, now_ns), 0) if boot_ms else now_ns


def _with_accuracy(sample: GpsSample, m: Any) -> GpsSample:
    """The accuracy by the geometry too: older logs tell nothing else."""
    hdop = m.eph / 100.0 if m.eph not in (0, UNKNOWN_16) else None
    told_m = m.h_acc / 1000.0 if m.h_acc else None
    accuracy_m = horizontal_accuracy_m(told_m, hdop)
    if sample.fix_type < FixType.FIX_2D and not math.isfinite(accuracy_m):
        return sample
    return replace(sample, t_ns=max(sample.t_ns, 0), horizontal_accuracy_m=accuracy_m)
