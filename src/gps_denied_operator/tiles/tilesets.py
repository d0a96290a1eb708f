"""Tiles that are tiles already: folders of z/x/y images and MBTiles files."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.codec import Mask
from gps_denied_onboard.tiles.grid import TILE_PX, ZOOM_MAX
from gps_denied_operator.tiles.row_order import RowEvidence, finest, from_south, places_by_row, read_bounds

IMAGES = {".jpg", ".jpeg", ".png", ".webp"}
END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class PlacedTile:
    """A 256x256 tile ready to be stored: JPEG and validity (256, 256)."""

    x: int
    y: int
    jpeg: bytes
    valid: Mask


class TileSet(Protocol):
    """Tile images by zoom, x and y counted from the north."""

    path: Path
    notes: tuple[str, ...]

    def places(self) -> dict[int, list[tuple[int, int]]]:
        """Return the (x, y) of the tiles of each zoom."""

    def read(self, zoom: int, x: int, y: int) -> bytes:
        """Return a tile's bytes; OSError where it cannot be read."""

    def close(self) -> None:
        """Let go of the files."""


class XyzFolder:
    """A folder `<z>/<x>/<y>.<jpg|png|webp>`; rows from the south (TMS) where its pictures or its description say so."""

    def __init__(self, path: Path, rows: str = "auto") -> None:
        """Remember where. rows: 'xyz' (from the north), 'tms' (from the south) or 'auto'."""
        self.path = path
        self._rows = rows
        self.notes: tuple[str, ...] = ()
        self._from_south = False
        self._files: dict[tuple[int, int, int], Path] = {}

    def places(self) -> dict[int, list[tuple[int, int]]]:
        found: dict[int, list[tuple[int, int]]] = {}
        for zoom_folder in self.path.iterdir():
            if not zoom_folder.name.isdigit() or int(zoom_folder.name) > ZOOM_MAX:
                continue
            zoom = int(zoom_folder.name)
            for column in zoom_folder.iterdir():
                if not column.name.isdigit() or not column.is_dir():
                    continue
                for file in column.iterdir():
                    if file.suffix.lower() in IMAGES and file.stem.isdigit():
                        self._files[zoom, int(column.name), int(file.stem)] = file
                        found.setdefault(zoom, []).append((int(column.name), int(file.stem)))
        if not found:
            raise UserError(
                f"{self.path} holds no <z>/<x>/<y>.jpg or .png tiles: give such a folder, an MBTiles file or a GeoTIFF."
            )
        zoom, places = finest(found)
        self._from_south, self.notes = from_south(
            self.path, zoom, list(places), lambda z, x, row: self._files[z, x, row].read_bytes(), self._evidence()
        )
        return places_by_row(found, self._from_south)

    def _evidence(self) -> RowEvidence:
        """What the descriptions beside the tiles say: gdal2tiles' XML, a TileJSON."""
        told: dict[str, object] = {}
        for name in ("metadata.json", "tiles.json", "tilejson.json"):
            with contextlib.suppress(OSError, ValueError):
                found = orjson.loads((self.path / name).read_bytes())
                told |= found if isinstance(found, dict) else {}
        return RowEvidence(
            (self.path / "tilemapresource.xml").exists(), self._rows, read_bounds(told.get("bounds")),
            str(told.get("scheme", "")),
        )  # fmt: skip

    def read(self, zoom: int, x: int, y: int) -> bytes:
        return self._files[zoom, x, _flipped(zoom, y) if self._from_south else y].read_bytes()

    def close(self) -> None:
        self._files.clear()


class MbtilesFile:
    """An MBTiles 1.3 file: SQLite, rows counted from the south unless its pictures or bounds say otherwise."""

    def __init__(self, path: Path, rows: str = "auto") -> None:
        self.path = path
        self._rows = rows
        self.notes: tuple[str, ...] = ()
        self._from_south = True
        # Reading only, so that it may be used from another thread than the one that opened it.
        self._database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)

    def places(self) -> dict[int, list[tuple[int, int]]]:
        found: dict[int, list[tuple[int, int]]] = {}
        try:
            with contextlib.suppress(sqlite3.OperationalError):  # metadata may be absent
                form = self._database.execute("SELECT value FROM metadata WHERE name = 'format'").fetchone()
                if form is not None and form[0] == "pbf":
                    raise UserError(f"{self.path} holds vector tiles, no pictures: give MBTiles with jpg or png.")
            for zoom, x, row in self._database.execute("SELECT zoom_level, tile_column, tile_row FROM tiles"):
                found.setdefault(int(zoom), []).append((int(x), int(row)))
        except sqlite3.Error as error:
            raise UserError(
                f"{self.path} is not an MBTiles file that can be read ({error}): copy it again, or give a GeoTIFF or a "
                "folder of z/x/y tiles."
            ) from error
        if not found:
            raise UserError(f"{self.path} holds no tiles: give another file.")
        zoom, places = finest(found)
        self._from_south, self.notes = from_south(self.path, zoom, list(places), self._raw, self._evidence())
        return places_by_row(found, self._from_south)

    def _evidence(self) -> RowEvidence:
        told: dict[str, object] = {}
        with contextlib.suppress(sqlite3.Error):  # metadata may be absent
            told = dict(self._database.execute("SELECT name, value FROM metadata").fetchall())
        return RowEvidence(True, self._rows, read_bounds(told.get("bounds")), str(told.get("scheme") or ""))

    def read(self, zoom: int, x: int, y: int) -> bytes:
        return self._raw(zoom, x, _flipped(zoom, y) if self._from_south else y)

    def _raw(self, zoom: int, x: int, row_number: int) -> bytes:
        try:
            row = self._database.execute(
                "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?",
                (zoom, x, row_number),
            ).fetchone()
        except sqlite3.Error as error:
            raise OSError(str(error)) from error
        if row is None or not isinstance(row[0], bytes):
            raise OSError("no data")
        return row[0]

    def close(self) -> None:
        self._database.close()


def _flipped(zoom: int, row: int) -> int:
    return (1 << zoom) - 1 - row


def placed_tiles(data: bytes, x: int, y: int) -> Iterator[PlacedTile]:
    """Yield the 256-pixel tiles that a tile's bytes hold: one, or four of the next zoom for a 512-pixel tile.

    A JPEG of 256 pixels is passed on as it is. Tiles without any data are left out. ValueError where the bytes are
    not a whole image of one of these sizes.
    """
    if data.startswith(b"\xff\xd8") and END_OF_JPEG not in data[-64:]:
        raise ValueError("truncated JPEG")
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None or image.shape[:2] not in {(TILE_PX, TILE_PX), (2 * TILE_PX, 2 * TILE_PX)}:
        raise ValueError("not an image of 256x256 or 512x512 pixels")
    if image.dtype != np.uint8:
        image = (image / 257.0).astype(np.uint8)
    if data.startswith(b"\xff\xd8") and image.shape[0] == TILE_PX:
        yield PlacedTile(x, y, data, np.ones((TILE_PX, TILE_PX), dtype=bool))
        return
    valid = image[..., -1] >= 128 if image.ndim == 3 and image.shape[2] in {2, 4} else np.ones(image.shape[:2], bool)
    colour = image if image.ndim == 2 else image[..., 2::-1] if image.shape[2] >= 3 else image[..., 0]
    split = image.shape[0] // TILE_PX
    for j in range(split):
        for i in range(split):
            part = np.s_[j * TILE_PX : (j + 1) * TILE_PX, i * TILE_PX : (i + 1) * TILE_PX]
            if valid[part].any():
                seen = valid[part] if colour.ndim == 2 else valid[part][..., None]
                yield PlacedTile(
                    x * split + i, y * split + j, codec.encode_jpeg(np.where(seen, colour[part], 0)), valid[part]
                )


def tile_pixels(data: bytes) -> int:
    """Return the side of a tile image in pixels, 0 where it is not an image."""
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    return 0 if image is None else int(image.shape[0])
