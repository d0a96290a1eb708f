"""Whether the autopilot uses what we send: GPS_INPUT is never acknowledged, so its own words are compared; pure."""

from __future__ import annotations

import math

from gps_denied_onboard.autopilot.mavlink.telemetry import EKF_POSITION_ABSOLUTE
from gps_denied_onboard.messages import Alert, FixType, NavState, Severity

ECHO_AFTER_NS = 5_000_000_000
"""How long the autopilot may take to show our first position as that of its receiver."""
ECHO_OFF_M = 100.0
METRES_PER_DEGREE = 111_320.0
EKF_GPS_GLITCH = 32768


class GpsInputMonitor:
    """Compares our positions with the receiver `gps_id` that the autopilot reports, and follows its filter's flags.

    Each method gives an alert when something has changed. `taken` is None until there is something to tell by.
    """

    def __init__(self, gps_id: int) -> None:
        self._gps_id = gps_id
        self._sent: NavState | None = None
        self._fix_since_ns: int | None = None
        self._ekf_flags: int | None = None
        self.taken: bool | None = None

    def on_sent(self, state: NavState) -> None:
        """A position has left for the autopilot."""
        if state.fix_type <= FixType.NONE:
            self._fix_since_ns = None
        elif self._fix_since_ns is None:
            self._fix_since_ns = state.t_ns
        self._sent = state

    def on_receiver(self, now_ns: int, fix_type: int, latitude_deg: float, longitude_deg: float) -> list[Alert]:
        """What the autopilot says of the receiver that we are."""
        sent = self._sent
        if sent is None or self._fix_since_ns is None or now_ns - self._fix_since_ns < ECHO_AFTER_NS:
            return []
        off_m = apart_m(sent, latitude_deg, longitude_deg)
        taken = fix_type >= FixType.FIX_2D and off_m <= ECHO_OFF_M
        if taken is self.taken:
            return []
        self.taken = taken
        if taken:
            return [Alert(now_ns, Severity.NOTICE, f"the autopilot takes our position as GPS {self._gps_id + 1}")]
        why = f"it shows fix {fix_type}" if fix_type < FixType.FIX_2D else f"it shows another one, {off_m:.0f} m away"
        text = f"the autopilot does not take our position as GPS {self._gps_id + 1}: {why}"
        return [Alert(now_ns, Severity.ERROR, text)]

    def on_filter(self, now_ns: int, flags: int) -> list[Alert]:
        """The flags of EKF_STATUS_REPORT."""
        before, self._ekf_flags = self._ekf_flags, flags
        out: list[Alert] = []
        if before is None:
            return out
        if (before ^ flags) & EKF_POSITION_ABSOLUTE:
            has = bool(flags & EKF_POSITION_ABSOLUTE)
            text = "the autopilot's filter has a position" if has else "the autopilot's filter has lost its position"
            out.append(Alert(now_ns, Severity.NOTICE if has else Severity.ERROR, text))
        if flags & ~before & EKF_GPS_GLITCH:
            out.append(Alert(now_ns, Severity.ERROR, "the autopilot's filter takes a GPS for glitching"))
        return out


def apart_m(state: NavState, latitude_deg: float, longitude_deg: float) -> float:
    """Distance on a flat earth: near enough to tell another place from ours."""
    north_deg = latitude_deg - state.latitude_deg
    east_deg = (longitude_deg - state.longitude_deg + 180.0) % 360.0 - 180.0
    east_deg *= math.cos(math.radians(state.latitude_deg))
    return METRES_PER_DEGREE * math.hypot(north_deg, east_deg)
