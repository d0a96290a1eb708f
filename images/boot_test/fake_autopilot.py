"""The flight controller of an aircraft that stands on the runway, at the other end of the emulated serial link."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

GRAVITY_MPS2 = 9.80665
ALL_FIELDS = 0x3F
PLENTY = 200
PERIODS_NS = {"heartbeat": 1_000_000_000, "imu": 20_000_000, "attitude": 100_000_000, "hud": 200_000_000}


@dataclass(slots=True)
class Heard:
    """What the companion sent: messages by type, and the places (latitude_deg, longitude_deg) of GPS_INPUT."""

    counts: dict[str, int] = field(default_factory=dict)
    places_deg: list[tuple[float, float]] = field(default_factory=list)


class Listener:
    """Reads MAVLink 2 from bytes with pymavlink and keeps `heard`."""

    def __init__(self) -> None:
        from pymavlink.dialects.v20 import ardupilotmega

        self.dialect: Any = ardupilotmega
        self._parser = ardupilotmega.MAVLink(None)
        self._parser.robust_parsing = True
        self.heard = Heard()

    def take(self, received: bytes) -> None:
        for message in (self._parser.parse_buffer(received) or []) if received else []:
            kind = message.get_type()
            self.heard.counts[kind] = self.heard.counts.get(kind, 0) + 1
            if kind == "GPS_INPUT":
                self.heard.places_deg.append((message.lat * 1e-7, message.lon * 1e-7))


class FakeAutopilot(Listener):
    """Silent until the companion is heard, then an ArduPlane at rest, level, `altitude_amsl_m` high; silent again after
    PLENTY positions, which leaves the emulated processor to others."""

    def __init__(self, altitude_amsl_m: float) -> None:
        super().__init__()
        self._packer = self.dialect.MAVLink(None, srcSystem=1, srcComponent=1)
        self._altitude_amsl_m = altitude_amsl_m
        self._due_ns: dict[str, int] = {}

    def turn(self, received: bytes, now_ns: int) -> bytes:
        """Take what was heard; returns what is to be sent now. `now_ns` is any steady clock."""
        self.take(received)
        out = b""
        speaks = self.heard.counts and len(self.heard.places_deg) < PLENTY
        for what, period_ns in PERIODS_NS.items() if speaks else ():
            if now_ns >= self._due_ns.get(what, 0):
                self._due_ns[what] = max(self._due_ns.get(what, now_ns) + period_ns, now_ns - period_ns)
                out += bytes(self._message(what, now_ns).pack(self._packer))
                self._packer.seq = (self._packer.seq + 1) % 256
        return out

    def _message(self, what: str, now_ns: int) -> Any:
        d, boot_ms = self.dialect, now_ns // 1_000_000
        if what == "heartbeat":
            return d.MAVLink_heartbeat_message(d.MAV_TYPE_FIXED_WING, d.MAV_AUTOPILOT_ARDUPILOTMEGA, 0, 0, 4, 3)
        if what == "imu":
            rest = (0.0, 0.0, -GRAVITY_MPS2, *(0.0,) * 10)
            return d.MAVLink_highres_imu_message(now_ns // 1000, *rest, ALL_FIELDS)
        if what == "attitude":
            return d.MAVLink_attitude_quaternion_message(boot_ms, 1.0, *(0.0,) * 6)
        return d.MAVLink_vfr_hud_message(0.0, 0.0, 0, 0, self._altitude_amsl_m, 0.0)
