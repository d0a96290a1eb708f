"""Recordings as MCAP: one channel a kind, JSON payloads, the same bytes for the same messages.

A recording is a folder: `recording.json` (see recorder.meta), `telemetry.mcap` (this module), `frames/` with the
pictures, and perhaps a folder of map tiles. Positions of the truth are written a second time as foxglove.LocationFix,
so that viewers show them on a map. `log_time` of every message is its `t_ns`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, TypeAlias, cast

import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import Telemetry, TruthSample
from gps_denied_onboard.recorder.kinds import (
    KIND_OF_CLASS,
    KINDS,
    LOCATION_FIX_NAME,
    LOCATION_FIX_SCHEMA,
    MAX_T_NS,
    SCHEMA_VERSION,
    TELEMETRY_KINDS,
    FrameRecord,
    Kind,
    MalformedRecordError,
    Record,
)

if TYPE_CHECKING:
    from mcap.writer import Writer

TELEMETRY_FILE = "telemetry.mcap"
CHUNK_BYTES = 1 << 20
TRUTH_POSITION_TOPIC = "/truth_position"

REORDER_NS = 2_000_000_000
"""How much later than a newer message of another kind a message may stand in the file."""
JUMP_BACK_NS = 250_000_000
"""A kind's own times may run back by less than this (two threads); more is a jump of its clock."""
JUMP_AHEAD_NS = 120_000_000_000
"""Telemetry that is silent for longer than this is taken for a clock that jumped ahead."""

Event: TypeAlias = Telemetry | FrameRecord


class RecordingWriter:
    """Writes `telemetry.mcap` into an existing folder; use as a context manager.

    Messages must come in the order of their time, to within a second across kinds; kinds that nobody replays together
    (truth, frames, telemetry) may follow one another. A crash or a damaged sector costs whole chunks of
    `chunk_bytes`. An OSError (a full disk) passes through.
    """

    def __init__(self, directory: Path, producer: str = "sim", chunk_bytes: int = CHUNK_BYTES) -> None:
        from mcap.writer import CompressionType, Writer

        self._producer = producer
        self._stream: IO[bytes] = (directory / TELEMETRY_FILE).open("wb")
        self._writer: Writer = Writer(self._stream, chunk_size=chunk_bytes, compression=CompressionType.ZSTD)
        self._writer.start(profile="", library="gps-denied-onboard")
        self._channels: dict[str, int] = {}
        self._sequence: dict[str, int] = {}
        for kind in KINDS.values():
            self._add_channel(kind.name, f"/{kind.name}", kind.schema, f"gps_denied.{kind.name}")
        self._add_channel(LOCATION_FIX_NAME, TRUTH_POSITION_TOPIC, LOCATION_FIX_SCHEMA, LOCATION_FIX_NAME)

    def write(self, message: Record) -> None:
        """Append one message. ValueError when its time is negative or does not fit 63 bits."""
        kind = KIND_OF_CLASS[type(message)]
        t_ns = message.t_ns
        if not 0 <= t_ns <= MAX_T_NS:
            raise ValueError(f"{kind.name}: t_ns {t_ns} is not a time")
        body = {
            "schema_version": SCHEMA_VERSION,
            "kind": kind.name,
            "t_ns": t_ns,
            "producer": self._producer,
            "payload": kind.payload(message),
        }
        self._append(kind.name, t_ns, orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))
        if isinstance(message, TruthSample):
            self._append(LOCATION_FIX_NAME, t_ns, _location_fix(message))

    def write_all(self, messages: Iterable[Record]) -> None:
        """Append messages in the order of their time (equal times: in the order given)."""
        for message in sorted(messages, key=lambda m: m.t_ns):
            self.write(message)

    def close(self) -> None:
        """Write the summary and close the file; a second call does nothing."""
        if not self._stream.closed:
            try:
                self._writer.finish()  # type: ignore[no-untyped-call]
            finally:
                self._stream.close()

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _add_channel(self, key: str, topic: str, schema: bytes, schema_name: str) -> None:
        schema_id = self._writer.register_schema(schema_name, "jsonschema", schema)
        self._channels[key] = self._writer.register_channel(topic, "json", schema_id)
        self._sequence[key] = 0

    def _append(self, key: str, t_ns: int, data: bytes) -> None:
        self._writer.add_message(self._channels[key], t_ns, data, t_ns, self._sequence[key])
        self._sequence[key] = (self._sequence[key] + 1) & 0xFFFFFFFF


def _location_fix(truth: TruthSample) -> bytes:
    return orjson.dumps(
        {
            "timestamp": {"sec": truth.t_ns // 1_000_000_000, "nsec": truth.t_ns % 1_000_000_000},
            "frame_id": "wgs84",
            "latitude": truth.latitude_deg,
            "longitude": truth.longitude_deg,
            "altitude": truth.altitude_amsl_m,
            "position_covariance": [0.0] * 9,
            "position_covariance_type": 0,
        }
    )


@dataclass(frozen=True, slots=True)
class RawRecord:
    """Any record as it stands in the file, for kinds that this version does not know."""

    kind: str
    t_ns: int
    data: bytes


class RecordingReader:
    """Reads `telemetry.mcap` of a recording; every call of an iterator reads the file anew, in bounded memory.

    What could not be read is left out and told in `problems`, one sentence each, filled while iterating: a torn tail
    (everything before it is kept), a damaged chunk, malformed records, a jump of the clock (what follows is left out).
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / TELEMETRY_FILE
        self._problems: dict[str, None] = {}
        self._malformed: dict[str, tuple[int, str]] = {}
        if not self.path.is_file():
            raise UserError(
                f"{directory} is not a recording: it holds no {TELEMETRY_FILE}. Give the folder that "
                "gps-denied-sim fly or the recorder wrote."
            )

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out so far, one sentence each."""
        counted = tuple(
            f"{self.path.name}: {count} malformed {kind} record(s) left out; the first: {first}."
            for kind, (count, first) in sorted(self._malformed.items())
        )
        return (*self._problems, *counted)

    def messages(self) -> Iterator[Telemetry]:
        """All telemetry in the order of time (equal times: as written)."""
        return cast(Iterator[Telemetry], self._ordered(TELEMETRY_KINDS))

    def events(self) -> Iterator[Event]:
        """Telemetry and frames together in the order of time: what a replay feeds to the pipeline."""
        return cast(Iterator[Event], self._ordered((*TELEMETRY_KINDS, "frame")))

    def frames(self) -> Iterator[FrameRecord]:
        """The frames' times and file names in the order of time."""
        return cast(Iterator[FrameRecord], self._ordered(("frame",)))

    def truth(self) -> Iterator[TruthSample]:
        """True states in the order of time; only scoring and reports may call this."""
        return cast(Iterator[TruthSample], self._ordered(("truth",)))

    def raw(self) -> Iterator[RawRecord]:
        """Every record of the file in file order, unknown kinds included."""
        for topic, t_ns, data in self._records():
            yield RawRecord(topic.removeprefix("/"), t_ns, data)

    def _ordered(self, kinds: tuple[str, ...]) -> Iterator[Record]:
        """Messages of `kinds`, sorted within REORDER_NS; ends at a jump of the clock."""
        ahead_ns = JUMP_AHEAD_NS if "imu" in kinds else MAX_T_NS
        self._malformed = {k: v for k, v in self._malformed.items() if k not in kinds}
        pending: list[Record] = []
        emitted_ns = None
        for batch, jump in self._batches({f"/{name}": KINDS[name] for name in kinds}):
            pending += batch
            pending.sort(key=_time_of)
            newest_ns = pending[-1].t_ns if pending else 0
            ready = len(pending)
            while not jump and ready and pending[ready - 1].t_ns > newest_ns - REORDER_NS:
                ready -= 1
            for message in pending[:ready]:
                if emitted_ns is not None and not 0 <= message.t_ns - emitted_ns <= ahead_ns:
                    self._note_jump(KIND_OF_CLASS[type(message)].name, emitted_ns, message.t_ns)
                    return
                emitted_ns = message.t_ns
                yield message
            del pending[:ready]
            if jump:
                return

    def _batches(self, wanted: dict[str, Kind]) -> Iterator[tuple[list[Record], bool]]:
        """Lists of messages in file order, each with whether a clock jumped back right behind it; last one is final."""
        batch: list[Record] = []
        newest: dict[Kind, int] = {}
        for topic, t_ns, data in self._records(frozenset(wanted)):
            kind = wanted[topic]
            message = self._decoded(kind, t_ns, data)
            if message is None:
                continue
            last_ns = newest.get(kind, 0)
            if t_ns < last_ns - JUMP_BACK_NS:
                self._note_jump(kind.name, last_ns, t_ns)
                break
            newest[kind] = max(last_ns, t_ns)
            batch.append(message)
            if len(batch) >= 4096:
                yield batch, False
                batch = []
        yield batch, True

    def _decoded(self, kind: Kind, t_ns: int, data: bytes) -> Record | None:
        try:
            body = orjson.loads(data)
            if type(body) is not dict or type(body.get("payload")) is not dict or body.get("t_ns") != t_ns:
                raise MalformedRecordError("it is not an envelope with a payload and the message's own t_ns")
            return kind.message(t_ns, body["payload"])
        except (orjson.JSONDecodeError, MalformedRecordError) as error:
            count, first = self._malformed.get(kind.name, (0, str(error)))
            self._malformed[kind.name] = (count + 1, first)
            return None

    def _note_jump(self, kind: str, from_ns: int, to_ns: int) -> None:
        self._problems[
            f"{self.path.name}: the clock of '{kind}' jumps from {from_ns / 1e9:.3f} s to {to_ns / 1e9:.3f} s; what "
            f"follows was left out. Record again with one steady clock, or use the part before {from_ns / 1e9:.3f} s."
        ] = None

    def _records(self, topics: frozenset[str] | None = None) -> Iterator[tuple[str, int, bytes]]:
        """(topic, log time, data) of every message in file order; notes a torn tail and damaged chunks."""
        channels: dict[int, str] = {}
        with self.path.open("rb") as stream:
            for opcode, content in self._top_level(stream):
                if opcode == _CHUNK:
                    yield from _inner_records(self._unpacked(content), channels, topics)
                elif opcode in (_CHANNEL, _MESSAGE):
                    yield from _inner_records(_HEAD.pack(opcode, len(content)) + content, channels, topics)

    def _top_level(self, stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        """(opcode, content) of the file's records up to the end of the data section."""
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise UserError(f"{self.path} is not an MCAP file; give a recording that was written by this program.")
        while True:
            start = stream.tell()
            head = stream.read(_HEAD.size)
            opcode, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
            content = stream.read(min(length, _MAX_RECORD_BYTES)) if opcode else b""
            if not opcode or len(content) != length:
                self._problems[
                    f"{self.path.name}: the file is torn after {start} bytes (a crash or an incomplete copy); "
                    "everything before that was read. Copy it again if the original is whole."
                ] = None
                return
            if opcode == _DATA_END:
                return
            yield opcode, content

    def _unpacked(self, content: bytes) -> bytes:
        """The records of a chunk; nothing, and a noted problem, when it is damaged."""
        from mcap.data_stream import ReadDataStream
        from mcap.records import Chunk
        from mcap.stream_reader import get_chunk_data_stream

        try:
            chunk = Chunk.read(ReadDataStream(io.BytesIO(content)))
            if chunk.uncompressed_size > _MAX_RECORD_BYTES:
                raise ValueError("it claims to unpack to more than a gigabyte")
            stream, length = get_chunk_data_stream(chunk, validate_crc=True)
            return stream.read(length)
        except Exception as error:  # damaged bytes raise anything, from three libraries
            self._problems[f"{self.path.name}: a damaged part was left out ({error}); copy the file again."] = None
            return b""


_MAGIC = b"\x89MCAP0\r\n"
_CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 4, 5, 6, 15
_HEAD = struct.Struct("<BQ")
_MESSAGE_HEAD = struct.Struct("<HIQQ")
_CHANNEL_HEAD = struct.Struct("<HHI")
_MAX_RECORD_BYTES = 1 << 30


def _time_of(message: Record) -> int:
    return message.t_ns


def _inner_records(
    data: bytes, channels: dict[int, str], topics: frozenset[str] | None
) -> Iterator[tuple[str, int, bytes]]:
    """(topic, log time, payload) of the messages in `data`; its channels are added to `channels`."""
    at, size = 0, len(data)
    while at + _HEAD.size <= size:
        opcode, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        end = at + length
        if opcode == _MESSAGE and _MESSAGE_HEAD.size <= length <= size - at:
            channel, _, t_ns, _ = _MESSAGE_HEAD.unpack_from(data, at)
            topic = channels.get(channel)
            if topic is not None and (topics is None or topic in topics):
                yield topic, t_ns, data[at + _MESSAGE_HEAD.size : end]
        elif opcode == _CHANNEL and _CHANNEL_HEAD.size <= length <= size - at:
            channel, _, name_length = _CHANNEL_HEAD.unpack_from(data, at)
            name = data[at + _CHANNEL_HEAD.size : at + _CHANNEL_HEAD.size + name_length]
            channels[channel] = name.decode("utf-8", "replace")
        at = end
