"""The freshness gate: how old a tile may be where it lies. Pure; sectors and the present time come from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rtree
import shapely

from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles.config import SECTOR_CLASSES, TilesConfig
from gps_denied_onboard.tiles.grid import TILE_PX, TileKey

DAY_S = 86_400.0
FUTURE_DAYS_MAX = 1.0  # clocks and time zones


@dataclass(frozen=True, slots=True)
class Sector:
    """A stretch of land of one class; `polygon` is a GeoJSON Polygon or MultiPolygon in longitude, latitude degrees."""

    name: str
    sector_class: str
    polygon: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FreshnessDecision:
    """What the gate says. `label`: fresh, downgraded, or "" for refused; `age_days` None: not known or impossible."""

    label: str
    sector_class: str
    sector: str
    age_days: float | None
    rule: str

    @property
    def refused(self) -> bool:
        return self.label == ""


class FreshnessGate:
    """Decides by rule, sector and age. Where sectors overlap, the strictest class holds."""

    def __init__(self, sectors: Sequence[Sector], config: TilesConfig) -> None:
        self._config = config
        self._sectors = tuple(sectors)
        self._shapes = [shapely.from_geojson(_json(sector.polygon)) for sector in sectors]
        self._index = rtree.index.Index()
        for number, shape in enumerate(self._shapes):
            self._index.insert(number, shape.bounds)

    def decide(
        self, latitude_deg: float, longitude_deg: float, captured_at: datetime | None, now: datetime
    ) -> FreshnessDecision:
        """Decide for a point."""
        return self._decide(self._strictest(shapely.Point(longitude_deg, latitude_deg)), captured_at, now)

    def decide_tile(self, key: TileKey, captured_at: datetime | None, now: datetime) -> FreshnessDecision:
        """Decide for a tile, by the strictest sector that it touches."""
        if not self._sectors:
            return self._decide(None, captured_at, now)
        corners = [[key.x * TILE_PX, (key.y + 1) * TILE_PX], [(key.x + 1) * TILE_PX, key.y * TILE_PX]]
        (south, west), (north, east) = geodesy.geodetic_from_mercator_px(corners, key.zoom).tolist()
        return self._decide(self._strictest(shapely.box(west, south, east, north)), captured_at, now)

    def _strictest(self, place: Any) -> Sector | None:
        touched = [
            self._sectors[number]
            for number in self._index.intersection(place.bounds)
            if self._shapes[number].intersects(place)
        ]
        return min(touched, key=lambda sector: (SECTOR_CLASSES.index(sector.sector_class), sector.name), default=None)

    def _decide(self, strictest: Sector | None, captured_at: datetime | None, now: datetime) -> FreshnessDecision:
        sector_class = strictest.sector_class if strictest else self._config.default_sector_class
        sector = strictest.name if strictest else ""
        limit_days = self._config.age_days_max(sector_class)
        age_days = None if captured_at is None else (now - captured_at).total_seconds() / DAY_S
        if age_days is not None and age_days < -FUTURE_DAYS_MAX:
            why, age_days = "its capture date lies in the future", None
        elif age_days is None:
            why = "its capture date is not known"
        elif age_days > limit_days:
            why = f"it is older than {limit_days:g} days"
        else:
            rule = f"{sector_class}: not older than {limit_days:g} days, used as it is"
            return FreshnessDecision("fresh", sector_class, sector, age_days, rule)
        if sector_class == "active_conflict":
            return FreshnessDecision("", sector_class, sector, age_days, f"{sector_class}: refused, {why}")
        return FreshnessDecision(
            "downgraded", sector_class, sector, age_days, f"{sector_class}: kept with a downgraded label, {why}"
        )


def _json(polygon: dict[str, Any]) -> str:
    import json

    return json.dumps(polygon)
