"""Recordings as MCAP: one channel a kind, JSON payloads, the same bytes for the same messages.

A recording is a folder: `recording.json` (see recorder.meta), `telemetry.mcap` (this module) or the segments of a
flight (recorder.flight), `frames/` with the pictures, and perhaps a folder of map tiles. Positions of the truth are
written a second time as foxglove.LocationFix, so that viewers show them on a map. `log_time` of every message is its
`t_ns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, TypeAlias, cast

import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import NavState, Telemetry, TruthSample
from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.kinds import (
    KIND_OF_CLASS,
    KINDS,
    LOCATION_FIX_NAME,
    LOCATION_FIX_SCHEMA,
    MAX_T_NS,
    RECORD_CLASSES,
    SCHEMA_VERSION,
    TELEMETRY_KINDS,
    FrameRecord,
    Kind,
    MalformedRecordError,
    Record,
)
from gps_denied_onboard.untrusted.folders import is_plain, plain_files

if TYPE_CHECKING:
    from mcap.writer import Writer

TELEMETRY_FILE = "telemetry.mcap"
SEGMENT_FILES = "segment-*.mcap"
CHUNK_BYTES = 1 << 20
TRUTH_POSITION_TOPIC = "/truth_position"

REORDER_NS = 2_000_000_000
PENDING_MAX = 200_000
BATCH_RECORDS = 4096
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
        for kind in map(KINDS.__getitem__, RECORD_CLASSES):
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
            self._append(LOCATION_FIX_NAME, t_ns, location_fix(message, [0.0] * 9, 0))

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


def location_fix(
    state: TruthSample | NavState, covariance_enu_m2: Sequence[float], covariance_type: int, producer: str = ""
) -> bytes:
    """A position as foxglove.LocationFix; the type is 0 for an unknown covariance, 3 for a known one."""
    return orjson.dumps(
        {
            **({"producer": producer} if producer else {}),
            "timestamp": {"sec": state.t_ns // 1_000_000_000, "nsec": state.t_ns % 1_000_000_000},
            "frame_id": "wgs84",
            "latitude": state.latitude_deg,
            "longitude": state.longitude_deg,
            "altitude": state.altitude_amsl_m,
            "position_covariance": covariance_enu_m2,
            "position_covariance_type": covariance_type,
        }
    )


@dataclass(frozen=True, slots=True)
class RawRecord:
    """Any record as it stands in the file, for kinds that this version does not know."""

    kind: str
    t_ns: int
    data: bytes


class RecordingReader:
    """Reads the MCAP files of a recording; every call of an iterator reads the file anew, in bounded memory.

    What could not be read is left out and told in `problems`, one sentence each, filled while iterating: a torn tail
    (everything before it is kept), a damaged chunk, malformed records, a jump of the clock (what follows is left out).
    """

    def __init__(self, directory: Path) -> None:
        self.paths = recording_files(directory)
        self.path = self.paths[0] if self.paths else directory / TELEMETRY_FILE
        self._problems: dict[str, None] = {}
        self._malformed: dict[str, tuple[int, str]] = {}
        if not self.paths:
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
            if len(pending) > PENDING_MAX:  # no sensors give so many in two seconds
                self._note_crowd(pending[0].t_ns)
                return
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
            if len(batch) >= BATCH_RECORDS:
                yield batch, False
                batch = []
        yield batch, True

    def _decoded(self, kind: Kind, t_ns: int, data: bytes) -> Record | None:
        try:
            body = orjson.loads(data)
            if type(body) is not dict or type(body.get("payload")) is not dict or body.get("t_ns") != t_ns:
                raise MalformedRecordError("it is not an envelope with a payload and the message's own t_ns")
            return cast(Record, kind.message(t_ns, body["payload"]))
        except (orjson.JSONDecodeError, MalformedRecordError) as error:
            count, first = self._malformed.get(kind.name, (0, str(error)))
            self._malformed[kind.name] = (count + 1, first)
            return None

    def _note_crowd(self, t_ns: int) -> None:
        self._problems[
            f"{self.path.name}: more than {PENDING_MAX} records lie within {REORDER_NS / 1e9:g} s of "
            f"{t_ns / 1e9:.3f} s; they and what follows were left out. Use the part before."
        ] = None

    def _note_jump(self, kind: str, from_ns: int, to_ns: int) -> None:
        self._problems[
            f"{self.path.name}: the clock of '{kind}' jumps from {from_ns / 1e9:.3f} s to {to_ns / 1e9:.3f} s; what "
            f"follows was left out. Record again with one steady clock, or use the part before {from_ns / 1e9:.3f} s."
        ] = None

    def _records(self, topics: frozenset[str] | None = None) -> Iterator[tuple[str, int, bytes]]:
        """(topic, log time, data) of every message in file order; notes torn tails and damaged chunks."""
        for path in self.paths:
            for message in self._of_file(path, topics):
                yield message.topic, message.t_ns, message.data

    def _of_file(self, path: Path, topics: frozenset[str] | None) -> Iterator[container.Message]:
        size = path.stat().st_size
        last: container.Place | None = None
        with path.open("rb") as stream:
            channels = container.summary_channels(stream, size)
            try:
                if size < len(container.MAGIC) and path == self.path:
                    raise container.DamagedError("there is nothing in it")
                for place in container.places(stream, size):
                    last = place
                    yield from self._of_place(path, stream, place, channels, topics)
            except container.DamagedError:
                raise UserError(
                    f"{path} is not an MCAP file; give a recording that was written by this program."
                ) from None
        if last is None or last.opcode != container.DATA_END:
            end = min(len(container.MAGIC), size) if last is None else last.end
            self._problems[
                f"{path.name}: the file is torn after {end} bytes (a crash or an incomplete copy); "
                "everything before that was read. Copy it again if the original is whole."
            ] = None

    def _of_place(
        self,
        path: Path,
        stream: IO[bytes],
        place: container.Place,
        channels: dict[int, str],
        topics: frozenset[str] | None,
    ) -> Iterator[container.Message]:
        """The messages of one outer record; none, and a noted problem, when it is damaged."""
        try:
            if place.opcode == container.CHUNK:
                data = container.unpacked(container.content(stream, place))
                yield from container.messages(data, channels, topics)
            if place.opcode == container.CHANNEL:
                container.declare(container.content(stream, place), channels)
            if place.opcode == container.MESSAGE:
                found = container.single_message(container.content(stream, place), channels)
                yield from (m for m in found if topics is None or m.topic in topics)
        except container.DamagedError as error:
            self._problems[f"{path.name}: a damaged part was left out ({error}); copy the file again."] = None


def recording_files(directory: Path) -> list[Path]:
    """The MCAP files of a recording, oldest first: one of a simulation, the segments of a flight; empty without."""
    whole = directory / TELEMETRY_FILE
    return [whole] if is_plain(whole) else plain_files(directory, SEGMENT_FILES)


def _time_of(message: Record) -> int:
    return message.t_ns
