"""Damaged recordings: everything that can be read is, and what is left out is said."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from mcap.writer import CompressionType, Writer

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import BaroSample, ImuSample, Telemetry
from gps_denied_onboard.recorder.mcap_io import TELEMETRY_FILE, RecordingReader, RecordingWriter

SECOND_NS = 1_000_000_000


def imu(t_ns: int) -> ImuSample:
    rng = random.Random(t_ns)
    return ImuSample(t_ns, (rng.random(), rng.random(), -9.8), (rng.random(), rng.random(), rng.random()))


def record(folder: Path, messages: Iterable[Telemetry]) -> None:
    with RecordingWriter(folder, chunk_bytes=1 << 15) as writer:
        for message in messages:
            writer.write(message)


def forge(folder: Path, bodies: Iterable[tuple[str, int, Any]]) -> None:
    """Write any bytes as records of any kind."""
    with (folder / TELEMETRY_FILE).open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.ZSTD)
        writer.start()
        channels: dict[str, int] = {}
        for kind, t_ns, body in bodies:
            if kind not in channels:
                channels[kind] = writer.register_channel(f"/{kind}", "json", 0)
            data = body if isinstance(body, bytes) else orjson.dumps(body)
            writer.add_message(channels[kind], t_ns, data, t_ns)
        writer.finish()  # type: ignore[no-untyped-call]


def baro_body(t_ns: int, **payload: Any) -> dict[str, Any]:
    return {"schema_version": 1, "kind": "baro", "t_ns": t_ns, "producer": "x", "payload": payload}


def test_a_torn_tail_keeps_what_came_before(tmp_path: Path) -> None:
    """Wherever the file is cut, what is read is the beginning of what was written, and the tear is told."""
    messages = [imu(k * 10_000_000) for k in range(2000)]
    record(tmp_path, messages)
    path = tmp_path / TELEMETRY_FILE
    whole = path.read_bytes()
    lengths = []
    for size in (20, len(whole) // 3, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:size])
        reader = RecordingReader(tmp_path)
        found = list(reader.messages())
        assert found == messages[: len(found)]
        assert any("torn" in problem for problem in reader.problems)
        lengths.append(len(found))
    assert lengths == sorted(lengths)
    assert lengths[-1] > len(messages) // 2


def test_zeros_after_a_power_cut_end_the_file(tmp_path: Path) -> None:
    """A tail of zeros, as filesystems leave it, is a tear and no record."""
    record(tmp_path, [imu(k * 10_000_000) for k in range(2000)])
    path = tmp_path / TELEMETRY_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(5000))
    reader = RecordingReader(tmp_path)
    assert len(list(reader.messages())) > 500
    assert any("torn" in problem for problem in reader.problems)


def test_a_damaged_chunk_is_left_out(tmp_path: Path) -> None:
    """Flipped bytes inside one chunk cost that chunk only."""
    messages = [imu(k * 10_000_000) for k in range(3000)]
    record(tmp_path, messages)
    path = tmp_path / TELEMETRY_FILE
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(byte ^ 0x5A for byte in data[middle : middle + 64])
    path.write_bytes(data)
    reader = RecordingReader(tmp_path)
    found = list(reader.messages())
    assert set(found) < set(messages)
    assert len(found) > len(messages) // 2
    assert found[-1] == messages[-1]
    assert any("damaged" in problem for problem in reader.problems)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[1, 2]",
        b'"text"',
        b'{"kind": "baro", "t_ns": 5, "payload": null}',
        b'{"kind": "baro", "t_ns": 5, "payload": {"altitude_amsl_m": NaN}}',
        b'{"kind": "baro", "t_ns": 5, "payload": {"altitude_amsl_m": 1e999}}',
        baro_body(5),
        baro_body(5, altitude_amsl_m=None),
        baro_body(5, altitude_amsl_m="high"),
        baro_body(5, altitude_amsl_m=[1.0]),
        baro_body(5, altitude_amsl_m=True),
        baro_body(6, altitude_amsl_m=1.0),
    ],
)
def test_malformed_records_are_counted_and_left_out(body: Any, tmp_path: Path) -> None:
    """A record that does not hold what its kind promises is left out; its neighbours stay."""
    good = [baro_body(4, altitude_amsl_m=1.0), baro_body(7, altitude_amsl_m=2)]
    forge(tmp_path, [("baro", 4, good[0]), ("baro", 5, body), ("baro", 7, good[1])])
    reader = RecordingReader(tmp_path)
    assert list(reader.messages()) == [BaroSample(4, 1.0), BaroSample(7, 2.0)]
    assert len(reader.problems) == 1
    assert "1 malformed baro" in reader.problems[0]


def test_unknown_kinds_and_keys_are_passed_over(tmp_path: Path) -> None:
    """A recording of a later version reads: unknown kinds stand in raw() only, unknown keys do nothing."""
    forge(tmp_path, [("baro", 4, baro_body(4, altitude_amsl_m=1.0, colour="red")), ("thermal", 5, {"kind": "thermal"})])
    reader = RecordingReader(tmp_path)
    assert list(reader.messages()) == [BaroSample(4, 1.0)]
    assert reader.problems == ()
    assert [raw.kind for raw in reader.raw()] == ["baro", "thermal"]


def test_a_clock_that_jumps_back_ends_the_recording(tmp_path: Path) -> None:
    """What stands behind a jump back is left out, with a sentence that gives both times."""
    before = [imu(k * 10_000_000) for k in range(1000)]
    record(tmp_path, [*before, *(imu(2 * SECOND_NS + k * 10_000_000) for k in range(1000))])
    reader = RecordingReader(tmp_path)
    assert list(reader.messages()) == before
    assert "'imu' jumps from 9.990 s to 2.000 s" in reader.problems[0]


def test_a_clock_that_jumps_ahead_ends_the_recording(tmp_path: Path) -> None:
    """A silence of hours is a jump of the clock: what follows is left out."""
    before = [imu(k * 10_000_000) for k in range(1000)]
    record(tmp_path, [*before, *(imu(7200 * SECOND_NS + k * 10_000_000) for k in range(1000))])
    reader = RecordingReader(tmp_path)
    assert list(reader.messages()) == before
    assert "jumps from 9.990 s to 7200.000 s" in reader.problems[0]


def test_a_gap_in_telemetry_is_no_jump(tmp_path: Path) -> None:
    """Half a minute without telemetry is read over."""
    messages = [*(imu(k * 10_000_000) for k in range(100)), *(imu(30 * SECOND_NS + k * 10_000_000) for k in range(100))]
    record(tmp_path, messages)
    reader = RecordingReader(tmp_path)
    assert list(reader.messages()) == messages
    assert reader.problems == ()


@pytest.mark.parametrize("content", [b"", b"garbage that is long enough to be read", b"\x89MCAP0"])
def test_another_file_under_the_name_is_refused(content: bytes, tmp_path: Path) -> None:
    """A file that is no MCAP is the user's mistake."""
    (tmp_path / TELEMETRY_FILE).write_bytes(content)
    with pytest.raises(UserError, match="not an MCAP file"):
        list(RecordingReader(tmp_path).messages())


def test_a_folder_without_telemetry_is_refused(tmp_path: Path) -> None:
    """A folder that is no recording is the user's mistake, told before anything is read."""
    with pytest.raises(UserError, match="is not a recording"):
        RecordingReader(tmp_path)
