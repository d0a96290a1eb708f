"""What a replay says to a recording that is not as it should be."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gps_denied_onboard.config import Config, MapConfig, StrategyNames
from gps_denied_onboard.errors import StrategyNotLinkedError, UserError
from gps_denied_onboard.recorder.mcap_io import TELEMETRY_FILE, RecordingReader, RecordingWriter
from gps_denied_onboard.recorder.meta import read_meta, write_meta
from gps_denied_onboard.replay.recording import replay_recording


def refusal(recording: Path, out: Path, config: Config | None = None) -> str:
    """The sentence of a replay that must fail and leave nothing behind."""
    with pytest.raises(UserError) as error:
        replay_recording(recording, config or Config(), out)
    assert not out.exists()
    assert not [p for p in out.parent.iterdir() if p.name.startswith(f".{out.name}")]
    return str(error.value)


def test_an_unreadable_picture_is_left_out(tiny_recording: Path, tmp_path: Path) -> None:
    """One damaged picture in the middle is named; all others are used."""
    (tiny_recording / "frames" / "000001.jpg").write_bytes(b"\xff\xd8 not a picture")
    summary = replay_recording(tiny_recording, Config(), tmp_path / "out")
    assert (summary.frames, summary.anchored) == (3, 3)
    assert len(summary.problems) == 1
    assert "000001.jpg cannot be read and was left out" in summary.problems[0]


def test_a_telemetry_file_without_a_usable_message(tiny_recording: Path, tmp_path: Path) -> None:
    """A file that was cut off before its first part was whole, or has no message, is refused with the reason."""
    path = tiny_recording / TELEMETRY_FILE
    path.write_bytes(path.read_bytes()[:5000])
    said = refusal(tiny_recording, tmp_path / "out")
    assert "holds no message that can be used" in said
    assert "the file is torn after" in said
    with RecordingWriter(tiny_recording):
        pass
    assert "it is empty." in refusal(tiny_recording, tmp_path / "out")


def test_a_clock_that_jumps(tiny_recording: Path, tmp_path: Path) -> None:
    """What comes before the jump is flown; the sentence tells where it is."""
    events = list(RecordingReader(tiny_recording).events())
    middle = len(events) // 2
    with RecordingWriter(tiny_recording) as writer:
        for event in events[:middle]:
            writer.write(event)
        for event in events[middle:]:
            writer.write(replace(event, t_ns=event.t_ns + 3600 * 10**9))
    summary = replay_recording(tiny_recording, Config(), tmp_path / "out")
    assert 0 < summary.frames < 4
    assert any("the clock of" in problem and "jumps from 11." in problem for problem in summary.problems)


def test_no_tiles(tiny_recording: Path, tmp_path: Path) -> None:
    """A recording whose map is gone says which folder holds no tiles."""
    shutil.rmtree(tiny_recording / "tiles")
    assert "holds no tiles" in refusal(tiny_recording, tmp_path / "out")


def test_a_recording_that_never_had_a_map(tiny_recording: Path, tmp_path: Path) -> None:
    """Without any map the sentence says where to set one."""
    write_meta(tiny_recording, replace(read_meta(tiny_recording), tiles_directory=None))
    assert "set map.directory" in refusal(tiny_recording, tmp_path / "out")


def test_the_map_of_another_place(tiny_recording: Path, tmp_path: Path) -> None:
    """A map a thousand kilometres away is refused with the distance."""
    tile = next((tiny_recording / "tiles").rglob("*.jpg"))
    other = tmp_path / "other" / "18" / "150000" / "90000.jpg"
    other.parent.mkdir(parents=True)
    shutil.copy(tile, other)
    said = refusal(tiny_recording, tmp_path / "out", Config(map=MapConfig(directory=str(tmp_path / "other"))))
    assert "km from the origin of the flight" in said
    assert "it is of another place" in said


def test_a_map_that_misses_the_flight(tiny_recording: Path, tmp_path: Path) -> None:
    """A map of the next village anchors nothing, and the summary says that the frames lay outside it."""
    tiles = sorted((tiny_recording / "tiles").rglob("*.jpg"))
    other = tmp_path / "other" / "18" / str(int(tiles[0].parent.name) + 40)
    other.mkdir(parents=True)
    for tile in tiles:
        shutil.copy(tile, other)
    summary = replay_recording(
        tiny_recording, Config(map=MapConfig(directory=str(tmp_path / "other"))), tmp_path / "out"
    )
    assert summary.anchored == 0
    assert any("4 of 4 pictures lay outside the map" in problem for problem in summary.problems)


def test_a_calibration_that_does_not_fit(tiny_recording: Path, tmp_path: Path) -> None:
    """Both sizes are named, and what to give."""
    meta = read_meta(tiny_recording)
    said = refusal(tiny_recording, tmp_path / "out", Config(camera=replace(meta.camera, width_px=640, height_px=480)))
    assert "is 684x456" in said
    assert "640x480" in said


def test_an_empty_folder_and_a_file(tmp_path: Path) -> None:
    """What is no recording is said to be none."""
    (tmp_path / "empty").mkdir()
    assert "is not a recording" in refusal(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "file").write_text("x")
    assert "is not a folder" in refusal(tmp_path / "file", tmp_path / "out")


def test_a_strategy_that_is_not_there(tiny_recording: Path, tmp_path: Path) -> None:
    """What was opened before the failing step is closed again: no folder, no lock, and the next replay works."""
    out = tmp_path / "out"
    with pytest.raises(StrategyNotLinkedError, match="fusion strategy 'best' is not linked into image 'source tree'"):
        replay_recording(tiny_recording, Config(strategies=StrategyNames(fusion="best")), out)
    assert [p.name for p in tmp_path.iterdir()] == ["recording"]
    assert replay_recording(tiny_recording, Config(), out).frames == 4
