"""Bad maps are refused with a sentence that says what to do; nothing is stored of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles import cli
from gps_denied_operator.tiles.direct import open_tile_source

from . import drawn_maps
from .conftest import Import
from .drawn_maps import draw, eight_bit


def with_profile(path: Path, **profile: object) -> Path:
    """Write a small even raster with any georeference."""
    made = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "uint8"} | profile
    with rasterio.open(path, "w", **made) as dataset:
        dataset.write(np.full((1, 64, 64), 99, dtype=np.uint8))
    return path


def missing(folder: Path) -> Path:
    return folder / "missing.tif"


def text(folder: Path) -> Path:
    (folder / "notes.tif").write_text("not a raster")
    return folder / "notes.tif"


def empty_file(folder: Path) -> Path:
    (folder / "empty.tif").touch()
    return folder / "empty.tif"


def empty_folder(folder: Path) -> Path:
    (folder / "nothing").mkdir()
    return folder / "nothing"


def no_crs(folder: Path) -> Path:
    return with_profile(folder / "map.tif", transform=drawn_maps.placed(32637, 0.5))


def no_place(folder: Path) -> Path:
    return with_profile(folder / "map.tif", crs="EPSG:32637")


def wrong_crs(folder: Path) -> Path:
    return with_profile(folder / "map.tif", crs="EPSG:4326", transform=drawn_maps.placed(32637, 0.5))


def wrong_units(folder: Path) -> Path:
    return with_profile(folder / "map.tif", crs="EPSG:4326", transform=rasterio.Affine(0.5, 0, 10, 0, -0.5, 40))


def antimeridian(folder: Path) -> Path:
    return with_profile(
        folder / "map.tif", crs="EPSG:32760", transform=rasterio.Affine(1000, 0, 800_000, 0, -1000, 8_000_000)
    )


def pole(folder: Path) -> Path:
    return with_profile(folder / "map.tif", crs="EPSG:3995", transform=rasterio.Affine(100, 0, 1000, 0, -100, 1000))


def no_data(folder: Path) -> Path:
    return with_profile(folder / "map.tif", crs="EPSG:32637", transform=drawn_maps.placed(32637, 0.5), nodata=99)


def truncated(folder: Path) -> Path:
    path = draw(folder / "map.tif", eight_bit()[None], compress="lzw").path
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    return path


def not_mbtiles(folder: Path) -> Path:
    (folder / "map.mbtiles").write_bytes(b"SQLite format 3\0 but no more")
    return folder / "map.mbtiles"


def vector_mbtiles(folder: Path) -> Path:
    drawn_maps.write_mbtiles(folder / "map.mbtiles", 3, {})
    import sqlite3

    with sqlite3.connect(folder / "map.mbtiles") as database:
        database.execute("UPDATE metadata SET value = 'pbf'")
    database.close()
    return folder / "map.mbtiles"


def damaged_tiles(folder: Path) -> Path:
    (folder / "map" / "10" / "5").mkdir(parents=True)
    (folder / "map" / "10" / "5" / "6.jpg").write_bytes(b"\xff\xd8\xff cut off")
    return folder / "map"


BAD: list[tuple[Callable[[Path], Path], str]] = [
    (missing, "is not there: give the path"),
    (text, "is not a raster that can be read"),
    (empty_file, "is empty: copy it again"),
    (empty_folder, "holds no <z>/<x>/<y>"),
    (no_crs, "gdal_edit.py -a_srs EPSG:<code> map.tif"),
    (no_place, "says nowhere where it lies"),
    (wrong_crs, "lies outside of what its coordinate system"),
    (wrong_units, "so its coordinate system .* is wrong"),
    (antimeridian, "crosses the 180th meridian"),
    (pole, "the tile grid ends at 85.05"),
    (no_data, "holds no data"),
    (truncated, "truncated or damaged .*: copy it again"),
    (not_mbtiles, "is not an MBTiles file that can be read"),
    (vector_mbtiles, "holds vector tiles"),
    (damaged_tiles, "None of the 1 tiles"),
]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_maps_are_said(
    tmp_path: Path, store: TileStore, put: Import, make: Callable[[Path], Path], message: str
) -> None:
    """Each kind of bad map gives its own sentence, and nothing half-written."""
    with pytest.raises(UserError, match=message):
        put(make(tmp_path))
    assert store.sources() == []
    assert list(store.root.glob("provider/*/*/*")) == []


def test_zoom_finer_than_the_map_is_refused(tmp_path: Path, put: Import) -> None:
    """A zoom that would enlarge pixels more than twice names the zoom to give; twice is allowed."""
    path = draw(tmp_path / "map.tif", eight_bit()[None], resolution_m=1.0).path
    with pytest.raises(UserError, match=r"Zoom 19 is finer than .* Give --zoom 17 or less"):
        put(path, 19)
    assert put(path, 17).outcome == "success"


def test_zoom_that_a_tile_set_lacks_names_those_it_has(tmp_path: Path, put: Import) -> None:
    """Asking a tile set for another zoom lists its zooms."""
    drawn_maps.write_mbtiles(tmp_path / "map.mbtiles", 17, drawn_maps.xyz_tiles(17)[0])
    with pytest.raises(UserError, match="holds no tiles of zoom 15, but of 17"):
        put(tmp_path / "map.mbtiles", 15)


def test_unreadable_tiles_are_left_out_and_counted(tmp_path: Path, put: Import) -> None:
    """One damaged tile among good ones is left out and counted; the import succeeds."""
    tiles, _ = drawn_maps.xyz_tiles(17)
    drawn_maps.write_mbtiles(tmp_path / "map.mbtiles", 17, tiles)
    import sqlite3

    with sqlite3.connect(tmp_path / "map.mbtiles") as database:
        database.execute("UPDATE tiles SET tile_data = x'89504e47' WHERE rowid = 3")
    database.close()
    report = put(tmp_path / "map.mbtiles")
    assert (report.outcome, report.tiles_written, report.tiles_unreadable) == ("success", 11, 1)


@pytest.mark.parametrize("name", ["onboard_ingest", "Big Map", "", "../up"])
def test_names_that_cannot_be_a_map_are_refused(tmp_path: Path, put: Import, name: str) -> None:
    """The name of what flights make, or one that is no folder's name, is refused."""
    with pytest.raises(UserError, match="cannot be the name of a map"):
        put(draw(tmp_path / "map.tif", eight_bit()[None]).path, source=name)


def test_direct_reading_says_the_same(tmp_path: Path) -> None:
    """Reading maps directly refuses what import refuses, and no maps at all."""
    with pytest.raises(UserError, match="is not there"):
        open_tile_source([tmp_path / "missing.tif"])
    with pytest.raises(UserError, match="No map was given"):
        open_tile_source([])


def test_command_prints_one_json_object(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tiles import --json` prints the report, the same again as a no-op, and a failure with exit code 2."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    path = draw(tmp_path / "map.tif", eight_bit()[None]).path
    run = CliRunner()
    answers = []
    for source in (path, path, tmp_path / "missing.tif"):
        done = run.invoke(cli.app, ["import", str(source), "--root", str(tmp_path / "store"), "--json"])
        answers.append((done.exit_code, json.loads(done.stdout)))
    assert [(code, answer["outcome"]) for code, answer in answers] == [
        (0, "success"), (0, "idempotent_no_op"), (2, "failure"),
    ]  # fmt: skip
    assert answers[0][1]["tiles_written"] == answers[1][1]["tiles_already_stored"] > 0
    assert "missing.tif is not there" in answers[2][1]["reason"]


def test_command_says_what_it_did(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --json one sentence tells how many tiles went where; the store's folder may come from the environment."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("GPS_DENIED_TILES", str(tmp_path / "store"))
    path = draw(tmp_path / "map.tif", eight_bit()[None]).path
    done = CliRunner().invoke(cli.app, ["import", str(path), "--captured", "2024-05-17"])
    assert done.exit_code == 0
    assert "success: " in done.stdout
    assert f"source 'provider' in {tmp_path / 'store'}" in done.stdout.replace("\n", " ")
    with TileStore.open(tmp_path / "store", database_url) as store:
        records = store.query_tiles("provider", 18, 0, 0, 2**18, 2**18)
    assert {str(record.captured_at)[:10] for record in records} == {"2024-05-17"}
