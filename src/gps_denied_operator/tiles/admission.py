"""What every tile passes on its way into the store, wherever it comes from: freshness gate, then budget."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from gps_denied_onboard.tiles.budget import CacheBudget, EvictionRecord
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.freshness import FreshnessDecision, FreshnessGate
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.sectors import load_sectors
from gps_denied_onboard.tiles.store import TileStore

log = logging.getLogger(__name__)


class Admission:
    """Gate and budget of one run. `labels` counts tiles by label and sector class, `evicted` tiles and bytes."""

    def __init__(self, store: TileStore, config: TilesConfig, clock: Callable[[], datetime]) -> None:
        self._gate = FreshnessGate(load_sectors(store), config)
        self._clock = clock
        self._budget = CacheBudget(store, config.budget_bytes, self._count_evicted)
        self.labels: Counter[str] = Counter()
        self.evicted: Counter[str] = Counter()

    def labelled(self, tile: NewTile) -> NewTile | None:
        """Return the tile with its class and label; None where it is refused, which is logged."""
        decision = self._gate.decide_tile(tile.key, tile.captured_at, self._clock())
        if self._counted_refusal(tile.key, decision):
            return None
        self.labels[f"{decision.sector_class} {decision.label}"] += 1
        return replace(tile, sector_class=decision.sector_class, freshness=decision.label)

    def refuses(self, key: TileKey, captured_at: datetime | None) -> bool:
        """Return whether a tile would be refused, which then is logged and counted; before it is fetched."""
        return self._counted_refusal(key, self._gate.decide_tile(key, captured_at, self._clock()))

    def _counted_refusal(self, key: TileKey, decision: FreshnessDecision) -> bool:
        if decision.refused:
            age = "unknown" if decision.age_days is None else f"{decision.age_days:.1f}"
            log.warning(
                "stale tile refused: tile=%s age_days=%s class=%s rule=%s",
                key, age, decision.sector_class, decision.rule,
            )  # fmt: skip
            self.labels[f"{decision.sector_class} refused"] += 1
        return decision.refused

    def make_room(self, tiles: Sequence[NewTile]) -> None:
        """Reserve what these tiles take; CacheBudgetExhaustedError where that is impossible."""
        self.make_room_bytes(sum(len(tile.jpeg) + len(tile.mask or b"") for tile in tiles))

    def make_room_bytes(self, needed_bytes: int) -> None:
        """Reserve so many bytes; CacheBudgetExhaustedError where that is impossible."""
        self._budget.reserve_headroom(needed_bytes)

    def _count_evicted(self, batch: EvictionRecord) -> None:
        self.evicted["tiles"] += batch.tiles
        self.evicted["bytes"] += batch.bytes
