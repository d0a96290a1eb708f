"""The recorder's writer: drains the producers' rings into segments; driven by calls of `step`, no thread of its own.

Every sequence number of a producer ends as a record in a file or inside the count of an `overrun` record, exactly
once, whatever the disk does. `accounted` is how far that is safe on the disk; when a flush fails, everything behind it
is lost and is told in the next segment that the disk takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gps_denied_onboard.recorder.chain import FlightKey
from gps_denied_onboard.recorder.client import RecorderClient
from gps_denied_onboard.recorder.config import MIB, RecorderConfig
from gps_denied_onboard.recorder.kinds import KIND_OF_CLASS, encoded
from gps_denied_onboard.recorder.policies import LOST_TO_POLICY, THUMBNAIL, ThumbnailPolicy
from gps_denied_onboard.recorder.records import (
    ClockRecord,
    FooterRecord,
    HeaderRecord,
    OverrunRecord,
    SegmentRolloverRecord,
)
from gps_denied_onboard.recorder.segment import Segment

BATCH = 2048
BATCHES_A_STEP = 16
PENDING_BYTES = 4 << 20
RETRY_NS = 2_000_000_000
CLOCK_NS = 1_000_000_000
OWN_NAME = "recorder"
LOST_TO_SPEED = "the ring was full"
LOST_TO_DISK = "the disk did not take it"


@dataclass(slots=True)
class _Producer:
    """`expected`: the next sequence; before `accounted` everything is on the disk, as a record or as a count. `held` by
    policy and not told yet, `held_unsafe` of these since the last flush."""

    client: RecorderClient
    expected: int = 0
    accounted: int = 0
    held: int = 0
    held_unsafe: int = 0
    held_first: int = 0


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed segment."""

    number: int
    path: Path
    size: int
    sha256: str


class FlightWriter:
    """Writes one flight's segments. OSError only from the constructor, which writes the first flush."""

    def __init__(
        self,
        folder: Path,
        header: HeaderRecord,
        key: FlightKey,
        config: RecorderConfig,
        utc_ns: Callable[[], int],
        tell: Callable[[int, str], None],
    ) -> None:
        self._folder, self._header, self._key, self._config = folder, header, key, config
        self._utc_ns = utc_ns
        self._tell = tell
        self._producers: list[_Producer] = []
        self._policy = ThumbnailPolicy()
        self._closed: deque[Closed] = deque()
        self._segment: Segment | None = None
        self._next_number = 0
        self._previous_sha256 = ""
        self._own_sequence = 0
        self._flushed_ns = self._clock_told_ns = header.t_ns
        self._retry_ns = 0
        self._failing = self._cap_told = False
        self.records_written = self.records_dropped = self.rollover_count = 0
        self.bytes_closed = 0
        self._safe = (0, 0, 0)  # records written, dropped and of our own that are on the disk
        self._open_segment()
        self._own(header)
        self._own(ClockRecord(header.t_ns, utc_ns()))
        self._flush_segment()

    @property
    def degraded(self) -> bool:
        """The disk takes nothing now."""
        return self._segment is None

    def add_producer(self, client: RecorderClient) -> None:
        """Drain this client from now on. May be called from any thread."""
        self._producers.append(_Producer(client))

    def step(self, now_ns: int) -> None:
        """Drain all rings once; flush, rotate and keep the cap where it is due."""
        self._reopen(now_ns)
        for producer in tuple(self._producers):
            self._drain(producer)
        due = now_ns - self._flushed_ns >= self._config.flush_s * 1e9
        if self._segment is not None and (due or self._segment.pending > PENDING_BYTES):
            self.flush(now_ns)

    def flush(self, now_ns: int) -> None:
        """Have everything that was drained on the disk, or note that it is lost."""
        self._flushed_ns = now_ns
        try:
            if now_ns - self._clock_told_ns >= CLOCK_NS:
                self._clock_told_ns = now_ns
                self._own(ClockRecord(now_ns, self._utc_ns()))
            self._flush_segment()
            if self._segment is not None and self._segment.size >= self._config.segment_mib * MIB:
                self._close_segment(final=False)
                self._open_segment()
                self._flush_segment()
                self._keep_cap(now_ns)
        except OSError as error:
            self._degrade(now_ns, error)

    def close(self, now_ns: int, clean: bool) -> None:
        """Drain what is left, write the footer, sign and close the last segment. OSError when the disk refuses."""
        self._retry_ns = 0
        self._reopen(now_ns)
        for producer in self._producers:
            self._drain(producer)
            passed = producer.client.ring.passed()
            if passed > producer.expected:
                self._lost(producer, now_ns, passed)
            self._tell_held(producer, now_ns)
        if self._segment is None:
            raise OSError(f"the flight ends without a footer: {LOST_TO_DISK}")
        self._own(ClockRecord(now_ns, self._utc_ns()))
        self._flush_segment()
        footer = FooterRecord(
            now_ns,
            self._header.flight_id,
            clean,
            self.records_written,
            self.records_dropped,
            self.bytes_closed + self._segment.size,
            self.rollover_count,
        )
        self._own(footer)
        self._flush_segment()
        self._close_segment(final=True)

    def abandon(self) -> None:
        """Let go of the open file."""
        if self._segment is not None:
            self._segment.abandon()
            self._segment = None

    def _drain(self, producer: _Producer) -> None:
        segment = self._segment
        for _ in range(BATCHES_A_STEP):
            records = producer.client.ring.drain(BATCH)
            for sequence, number, t_ns, data in records:
                if segment is None:
                    continue
                if sequence != producer.expected:
                    self._lost(producer, t_ns, sequence)
                producer.expected = sequence + 1
                if not self._policy.lets_through(number, t_ns):
                    producer.held_first = producer.held_first if producer.held else sequence
                    producer.held += 1
                    producer.held_unsafe += 1
                    continue
                if number == THUMBNAIL:
                    self._tell_held(producer, t_ns)
                segment.add(number, t_ns, sequence, data)
                self.records_written += 1
            if len(records) < BATCH:
                break
        if segment is None:
            producer.expected = max(producer.expected, producer.client.ring.passed())

    def _lost(self, producer: _Producer, t_ns: int, until: int) -> None:
        """Sequences from the expected one up to `until` never came."""
        lost = until - producer.expected
        self.records_dropped += lost
        self._own(OverrunRecord(t_ns, producer.client.name, lost, producer.expected, LOST_TO_SPEED))
        producer.expected = until

    def _tell_held(self, producer: _Producer, t_ns: int) -> None:
        if producer.held:
            self.records_dropped += producer.held
            self._own(OverrunRecord(t_ns, producer.client.name, producer.held, producer.held_first, LOST_TO_POLICY))
            producer.held = producer.held_unsafe = 0

    def _own(self, message: Any) -> None:
        """Write a record of the recorder itself."""
        if self._segment is not None:
            kind = KIND_OF_CLASS[type(message)]
            self._segment.add(kind.number, message.t_ns, self._own_sequence, encoded(kind, message, OWN_NAME))
            self._own_sequence += 1
            self.records_written += 1

    def _flush_segment(self) -> None:
        if self._segment is not None:
            self._segment.flush()
            self._safe = (self.records_written, self.records_dropped, self._own_sequence)
            for producer in self._producers:
                producer.accounted = producer.expected
                producer.held_unsafe = 0

    def _open_segment(self) -> None:
        fixed = {
            "flight_id": self._header.flight_id,
            "previous_sha256": self._previous_sha256,
            "public_key": self._key.public,
        }
        self._segment = Segment(self._folder, self._next_number, fixed)
        self._next_number += 1

    def _close_segment(self, final: bool) -> None:
        segment = self._segment
        assert segment is not None
        segment.sign(
            self._key.signed(
                {
                    "flight_id": self._header.flight_id,
                    "segment": str(segment.number),
                    "previous_sha256": self._previous_sha256,
                    "signed_bytes": str(segment.size),
                    "signed_sha256": segment.sha256,
                    "final": "yes" if final else "no",
                }
            )
        )
        segment.finish()
        self._note_closed(segment)
        self._segment = None

    def _note_closed(self, segment: Segment) -> None:
        self._previous_sha256 = segment.sha256
        self.bytes_closed += segment.size
        self._closed.append(Closed(segment.number, segment.path, segment.size, segment.sha256))

    def _keep_cap(self, now_ns: int) -> None:
        """Remove the oldest closed segments, never the first, until another segment fits under the cap."""
        limit = self._config.cap_mib * MIB - self._config.segment_mib * MIB
        while sum(closed.size for closed in self._closed) > limit:
            if len(self._closed) < 2:
                if not self._cap_told:
                    self._cap_told = True
                    self._tell(3, "recorder: the cap is smaller than what must be kept; it is flown with, and exceeded")
                return
            oldest = self._closed[1]
            self._own(SegmentRolloverRecord(now_ns, oldest.number, oldest.size, oldest.sha256))
            self.rollover_count += 1
            self._flush_segment()
            del self._closed[1]
            oldest.path.unlink(missing_ok=True)

    def _degrade(self, now_ns: int, error: OSError) -> None:
        """The disk refused: what was not flushed is lost; keep flying, try again, say so."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.abandon()
            if segment.size:
                self._note_closed(segment)
            else:
                self._next_number = segment.number
                segment.path.unlink(missing_ok=True)
        self.records_written, self.records_dropped, self._own_sequence = self._safe
        for producer in self._producers:
            producer.held -= producer.held_unsafe
            producer.held_unsafe = 0
        if not self._failing:
            self._failing = True
            self._tell(3, f"recorder: {error.strerror or error}; it keeps nothing until the disk takes it again")
        self._retry_ns = now_ns + RETRY_NS

    def _reopen(self, now_ns: int) -> None:
        """After a failure: a new segment, which begins with what was lost."""
        if self._segment is not None or now_ns < self._retry_ns:
            return
        try:
            self._open_segment()
            for producer in self._producers:
                lost = producer.expected - producer.accounted
                if lost:
                    name, first = producer.client.name, producer.accounted
                    self._own(OverrunRecord(now_ns, name, lost, first, LOST_TO_DISK))
                    self.records_dropped += lost
            self._flush_segment()
        except OSError as error:
            self._degrade(now_ns, error)
            return
        self._failing = False
        self._tell(5, "recorder: the disk takes records again")
