"""The cache budget: room is made before anything is written, by evicting what was used longest ago.

Never evicted: tiles of the current mission's areas, and tiles made in flight that still wait for their upload.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_onboard.tiles.uploads import WAITING

log = logging.getLogger(__name__)

BATCH_TILES = 2000  # each batch waits for the disk twice, however many tiles it has
EVICTABLE = (
    f"NOT ({WAITING}) AND NOT EXISTS (SELECT 1 FROM mission_areas AS area WHERE area.source = tiles.source "
    "AND area.zoom = tiles.zoom AND tiles.x >= area.x0 AND tiles.x < area.x1 AND tiles.y >= area.y0 "
    "AND tiles.y < area.y1) ORDER BY coalesce(last_access_at, inserted_at), id LIMIT %s"
)


class CacheBudgetExhaustedError(UserError):
    """There is no room, and nothing left that may be evicted."""

    def __init__(self, needed_bytes: int, budget_bytes: int, freed_bytes: int) -> None:
        super().__init__(
            f"The tile store has no room: {needed_bytes} bytes are needed within a budget of {budget_bytes}, and "
            f"{freed_bytes} could be freed; what is left belongs to the mission or waits for its upload. Raise the "
            "budget, take a smaller area, upload what waits, or release old missions with `operator-tool tiles gc`."
        )
        self.needed_bytes = needed_bytes
        self.budget_bytes = budget_bytes
        self.freed_bytes = freed_bytes


@dataclass(frozen=True, slots=True)
class EvictionRecord:
    """One batch of evictions, for the recorder or a run's report."""

    tiles: int
    bytes: int


class CacheBudget:
    """Keeps a store within a number of bytes. Hold `store.writing` around reserve and write."""

    def __init__(
        self, store: TileStore, budget_bytes: int, record: Callable[[EvictionRecord], None] = lambda _batch: None
    ) -> None:
        self._store = store
        self._budget_bytes = budget_bytes
        self._record = record

    @property
    def budget_bytes(self) -> int:
        return self._budget_bytes

    def fits(self, needed_bytes: int) -> bool:
        """Return whether so much more has room as things are."""
        return self._store.totals()[1] + needed_bytes <= self._budget_bytes

    def reserve_headroom(self, needed_bytes: int) -> int:
        """Make room for so many bytes; return what was freed. CacheBudgetExhaustedError after a full sweep in vain."""
        missing = self._store.totals()[1] + needed_bytes - self._budget_bytes
        freed = 0
        if missing <= 0:
            return freed
        if needed_bytes > self._budget_bytes:
            raise CacheBudgetExhaustedError(needed_bytes, self._budget_bytes, freed)
        self._store.flush_accesses()
        while freed < missing:
            batch_bytes = self._evict(missing - freed)
            if batch_bytes == 0:
                raise CacheBudgetExhaustedError(needed_bytes, self._budget_bytes, freed)
            freed += batch_bytes
        return freed

    def _evict(self, missing_bytes: int) -> int:
        """Evict one batch, no more than is missing; return its bytes."""
        batch = []
        batch_bytes = 0
        for record in self._store.select(EVICTABLE, (BATCH_TILES,)):
            if batch_bytes >= missing_bytes:
                break
            batch.append(record)
            batch_bytes += record.size_bytes
        if batch:
            self._store.remove(batch)
            for record in batch:
                log.info("tile evicted: tile=%s bytes=%d", record.key, record.size_bytes)
            self._record(EvictionRecord(len(batch), batch_bytes))
        return batch_bytes


def protect_area(store: TileStore, mission: str, source: str, zoom: int, box: tuple[int, int, int, int]) -> None:
    """Make a box of tiles (x0, y0, x1, y1) part of a mission, in the place of what it had of this source and zoom."""
    with store.connection() as connection:
        connection.execute(
            "INSERT INTO mission_areas (name, source, zoom, x0, y0, x1, y1) VALUES (%s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (name, source, zoom) DO UPDATE SET x0 = excluded.x0, y0 = excluded.y0, x1 = excluded.x1, "
            "y1 = excluded.y1",
            (mission, source, zoom, *box),
        )


def release_areas(store: TileStore, mission: str) -> int:
    """Let a mission's tiles be evicted again; return how many areas it had."""
    with store.connection() as connection:
        return connection.execute("DELETE FROM mission_areas WHERE name = %s", (mission,)).rowcount


def missions(store: TileStore) -> list[str]:
    """Return the names of the missions whose tiles are protected."""
    with store.connection() as connection:
        rows = connection.execute("SELECT DISTINCT name FROM mission_areas ORDER BY name").fetchall()
    return [str(row[0]) for row in rows]
