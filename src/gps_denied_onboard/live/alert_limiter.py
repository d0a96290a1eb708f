"""Which alerts go over the air: the same one not more often than its severity deserves; pure."""

from __future__ import annotations

from gps_denied_onboard.messages import Alert

KEY_CHARACTERS = 20
INTERVAL_S = (1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 5.0, 5.0)
"""Seconds between two alerts that begin alike, by MAVLink severity (0 emergency .. 7 debug)."""


class AlertLimiter:
    """Holds back repetitions. Two alerts are alike when their severity and first KEY_CHARACTERS characters are."""

    def __init__(self) -> None:
        self._sent_ns: dict[tuple[int, str], int] = {}
        self.held_back = 0

    def allows(self, alert: Alert) -> bool:
        """Whether `alert` is to be sent now; one that is marked `always` is."""
        severity = min(max(alert.severity, 0), 7)
        key = (severity, alert.text[:KEY_CHARACTERS])
        last_ns = self._sent_ns.get(key)
        if not alert.always and last_ns is not None and 0 <= alert.t_ns - last_ns < INTERVAL_S[severity] * 1e9:
            self.held_back += 1
            return False
        self._sent_ns[key] = alert.t_ns
        if len(self._sent_ns) > 256:
            del self._sent_ns[min(self._sent_ns, key=self._sent_ns.__getitem__)]
        return True
