"""How late a position is when the autopilot has it; pure."""

from __future__ import annotations

import statistics
from collections import deque

from gps_denied_onboard.messages import Alert, Severity

WINDOW = 50
DRIFT_MS = 40.0
"""A wrong delay of this much displaces the aircraft by 1 m at 25 m/s."""
TELL_AGAIN_NS = 60_000_000_000


class LatencyMeter:
    """Time from the moment that a position is of to its arrival: our way to the wire, and half of the link's way there
    and back. `set_ms` is the delay that the autopilot was told (GPS1_DELAY_MS); a median of WINDOW positions that is
    DRIFT_MS away from it is an alert.
    """

    def __init__(self, set_ms: int) -> None:
        self._set_ms = set_ms
        self._recent_ms: deque[float] = deque(maxlen=WINDOW)
        self._tell_ns = 0

    @property
    def median_ms(self) -> float | None:
        """Over the last WINDOW positions; None before the first."""
        return statistics.median(self._recent_ms) if self._recent_ms else None

    def on_sent(self, state_ns: int, sent_ns: int, round_trip_ns: int | None) -> Alert | None:
        """A position of `state_ns` was sent; the link's round trip as TIMESYNC has it, None where it is not known."""
        self._recent_ms.append((sent_ns - state_ns + (round_trip_ns or 0) / 2) / 1e6)
        median_ms = self.median_ms
        assert median_ms is not None
        if len(self._recent_ms) < WINDOW or abs(median_ms - self._set_ms) <= DRIFT_MS or sent_ns < self._tell_ns:
            return None
        self._tell_ns = sent_ns + TELL_AGAIN_NS
        text = f"position delay is {median_ms:.0f} ms, the autopilot was told {self._set_ms}: set GPS1_DELAY_MS"
        return Alert(sent_ns, Severity.WARNING, text)
