"""Tile sets as programs really write them: names, sizes, patches at finer zooms, packed tiles."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.tiles.makers import TileMaker, open_map

from .conftest import Import
from .drawn_maps import write_mbtiles
from .test_row_order import COLUMN, ROW, ZOOM, land_tiles

Encode = Callable[[np.ndarray, int], bytes]


def png(tile: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", tile)[1])


def folder(path: Path, name: str, encode: Encode = lambda tile, _: png(tile)) -> Path:
    for number, ((x, y), tile) in enumerate(land_tiles().items()):
        file = path / name.format(z=ZOOM, x=x, y=y)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode(tile, number))
    return path


def worst_error(maker: TileMaker) -> float:
    """Grey levels between what is made and the land at its place, the worst tile's mean."""
    made = [tile for block in maker.blocks() for tile in maker.make(block)]
    assert len(made) == len(land_tiles())
    grey = [cv2.imdecode(np.frombuffer(t.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE) for t in made if t is not None]
    right = [land_tiles()[t.x, t.y] for t in made if t is not None]
    return max(float(np.abs(a.astype(float) - b).mean()) for a, b in zip(grey, right, strict=True) if a is not None)


def twice(tile: np.ndarray, number: int) -> bytes:
    """Every other tile at twice the size, as servers of two layers give them."""
    return png(cv2.resize(tile, (512, 512), interpolation=cv2.INTER_NEAREST) if number % 2 else tile)


def test_tiles_of_two_sizes_lie_where_they_belong(tmp_path: Path) -> None:
    """A set that mixes 256 and 512 pixels: each tile covers its own place and no other."""
    assert worst_error(open_map(folder(tmp_path, "{z}/{x}/{y}.png", twice), None)) < 5.0


def test_names_for_fine_displays_are_read(tmp_path: Path) -> None:
    """`@2x` behind the row is no part of its number."""
    assert worst_error(open_map(folder(tmp_path, "{z}/{x}/{y}@2x.png"), None)) < 5.0


def test_mbtiles_under_another_name_are_read(tmp_path: Path) -> None:
    """The content decides, not the suffix."""
    write_mbtiles(tmp_path / "map.db", ZOOM, land_tiles())
    assert open_map(tmp_path / "map.db", None).kind == "mbtiles"


def phone_archive(
    path: Path, notes: dict[str, object], *, backwards: bool = True, south: bool = False, zoom: int = ZOOM
) -> Path:
    """An archive as OsmAnd, RMaps, Locus and Mobile Atlas Creator write it; no table `info` where notes are empty."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE tiles (x int, y int, z int, s int, image blob, PRIMARY KEY (x, y, z, s))")
        if notes:
            database.execute(f"CREATE TABLE info ({', '.join(notes)})")
            database.execute(f"INSERT INTO info VALUES ({', '.join('?' * len(notes))})", list(notes.values()))
        for (x, y), tile in land_tiles().items():
            row = 2**zoom - 1 - y if south else y
            values = (x, row, 17 - zoom if backwards else zoom, 0, png(tile))
            database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?, ?)", values)
    database.close()
    return path


PHONE: dict[str, tuple[dict[str, object], bool, bool]] = {  # the table `info`, zooms backwards, rows from the south
    "RMaps": ({"minzoom": 0, "maxzoom": 0}, True, False),
    "OsmAnd": ({"minzoom": 0, "maxzoom": 0, "tilenumbering": "BigPlanet", "ellipsoid": 0}, True, False),
    "OsmAnd, zooms as they are": ({"tilenumbering": "simple"}, False, False),
    "zooms against their note": ({"tilenumbering": "BigPlanet"}, False, False),
    "rows from the south": ({"tilenumbering": "BigPlanet", "inverted_y": 1}, True, True),
    "no word of where rows begin": ({"tilenumbering": ""}, True, True),
}


@pytest.mark.parametrize("what", PHONE)
def test_archives_of_telephones_are_read(what: str, tmp_path: Path) -> None:
    """Tables with x, y, z, image: the zooms that fit the numbers, the rows that fit the pictures."""
    notes, backwards, south = PHONE[what]
    maker = open_map(phone_archive(tmp_path / "map.sqlitedb", notes, backwards=backwards, south=south), None)
    assert maker.zoom == ZOOM
    assert worst_error(maker) < 5.0


@pytest.mark.parametrize("zoom", [18, 20])
def test_zooms_finer_than_17_are_below_zero_in_such_archives(zoom: int, tmp_path: Path) -> None:
    """Zoom 18 is -1 there: the zooms that aircraft fly with."""
    maker = open_map(phone_archive(tmp_path / "map.sqlitedb", {"minzoom": 17 - zoom}, zoom=zoom), None)
    assert maker.zoom == zoom
    assert worst_error(maker) < 5.0


@pytest.mark.parametrize(
    ("notes", "said"),
    [({"ellipsoid": 1}, "elliptical Mercator"), ({}, "as OruxMaps does")],
    ids=["elliptical", "numbered from its own corner"],
)
def test_archives_on_another_grid_are_refused(notes: dict[str, object], said: str, tmp_path: Path) -> None:
    """Tiles of Yandex' projection, or counted from the map's own corner, would lie kilometres off."""
    with pytest.raises(UserError, match=said):
        open_map(phone_archive(tmp_path / "map.sqlitedb", notes), None)


def test_a_patch_at_a_finer_zoom_is_told(tmp_path: Path) -> None:
    """The finest zoom is taken; where it is a patch of the map, the zoom that holds all of it is named."""
    folder(tmp_path, "{z}/{x}/{y}.png")
    patch = tmp_path / str(ZOOM + 1) / str(2 * COLUMN) / f"{2 * ROW}.png"
    patch.parent.mkdir(parents=True)
    patch.write_bytes(png(land_tiles()[COLUMN, ROW]))
    maker = open_map(tmp_path, None)
    assert maker.zoom == ZOOM + 1
    assert f"--zoom {ZOOM}" in " ".join(maker.notes)
    assert not open_map(tmp_path, ZOOM).notes


@pytest.mark.parametrize("name", ["tiles/{z}/{x}/{y}.png", "L{z}/R{y:08x}/C{x:08x}.png", "{z}_{x}_{y}.png"])
def test_a_folder_of_another_order_is_shown(name: str, tmp_path: Path) -> None:
    """The refusal shows a picture that is there, so that its order can be seen."""
    folder(tmp_path, name)
    with pytest.raises(UserError, match=r"it holds .*png"):
        open_map(tmp_path, None)


def test_packed_tiles_are_told_as_that(tmp_path: Path, put: Import) -> None:
    """Tiles packed with gzip are vector tiles: no advice to copy them again alone."""
    path = folder(tmp_path, "{z}/{x}/{y}.png", lambda tile, _: gzip.compress(png(tile)))
    with pytest.raises(UserError, match="as vector tiles are"):
        put(path)
