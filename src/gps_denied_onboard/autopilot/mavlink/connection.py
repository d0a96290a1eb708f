"""One MAVLink 2 address: bytes to messages and back, signed or not. Every byte that is of no use is counted."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from gps_denied_onboard.autopilot.mavlink import gnss_integrity
from gps_denied_onboard.autopilot.mavlink.signing import Signing
from gps_denied_onboard.autopilot.transport import Peer, ReopeningLink
from gps_denied_onboard.messages import Alert, Severity

MAX_BYTES_WAITING = 32_768
"""More than any honest link brings at once: of a flood the newest bytes are looked at, the others are counted."""
MAX_BYTES_A_POLL = 4096
"""So much of a peer's bytes is looked at in one poll; the others wait for the next."""
NOISE_BYTES_A_POLL = 1024
"""The same of a peer that sends mostly what is no MAVLink: to look takes some microseconds a byte."""
PEERS_MAX = 8
"""Senders of datagrams that are listened to at once; of more those count that have spoken last."""
SILENT_PEER_NS = 5_000_000_000
"""A peer that has not spoken as it should for so long may be replaced by another."""
REFUSED_ALERT_NS = 10_000_000_000
_STATUSTEXT = 253
_HEADER_BYTES = 10
_MAVLINK_1, _SIGNED = 0xFE, 1


class MavlinkConnection:
    """An address that is opened again when it dies. With `signing` nothing leaves before a signed frame was heard.

    An address that listens for datagrams answers those who speak as they should, by `speaks_as`: one (`hold_one`), who
    is then the only one heard until he has been silent for SILENT_PEER_NS, or up to PEERS_MAX. With `signing` only
    signed messages count. Whoever spoke last is never answered for that alone.

    `bad_bytes` were no MAVLink (noise, cut frames, wrong checksums), `flooded_bytes` too many, `refused` frames had no
    good signature, `forwarded` of them were heartbeats without any, as a router passes them on from a ground station;
    `withheld` packets were not sent for want of a heard frame.
    """

    def __init__(self, address: str, signing: Signing | None = None) -> None:
        from pymavlink.dialects.v20 import ardupilotmega

        self.dialect: Any = ardupilotmega
        gnss_integrity.add_to(self.dialect)
        self.link = ReopeningLink(address)
        self.signing = signing
        self.speaks_as: Callable[[Any], bool] = lambda _message: True
        self.hold_one = False
        self._parsers: dict[Peer | None, Any] = {}
        self._waiting: dict[Peer | None, bytearray] = {}
        self._noisy: dict[Peer | None, bool] = {}
        self._peers: dict[Peer, int] = {}  # who is answered, and when he last spoke as he should
        self._opened = 0
        self._was_alive: bool | None = None
        self._told_refused = 0
        self._tell_refused_ns = 0
        self._refused_hints: list[tuple[int, int]] = []
        self.bad_bytes = 0
        self.flooded_bytes = 0
        self.refused = 0
        self.forwarded = 0
        self.withheld = 0

    def receive(self, now_ns: int) -> list[Any]:
        """Whole messages that have arrived, oldest first."""
        if self.signing is not None:
            self.signing.tick(now_ns)
        self._drop_silent(now_ns)
        parts = self.link.receive_from(now_ns)
        if self.link.opened != self._opened:
            self._opened = self.link.opened
            self._parsers.clear()
            self._waiting.clear()
            self._peers.clear()
        for peer, data in parts:
            self._add(peer, data)
        out: list[Any] = []
        for peer in list(self._waiting):
            for message in self._looked_at(peer):
                if self._is_heard(message, peer, now_ns):
                    out.append(message)
        return out

    def _add(self, peer: Peer | None, data: bytes) -> None:
        waiting = self._waiting.get(peer)
        if waiting is None:
            while len(self._waiting) >= PEERS_MAX:
                stale = next((p for p in self._waiting if p not in self._peers), next(iter(self._waiting)))
                for kept in (self._waiting, self._parsers, self._noisy):
                    kept.pop(stale, None)
            waiting = self._waiting[peer] = bytearray()
        waiting += data
        if len(waiting) > MAX_BYTES_WAITING:
            self.flooded_bytes += len(waiting) - MAX_BYTES_WAITING
            del waiting[:-MAX_BYTES_WAITING]

    def _looked_at(self, peer: Peer | None) -> list[Any]:
        """The messages of the oldest of what waits of a peer; of one that sends noise only of a little."""
        waiting = self._waiting[peer]
        data = bytes(waiting[: NOISE_BYTES_A_POLL if self._noisy.get(peer) else MAX_BYTES_A_POLL])
        if not data:
            return []
        del waiting[: len(data)]
        bad_before = self.bad_bytes
        found = self._parsed(data, peer)
        self._noisy[peer] = 2 * (self.bad_bytes - bad_before) > len(data)
        return found

    def _is_heard(self, message: Any, peer: Peer | None, now_ns: int) -> bool:
        """Whether a message goes on; notes who spoke as he should, and answers him from now on."""
        if peer is None:
            return True
        if self.hold_one and self._peers and peer not in self._peers:
            return False
        if self.speaks_as(message):
            new = peer not in self._peers
            if new and len(self._peers) >= PEERS_MAX:
                return True
            self._peers[peer] = now_ns
            if new:
                self.link.hold(peer) if self.hold_one else self.link.answer(tuple(self._peers))
        return True

    def _drop_silent(self, now_ns: int) -> None:
        silent = [peer for peer, heard_ns in self._peers.items() if now_ns - heard_ns > SILENT_PEER_NS]
        for peer in silent:
            del self._peers[peer]
        if silent and self.hold_one:
            self.link.release()
        elif silent:
            self.link.answer(tuple(self._peers))

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
            out.append(Alert(now_ns, Severity.NOTICE if self.link.alive else Severity.ERROR, text))
        self._was_alive = self.link.alive
        for system_id, component_id in self._refused_hints:
            out.append(Alert(now_ns, Severity.WARNING, f"RELOC refused: not signed, from {system_id}/{component_id}"))
        self._refused_hints.clear()
        if self.refused > self._told_refused and now_ns >= self._tell_refused_ns:
            self._tell_refused_ns = now_ns + REFUSED_ALERT_NS
            out.append(
                Alert(
                    now_ns, Severity.WARNING, f"{name}: {self.refused - self._told_refused} frames refused, not signed"
                )
            )
            self._told_refused = self.refused
        return out

    def counts(self) -> dict[str, int]:
        """Counters for the log."""
        return {
            "bad_bytes": self.bad_bytes,
            "flooded_bytes": self.flooded_bytes,
            "refused": self.refused,
            "forwarded": self.forwarded,
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

    def _parsed(self, data: bytes, peer: Peer | None = None) -> list[Any]:
        """The messages that these bytes of a peer complete: nobody's bytes are taken for the rest of another's."""
        parser = self._parsers.get(peer)
        if parser is None:
            parser = self._parsers[peer] = self._new_parser()
        try:
            found = parser.parse_buffer(data) or []
        except (self.dialect.MAVError, struct.error, ValueError, IndexError):
            self.bad_bytes += len(data)
            self._parsers.pop(peer, None)
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
        frame = bytes(message.data)
        if _is_unsigned_heartbeat(frame):
            self.forwarded += 1
            return
        self.refused += 1
        is_text = frame[0] == 0xFD and int.from_bytes(frame[7:10], "little") == _STATUSTEXT
        if is_text and frame[_HEADER_BYTES + 1 :].startswith(b"RELOC:") and len(self._refused_hints) < 8:
            self._refused_hints.append((frame[5], frame[6]))


def _is_unsigned_heartbeat(frame: bytes) -> bool:
    """Whether a refused frame is a heartbeat that bears no signature at all: an autopilot forwards those of ground
    stations that do not sign, one a second, and in the alert they would hide an attack."""
    if frame[0] == _MAVLINK_1:
        return len(frame) > 5 and frame[5] == 0
    unsigned = len(frame) >= _HEADER_BYTES and not frame[2] & _SIGNED
    return unsigned and int.from_bytes(frame[7:10], "little") == 0
