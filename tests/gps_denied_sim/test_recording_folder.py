"""A recording is whole, the same for the same seed, and never half-written."""

from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_sim.recording import FlyRequest, complete_or_nothing, make_recording

REQUEST = FlyRequest(seed=3, minutes=5.0 / 60.0, width_px=342, height_px=228, buffer_m=60.0)


def quiet(_stage: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file's bytes by its relative name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One five-second recording."""
    out = tmp_path_factory.mktemp("flight") / "a"
    make_recording(REQUEST, out, quiet)
    return out


@pytest.mark.slow
def test_same_seed_same_bytes(recorded: Path, tmp_path: Path) -> None:
    """A second run of the same seed writes the same files with the same bytes."""
    make_recording(REQUEST, tmp_path / "b", quiet)
    assert contents(tmp_path / "b") == contents(recorded)


@pytest.mark.slow
def test_recording_is_whole(recorded: Path) -> None:
    """Frames, telemetry, truth, calibration and tiles are there and fit together."""
    meta = read_meta(recorded)
    reader = RecordingReader(recorded)
    frames = list(reader.frames())
    assert [f.index for f in frames] == list(range(5))
    for frame in frames:
        image = cv2.imread(str(recorded / "frames" / frame.name))
        assert image.shape == (228, 342, 3)
        assert image.std() > 3.0
    kinds = {type(m).__name__ for m in reader.messages()}
    assert kinds >= {"ImuSample", "AttitudeSample", "AirspeedSample", "BaroSample", "GpsSample", "TakeoffOrigin"}
    assert len(list(reader.truth())) == 101
    assert meta.camera.width_px == 342
    first = next(iter(reader.truth()))
    start = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m).enu_from_geodetic(
        first.latitude_deg, first.longitude_deg, first.altitude_amsl_m
    )
    assert 280.0 < start[2] < 830.0
    assert np.hypot(start[0], start[1]) < 500.0
    tiles = sorted((recorded / "tiles" / "provider" / "18").rglob("*.jpg"))
    assert len(tiles) >= 4
    assert all(cv2.imread(str(t)).shape == (256, 256, 3) for t in tiles)


def test_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    """A folder with a file in it is refused with a sentence, and nothing in it changes."""
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(UserError, match="is not empty"):
        make_recording(REQUEST, tmp_path, quiet)
    assert contents(tmp_path) == {"meta.json": b"{}"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_leaves_nothing(tmp_path: Path, code: int) -> None:
    """When the disk fills up half-way, the user is told so and neither folder nor temporary files stay."""

    def fill() -> None:
        with complete_or_nothing(tmp_path / "x") as folder:
            (folder / "part").write_bytes(b"half")
            raise OSError(code, "no room")

    with pytest.raises(UserError, match=r"disk of .* is full"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_slower_of_two_runs_gives_way(tmp_path: Path) -> None:
    """When another run has made the folder meanwhile, this one is dropped and the other's files stay."""

    def race() -> None:
        with complete_or_nothing(tmp_path / "x") as folder:
            (folder / "mine").write_bytes(b"mine")
            (tmp_path / "x").mkdir()
            (tmp_path / "x" / "theirs").write_bytes(b"theirs")

    with pytest.raises(UserError, match=r"finished .* first"):
        race()
    assert [p.name for p in tmp_path.rglob("*")] == ["x", "theirs"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": 0.0}, "--minutes"),
        ({"minutes": float("nan")}, "--minutes"),
        ({"frame_rate_hz": 60.0}, "--frame-rate"),
        ({"seed": -1}, "--seed"),
        ({"scenario": "moon"}, "choose one of: cruise"),
    ],
)
def test_impossible_requests_are_explained(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    """Each impossible request gives a sentence that names the option, and makes no folder."""
    values: dict[str, object] = {"seed": 1, "minutes": 0.1, **changes}
    with pytest.raises(UserError, match=message):
        make_recording(FlyRequest(**values), tmp_path / "x", quiet)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
