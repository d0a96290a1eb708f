"""The tile store: rows in PostgreSQL, bytes in files, both or neither of a tile.

Write order: digest verified; row inserted in an open transaction (a duplicate fails here, before a byte is written);
files written aside, fsynced, renamed, folder fsynced; commit. What a crash leaves is put right at the next start
(see `reconcile`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import psycopg
from filelock import FileLock, Timeout
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import files, identity, reconcile, reconcile_checkpoint, schema
from gps_denied_onboard.tiles.access import AccessLog
from gps_denied_onboard.tiles.grid import TileKey, tile_range
from gps_denied_onboard.tiles.records import NewTile, TileDamagedError, TileExistsError, TileRecord, VotingStatusError
from gps_denied_onboard.tiles.server import LocalServer, database_url_from_environment
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.text import shown

log = logging.getLogger(__name__)

HOLDER_BYTES_MAX = 4096

RECORD_COLUMNS = (
    "id, source, zoom, x, y, flight_id, content_sha256, mask_sha256, valid_fraction, size_bytes, "
    "ground_resolution_m_px, captured_at, voting_status, quality_metadata, sector_class, freshness, parent_sigma_m, "
    "upload_attempts, acknowledged_at IS NOT NULL"
)
COPY_TILES = (
    "COPY tiles (source, zoom, x, y, flight_id, tile_size_m, content_sha256, mask_sha256, valid_fraction, size_bytes, "
    "ground_resolution_m_px, captured_at, voting_status, quality_metadata, sector_class, freshness, parent_sigma_m) "
    "FROM STDIN"
)
REPLACE_TILE = (
    "UPDATE tiles SET content_sha256 = %s, mask_sha256 = %s, valid_fraction = %s, size_bytes = %s, "
    "ground_resolution_m_px = %s, captured_at = %s, voting_status = %s, quality_metadata = %s, "
    "sector_class = %s, freshness = %s, parent_sigma_m = %s "
    "WHERE id = %s AND content_sha256 = %s"
)
NO_FLIGHT = "00000000-0000-0000-0000-000000000000"
COLUMNS_EACH_MAX = 256  # of a box: so few are looked up one by one, which reads no rows above and below the box


class TileStore:
    """Tiles under one root folder. Use as a context manager, or close it."""

    def __init__(self, root: Path, pool: ConnectionPool[psycopg.Connection[Any]], server: LocalServer | None) -> None:
        """Keep what `open` made; use `TileStore.open`."""
        self._root = root
        self._pool = pool
        self._server = server
        self._accesses = AccessLog(pool)
        self._wrote = False
        self._agreeing: dict[str, int] = {}  # tile folders and their times when rows and files were known to agree
        if (root / ".write.lock").is_symlink():
            raise UserError(f"{root / '.write.lock'} is a link, which no tile store holds: remove it.")
        self._write_lock = FileLock(root / ".write.lock")

    @classmethod
    def open(cls, root: Path, database_url: str | None = None) -> Self:
        """Open or make the store in a folder: server up, schema newest, crash leftovers put right.

        database_url: else DATABASE_URL of the environment, else a private server started here, on data that this
        account keeps outside of the root. Raises UserError with what to do.
        """
        root = root.expanduser().resolve()
        _make_root(root)
        url = database_url or database_url_from_environment()
        server = None if url else LocalServer(root)
        pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        try:
            url = url or (server.start() if server else "")
            try:
                schema.upgrade(url)
            except psycopg.OperationalError as error:
                raise UserError(
                    f"The tile store's database does not answer ({' '.join(str(error).split())}): start it, mend "
                    "DATABASE_URL, or unset it to use a private server."
                ) from error
            # Without autocommit each single read would be three questions: begin, read, commit.
            pool = ConnectionPool(url, min_size=1, max_size=4, timeout=30.0, open=True, kwargs={"autocommit": True})
            store = cls(root, pool, server)
            store._settle()
        except BaseException:
            if pool is not None:
                pool.close()
            if server is not None:
                server.stop()
            raise
        return store

    def close(self) -> None:
        """Let go of the database; the private server stops with its last user."""
        with contextlib.suppress(psycopg.Error, PoolTimeout):
            self._accesses.close()
        if self._wrote:
            with contextlib.suppress(StoreBusyError, OSError), self.writing("closing the store", timeout_s=0.0):
                reconcile_checkpoint.remember(self._root, self._agreeing)
        self._pool.close()
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def root(self) -> Path:
        return self._root

    def _settle(self) -> None:
        with self.connection() as connection:
            identity.settle(self._root, connection)
        try:
            with self.writing("putting right what a crash left", timeout_s=0.0), self._pool.connection() as connection:
                changed = reconcile_checkpoint.changed_folders(self._root)
                reconcile.reconcile(self._root, connection, changed)
                self._agreeing = reconcile_checkpoint.folder_times(self._root)
                if changed is None or changed:
                    reconcile_checkpoint.remember(self._root, self._agreeing)
        except StoreBusyError:
            log.info("tile store not reconciled, it is being written: root=%s", self._root)

    @contextlib.contextmanager
    def writing(self, what: str, timeout_s: float = 10.0) -> Iterator[None]:
        """Hold the right to write; a second process that wants it is told who holds it. Reentrant in one thread."""
        holder = self._root / ".write.holder"
        try:
            self._write_lock.acquire(timeout=timeout_s)
        except Timeout:
            raise StoreBusyError(
                f"The tile store {self._root} is being written by {said_by(holder)}: wait until it ends."
            ) from None
        try:
            self._wrote = True
            if self._write_lock.lock_counter == 1:
                replace_whole(holder, f"process {os.getpid()} ({what})".encode())
            yield
        finally:
            self._write_lock.release()

    @contextlib.contextmanager
    def _changing(self, keys: Iterable[TileKey]) -> Iterator[None]:
        """Vouch for the folders of tiles that change: where this process did before, and no error comes."""
        names = {f"{key.source}/{key.zoom}/{key.x}" for key in keys}
        mine = [name for name in names if reconcile_checkpoint.time_of(self._root, name) == self._agreeing.get(name)]
        yield
        for name in mine:
            moment = reconcile_checkpoint.time_of(self._root, name)
            if moment is not None:
                self._agreeing[name] = moment

    def insert(self, tiles: Sequence[NewTile]) -> None:
        """Store tiles, all or none, durable on return; some hundreds in one call are much faster than single ones.

        Raises ValueError for a tile that is not what it claims, TileExistsError for a duplicate, UserError where the
        disk is full or another process writes; the store is then as before.
        """
        if not tiles:
            return
        digests = [tile.digests() for tile in tiles]
        rows = [_row(*one) for one in zip(tiles, digests, strict=True)]
        self._refuse_links(tile.key for tile in tiles)
        contents = [
            file
            for tile, digest in zip(tiles, digests, strict=True)
            for file in files.tile_files(self.image_path(tile.key), tile.jpeg, tile.mask, digest)
        ]
        with self.writing("storing tiles"), self._pool.connection() as connection:
            try:
                with self._changing(tile.key for tile in tiles), connection.transaction():
                    with connection.cursor() as cursor, cursor.copy(COPY_TILES) as copy:
                        for row in rows:
                            copy.write_row(row)
                    files.write_files(contents)
            except psycopg.errors.UniqueViolation as error:
                raise TileExistsError(f"a tile is stored already: {error.diag.message_detail}") from None
            except psycopg.errors.DiskFull as error:
                files.remove_files(path for path, _ in contents)
                raise files.disk_full(contents[0][0]) from error
            except (psycopg.Error, KeyboardInterrupt):
                # Only what no row speaks of may go: the answer to a commit can be lost after it was done.
                reconcile.reconcile_after_error(self._root, self._pool, [tile.key for tile in tiles])
                raise

    def replace(self, record: TileRecord, tile: NewTile) -> None:
        """Put a tile's new contents in the place of the stored ones: row and files change together or not at all.

        Raises ValueError where the tile is another one or was changed since the record was read; UserError as `insert`.
        """
        if tile.key != record.key:
            raise ValueError(f"tile {tile.key} does not replace {record.key}")
        self._refuse_links([tile.key])
        image = self.image_path(record.key)
        digests = tile.digests()
        row = _row(tile, digests)
        changing = self._changing([record.key])
        with self.writing("replacing a tile"), changing, self._pool.connection() as connection:
            try:
                with connection.transaction():
                    changed = connection.execute(REPLACE_TILE, (*row[6:], record.row_id, record.content_sha256))
                    if changed.rowcount != 1:
                        raise ValueError(f"tile {record.key} was changed or removed meanwhile")
                    files.keep_previous(image)
                    files.write_files(files.tile_files(image, tile.jpeg, tile.mask, digests))
            finally:
                now = connection.execute(
                    "SELECT content_sha256, mask_sha256 FROM tiles WHERE id = %s", (record.row_id,)
                ).fetchone()
                if now is not None:
                    files.settle_previous(image, now[0], now[1])

    def remove(self, records: Sequence[TileRecord]) -> None:
        """Remove tiles, rows and files; a crash in between leaves rows without files, which the next start removes."""
        gone = [path for record in records for path in files.all_paths(self.image_path(record.key))]
        keys = [record.key for record in records]
        with self.writing("removing tiles"), self._changing(keys), self.connection() as connection:
            connection.execute("DELETE FROM tiles WHERE id = ANY(%s)", ([record.row_id for record in records],))
            files.remove_files(gone)

    def _refuse_links(self, keys: Iterable[TileKey]) -> None:
        """UserError where tiles would be written over a link out of the store's folder."""
        for folder in {self.image_path(key).parent for key in keys}:
            if os.path.realpath(folder) != str(folder):
                raise UserError(f"{folder} leads out of the tile store {self._root} over a link: remove the link.")

    @contextlib.contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection of the pool; what is done with it is committed at the end, or undone on an error."""
        with self._pool.connection() as connection, connection.transaction():
            yield connection

    def image_path(self, key: TileKey) -> Path:
        return files.image_path(self._root, key)

    def get(self, key: TileKey) -> TileRecord | None:
        """Return a tile's row, or None."""
        found = self._records(
            "zoom = %s AND x = %s AND y = %s AND tile_size_m = %s AND source = %s "
            f"AND coalesce(flight_id, '{NO_FLIGHT}'::uuid) = %s",
            (key.zoom, key.x, key.y, key.tile_size_m, key.source, key.flight_id or NO_FLIGHT),
        )
        return found[0] if found else None

    def query(
        self, west_deg: float, south_deg: float, east_deg: float, north_deg: float, zoom: int, source: str
    ) -> list[TileRecord]:
        """Return the tiles of a source that touch a box in degrees at a zoom, west to east and north to south."""
        return self.query_tiles(source, zoom, *tile_range(west_deg, south_deg, east_deg, north_deg, zoom))

    def query_tiles(self, source: str, zoom: int, x0: int, y0: int, x1: int, y1: int) -> list[TileRecord]:
        """Return the tiles of a source with x0 <= x < x1 and y0 <= y < y1."""
        few = x1 - x0 <= COLUMNS_EACH_MAX
        columns = "x = ANY(%s)" if few else "x >= %s AND x < %s"
        values: tuple[object, ...] = (list(range(x0, x1)),) if few else (x0, x1)
        return self._records(
            f"source = %s AND zoom = %s AND {columns} AND y >= %s AND y < %s ORDER BY x, y, id",
            (source, zoom, *values, y0, y1),
        )

    def select(self, where: str, values: Sequence[object]) -> list[TileRecord]:
        """Return the tiles of an SQL condition, which an index must serve; for this package's own modules."""
        return self._records(where, values)

    def totals(self) -> tuple[int, int]:
        """Return how many tiles there are and their bytes, kept by the database: nothing is counted."""
        with self._pool.connection() as connection:
            row = connection.execute("SELECT tiles, bytes FROM store_totals").fetchone()
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    def set_voting_status(self, record: TileRecord, status: str) -> None:
        """Set a pending tile's voting status; VotingStatusError where it is final already and another one."""
        with self._pool.connection() as connection:
            try:
                connection.execute("UPDATE tiles SET voting_status = %s WHERE id = %s", (status, record.row_id))
            except psycopg.errors.CheckViolation as error:
                raise VotingStatusError(f"tile {record.key}: {error.diag.message_primary}") from None

    def holds_downgraded(self, source: str, zoom: int) -> bool:
        """Return whether any tile of a source at a zoom is stale and was kept with a downgraded label."""
        with self._pool.connection() as connection:
            return connection.execute(
                "SELECT 1 FROM tiles WHERE freshness = 'downgraded' AND source = %s AND zoom = %s LIMIT 1",
                (source, zoom),
            ).fetchone() is not None  # fmt: skip

    def _records(self, where: str, values: Sequence[object]) -> list[TileRecord]:
        with self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(f"SELECT {RECORD_COLUMNS} FROM tiles WHERE {where}", values).fetchall()
        return [_record(row) for row in rows]

    def sources(self) -> list[tuple[str, int]]:
        """Return the (source, zoom) pairs that hold tiles."""
        with self._pool.connection() as connection:
            # A loose index scan: one probe a pair, however many tiles there are.
            return [(str(source), int(zoom)) for source, zoom in connection.execute("""
                WITH RECURSIVE pair AS (
                    (SELECT source, zoom FROM tiles ORDER BY source, zoom LIMIT 1)
                    UNION ALL
                    SELECT next.source, next.zoom FROM pair, LATERAL (
                        SELECT source, zoom FROM tiles WHERE (source, zoom) > (pair.source, pair.zoom)
                        ORDER BY source, zoom LIMIT 1) AS next
                ) SELECT source, zoom FROM pair
            """).fetchall()]  # fmt: skip

    def bounds(self, source: str, zoom: int) -> tuple[int, int, int, int] | None:
        """Return (x0, y0, x1, y1) around a source's tiles at a zoom, x1 and y1 not included; None without tiles."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT min(x), min(y), max(x) + 1, max(y) + 1 FROM tiles WHERE source = %s AND zoom = %s",
                (source, zoom),
            ).fetchone()
        return None if row is None or row[0] is None else (row[0], row[1], row[2], row[3])

    def read(self, record: TileRecord) -> tuple[memoryview, memoryview | None]:
        """Return a tile's JPEG and mask file, mapped read-only; their digests are checked at every read.

        Raises TileDamagedError where the bytes are missing or are not those that were stored.
        """
        image = self.image_path(record.key)
        try:
            jpeg = files.map_file(image)
            mask = files.map_file(files.mask_path(image)) if record.mask_sha256 is not None else None
        except (OSError, ValueError) as error:
            raise TileDamagedError(f"tile file {image} cannot be read: {error}") from error
        if hashlib.sha256(jpeg).digest() != record.content_sha256:
            raise TileDamagedError(f"tile file {image} is not what was stored")
        if mask is not None and hashlib.sha256(mask).digest() != record.mask_sha256:
            raise TileDamagedError(f"mask file of {image} is not what was stored")
        self._accesses.note(record.row_id)
        return jpeg, mask

    def flush_accesses(self) -> None:
        """Write down now which tiles were read; a thread does it every few seconds."""
        self._accesses.flush()


class StoreBusyError(UserError):
    """Another process writes the store."""


def said_by(holder: Path) -> str:
    """Who holds a lock, by the file that says so; links are not followed."""
    try:
        return shown(read_file(holder, HOLDER_BYTES_MAX, follow=False), 200)
    except (OSError, UntrustedError):
        return "another process"


def _make_root(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The tile store's folder {root} cannot be made ({error.strerror}): choose another one."
        ) from error
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"The tile store's folder {root} cannot be written: change its rights or choose another one.")


def _row(tile: NewTile, digests: tuple[bytes, bytes | None]) -> tuple[object, ...]:
    if not files.SOURCE_NAME.fullmatch(tile.key.source):
        raise ValueError(f"source name '{tile.key.source}' is not made of a-z, 0-9, - and _, 40 at most")
    key = tile.key
    return (
        key.source, key.zoom, key.x, key.y, key.flight_id, key.tile_size_m, *digests,
        tile.valid_fraction, len(tile.jpeg) + len(tile.mask or b""), tile.ground_resolution_m_px, tile.captured_at,
        tile.voting_status, Jsonb(dict(tile.quality_metadata), dumps=_compact_json), tile.sector_class, tile.freshness,
        tile.parent_sigma_m,
    )  # fmt: skip


def _compact_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _record(row: Sequence[Any]) -> TileRecord:
    return TileRecord(row[0], TileKey(row[1], row[2], row[3], row[4], row[5]), *row[6:])
