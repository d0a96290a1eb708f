"""Foxglove's own reader opens every file that is written, and torn or damaged ones after `fdr recover`."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path

import pytest
from mcap.reader import make_reader
from typer.testing import CliRunner, Result

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import BaroSample, ImuSample, TruthSample
from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, open_flight
from gps_denied_onboard.recorder.mcap_io import RecordingReader, RecordingWriter
from gps_denied_onboard.recorder.meta import META_FILE, RecordingMeta, write_meta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import LogRecord
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_operator.cli import app

META = RecordingMeta(CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), 48.0, 37.0, 100.0, 2.0)


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clean flight of two segments."""
    folder = tmp_path_factory.mktemp("flights")
    config = RecorderConfig(directory=str(folder), segment_mib=1)
    flight = open_flight(config, META, BuildInfo({}, "test", "", {}, {}), clock_ns=lambda: 0)
    flight._stop.set()  # this test drives the writer, so that chunks and segments end where they shall
    flight._thread.join()
    client = flight.client("flight")
    for n in range(700):
        client.record(LogRecord(n * 10**7, "error", random.Random(n).randbytes(1500).hex(), {}))
        client.record(ImuSample(n * 10**7, (0.0, float(n), -9.8), (0.0, 0.0, 0.0)))
        if n % 50 == 49:
            flight._writer.step(n * 10**7 + 5 * 10**8)
    flight.close(flight.flight_id, clean=True)
    assert len(list(flight.folder.glob("*.mcap"))) == 2
    return flight.folder


@pytest.fixture
def copy(flown: Path, tmp_path: Path) -> Path:
    """Return a copy of the flight that may be damaged."""
    return Path(shutil.copytree(flown, tmp_path / "flight"))


def foxglove(path: Path) -> list[tuple[str, int, int, bytes]]:
    """What Foxglove's reader gives, by the index and in the order of the file, and for each topic on its own."""
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        found = [
            (channel.topic, message.log_time, message.sequence, message.data)
            for _, channel, message in reader.iter_messages(log_time_order=False)
        ]
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == len(found)
        assert sum(1 for _ in reader.iter_messages("/imu")) == sum(topic == "/imu" for topic, *_ in found)
        assert all(entry.name.startswith("gps_denied.") for entry in reader.iter_metadata())
    return found


def ours(folder: Path, file: int) -> list[tuple[str, int, int, bytes]]:
    messages = FlightReader(folder).segments[file].messages(0, 2**64, None)
    return [(m.topic, m.t_ns, m.sequence, m.data) for m in messages]


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def recover(folder: Path, out: Path) -> Result:
    """Run the command; the original must be as it was."""
    before = hashes(folder)
    result = CliRunner().invoke(app, ["fdr", "recover", str(folder), "--out", str(out), "--json"])
    assert hashes(folder) == before
    return result


def cut(folder: Path, size: int) -> Path:
    last = max(folder.glob("*.mcap"))
    last.write_bytes(last.read_bytes()[:size])
    return last


def test_foxglove_opens_what_is_written(flown: Path, tmp_path: Path) -> None:
    """A flight's segments and a simulation's file hold for Foxglove what they hold for us."""
    for number, path in enumerate(sorted(flown.glob("*.mcap"))):
        assert foxglove(path) == ours(flown, number) != []
    write_meta(tmp_path, META)
    with RecordingWriter(tmp_path) as writer:
        writer.write_all([BaroSample(n, 100.0) for n in range(5)])
        writer.write(TruthSample(6, 48.0, 37.0, 100.0, (0.0,) * 3, (1.0, 0.0, 0.0, 0.0)))
    (path,) = RecordingReader(tmp_path).paths
    assert foxglove(path) == ours(tmp_path, 0)


def test_a_torn_flight_opens_after_recovery(flown: Path, copy: Path, tmp_path: Path) -> None:
    """Cut within a chunk, its index, the signature, the summary: everything that we read Foxglove reads, no more is
    lost, and the verdict stays."""
    whole = max(flown.glob("*.mcap"))
    with whole.open("rb") as stream:
        places = list(container.places(stream, whole.stat().st_size))
    chunk = [place for place in places if place.opcode == container.CHUNK][2]
    indexes = [place for place in places if place.opcode == container.MESSAGE_INDEX and place.offset > chunk.end]
    ends = [chunk.end, indexes[0].end - 3, places[-2].end - 5, places[-1].end + 60]
    for number, size in enumerate(ends):
        shutil.copy(whole, copy)
        path = cut(copy, size)
        out = tmp_path / f"out{number}"
        files = json.loads(recover(copy, out).stdout)["files"]
        assert [file["state"] for file in files] == ["whole", "mended"]
        assert foxglove(out / path.name) == ours(copy, 1) != []
        assert files[1]["messages"] == len(ours(copy, 1))
        assert (out / path.name).read_bytes()[: files[1]["kept_bytes"]] == path.read_bytes()[: files[1]["kept_bytes"]]
        for folder in (copy, out):
            verdict = verify_flight(folder)
            assert (verdict.state, verdict.errors) == ("interrupted", ()), size
        assert (out / META_FILE).read_bytes() == (copy / META_FILE).read_bytes()


def test_a_damaged_chunk_is_left_out(copy: Path, tmp_path: Path) -> None:
    """Even the one that declares the channels: the rest opens, what is missing is told, and the copy is not proven."""
    path = min(copy.glob("*.mcap"))
    bent = bytearray(path.read_bytes())
    with path.open("rb") as stream:
        first = next(p for p in container.places(stream, len(bent)) if p.opcode == container.CHUNK)
    bent[first.offset + first.length // 2] ^= 1
    path.write_bytes(bent)
    files = json.loads(recover(copy, tmp_path / "out").stdout)["files"]
    assert [file["state"] for file in files] == ["mended", "whole"]
    assert files[0]["problems"][0].startswith(f"left out {first.end - first.offset} bytes at {first.offset}: ")
    assert foxglove(tmp_path / "out" / path.name) == ours(copy, 0) != []
    assert verify_flight(tmp_path / "out").state == "damaged"


def test_a_recovered_end_cannot_be_added_to(copy: Path, tmp_path: Path) -> None:
    """Records behind what was kept are not the flight's: verification does not take them for it."""
    path = cut(copy, 100_000)
    recover(copy, tmp_path / "out")
    kept = (tmp_path / "out" / path.name).read_bytes()
    told = kept.index(b"kept_bytes") + len(b"kept_bytes") + 4
    digits = int.from_bytes(kept[told - 4 : told], "little")
    forged = kept[:told] + b"1".rjust(digits, b"0") + kept[told + digits :]
    (tmp_path / "out" / path.name).write_bytes(forged)
    verdict = verify_flight(tmp_path / "out")
    assert verdict.state == "damaged"
    assert any("not proven to be as it was" in error for error in verdict.errors)


def test_a_file_that_holds_nothing_is_left_out(copy: Path, tmp_path: Path) -> None:
    """A segment that was opened and never written is told and not copied; a flight of nothing else is refused."""
    path = cut(copy, 0)
    files = json.loads(recover(copy, tmp_path / "out").stdout)["files"]
    assert [file["state"] for file in files] == ["whole", "left out"]
    assert not (tmp_path / "out" / path.name).exists()
    min(copy.glob("*.mcap")).write_bytes(b"no recording at all")
    result = recover(copy, tmp_path / "none")
    assert isinstance(result.exception, UserError)
    assert "none of its 2 file(s) holds a record that can be read" in str(result.exception)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_whatever_is_bent_opens_or_is_refused(copy: Path, tmp_path: Path) -> None:
    """Bytes changed, removed and repeated anywhere: Foxglove opens the copy, or it is a sentence."""
    rng = random.Random(11)
    path = max(copy.glob("*.mcap"))
    whole = path.read_bytes()
    opened = 0
    for number in range(150):
        bent = bytearray(whole[: rng.randrange(len(whole))] if number % 3 == 0 else whole)
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(bent) or 1)
            bent[at : at + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
        path.write_bytes(bent)
        out = tmp_path / f"out{number}"
        result = recover(copy, out)
        if isinstance(result.exception, UserError):
            assert "cannot be mended" in str(result.exception)
            continue
        assert result.exception is None
        if (out / path.name).exists():
            opened += 1
            foxglove(out / path.name)
        else:
            assert len(ours(copy, 1)) < 10  # chunks of which nothing declares every channel any more
        shutil.rmtree(out)
    assert opened > 50
