"""Tiles made in flight on their way to the provider: what waits, how often it was tried, what was said.

Nothing is deleted here: a tile stays pending until an acknowledgement, and is marked after it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from gps_denied_onboard.tiles.records import TileRecord
from gps_denied_onboard.tiles.store import TileStore

log = logging.getLogger(__name__)

WAITING = "flight_id IS NOT NULL AND voting_status = 'pending' AND acknowledged_at IS NULL"


class UploadQueue:
    """The pending uploads of a store."""

    def __init__(self, store: TileStore) -> None:
        self._store = store

    def pending(self, flight_id: UUID | None = None, limit: int = 10_000) -> list[TileRecord]:
        """Return tiles that wait, of one flight or of all, oldest first."""
        if flight_id is None:
            return self._store.select(f"{WAITING} ORDER BY flight_id, id LIMIT %s", (limit,))
        return self._store.select(f"{WAITING} AND flight_id = %s ORDER BY id LIMIT %s", (flight_id, limit))

    def refused(self, flight_id: UUID | None = None) -> dict[str, int]:
        """Count what will never be sent again, of one flight or of all: `rejected` and `upload_giveup`."""
        of_flight = "" if flight_id is None else "AND flight_id = %s "
        with self._store.connection() as connection:
            rows = connection.execute(
                "SELECT voting_status, count(*) FROM tiles WHERE flight_id IS NOT NULL "
                f"AND voting_status IN ('rejected', 'upload_giveup') {of_flight}GROUP BY voting_status",
                () if flight_id is None else (flight_id,),
            ).fetchall()
        return {str(status): int(count) for status, count in rows}

    def count_attempt(self, records: Sequence[TileRecord]) -> dict[int, int]:
        """Add one attempt to each tile that still waits, at once; return row id -> attempts so far."""
        with self._store.connection() as connection:
            rows = connection.execute(
                f"UPDATE tiles SET upload_attempts = upload_attempts + 1 WHERE id = ANY(%s) AND {WAITING} "
                "RETURNING id, upload_attempts",
                ([record.row_id for record in records],),
            ).fetchall()
        return {int(row[0]): int(row[1]) for row in rows}

    def acknowledge(self, record: TileRecord, provider_status: str) -> bool:
        """Mark a tile as answered by the provider; a rejected one is `rejected` for good. False where it was before."""
        with self._store.connection() as connection:
            done = connection.execute(
                "UPDATE tiles SET acknowledged_at = now(), provider_status = %s, "
                "voting_status = CASE WHEN %s = 'rejected' THEN 'rejected' ELSE voting_status END "
                f"WHERE id = %s AND {WAITING}",
                (provider_status, provider_status, record.row_id),
            )
        return done.rowcount == 1

    def give_up(self, record: TileRecord, attempts: int, reason: str) -> None:
        """No upload will be tried again: status `upload_giveup`, and an ERROR line."""
        log.error("upload given up: tile=%s attempts=%d reason=%s", record.key, attempts, reason)
        with self._store.connection() as connection:
            connection.execute(
                f"UPDATE tiles SET voting_status = 'upload_giveup' WHERE id = %s AND {WAITING}", (record.row_id,)
            )
