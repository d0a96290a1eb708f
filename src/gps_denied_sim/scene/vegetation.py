"""Where trees stand: (N, 5) arrays of x, y, crown radius m, height m, tone 0..1."""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.scene.scene_layout import along_line, inside, polygon_area_m2


def _trees(rng: np.random.Generator, points: FloatArray, radius_m: float, spread: float) -> FloatArray:
    """Give points (N, 2) crowns of about `radius_m`."""
    n = len(points)
    radius = radius_m * np.exp(rng.normal(0.0, spread, n))
    height = np.clip(radius * rng.uniform(2.0, 3.6, n), 2.0, 23.0)
    return np.column_stack([points, radius, height, rng.random(n)])


def forest_trees(rng: np.random.Generator, polygon: FloatArray, spacing_m: float) -> FloatArray:
    """A closed stand on a jittered grid."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    xs, ys = np.arange(low[0], high[0], spacing_m), np.arange(low[1], high[1], spacing_m)
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    points = points + rng.uniform(-0.42, 0.42, points.shape) * spacing_m
    points = points[inside(polygon, points)]
    return _trees(rng, points[rng.random(len(points)) < 0.94], spacing_m * 0.56, 0.22)


def orchard_trees(rng: np.random.Generator, polygon: FloatArray, direction: float) -> FloatArray:
    """Small trees in straight rows."""
    spacing = float(rng.uniform(5.0, 8.0))
    centre = polygon.mean(axis=0)
    reach = float(np.ptp(polygon, axis=0).max())
    line = np.arange(-reach / 2.0, reach / 2.0, spacing)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    c, s = math.cos(direction), math.sin(direction)
    points = grid @ np.array([[c, s], [-s, c]]) + centre + rng.normal(0.0, 0.25, grid.shape)
    points = points[inside(polygon, points)]
    return _trees(rng, points[rng.random(len(points)) < 0.93], 1.7, 0.2)


def scattered_trees(rng: np.random.Generator, polygon: FloatArray, per_hectare: float) -> FloatArray:
    """Single trees and clumps."""
    count = int(rng.poisson(per_hectare * polygon_area_m2(polygon) / 1e4))
    if count == 0:
        return np.zeros((0, 5))
    points = rng.uniform(polygon.min(axis=0), polygon.max(axis=0), (2 * count, 2))
    clumped = points[rng.integers(0, max(1, count // 3), len(points))] + rng.normal(0.0, 9.0, points.shape)
    points = np.where((rng.random(len(points)) < 0.5)[:, None], points, clumped)
    return _trees(rng, points[inside(polygon, points)][:count], 2.6, 0.45)


def hedge_trees(
    rng: np.random.Generator, line: FloatArray, rows: int, offset_m: float = 0.0, gap: float = 0.12
) -> FloatArray:
    """Trees along a polyline in `rows` rows about `offset_m` to its left, with gaps (a fraction of the length)."""
    spacing = float(rng.uniform(3.5, 6.5))
    size = float(rng.uniform(1.7, 3.3))
    out = []
    for row in range(rows):
        points, tangent = along_line(line, spacing, float(rng.uniform(0, spacing)))
        if len(points) == 0:
            continue
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        side = offset_m + (row - (rows - 1) / 2.0) * 4.5
        points = points + normal * (side + rng.normal(0.0, 0.6, (len(points), 1)))
        points = points + tangent * rng.normal(0.0, 0.9, (len(points), 1))
        phase = float(rng.uniform(0, 6.28))
        wave = np.sin(np.arange(len(points)) * 0.21 + phase) + np.sin(np.arange(len(points)) * 0.057 + 2 * phase)
        keep = (wave > -2.0 + 2.6 * gap) & (rng.random(len(points)) > gap)
        out.append(_trees(rng, points[keep], size, 0.3))
    return np.concatenate(out) if out else np.zeros((0, 5))
