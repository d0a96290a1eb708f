"""Make the map's coarse levels of whole squares, several squares at a time, each file whole or not at all.

A process gets paths and digests, no database; a tile that is not what its row says stops the work, as it must not fly.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from gps_denied_onboard.atomic_file import write_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec, files
from gps_denied_onboard.tiles.codec import Grey, Mask
from gps_denied_onboard.tiles.grid import SQUARE_TILES, TILE_PX
from gps_denied_onboard.tiles.mosaic import BLOCK_PX, BLOCK_TILES, shrink
from gps_denied_onboard.tiles.overview import BLOCKS, LEVEL_MAX, LEVEL_MIN, SIDE_PX, OverviewHeader, overview_bytes

OVERVIEW_FOLDER = "overview"
Pool = Callable[[int], AbstractContextManager[Executor]]
"""Gives what runs so many jobs."""


@dataclass(frozen=True, slots=True)
class TileOnDisk:
    """A tile of a square: its place in the grid, its files (no mask: all is valid) and their SHA-256."""

    x: int
    y: int
    image: Path
    sha256: bytes
    mask: Path | None
    mask_sha256: bytes | None


@dataclass(frozen=True, slots=True)
class SquareJob:
    """One overview file to make."""

    header: OverviewHeader
    tiles: tuple[TileOnDisk, ...]
    out: Path


def processes(workers: int) -> Pool | None:
    """That many processes of this machine, 0: one for each CPU that this process may use. None for one: no pool."""
    count = workers if workers > 0 else len(os.sched_getaffinity(0))
    # Fresh processes: a fork would carry over the database's connections and threads.
    return (lambda jobs: ProcessPoolExecutor(min(count, jobs), mp_context=get_context("spawn"))) if count > 1 else None


def build_overviews(
    jobs: Sequence[SquareJob], pool: Pool | None, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> None:
    """Write the files of all jobs; what is done stays when a later one fails or the work is interrupted.

    `pool` does not show in the bytes; None: in this process. UserError names a damaged tile or a full disk.
    """
    if pool is None or len(jobs) <= 1:
        for number, job in enumerate(jobs, 1):
            build_overview(job)
            progress(number, len(jobs))
        return
    with pool(len(jobs)) as executor:
        waiting = [executor.submit(build_overview, job) for job in jobs]
        try:
            for number, future in enumerate(as_completed(waiting), 1):
                future.result()
                progress(number, len(jobs))
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


def build_overview(job: SquareJob) -> None:
    """Make one square's file."""
    write_whole(job.out, overview_bytes(job.header, _levels(job)))


def _levels(job: SquareJob) -> dict[int, tuple[Grey, Mask]]:
    x0, y0 = job.header.column * SQUARE_TILES, job.header.row * SQUARE_TILES
    tiles = {(tile.x - x0, tile.y - y0): tile for tile in job.tiles}
    sides = {level: SIDE_PX >> level for level in range(LEVEL_MIN, LEVEL_MAX + 1)}
    made = {level: (np.zeros((s, s), dtype=np.uint8), np.zeros((s, s), dtype=bool)) for level, s in sides.items()}
    for column, row, grey, valid in _blocks(tiles):
        full = (grey, None if valid.all() else valid)
        for level in sides:
            picture = shrink(full, level)
            if picture is None:
                continue
            size = BLOCK_PX >> level
            there = np.s_[row * size : (row + 1) * size, column * size : (column + 1) * size]
            made[level][0][there] = picture[0]
            made[level][1][there] = True if picture[1] is None else picture[1]
    return made


def _blocks(tiles: dict[tuple[int, int], TileOnDisk]) -> Iterator[tuple[int, int, Grey, Mask]]:
    """(column, row) within the square, grey and validity of each of the mosaic's blocks that holds a tile."""
    for column in range(BLOCKS):
        for row in range(BLOCKS):
            grey: Grey = np.zeros((BLOCK_PX, BLOCK_PX), dtype=np.uint8)
            valid: Mask = np.zeros((BLOCK_PX, BLOCK_PX), dtype=bool)
            for j in range(BLOCK_TILES):
                for i in range(BLOCK_TILES):
                    tile = tiles.get((column * BLOCK_TILES + i, row * BLOCK_TILES + j))
                    if tile is not None:
                        place = np.s_[j * TILE_PX : (j + 1) * TILE_PX, i * TILE_PX : (i + 1) * TILE_PX]
                        grey[place], valid[place] = _decode(tile)
            if valid.any():
                yield column, row, grey, valid


def _decode(tile: TileOnDisk) -> tuple[Grey, Mask]:
    try:
        image = bytes(files.map_file(tile.image))
        mask = bytes(files.map_file(tile.mask)) if tile.mask is not None else None
    except (OSError, ValueError) as error:
        error = error if isinstance(error, OSError) else OSError(0, "it is empty")
        raise UserError(f"The tile {tile.image} cannot be read ({error.strerror}); {_AGAIN}") from None
    if hashlib.sha256(image).digest() != tile.sha256 or (
        mask is not None and hashlib.sha256(mask).digest() != tile.mask_sha256
    ):
        raise UserError(f"The tile {tile.image} is not what was stored; {_AGAIN}")
    try:
        return codec.decode_tile(image, mask)
    except ValueError as error:
        raise UserError(f"The tile {tile.image} is damaged ({error}); {_AGAIN}") from None


_AGAIN = "remove it and fetch the area again, then provision again."
