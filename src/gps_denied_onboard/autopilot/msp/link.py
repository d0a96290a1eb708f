"""The link to an iNav while flying: positions as its MSP GPS, telemetry by asking; never blocking, opened again."""

from __future__ import annotations

from collections import deque

from gps_denied_onboard.autopilot.gps_input_monitor import ECHO_AFTER_NS, ECHO_OFF_M, apart_m
from gps_denied_onboard.autopilot.mavlink.telemetry import Received
from gps_denied_onboard.autopilot.msp.messages import MspParser, packed, sensor_gps
from gps_denied_onboard.autopilot.msp.telemetry import (
    ALTITUDE,
    ATTITUDE,
    GPS_OK,
    HERE,
    INAV_AIR_SPEED,
    INAV_STATUS,
    RAW_GPS,
    RAW_IMU,
    SENSOR_STATUS,
    WAYPOINT,
    InavDecoder,
)
from gps_denied_onboard.autopilot.transport import Peer, ReopeningLink
from gps_denied_onboard.messages import Alert, FixType, NavState, Severity

RATES_HZ: dict[int, float] = {
    RAW_IMU: 50.0,
    ATTITUDE: 20.0,
    ALTITUDE: 5.0,
    INAV_AIR_SPEED: 5.0,
    RAW_GPS: 1.0,
    WAYPOINT: 1.0,
    SENSOR_STATUS: 1.0,
    INAV_STATUS: 1.0,
}
"""With ten positions a second fewer than 100 frames: iNav's serial task takes one frame a port, 100 times a second."""
MAX_WAITING = 4
"""Questions without an answer yet. iNav answers one after the other; more would only lie in its buffer."""
ANSWER_NS = 200_000_000
BUFFERED_NS = 20_000_000
"""How long after a poll the answers to its questions come at most: where nobody looked for longer they are no newer."""
MAX_BYTES_A_POLL = 8192
SILENT_NS = 3_000_000_000


class InavLink:
    """Positions out, answers in, over one address. One writer: whoever polls, each few milliseconds.

    A question that is not answered within ANSWER_NS is given up and counted. Nothing here is signed: MSP cannot.
    """

    def __init__(self, link: ReopeningLink, ground_altitude_m: float, unix_ns_at_zero: int | None = None) -> None:
        self._link = link
        self._unix_ns_at_zero = unix_ns_at_zero
        self._parser = MspParser()
        self.decoder = InavDecoder(ground_altitude_m)
        self._due_ns = dict.fromkeys(RATES_HZ, 0)
        self._peer: Peer | None = None
        self._peer_ns = 0
        self._waiting: deque[tuple[int, int]] = deque()  # (function, asked at)
        self._opened = 0
        self._polled_ns: int | None = None
        self._was_alive: bool | None = None
        self._heard_ns: int | None = None
        self._silent = False
        self._sent: NavState | None = None
        self._fix_since_ns: int | None = None
        self._used: bool | None = None
        self._told_open = False
        self.messages = 0
        self.positions = 0
        self.unanswered = 0
        self.refused = 0
        self.unasked = 0
        self.flooded_bytes = 0

    def poll(self, now_ns: int) -> list[Received]:
        """Everything that has arrived, oldest first, and alerts about the link; asks what is due."""
        data = self._heard(now_ns)
        if self._link.opened != self._opened:
            self._opened = self._link.opened
            self._parser = self._fresh_parser()
            self._waiting.clear()
        if len(data) > MAX_BYTES_A_POLL:
            self.flooded_bytes += len(data) - MAX_BYTES_A_POLL
            data = data[-MAX_BYTES_A_POLL:]
        out: list[Received] = [*self._changes(now_ns)]
        answered_ns = now_ns if self._polled_ns is None else min(now_ns, self._polled_ns + BUFFERED_NS)
        self._polled_ns = now_ns
        for frame in self._parser.feed(data):
            if not self._was_asked(frame.function):
                self.unasked += 1
                continue
            self._heard_ns = self._peer_ns = now_ns
            if frame.refused:
                self.refused += 1
                continue
            self.messages += 1
            message = self.decoder.decode(frame.function, frame.payload, answered_ns)
            if message is not None:
                out.append(message)
        out += self._use(now_ns)
        self._ask(now_ns)
        return out

    def _heard(self, now_ns: int) -> bytes:
        """What has arrived. A link that listens for datagrams speaks with the first who spoke, until he does not answer
        for SILENT_NS: MSP names nobody and signs nothing."""
        if self._peer is not None and now_ns - self._peer_ns > SILENT_NS:
            self._peer = None
            self._link.release()
        parts = self._link.receive_from(now_ns)
        if self._peer is None and parts and parts[0][0] is not None:
            self._peer, self._peer_ns = parts[0][0], now_ns
            self._link.hold(parts[0][0])
        return b"".join(data for peer, data in parts if peer == self._peer)

    def armed(self, now_ns: int) -> bool | None:
        """Whether the motors are armed; None where it has not said so lately."""
        silent = self._heard_ns is None or now_ns - self._heard_ns > SILENT_NS
        return None if silent else self.decoder.armed

    def send_position(self, now_ns: int, state: NavState) -> list[Alert]:
        """Send MSP2_SENSOR_GPS of a state; an Alert when it was withheld. There is never an answer to it."""
        unix_ns = None if self._unix_ns_at_zero is None else self._unix_ns_at_zero + state.t_ns
        packet = sensor_gps(state, unix_ns)
        if isinstance(packet, Alert):
            return [packet]
        if not self._link.send(now_ns, packet):
            return []
        self.positions += 1
        if state.fix_type < FixType.FIX_3D:
            self._fix_since_ns = None
        elif self._fix_since_ns is None:
            self._fix_since_ns = state.t_ns
        self._sent = state
        return []

    def waits_for(self, now_ns: int) -> str:
        """What of the autopilot is waited for on an open link, in words; "" while it is heard."""
        if self._heard_ns is None:
            return "waiting for an answer of iNav (MSP on this port?)"
        return "iNav is silent" if now_ns - self._heard_ns > SILENT_NS else ""

    def counts(self) -> dict[str, int]:
        """Counters for the log."""
        return {
            "positions": self.positions,
            "heard": self.messages,
            "malformed": self.decoder.malformed,
            "unanswered": self.unanswered,
            "refused": self.refused,
            "unasked": self.unasked,
            "bad_bytes": self._parser.bad_bytes,
            "bad_frames": self._parser.bad_frames,
            "flooded_bytes": self.flooded_bytes,
            "dropped_packets": self._link.dropped_packets,
        }

    def close(self) -> None:
        """Close the link."""
        self._link.close()

    def _fresh_parser(self) -> MspParser:
        fresh = MspParser()
        fresh.bad_bytes, fresh.bad_frames = self._parser.bad_bytes, self._parser.bad_frames
        return fresh

    def _was_asked(self, function: int) -> bool:
        for question in self._waiting:
            if question[0] == function:
                self._waiting.remove(question)
                return True
        return False

    def _ask(self, now_ns: int) -> None:
        while self._waiting and now_ns - self._waiting[0][1] > ANSWER_NS:
            self._waiting.popleft()
            self.unanswered += 1
        if not self._link.alive:
            return
        waiting = {function for function, _ in self._waiting}
        for function in sorted((f for f in RATES_HZ if f not in waiting), key=self._due_ns.__getitem__):
            if self._due_ns[function] > now_ns or len(self._waiting) >= MAX_WAITING:
                return
            period_ns = round(1e9 / RATES_HZ[function])
            self._due_ns[function] = max(self._due_ns[function] + period_ns, now_ns + period_ns // 2)
            if self._link.send(now_ns, packed(function, bytes([HERE]) if function == WAYPOINT else b"")):
                self._waiting.append((function, now_ns))

    def _changes(self, now_ns: int) -> list[Alert]:
        """Alerts when the link or the autopilot at its end fell silent or came back; once, that the link is open."""
        out: list[Alert] = []
        if self._was_alive is not None and self._was_alive != self._link.alive:
            text = "autopilot link is back" if self._link.alive else f"autopilot link is dead: {self._link.last_error}"
            out.append(Alert(now_ns, Severity.NOTICE if self._link.alive else Severity.ERROR, text))
        self._was_alive = self._link.alive
        if not self._told_open and self._link.alive:
            self._told_open = True
            out.append(Alert(now_ns, Severity.NOTICE, "the autopilot link is open: MSP cannot be signed"))
        silent = self._heard_ns is not None and now_ns - self._heard_ns > SILENT_NS
        if silent is not self._silent:
            self._silent = silent
            text = "the autopilot is silent" if silent else "the autopilot is heard again"
            out.append(Alert(now_ns, Severity.ERROR if silent else Severity.NOTICE, text))
        return out

    def _use(self, now_ns: int) -> list[Alert]:
        """Whether iNav uses us, by its sensor status and where its own estimate is. Its echo of us proves nothing."""
        status, sent = self.decoder.gps_status, self._sent
        if status is None or sent is None or self._fix_since_ns is None:
            return []
        if now_ns - self._fix_since_ns < ECHO_AFTER_NS:
            return []
        here = self.decoder.here
        off_m = apart_m(sent, *here) if here is not None else 0.0
        used = status == GPS_OK and off_m <= ECHO_OFF_M
        if used is self._used:
            return []
        self._used = used
        if used:
            return [Alert(now_ns, Severity.NOTICE, "the autopilot uses our position as its GPS")]
        why = f"sensor status {status}" if status != GPS_OK else f"its own estimate is {off_m:.0f} m away"
        return [Alert(now_ns, Severity.ERROR, f"the autopilot does not use our position: {why}")]
