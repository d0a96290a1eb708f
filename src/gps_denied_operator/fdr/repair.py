"""One MCAP file written anew from what of another is whole: the records as they were, the index made again."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import IO, Any

from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.container import DamagedError, Place
from gps_denied_onboard.recorder.segment import RECOVERED_METADATA

_HEAD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQ")
_CHUNK = struct.Struct("<QQQII")
_FOOTER = struct.Struct("<BQQQ")
_FOOTER_BYTES = 20
_SCHEMA = 3

Index = dict[int, list[tuple[int, int]]]
"""Channel -> (time, offset in the chunk) of each of its messages."""


class Repair:
    """Copies `source` (of `size` bytes) into `target`. After `run`: `problems` is empty when the source is whole, and
    `target` is good for nothing then; otherwise it is a whole file of `messages`, of which the first `kept_bytes` are
    the source's own."""

    def __init__(self, source: IO[bytes], size: int, target: IO[bytes]) -> None:
        self._source, self._size, self._target = source, size, target
        self.problems: dict[str, None] = {}
        self.kept_bytes = 0
        self._counts: dict[int, int] = {}
        self._schemas: dict[int, Any] = {}
        self._channels: dict[int, Any] = {}
        self._chunks: list[Any] = []
        self._metadata: list[Any] = []
        self._indexed: Index = {}

    @property
    def messages(self) -> int:
        return sum(self._counts.values())

    def run(self) -> None:
        """DamagedError when the source does not begin as an MCAP file."""
        self._declared(container.summary(self._source, self._size) or b"")  # its first chunk may be damaged
        last: Place | None = None
        for place in container.places(self._source, self._size):
            last = place
            if place.opcode == container.DATA_END:
                break
            try:
                self._take(place, container.content(self._source, place))
            except DamagedError as error:
                self.problems[f"left out {place.end - place.offset} bytes at {place.offset}: {error}"] = None
                self._indexed = {}
        self._end_chunk()
        if last is None or last.opcode != container.DATA_END:
            torn_at = last.end if last is not None else min(self._size, len(container.MAGIC))
            self.problems[f"torn after {torn_at} of {self._size} bytes"] = None
        elif container.summary(self._source, self._size) is None:
            self.problems["its index is torn or damaged"] = None
        if self.problems and self.messages:
            self._finish()

    def _take(self, place: Place, content: bytes) -> None:
        if place.opcode == container.MESSAGE_INDEX:
            channel = int.from_bytes(content[:2], "little")
            if channel in self._indexed:
                if self._write_index(channel) != content:
                    self.problems[f"the index of a chunk is damaged at {place.offset}"] = None
                self._note_kept(place.end)
            return
        self._end_chunk()
        if place.opcode == container.CHUNK:
            self._take_chunk(content)
        elif place.opcode == container.METADATA:
            name, _ = container.metadata(content)
            self._write_metadata(name, _HEAD.pack(place.opcode, place.length) + content)
        elif place.opcode == container.HEADER and place.offset == len(container.MAGIC):
            self._target.write(container.MAGIC + _HEAD.pack(place.opcode, place.length) + content)
        else:
            raise DamagedError(f"a record of kind {place.opcode}, which this program does not write there")
        self._note_kept(place.end)

    def _take_chunk(self, content: bytes) -> None:
        from mcap.records import ChunkIndex

        if not self._target.tell():
            raise DamagedError("the file's head is missing")
        data = container.unpacked(content)
        index = self._declared(data)
        start_ns, end_ns, size, _, name_length = _CHUNK.unpack_from(content)
        compression = content[_CHUNK.size : _CHUNK.size + name_length].decode("ascii")
        packed = len(content) - _CHUNK.size - name_length - 8
        at = self._target.tell()
        self._target.write(_HEAD.pack(container.CHUNK, len(content)) + content)
        length = self._target.tell() - at
        self._chunks.append(ChunkIndex(length, at, compression, packed, end_ns, 0, {}, start_ns, size))
        self._indexed = index
        for channel, messages in index.items():
            self._counts[channel] = self._counts.get(channel, 0) + len(messages)

    def _declared(self, records: bytes) -> Index:
        """Note the schemas and channels among a chunk's or a summary's records; returns where its messages are."""
        from mcap.data_stream import ReadDataStream
        from mcap.exceptions import McapError
        from mcap.records import Channel, Schema

        index: Index = {}
        at = 0
        try:
            while at < len(records):
                opcode, length = _HEAD.unpack_from(records, at)
                content = at + _HEAD.size
                if length > len(records) - content:
                    raise DamagedError("a record inside it is cut off")
                if opcode == container.MESSAGE:
                    channel, _, t_ns = _MESSAGE.unpack_from(records, content)
                    if channel not in self._channels:
                        raise DamagedError(f"nothing declares its channel {channel}")
                    index.setdefault(channel, []).append((t_ns, at))
                elif opcode in (_SCHEMA, container.CHANNEL):
                    stream = ReadDataStream(BytesIO(records[content : content + length]))
                    if opcode == _SCHEMA:
                        schema = Schema.read(stream)
                        self._schemas[schema.id] = schema
                    else:
                        declared = Channel.read(stream)
                        if declared.schema_id and declared.schema_id not in self._schemas:
                            raise DamagedError(f"nothing declares schema {declared.schema_id}")
                        self._channels[declared.id] = declared
                at = content + length
        except (struct.error, McapError, UnicodeDecodeError) as error:
            raise DamagedError(f"a record inside it is malformed ({error})") from error
        return index

    def _write_index(self, channel: int) -> bytes:
        """The message index of a channel of the newest chunk, behind it; returns its content."""
        from mcap.records import MessageIndex

        self._chunks[-1].message_index_offsets[channel] = self._target.tell()
        record = _packed(MessageIndex(channel, self._indexed.pop(channel)))
        self._chunks[-1].message_index_length += self._target.write(record)
        return record[_HEAD.size :]

    def _end_chunk(self) -> None:
        """Message indexes that were torn off."""
        for channel in tuple(self._indexed):
            self._write_index(channel)

    def _write_metadata(self, name: str, record: bytes) -> None:
        from mcap.records import MetadataIndex

        self._metadata.append(MetadataIndex(self._target.tell(), len(record), name))
        self._target.write(record)

    def _note_kept(self, source_end: int) -> None:
        """The target is the source up to here, if nothing was left out before."""
        if self._target.tell() == source_end and not self.problems:
            self.kept_bytes = source_end

    def _finish(self) -> None:
        from mcap.records import DataEnd, Metadata, Statistics

        told = {"original_bytes": str(self._size), "kept_bytes": str(self.kept_bytes)}
        self._write_metadata(RECOVERED_METADATA, _packed(Metadata(RECOVERED_METADATA, told)))
        self._target.write(_packed(DataEnd(0)))
        at = self._target.tell()
        with_messages = [chunk for chunk in self._chunks if chunk.message_index_offsets]
        statistics = Statistics(
            0, len(self._channels), self._counts, len(self._chunks), self.messages,
            max((chunk.message_end_time for chunk in with_messages), default=0),
            min((chunk.message_start_time for chunk in with_messages), default=0),
            len(self._metadata), len(self._schemas),
        )  # fmt: skip
        summary = _packed(*self._schemas.values(), *self._channels.values(), statistics, *self._chunks, *self._metadata)
        footer = _FOOTER.pack(container.FOOTER, _FOOTER_BYTES, at, 0)
        crc = zlib.crc32(footer, zlib.crc32(summary))
        self._target.write(summary + footer + struct.pack("<I", crc) + container.MAGIC)


def _packed(*records: Any) -> bytes:
    """Foxglove's records as bytes."""
    from mcap.data_stream import RecordBuilder

    builder = RecordBuilder()
    for record in records:
        record.write(builder)
    return bytes(builder.end())  # type: ignore[no-untyped-call]
