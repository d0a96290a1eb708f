"""Tiles that are tiles already: folders of z/x/y images; MBTiles files are in `mbtiles`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.codec import TILE_BYTES_MAX, Mask
from gps_denied_onboard.tiles.grid import TILE_PX, ZOOM_MAX
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.json import read_json
from gps_denied_onboard.untrusted.text import shown, whole_number
from gps_denied_operator.tiles.row_order import SIZES_PX, RowEvidence, finest, from_south, places_by_row, read_bounds

IMAGES = {".jpg", ".jpeg", ".png", ".webp"}
FOLDER_TILES_MAX = 5_000_000
TEXT_BYTES_MAX = 1 << 20
END_OF_JPEG = b"\xff\xd9"
GZIP = b"\x1f\x8b"
LOOKED_AT_MAX = 10_000


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
        self._root = Path(os.path.realpath(path))
        self._rows = rows
        self.notes: tuple[str, ...] = ()
        self._from_south = False
        self._files: dict[tuple[int, int, int], Path] = {}

    def places(self) -> dict[int, list[tuple[int, int]]]:
        found: dict[int, list[tuple[int, int]]] = {}
        for zoom_folder in self.path.iterdir():
            zoom = whole_number(zoom_folder.name, ZOOM_MAX)
            if zoom is None or not zoom_folder.is_dir():
                continue
            last = (1 << zoom) - 1
            for column in zoom_folder.iterdir():
                x = whole_number(column.name, last)
                if x is None or not column.is_dir():
                    continue
                for file in column.iterdir():
                    stem = file.stem.removesuffix("@2x")
                    row = whole_number(stem, last) if file.suffix.lower() in IMAGES else None
                    if row is None:
                        continue
                    if (zoom, x, row) not in self._files:
                        found.setdefault(zoom, []).append((x, row))
                    self._files[zoom, x, row] = file
                    if len(self._files) > FOLDER_TILES_MAX:
                        raise UserError(f"{self.path} holds more than {FOLDER_TILES_MAX} tiles: split it by zoom.")
        if not found:
            raise UserError(
                f"{self.path} holds no <z>/<x>/<y>.jpg or .png tiles{self._first_picture()}: give such a folder, an "
                "MBTiles file or a GeoTIFF."
            )
        zoom, places = finest(found)
        self._from_south, self.notes = from_south(self.path, zoom, list(places), self._raw, self._evidence())
        return places_by_row(found, self._from_south)

    def _first_picture(self) -> str:
        """What stands in the folder instead, in words."""
        number = 0
        for folder, _, names in os.walk(self.path):
            number += 1 + len(names)
            for name in names:
                if Path(name).suffix.lower() in IMAGES:
                    return f" (it holds {shown(os.path.relpath(Path(folder, name), self.path), 80)})"
            if number > LOOKED_AT_MAX:
                break
        return ""

    def _evidence(self) -> RowEvidence:
        """What the descriptions beside the tiles say: gdal2tiles' XML, a TileJSON."""
        told: dict[str, object] = {}
        for name in ("metadata.json", "tiles.json", "tilejson.json"):
            with contextlib.suppress(OSError, UntrustedError):
                found = read_json(read_file(self.path / name, TEXT_BYTES_MAX, follow=False), name, TEXT_BYTES_MAX)
                told |= found if isinstance(found, dict) else {}
        return RowEvidence(
            (self.path / "tilemapresource.xml").exists(), self._rows, read_bounds(told.get("bounds")),
            str(told.get("scheme", "")),
        )  # fmt: skip

    def read(self, zoom: int, x: int, y: int) -> bytes:
        return self._raw(zoom, x, _flipped(zoom, y) if self._from_south else y)

    def _raw(self, zoom: int, x: int, row: int) -> bytes:
        real = Path(os.path.realpath(self._files[zoom, x, row]))  # unlike resolve it also ends for a link to itself
        if not real.is_relative_to(self._root):
            raise OSError("a link that leads out of the folder")
        try:
            return read_file(real, TILE_BYTES_MAX, follow=False)
        except UntrustedError as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        self._files.clear()


def _flipped(zoom: int, row: int) -> int:
    return (1 << zoom) - 1 - row


def placed_tiles(data: bytes, x: int, y: int, split: int) -> Iterator[PlacedTile]:
    """Yield the 256-pixel tiles that a tile's bytes hold: split x split of them.

    A set may mix tiles of 256 and 512 pixels; those that are not 256 split pixels wide are scaled. A JPEG of 256
    pixels is passed on as it is. Tiles without any data are left out. ValueError where the bytes are not a whole image
    of one of these sizes.
    """
    if data.startswith(GZIP):
        raise ValueError("packed with gzip, as vector tiles are")
    if data.startswith(b"\xff\xd8") and END_OF_JPEG not in data[-64:]:
        raise ValueError("truncated JPEG")
    if codec.header_size(data) not in SIZES_PX:
        raise ValueError("not an image of 256x256 or 512x512 pixels")
    codec.check_coding(data)
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.shape[:2] not in SIZES_PX:
        raise ValueError("not an image of 256x256 or 512x512 pixels")
    if image.dtype != np.uint8:
        image = (image / 257.0).astype(np.uint8)
    if image.shape[0] != split * TILE_PX:
        how = cv2.INTER_AREA if image.shape[0] > split * TILE_PX else cv2.INTER_CUBIC
        image = cv2.resize(image, (split * TILE_PX, split * TILE_PX), interpolation=how)
    elif data.startswith(b"\xff\xd8") and split == 1:
        yield PlacedTile(x, y, data, np.ones((TILE_PX, TILE_PX), dtype=bool))
        return
    valid = image[..., -1] >= 128 if image.ndim == 3 and image.shape[2] in {2, 4} else np.ones(image.shape[:2], bool)
    colour = image if image.ndim == 2 else image[..., 2::-1] if image.shape[2] >= 3 else image[..., 0]
    for j in range(split):
        for i in range(split):
            part = np.s_[j * TILE_PX : (j + 1) * TILE_PX, i * TILE_PX : (i + 1) * TILE_PX]
            if valid[part].any():
                seen = valid[part] if colour.ndim == 2 else valid[part][..., None]
                yield PlacedTile(
                    x * split + i, y * split + j, codec.encode_jpeg(np.where(seen, colour[part], 0)), valid[part]
                )


def tile_pixels(data: bytes) -> int:
    """Return the side of a tile image in pixels by its header, 0 where it is not an image."""
    try:
        return codec.header_size(data)[1]
    except ValueError:
        return 0
