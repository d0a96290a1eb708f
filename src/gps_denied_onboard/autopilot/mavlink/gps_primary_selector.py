"""Which of its GPS receivers the autopilot is to follow, and making sure that it does; pure.

With GPS_AUTO_SWITCH 0 ArduPilot follows GPS_PRIMARY alone, whatever the receivers say: so it never falls back to a
forged one when we have no position ourselves. PARAM_VALUE confirms a change; until then it is asked for again.
The autopilot keeps the parameter when it is switched off, and a take-off place is no position for long: until the map
has shown us where we are it is on its own receiver, if it is disarmed, and in flight stays on what it has.
"""

from __future__ import annotations

import math

from gps_denied_onboard.messages import Alert, FixType, GpsHealth, NavState, PositionSource, Severity, SourceLabel

PARAMETER = "GPS_PRIMARY"
ASK_AGAIN_NS = 250_000_000
TELL_UNCONFIRMED_NS = 3_000_000_000


class GpsPrimarySelector:
    """Follows NavState.position_source. `gps_id` is the instance that we are, `real_gps_id` the real one (-1: none)."""

    def __init__(self, gps_id: int, real_gps_id: int) -> None:
        self._ours, self._real = gps_id, real_gps_id
        self._wanted: int | None = None
        self._confirmed: int | None = None
        self._asked_ns = 0
        self._wanted_ns = 0
        self._told = False
        self._anchored = False

    @property
    def confirmed(self) -> int | None:
        """The instance that the autopilot said it follows; None before it said any."""
        return self._confirmed

    def on_state(self, now_ns: int, state: NavState, armed: bool | None = None) -> int | None:
        """The value to set GPS_PRIMARY to now; None for nothing to do. `armed`: its motors, None: unknown."""
        self._anchored |= state.source_label is SourceLabel.SATELLITE_ANCHORED
        wanted = self._wanted_by(state, armed)
        if wanted is not None and wanted != self._wanted:
            self._wanted, self._wanted_ns, self._asked_ns, self._told = wanted, now_ns, 0, False
        if self._wanted is None or self._wanted == self._confirmed or now_ns - self._asked_ns < ASK_AGAIN_NS:
            return None
        self._asked_ns = now_ns
        return self._wanted

    def on_parameter(self, now_ns: int, name: str, value: float) -> list[Alert]:
        """A PARAM_VALUE of the autopilot."""
        if name != PARAMETER or not math.isfinite(value):
            return []
        before, self._confirmed = self._confirmed, round(value)
        if self._confirmed == before:
            return []
        if self._confirmed != self._wanted:
            return [self._set_by_another(now_ns, before)] if before is not None else []
        whom = "our position" if self._confirmed == self._ours else "its own GPS"
        return [
            Alert(now_ns, Severity.WARNING, f"the autopilot follows {whom} (GPS {self._confirmed + 1})", always=True)
        ]

    def _set_by_another(self, now_ns: int, before: int) -> Alert:
        """The autopilot uses a receiver that was not asked for here: a ground station or its pilot chose it."""
        text = f"somebody else set {PARAMETER} from {before} to {self._confirmed}"
        asks = self._wanted is not None
        return Alert(now_ns, Severity.ERROR, f"{text}; asking for {self._wanted} again" if asks else text, always=True)

    def on_time(self, now_ns: int) -> list[Alert]:
        """An alert once the autopilot has not confirmed for too long."""
        waits = self._wanted is not None and self._wanted != self._confirmed
        if not waits or self._told or now_ns - self._wanted_ns < TELL_UNCONFIRMED_NS:
            return []
        self._told = True
        return [
            Alert(now_ns, Severity.CRITICAL, f"the autopilot does not confirm {PARAMETER} {self._wanted}", always=True)
        ]

    def forget(self) -> None:
        """After a restart of the autopilot: what it confirmed may be gone."""
        self._confirmed = None

    def _wanted_by(self, state: NavState, armed: bool | None) -> int | None:
        """Ours when we have a full fix or its GPS is known to be bad; its own when the gate let that through."""
        if self._real < 0:
            return None
        if state.position_source is PositionSource.GPS:
            return self._real
        if not self._anchored:
            return self._real if armed is False else None
        bad = state.gps_health in (GpsHealth.SPOOFED, GpsHealth.DEGRADED)
        return self._ours if state.fix_type >= FixType.FIX_3D or bad else None
