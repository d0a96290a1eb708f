"""Every kind of map lands within half a pixel of where pyproj puts it, with what has no data marked so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_onboard.tiles.sources import StoreTileSource, TileSource
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.direct import open_tile_source

from . import drawn_maps
from .conftest import Import
from .drawn_maps import Drawn, draw, eight_bit, hole, spot_errors_px, spots


def rgb(path: Path) -> Drawn:
    return draw(path, np.stack([eight_bit()] * 3), photometric="rgb")


def palette(path: Path) -> Drawn:
    order = np.random.default_rng(1).permutation(256)  # neighbours in colour are far apart in number
    table = {int(order[grey]): (grey, grey, grey, 255) for grey in range(256)}
    return draw(path, order[eight_bit()].astype(np.uint8)[None], colormap=table)


def cog_degrees(path: Path) -> Drawn:
    return draw(path, eight_bit()[None], epsg=4326, driver="COG", blocksize=256)


def polar(path: Path) -> Drawn:
    return draw(path, eight_bit()[None], epsg=3995, compress="deflate")


def turned(path: Path) -> Drawn:
    return draw(path, eight_bit()[None], turn_deg=33.0)


def coarse(path: Path) -> Drawn:
    return draw(path, eight_bit()[None], resolution_m=1.7)


def sixteen_bit(path: Path) -> Drawn:
    return draw(path, np.rint(300 + 2500 * spots()).astype(np.uint16)[None])


def reflectance(path: Path) -> Drawn:
    values = np.where(hole(), spots(), np.nan).astype(np.float32)
    return draw(path, np.stack([values] * 5))


def with_nodata(path: Path) -> Drawn:
    return draw(path, np.where(hole(), np.maximum(eight_bit(), 1), 0)[None].astype(np.uint8), nodata=0)


def with_alpha(path: Path) -> Drawn:
    seen = hole()
    return draw(path, np.stack([*[np.where(seen, eight_bit(), 77)] * 3, seen * 255]).astype(np.uint8), alpha=True)


def with_mask(path: Path) -> Drawn:
    return draw(path, np.stack([eight_bit()] * 3), mask=hole())


def with_collar(path: Path) -> Drawn:
    """Black where nothing is, as orthophotos are, without saying so; one band is 0 all over."""
    grey = np.where(hole(), eight_bit(), 0)
    return draw(path, np.stack([grey, np.zeros_like(grey), grey]))


def palette_with_collar(path: Path) -> Drawn:
    table = {grey: (grey, grey, grey, 255) for grey in range(255)} | {255: (0, 0, 0, 255)}
    return draw(path, np.where(hole(), np.minimum(eight_bit(), 254), 255)[None].astype(np.uint8), colormap=table)


WHOLE = [rgb, palette, cog_degrees, polar, turned, coarse, sixteen_bit]
HOLED = [reflectance, with_nodata, with_alpha, with_mask, with_collar, palette_with_collar]


def whole_map(source: TileSource) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    mosaic = MapMosaic(source)
    x0, y0, x1, y1 = mosaic.bounds_px(0)
    return *mosaic.window(0, x0, y0, x1 - x0, y1 - y0), (x0, y0)


def check_rim(grey: np.ndarray, valid: np.ndarray) -> None:
    """Check that beside a hole the ground keeps its grey: no dark or bright rim of what filled the hole."""
    empty = (~valid).astype(np.uint8)
    near = valid & cv2.dilate(empty, np.ones((5, 5))).astype(bool)
    inner = valid & ~cv2.dilate(empty, np.ones((25, 25))).astype(bool)
    assert grey[~valid].max() == 0
    assert abs(np.median(grey[near].astype(int)) - np.median(grey[inner].astype(int))) <= 6
    assert (np.abs(grey[near].astype(int) - np.median(grey[inner])) < 40).mean() > 0.98


QUICK = {rgb, turned, with_alpha, with_collar}


@pytest.mark.parametrize(
    "make", [make if make in QUICK else pytest.param(make, marks=pytest.mark.slow) for make in WHOLE + HOLED]
)
def test_spots_are_where_pyproj_puts_them(
    tmp_path: Path, store: TileStore, put: Import, make: Callable[[Path], Drawn]
) -> None:
    """Imported, each spot is within 0.2 px of its place, and holes have no rim; read directly it is the same."""
    drawn = make(tmp_path / "map.tif")
    report = put(drawn.path)
    assert report.outcome == "success"
    stored = whole_map(StoreTileSource(store, "provider", report.zoom))
    errors_px = spot_errors_px(*stored, report.zoom, drawn)
    assert errors_px.max() < 0.2
    check_rim(*stored[:2])
    direct = whole_map(open_tile_source([drawn.path]))
    u, v = stored[2][0] - direct[2][0], stored[2][1] - direct[2][1]
    cut = np.s_[v : v + stored[0].shape[0], u : u + stored[0].shape[1]]
    assert (direct[1][cut] != stored[1]).mean() < 1e-5
    assert direct[1].sum() - direct[1][cut].sum() == 0
    both = direct[1][cut] & stored[1]
    assert np.abs(direct[0][cut].astype(int) - stored[0])[both].mean() < 1.5
    if make not in {coarse, polar, cog_degrees}:  # as large as the drawing, which is whole or has a hole of known size
        pixel_m = 2 * np.pi * 6_378_137 / 256 / 2**report.zoom * np.cos(np.radians(drawn_maps.LATITUDE_DEG))
        ground_px = drawn_maps.WIDTH * drawn_maps.HEIGHT * (hole().mean() if make in HOLED else 1.0)
        assert stored[1].sum() == pytest.approx(ground_px * (0.5 / pixel_m) ** 2, rel=0.01)


def test_downsampling_takes_means(tmp_path: Path, store: TileStore, put: Import) -> None:
    """A fine checkerboard becomes even grey in coarse tiles, not stripes."""
    board = (np.indices((drawn_maps.HEIGHT, drawn_maps.WIDTH)).sum(axis=0) % 2 * 200 + 20).astype(np.uint8)
    report = put(draw(tmp_path / "map.tif", board[None]).path, 15)
    grey, valid, _ = whole_map(StoreTileSource(store, "provider", report.zoom))
    inner = cv2.erode(valid.astype(np.uint8), np.ones((5, 5))).astype(bool)
    assert inner.sum() > 1000
    assert np.abs(grey[inner].astype(int) - 120).max() <= 12


def test_sixteen_bit_uses_the_whole_range(tmp_path: Path, store: TileStore, put: Import) -> None:
    """Dim 16-bit values are stretched to 8 bit: the ground is dark, the spots are bright."""
    report = put(sixteen_bit(tmp_path / "map.tif").path)
    grey, valid, _ = whole_map(StoreTileSource(store, "provider", report.zoom))
    assert np.percentile(grey[valid], 1) < 20
    assert grey[valid].max() > 240


@pytest.mark.parametrize("tile_px", [256, pytest.param(512, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["xyz", "tms", "mbtiles"])
def test_tile_sets_keep_their_place(tmp_path: Path, store: TileStore, put: Import, kind: str, tile_px: int) -> None:
    """Folders counted from north or south and MBTiles, of 256 or 512 pixels, land where their spots are."""
    zoom = 17
    tiles, spots_deg = drawn_maps.xyz_tiles(zoom, tile_px)
    path = tmp_path / ("map.mbtiles" if kind == "mbtiles" else "map")
    if kind == "mbtiles":
        drawn_maps.write_mbtiles(path, zoom, tiles)
    for (x, y), tile in tiles.items() if kind != "mbtiles" else ():
        file = path / str(zoom) / str(x) / f"{y if kind == 'xyz' else 2**zoom - 1 - y}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), tile)
    if kind == "tms":
        (path / "tilemapresource.xml").write_text("<TileMap/>")
    report = put(path)
    assert (report.zoom, report.tiles_written) == ((17, 12) if tile_px == 256 else (18, 48))
    stored = whole_map(StoreTileSource(store, "provider", report.zoom))
    assert spot_errors_px(*stored, report.zoom, Drawn(path, spots_deg)).max() < 0.2
    direct = whole_map(open_tile_source([path]))
    np.testing.assert_array_equal(direct[0], stored[0])
    np.testing.assert_array_equal(direct[1], stored[1])


def test_whole_jpeg_tiles_are_kept_byte_for_byte(tmp_path: Path, store: TileStore, put: Import) -> None:
    """A 256-pixel JPEG tile is stored as it is, not compressed again."""
    tiles, _ = drawn_maps.xyz_tiles(17)
    drawn_maps.write_mbtiles(tmp_path / "map.mbtiles", 17, tiles, "jpg")
    put(tmp_path / "map.mbtiles")
    for record in store.query_tiles("provider", 17, 0, 0, 2**17, 2**17):
        given = bytes(cv2.imencode(".jpg", tiles[record.key.x, record.key.y])[1])
        assert bytes(store.read(record)[0]) == given


def test_transparent_tiles_become_masks(tmp_path: Path, store: TileStore, put: Import) -> None:
    """Transparency in PNG tiles becomes a mask; a wholly transparent tile is not stored."""
    (tmp_path / "map" / "17" / "5").mkdir(parents=True)
    grey = np.random.default_rng(3).integers(1, 256, (256, 256, 1), dtype=np.uint8).repeat(3, axis=2)
    seen = np.tri(256, dtype=np.uint8)[..., None] * 255
    cv2.imwrite(str(tmp_path / "map" / "17" / "5" / "6.png"), np.concatenate([grey, seen], axis=2))
    cv2.imwrite(str(tmp_path / "map" / "17" / "5" / "7.png"), np.concatenate([grey, seen * 0], axis=2))
    assert put(tmp_path / "map").tiles_written == 1
    tile = StoreTileSource(store, "provider", 17).read_tile(5, 6)
    assert tile is not None
    np.testing.assert_array_equal(tile[1], seen[..., 0] > 0)


@pytest.mark.slow
def test_real_orthophoto_is_cut_from_its_black_collar(shared_data: Path, store: TileStore, put: Import) -> None:
    """The palette orthophoto's undeclared black collar, a third of it, is no data; its ground is whole."""
    report = put(shared_data / "islamabad" / "ortho.tif")
    assert (report.zoom, report.tiles_written) == (18, 45)
    _, valid, _ = whole_map(StoreTileSource(store, "provider", 18))
    ground_m2 = valid.sum() * 0.4971**2
    assert ground_m2 == pytest.approx(0.6487 * 1809 * 1779 * 0.25, rel=0.01)
