"""What the recorder writes is what the reader gives: every kind, in the order of time, the same bytes each time."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest
from mcap.reader import make_reader

from gps_denied_onboard.messages import (
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    GpsSample,
    ImuSample,
    RangefinderSample,
    RelocHint,
    TakeoffOrigin,
    TruthSample,
)
from gps_denied_onboard.recorder.kinds import RECORD_CLASSES, FrameRecord, Record
from gps_denied_onboard.recorder.mcap_io import TELEMETRY_FILE, RecordingReader, RecordingWriter

SAMPLES: dict[str, Record] = {
    "imu": ImuSample(1_000_000_000, (0.1, -0.2, -9.81), (1e-3, 2e-3, -3e-3)),
    "attitude": AttitudeSample(1_000_000_001, (0.5, 0.5, -0.5, 0.5)),
    "airspeed": AirspeedSample(1_000_000_002, 17.25),
    "baro": BaroSample(1_000_000_003, 812.5),
    "rangefinder": RangefinderSample(1_000_000_004, 88.125),
    "gps": GpsSample(1_000_000_005, 48.123456789, 37.2, 250.5, (1.0, -2.0, 0.5), 3, 14, 0.9),
    "takeoff_origin": TakeoffOrigin(1_000_000_006, 48.0, 37.0, 120.0, 5.0, 4.0, (1.0, 2.0, 0.0)),
    "reloc_hint": RelocHint(1_000_000_007, 48.0, 37.0, 800.0),
    "frame": FrameRecord(1_000_000_008, 7, "000007.jpg"),
    "truth": TruthSample(1_000_000_009, 48.1, 37.1, 900.0, (10.0, 11.0, -0.5), (1.0, 0.0, 0.0, 0.0)),
}


def flight(seconds: int) -> list[Record]:
    rng = random.Random(5)
    out: list[Record] = []
    for k in range(seconds * 50):
        t_ns = 10_000_000_000 + k * 20_000_000
        out.append(ImuSample(t_ns, (rng.random(), rng.random(), -9.8), (rng.random(), 0.0, 0.0)))
        if k % 5 == 0:
            out.append(BaroSample(t_ns, 800.0 + rng.random()))
        if k % 25 == 0:
            out.append(FrameRecord(t_ns, k // 25, f"{k // 25:06d}.jpg"))
            out.append(TruthSample(t_ns, 48.0 + k * 1e-6, 37.0, 900.0, (1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)))
    return out


def write(folder: Path, messages: list[Record]) -> bytes:
    folder.mkdir(exist_ok=True)
    with RecordingWriter(folder) as writer:
        writer.write_all(messages)
    return (folder / TELEMETRY_FILE).read_bytes()


@pytest.mark.parametrize("kind", sorted(RECORD_CLASSES))
def test_every_kind_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    """Each kind of the table is read back equal, through the iterator that it belongs to."""
    write(tmp_path, [SAMPLES[kind]])
    reader = RecordingReader(tmp_path)
    found = {"frame": reader.frames, "truth": reader.truth}.get(kind, reader.messages)()
    assert list(found) == [SAMPLES[kind]]
    assert reader.problems == ()


def test_an_origin_without_velocity_comes_back(tmp_path: Path) -> None:
    """An optional field that is None stays None."""
    origin = TakeoffOrigin(1, 48.0, 37.0, 120.0, 5.0, 4.0)
    write(tmp_path, [origin])
    assert list(RecordingReader(tmp_path).messages()) == [origin]


def test_same_messages_same_bytes(tmp_path: Path) -> None:
    """Writing the same messages twice gives the same file."""
    assert write(tmp_path / "a", flight(4)) == write(tmp_path / "b", flight(4))


def test_telemetry_never_holds_the_truth(tmp_path: Path) -> None:
    """Neither messages nor events contain a true state; frames and telemetry are merged in the order of time."""
    write(tmp_path, flight(4))
    reader = RecordingReader(tmp_path)
    events = list(reader.events())
    assert not any(isinstance(event, TruthSample) for event in events)
    assert [e.t_ns for e in events] == sorted(e.t_ns for e in events)
    assert [e for e in events if isinstance(e, FrameRecord)] == list(reader.frames())
    assert [e for e in events if not isinstance(e, FrameRecord)] == list(reader.messages())


def test_messages_written_late_are_put_in_order(tmp_path: Path) -> None:
    """A sensor whose messages reach the file a second late is read at its own time."""
    with RecordingWriter(tmp_path) as writer:
        for k in range(300):
            writer.write(ImuSample(k * 10_000_000, (0.0, 0.0, -9.8), (0.0, 0.0, 0.0)))
            if k >= 100 and k % 10 == 0:
                writer.write(BaroSample((k - 100) * 10_000_000, 100.0))
    reader = RecordingReader(tmp_path)
    times = [message.t_ns for message in reader.messages()]
    assert times == sorted(times)
    assert len(times) == 300 + 20
    assert reader.problems == ()


def test_standard_reader_sees_schemas_and_positions(tmp_path: Path) -> None:
    """The MCAP library's own reader finds a JSON schema for each channel, and the truth as foxglove.LocationFix."""
    write(tmp_path, flight(1))
    with (tmp_path / TELEMETRY_FILE).open("rb") as stream:
        reader = make_reader(stream)
        summary = reader.get_summary()
        assert summary is not None
        assert {channel.topic for channel in summary.channels.values()} >= {f"/{name}" for name in RECORD_CLASSES}
        assert all(schema.encoding == "jsonschema" and orjson.loads(schema.data) for schema in summary.schemas.values())
        fixes = [
            orjson.loads(message.data)
            for schema, _, message in reader.iter_messages()
            if schema is not None and schema.name == "foxglove.LocationFix"
        ]
    assert [fix["latitude"] for fix in fixes] == [48.0, 48.0 + 25e-6]
    assert fixes[1]["timestamp"] == {"sec": 10, "nsec": 500_000_000}


def test_a_negative_time_is_refused(tmp_path: Path) -> None:
    """A message from before the clock's zero is a bug of the writer's caller."""
    with RecordingWriter(tmp_path) as writer, pytest.raises(ValueError, match="not a time"):
        writer.write(BaroSample(-1, 100.0))
