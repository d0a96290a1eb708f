"""A power cut can end a file at any byte: that is never called damage, and never a clean end."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.resume import find_resumable
from gps_denied_onboard.recorder.segment import segment_name
from gps_denied_onboard.recorder.verify import verify_flight

from .flights import SECOND_NS, Stepped, bulk, recorder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clean flight of two segments, the second one small."""
    folder = tmp_path_factory.mktemp("two") / "flight"
    flight = Stepped(folder, segment_mib=1)
    for second in range(1, 18):
        for n in range(50):
            flight.client.record(bulk(second * SECOND_NS + n))
        flight.writer.step(second * SECOND_NS)
    flight.close()
    assert len(list(folder.iterdir())) == 2
    return folder


def cut(two: Path, folder: Path, size: int) -> None:
    if not folder.exists():
        shutil.copytree(two, folder)
    (folder / segment_name(1)).write_bytes((two / segment_name(1)).read_bytes()[:size])


def sizes(path: Path, count: int) -> list[int]:
    """Where the file's outer records begin and end, the bytes around, and `count` places anywhere."""
    whole = path.stat().st_size
    with path.open("rb") as stream:
        edges = [place.end for place in container.places(stream, whole)]
    near = {edge + k for edge in (0, 8, *edges, whole) for k in (-1, 0, 1)}
    return sorted(size for size in near | set(random.Random(3).sample(range(whole), count)) if 0 <= size < whole)


def check(two: Path, folder: Path, size: int) -> None:
    cut(two, folder, size)
    verdict = verify_flight(folder)
    assert (verdict.state, verdict.errors) == ("interrupted", ()), size
    assert verdict.notes
    whole = FlightReader(two)
    kept = [record.data for record in FlightReader(folder).records()]
    assert kept == [record.data for record, _ in zip(whole.records(), kept, strict=False)]


def test_a_cut_at_the_edges_of_records(two: Path, tmp_path: Path) -> None:
    """Between records, within their heads, within the summary, and in a file of no byte: interrupted, what was before
    is read."""
    every = sizes(two / segment_name(1), 0)
    for size in [*every[:3], *every[3::9], *every[-6:]]:
        check(two, tmp_path / "flight", size)


@pytest.mark.slow
def test_a_cut_at_any_byte(two: Path, tmp_path: Path) -> None:
    """All edges, and three hundred places anywhere."""
    for size in sizes(two / segment_name(1), 300):
        check(two, tmp_path / "flight", size)


def test_an_empty_last_segment_is_read_over(two: Path, tmp_path: Path) -> None:
    """Killed between making a file and its first byte: both readers give what the others hold, and tell."""
    cut(two, tmp_path / "flight", 0)
    reader = RecordingReader(tmp_path / "flight")
    assert sum(1 for _ in reader.raw()) == sum(1 for _ in FlightReader(tmp_path / "flight").records()) > 300
    assert any("torn after 0 bytes" in problem for problem in reader.problems)


def test_one_bit_does_not_cost_a_segment(two: Path, tmp_path: Path) -> None:
    """The chunk that names the channels is damaged: only what is in it is lost, by the summary's word for the rest."""
    folder = Path(shutil.copytree(two, tmp_path / "flight"))
    path = folder / segment_name(0)
    bent = bytearray(path.read_bytes())
    with path.open("rb") as stream:
        first = next(p for p in container.places(stream, len(bent)) if p.opcode == container.CHUNK)
    bent[first.offset + first.length // 2] ^= 1
    path.write_bytes(bent)
    whole = sum(1 for _ in FlightReader(two).records())
    assert whole - 60 < sum(1 for _ in FlightReader(folder).records()) < whole
    assert whole - 60 < sum(1 for _ in RecordingReader(folder).raw()) < whole
    assert verify_flight(folder).state == "damaged"


def test_a_flight_that_never_began_does_not_stop_the_next(tmp_path: Path) -> None:
    """Killed before the first segment was there: the next start finds the flight before, and none in an empty root."""
    before = recorder(tmp_path)
    before.close(before.flight_id, clean=False)
    (tmp_path / "29990101T000000Z-abcdef").mkdir()
    (tmp_path / "29990101T000001Z-abcdef").mkdir()
    (tmp_path / "29990101T000001Z-abcdef" / segment_name(0)).touch()
    assert find_resumable(tmp_path, RecorderConfig(), 0, 0, "") is None
