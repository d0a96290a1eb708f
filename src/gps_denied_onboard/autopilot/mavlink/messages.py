"""Our messages as MAVLink 2 packets (pymavlink, dialect ardupilotmega). The same bytes for the same messages."""

from __future__ import annotations

import math
from typing import Any

from gps_denied_onboard.autopilot.gps_time import week_and_ms
from gps_denied_onboard.autopilot.mavlink.signing import Signing
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import Alert, FixType, NavState, Quaternion, Severity, SourceLabel

COMPONENT_ONBOARD_COMPUTER = 191
SATELLITES = 10  # any number of 6 or more: ArduPilot wants it, and it says nothing about a camera's position
LABEL_VALUES = {
    SourceLabel.SATELLITE_ANCHORED: 2.0,
    SourceLabel.VISUAL_PROPAGATED: 1.0,
    SourceLabel.DEAD_RECKONED: 0.0,
}
PROTECTION_NAME = "nav_prot_m"
LABEL_NAME = "nav_source"
TEXT_BYTES = 50
MAX_TEXT_BYTES = 4 * TEXT_BYTES
SET_MESSAGE_INTERVAL = 511
_BOOT_MS_MASK = 0xFFFFFFFF


class MavlinkEncoder:
    """Packs everything that leaves on one link, with one run of sequence numbers.

    `gps_id` is the autopilot's GPS instance that listens to us (it ignores any other silently). `unix_ns_at_zero` is
    the UTC time at t_ns = 0 from a trusted clock; None sends GPS week 0, for the week steers the autopilot's clock.
    With `signing` every packet is signed.
    """

    def __init__(
        self,
        *,
        gps_id: int = 0,
        system_id: int = 1,
        component_id: int = COMPONENT_ONBOARD_COMPUTER,
        unix_ns_at_zero: int | None = None,
        signing: Signing | None = None,
    ) -> None:
        from pymavlink.dialects.v20 import ardupilotmega

        for name, value, low in (("gps_id", gps_id, 0), ("system_id", system_id, 1), ("component_id", component_id, 1)):
            if not low <= value <= 255:
                raise UserError(f"MAVLink {name} must be {low} to 255, got {value}; correct it in the configuration.")
        self.system_id = system_id
        self.component_id = component_id
        self._gps_id = gps_id
        self._signing = signing
        self._unix_ns_at_zero = unix_ns_at_zero
        self._dialect: Any = ardupilotmega
        self._mav: Any = ardupilotmega.MAVLink(None, srcSystem=system_id, srcComponent=component_id)
        self._text_id = 0

    def gps_input(self, state: NavState) -> bytes | Alert:
        """GPS_INPUT of a state with every field set and nothing ignored, or an Alert when it may not be sent."""
        wrong = why_not_sent(state)
        if wrong:
            return Alert(state.t_ns, Severity.ERROR, f"position withheld from autopilot: {wrong}")
        unix_ns = None if self._unix_ns_at_zero is None else self._unix_ns_at_zero + state.t_ns
        week, week_ms = week_and_ms(unix_ns)
        north, east, down = state.velocity_ned_mps
        message = self._dialect.MAVLink_gps_input_message(
            time_usec=state.t_ns // 1000,
            gps_id=self._gps_id,
            ignore_flags=0,
            time_week_ms=week_ms,
            time_week=week,
            fix_type=state.fix_type,
            lat=round(state.latitude_deg * 1e7),
            lon=round(state.longitude_deg * 1e7),
            alt=state.altitude_amsl_m,
            hdop=dilution(state.horizontal_accuracy_m, 2.0),
            vdop=dilution(state.vertical_accuracy_m, 3.0),
            vn=north,
            ve=east,
            vd=down,
            speed_accuracy=state.speed_accuracy_mps,
            horiz_accuracy=state.horizontal_accuracy_m,
            vert_accuracy=state.vertical_accuracy_m,
            satellites_visible=SATELLITES,
            yaw=yaw_cdeg(state.quaternion_body_to_ned),
        )
        return self._packed(message)

    def heartbeat(self) -> bytes:
        """HEARTBEAT of an onboard controller that is active."""
        d = self._dialect
        return self._packed(
            d.MAVLink_heartbeat_message(
                d.MAV_TYPE_ONBOARD_CONTROLLER, d.MAV_AUTOPILOT_INVALID, 0, 0, d.MAV_STATE_ACTIVE, 3
            )
        )

    def source_label(self, state: NavState) -> bytes:
        """NAMED_VALUE_FLOAT "nav_source": 2 satellite_anchored, 1 visual_propagated, 0 dead_reckoned."""
        return self.named_value(state.t_ns, LABEL_NAME, LABEL_VALUES[state.source_label])

    def protection_level(self, state: NavState) -> bytes:
        """NAMED_VALUE_FLOAT "nav_prot_m": `NavState.protection_level_m`, NaN where it is not known."""
        return self.named_value(state.t_ns, PROTECTION_NAME, state.protection_level_m)

    def statustext(self, alert: Alert) -> tuple[bytes, ...]:
        """STATUSTEXT packets of an alert: one, or chunks of 50 bytes where it is longer (MAVLink 2), at most four."""
        text = alert.text.encode("utf-8")[:MAX_TEXT_BYTES]
        parts = [text[k : k + TEXT_BYTES] for k in range(0, len(text), TEXT_BYTES)] or [b""]
        text_id = 0
        if len(parts) > 1:
            self._text_id = self._text_id % 0xFFFF + 1
            text_id = self._text_id
            if len(parts[-1]) == TEXT_BYTES and len(parts) * TEXT_BYTES < MAX_TEXT_BYTES:
                parts.append(b"")  # receivers wait for a chunk that ends before 50 bytes
        severity = min(max(alert.severity, 0), 7)
        return tuple(
            self._packed(self._dialect.MAVLink_statustext_message(severity, part, text_id, number))
            for number, part in enumerate(parts)
        )

    def timesync(self, remote_ns: int, local_ns: int) -> bytes:
        """TIMESYNC: a question with `remote_ns` 0, else the answer to the question that carried `remote_ns`."""
        return self._packed(self._dialect.MAVLink_timesync_message(local_ns if remote_ns else 0, remote_ns or local_ns))

    def set_message_interval(self, system_id: int, component_id: int, message_id: int, rate_hz: float) -> bytes:
        """COMMAND_LONG that asks the autopilot for a message at a rate."""
        return self._packed(
            self._dialect.MAVLink_command_long_message(
                system_id, component_id, SET_MESSAGE_INTERVAL, 0, message_id, 1e6 / rate_hz, 0, 0, 0, 0, 0
            )
        )

    def ground_position(self, state: NavState) -> bytes:
        """GLOBAL_POSITION_INT_COV: where we say that we are, for the ground, never taken for the autopilot's own word.

        Covariance (6, 6) row-major of (latitude, longitude, altitude, their speeds) in m and m/s, in the axes north,
        east, up; what is not known of it is 0. ValueError for a state that `why_not_sent` speaks against.
        """
        cov = state.covariance_enu_m2
        covariance = [0.0] * 36
        covariance[0], covariance[1], covariance[2] = cov[4], cov[1], cov[5]
        covariance[6], covariance[7], covariance[8] = cov[1], cov[0], cov[2]
        covariance[12], covariance[13], covariance[14] = cov[5], cov[2], cov[8]
        for k in (21, 28, 35):
            covariance[k] = state.speed_accuracy_mps**2
        unix_ns = 0 if self._unix_ns_at_zero is None else self._unix_ns_at_zero + state.t_ns
        return self._packed(
            self._dialect.MAVLink_global_position_int_cov_message(
                (unix_ns or state.t_ns) // 1000,
                self._dialect.MAV_ESTIMATOR_TYPE_VISION,
                round(state.latitude_deg * 1e7),
                round(state.longitude_deg * 1e7),
                round(state.altitude_amsl_m * 1e3),
                0,
                *state.velocity_ned_mps,
                covariance,
            )
        )

    def named_value(self, t_ns: int, name: str, value: float) -> bytes:
        """NAMED_VALUE_FLOAT; `name` of ten letters at most."""
        boot_ms = t_ns // 1_000_000 & _BOOT_MS_MASK
        return self._packed(self._dialect.MAVLink_named_value_float_message(boot_ms, name.encode("ascii"), value))

    def set_parameter(self, system_id: int, component_id: int, name: str, value: int) -> bytes:
        """PARAM_SET of a small whole number."""
        d = self._dialect
        return self._packed(
            d.MAVLink_param_set_message(system_id, component_id, name.encode("ascii"), value, d.MAV_PARAM_TYPE_INT8)
        )

    def setup_signing(self, system_id: int, component_id: int, key: bytearray, timestamp: int) -> bytes:
        """SETUP_SIGNING: gives the autopilot the key; only for a cable."""
        return self._packed(self._dialect.MAVLink_setup_signing_message(system_id, component_id, list(key), timestamp))

    def _packed(self, message: Any) -> bytes:
        if self._signing is not None:
            self._signing.arm(self._mav)
        packet: bytes = message.pack(self._mav)
        self._mav.seq = (self._mav.seq + 1) % 256
        return packet


def why_not_sent(state: NavState) -> str:
    """Why a state may not reach the autopilot, or "" when it may."""
    numbers = {
        "latitude": (state.latitude_deg, -90.0, 90.0),
        "longitude": (state.longitude_deg, -180.0, 180.0),
        "altitude": (state.altitude_amsl_m, -1000.0, 50_000.0),
        "north velocity": (state.velocity_ned_mps[0], -1000.0, 1000.0),
        "east velocity": (state.velocity_ned_mps[1], -1000.0, 1000.0),
        "down velocity": (state.velocity_ned_mps[2], -1000.0, 1000.0),
        "horizontal accuracy": (state.horizontal_accuracy_m, 0.0, 1e6),
        "vertical accuracy": (state.vertical_accuracy_m, 0.0, 1e6),
        "speed accuracy": (state.speed_accuracy_mps, 0.0, 1e6),
    }
    for name, (value, low, high) in numbers.items():
        if not low <= value <= high:  # False for NaN
            return f"{name} {value}"
    if state.fix_type not in tuple(FixType):
        return f"fix type {state.fix_type}"
    if not 0 <= state.t_ns < 2**63:
        return f"time {state.t_ns}"
    return ""


def dilution(accuracy_m: float, metres_per_unit: float) -> float:
    """A dilution of precision that fits an accuracy: 5 m across gives the 2.5 that ArduPilot's checks allow."""
    return min(max(accuracy_m / metres_per_unit, 0.5), 99.99)


def yaw_cdeg(quaternion_body_to_ned: Quaternion) -> int:
    """Yaw in 1..36000 hundredths of a degree from north, clockwise (36000 is north); 0 where it is not known."""
    w, x, y, z = quaternion_body_to_ned
    norm = w * w + x * x + y * y + z * z
    if not 0.9 < norm < 1.1:
        return 0
    yaw = math.degrees(math.atan2(2.0 * (w * z + x * y), norm - 2.0 * (y * y + z * z)))
    return round(yaw * 100.0) % 36000 or 36000
