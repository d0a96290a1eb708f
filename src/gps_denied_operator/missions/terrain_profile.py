"""The ground along a planned route: how high it is, how far below the aircraft, how fine the camera sees it, and where
that is no good. Reads imported heights; nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import Any

import numpy as np
from scipy import ndimage

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import EARTH_RADIUS_M
from gps_denied_onboard.geometry.grid_heights import bilinear, grid_heights_amsl_m
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.messages import FloatArray
from gps_denied_operator.missions.route import ResolvedFlight
from gps_denied_operator.missions.route_map import along, footprint_of
from gps_denied_operator.terrain.library import MissionHeights

STEP_M = 30.0
SAMPLES_MAX = 20_000
SHOWN_MAX = 500
"""Points of the profile that are told and drawn: of each stretch between them the highest ground."""
CLEARANCE_M = 100.0
"""Between the aircraft and the ground near it, beyond two sigmas of the heights: below it a climb may be too late."""
HEIGHT_M_MAX = 1000.0
"""Above ground: what the system is made for (R-1)."""
SLOPE_DEG_MAX = 25.0
"""What the system was tried over: steeper ground hides ground, and heights of 30 m posts miss it."""
NEAR_M = 200.0
"""Ground this near to the route counts, or within the camera's footprint where that is wider."""


class Trouble(Enum):
    """What is no good somewhere along a route."""

    TOO_LOW = "too low"
    TOO_HIGH = "too high"
    SLOPE = "near slopes"
    HOLE = "no heights"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the route with a trouble: metres from its start, and the worst in metres above ground or degrees (NaN
    for a hole)."""

    trouble: Trouble
    from_m: float
    to_m: float
    worst: float

    @property
    def told(self) -> str:
        where = f"km {self.from_m / 1000.0:.1f} to {self.to_m / 1000.0:.1f}"
        if self.trouble is Trouble.TOO_LOW:
            how = f"{self.worst:.0f} m over the ground near it, which is into it" if self.worst <= 0.0 else (
                f"{self.worst:.0f} m over the ground near it"
            )  # fmt: skip
        elif self.trouble is Trouble.TOO_HIGH:
            how = f"{self.worst:.0f} m above ground, {HEIGHT_M_MAX:.0f} m at most"
        elif self.trouble is Trouble.SLOPE:
            how = f"slopes of up to {self.worst:.0f} degrees"
        else:
            how = "nothing is known of the ground"
        return f"{self.trouble.value}, {where}: {how}"


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """A place on the route: metres above mean sea level of the ground below, metres above it, metres a pixel, and the
    share of a frame that the next one shows too; NaN where not known."""

    distance_m: float
    ground_m: float
    height_m: float
    gsd_m: float
    overlap: float
    path: int

    def as_dict(self) -> dict[str, float | None]:
        found = {
            "distance_m": self.distance_m, "ground_m": self.ground_m, "height_above_ground_m": self.height_m,
            "gsd_m": self.gsd_m, "overlap": self.overlap,
        }  # fmt: skip
        return {name: _number(value, 3) for name, value in found.items()}


@dataclass(frozen=True, slots=True)
class TerrainProfile:
    """The ground along a route. altitude_m: of the flight above mean sea level, NaN where no height was given."""

    heights: MissionHeights
    altitude_m: float
    points: tuple[ProfilePoint, ...]
    stretches: tuple[Stretch, ...]

    @property
    def hits_the_ground(self) -> bool:
        """Whether the route, flown level, leads into ground."""
        return any(one.trouble is Trouble.TOO_LOW and one.worst <= 0.0 for one in self.stretches)

    def range_of(self, name: str) -> list[float | None]:
        """Lowest and highest of a figure of the points, None where none is known."""
        values = [value for value in (getattr(point, name) for point in self.points) if math.isfinite(value)]
        return [_number(min(values), 3), _number(max(values), 3)] if values else [None, None]

    def as_dict(self) -> dict[str, Any]:
        """For machines; the profile has SHOWN_MAX points at most."""
        return {
            "imports": list(self.heights.names), "sigma_m": round(self.heights.grid.sigma_m, 3),
            "altitude_amsl_m": _number(self.altitude_m, 1), "ground_m": self.range_of("ground_m"),
            "height_above_ground_m": self.range_of("height_m"), "gsd_m": self.range_of("gsd_m"),
            "overlap": self.range_of("overlap"), "holes_share_of_box": round(self.heights.holes_share, 6),
            "warnings": [
                {"trouble": one.trouble.value, "from_m": round(one.from_m, 1), "to_m": round(one.to_m, 1),
                 "worst": _number(one.worst, 1), "told": one.told}
                for one in self.stretches
            ],
            "profile": [point.as_dict() for point in self.points],
        }  # fmt: skip


def terrain_profile(
    flight: ResolvedFlight,
    heights: MissionHeights,
    height_m: float,
    camera: CameraModel | None,
    speed_mps: float,
    frame_rate_hz: float,
) -> TerrainProfile:
    """Look at the ground along a route that is flown level, height_m above the ground under take-off (0: not known)."""
    grid = heights.grid
    start_m = float(
        grid_heights_amsl_m(grid, np.array(flight.takeoff_latitude_deg), np.array(flight.takeoff_longitude_deg))
    )
    altitude_m = start_m + height_m if height_m > 0.0 else math.nan
    seen = footprint_of(camera, height_m)
    near_m = max(NEAR_M, math.hypot(seen.across_m, seen.along_m) / 2.0 if seen else 0.0)
    highest, steepest = _near(grid, near_m)
    parts, begin_m = [], 0.0
    step_m = max(flight.length_m / SAMPLES_MAX, STEP_M)
    for number, path in enumerate(flight.paths_deg):
        distances, places = along(path, step_m)
        row = (places[:, 0] - grid.south_deg) / grid.step_lat_deg
        column = (places[:, 1] - grid.west_deg) / grid.step_lon_deg
        ground = grid_heights_amsl_m(grid, places[:, 0], places[:, 1])
        top, slope = bilinear(highest, row, column), bilinear(steepest, row, column)
        parts.append(np.column_stack([begin_m + distances, ground, top, slope, np.full(len(distances), float(number))]))
        begin_m += float(distances[-1])
    samples = np.concatenate(parts)
    points = tuple(_points(samples, altitude_m, camera, speed_mps / frame_rate_hz))
    return TerrainProfile(heights, altitude_m, points, tuple(_stretches(samples, altitude_m, grid.sigma_m)))


def _near(grid: TerrainGrid, near_m: float) -> tuple[FloatArray, FloatArray]:
    """Of the ground within near_m of each post: the highest in metres, and the steepest slope in degrees."""
    heights = grid.heights_amsl_m
    step_lat_m = math.radians(grid.step_lat_deg) * EARTH_RADIUS_M
    middle_deg = grid.south_deg + len(heights) / 2.0 * grid.step_lat_deg
    step_lon_m = math.radians(grid.step_lon_deg) * EARTH_RADIUS_M * math.cos(math.radians(middle_deg))
    down, right = np.gradient(heights, step_lat_m, step_lon_m)
    slope = np.degrees(np.arctan(np.hypot(down, right)))
    size = (2 * math.ceil(near_m / step_lat_m) + 1, 2 * math.ceil(near_m / step_lon_m) + 1)
    found = []
    for values in (heights, slope):
        most = ndimage.maximum_filter(np.where(np.isnan(values), -np.inf, values), size=size, mode="nearest")
        found.append(np.where(np.isfinite(most), most, np.nan))
    return found[0], found[1]


def _points(
    samples: FloatArray, altitude_m: float, camera: CameraModel | None, moved_m: float
) -> Iterator[ProfilePoint]:
    """SHOWN_MAX points of all samples. moved_m: how far the aircraft goes between two frames."""
    every = max(math.ceil(len(samples) / SHOWN_MAX), 1)
    for first in range(0, len(samples), every):
        part = samples[first : first + every]
        known = np.isfinite(part[:, 1])
        sample = part[int(np.nanargmax(part[:, 1]))] if known.all() else part[int(np.argmin(known))]
        distance_m, ground_m, _, _, path = sample.tolist()
        height_m = altitude_m - ground_m
        seen = footprint_of(camera, height_m) if math.isfinite(height_m) else None
        overlap = max(1.0 - moved_m / seen.along_m, 0.0) if seen else math.nan
        gsd_m = seen.gsd_m if seen else math.nan
        yield ProfilePoint(distance_m, ground_m, height_m, gsd_m, overlap, int(path))


def _stretches(samples: FloatArray, altitude_m: float, sigma_m: float) -> Iterator[Stretch]:
    """Parts of the route with a trouble, in its order."""
    distances, ground, highest, slope, paths = samples.T
    clear, above = altitude_m - highest, altitude_m - ground
    looked_at = (
        (Trouble.TOO_LOW, clear - 2.0 * sigma_m < CLEARANCE_M, clear, np.min),
        (Trouble.TOO_HIGH, above > HEIGHT_M_MAX, above, np.max),
        (Trouble.SLOPE, slope > SLOPE_DEG_MAX, slope, np.max),
        (Trouble.HOLE, np.isnan(ground), ground, np.max),
    )
    found = []
    for trouble, where, figure, worst in looked_at:
        keys = zip(where.tolist(), paths.tolist(), strict=True)
        for (bad, _), run in groupby(enumerate(keys), key=lambda item: item[1]):
            if bad:
                numbers = [number for number, _ in run]
                part = slice(numbers[0], numbers[-1] + 1)
                found.append(
                    Stretch(trouble, float(distances[part][0]), float(distances[part][-1]), float(worst(figure[part])))
                )
    yield from sorted(found, key=lambda one: (one.from_m, one.trouble.value))


def _number(value: float, digits: int) -> float | None:
    return round(value, digits) if math.isfinite(value) else None
