"""What stands where: the plan of one cell of land (about 1.2 km), made from the seed alone when it is asked for.

The plan holds geometry only and is the same for every look of the ground; an item's `key` decides, look by look, what
grows on it and whether it exists yet. World coordinates: x metres east, y metres north of the world's origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from gps_denied_onboard.messages import FloatArray

CELL_M = 1200.0


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A piece of ground of one use, `polygon_m` (N, 2).

    `kind`: field, meadow, forest, garden, yard, orchard, pond, hollow.
    `only_in`: "" for what every look shows, else the name of the one look that shows it, or "old" for what only a map
    of long ago shows.
    """

    key: int
    kind: str
    polygon_m: FloatArray
    row_direction_rad: float
    only_in: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A linear feature. `kind`: main_road, minor_road, track, verge, ditch, gully. `points_m` (N, 2)."""

    key: int
    kind: str
    points_m: FloatArray
    width_m: float
    only_in: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Building:
    """A gabled house: `corners_m` (4, 2), the first side along the ridge; wall and ridge height in metres."""

    key: int
    corners_m: FloatArray
    height_m: float
    roof: int
    only_in: str = ""


@dataclass(slots=True, eq=False)
class CellPlan:
    """Everything in one cell. `trees` (N, 5): x, y, crown radius m, height m, tone 0..1. `bounds_m`: x0, y0, x1, y1."""

    bounds_m: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    patches: list[Patch] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: FloatArray = field(default_factory=lambda: np.zeros((0, 5)))


def polygon_area_m2(polygon: FloatArray) -> float:
    """Unsigned area of a simple polygon (N, 2)."""
    x, y = polygon[:, 0], polygon[:, 1]
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def clip_half_plane(polygon: FloatArray, point: FloatArray, normal: FloatArray) -> FloatArray:
    """The part of `polygon` where (p - point) . normal >= 0 (Sutherland and Hodgman 1974)."""
    d = (polygon - point) @ normal
    out: list[FloatArray] = []
    n = len(polygon)
    for k in range(n):
        a, b, da, db = polygon[k], polygon[(k + 1) % n], d[k], d[(k + 1) % n]
        if da >= 0:
            out.append(a)
        if (da >= 0) != (db >= 0):
            out.append(a + (b - a) * (da / (da - db)))
    return np.array(out) if len(out) >= 3 else np.zeros((0, 2))


def principal_direction(polygon: FloatArray) -> float:
    """Direction of the longest extent, rad from x, from the second moments of the outline."""
    nxt = np.roll(polygon, -1, axis=0)
    edges = nxt - polygon
    length = np.hypot(edges[:, 0], edges[:, 1])
    mid = (polygon + nxt) / 2.0
    centre = (mid * length[:, None]).sum(axis=0) / length.sum()
    q = mid - centre
    c = (q * length[:, None]).T @ q
    return 0.5 * math.atan2(2.0 * c[0, 1], c[0, 0] - c[1, 1])


def longest_edge_direction(polygon: FloatArray) -> float:
    """Direction of the longest side, rad from x."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    k = int(np.argmax(np.hypot(edges[:, 0], edges[:, 1])))
    return math.atan2(float(edges[k, 1]), float(edges[k, 0]))


def split(polygon: FloatArray, direction: float, point: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cut along `direction` through `point`: both parts and the cut's ends (2, 2)."""
    normal = np.array([-math.sin(direction), math.cos(direction)])
    a, b = clip_half_plane(polygon, point, normal), clip_half_plane(polygon, point, -normal)
    if len(a) < 3 or len(b) < 3:
        return a, b, np.zeros((0, 2))
    on_cut = a[np.abs((a - point) @ normal) < 1e-6]
    if len(on_cut) < 2:
        return a, b, np.zeros((0, 2))
    along = on_cut @ np.array([math.cos(direction), math.sin(direction)])
    return a, b, on_cut[[int(np.argmin(along)), int(np.argmax(along))]]


def inside(polygon: FloatArray, points: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(M,) whether points (M, 2) lie in the polygon (even-odd rule)."""
    result = np.zeros(len(points), dtype=bool)
    x, y = points[:, 0], points[:, 1]
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if a[1] == b[1]:
            continue
        crosses = (a[1] > y) != (b[1] > y)
        result ^= crosses & (x < a[0] + (y - a[1]) * (b[0] - a[0]) / (b[1] - a[1]))
    return result


def spline(p0: FloatArray, p1: FloatArray, p2: FloatArray, p3: FloatArray, count: int) -> FloatArray:
    """(count + 1, 2) points from p1 to p2 of the Catmull-Rom spline."""
    t = np.linspace(0.0, 1.0, count + 1)[:, None]
    return np.asarray(
        0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    )


def along_line(points: FloatArray, spacing_m: float, start_m: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Points each `spacing_m` along a polyline, (K, 2), and their unit tangents, (K, 2)."""
    step = np.diff(points, axis=0)
    length = np.hypot(step[:, 0], step[:, 1])
    total = np.concatenate([[0.0], np.cumsum(length)])
    at = np.arange(start_m, total[-1], spacing_m)
    if len(at) == 0:
        return np.zeros((0, 2)), np.zeros((0, 2))
    x, y = np.interp(at, total, points[:, 0]), np.interp(at, total, points[:, 1])
    k = np.clip(np.searchsorted(total, at, side="right") - 1, 0, len(step) - 1)
    return np.stack([x, y], axis=1), step[k] / np.maximum(length[k], 1e-9)[:, None]


def rectangle(centre: FloatArray, direction: float, length_m: float, width_m: float) -> FloatArray:
    """(4, 2) corners of a rectangle whose first side runs along `direction`."""
    u = np.array([math.cos(direction), math.sin(direction)]) * length_m / 2.0
    v = np.array([-math.sin(direction), math.cos(direction)]) * width_m / 2.0
    return np.array([centre - u - v, centre + u - v, centre + u + v, centre - u + v])
