"""One MAVLink 2 address: bytes to messages and back, signed or not. Every byte that is of no use is counted."""

from __future__ import annotations

import struct
from typing import Any

from gps_denied_onboard.autopilot.mavlink import gnss_integrity
from gps_denied_onboard.autopilot.mavlink.signing import Signing
from gps_denied_onboard.autopilot.transport import ReopeningLink
from gps_denied_onboard.messages import Alert

MAX_BYTES_A_POLL = 32_768
"""More than any honest link brings in one poll: of a flood the newest bytes are looked at, the others are counted."""
REFUSED_ALERT_NS = 10_000_000_000
_STATUSTEXT = 253
_HEADER_BYTES = 10


class MavlinkConnection:
    """An address that is opened again when it dies. With `signing` nothing leaves before a signed frame was heard.

    `bad_bytes` were no MAVLink (noise, cut frames, wrong checksums), `flooded_bytes` too many, `refused` frames had no
    good signature, `withheld` packets were not sent for want of a heard frame.
    """

    def __init__(self, address: str, signing: Signing | None = None) -> None:
        from pymavlink.dialects.v20 import ardupilotmega

        self.dialect: Any = ardupilotmega
        gnss_integrity.add_to(self.dialect)
        self.link = ReopeningLink(address)
        self.signing = signing
        self._parser = self._new_parser()
        self._opened = 0
        self._was_alive: bool | None = None
        self._told_refused = 0
        self._tell_refused_ns = 0
        self._refused_hints: list[tuple[int, int]] = []
        self.bad_bytes = 0
        self.flooded_bytes = 0
        self.refused = 0
        self.withheld = 0

    def receive(self, now_ns: int) -> list[Any]:
        """Whole messages that have arrived, oldest first."""
        if self.signing is not None:
            self.signing.tick(now_ns)
        data = self.link.receive(now_ns)
        if self.link.opened != self._opened:
            self._opened = self.link.opened
            self._parser = self._new_parser()
        if len(data) > MAX_BYTES_A_POLL:
            self.flooded_bytes += len(data) - MAX_BYTES_A_POLL
            data = data[-MAX_BYTES_A_POLL:]
        return self._parsed(data) if data else []

    def send(self, now_ns: int, packet: bytes) -> bool:
        """Send a packet, or drop it; tells which."""
        if self.signing is not None and not self.signing.heard:
            self.withheld += 1
            return False
        return self.link.send(now_ns, packet)

    def alerts(self, now_ns: int, name: str) -> list[Alert]:
        """What there is to tell of this port, which the alerts call `name`: died, came back, refused something."""
        out: list[Alert] = []
        if self._was_alive is not None and self._was_alive != self.link.alive:
            text = f"{name} is back" if self.link.alive else f"{name} is dead: {self.link.last_error}"
            out.append(Alert(now_ns, 5 if self.link.alive else 3, text))
        self._was_alive = self.link.alive
        for system_id, component_id in self._refused_hints:
            out.append(Alert(now_ns, 4, f"RELOC refused: not signed, from {system_id}/{component_id}"))
        self._refused_hints.clear()
        if self.refused > self._told_refused and now_ns >= self._tell_refused_ns:
            self._tell_refused_ns = now_ns + REFUSED_ALERT_NS
            out.append(Alert(now_ns, 4, f"{name}: {self.refused - self._told_refused} frames refused, not signed"))
            self._told_refused = self.refused
        return out

    def counts(self) -> dict[str, int]:
        """Counters for the log."""
        return {
            "bad_bytes": self.bad_bytes,
            "flooded_bytes": self.flooded_bytes,
            "refused": self.refused,
            "withheld": self.withheld,
            "dropped_packets": self.link.dropped_packets,
        }

    def close(self) -> None:
        """Close the link and forget the key."""
        self.link.close()
        if self.signing is not None:
            self.signing.close()

    def _new_parser(self) -> Any:
        parser = self.dialect.MAVLink(None)
        parser.robust_parsing = True
        if self.signing is not None:
            self.signing.guard(parser)
        return parser

    def _parsed(self, data: bytes) -> list[Any]:
        try:
            found = self._parser.parse_buffer(data) or []
        except (self.dialect.MAVError, struct.error, ValueError, IndexError):
            self.bad_bytes += len(data)
            self._parser = self._new_parser()
            return []
        good = []
        for message in found:
            if message.get_type() == "BAD_DATA":
                self._count_bad(message)
            elif self.signing is not None and not message.get_signed():
                self.refused += 1  # of a kind that pymavlink does not know: it looks at no signature there
            else:
                good.append(message)
        return good

    def _count_bad(self, message: Any) -> None:
        if message.reason != "Invalid signature":
            self.bad_bytes += len(message.data)
            return
        self.refused += 1
        frame = bytes(message.data)
        is_text = frame[0] == 0xFD and int.from_bytes(frame[7:10], "little") == _STATUSTEXT
        if is_text and frame[_HEADER_BYTES + 1 :].startswith(b"RELOC:") and len(self._refused_hints) < 8:
            self._refused_hints.append((frame[5], frame[6]))
