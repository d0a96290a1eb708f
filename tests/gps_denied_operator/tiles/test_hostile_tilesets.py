"""MBTiles files and folders of tiles that a stranger made: data is read, nothing is run, work ends with their size."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.sources import DirectoryTileSource
from gps_denied_operator.tiles.makers import open_map
from gps_denied_operator.tiles.mbtiles import MbtilesFile
from gps_denied_operator.tiles.tilesets import XyzFolder, placed_tiles

from .providers import X0, Y0, ZOOM, picture
from .test_hostile_rasters import png

ROW = (1 << ZOOM) - 1 - Y0
TILES = "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB);"
RECURSIVE = (
    "CREATE VIEW tiles AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) "
    f"SELECT {ZOOM} AS zoom_level, i AS tile_column, i AS tile_row, zeroblob(100000) AS tile_data FROM n;"
)


def mbtiles(path: Path, schema: str, rows: list[tuple[object, ...]] | None = None) -> Path:
    """A file of this schema, with rows for its table `tiles`."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(schema)
        for row in rows or ():
            database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", row)
        database.commit()
    return path


def test_plain_tables_and_the_usual_view_are_read(tmp_path: Path) -> None:
    """Tiles of one table, and of `map` and `images` behind a view that is not run, come as they are."""
    plain = mbtiles(tmp_path / "a.mbtiles", TILES, [(ZOOM, X0, ROW, picture(1))])
    shared = mbtiles(
        tmp_path / "b.mbtiles",
        "CREATE TABLE map (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_id TEXT);"
        "CREATE TABLE images (tile_data BLOB, tile_id TEXT);"
        "CREATE VIEW tiles AS SELECT zoom_level, tile_column, tile_row, tile_data FROM map JOIN images USING (tile_id);"
        f"INSERT INTO map VALUES ({ZOOM}, {X0}, {ROW}, 'a'); INSERT INTO images VALUES (x'{picture(1).hex()}', 'a');",
    )
    for path in (plain, shared):
        with closing(MbtilesFile(path)) as tiles:
            assert tiles.places() == {ZOOM: [(X0, Y0)]}
            assert tiles.read(ZOOM, X0, Y0) == picture(1)


@pytest.mark.parametrize(
    "schema",
    [
        RECURSIVE,
        "CREATE VIEW tiles AS SELECT 1 AS zoom_level, 0 AS tile_column, 0 AS tile_row, randomblob(9) AS tile_data;",
        "CREATE VIRTUAL TABLE tiles USING fts5(zoom_level, tile_column, tile_row, tile_data);",
        "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, "
        "tile_data BLOB GENERATED ALWAYS AS (zeroblob(900000000)));",
        "CREATE TABLE tiles (zoom_level INTEGER AS (length(zeroblob(900000000))), tile_column, tile_row, tile_data);",
        "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER);",
        "CREATE TABLE other (a);",
        RECURSIVE.replace("VIEW tiles", "VIEW map") + "CREATE TABLE images (tile_data BLOB, tile_id TEXT);",
    ],
    ids=["recursive", "view", "virtual", "generated", "generated zoom", "columns", "none", "map"],
)
def test_schemas_that_compute_are_refused(tmp_path: Path, schema: str) -> None:
    """Views, virtual tables and computed columns are not run, whatever they are called."""
    with pytest.raises(UserError, match="not an MBTiles file that can be read"):
        open_map(mbtiles(tmp_path / "a.mbtiles", schema), None)


def test_rows_that_are_no_places_are_left_out(tmp_path: Path) -> None:
    """Zooms of a thousand million, negative places, text and blobs are no tiles; the good one beside them is."""
    odd = [(10**9, 0, 0, b"a"), (-1, 0, 0, b"a"), ("9" * 5000, 0, 0, b"a"), (ZOOM, -1, 0, b"a"),
           (ZOOM, 1 << ZOOM, 0, b"a"),
           (ZOOM, b"\x00", 0, b"a"), (None, None, None, None), (ZOOM, 0, 2**62, b"a")]  # fmt: skip
    path = mbtiles(tmp_path / "a.mbtiles", TILES, [*odd, (ZOOM, X0, ROW, picture(1))])
    with closing(open_map(path, None)) as maker:
        assert [(tile.x, tile.y) for tile in maker.make([(X0, Y0)]) if tile] == [(X0, Y0)]


def test_a_tile_of_gigabytes_or_gigapixels_is_unreadable(tmp_path: Path) -> None:
    """A blob beyond the most bytes and a picture beyond the tile sizes are counted, not decoded."""
    rows = [(ZOOM, X0, ROW, picture(1)), (ZOOM, X0 + 1, ROW, bytes(6_000_000)), (ZOOM, X0 + 2, ROW, png(16384, 16384))]
    with closing(open_map(mbtiles(tmp_path / "a.mbtiles", TILES, rows), None)) as maker:
        assert [tile and tile.x for block in maker.blocks() for tile in maker.make(block)] == [X0, None, None]
    with pytest.raises(ValueError, match="256x256 or 512x512"):
        list(placed_tiles(png(16384, 16384), 0, 0, 1))


def test_a_journal_beside_the_file_is_not_played_back(tmp_path: Path) -> None:
    """Nothing beside the file is read into it, and the file is not changed."""
    path = mbtiles(tmp_path / "a.mbtiles", TILES, [(ZOOM, X0, ROW, picture(1))])
    before = path.read_bytes()
    for beside in ("-journal", "-wal", "-shm"):
        Path(f"{path}{beside}").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(4096))
    with closing(MbtilesFile(path)) as tiles:
        assert tiles.places() == {ZOOM: [(X0, Y0)]}
    assert path.read_bytes() == before


def test_rows_of_nothing_are_not_all_held(tmp_path: Path) -> None:
    """More rows than a file of its size has pictures are refused before they fill the memory."""
    path = mbtiles(tmp_path / "a.mbtiles", TILES)
    with closing(sqlite3.connect(path)) as database:
        rows = ((ZOOM, k % 4000, k // 4000, b"") for k in range(30_000))
        database.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", rows)
        database.commit()
    with pytest.raises(UserError, match="than a file of its size holds"):
        open_map(path, None)


def test_work_ends_with_the_size_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that takes more of SQLite's steps than the file may is ended, in a sentence."""
    path = mbtiles(tmp_path / "a.mbtiles", TILES, [(ZOOM, X0 + k, ROW, b"x") for k in range(3000)])
    monkeypatch.setattr("gps_denied_operator.tiles.mbtiles.STEPS_FREE", 0)
    monkeypatch.setattr("gps_denied_operator.tiles.mbtiles.STEPS_PER_BYTE", 0)
    with pytest.raises(UserError, match="more work than a file of its size may"):
        open_map(path, None)


@pytest.mark.parametrize(
    "data", [b"", b"no database", b"SQLite format 3\0" + bytes(84), b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_what_is_no_database_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    """Torn and forged headers are refused in words."""
    (tmp_path / "a.mbtiles").write_bytes(data)
    with pytest.raises(UserError, match="not an MBTiles file"):
        open_map(tmp_path / "a.mbtiles", None)


def test_folders_of_tiles_are_read_by_their_plain_names(tmp_path: Path) -> None:
    """Names of thousands of digits or foreign digits are no numbers; pipes and links out of the folder no tiles."""
    column = tmp_path / "map" / str(ZOOM) / str(X0)
    column.mkdir(parents=True)
    for name in (f"{Y0}.jpg", f"{'9' * 200}.jpg", "\u00b2.jpg", "\u0663.jpg", "-1.jpg", f"{1 << ZOOM}.jpg"):
        (column / name).write_bytes(picture(1))
    for folder in ("9" * 200, "\u00b2", "23"):
        (tmp_path / "map" / folder / "0").mkdir(parents=True)
    (tmp_path / "outside.jpg").write_bytes(picture(2))
    (column / f"{Y0 + 1}.jpg").symlink_to(tmp_path / "outside.jpg")
    (column / f"{Y0 + 2}.jpg").symlink_to("/dev/zero")
    os.mkfifo(column / f"{Y0 + 3}.jpg")
    ours = DirectoryTileSource(tmp_path / "map", ZOOM)
    assert ours.bounds_tiles() == (X0, Y0, X0 + 1, Y0 + 1)
    assert [ours.read_tile(X0, Y0 + k) is None for k in (0, 2, 3)] == [False, True, True]
    (column / f"{Y0}.mask.png").symlink_to("nowhere")
    assert ours.read_tile(X0, Y0) is None
    (column / f"{Y0}.mask.png").unlink()
    tiles = XyzFolder(tmp_path / "map")
    assert tiles.places() == {ZOOM: [(X0, Y0 + k) for k in range(4)]}
    assert tiles.read(ZOOM, X0, Y0) == picture(1)
    for k in (1, 2, 3):
        with pytest.raises(OSError, match=r"link|plain file"):
            tiles.read(ZOOM, X0, Y0 + k)


def test_record_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    """A record of the schema whose length is not one makes SQLite say that memory is short: the file is refused."""
    schema = f"PRAGMA page_size = 512; {TILES} CREATE TABLE metadata (name TEXT, value TEXT);"
    data = bytearray(mbtiles(path := tmp_path / "huge.mbtiles", schema).read_bytes())
    first = int.from_bytes(data[108:110], "big")
    data[first : first + 10] = b"\xff" * 10
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"claims more bytes than there is memory.*copy it again"):
        MbtilesFile(path)


def test_links_anywhere_on_the_way_to_a_tile_stay_inside(tmp_path: Path) -> None:
    """A zoom or a column that is a link out of the folder gives no tile, nor a link to itself; one inside does."""
    zoom, outside = tmp_path / "map" / str(ZOOM), tmp_path / "outside"
    for folder, row in ((zoom / str(X0), Y0), (outside / "0", 0)):
        folder.mkdir(parents=True)
        (folder / f"{row}.jpg").write_bytes(picture(1))
    (tmp_path / "map" / "1").symlink_to(outside)
    (zoom / "0").symlink_to(outside / "0")
    (zoom / str(X0 + 1)).symlink_to(zoom / str(X0))
    (zoom / "1").mkdir()
    (zoom / "1" / "1.jpg").symlink_to("1.jpg")
    (tmp_path / "named").symlink_to(tmp_path / "map")
    tiles = XyzFolder(tmp_path / "named", "xyz")
    assert tiles.places() == {1: [(0, 0)], ZOOM: [(0, 0), (1, 1), (X0, Y0), (X0 + 1, Y0)]}
    assert tiles.read(ZOOM, X0, Y0) == tiles.read(ZOOM, X0 + 1, Y0) == picture(1)
    for level in (1, ZOOM):
        with pytest.raises(OSError, match="leads out of the folder"):
            tiles.read(level, 0, 0)
    with pytest.raises(OSError, match="link"):
        tiles.read(ZOOM, 1, 1)


def test_a_log_beside_the_file_is_told(tmp_path: Path) -> None:
    """Changes that stand in a `-wal` file are not played back, which is said, also where nothing else is there."""
    path = mbtiles(tmp_path / "a.mbtiles", TILES, [(ZOOM, X0, ROW, picture(1))])
    empty = tmp_path / "empty.mbtiles"
    for file, table in ((path, ""), (empty, TILES)):
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(table)
            database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (ZOOM, X0 + 1, ROW, picture(2)))
            database.commit()
            for suffix in ("", "-wal"):
                shutil.copy(f"{file}{suffix}", file.with_name(f"copy-{file.name}{suffix}"))
    with closing(MbtilesFile(tmp_path / "copy-a.mbtiles")) as tiles:
        assert tiles.places() == {ZOOM: [(X0, Y0)]}
        assert any("copy-a.mbtiles-wal beside it holds changes" in note for note in tiles.notes)
    with pytest.raises(UserError, match=r"copy-empty\.mbtiles-wal beside it holds changes"):
        MbtilesFile(tmp_path / "copy-empty.mbtiles")


def test_a_tile_that_claims_more_than_it_holds_is_no_tile() -> None:
    """A PNG of which a part claims gigabytes is left out, before anything takes memory for it."""
    whole = codec.encode_mask(np.eye(256, dtype=bool))
    assert whole is not None
    at = whole.index(b"IDAT") - 4
    with pytest.raises(ValueError, match="claims more bytes than it has"):
        list(placed_tiles(whole[:at] + b"\xff\xff\xfe\x30" + whole[at + 4 :], X0, Y0, 1))
