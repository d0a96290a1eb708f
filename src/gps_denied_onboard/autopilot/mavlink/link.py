"""The link to an ArduPilot while flying: polled by one loop, never blocking, opened again when it dies."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

from gps_denied_onboard.autopilot.gps_input_monitor import GpsInputMonitor
from gps_denied_onboard.autopilot.mavlink import gnss_integrity
from gps_denied_onboard.autopilot.mavlink.clock import ClockAlignment
from gps_denied_onboard.autopilot.mavlink.connection import MavlinkConnection
from gps_denied_onboard.autopilot.mavlink.gps_primary_selector import PARAMETER, GpsPrimarySelector
from gps_denied_onboard.autopilot.mavlink.latency import DRIFT_MS, TELL_AGAIN_NS, LatencyMeter
from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.telemetry import GPS_MESSAGES, Received, TelemetryDecoder
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import Alert, NavState, Severity

HEARTBEAT_NS = 1_000_000_000
ASK_AGAIN_NS = 5_000_000_000
TIMESYNC_NS = 1_000_000_000
LATENCY_NS = 1_000_000_000
SILENT_NS = 3_000_000_000
"""An autopilot that is not heard for this long is told as silent."""
ENOUGH = 0.7
"""A message that comes at less than this part of the wanted rate is asked for again."""
LESS = 0.4
RATE_HZ_MIN = 10.0
"""A message that comes too seldom even for LESS of its rate is asked for at that: ArduPilot refuses more than 0.8 of
its loop's rate (40 Hz of a plane's 50), and leaves the message as it was."""
_AUTOPILOT_COMPONENT = 1
_NO_AUTOPILOT = 8
_ARMED = 128
LATENCY_NAME = "nav_dly_ms"

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
    gnss_integrity.NAME: 1.0,
}


class ArduPilotLink:
    """Telemetry in, positions out, over one MAVLink address.

    Call `poll` often (each few milliseconds): messages without a time of their own are stamped with it. One writer:
    whoever polls. The autopilot is the component 1 of our own system id; other systems are passed over. `gps_id` is
    the receiver that we are, `real_gps_id` the one that is watched (-1: there is none), `gps_delay_ms` the delay that
    the autopilot was told of us.
    """

    def __init__(
        self,
        port: MavlinkConnection,
        encoder: MavlinkEncoder,
        *,
        gps_id: int = 0,
        real_gps_id: int = 1,
        gps_delay_ms: int = 20,
    ) -> None:
        if gps_id not in (0, 1) or real_gps_id not in (-1, 0, 1) or gps_id == real_gps_id:
            raise UserError(
                f"autopilot.gps_id {gps_id} and autopilot.real_gps_id {real_gps_id} cannot be: one of them is 0, the "
                "other 1; real_gps_id is -1 where no other GPS is wired."
            )
        self.port = port
        port.hold_one = True
        port.speaks_as = lambda message: self._source(message) == (encoder.system_id, _AUTOPILOT_COMPONENT)
        self._encoder = encoder
        self._our_gps = GPS_MESSAGES[gps_id]
        self.clock = ClockAlignment()
        self.decoder = TelemetryDecoder(self.clock, real_gps_id)
        self.latency = LatencyMeter(gps_delay_ms)
        self.monitor = GpsInputMonitor(gps_id)
        self.primary = GpsPrimarySelector(gps_id, real_gps_id)
        self.messages = 0
        self.positions = 0
        self._autopilot: tuple[int, int] | None = None
        self._beat: tuple[int, bool] | None = None  # when it last beat, and whether it was armed
        self._heard: Counter[str] = Counter()  # since the rates were last asked for
        self._rates_hz = dict(RATES_HZ)
        self._in_vain: Counter[str] = Counter()  # rounds without any; of one that it does not have it tells the ground
        self._asked = False
        self._next_heartbeat_ns = self._next_timesync_ns = self._next_request_ns = self._next_latency_ns = 0
        self._opened = self._reboots = 0
        self._clock_told_ns = -TELL_AGAIN_NS
        self._heard_ns: int | None = None
        self._silent = False
        self._strangers: set[int] = set()

    def poll(self, now_ns: int) -> list[Received]:
        """Everything that has arrived, oldest first, and alerts about the link; sends what is due."""
        messages = self.port.receive(now_ns)
        if self.port.link.opened != self._opened:
            self._opened = self.port.link.opened
            self._ask_for_all(now_ns)
        out: list[Received] = [*self.port.alerts(now_ns, "autopilot link"), *self._changes(now_ns)]
        for message in messages:
            out += self._on_message(message, now_ns)
        self._send_due(now_ns)
        return out

    def send_position(self, now_ns: int, state: NavState) -> list[Alert]:
        """Send GPS_INPUT of a state, and see to it that the autopilot follows whom the state says.

        Alerts tell that it was withheld, is late, or is not followed.
        """
        packet = self._encoder.gps_input(self._as_sure_as_the_clock(state))
        if isinstance(packet, Alert):
            return [packet]
        if not self.port.send(now_ns, packet):
            return []
        self.positions += 1
        self.monitor.on_sent(state)
        late = self.latency.on_sent(state.t_ns, now_ns, self.clock.round_trip_ns)
        primary = self.primary.on_state(now_ns, state, self.armed(now_ns))
        if primary is not None and self._autopilot is not None:
            self.port.send(now_ns, self._encoder.set_parameter(*self._autopilot, PARAMETER, primary))
        return [*([late] if late is not None else []), *self.primary.on_time(now_ns)]

    def _as_sure_as_the_clock(self, state: NavState) -> NavState:
        """The same with the way that the aircraft makes in the time by which the clocks may differ."""
        residual_ns = self.clock.residual_ns
        if residual_ns is None:
            return state
        way_m = math.hypot(*state.velocity_ned_mps[:2]) * residual_ns / 1e9
        return replace(state, horizontal_accuracy_m=math.hypot(state.horizontal_accuracy_m, way_m))

    def armed(self, now_ns: int) -> bool | None:
        """Whether the motors are armed; None where it has not said so lately."""
        return None if self._beat is None or now_ns - self._beat[0] > SILENT_NS else self._beat[1]

    def waits_for(self, now_ns: int) -> str:
        """What of the autopilot is waited for on an open link, in words; "" while it is heard."""
        if self._autopilot is None:
            strangers = ", ".join(map(str, sorted(self._strangers)))
            others = f" (heard: system {strangers})" if strangers else ""
            return f"waiting for a heartbeat of system {self._encoder.system_id}{others}"
        silent = self._heard_ns is None or now_ns - self._heard_ns > SILENT_NS
        return f"system {self._encoder.system_id} is silent" if silent else ""

    def counts(self) -> dict[str, int]:
        """Counters for the log."""
        delay_ms, residual_ns = self.latency.median_ms, self.clock.residual_ns
        return {
            "positions": self.positions,
            "heard": self.messages,
            "malformed": self.decoder.malformed,
            "reboots": self.clock.reboots,
            "delay_ms": -1 if delay_ms is None else round(delay_ms),
            "clock_residual_us": -1 if residual_ns is None else residual_ns // 1000,
            **self.port.counts(),
        }

    def close(self) -> None:
        """Close the port."""
        self.port.close()

    @staticmethod
    def _source(message: Any) -> tuple[int, int]:
        return message.get_srcSystem(), message.get_srcComponent()

    def _on_message(self, message: Any, now_ns: int) -> list[Received]:
        self.messages += 1
        kind = message.get_type()
        source = self._source(message)
        if source == (self._encoder.system_id, self._encoder.component_id):
            return []  # our own words, come back over a router
        if kind == "STATUSTEXT":  # from the ground, through the autopilot; the autopilot itself has no hints to give
            return [] if source == self._autopilot else self.decoder.decode(message, now_ns)
        if kind == "HEARTBEAT":
            return self._on_heartbeat(message, source, now_ns)
        if source != (self._autopilot or (self._encoder.system_id, _AUTOPILOT_COMPONENT)):
            return []
        self._heard_ns = now_ns
        if kind == "TIMESYNC":
            return self._on_timesync(message, now_ns)
        if kind in RATES_HZ:
            self._heard[kind] += 1
        if kind == "EKF_STATUS_REPORT":
            return [*self.monitor.on_filter(now_ns, message.flags), *self.decoder.decode(message, now_ns)]
        if kind == "PARAM_VALUE":
            return [*self.primary.on_parameter(now_ns, message.param_id, message.param_value)]
        told = self._echo(message, now_ns) if kind == self._our_gps else []
        return [*told, *self.decoder.decode(message, now_ns)]

    def _echo(self, message: Any, now_ns: int) -> list[Alert]:
        return self.monitor.on_receiver(now_ns, message.fix_type, message.lat / 1e7, message.lon / 1e7)

    def _on_heartbeat(self, message: Any, source: tuple[int, int], now_ns: int) -> list[Received]:
        if source[1] != _AUTOPILOT_COMPONENT or message.autopilot == _NO_AUTOPILOT:
            return []
        if source[0] != self._encoder.system_id:
            if source[0] in self._strangers or self._autopilot is not None:
                return []
            self._strangers.add(source[0])
            text = f"an autopilot with system id {source[0]} is heard, not {self._encoder.system_id}: see system_id"
            return [Alert(now_ns, Severity.WARNING, text)]
        self._heard_ns = now_ns
        self._beat = (now_ns, bool(message.base_mode & _ARMED))
        if self._autopilot != source:
            self._autopilot = source
            self._ask_for_all(now_ns)
        return []

    def _on_timesync(self, message: Any, now_ns: int) -> list[Received]:
        if message.tc1 == 0:
            self.port.send(now_ns, self._encoder.timesync(message.ts1, now_ns))
        elif 0 < message.ts1 <= now_ns:
            self.clock.on_answer(message.ts1, message.tc1, now_ns)
            residual_ns = self.clock.residual_ns or 0
            if residual_ns > DRIFT_MS * 1e6 and now_ns >= self._clock_told_ns + TELL_AGAIN_NS:
                self._clock_told_ns = now_ns
                return [
                    Alert(
                        now_ns,
                        Severity.WARNING,
                        f"autopilot's clock known to {residual_ns / 1e6:.0f} ms only: check the link",
                    )
                ]
        return []

    def _changes(self, now_ns: int) -> list[Alert]:
        """Alerts when the autopilot fell silent, spoke again, or its clock began anew."""
        out: list[Alert] = []
        silent = self._heard_ns is not None and now_ns - self._heard_ns > SILENT_NS
        if silent is not self._silent:
            self._silent = silent
            text = "the autopilot is silent" if silent else "the autopilot is heard again"
            out.append(Alert(now_ns, Severity.ERROR if silent else Severity.NOTICE, text))
            if not silent:
                self._ask_for_all(now_ns)
        if self.clock.reboots != self._reboots:
            self._reboots = self.clock.reboots
            self.primary.forget()
            self._ask_for_all(now_ns)
            out.append(Alert(now_ns, Severity.WARNING, "the autopilot has restarted: clock aligned anew"))
        return out

    def _ask_for_all(self, now_ns: int) -> None:
        self._heard.clear()
        self._asked = False
        self._in_vain.clear()
        self._rates_hz = dict(RATES_HZ)
        self._next_request_ns = now_ns

    def _send_due(self, now_ns: int) -> None:
        if not self.port.link.alive:
            return
        if now_ns >= self._next_heartbeat_ns:
            self._next_heartbeat_ns = now_ns + HEARTBEAT_NS
            self.port.send(now_ns, self._encoder.heartbeat())
        if now_ns >= self._next_timesync_ns:
            self._next_timesync_ns = now_ns + TIMESYNC_NS
            self.port.send(now_ns, self._encoder.timesync(0, now_ns))
        delay_ms = self.latency.median_ms
        if delay_ms is not None and now_ns >= self._next_latency_ns:
            self._next_latency_ns = now_ns + LATENCY_NS
            self.port.send(now_ns, self._encoder.named_value(now_ns, LATENCY_NAME, delay_ms))
        if self._autopilot is not None and now_ns >= self._next_request_ns:
            self._next_request_ns = now_ns + ASK_AGAIN_NS
            self._ask_for_rates(self._autopilot, now_ns)

    def _ask_for_rates(self, autopilot: tuple[int, int], now_ns: int) -> None:
        for name, asked_hz in self._rates_hz.items():
            heard_hz = self._heard[name] / (ENOUGH * ASK_AGAIN_NS / 1e9)
            rate_hz = min(asked_hz, max(asked_hz * LESS, RATE_HZ_MIN))
            if not self._asked or heard_hz >= rate_hz:
                rate_hz = asked_hz
            self._rates_hz[name] = rate_hz
            self._in_vain[name] = 0 if heard_hz else self._in_vain[name] + 1
            seldom = self._in_vain[name] & (self._in_vain[name] - 1)  # neither 0 nor a power of two
            if heard_hz < rate_hz and not seldom:
                number = getattr(self.port.dialect, f"MAVLINK_MSG_ID_{name}")
                self.port.send(now_ns, self._encoder.set_message_interval(*autopilot, number, rate_hz))
        self._heard.clear()
        self._asked = True
