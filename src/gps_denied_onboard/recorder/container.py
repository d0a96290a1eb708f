"""MCAP's outer form, read with bounds: whatever the bytes say, no more memory than MAX_BYTES a record is taken, and
no more work than the file's own size calls for.

Foxglove's own reader is for files that are trusted; this one is for files that were torn, bent or made to hurt.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX, METADATA, DATA_END = 1, 2, 4, 5, 6, 7, 8, 12, 15
MAX_BYTES = 64 << 20
MAX_WINDOW_BYTES = 8 << 20
MAX_UNPACKED_FREE = 1 << 20
MAX_UNPACKED_RATIO = 200
"""Of a chunk of more than MAX_UNPACKED_FREE bytes; telemetry packs to a fifth, of a vehicle at rest to a fortieth."""

_HEAD = struct.Struct("<BQ")
_MESSAGE_HEAD = struct.Struct("<HIQQ")
_CHANNEL_HEAD = struct.Struct("<HHI")
_CHUNK_HEAD = struct.Struct("<QQQII")
_CHUNK_INDEX = struct.Struct("<QQQQ")
_FOOTER = struct.Struct("<QQI")
_LENGTH32, _LENGTH64 = struct.Struct("<I"), struct.Struct("<Q")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class DamagedError(ValueError):
    """Bytes that are not what they should be."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record of the file's outer level lies: its head is at `offset`, its content of `length` behind it."""

    opcode: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + _HEAD.size + self.length


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """A chunk and the times of its first and last message."""

    offset: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it stands in a file."""

    topic: str
    t_ns: int
    sequence: int
    data: bytes


def places(stream: IO[bytes], size: int) -> Iterator[Place]:
    """The outer records from the start to the end of the data section, or to the first that is not whole.

    DamagedError where the file does not begin as an MCAP file; one that is empty or torn within its first bytes has
    no records. The last place tells whether the end was reached: its opcode is DATA_END then.
    """
    stream.seek(0)
    magic = stream.read(len(MAGIC))
    if magic != MAGIC[: min(size, len(MAGIC))]:
        raise DamagedError("it does not begin as an MCAP file")
    at = len(MAGIC)
    while at + _HEAD.size <= size:
        stream.seek(at)
        opcode, length = _HEAD.unpack(stream.read(_HEAD.size))
        if opcode == 0 or length > size - at - _HEAD.size:
            return
        yield Place(opcode, at, length)
        if opcode == DATA_END:
            return
        at += _HEAD.size + length


def breaks_off(stream: IO[bytes], at: int, size: int) -> bool:
    """Whether the summary that begins at `at` breaks off: records, then fewer bytes than the next one needs."""
    while at + _HEAD.size <= size:
        stream.seek(at)
        opcode, length = _HEAD.unpack(stream.read(_HEAD.size))
        at += _HEAD.size + length
        if opcode == FOOTER and at <= size:
            stream.seek(at)
            return stream.read(len(MAGIC) + 1) in (MAGIC[:k] for k in range(len(MAGIC)))
    return True


def content(stream: IO[bytes], place: Place) -> bytes:
    """The content of a record. DamagedError when it is larger than anything that is written."""
    if place.length > MAX_BYTES:
        raise DamagedError(f"a record claims {place.length} bytes")
    stream.seek(place.offset + _HEAD.size)
    return stream.read(place.length)


def chunk_place(stream: IO[bytes], place: Place) -> ChunkPlace:
    """The times of a chunk, without its messages."""
    stream.seek(place.offset + _HEAD.size)
    head = stream.read(_CHUNK_HEAD.size)
    if len(head) < _CHUNK_HEAD.size:
        raise DamagedError("a chunk is cut off")
    start_ns, end_ns, *_ = _CHUNK_HEAD.unpack(head)
    return ChunkPlace(place.offset, start_ns, end_ns)


def summary(stream: IO[bytes], size: int) -> bytes | None:
    """The records of the file's own summary; None where it has none or its checksum is wrong."""
    tail = _HEAD.size + _FOOTER.size + len(MAGIC)
    if size < tail + len(MAGIC):
        return None
    stream.seek(size - tail)
    end = stream.read(tail)
    opcode, length = _HEAD.unpack_from(end)
    summary_start, _, crc = _FOOTER.unpack_from(end, _HEAD.size)
    if opcode != FOOTER or length != _FOOTER.size or not end.endswith(MAGIC):
        return None
    if not len(MAGIC) <= summary_start <= size - tail or size - tail - summary_start > MAX_BYTES:
        return None
    stream.seek(summary_start)
    records = stream.read(size - tail - summary_start)
    return records if crc == zlib.crc32(end[: tail - len(MAGIC) - 4], zlib.crc32(records)) else None


def indexed_chunks(stream: IO[bytes], size: int) -> list[ChunkPlace] | None:
    """The chunks by the file's own summary; None where it has none, its checksum is wrong, or chunks overlap."""
    records = summary(stream, size)
    if records is None:
        return None
    out: list[ChunkPlace] = []
    at = past = 0
    while at + _HEAD.size <= len(records):
        opcode, length = _HEAD.unpack_from(records, at)
        at += _HEAD.size
        if opcode == CHUNK_INDEX and _CHUNK_INDEX.size <= length <= len(records) - at:
            start_ns, end_ns, offset, chunk_length = _CHUNK_INDEX.unpack_from(records, at)
            if offset < past:  # chunks that overlap would be read over and over
                return None
            past = offset + max(chunk_length, _HEAD.size)
            out.append(ChunkPlace(offset, start_ns, end_ns))
        at += length
    return out


def summary_channels(stream: IO[bytes], size: int) -> dict[int, str]:
    """The channels by the file's own summary, which repeats them: the chunk that declares them may be damaged."""
    channels: dict[int, str] = {}
    for _ in messages(summary(stream, size) or b"", channels, frozenset()):
        pass
    return channels


def place_at(stream: IO[bytes], offset: int, size: int) -> Place:
    """The record at an offset. DamagedError where there is none that is whole."""
    if not len(MAGIC) <= offset <= size - _HEAD.size:
        raise DamagedError("an index points outside the file")
    stream.seek(offset)
    opcode, length = _HEAD.unpack(stream.read(_HEAD.size))
    if length > size - offset - _HEAD.size:
        raise DamagedError("an index points at what is no record")
    return Place(opcode, offset, length)


def unpacked(chunk: bytes) -> bytes:
    """The records inside a chunk's content. DamagedError for wrong sizes, checksums or compressed data."""
    import zstandard

    if len(chunk) < _CHUNK_HEAD.size:
        raise DamagedError("a chunk is cut off")
    _, _, size, crc, name_length = _CHUNK_HEAD.unpack_from(chunk)
    at = _CHUNK_HEAD.size + name_length
    if size > MAX_BYTES or at + _LENGTH64.size > len(chunk):
        raise DamagedError(f"a chunk claims to unpack to {size} bytes" if size > MAX_BYTES else "a chunk is cut off")
    compression = chunk[_CHUNK_HEAD.size : at]
    (packed_length,) = _LENGTH64.unpack_from(chunk, at)
    packed = chunk[at + _LENGTH64.size :]
    if packed_length != len(packed):
        raise DamagedError("a chunk is cut off")
    if size > max(MAX_UNPACKED_FREE, MAX_UNPACKED_RATIO * len(packed)):
        raise DamagedError(f"a chunk of {len(packed)} bytes claims to unpack to {size}")
    if compression == b"zstd":
        try:
            with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).stream_reader(packed) as reader:
                data = reader.read(size + 1)
        except (zstandard.ZstdError, MemoryError) as error:
            raise DamagedError(f"its compressed data is damaged: {error}") from error
    elif compression == b"":
        data = packed
    else:
        raise DamagedError(f"its compression {compression[:16]!r} is not one that this program writes")
    if len(data) != size or (crc and zlib.crc32(data) != crc):
        raise DamagedError("its checksum or size is wrong")
    return data


def messages(data: bytes, channels: dict[int, str], topics: frozenset[str] | None = None) -> Iterator[Message]:
    """The messages in `data` (of `topics` only); channels that it declares are added to `channels`."""
    at, size = 0, len(data)
    while at + _HEAD.size <= size:
        opcode, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if length > size - at:
            return
        if opcode == MESSAGE and length >= _MESSAGE_HEAD.size:
            channel, sequence, t_ns, _ = _MESSAGE_HEAD.unpack_from(data, at)
            topic = channels.get(channel)
            if topic is not None and (topics is None or topic in topics):
                yield Message(topic, t_ns, sequence, data[at + _MESSAGE_HEAD.size : at + length])
        elif opcode == CHANNEL:
            declare(data[at : at + length], channels)
        at += length


def declare(channel_content: bytes, channels: dict[int, str]) -> None:
    """Note the channel of a channel record; one that is cut off is ignored."""
    if len(channel_content) >= _CHANNEL_HEAD.size:
        channel, _, name_length = _CHANNEL_HEAD.unpack_from(channel_content)
        name = channel_content[_CHANNEL_HEAD.size : _CHANNEL_HEAD.size + name_length]
        channels[channel] = name.decode("utf-8", "replace")


def single_message(message_content: bytes, channels: dict[int, str]) -> Iterator[Message]:
    """The message of a message record outside any chunk."""
    return messages(_HEAD.pack(MESSAGE, len(message_content)) + message_content, channels)


def metadata(content_of_it: bytes) -> tuple[str, dict[str, str]]:
    """Name and entries of a metadata record. DamagedError when it is none."""
    try:
        name, at = _text(content_of_it, 0)
        (length,) = _LENGTH32.unpack_from(content_of_it, at)
        at += _LENGTH32.size
        end = at + length
        entries: dict[str, str] = {}
        while at < end:
            key, at = _text(content_of_it, at)
            entries[key], at = _text(content_of_it, at)
    except (struct.error, UnicodeDecodeError) as error:
        raise DamagedError(f"a metadata record is damaged: {error}") from error
    return name, entries


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = _LENGTH32.unpack_from(data, at)
    at += _LENGTH32.size
    return data[at : at + length].decode("utf-8"), at + length
