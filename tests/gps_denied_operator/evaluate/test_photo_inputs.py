"""What `evaluate photos` makes of its inputs: what reaches the estimation, and sentences for what cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from gps_denied_onboard.errors import UserError
from gps_denied_operator.evaluate.photo_figures import photo_figures
from gps_denied_operator.evaluate.photos_run import PhotosRequest, chosen_frames, prepare
from gps_denied_operator.scoring.metrics import offset_m

NORTH, WEST, STEP = 48.42, 37.10, 0.00001
PLACES = [(48.4190, 37.1010), (48.4188, 37.1012), (48.4186, 37.1014)]
Ask = Callable[..., PhotosRequest]


def gps_exif(latitude: float, longitude: float) -> Image.Exif:
    """EXIF with a GPS position."""

    def dms(value: float) -> tuple[float, float, float]:
        minutes = value % 1 * 60
        return float(int(value)), float(int(minutes)), minutes % 1 * 60

    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: dms(latitude), 3: "E", 4: dms(longitude), 5: b"\x00", 6: 520.0})
    return exif


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a map of 300 x 300 pixels and three geotagged photographs; `bare` holds the same without metadata."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(3)
    with rasterio.open(
        root / "map.tif", "w", driver="GTiff", width=300, height=300, count=1, dtype="uint8", crs="EPSG:4326",
        transform=from_origin(WEST, NORTH, STEP, STEP),
    ) as raster:  # fmt: skip
        raster.write(rng.integers(1, 255, (1, 300, 300), dtype=np.uint8))
    (root / "table.csv").write_text("frame,lat,lon\n0,1,2\n")
    for folder in ("tagged", "bare"):
        (root / folder).mkdir()
        for k, place in enumerate(PLACES):
            image = Image.fromarray(rng.integers(0, 255, (64, 96), dtype=np.uint8))
            image.save(root / folder / f"P{k}.jpg", exif=gps_exif(*place) if folder == "tagged" else Image.Exif())
    return root


@pytest.fixture
def ask(inputs: Path) -> Ask:
    """Return a function that makes a request on the tagged photographs, changed as told."""

    def make(**changes: object) -> PhotosRequest:
        given: dict[str, object] = {"photos": inputs / "tagged", "maps": (inputs / "map.tif",), **changes}
        return PhotosRequest(**given)  # type: ignore[arg-type]

    return make


def test_nothing_of_the_true_position_reaches_the_estimation(ask: Ask) -> None:
    """Without a prior the metadata handed on hold no position, altitude, course or attitude, and there is no prior."""
    prepared = prepare(ask())
    assert prepared.options.priors == {}
    for info in prepared.infos:
        told = (info.latitude_deg, info.longitude_deg, info.altitude_amsl_m, info.relative_altitude_m,
                info.course_deg, info.gps_time_s, info.yaw_deg)  # fmt: skip
        assert told == (None,) * 7
    place = prepared.lookup(1, "P1.jpg", 0)
    assert place is not None
    assert (place.latitude_deg, place.longitude_deg) == pytest.approx(PLACES[1], abs=1e-7)


def test_the_prior_is_displaced_by_its_sigma(ask: Ask) -> None:
    """Each frame's prior is off by some sigmas at most, never by nothing, the same for the same seed."""
    first, again, other = (prepare(ask(prior="80", seed=seed)).options.priors for seed in (1, 1, 2))
    assert first == again
    assert first != other
    for k, prior in first.items():
        distance = float(np.hypot(*offset_m(PLACES[k], (prior.latitude_deg, prior.longitude_deg))))
        assert 0.5 < distance < 400.0
        assert prior.sigma_m == 80.0


def test_told_numbers_arrive(ask: Ask) -> None:
    """Heading, field of view and height given as numbers are what the estimation gets."""
    options = prepare(ask(heading="-90", fov_deg=60.0, height="120.5")).options
    assert (options.heading_deg, options.height_m, options.fov_known) == (270.0, 120.5, True)
    assert options.camera.fov_horizontal_rad == pytest.approx(np.radians(60.0))


def test_frames_come_in_order_with_the_table_by_name(ask: Ask, inputs: Path, tmp_path: Path) -> None:
    """Photographs without metadata go by their names; a table by file name gives truth to those that it names."""
    (tmp_path / "t.csv").write_text("File,Lat,Lon\nP2,48.4186,37.1014\np0.JPG,48.4190,37.1010\n")
    prepared = prepare(ask(photos=inputs / "bare", truth=str(tmp_path / "t.csv")))
    frames = list(chosen_frames(prepared))
    assert [frame.name for frame in frames] == ["P0.jpg", "P1.jpg", "P2.jpg"]
    assert [prepared.lookup(f.index, f.name, f.t_ns) is None for f in frames] == [False, True, False]


def test_a_map_of_another_place_is_told(ask: Ask, tmp_path: Path) -> None:
    """Truth far off the map is no error but a sentence that names the distance."""
    (tmp_path / "t.csv").write_text("file,lat,lon\nP0,49.5,37.1\nP1,49.6,37.1\n")
    notes = prepare(ask(truth=str(tmp_path / "t.csv"))).notes
    assert any("does not reach 2 of the 2 true positions" in note and "120 km" in note for note in notes)


def test_swapped_truth_is_refused(ask: Ask, tmp_path: Path) -> None:
    """Latitude and longitude that lie on the map only when exchanged are called swapped."""
    (tmp_path / "t.csv").write_text("file,lat,lon\nP0,37.1010,48.4190\nP1,37.1012,48.4188\n")
    with pytest.raises(UserError, match="look swapped"):
        prepare(ask(truth=str(tmp_path / "t.csv")))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"photos": "nothing"}, "does not exist"),
        ({"photos": "map.tif"}, "is a single picture"),
        ({"photos": "table.csv"}, "cannot be opened as a video"),
        ({"maps": ("nothing.tif",)}, "nothing.tif"),
        ({"maps": ("tagged",)}, "tagged"),
        ({"photos": "bare", "truth": "exif"}, "--truth exif: none of the 3 pictures"),
        ({"photos": "bare", "prior": "50"}, "--prior needs positions"),
        ({"heading": "exif"}, "--heading exif: none of the 3 pictures"),
        ({"photos": "bare", "height": "exif"}, "--height exif: none of the 3 pictures"),
        ({"heading": "north"}, "--heading 'north' is not understood"),
        ({"prior": "-5"}, "--prior '-5' is not understood"),
        ({"prior": "nan"}, "--prior 'nan' is not understood"),
        ({"height": "1e9"}, "--height '1e9' is not understood"),
        ({"fov_deg": 200.0}, "--fov must be"),
        ({"truth": "nothing.csv"}, "does not exist"),
    ],
)
def test_what_cannot_be_used_is_said(ask: Ask, inputs: Path, changes: dict[str, object], sentence: str) -> None:
    """Each mistake has its sentence, before anything is estimated."""
    if "photos" in changes:
        changes = {**changes, "photos": inputs / str(changes["photos"])}
    if "maps" in changes:
        changes = {**changes, "maps": tuple(inputs / name for name in changes["maps"])}  # type: ignore[attr-defined]
    with pytest.raises(UserError) as caught:
        prepare(ask(**changes))
    assert sentence in str(caught.value)


def test_a_table_of_another_film_is_refused(ask: Ask, tmp_path: Path) -> None:
    """Frame numbers that a folder of three pictures cannot have are not taken for its pictures."""
    (tmp_path / "t.csv").write_text("frame,lat,lon\n0,48.419,37.101\n10,48.419,37.101\n")
    with pytest.raises(UserError, match="names frame 10"):
        prepare(ask(truth=str(tmp_path / "t.csv")))
    (tmp_path / "t.csv").write_text("file,lat,lon\nX1,48.419,37.101\n")
    with pytest.raises(UserError, match=r"no row of .* belongs to a frame"):
        prepare(ask(truth=str(tmp_path / "t.csv")))


def test_the_real_video_gives_its_scored_frames(shared_data: Path) -> None:
    """Of the real video every tenth frame has truth, and only these are used."""
    real = shared_data / "islamabad"
    prepared = prepare(PhotosRequest(real / "flight.mp4", (real / "ortho.tif",), str(real / "truth.csv")))
    (note,) = prepared.notes
    assert "filled with 0, which the file does not declare" in note  # black around the map
    frames = chosen_frames(prepared)
    assert [next(frames).index for _ in range(4)] == [0, 10, 20, 30]


def test_without_a_fix_no_boresight_is_claimed() -> None:
    """Where nothing was found the figures say null, not zero."""
    figures = photo_figures([], None)
    assert figures["boresight_deg"] is None
    assert figures["wrong_probability_max"] is None
    assert figures["cpu_ms"] == {"p50": None, "p95": None}


def test_attitude_that_no_picture_tells_is_refused(ask: Ask) -> None:
    """The error names the option and what to give instead."""
    with pytest.raises(UserError, match="--attitude exif: none of the 3 pictures"):
        prepare(ask(attitude="exif"))


def test_maps_over_one_place_are_told(ask: Ask, inputs: Path) -> None:
    """Of two maps of one place the first is on top, and that is said."""
    notes = prepare(ask(maps=(inputs / "map.tif", inputs / "map.tif"))).notes
    assert any("lies over the same place" in note for note in notes)
