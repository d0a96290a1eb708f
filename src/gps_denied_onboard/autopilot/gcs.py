"""The ground station: where we are twice a second, every label, verdict, step and request as text; RELOC hints back."""

from __future__ import annotations

from gps_denied_onboard.autopilot.mavlink.connection import MavlinkConnection
from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder, why_not_sent
from gps_denied_onboard.autopilot.mavlink.telemetry import Received, parse_reloc
from gps_denied_onboard.messages import Alert, NavState

POSITION_NS = 500_000_000
HEARTBEAT_NS = 1_000_000_000
ELLIPSE_NAME = "nav_95_m"
ANCHOR_NAME = "nav_anch_s"
HEALTH_NAME = "nav_gps"
HEALTH_VALUES = {"UNKNOWN": 0.0, "STABLE_NON_SPOOFED": 1.0, "DEGRADED": 2.0, "SPOOFED": 3.0}


class GroundStation:
    """Speaks to the ground over a port. The autopilot's own port (`own` False) is polled and kept alive by its link.

    An ArduPilot forwards what we say to its other links, so a ground station needs no link of its own to us; it may
    have one, as with iNav, which forwards nothing.
    """

    def __init__(self, port: MavlinkConnection, encoder: MavlinkEncoder, *, own: bool) -> None:
        self.port = port
        self._encoder = encoder
        self._own = own
        if own:
            port.speaks_as = lambda message: message.get_srcSystem() != encoder.system_id
        self._next_position_ns = self._next_heartbeat_ns = 0

    def poll(self, now_ns: int) -> list[Received]:
        """Hints that have arrived over a port of our own, and alerts about it; the heartbeat when it is due."""
        if not self._own:
            return []
        out: list[Received] = []
        for message in self.port.receive(now_ns):
            source = (message.get_srcSystem(), message.get_srcComponent())
            if message.get_type() != "STATUSTEXT" or source == (self._encoder.system_id, self._encoder.component_id):
                continue
            hint = parse_reloc(str(message.text), now_ns, source)
            if hint is not None:
                out.append(hint)
        out += self.port.alerts(now_ns, "ground station link")
        if now_ns >= self._next_heartbeat_ns and self.port.link.alive:
            self._next_heartbeat_ns = now_ns + HEARTBEAT_NS
            self.port.send(now_ns, self._encoder.heartbeat())
        return out

    def send_state(self, now_ns: int, state: NavState) -> None:
        """Position, label, size of the 95 % ellipse, age of the last map fix, verdict on the GPS; every POSITION_NS.

        A state that may not go to the autopilot does not go to the ground either.
        """
        if now_ns < self._next_position_ns or why_not_sent(state):
            return
        self._next_position_ns = now_ns + POSITION_NS
        encoder = self._encoder
        self.port.send(now_ns, encoder.ground_position(state))
        self.port.send(now_ns, encoder.source_label(state))
        self.port.send(now_ns, encoder.protection_level(state))
        age_s = state.last_satellite_anchor_age_ms / 1000.0 if state.last_satellite_anchor_age_ms >= 0 else -1.0
        values = (
            (ELLIPSE_NAME, state.ellipse_semi_major_m),
            (ANCHOR_NAME, age_s),
            (HEALTH_NAME, HEALTH_VALUES[state.gps_health.value]),
        )
        for name, value in values:
            self.port.send(now_ns, encoder.named_value(state.t_ns, name, value))

    def send_alert(self, now_ns: int, alert: Alert) -> None:
        """An alert as STATUSTEXT."""
        for packet in self._encoder.statustext(alert):
            self.port.send(now_ns, packet)

    def counts(self) -> dict[str, int]:
        """Counters of a port of our own, for the log."""
        return {f"ground_{name}": count for name, count in self.port.counts().items()} if self._own else {}

    def close(self) -> None:
        """Close the port, if it is our own."""
        if self._own:
            self.port.close()
