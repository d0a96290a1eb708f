"""Plain folders of tiles and several sources read as one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec, files
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.sources import DirectoryTileSource, StoreTileSource, UnionTileSource
from gps_denied_onboard.tiles.store import TileStore

VALID = np.tri(256, dtype=bool)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8).repeat(16, axis=0).repeat(16, axis=1)


def put(folder: Path, x: int, y: int, seed: int, valid: np.ndarray | None = None) -> None:
    image = folder / "17" / str(x) / f"{y}.jpg"
    mask = codec.encode_mask(valid) if valid is not None else None
    jpeg = codec.encode_jpeg(picture(seed))
    digests = hashlib.sha256(jpeg).digest(), hashlib.sha256(mask).digest() if mask is not None else None
    files.write_files(files.tile_files(image, jpeg, mask, digests))


def test_folder_reads_as_the_store_that_wrote_it(tmp_path: Path, database_url: str) -> None:
    """One source's folder inside a store, read without a database, gives the same pixels and masks as the store."""
    with TileStore.open(tmp_path, database_url) as store:
        store.insert([
            NewTile(TileKey("provider", 17, 5, 5), codec.encode_jpeg(picture(1)), 1.0),
            NewTile(TileKey("provider", 17, 6, 8), codec.encode_jpeg(picture(2)), 1.0, codec.encode_mask(VALID),
                    float(VALID.mean())),
        ])  # fmt: skip
        stored, plain = StoreTileSource(store, "provider", 17), DirectoryTileSource(tmp_path / "provider")
        assert (plain.zoom, plain.bounds_tiles()) == (17, (5, 5, 7, 9)) == (stored.zoom, stored.bounds_tiles())
        for place in ((5, 5), (6, 8)):
            one, other = stored.read_tile(*place), plain.read_tile(*place)
            assert one is not None
            assert other is not None
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])
        assert plain.read_tile(5, 6) is None
        assert stored.read_tile(5, 6) is None


def test_pixels_without_data_are_zero(tmp_path: Path) -> None:
    """JPEG smears colours over a mask's edge; what is read back outside of the mask is 0."""
    put(tmp_path, 1, 1, 1, VALID)
    tile = DirectoryTileSource(tmp_path).read_tile(1, 1)
    assert tile is not None
    assert tile[0][~VALID].max() == 0
    np.testing.assert_array_equal(tile[1], VALID)


def test_damaged_tile_is_a_hole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A tile that is no image is logged and left out; the others are read."""
    put(tmp_path, 1, 1, 1)
    (tmp_path / "17" / "1" / "2.jpg").write_bytes(b"\xff\xd8\xff damaged")
    source = DirectoryTileSource(tmp_path)
    assert source.read_tile(1, 2) is None
    assert source.read_tile(1, 1) is not None
    assert "2.jpg" in caplog.text


def test_png_tiles_are_read(tmp_path: Path) -> None:
    """A folder of PNG tiles is read like one of JPEG, exactly."""
    (tmp_path / "17" / "3").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "17" / "3" / "4.png"), picture(5))
    tile = DirectoryTileSource(tmp_path).read_tile(3, 4)
    assert tile is not None
    np.testing.assert_array_equal(tile[0], picture(5))


def test_empty_folder_and_missing_zoom_are_said(tmp_path: Path) -> None:
    """A folder without tiles, or without that zoom, says what it has."""
    with pytest.raises(UserError, match="no zoom folders"):
        DirectoryTileSource(tmp_path / "missing")
    put(tmp_path, 1, 1, 1)
    with pytest.raises(UserError, match=r"zooms \[17\]"):
        DirectoryTileSource(tmp_path, 16)


def test_empty_store_says_how_to_fill_it(tmp_path: Path, database_url: str) -> None:
    """Asking a store for a source that it lacks names what it holds and the command that imports."""
    with (
        TileStore.open(tmp_path, database_url) as store,
        pytest.raises(UserError, match=r"holds nothing yet.*operator-tool tiles import"),
    ):
        StoreTileSource(store, "provider", 18)


def test_union_takes_the_first_that_has_data(tmp_path: Path) -> None:
    """Of two maps the first one's pixels are taken where it has data, the second one's elsewhere."""
    put(tmp_path / "a", 1, 1, 1, VALID)
    put(tmp_path / "b", 1, 1, 2)
    put(tmp_path / "b", 3, 2, 3)
    a, b = DirectoryTileSource(tmp_path / "a"), DirectoryTileSource(tmp_path / "b")
    both = UnionTileSource([a, b])
    assert both.bounds_tiles() == (1, 1, 4, 3)
    merged, first, second, far = both.read_tile(1, 1), a.read_tile(1, 1), b.read_tile(1, 1), both.read_tile(3, 2)
    assert merged is not None
    assert first is not None
    assert second is not None
    assert far is not None
    np.testing.assert_array_equal(merged[0], np.where(VALID, first[0], second[0]))
    assert merged[1].all()
    assert both.read_tile(2, 2) is None
