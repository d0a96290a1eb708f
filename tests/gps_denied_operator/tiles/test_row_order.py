"""Rows of tile sets are counted from the side that their pictures and bounds tell, whatever the format claims."""

from __future__ import annotations

import functools
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.tiles.makers import open_map

ZOOM = 17
COLUMN, ROW = 79041, 45332
BOUNDS = "37.05,48.40,37.15,48.45"


@functools.cache
def land_tiles() -> dict[tuple[int, int], np.ndarray]:
    """Return {(x, y): (256, 256) grey} of 3 x 4 tiles cut out of one hilly picture with noise."""
    rng = np.random.default_rng(7)
    hills = cv2.resize(rng.uniform(40, 220, (26, 20)), (768, 1024), interpolation=cv2.INTER_CUBIC)
    whole = np.clip(hills + rng.normal(0, 4, hills.shape), 0, 255).astype(np.uint8)
    return {
        (COLUMN + i, ROW + j): whole[256 * j : 256 * j + 256, 256 * i : 256 * i + 256]
        for i in range(3)
        for j in range(4)
    }


def written(path: Path, south: bool, metadata: dict[str, str], *, flat: bool = False) -> Path:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE metadata (name text, value text)")
        database.execute("CREATE TABLE tiles (zoom_level int, tile_column int, tile_row int, tile_data blob)")
        database.executemany("INSERT INTO metadata VALUES (?, ?)", metadata.items())
        for (x, y), tile in land_tiles().items():
            shown = np.full_like(tile, 90) if flat else tile
            row = 2**ZOOM - 1 - y if south else y
            data = bytes(cv2.imencode(".png", shown)[1])
            database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (ZOOM, x, row, data))
    database.close()
    return path


CASES: dict[str, tuple[bool, dict[str, str], bool, bool]] = {  # rows from the south, metadata, flat, told
    "as the standard": (True, {}, False, False),
    "rows from the north": (False, {}, False, True),
    "rows from the north, bounds empty": (False, {"bounds": ""}, False, True),
    "rows from the north, bounds of the world": (False, {"bounds": "-180,-85,180,85"}, False, True),
    "rows from the north, bounds broken": (False, {"bounds": "nan,,x"}, False, True),
    "snow, told by the bounds": (False, {"bounds": BOUNDS}, True, True),
    "snow, told by the scheme": (False, {"scheme": "xyz"}, True, True),
    "snow, as the standard": (True, {"bounds": BOUNDS}, True, False),
}


@pytest.mark.parametrize("what", CASES)
def test_rows_are_counted_from_the_side_that_fits(what: str, tmp_path: Path) -> None:
    """The tiles land where they belong, and it is told where that is not what MBTiles promise."""
    south, metadata, flat, told = CASES[what]
    maker = open_map(written(tmp_path / "map.mbtiles", south, metadata, flat=flat), None)
    assert sorted(place for block in maker.blocks() for place in block) == sorted(land_tiles())
    assert bool(maker.notes) == told


def test_bounds_against_pictures_are_refused_and_the_option_decides(tmp_path: Path) -> None:
    """Where pictures and bounds contradict each other nothing is guessed; --rows decides."""
    path = written(tmp_path / "map.mbtiles", False, {"bounds": "37.05,-48.45,37.15,-48.40"})
    with pytest.raises(UserError, match="give --rows"):
        open_map(path, None)
    maker = open_map(path, None, "xyz")
    assert sorted(place for block in maker.blocks() for place in block) == sorted(land_tiles())


@pytest.mark.parametrize("south", [True, False])
def test_a_folder_without_a_description_is_told_by_its_pictures(south: bool, tmp_path: Path) -> None:
    """QGIS writes TMS folders without a word; gdal2tiles --xyz leaves the XML of TMS beside its tiles."""
    for (x, y), tile in land_tiles().items():
        file = tmp_path / str(ZOOM) / str(x) / f"{2**ZOOM - 1 - y if south else y}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), tile)
    if not south:
        (tmp_path / "tilemapresource.xml").write_text("<TileMap/>")
    maker = open_map(tmp_path, None)
    assert sorted(place for block in maker.blocks() for place in block) == sorted(land_tiles())


def test_folders_ordered_as_arcgis_does_are_refused(tmp_path: Path) -> None:
    """Where the folder is the row and the file the column, the map would lie elsewhere: the refusal says so."""
    for (x, y), tile in land_tiles().items():
        (tmp_path / str(ZOOM) / str(y)).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / str(ZOOM) / str(y) / f"{x}.png"), tile)
    with pytest.raises(UserError, match="<z>/<y>/<x>"):
        open_map(tmp_path, None)
    assert open_map(tmp_path, None, "xyz").zoom == ZOOM
