"""What a flight needs of the map, and what the store has of it already. Reads the store, never the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import shapely
from shapely.geometry import shape

from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.freshness import FreshnessGate, Sector
from gps_denied_onboard.tiles.grid import TILE_PX, tile_range
from gps_denied_onboard.tiles.sectors import load_sectors
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.missions.route import ResolvedFlight
from gps_denied_operator.tiles.download import RESOLUTION_M_PX_MAX

TYPICAL_TILE_BYTES = 15_000  # 256x256 JPEG of open country; used while the store holds none to take the mean of
CELLS_ACROSS = 48
WITHIN = "source = %s AND zoom = %s AND x >= %s AND x < %s AND y >= %s AND y < %s AND flight_id IS NULL"
STORED = f"SELECT freshness, count(*), coalesce(sum(size_bytes), 0) FROM tiles WHERE {WITHIN} GROUP BY freshness"
STORED_CELLS = f"""
    SELECT (x - %s) / %s AS column, (y - %s) / %s AS row, count(*), count(*) FILTER (WHERE freshness = 'downgraded')
    FROM tiles WHERE {WITHIN} GROUP BY 1, 2
"""
MEAN_BYTES = "SELECT avg(size_bytes) FROM tiles WHERE source = %s AND zoom = %s"


@dataclass(frozen=True, slots=True)
class ZoomNeed:
    """Tiles of the box at one zoom; `taken` is whether a download would take this resolution."""

    zoom: int
    tiles: int
    ground_resolution_m_px: float
    bytes_estimate: int
    taken: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """A block of tiles of the box: its edges in degrees, what it holds, and the class of land in its middle."""

    west_deg: float
    south_deg: float
    east_deg: float
    north_deg: float
    tiles: int
    stored: int
    downgraded: int
    sector_class: str


@dataclass(frozen=True, slots=True)
class Needs:
    """All of it. `store` is "" where there is none yet; `sectors` are those that the box touches."""

    flight: ResolvedFlight
    source: str
    chosen: ZoomNeed
    zooms: tuple[ZoomNeed, ...]
    tile_bytes: float
    tile_bytes_measured: bool
    budget_bytes: int
    store: str
    stored: dict[str, int]
    stored_bytes: int
    sectors: tuple[Sector, ...]
    class_shares: dict[str, float]
    age_days_max: dict[str, float]
    cells: tuple[Cell, ...]

    @property
    def missing(self) -> int:
        """Tiles that a download would have to fetch."""
        return max(self.chosen.tiles - sum(self.stored.values()), 0)

    def as_dict(self) -> dict[str, Any]:
        """The figures, for machines: without the cells that the page draws."""
        flight = self.flight
        return {
            "mission_id": flight.mission_id, "flight_id": flight.flight_id, "flight": flight.source,
            "takeoff_deg": [flight.takeoff_latitude_deg, flight.takeoff_longitude_deg],
            "waypoints": len(flight.route_deg), "length_m": round(flight.length_m, 1), "bbox": list(flight.bbox),
            "buffer_m": flight.buffer_m, "notes": list(flight.notes),
            "paths": [len(path) for path in flight.paths_deg], "source": self.source, **asdict(self.chosen),
            "tile_bytes": round(self.tile_bytes), "tile_bytes_measured": self.tile_bytes_measured,
            "budget_bytes": self.budget_bytes, "store": self.store, "stored": self.stored,
            "stored_bytes": self.stored_bytes, "missing": self.missing,
            "sectors": [{"name": s.name, "class": s.sector_class} for s in self.sectors],
            "class_shares": self.class_shares, "age_days_max": self.age_days_max,
            "zooms": [asdict(need) for need in self.zooms],
        }  # fmt: skip


def needs(
    flight: ResolvedFlight, zoom: int, source: str, store: TileStore | None, config: TilesConfig, now: datetime
) -> Needs:
    """Work out what a flight needs at a zoom, and what of it a store holds (None: there is no store yet)."""
    box = tile_range(*flight.bbox, zoom)
    measured = _mean_bytes(store, source, zoom)
    tile_bytes = measured or float(TYPICAL_TILE_BYTES)
    sectors = load_sectors(store) if store else []
    place = shapely.box(*flight.bbox)
    touched = tuple(sector for sector in sectors if shape(sector.polygon).intersects(place))
    stored, stored_bytes = _stored(store, source, zoom, box)
    cells = _cells(store, source, zoom, box, FreshnessGate(touched, config), now)
    classes = sorted({cell.sector_class for cell in cells})
    total = sum(cell.tiles for cell in cells)
    shares = {c: round(sum(cell.tiles for cell in cells if cell.sector_class == c) / total, 4) for c in classes}
    zooms = tuple(_need(flight, z, tile_bytes) for z in range(max(zoom - 2, 0), min(zoom + 2, 22) + 1))
    return Needs(
        flight, source, _need(flight, zoom, tile_bytes), zooms, tile_bytes, measured is not None, config.budget_bytes,
        str(store.root) if store else "", stored, stored_bytes, touched, shares,
        {c: config.age_days_max(c) for c in classes}, cells,
    )  # fmt: skip


def _need(flight: ResolvedFlight, zoom: int, tile_bytes: float) -> ZoomNeed:
    x0, y0, x1, y1 = tile_range(*flight.bbox, zoom)
    latitude_deg = (flight.bbox[1] + flight.bbox[3]) / 2.0
    resolution = geodesy.mercator_resolution_m(latitude_deg, zoom)
    tiles = (x1 - x0) * (y1 - y0)
    return ZoomNeed(zoom, tiles, round(resolution, 3), round(tiles * tile_bytes), resolution <= RESOLUTION_M_PX_MAX)


def _mean_bytes(store: TileStore | None, source: str, zoom: int) -> float | None:
    if store is None:
        return None
    with store.connection() as connection:
        row = connection.execute(MEAN_BYTES, (source, zoom)).fetchone()
    return float(row[0]) if row and row[0] is not None else None


def _stored(store: TileStore | None, source: str, zoom: int, box: Sequence[int]) -> tuple[dict[str, int], int]:
    if store is None:
        return {}, 0
    with store.connection() as connection:
        rows = connection.execute(STORED, (source, zoom, box[0], box[2], box[1], box[3])).fetchall()
    return {str(label): int(count) for label, count, _ in sorted(rows)}, sum(int(size) for _, _, size in rows)


def _cells(
    store: TileStore | None, source: str, zoom: int, box: Sequence[int], gate: FreshnessGate, now: datetime
) -> tuple[Cell, ...]:
    x0, y0, x1, y1 = box
    step = max(-(-max(x1 - x0, y1 - y0) // CELLS_ACROSS), 1)
    held: dict[tuple[int, int], tuple[int, int]] = {}
    if store is not None:
        values = (x0, step, y0, step, source, zoom, x0, x1, y0, y1)
        with store.connection() as connection:
            rows = connection.execute(STORED_CELLS, values).fetchall()
        held = {(int(column), int(row)): (int(count), int(old)) for column, row, count, old in rows}
    cells = []
    for row in range(-(-(y1 - y0) // step)):
        for column in range(-(-(x1 - x0) // step)):
            left, top = x0 + column * step, y0 + row * step
            right, bottom = min(left + step, x1), min(top + step, y1)
            corners = [[left * TILE_PX, bottom * TILE_PX], [right * TILE_PX, top * TILE_PX]]
            (south, west), (north, east) = geodesy.geodetic_from_mercator_px(corners, zoom).tolist()
            decided = gate.decide((south + north) / 2.0, (west + east) / 2.0, None, now)
            stored, old = held.get((column, row), (0, 0))
            tiles = (right - left) * (bottom - top)
            cells.append(Cell(west, south, east, north, tiles, stored, old, decided.sector_class))
    return tuple(cells)
