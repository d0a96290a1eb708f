"""Segments that unpack to more than they are: work and memory end with the size of the file."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
import zstandard

from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.segment import segment_name
from gps_denied_onboard.recorder.verify import verify_flight

from .flights import SECOND_NS, Stepped, imu


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def chunk(records: bytes) -> bytes:
    packed = zstandard.compress(records)
    head = struct.pack("<QQQII", 1, 1, len(records), zlib.crc32(records), 4) + b"zstd"
    return record(container.CHUNK, head + struct.pack("<Q", len(packed)) + packed)


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


def crowd(count: int) -> bytes:
    """A channel, and as many messages of nothing on it."""
    channel = record(container.CHANNEL, struct.pack("<HH", 1, 0) + text("/imu") + text("json") + struct.pack("<I", 0))
    return channel + record(container.MESSAGE, struct.pack("<HIQQ", 1, 0, 1, 1)) * count


def segment(folder: Path, *records: bytes) -> Path:
    begin = container.MAGIC + record(container.HEADER, text("") + text(""))
    path = folder / segment_name(0)
    path.write_bytes(begin + b"".join(records) + record(container.DATA_END, bytes(4)))
    return path


def test_a_small_segment_of_two_million_messages_is_a_damaged_part(tmp_path: Path) -> None:
    """Six kilobytes that unpack to sixty megabytes are not unpacked; every reader says so, in little memory."""
    path = segment(tmp_path, chunk(crowd(2_000_000)))
    assert path.stat().st_size < 20_000
    tracemalloc.start()
    try:
        flight, recording = FlightReader(tmp_path), RecordingReader(tmp_path)
        assert list(flight.records()) == list(recording.events()) == []
        assert verify_flight(tmp_path).state == "damaged"
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    for told in (flight.problems, recording.problems):
        assert "claims to unpack" in " ".join(told)


def test_messages_are_not_all_held_at_once(tmp_path: Path) -> None:
    """A chunk within the bounds is read message by message."""
    segment(tmp_path, chunk(crowd(30_000)))
    tracemalloc.start()
    try:
        reader = FlightReader(tmp_path)
        assert sum(1 for _ in reader.records()) == 0
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()
    assert reader.problems == ("30000 malformed record(s) were left out.",)


def test_an_index_that_names_a_chunk_again_and_again_is_not_used(tmp_path: Path) -> None:
    """Overlapping entries would have a chunk read as often as they say: the file is walked instead, once."""
    flight = Stepped(tmp_path)
    flight.client.record(imu(SECOND_NS))
    flight.writer.step(SECOND_NS)
    flight.close()
    path = tmp_path / segment_name(0)
    data = path.read_bytes()
    with path.open("rb") as stream:
        places = list(container.places(stream, len(data)))
        honest = container.indexed_chunks(stream, len(data))
    assert honest
    place = next(place for place in places if place.opcode == container.CHUNK)
    entry = struct.pack("<QQQQ", 0, 1 << 62, place.offset, place.end - place.offset) + bytes(32)
    summary = record(container.CHUNK_INDEX, entry) * 1000
    at = places[-1].end
    footer = record(container.FOOTER, struct.pack("<QQ", at, 0) + bytes(4))[:-4]
    path.write_bytes(
        data[:at] + summary + footer + struct.pack("<I", zlib.crc32(footer, zlib.crc32(summary))) + container.MAGIC
    )
    reader = FlightReader(tmp_path)
    assert len(reader.segments[0].chunks) == len(honest)
    assert sum(1 for found in reader.records({"imu"}) if found.t_ns == SECOND_NS) == 1


def test_records_of_one_moment_without_end_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More records within the span that is put in order than any aircraft gives end the reading, and it is said."""
    flight = Stepped(tmp_path)
    for n in range(50):
        flight.client.record(imu(SECOND_NS + n))
    flight.writer.step(SECOND_NS)
    flight.close()
    monkeypatch.setattr("gps_denied_onboard.recorder.mcap_io.PENDING_MAX", 20)
    monkeypatch.setattr("gps_denied_onboard.recorder.mcap_io.BATCH_RECORDS", 10)
    reader = RecordingReader(tmp_path)
    assert list(reader.events()) == []
    assert "records lie within" in " ".join(reader.problems)


def test_a_segment_of_a_number_of_thousands_of_digits_is_a_sentence(tmp_path: Path) -> None:
    """Names and numbers of segments that no recorder gives are of another flight, and no traceback."""
    flight = Stepped(tmp_path)
    flight.client.record(imu(SECOND_NS))
    flight.writer.step(SECOND_NS)
    flight.close()
    data = (tmp_path / segment_name(0)).read_bytes()
    with (tmp_path / segment_name(0)).open("rb") as stream:
        place = next(p for p in container.places(stream, len(data)) if p.opcode == container.METADATA)
        name, entries = container.metadata(container.content(stream, place))
    pairs = b"".join(text(key) + text("9" * 5000 if key == "segment" else value) for key, value in entries.items())
    bent = record(container.METADATA, text(name) + struct.pack("<I", len(pairs)) + pairs)
    (tmp_path / segment_name(0)).write_bytes(data[: place.offset] + bent + data[place.end :])
    (tmp_path / f"segment-{'9' * 200}.mcap").write_bytes(data)
    assert verify_flight(tmp_path).state == "damaged"
    (tmp_path / "segment-\u0661.mcap").write_bytes(data)
    assert verify_flight(tmp_path).state == "damaged"
