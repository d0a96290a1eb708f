"""How much of a route has map: along each leg, from the tiles of a store and the pixels in them that hold data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj

from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.coverage import square_records
from gps_denied_onboard.tiles.grid import SQUARE_TILES, TILE_PX
from gps_denied_onboard.tiles.records import TileDamagedError

if TYPE_CHECKING:
    from gps_denied_onboard.messages import FloatArray
    from gps_denied_onboard.tiles.records import TileRecord
    from gps_denied_onboard.tiles.store import TileStore

ROUTE_GAP_CODE = 22
"""Exit code of build-cache and verify-cache where a leg has no map."""
STEP_M = 20.0
GAP_M_MAX = 2000.0
"""A stretch without map that is longer is a gap, too, where its legs have some map elsewhere."""
LEGS_SHOWN = 5
Path_deg = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class LegCoverage:
    """A leg from one waypoint to the next: its length, the metres of it with map, the longest stretch without.

    A stretch that began on legs before counts with what it has there: an aircraft flies through waypoints.
    """

    number: int
    begin_deg: tuple[float, float]
    end_deg: tuple[float, float]
    length_m: float
    covered_m: float
    longest_gap_m: float

    @property
    def is_gap(self) -> bool:
        """Whether it has no map at all, or none for longer than a flight should go without."""
        return self.covered_m == 0.0 or self.longest_gap_m > GAP_M_MAX


@dataclass(frozen=True, slots=True)
class RouteCoverage:
    """All legs of a route, numbered from 1."""

    legs: tuple[LegCoverage, ...]

    @property
    def length_m(self) -> float:
        return sum(leg.length_m for leg in self.legs)

    @property
    def covered_m(self) -> float:
        return sum(leg.covered_m for leg in self.legs)

    @property
    def share(self) -> float:
        """Covered part of the length, 0 to 1; never rounded up to 1."""
        share = self.covered_m / self.length_m if self.length_m else 1.0
        return 1.0 if share == 1.0 else math.floor(share * 1e4) / 1e4

    @property
    def gaps(self) -> tuple[LegCoverage, ...]:
        return tuple(leg for leg in self.legs if leg.is_gap)

    def as_dict(self) -> dict[str, Any]:
        return {
            "length_km": round(self.length_m / 1000.0, 3),
            "covered_km": round(self.covered_m / 1000.0, 3),
            "share": self.share,
            "legs": len(self.legs),
            "legs_without_map": [leg.number for leg in self.gaps],
        }

    def sentence(self) -> str:
        """The figures in words, with the legs that have none."""
        told = (
            f"{self.covered_m / 1000.0:.1f} of {self.length_m / 1000.0:.1f} km of the route have map "
            f"({math.floor(1000.0 * self.share + 1e-6) / 10.0:.1f} %)"
        )
        if not self.gaps:
            return told
        shown = "; ".join(
            f"leg {leg.number} from {leg.begin_deg[0]:.4f}, {leg.begin_deg[1]:.4f} to {leg.end_deg[0]:.4f}, "
            f"{leg.end_deg[1]:.4f}: {leg.covered_m / 1000.0:.1f} of {leg.length_m / 1000.0:.1f} km have map"
            for leg in self.gaps[:LEGS_SHOWN]
        )
        more = f"; and {len(self.gaps) - LEGS_SHOWN} more legs" if len(self.gaps) > LEGS_SHOWN else ""
        return f"{told}; without map: {shown}{more}"


def route_coverage(store: TileStore, source: str, zoom: int, paths_deg: Iterable[Path_deg]) -> RouteCoverage:
    """Look along each leg of each path (latitude, longitude in degrees) in steps of 20 m. Reads rows and masks."""
    held = _Held(store, source, zoom)
    legs: list[LegCoverage] = []
    for path in paths_deg:
        dark_m = 0.0
        for begin, end in itertools.pairwise(path):
            leg, dark_m = _leg(held, len(legs) + 1, begin, end, dark_m)
            legs.append(leg)
    return RouteCoverage(tuple(leg for leg in legs if leg.length_m > 0.0))


def _leg(
    held: _Held, number: int, begin: Sequence[float], end: Sequence[float], dark_m: float
) -> tuple[LegCoverage, float]:
    """A leg, entered after `dark_m` without map, and how long the stretch without map is where it ends."""
    geod = pyproj.Geod(ellps="WGS84")
    _, _, length_m = geod.inv(begin[1], begin[0], end[1], end[0])
    pieces = max(math.ceil(float(length_m) / STEP_M), 1)
    between = geod.npts(begin[1], begin[0], end[1], end[0], pieces + 1, initial_idx=0, terminus_idx=0)
    points: FloatArray = np.array(between, dtype=np.float64)
    pixel = geodesy.mercator_px_from_geodetic(points[:, 1], points[:, 0], held.zoom)
    seen = np.array([held.has(place) for place in pixel])
    step_m = float(length_m) / pieces
    both = seen[:-1] & seen[1:]
    dark_runs_m = [len(run) * step_m for run in "".join("x" if s else " " for s in both).split("x")]
    dark_runs_m[0] += dark_m if dark_runs_m[0] else 0.0
    return LegCoverage(
        number, (float(begin[0]), float(begin[1])), (float(end[0]), float(end[1])), float(length_m),
        float(length_m) * (float(both.sum()) / pieces), max(dark_runs_m),
    ), dark_runs_m[-1]  # fmt: skip


class _Held:
    """Tiles of a source, asked for by square; masks are read where a tile has holes."""

    def __init__(self, store: TileStore, source: str, zoom: int) -> None:
        self.zoom = zoom
        self._store, self._source = store, source
        self._squares: dict[tuple[int, int], dict[tuple[int, int], TileRecord]] = {}
        self._masks: dict[tuple[int, int], Any] = {}

    def has(self, pixel: FloatArray) -> bool:
        """Whether the map holds data at a pixel of the zoom's Web-Mercator plane."""
        x, y = int(pixel[0] // TILE_PX), int(pixel[1] // TILE_PX)
        square = (x // SQUARE_TILES, y // SQUARE_TILES)
        if square not in self._squares:
            records = square_records(self._store, self._source, self.zoom, *square)
            self._squares[square] = {(r.key.x, r.key.y): r for r in records}
        record = self._squares[square].get((x, y))
        if record is None or record.valid_fraction == 1.0:
            return record is not None
        if (x, y) not in self._masks:
            self._masks[x, y] = self._mask(record)
        return bool(self._masks[x, y][int(pixel[1]) % TILE_PX, int(pixel[0]) % TILE_PX])

    def _mask(self, record: TileRecord) -> Any:
        """Which pixels of a tile hold data; none of one that is damaged."""
        try:
            return codec.decode_mask(self._store.read(record)[1])
        except (TileDamagedError, ValueError):
            return np.zeros((TILE_PX, TILE_PX), dtype=bool)
