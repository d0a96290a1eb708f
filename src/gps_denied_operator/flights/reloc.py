"""One hint to the aircraft, "you are about here", over a ground station's MAVLink link, and what it answers.

No heartbeat is sent: an autopilot would take this for its ground station, and miss that the true one is gone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gps_denied_onboard.autopilot.mavlink.connection import MavlinkConnection
from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.signing import open_signing
from gps_denied_onboard.autopilot.mavlink.telemetry import parse_reloc
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import Alert, Severity

GROUND_SYSTEM, GROUND_COMPONENT = 255, 190  # as a ground station calls itself
POLL_S = 0.02
AGAIN_S = 2.0  # the aircraft answers within this, or has not heard
CHUNK_BYTES = 50


class RelocRefusedError(UserError):
    """The aircraft heard the hint and does not take it."""

    exit_code = 41


class RelocUnansweredError(UserError):
    """Nothing that the aircraft said was an answer."""

    exit_code = 42


@dataclass(frozen=True, slots=True)
class RelocAnswer:
    """What the aircraft said, after how long, and how often it had to be told."""

    text: str
    seconds: float
    sent: int


def send_reloc(
    latitude_deg: float, longitude_deg: float, radius_m: float, address: str, signing_key: str = "",
    timeout_s: float = 10.0, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
) -> RelocAnswer:  # fmt: skip
    """Send a hint until it is answered. RelocRefusedError, RelocUnansweredError; UserError where it is no hint."""
    text = f"RELOC:{latitude_deg:.6f},{longitude_deg:.6f},{radius_m:.0f}"
    checked = parse_reloc(text, 0) if all(map(math.isfinite, (latitude_deg, longitude_deg, radius_m))) else None
    if checked is None or isinstance(checked, Alert):
        why = checked.text if checked is not None else "RELOC refused: no numbers"
        raise UserError(f"{why}; give LAT LON in degrees and RADIUS in metres.")
    signing = open_signing(signing_key, "")
    encoder = MavlinkEncoder(system_id=GROUND_SYSTEM, component_id=GROUND_COMPONENT, signing=signing)
    port = MavlinkConnection(address, signing)
    try:
        return _until_answered(port, encoder, text, timeout_s, clock, sleep)
    finally:
        port.close()


def _until_answered(
    port: MavlinkConnection, encoder: MavlinkEncoder, text: str, timeout_s: float, clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> RelocAnswer:  # fmt: skip
    begun = clock()
    hint_at = begun
    sent = heard = 0
    answers = _Answers()
    while (now := clock()) - begun < timeout_s:
        now_ns = round(now * 1e9)
        for message in port.receive(now_ns):
            if not heard:
                hint_at = now  # a port that listens knows only now where to send
            heard += 1
            said = answers.add(message) if sent else None
            if said is not None:
                if said.startswith("RELOC refused"):
                    raise RelocRefusedError(f"The aircraft answers: {said}. Correct the hint and send it again.")
                return RelocAnswer(said, round(now - begun, 3), sent)
        if now >= hint_at:
            gone = [port.send(now_ns, packet) for packet in encoder.statustext(Alert(now_ns, Severity.NOTICE, text))]
            sent += all(gone)
            hint_at = now + (AGAIN_S if all(gone) else POLL_S)
        sleep(POLL_S)
    raise RelocUnansweredError(_why_silent(port, sent, heard, timeout_s))


def _why_silent(port: MavlinkConnection, sent: int, heard: int, timeout_s: float) -> str:
    if not sent and not port.link.alive:
        return f"The link {port.link.address} cannot be opened ({port.link.last_error}); check --link."
    if not sent:
        return f"Nothing signed by this key was heard in {timeout_s:g} s, so nothing was sent; check link and key."
    if not heard:
        return f"Nothing was heard from the aircraft in {timeout_s:g} s; check --link. The hint may have arrived."
    return f"The aircraft is heard, but did not answer {sent} hint(s) in {timeout_s:g} s; send it again."


class _Answers:
    """Texts of the aircraft about a hint, put together where they come in chunks of 50 bytes."""

    def __init__(self) -> None:
        self._parts: dict[tuple[int, int, int], dict[int, str]] = {}

    def add(self, message: Any) -> str | None:
        """Return a whole answer, once it is complete."""
        if message.get_type() != "STATUSTEXT":
            return None
        text = str(message.text).rstrip("\0")
        if message.id:
            parts = self._parts.setdefault((message.get_srcSystem(), message.get_srcComponent(), message.id), {})
            parts[message.chunk_seq] = text
            last = max(parts)
            if len(parts[last].encode()) >= CHUNK_BYTES or len(parts) <= last:
                return None
            text = "".join(parts[number] for number in sorted(parts))
        return text if text.startswith(("RELOC taken", "RELOC refused")) else None
