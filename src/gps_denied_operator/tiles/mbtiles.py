"""MBTiles 1.3 and the archives of OsmAnd, RMaps and Locus: SQLite files of tiles.

They are read as data, and nothing of their schema is run.
Rows of MBTiles are counted from the south, those of OsmAnd's and RMaps' archives from the north, unless the pictures,
the bounds or the scheme tell otherwise. The latter two also number their zooms backwards, from 17 down.

A schema is a program: a view can compute rows without end, a generated column or a virtual table call functions. So
only plain tables are read, by statements of ours, with SQLite's own limits, and work that ends with the file's size.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.codec import TILE_BYTES_MAX
from gps_denied_onboard.tiles.grid import ZOOM_MAX
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import open_file
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.tiles.row_order import RowEvidence, finest, from_south, places_by_row, read_bounds

FILE_BYTES_MAX = 1 << 42
TILES_MAX = 2_000_000
TILES_FREE = 10_000
TILE_BYTES_MIN = 40
"""Of the file for each row beyond TILES_FREE: no picture has fewer, and rows of nothing would cost more memory."""
STEPS_AT_ONCE = 10_000
STEPS_FREE = 2_000_000
STEPS_PER_BYTE = 8
"""SQLite's own steps a byte of the file that a statement may take; a row has eight bytes at least."""

_BEGINS = b"SQLite format 3\0"
_PLACED = (
    "typeof({t}zoom_level) = 'integer' AND {t}zoom_level BETWEEN 0 AND {zoom_max} AND "
    "typeof({t}tile_column) = 'integer' AND {t}tile_column BETWEEN 0 AND (1 << {t}zoom_level) - 1 AND "
    "typeof({t}tile_row) = 'integer' AND {t}tile_row BETWEEN 0 AND (1 << {t}zoom_level) - 1"
)
_TILES = f"SELECT rowid, zoom_level, tile_column, tile_row FROM tiles WHERE {_PLACED.format(t='', zoom_max=ZOOM_MAX)}"
_JOINED = (
    "SELECT images.rowid, map.zoom_level, map.tile_column, map.tile_row FROM map JOIN images "
    f"ON images.tile_id = map.tile_id WHERE {_PLACED.format(t='map.', zoom_max=ZOOM_MAX)}"
)
_PHONE = (
    "SELECT {what} FROM tiles WHERE typeof(z) = 'integer' AND {zoom} BETWEEN 0 AND {zoom_max} AND "
    "typeof(x) = 'integer' AND x BETWEEN 0 AND {edge} AND typeof(y) = 'integer' AND y BETWEEN 0 AND {edge}"
)
_ZOOMS = ("z", "17 - z")
_PHONE_NOTES = ("tilenumbering", "inverted_y", "ellipsoid")
"""Columns of the table `info` that say how places are numbered."""
_SIDES = (
    "SELECT name, value FROM metadata WHERE name IN ('bounds', 'scheme') AND typeof(value) = 'text' AND "
    "length(value) < 1000 LIMIT 10"
)
_COLUMNS = {
    "tiles": {"zoom_level", "tile_column", "tile_row", "tile_data"}, "metadata": {"name", "value"},
    "map": {"zoom_level", "tile_column", "tile_row", "tile_id"}, "images": {"tile_id", "tile_data"},
    "info": set(),
}  # fmt: skip
_PHONE_COLUMNS = {"x", "y", "z", "image"}
"""Of the table `tiles` in the archives of OsmAnd, RMaps and Locus."""
_FUNCTIONS = {"typeof", "length", "count"}
_BROKEN = (sqlite3.Error, MemoryError, UntrustedError)
"""What reading a damaged file raises: where a record claims to be huge, SQLite says that memory is short."""


class MbtilesFile:
    """An MBTiles file, or an archive of OsmAnd, RMaps or Locus; x and y of its tiles counted from the north.

    Threads may share it, one at a time.
    """

    def __init__(self, path: Path, rows: str = "auto") -> None:
        """Open the file and look at its tables; UserError where its tiles are in none.

        rows: whether its rows are counted from the north ('xyz'), the south ('tms'), or as it holds them ('auto').
        """
        self.path = path
        self.notes: tuple[str, ...] = ()
        self._told_rows = rows
        self._of_phone = False
        self._info: tuple[str, ...] = ()
        self._from_south = True
        self._rows: dict[int, int] = {}
        try:
            with open_file(path, FILE_BYTES_MAX) as file:
                begins = file.read(len(_BEGINS))
                size_bytes = file.seek(0, 2)
            self._steps_max = STEPS_FREE + STEPS_PER_BYTE * size_bytes
            self._tiles_max = min(TILES_MAX, TILES_FREE + size_bytes // TILE_BYTES_MIN)
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): give a file that can be.") from None
        if begins != _BEGINS:
            raise self._unreadable("it is no SQLite file")
        self._steps = 0
        # Immutable: no journal beside it is played back, nothing is written. Only one thread uses it at a time.
        self._database = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False, isolation_level=None
        )
        try:
            self._tables = self._lock_down()
        except _BROKEN as error:
            self._database.close()
            raise self._unreadable(error) from error
        except BaseException:
            self._database.close()
            raise

    def places(self) -> dict[int, list[tuple[int, int]]]:
        """Return the (x, y) of the tiles of each zoom; UserError where there are none, or too many."""
        found: dict[int, list[tuple[int, int]]] = {}
        self._rows.clear()
        try:
            if "metadata" in self._tables:
                form = self._select("SELECT value FROM metadata WHERE name = 'format' LIMIT 1").fetchone()
                if form is not None and form[0] == "pbf":
                    raise UserError(f"{self.path} holds vector tiles, no pictures: give MBTiles with jpg or png.")
            for row, zoom, x, y in self._select(self._statement()):
                key = _key(zoom, x, y)
                if key not in self._rows:
                    if len(self._rows) >= self._tiles_max:
                        raise UserError(
                            f"{self.path} names more than {self._tiles_max} tiles, more than it may or than a file "
                            "of its size holds: split it by zoom or area."
                        )
                    found.setdefault(zoom, []).append((x, y))
                self._rows[key] = row
        except _BROKEN as error:
            raise self._unreadable(error) from error
        if not found:
            raise UserError(f"{self.path} holds no tiles: give another file.")
        zoom, places = finest(found)
        self._from_south, self.notes = from_south(self.path, zoom, list(places), self._raw, self._evidence())
        self.notes += tuple(f"{unclosed}." for unclosed in self._unclosed())
        return places_by_row(found, self._from_south)

    def _statement(self) -> str:
        """What gives the places of all tiles. UserError where they are numbered on no grid that is known."""
        if not self._of_phone:
            return _TILES if "tiles" in self._tables else _JOINED
        notes = self._phone_notes()
        if notes.get("ellipsoid") == "1":
            raise UserError(
                f"{self.path} holds tiles of the elliptical Mercator (EPSG:3395, as Yandex has them), which lie up to "
                "40 km beside those of the usual one: give a map in the usual Web-Mercator, or a GeoTIFF of this one."
            )
        onwards, backwards = (self._select(_phone_tiles("count(*)", zoom)).fetchone()[0] for zoom in _ZOOMS)
        told = onwards - backwards or (notes.get("tilenumbering", "").lower() == "simple") - 0.5
        return _phone_tiles("rowid, {zoom}, x, y", _ZOOMS[0] if told > 0 else _ZOOMS[1])

    def _phone_notes(self) -> dict[str, str]:
        """What the table `info` says of the numbers of places, in words or digits."""
        if not self._info:
            return {}
        found = self._select(f"SELECT {', '.join(self._info)} FROM info LIMIT 1").fetchone() or ()
        return {name: str(value)[:20].strip() for name, value in zip(self._info, found, strict=False)}

    def _evidence(self) -> RowEvidence:
        """What its metadata say of the order of rows; they may be absent."""
        told: dict[str, Any] = {}
        if self._of_phone:
            from_the_south = False
            with contextlib.suppress(*_BROKEN):
                from_the_south = self._phone_notes().get("inverted_y") == "1"
            return RowEvidence(False, self._told_rows, scheme="tms" if from_the_south else "xyz")
        if "metadata" in self._tables:
            with contextlib.suppress(*_BROKEN):
                told = dict(self._select(_SIDES).fetchall())
        return RowEvidence(True, self._told_rows, read_bounds(told.get("bounds")), str(told.get("scheme") or ""))

    def read(self, zoom: int, x: int, y: int) -> bytes:
        """Return a tile's bytes; OSError where it cannot be read."""
        try:
            if not self._rows:
                self.places()
        except _BROKEN as error:
            raise OSError(shown(error)) from error
        return self._raw(zoom, x, (1 << zoom) - 1 - y if self._from_south else y)

    def _raw(self, zoom: int, x: int, y: int) -> bytes:
        """A tile's bytes by its row as stored."""
        table = "tiles" if "tiles" in self._tables else "images"
        column = "image" if self._of_phone else "tile_data"
        try:
            statement = f"SELECT {column} FROM {table} WHERE rowid = ? AND length({column}) <= ?"
            row = self._select(statement, (self._rows.get(_key(zoom, x, y), -1), TILE_BYTES_MAX)).fetchone()
        except _BROKEN as error:
            raise OSError(shown(error)) from error
        if row is None or not isinstance(row[0], bytes):
            raise OSError(f"no data, or more than {TILE_BYTES_MAX} bytes of them")
        return row[0]

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _select(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        self._steps = 0
        return self._database.execute(statement, values)

    def _lock_down(self) -> set[str]:
        """The plain tables that are read; from here on nothing but reading them is allowed."""
        database = self._database
        for limit, value in (
            (sqlite3.SQLITE_LIMIT_LENGTH, 4 * TILE_BYTES_MAX), (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000),
            (sqlite3.SQLITE_LIMIT_COLUMN, 100), (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
            (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 5), (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 50),
            (sqlite3.SQLITE_LIMIT_VDBE_OP, 10_000), (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
            (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
        ):  # fmt: skip
            database.setlimit(limit, value)
        database.set_progress_handler(self._step, STEPS_AT_ONCE)
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON", "mmap_size = 0"):
            database.execute(f"PRAGMA {pragma}")
        kinds = dict(
            self._select(
                "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND rootpage > 0 AND "
                "name IN ('tiles', 'map', 'images', 'metadata', 'info') LIMIT 5"
            ).fetchall()
        )
        tables = {name for name, kind in kinds.items() if kind == "table"}
        wanted = {"tiles"} if "tiles" in tables else {"map", "images"}
        if not wanted <= tables:
            if self._select("SELECT name FROM sqlite_master WHERE name = 'gpkg_contents' LIMIT 1").fetchone():
                raise UserError(
                    f"{self.path} is a GeoPackage: make a GeoTIFF of it with `gdal_translate {self.path.name} map.tif` "
                    "(of its finest tiles; -oo TABLE=name where it holds several) and import that."
                )
            raise self._unreadable(
                "its tiles are in no plain table of the name `tiles`, nor in `map` and `images`; a view or virtual "
                "table is not run"
            )
        columns = {table: self._select(f"PRAGMA table_xinfo({table})").fetchall() for table in tables}
        names = {table: {str(column[1]).lower() for column in found} for table, found in columns.items()}
        self._of_phone = "tiles" in tables and names["tiles"] >= _PHONE_COLUMNS
        if self._of_phone and "info" not in tables:
            raise UserError(
                f"{self.path} numbers its tiles from a corner of its own (its table `tiles` has x, y, z, and there is "
                "no table `info`), as OruxMaps does: write the map as MBTiles, or as RMaps SQLite."
            )
        wanted |= {"info"} if self._of_phone else tables & {"metadata"}
        for table in wanted:
            needed = _PHONE_COLUMNS if self._of_phone and table == "tiles" else _COLUMNS[table]
            if not names[table] >= needed or any(column[6] for column in columns[table]):
                raise self._unreadable(
                    f"its table `{table}` lacks columns ({', '.join(sorted(_COLUMNS[table]))}; or x, y, z, image, as "
                    "OsmAnd and RMaps name them), or computes some"
                )
        self._info = tuple(name for name in _PHONE_NOTES if name in names.get("info", set()))
        self._allowed = wanted
        database.set_authorizer(self._authorize)
        return wanted

    def _step(self) -> int:
        self._steps += STEPS_AT_ONCE
        return int(self._steps > self._steps_max)

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_SELECT:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and first in self._allowed:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and second in _FUNCTIONS:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    def _unclosed(self) -> list[str]:
        """What a program that still writes it, or was killed, left beside it."""
        logs = [self.path.with_name(f"{self.path.name}{suffix}") for suffix in ("-wal", "-journal")]
        return [
            f"{shown(log.name, 80)} beside it holds changes that are not played back: close the program that writes "
            "it, or open and close it with sqlite3, and import it again"
            for log in logs
            if log.is_file() and log.stat().st_size
        ]

    def _unreadable(self, error: object) -> UserError:
        told = "; ".join([shown(error, 160), *self._unclosed()])
        if isinstance(error, MemoryError):
            told = "one of its records claims more bytes than there is memory"
        elif str(error) == "interrupted":
            told = "it takes more work than a file of its size may"
        return UserError(
            f"{self.path} is not an MBTiles file that can be read ({told}): copy it again, or give a GeoTIFF or a "
            "folder of z/x/y tiles."
        )


def is_mbtiles(path: Path) -> bool:
    """Whether a file is named or begins as MBTiles do; programs give them other names, too."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".mbtiles":
        return True
    try:
        with open_file(path, FILE_BYTES_MAX) as file:
            return file.read(len(_BEGINS)) == _BEGINS
    except OSError:
        return False


def _phone_tiles(what: str, zoom: str) -> str:
    """A statement for the tiles whose columns and rows fit to their zoom, where that is numbered so."""
    return _PHONE.format(what=what.format(zoom=zoom), zoom=zoom, zoom_max=ZOOM_MAX, edge=f"(1 << {zoom}) - 1")


def _key(zoom: int, x: int, y: int) -> int:
    """A place as one number: millions of them are held."""
    return (zoom << 2 * ZOOM_MAX | x << ZOOM_MAX | y) if zoom >= 0 else -1
