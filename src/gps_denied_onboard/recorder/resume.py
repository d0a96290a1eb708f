"""The last position of a flight that broke off, for a companion that starts again in the air (AC-5.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import FixType, NavState, TakeoffOrigin
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import ClockRecord, HeaderRecord

FLIGHTS_BACK = 5
"""A companion that starts several times in vain leaves flights without a position."""
LAST_S = 20.0
"""How much of a flight's end is looked at."""
REBOOT_S = 15.0
"""A reboot takes this long at least, whatever the clock says after it."""
CLIMB_MPS = 4.0
SIGMAS_95 = 2.4477


@dataclass(frozen=True, slots=True)
class Resumable:
    """The last position that was told, `age_s` ago."""

    flight_id: str
    state: NavState
    age_s: float


def find_resumable(root: Path, config: RecorderConfig, now_ns: int, utc_now_ns: int, boot_id: str) -> Resumable | None:
    """The newest flight that has a position and no clean end, if it is young enough; None otherwise.

    After a reboot the age is by the machine's clock, which may stand still while there is no power: whoever uses it
    makes sure that the aircraft is in the air now.
    """
    flights = sorted((entry for entry in root.glob("*Z-*") if entry.is_dir()), reverse=True) if root.is_dir() else []
    for folder in flights[:FLIGHTS_BACK]:
        try:
            end = _end_of(FlightReader(folder))
        except (UserError, OSError):  # nothing was recorded before the power was cut, or the disk gives nothing back
            continue
        if end is not None and end.clean:
            return None
        if end is None or end.state is None:
            continue
        age_s = _age_s(end.state, end.clock, end.header.boot_id == boot_id != "", now_ns, utc_now_ns)
        young = age_s is not None and 0.0 <= age_s <= config.resume_age_s_max
        return Resumable(end.header.flight_id, end.state, age_s) if age_s is not None and young else None
    return None


@dataclass(frozen=True, slots=True)
class _End:
    """How a flight ended: its last position that had a place, and the last word on the clock."""

    header: HeaderRecord
    clean: bool
    state: NavState | None
    clock: ClockRecord | None


def _end_of(reader: FlightReader) -> _End | None:
    """None for what is no flight, or one without a record."""
    end_ns, header = reader.end_ns, reader.first("header")
    if end_ns is None or not isinstance(header, HeaderRecord):
        return None
    footer = reader.footer()
    state: NavState | None = None
    clock: ClockRecord | None = None
    for message in reader.messages({"navstate", "clock"}, end_ns - round(LAST_S * 1e9)):
        if isinstance(message, ClockRecord):
            clock = message
        elif isinstance(message, NavState) and message.fix_type >= FixType.FIX_2D:
            state = message
    return _End(header, footer is not None and footer.clean_shutdown, state, clock)


def _age_s(state: NavState, clock: ClockRecord | None, same_boot: bool, now_ns: int, utc_now_ns: int) -> float | None:
    if same_boot:
        return (now_ns - state.t_ns) / 1e9
    if clock is None:
        return None
    age_s = (utc_now_ns - (clock.utc_ns + state.t_ns - clock.t_ns)) / 1e9
    return max(age_s, REBOOT_S) if age_s >= 0.0 else None


def resumed_origin(found: Resumable, t_ns: int, config: RecorderConfig) -> TakeoffOrigin:
    """Where the aircraft can be now: somewhere around the last position, further away the older that is."""
    state, age_s = found.state, found.age_s
    before_m = state.ellipse_semi_major_m / SIGMAS_95
    vertical_m = math.sqrt(max(state.covariance_enu_m2[8], 0.0))
    return TakeoffOrigin(
        t_ns,
        state.latitude_deg,
        state.longitude_deg,
        state.altitude_amsl_m,
        math.hypot(before_m, config.resume_speed_mps * age_s),
        math.hypot(vertical_m, CLIMB_MPS * age_s),
    )
