"""The link to a MAVLink autopilot while flying: polled by one loop, never blocking, opened again when it dies."""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

from gps_denied_onboard.autopilot.clock import ClockAlignment
from gps_denied_onboard.autopilot.mavlink import MavlinkEncoder
from gps_denied_onboard.autopilot.telemetry import Received, TelemetryDecoder
from gps_denied_onboard.autopilot.transport import ReopeningLink
from gps_denied_onboard.messages import Alert, NavState

HEARTBEAT_NS = 1_000_000_000
ASK_AGAIN_NS = 5_000_000_000
ENOUGH = 0.7
"""A message that comes at less than this part of the wanted rate is asked for again."""
_AUTOPILOT_COMPONENT = 1

RATES_HZ: dict[str, float] = {
    "HIGHRES_IMU": 100.0,
    "RAW_IMU": 100.0,
    "ATTITUDE_QUATERNION": 25.0,
    "VFR_HUD": 10.0,
    "SCALED_PRESSURE": 10.0,
    "GPS_RAW_INT": 5.0,
    "GPS2_RAW": 5.0,
    "GLOBAL_POSITION_INT": 2.0,
    "SYSTEM_TIME": 1.0,
    "DISTANCE_SENSOR": 10.0,
    "EKF_STATUS_REPORT": 1.0,
}
TIMESYNC_NS = 1_000_000_000


class AutopilotLink:
    """Telemetry in, positions out, over one address (see transport.opener).

    Call `poll` often (each few milliseconds): messages without a time of their own are stamped with it. `bad_bytes`
    counts what was no MAVLink, `decoder.malformed` messages with impossible numbers. One writer: whoever polls.
    """

    def __init__(self, address: str, encoder: MavlinkEncoder, *, real_gps_instance: int = 0) -> None:
        from pymavlink.dialects.v20 import ardupilotmega

        self._dialect: Any = ardupilotmega
        self._link = ReopeningLink(address)
        self._encoder = encoder
        self._parser = self._new_parser()
        self.clock = ClockAlignment()
        self.decoder = TelemetryDecoder(self.clock, real_gps_instance)
        self.bad_bytes = 0
        self.messages = 0
        self._autopilot: tuple[int, int] | None = None
        self._heard: Counter[str] = Counter()  # since the rates were last asked for
        self._next_heartbeat_ns = self._next_timesync_ns = self._next_request_ns = 0
        self._opened = self._reboots = 0
        self._was_alive: bool | None = None

    @property
    def transport(self) -> ReopeningLink:
        """The link below, for its counters."""
        return self._link

    def poll(self, now_ns: int) -> list[Received]:
        """Everything that has arrived, oldest first, and alerts about the link; sends what is due."""
        out: list[Received] = []
        data = self._link.receive(now_ns)
        if self._link.opened != self._opened:
            self._opened = self._link.opened
            self._parser = self._new_parser()
            self._ask_for_all(now_ns)
        out += self._changes(now_ns)
        for message in self._parsed(data):
            out += self._on_message(message, now_ns)
        self._send_due(now_ns)
        return out

    def send_position(self, now_ns: int, state: NavState) -> Alert | None:
        """Send GPS_INPUT of a state; an Alert when it was withheld."""
        packet = self._encoder.gps_input(state)
        if isinstance(packet, Alert):
            return packet
        self._link.send(now_ns, packet)
        return None

    def send_label(self, now_ns: int, state: NavState) -> None:
        """Send the source label of a state."""
        self._link.send(now_ns, self._encoder.source_label(state))

    def send_alert(self, now_ns: int, alert: Alert) -> None:
        """Send an alert as STATUSTEXT."""
        for packet in self._encoder.statustext(alert):
            self._link.send(now_ns, packet)

    def close(self) -> None:
        self._link.close()

    def _new_parser(self) -> Any:
        parser = self._dialect.MAVLink(None)
        parser.robust_parsing = True
        return parser

    def _parsed(self, data: bytes) -> list[Any]:
        if not data:
            return []
        try:
            found = self._parser.parse_buffer(data) or []
        except (self._dialect.MAVError, struct.error, ValueError, IndexError, UnicodeDecodeError):
            self.bad_bytes += len(data)
            self._parser = self._new_parser()
            return []
        good = []
        for message in found:
            if message.get_type() == "BAD_DATA":
                self.bad_bytes += len(message.data)
            else:
                good.append(message)
        return good

    def _on_message(self, message: Any, now_ns: int) -> list[Received]:
        self.messages += 1
        kind = message.get_type()
        source = (message.get_srcSystem(), message.get_srcComponent())
        if kind == "STATUSTEXT":  # from the ground, through the autopilot
            return self.decoder.decode(message, now_ns)
        if kind == "HEARTBEAT" and source[1] == _AUTOPILOT_COMPONENT and message.autopilot != 8:
            if self._autopilot != source:
                self._autopilot = source
                self._ask_for_all(now_ns)
            return []
        if self._autopilot is not None and source != self._autopilot:
            return []
        if kind == "TIMESYNC":
            self._on_timesync(message, now_ns)
            return []
        self._heard[kind] += 1
        if kind == "SYSTEM_TIME":
            self.clock.time_ns(message.time_boot_ms * 1_000_000, now_ns)
            return []
        return self.decoder.decode(message, now_ns)

    def _on_timesync(self, message: Any, now_ns: int) -> None:
        if message.tc1 == 0:
            self._link.send(now_ns, self._encoder.timesync(message.ts1, now_ns))
        elif 0 < message.ts1 <= now_ns:
            self.clock.on_answer(message.ts1, message.tc1, now_ns)

    def _changes(self, now_ns: int) -> list[Received]:
        """Alerts when the link or the autopilot's clock changed."""
        out: list[Received] = []
        if self._was_alive is not None and self._was_alive != self._link.alive:
            text = "autopilot link is back" if self._link.alive else f"autopilot link is dead: {self._link.last_error}"
            out.append(Alert(now_ns, 5 if self._link.alive else 3, text))
        self._was_alive = self._link.alive
        if self.clock.reboots != self._reboots:
            self._reboots = self.clock.reboots
            self._ask_for_all(now_ns)
            out.append(Alert(now_ns, 4, "the autopilot has restarted: clock aligned anew"))
        return out

    def _ask_for_all(self, now_ns: int) -> None:
        self._heard.clear()
        self._next_request_ns = now_ns

    def _send_due(self, now_ns: int) -> None:
        if not self._link.alive:
            return
        if now_ns >= self._next_heartbeat_ns:
            self._next_heartbeat_ns = now_ns + HEARTBEAT_NS
            self._link.send(now_ns, self._encoder.heartbeat())
        if now_ns >= self._next_timesync_ns:
            self._next_timesync_ns = now_ns + TIMESYNC_NS
            self._link.send(now_ns, self._encoder.timesync(0, now_ns))
        if self._autopilot is not None and now_ns >= self._next_request_ns:
            self._next_request_ns = now_ns + ASK_AGAIN_NS
            for name, rate_hz in RATES_HZ.items():
                if self._heard[name] < rate_hz * ENOUGH * ASK_AGAIN_NS / 1e9:
                    number = getattr(self._dialect, f"MAVLINK_MSG_ID_{name}")
                    self._link.send(now_ns, self._encoder.set_message_interval(*self._autopilot, number, rate_hz))
            self._heard.clear()
