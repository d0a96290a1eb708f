"""Where people live: village blocks with houses and gardens, and farms standing alone."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.scene.scene_layout import (
    Building,
    CellPlan,
    along_line,
    inside,
    longest_edge_direction,
    polygon_area_m2,
    principal_direction,
    rectangle,
    split,
)
from gps_denied_sim.scene.vegetation import scattered_trees

ROOF_COLOURS = 8


class CellBuilder(Protocol):
    """What a settlement needs of the cell that it is built in."""

    rng: np.random.Generator
    plan: CellPlan
    trees: list[FloatArray]

    def key(self) -> int: ...
    def patch(self, kind: str, polygon: FloatArray, direction: float, only_in: str = "") -> None: ...


def add_building(
    cell: CellBuilder, centre: FloatArray, direction: float, length_m: float, width_m: float, height_m: float
) -> None:
    """One house; a few stand in one look only (built or pulled down between the two)."""
    rng = cell.rng
    draw = float(rng.random())
    only_in = "map" if draw < 0.05 else ("camera" if draw < 0.12 else "")
    corners = rectangle(centre, direction, length_m, width_m)
    cell.plan.buildings.append(Building(cell.key(), corners, height_m, int(rng.integers(0, ROOF_COLOURS)), only_in))


def build_village_block(cell: CellBuilder, block: FloatArray) -> None:
    """Gardens, and houses along the block's sides."""
    rng = cell.rng
    if len(block) < 3:
        return
    _gardens(cell, block, 0)
    closed = np.concatenate([block, block[:1]])
    plot = float(rng.uniform(20.0, 34.0))
    setback = float(rng.uniform(9.0, 14.0))
    points, tangent = along_line(closed, plot, float(rng.uniform(6.0, plot)))
    centre = block.mean(axis=0)
    for p, t in zip(points, tangent, strict=True):
        if rng.random() < 0.22:
            continue
        normal = np.array([-t[1], t[0]])
        if np.dot(centre - p, normal) < 0:
            normal = -normal
        at = p + normal * (setback + float(rng.normal(0, 1.0))) + t * float(rng.normal(0.0, 2.0))
        if not inside(block, at[None])[0]:
            continue
        direction = math.atan2(t[1], t[0]) + (math.pi / 2.0 if rng.random() < 0.35 else 0.0)
        length, width = float(rng.uniform(8.5, 15.0)), float(rng.uniform(6.5, 9.5))
        add_building(cell, at, direction, length, width, float(rng.uniform(3.5, 6.5)))
        if rng.random() < 0.6:
            shed = at + normal * float(rng.uniform(11.0, 17.0)) + t * float(rng.uniform(-6.0, 6.0))
            add_building(cell, shed, direction, float(rng.uniform(4, 10)), float(rng.uniform(3, 5)), 2.8)
    cell.trees.append(scattered_trees(rng, block, per_hectare=float(rng.uniform(8.0, 30.0))))


def _gardens(cell: CellBuilder, block: FloatArray, depth: int) -> None:
    """Split into strips of vegetables, grass and yards."""
    rng = cell.rng
    area = polygon_area_m2(block)
    if area < float(rng.uniform(1400.0, 4200.0)) or depth > 6:
        cell.patch(str(rng.choice(["garden", "garden", "yard", "meadow"])), block, longest_edge_direction(block))
        return
    direction = principal_direction(block) + math.pi / 2.0
    a, b, cut = split(block, direction, block.mean(axis=0) + rng.normal(0.0, 0.05, 2) * np.ptp(block, axis=0))
    if len(cut) < 2:
        cell.patch("garden", block, direction)
        return
    _gardens(cell, a, depth + 1)
    _gardens(cell, b, depth + 1)


def build_farmstead(cell: CellBuilder, field: FloatArray) -> None:
    """Barns around a yard beside one side of a field."""
    rng = cell.rng
    direction = longest_edge_direction(field)
    edges = np.roll(field, -1, axis=0) - field
    k = int(np.argmax(np.hypot(edges[:, 0], edges[:, 1])))
    mid = field[k] + edges[k] * float(rng.uniform(0.3, 0.7))
    inward = field.mean(axis=0) - mid
    inward = inward / max(float(np.hypot(inward[0], inward[1])), 1e-6)
    centre = mid + inward * 55.0
    yard = rectangle(centre, direction, float(rng.uniform(80.0, 130.0)), float(rng.uniform(60.0, 90.0)))
    cell.patch("yard", yard, direction)
    for _ in range(int(rng.integers(3, 9))):
        at = centre + rectangle(np.zeros(2), direction, 2.0, 2.0)[2] * rng.uniform(-30.0, 30.0, 2)
        turn = direction + (math.pi / 2.0 if rng.random() < 0.3 else 0.0)
        size = float(rng.uniform(14.0, 55.0)), float(rng.uniform(9.0, 17.0))
        add_building(cell, at, turn, size[0], size[1], float(rng.uniform(4.0, 8.0)))
    cell.trees.append(scattered_trees(rng, yard, per_hectare=14.0))
