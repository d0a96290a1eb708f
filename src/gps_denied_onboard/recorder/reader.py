"""A flight's recording: any moment of it, in bounded memory, whatever its bytes are.

A torn tail is left out and told; everything before it is kept. Kinds and keys that this version does not know are
carried through as they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.kinds import KINDS, MalformedRecordError
from gps_denied_onboard.recorder.mcap_io import recording_files
from gps_denied_onboard.recorder.records import FooterRecord
from gps_denied_onboard.recorder.segment import SEGMENT_METADATA


@dataclass(frozen=True, slots=True)
class FlightRecord:
    """One record of a file. `payload` is as it was written, keys of other versions included; `data` is the envelope."""

    kind: str
    t_ns: int
    sequence: int
    producer: str
    payload: dict[str, Any]
    data: bytes


class SegmentReader:
    """One MCAP file. `problems` says what could not be read, `torn_at` where it breaks off (None: it does not)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.problems: dict[str, None] = {}
        self.torn_at: int | None = None
        self._channels: dict[int, str] = {}

    @cached_property
    def chunks(self) -> list[container.ChunkPlace]:
        """The chunks in file order, by the summary, or by a walk over a file that has none."""
        with self.path.open("rb") as stream:
            found = container.indexed_chunks(stream, self.size)
            return self._walked(stream) if found is None else found

    @cached_property
    def metadata(self) -> dict[str, str]:
        """What the head of a flight's segment says; empty where it says nothing."""
        with self.path.open("rb") as stream:
            try:
                for place in container.places(stream, self.size):
                    if place.opcode == container.METADATA:
                        name, entries = container.metadata(container.content(stream, place))
                        if name == SEGMENT_METADATA:
                            return entries
                    if place.opcode == container.CHUNK:
                        break
            except container.DamagedError as error:
                self._note(str(error))
        return {}

    def messages(self, from_ns: int, to_ns: int, topics: frozenset[str] | None) -> Iterator[container.Message]:
        """The messages of the chunks that touch the span, in file order. Every chunk is read on its own."""
        if self.chunks:
            self._learn_channels()
        with self.path.open("rb") as stream:
            for chunk in self.chunks:
                if chunk.end_ns < from_ns or chunk.start_ns > to_ns:
                    continue
                for message in self._of_chunk(stream, chunk, topics):
                    if from_ns <= message.t_ns <= to_ns:
                        yield message

    def last_chunk(self, topics: frozenset[str]) -> Iterator[container.Message]:
        """The messages of the chunk that was written last."""
        if not self.chunks:
            return
        self._learn_channels()
        with self.path.open("rb") as stream:
            yield from self._of_chunk(stream, self.chunks[-1], topics)

    def _of_chunk(
        self, stream: IO[bytes], chunk: container.ChunkPlace, topics: frozenset[str] | None
    ) -> Iterator[container.Message]:
        try:
            place = container.place_at(stream, chunk.offset, self.size)
            if place.opcode != container.CHUNK:
                raise container.DamagedError("an index points at what is no chunk")
            data = container.unpacked(container.content(stream, place))
        except container.DamagedError as error:
            self._note(f"a damaged part was left out ({error})")
            return
        yield from container.messages(data, self._channels, topics)

    def _learn_channels(self) -> None:
        """The first chunk declares all channels of a segment, and the summary does again."""
        if not self._channels:
            with self.path.open("rb") as stream:
                deque(self._of_chunk(stream, self.chunks[0], frozenset()), maxlen=0)
                self._channels = self._channels or container.summary_channels(stream, self.size)

    def _walked(self, stream: IO[bytes]) -> list[container.ChunkPlace]:
        out = []
        last: container.Place | None = None
        try:
            for place in container.places(stream, self.size):
                last = place
                if place.opcode == container.CHUNK:
                    out.append(container.chunk_place(stream, place))
        except container.DamagedError as error:
            self._note(str(error))
            return out
        if last is None or last.opcode != container.DATA_END:
            self.torn_at = min(len(container.MAGIC), self.size) if last is None else last.end
        return out

    def _note(self, text: str) -> None:
        self.problems[f"{self.path.name}: {text}."] = None


class FlightReader:
    """All files of a recording folder, of a flight or of a simulation. UserError where there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = recording_files(folder)
        if not paths:
            raise UserError(f"{folder} is not a recording; give the folder of a flight, or one that holds them.")
        self.segments = [SegmentReader(path) for path in paths]
        self._malformed = 0

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read so far, one sentence each."""
        torn = [
            f"{s.path.name}: torn after {s.torn_at} of {s.size} bytes; everything before was read."
            for s in self.segments
            if s.chunks is not None and s.torn_at is not None
        ]
        bad = [f"{self._malformed} malformed record(s) were left out."] if self._malformed else []
        return (*(text for s in self.segments for text in s.problems), *torn, *bad)

    @property
    def start_ns(self) -> int | None:
        """Time of the oldest record; None for an empty flight."""
        return min((c.start_ns for s in self.segments for c in s.chunks), default=None)

    @property
    def end_ns(self) -> int | None:
        """Time of the newest record; None for an empty flight."""
        return max((c.end_ns for s in self.segments for c in s.chunks), default=None)

    def records(
        self, kinds: Collection[str] | None = None, from_ns: int = 0, to_ns: int = 2**63 - 1
    ) -> Iterator[FlightRecord]:
        """Records of the kinds (all without) and the span, in file order: the order in which they were taken."""
        topics = None if kinds is None else frozenset(f"/{kind}" for kind in kinds)
        for segment in self.segments:
            for message in segment.messages(from_ns, to_ns, topics):
                record = self.record(message)
                if record is not None:
                    yield record

    def messages(self, kinds: Collection[str], from_ns: int = 0, to_ns: int = 2**63 - 1) -> Iterator[Any]:
        """The same as messages of known kinds; malformed ones are counted and left out."""
        for record in self.records(kinds, from_ns, to_ns):
            try:
                yield KINDS[record.kind].message(record.t_ns, record.payload)
            except (MalformedRecordError, KeyError):
                self._malformed += 1

    def first(self, kind: str) -> Any | None:
        """The first message of a kind, or None."""
        return next(self.messages({kind}), None)

    def footer(self) -> FooterRecord | None:
        """The flight's footer, the last record of a flight that was closed."""
        for message in self.segments[-1].last_chunk(frozenset({"/footer"})):
            record = self.record(message)
            if record is not None:
                try:
                    return cast(FooterRecord, KINDS["footer"].message(record.t_ns, record.payload))
                except MalformedRecordError:
                    self._malformed += 1
        return None

    def record(self, message: container.Message) -> FlightRecord | None:
        """A message as a record; None, and counted, when it is malformed."""
        kind = message.topic.removeprefix("/")
        try:
            body = orjson.loads(message.data)
        except orjson.JSONDecodeError:
            body = None
        if isinstance(body, dict) and "payload" not in body:  # a foxglove message: no envelope
            producer = str(body.get("producer", ""))
            return FlightRecord(kind, message.t_ns, message.sequence, producer, body, message.data)
        if not isinstance(body, dict) or not isinstance(body.get("payload"), dict) or body.get("t_ns") != message.t_ns:
            self._malformed += 1
            return None
        producer = str(body.get("producer", ""))
        return FlightRecord(kind, message.t_ns, message.sequence, producer, body["payload"], message.data)
