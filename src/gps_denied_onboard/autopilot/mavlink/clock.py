"""The autopilot's clock on ours: times of its messages become t_ns; pure."""

from __future__ import annotations

from collections import deque

REBOOT_NS = 1_000_000_000
FUTURE_NS = 20_000_000
STALE_NS = 2_000_000_000
WINDOW = 8
SLOTS = 8
SLOT_NS = 5_000_000_000


class ClockAlignment:
    """Offset between the autopilot's time since boot and our monotonic clock.

    Until TIMESYNC answers, the least delay of arrival within the last SLOTS * SLOT_NS stands for the offset (it is late
    by the link's least latency); then the answers with the shortest way there and back among the last WINDOW (after
    NTP's clock filter, RFC 5905 section 10).
    """

    def __init__(self) -> None:
        self._arrivals: deque[tuple[int, int]] = deque(maxlen=SLOTS)  # (slot, least arrival minus boot time)
        self._exchanges: deque[tuple[int, int]] = deque(maxlen=WINDOW)  # (round trip, offset)
        self._newest_boot_ns = 0
        self.reboots = 0
        self.clamped = 0
        self.answers = 0  # of TIMESYNC, that count

    @property
    def offset_ns(self) -> int | None:
        """Ours minus the autopilot's, or None before anything came."""
        if self._exchanges:
            return min(self._exchanges)[1]
        return min((least for _, least in self._arrivals), default=None)

    @property
    def round_trip_ns(self) -> int | None:
        """The shortest way there and back of the last exchanges; None before TIMESYNC has answered."""
        return min(self._exchanges)[0] if self._exchanges else None

    @property
    def residual_ns(self) -> int | None:
        """How far from the truth the offset may be; None before TIMESYNC has answered.

        An answer tells the offset to within half of its way there and back (RFC 5905, section 4). Where the span of
        another one of the last WINDOW does not meet the span of the one that counts, a clock has wandered meanwhile.
        """
        if not self._exchanges:
            return None
        round_trip_ns, offset_ns = min(self._exchanges)
        spans = [(abs(other_ns - offset_ns), way_ns // 2) for way_ns, other_ns in self._exchanges]
        wandered = [apart_ns + half_ns for apart_ns, half_ns in spans if apart_ns > half_ns + round_trip_ns // 2]
        return max(wandered, default=round_trip_ns // 2)

    def on_answer(self, asked_ns: int, remote_ns: int, now_ns: int) -> None:
        """A TIMESYNC answer: we asked at `asked_ns`, the autopilot's clock showed `remote_ns`, it is `now_ns`."""
        round_trip_ns = now_ns - asked_ns
        if 0 <= round_trip_ns <= REBOOT_NS:
            self.answers += 1
            self._exchanges.append((round_trip_ns, asked_ns + round_trip_ns // 2 - remote_ns))

    def time_ns(self, boot_ns: int, now_ns: int) -> int:
        """t_ns of a moment of the autopilot's clock in a message that arrived at `now_ns`.

        A clock that runs back by more than REBOOT_NS is a reboot and starts a new alignment. A result in the future or
        long past means that the offset is wrong: then the arrival counts, and the alignment begins anew.
        """
        if boot_ns < self._newest_boot_ns - REBOOT_NS:
            self.reboots += 1
            self._forget()
        self._newest_boot_ns = max(self._newest_boot_ns, boot_ns)
        self._note_arrival(now_ns - boot_ns, now_ns)
        offset_ns = self.offset_ns
        t_ns = now_ns if offset_ns is None else boot_ns + offset_ns
        if not now_ns - STALE_NS <= t_ns <= now_ns + FUTURE_NS:
            self.clamped += 1
            self._forget()
            self._newest_boot_ns = boot_ns
            self._note_arrival(now_ns - boot_ns, now_ns)
            return now_ns
        return min(t_ns, now_ns)

    def _forget(self) -> None:
        self._arrivals.clear()
        self._exchanges.clear()
        self._newest_boot_ns = 0

    def _note_arrival(self, delay_ns: int, now_ns: int) -> None:
        slot = now_ns // SLOT_NS
        if self._arrivals and self._arrivals[-1][0] == slot:
            self._arrivals[-1] = (slot, min(self._arrivals[-1][1], delay_ns))
        else:
            self._arrivals.append((slot, delay_ns))
