"""Put a tile store right after a crash: rows without files and files without rows are removed, each with a log line."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from gps_denied_onboard.tiles import files
from gps_denied_onboard.tiles.grid import TileKey

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"[0-9]{1,9}")
SELECT_ROWS = (
    "SELECT source, zoom, x, y, flight_id, id, content_sha256, mask_sha256 FROM tiles ORDER BY source, zoom, x"
)
SELECT_FOLDER = SELECT_ROWS.replace("ORDER BY source, zoom, x", "WHERE source = %s AND zoom = %s AND x = %s")


@dataclass(frozen=True, slots=True)
class _Row:
    key: TileKey
    row_id: int
    content_sha256: bytes
    mask_sha256: bytes | None


def reconcile(root: Path, connection: psycopg.Connection[Any], only: Sequence[Path] | None = None) -> tuple[int, int]:
    """Make rows and files agree, in all folders or `only` in some; return (rows removed, files removed).

    The caller holds the right to write, so that nobody is between files and commit. Rows are streamed folder by
    folder in the index's order: memory stays flat. Files that the store did not make are left alone.
    """
    if only is not None:
        return _reconcile_some(root, connection, only)
    folders = set(tile_folders(root))
    rows_gone: list[int] = []
    files_gone: list[Path] = []
    with connection.transaction(), connection.cursor("reconcile") as cursor:
        cursor.itersize = 20_000
        cursor.execute(SELECT_ROWS)
        for (source, zoom, x), group in itertools.groupby(cursor, key=lambda row: (row[0], row[1], row[2])):
            folder = root / str(source) / str(zoom) / str(x)
            folders.discard(folder)
            rows = [_Row(TileKey(row[0], row[1], row[2], row[3], row[4]), row[5], row[6], row[7]) for row in group]
            _reconcile_folder(root, folder, rows, rows_gone, files_gone)
    for folder in sorted(folders):
        _reconcile_folder(root, folder, [], rows_gone, files_gone)
    return _remove(connection, rows_gone, files_gone)


def _reconcile_some(root: Path, connection: psycopg.Connection[Any], only: Sequence[Path]) -> tuple[int, int]:
    rows_gone: list[int] = []
    files_gone: list[Path] = []
    for folder in only:
        source, zoom, x = folder.relative_to(root).parts
        found = connection.execute(SELECT_FOLDER, (source, int(zoom), int(x))).fetchall()
        rows = [_Row(TileKey(row[0], row[1], row[2], row[3], row[4]), row[5], row[6], row[7]) for row in found]
        _reconcile_folder(root, folder, rows, rows_gone, files_gone)
    return _remove(connection, rows_gone, files_gone)


def _remove(
    connection: psycopg.Connection[Any], rows_gone: Sequence[int], files_gone: Sequence[Path]
) -> tuple[int, int]:
    files.remove_files(files_gone)
    for row_ids in (rows_gone[i : i + 1000] for i in range(0, len(rows_gone), 1000)):
        connection.execute("DELETE FROM tiles WHERE id = ANY(%s)", (row_ids,))
    connection.commit()
    return len(rows_gone), len(files_gone)


def reconcile_after_error(root: Path, pool: ConnectionPool[psycopg.Connection[Any]], keys: Sequence[TileKey]) -> None:
    """Remove the files of tiles that have no row; where the database does not answer, the next start does it."""
    with contextlib.suppress(psycopg.Error), pool.connection() as connection:
        for key in keys:
            row = connection.execute(
                "SELECT 1 FROM tiles WHERE source = %s AND zoom = %s AND x = %s AND y = %s "
                "AND flight_id IS NOT DISTINCT FROM %s",
                (key.source, key.zoom, key.x, key.y, key.flight_id),
            ).fetchone()
            if row is None:
                image = files.image_path(root, key)
                files.remove_files([image, files.mask_path(image), files.sidecar_path(image)])


def tile_folders(root: Path) -> Iterator[Path]:
    """Yield the folders `<root>/<source>/<zoom>/<x>`."""
    for source in _folders(root):
        if files.SOURCE_NAME.fullmatch(source.name):
            for zoom in _folders(source):
                if _NUMBER.fullmatch(zoom.name):
                    yield from (x for x in _folders(zoom) if _NUMBER.fullmatch(x.name))


def _folders(parent: Path) -> Iterable[Path]:
    with os.scandir(parent) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _reconcile_folder(
    root: Path, folder: Path, rows: Sequence[_Row], rows_gone: list[int], files_gone: list[Path]
) -> None:
    present = set(os.listdir(folder)) if folder.is_dir() else set()
    if any(name.endswith(".previous") for name in present):
        for row in rows:
            image = files.image_path(root, row.key)
            parts = (image, files.mask_path(image), files.sidecar_path(image))
            if present & {files.previous_path(part).name for part in parts}:
                log.warning("tile whose replacement was interrupted settled: tile=%s", image)
                files.settle_previous(image, row.content_sha256, row.mask_sha256)
        present = set(os.listdir(folder))
    wanted: set[str] = set()
    for row in rows:
        image = files.image_path(root, row.key)
        names = {image.name} | ({files.mask_path(image).name} if row.mask_sha256 is not None else set())
        if names <= present and (files.sidecar_path(image).name in present or _sidecar_again(image, row)):
            wanted |= names | {files.sidecar_path(image).name}
        else:
            log.warning("tile row without its files removed: tile=%s id=%d", image, row.row_id)
            rows_gone.append(row.row_id)
    for name in sorted(present - wanted):
        if files.TILE_FILE.fullmatch(name) or files.UNFINISHED_FILE.fullmatch(name):
            log.warning("tile file without a row removed: file=%s", folder / name)
            files_gone.append(folder / name)


def _sidecar_again(image: Path, row: _Row) -> bool:
    """Write a lost sidecar again where image and mask still are what the row says."""
    try:
        good = hashlib.sha256(files.map_file(image)).digest() == row.content_sha256
        if row.mask_sha256 is not None:
            good &= hashlib.sha256(files.map_file(files.mask_path(image))).digest() == row.mask_sha256
    except (OSError, ValueError):
        return False
    if good:
        log.warning("tile sidecar written again: tile=%s", image)
        files.write_files([(files.sidecar_path(image), files.sidecar_text(image, row.content_sha256, row.mask_sha256))])
    return good
