"""What a piece of the tile store holds, as digests: one for each square of 32x32 tiles, and one over all of them.

A square's digest covers place, contents and freshness of every map tile in it; tiles that a flight made are no map.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gps_denied_onboard.tiles.grid import SQUARE_TILES
from gps_denied_onboard.tiles.records import TileRecord

if TYPE_CHECKING:
    from gps_denied_onboard.tiles.store import TileStore


@dataclass(frozen=True, slots=True)
class TileBlock:
    """The tiles with column * 32 <= x < column * 32 + 32, rows alike: how many there are, SHA-256 over them in hex."""

    column: int
    row: int
    tiles: int
    sha256: str


def squares_of(box: tuple[int, ...]) -> list[tuple[int, int]]:
    """(column, row) of the squares that a box of tiles (x0, y0, x1, y1; x1, y1 not included) touches, in order."""
    x0, y0, x1, y1 = box
    return [
        (column, row)
        for column in range(x0 // SQUARE_TILES, -(-x1 // SQUARE_TILES))
        for row in range(y0 // SQUARE_TILES, -(-y1 // SQUARE_TILES))
    ]


def square_records(store: TileStore, source: str, zoom: int, column: int, row: int) -> list[TileRecord]:
    """The map tiles of one square, by x, then y."""
    x0, y0 = column * SQUARE_TILES, row * SQUARE_TILES
    found = store.query_tiles(source, zoom, x0, y0, x0 + SQUARE_TILES, y0 + SQUARE_TILES)
    return sorted((r for r in found if r.key.flight_id is None), key=lambda r: (r.key.x, r.key.y))


def digest_square(column: int, row: int, records: Sequence[TileRecord]) -> TileBlock:
    """The digest of a square's records, which are in the order of `square_records`."""
    digest = hashlib.sha256()
    for record in records:
        mask = record.mask_sha256.hex() if record.mask_sha256 is not None else "-"
        key = record.key
        line = f"{key.source} {key.zoom} {key.x} {key.y} {record.content_sha256.hex()} {mask} {record.freshness}\n"
        digest.update(line.encode())
    return TileBlock(column, row, len(records), digest.hexdigest())


def read_coverage(
    store: TileStore, source: str, zoom: int, squares: Iterable[tuple[int, int]]
) -> tuple[TileBlock, ...]:
    """The digests of these squares by the store's rows, in the order given; squares without tiles are left out."""
    found = (digest_square(c, r, square_records(store, source, zoom, c, r)) for c, r in squares)
    return tuple(square for square in found if square.tiles)


def coverage_sha256(source: str, zoom: int, squares: Iterable[TileBlock]) -> str:
    """One digest over squares, in hex; their order does not matter."""
    lines = sorted(f"{s.column} {s.row} {s.tiles} {s.sha256}\n" for s in squares)
    return hashlib.sha256("".join([f"{source} {zoom}\n", *lines]).encode()).hexdigest()
