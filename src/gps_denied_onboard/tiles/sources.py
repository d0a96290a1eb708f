"""Where map tiles are read from: one small protocol, and its readers for a store and for a plain folder.

A tile source serves one zoom. It never raises for a single bad tile: a damaged or unreadable one is logged and is a
hole, because a flight goes on without it and must not match against wrong pixels.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec, files
from gps_denied_onboard.tiles.codec import TILE_BYTES_MAX, Grey, Mask
from gps_denied_onboard.tiles.coverage import digest_square
from gps_denied_onboard.tiles.grid import SQUARE_TILES, ZOOM_MAX
from gps_denied_onboard.tiles.records import TileDamagedError, TileRecord
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.folders import plain_files, plain_folders
from gps_denied_onboard.untrusted.text import shown, whole_number

if TYPE_CHECKING:
    from gps_denied_onboard.tiles.store import TileStore

log = logging.getLogger(__name__)


class TileSource(Protocol):
    """Grey map tiles of one zoom."""

    @property
    def zoom(self) -> int:
        """Return the zoom of the tiles."""

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        """Return (x0, y0, x1, y1) around all tiles, x1 and y1 not included."""

    def read_tile(self, x: int, y: int) -> tuple[Grey, Mask] | None:
        """Return grey (256, 256), 0 where there is no data, and validity (256, 256); None where there is no tile."""


class StoreTileSource:
    """The tiles of one source and zoom in a tile store. Rows are fetched in squares of 32x32 tiles and kept."""

    SQUARES_KEPT = 64

    def __init__(
        self, store: TileStore, source: str, zoom: int, squares: Mapping[tuple[int, int], str] | None = None
    ) -> None:
        """Look up the extent; UserError where the store holds no such tiles.

        squares: the map ends with these; each with its digest as it was signed, "" for any.
        """
        bounds = store.bounds(source, zoom)
        if bounds is None:
            held = ", ".join(f"{name} at zoom {level}" for name, level in store.sources()) or "nothing yet"
            raise UserError(
                f"The tile store {store.root} holds no tiles of source '{source}' at zoom {zoom}; it holds {held}: "
                "name one of these, or import a map with `operator-tool tiles import`."
            )
        if squares:
            size = SQUARE_TILES
            columns, rows = {column for column, _ in squares}, {row for _, row in squares}
            bounds = (
                max(bounds[0], min(columns) * size), max(bounds[1], min(rows) * size),
                min(bounds[2], (max(columns) + 1) * size), min(bounds[3], (max(rows) + 1) * size),
            )  # fmt: skip
        self._only = None if squares is None else dict(squares)
        self._store, self._source, self._zoom, self._bounds = store, source, zoom, bounds
        self._squares: OrderedDict[tuple[int, int], dict[tuple[int, int], TileRecord]] = OrderedDict()

    @property
    def zoom(self) -> int:
        return self._zoom

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        return self._bounds

    def read_tile(self, x: int, y: int) -> tuple[Grey, Mask] | None:
        place = (x // SQUARE_TILES, y // SQUARE_TILES)
        if self._only is not None and place not in self._only:
            return None
        record = self._square(*place).get((x, y))
        if record is None:
            return None
        try:
            return codec.decode_tile(*self._store.read(record))
        except (TileDamagedError, ValueError) as error:
            log.error("map tile is not used: %s", error)
            return None

    def _square(self, column: int, row: int) -> dict[tuple[int, int], TileRecord]:
        square = self._squares.get((column, row))
        if square is None:
            size = SQUARE_TILES
            box = (column * size, row * size, (column + 1) * size, (row + 1) * size)
            found = self._store.query_tiles(self._source, self._zoom, *box)
            # Tiles that a flight made stand beside the provider's; only the latter are the map.
            square = {(tile.key.x, tile.key.y): tile for tile in found if tile.key.flight_id is None}
            signed = self._only.get((column, row), "") if self._only is not None else ""
            if signed and signed != _digest(column, row, square):
                log.error("map square is not used: its tiles are no longer those that were signed: %d/%d", column, row)
                square = {}
            self._squares[column, row] = square
            if len(self._squares) > self.SQUARES_KEPT:
                self._squares.popitem(last=False)
        self._squares.move_to_end((column, row))
        return square


def _digest(column: int, row: int, square: Mapping[tuple[int, int], TileRecord]) -> str:
    return digest_square(column, row, [square[place] for place in sorted(square)]).sha256


class DirectoryTileSource:
    """A plain folder `<folder>/<z>/<x>/<y>.jpg` (or .png), with `<y>.mask.png` where a tile is partly empty.

    It needs no database: a recording's tiles, or one source's folder inside a store, whose digests it does not check.
    """

    SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

    def __init__(self, folder: Path, zoom: int | None = None) -> None:
        """List the folder once. zoom: the finest that is there, unless given. UserError where there are no tiles."""
        named = [whole_number(entry.name, ZOOM_MAX) for entry in plain_folders(folder)]
        zooms = sorted(number for number in named if number is not None)
        self._zoom = zoom if zoom is not None else (zooms[-1] if zooms else 0)
        self._paths: dict[tuple[int, int], Path] = {}
        for column in plain_folders(folder / str(self._zoom)):
            last = (1 << self._zoom) - 1
            x = whole_number(column.name, last)
            for file in plain_files(column) if x is not None else ():
                y = whole_number(file.stem, last) if file.suffix.lower() in self.SUFFIXES else None
                if x is not None and y is not None:
                    self._paths[x, y] = file
        if not self._paths:
            there = f"zooms {zooms}" if zooms else "no zoom folders"
            raise UserError(
                f"{shown(folder)} holds no tiles at zoom {self._zoom} ({there}): give a folder of <z>/<x>/<y>.jpg "
                "tiles."
            )

    @property
    def zoom(self) -> int:
        return self._zoom

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        place = np.array(list(self._paths))
        (x0, y0), (x1, y1) = place.min(axis=0), place.max(axis=0) + 1
        return int(x0), int(y0), int(x1), int(y1)

    def read_tile(self, x: int, y: int) -> tuple[Grey, Mask] | None:
        path = self._paths.get((x, y))
        if path is None:
            return None
        try:
            mask = files.mask_path(path)
            image = read_file(path, TILE_BYTES_MAX, follow=False)
            mask_bytes = read_file(mask, TILE_BYTES_MAX, follow=False) if os.path.lexists(mask) else None
            return codec.decode_tile(image, mask_bytes)
        except (OSError, ValueError, UntrustedError) as error:
            log.error("map tile is not used: file=%s %s", shown(path), shown(error))
            return None


class UnionTileSource:
    """Several sources of one zoom as one map: where more than one has data, the first one's is taken."""

    def __init__(self, sources: Sequence[TileSource]) -> None:
        zooms = {source.zoom for source in sources}
        if len(zooms) != 1:
            raise UserError(f"The maps have different zooms ({sorted(zooms)}): give one zoom for all of them.")
        self._sources = tuple(sources)

    @property
    def zoom(self) -> int:
        return self._sources[0].zoom

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        boxes = np.array([source.bounds_tiles() for source in self._sources])
        (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        return int(x0), int(y0), int(x1), int(y1)

    def read_tile(self, x: int, y: int) -> tuple[Grey, Mask] | None:
        merged: tuple[Grey, Mask] | None = None
        for source in self._sources:
            tile = source.read_tile(x, y)
            if tile is not None:
                merged = tile if merged is None else (np.where(merged[1], merged[0], tile[0]), merged[1] | tile[1])
            if merged is not None and merged[1].all():
                break
        return merged
