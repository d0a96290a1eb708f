"""The map's coarse levels, made once before the flight: one file for each square of 32x32 tiles, mapped read-only.

A whole-map search looks at coarse levels only, and without these it decodes every tile of the map first. A file is a
header of 96 bytes (magic, five numbers, the square's digest, the payload's SHA-256), then for each level from
LEVEL_MIN the grey pixels and after all of them the validity, one bit a pixel: the same pictures as `mosaic.shrink`
makes of the tiles.
"""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.tiles import files
from gps_denied_onboard.tiles.codec import Grey, Mask
from gps_denied_onboard.tiles.grid import SQUARE_TILES, TILE_PX

log = logging.getLogger(__name__)

MAGIC = b"GDOVER01"
HEADER_BYTES = 96
LEVEL_MIN, LEVEL_MAX = 2, 8
SIDE_PX = SQUARE_TILES * TILE_PX
BLOCKS = SQUARE_TILES // 4
"""Blocks of the mosaic along a square's side."""
_SIDES = {level: SIDE_PX >> level for level in range(LEVEL_MIN, LEVEL_MAX + 1)}
PAYLOAD_BYTES = sum(side * side + side * side // 8 for side in _SIDES.values())


@dataclass(frozen=True, slots=True)
class OverviewHeader:
    """Which square of which zoom, and from which tiles (`inputs_sha256`, the square's digest in hex)."""

    zoom: int
    column: int
    row: int
    inputs_sha256: str

    @property
    def file_name(self) -> str:
        """The name says what the file was made of: another map gets another file."""
        return f"{self.zoom}-{self.column}-{self.row}-{self.inputs_sha256[:16]}.overview"


def overview_bytes(header: OverviewHeader, levels: dict[int, tuple[Grey, Mask]]) -> bytes:
    """A file of its levels, each a (side, side) grey picture and its validity; the same bytes for the same input."""
    greys = [np.ascontiguousarray(levels[level][0]).tobytes() for level in _SIDES]
    masks = [np.packbits(levels[level][1]).tobytes() for level in _SIDES]
    payload = b"".join([*greys, *masks])
    return _head(header, hashlib.sha256(payload).digest()) + payload


def is_overview(data: bytes, header: OverviewHeader) -> bool:
    """Whether a file's bytes are whole and those of this square, made of these tiles."""
    if len(data) != HEADER_BYTES + PAYLOAD_BYTES:
        return False
    return data[:HEADER_BYTES] == _head(header, hashlib.sha256(memoryview(data)[HEADER_BYTES:]).digest())


def _head(header: OverviewHeader, payload_sha256: bytes) -> bytes:
    numbers = struct.pack("<6I", header.zoom, header.column, header.row, LEVEL_MIN, LEVEL_MAX, 0)
    return MAGIC + numbers + bytes.fromhex(header.inputs_sha256) + payload_sha256


class Overview:
    """Coarse blocks of the map. A file is mapped when it is first asked for, and hashed as it is mapped: what was
    exchanged since the manifest was verified is not used.

    digests: SHA-256 in hex by file name, as signed.
    """

    def __init__(self, folder: Path, headers: list[OverviewHeader], digests: Mapping[str, str]) -> None:
        self._digests = digests
        self._paths = {(header.column, header.row): folder / header.file_name for header in headers}
        self._open: dict[tuple[int, int], npt.NDArray[np.uint8] | None] = {}

    def holds(self, level: int, column: int, row: int) -> bool:
        """Whether the mosaic's block (column, row) of a level can be had from here."""
        return level >= LEVEL_MIN and (column // BLOCKS, row // BLOCKS) in self._paths

    def _mapped(self, path: Path) -> npt.NDArray[np.uint8] | None:
        """A file's bytes, None (and a line in the log) where they are not those that were signed."""
        try:
            mapped = files.map_file(path)
        except (OSError, ValueError) as error:
            log.error("coarse map is not used: file=%s %s", path, error)
            return None
        signed = self._digests.get(path.name, "")
        if len(mapped) == HEADER_BYTES + PAYLOAD_BYTES and hashlib.sha256(mapped).hexdigest() == signed:
            return np.frombuffer(mapped, dtype=np.uint8)
        log.error("coarse map is not used, it is no longer what was verified: file=%s", path)
        return None

    def block(self, level: int, column: int, row: int) -> tuple[Grey, Mask | None] | None:
        """A block's (size, size) grey and validity, None for validity where all is valid, None where nothing is."""
        key = (column // BLOCKS, row // BLOCKS)
        if key not in self._open:
            self._open[key] = self._mapped(self._paths[key])
        data, side = self._open[key], _SIDES[level]
        if data is None:
            return None
        grey_at = HEADER_BYTES + sum(s * s for lower, s in _SIDES.items() if lower < level)
        mask_at = HEADER_BYTES + sum(s * s for s in _SIDES.values())
        mask_at += sum(s * s // 8 for lower, s in _SIDES.items() if lower < level)
        size = side // BLOCKS
        x, y = column % BLOCKS * size, row % BLOCKS * size
        bits = data[mask_at : mask_at + side * side // 8].reshape(side, side // 8)
        rows = np.unpackbits(bits[y : y + size], axis=1).view(bool)
        valid = np.ascontiguousarray(rows[:, x : x + size])
        if not valid.any():
            return None
        grey = np.array(data[grey_at : grey_at + side * side].reshape(side, side)[y : y + size, x : x + size])
        return grey, None if valid.all() else valid
