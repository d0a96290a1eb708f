"""Makes the plan of each cell of land: a jittered, bent grid whose lines are roads, tracks, windbreaks and hedges."""

from __future__ import annotations

import functools
import math

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.noise import lattice_noise, stream
from gps_denied_sim.scene.scene_layout import (
    CELL_M,
    CellPlan,
    Line,
    Patch,
    along_line,
    inside,
    longest_edge_direction,
    polygon_area_m2,
    principal_direction,
    spline,
    split,
)
from gps_denied_sim.scene.settlements import build_farmstead, build_village_block
from gps_denied_sim.scene.terrain import Terrain, WorldStyle
from gps_denied_sim.scene.vegetation import forest_trees, hedge_trees, orchard_trees, scattered_trees

LINE_CLASSES = ("main_road", "minor_road", "track", "hedge", "verge")
LINE_WEIGHTS = (0.16, 0.28, 0.28, 0.18, 0.10)
ROAD_WIDTH_M = {"main_road": 8.5, "minor_road": 5.5, "track": 3.2, "verge": 3.0, "ditch": 2.0}


class Land:
    """The plan of the whole world, cell by cell, remembered for the most recent cells."""

    def __init__(self, seed: int, style: WorldStyle, terrain: Terrain) -> None:
        self.seed = seed
        self.style = style
        self.terrain = terrain
        self._angle = float(stream(seed, "grid").uniform(0.0, math.pi / 2.0))
        self._cell = functools.lru_cache(maxsize=96)(self._build)

    def cells_in(self, x0: float, y0: float, x1: float, y1: float) -> list[CellPlan]:
        """Every cell whose bounds touch the rectangle, in a fixed order."""
        c, s = math.cos(self._angle), math.sin(self._angle)
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) @ np.array([[c, -s], [s, c]]) / CELL_M
        low, high = np.floor(corners.min(axis=0) - 1.6).astype(int), np.ceil(corners.max(axis=0) + 0.6).astype(int)
        found = []
        for i in range(low[0], high[0] + 1):
            for j in range(low[1], high[1] + 1):
                a, b, c2, d = _bounds(self._outline(i, j))
                if a < x1 and c2 > x0 and b < y1 and d > y0:
                    found.append(self._cell(i, j))
        return found

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - a world lives as long as its process
    def _corner(self, i: int, j: int) -> FloatArray:
        jitter = stream(self.seed, "corner", i, j).uniform(-0.27, 0.27, 2)
        u, v = (i + jitter[0]) * CELL_M, (j + jitter[1]) * CELL_M
        c, s = math.cos(self._angle), math.sin(self._angle)
        x, y = c * u - s * v, s * u + c * v
        bend = 260.0
        return np.array(
            [
                x + bend * float(lattice_noise(x, y, 4200.0, self.seed + 101)),
                y + bend * float(lattice_noise(x, y, 4200.0, self.seed + 102)),
            ]
        )

    def _edge(self, i: int, j: int, vertical: bool) -> FloatArray:
        """Polyline from corner (i, j) to the next one up (vertical) or right."""
        di, dj = (0, 1) if vertical else (1, 0)
        p = [self._corner(i + k * di, j + k * dj) for k in (-1, 0, 1, 2)]
        return spline(p[0], p[1], p[2], p[3], 8)

    @functools.lru_cache(maxsize=1024)  # noqa: B019
    def _outline(self, i: int, j: int) -> FloatArray:
        south, east = self._edge(i, j, False), self._edge(i + 1, j, True)
        north, west = self._edge(i, j + 1, False), self._edge(i, j, True)
        return np.concatenate([south[:-1], east[:-1], north[:0:-1], west[:0:-1]])

    def _line_class(self, vertical: bool, index: int) -> str:
        rng = stream(self.seed, "line", int(vertical), index)
        return str(rng.choice(LINE_CLASSES, p=LINE_WEIGHTS))

    def _build(self, i: int, j: int) -> CellPlan:
        rng = stream(self.seed, "cell", i, j)
        outline = self._outline(i, j)
        plan = CellPlan(bounds_m=_bounds(outline))
        builder = _CellBuilder(self, rng, plan)
        use = float(rng.random())
        s = self.style
        if use < s.village_fraction:
            builder.village(outline)
        elif use < s.village_fraction + s.forest_fraction:
            builder.forest(outline)
        elif use < s.village_fraction + s.forest_fraction + s.meadow_fraction:
            builder.meadow(outline)
        else:
            low, high = s.field_area_ha
            builder.farmland(outline, low * (high / low) ** float(rng.random()) * 1e4, 0)
        for vertical, index in ((True, i), (False, j)):
            builder.boundary(self._edge(i, j, vertical), self._line_class(vertical, index))
        builder.finish()
        return plan


class _CellBuilder:
    """Fills one plan; every random draw comes from the cell's own stream."""

    def __init__(self, land: Land, rng: np.random.Generator, plan: CellPlan) -> None:
        self.land, self.rng, self.plan = land, rng, plan
        self.trees: list[FloatArray] = []

    def key(self) -> int:
        """A new item key."""
        return int(self.rng.integers(0, 2**31))

    def finish(self) -> None:
        """Drop what would stand in water; roads stay, as bridges and causeways."""
        trees = np.concatenate([t for t in self.trees if len(t)] or [np.zeros((0, 5))])
        margin = self.land.terrain.water_margin_m
        self.plan.trees = trees[margin(trees[:, 0], trees[:, 1]) > 3.0] if len(trees) else trees
        if self.plan.buildings:
            centres = np.array([b.corners_m.mean(axis=0) for b in self.plan.buildings])
            dry = margin(centres[:, 0], centres[:, 1]) > 15.0
            self.plan.buildings = [b for b, ok in zip(self.plan.buildings, dry, strict=True) if ok]
        self._break_lines_at_water()

    def _break_lines_at_water(self) -> None:
        """Keep the parts of tracks, verges and ditches that run on dry land; one look at the water for all of them."""
        fine = []
        for line in self.plan.lines:
            points, _ = along_line(line.points_m, 8.0)
            fine.append(np.concatenate([points, line.points_m[-1:]]))
        every = np.concatenate(fine or [np.zeros((0, 2))])
        dry = self.land.terrain.water_margin_m(every[:, 0], every[:, 1]) > 2.0
        kept, at = [], 0
        for line, points in zip(self.plan.lines, fine, strict=True):
            here = dry[at : at + len(points)]
            at += len(points)
            if here.all() or line.kind in ("main_road", "minor_road"):
                kept.append(line)
                continue
            runs = np.split(points, np.flatnonzero(np.diff(here)) + 1)
            for run in runs[0 if here[0] else 1 :: 2]:
                if len(run) > 1:
                    kept.append(Line(line.key, line.kind, run, line.width_m, line.only_in))
        self.plan.lines = kept

    def patch(self, kind: str, polygon: FloatArray, direction: float, only_in: str = "") -> None:
        """Add a patch."""
        self.plan.patches.append(Patch(self.key(), kind, polygon, direction, only_in))

    def boundary(self, points: FloatArray, kind: str, only_in: str = "") -> None:
        """A road, track, hedge or strip along `points`, with what grows beside it."""
        rng = self.rng
        if kind == "none":
            return
        if kind == "hedge":
            self.plan.lines.append(Line(self.key(), "verge", points, float(rng.uniform(4.0, 9.0)), only_in))
            if not only_in:
                self.trees.append(hedge_trees(rng, points, rows=int(rng.integers(1, 4))))
            return
        width = ROAD_WIDTH_M[kind] * float(rng.uniform(0.85, 1.2))
        if kind in ("main_road", "minor_road", "track"):
            self.plan.lines.append(Line(self.key(), "verge", points, width + float(rng.uniform(2.0, 7.0)), only_in))
            chance = {"main_road": 0.55, "minor_road": 0.45, "track": 0.25}[kind]
            for side in (-1.0, 1.0):
                if rng.random() < chance and not only_in:
                    offset = side * (width / 2.0 + float(rng.uniform(3.5, 7.0)))
                    self.trees.append(hedge_trees(rng, points, rows=1, offset_m=offset, gap=0.35))
        self.plan.lines.append(Line(self.key(), kind, points, width, only_in))

    def farmland(self, polygon: FloatArray, target_m2: float, depth: int) -> None:
        """Split into fields until they are about as large as the target."""
        rng, s = self.rng, self.land.style
        area = polygon_area_m2(polygon)
        if area < target_m2 * float(rng.uniform(0.9, 2.2)) or depth > 9 or len(polygon) < 3:
            self.field(polygon, area)
            return
        direction = principal_direction(polygon) + math.pi / 2.0 + math.radians(float(rng.normal(0.0, 7.0)))
        if rng.random() < 0.3:
            direction = longest_edge_direction(polygon) + math.pi / 2.0
        centre = polygon.mean(axis=0) + rng.normal(0.0, 0.09, 2) * np.ptp(polygon, axis=0)
        a, b, cut = split(polygon, direction, centre)
        if len(cut) < 2:
            self.field(polygon, area)
            return
        self.farmland(a, target_m2, depth + 1)
        self.farmland(b, target_m2, depth + 1)
        rest = 1.0 - s.boundary_hedge - s.boundary_track - s.boundary_none
        weights = [s.boundary_hedge, s.boundary_track, s.boundary_none, rest * 0.8, rest * 0.2]
        kind = str(rng.choice(["hedge", "track", "none", "verge", "ditch"], p=weights))
        self.boundary(self._wobble(cut), kind)

    def _wobble(self, ends: FloatArray) -> FloatArray:
        """A straight cut as people make it: a bend of some metres."""
        t = np.linspace(0.0, 1.0, 9)[:, None]
        normal = np.array([-(ends[1] - ends[0])[1], (ends[1] - ends[0])[0]])
        normal = normal / max(float(np.hypot(normal[0], normal[1])), 1e-6)
        bend = float(self.rng.normal(0.0, 2.0))
        return np.asarray(ends[0] + (ends[1] - ends[0]) * t + normal * bend * np.sin(math.pi * t))

    def field(self, polygon: FloatArray, area_m2: float) -> None:
        """One field, or what stands in its place: a copse, an orchard, a meadow, a farm."""
        rng, s = self.rng, self.land.style
        if len(polygon) < 3:
            return
        direction = longest_edge_direction(polygon)
        use = float(rng.random())
        if use < s.copse_fraction and area_m2 < 9e4:
            self.patch("forest", polygon, direction)
            self.trees.append(forest_trees(rng, polygon, spacing_m=float(rng.uniform(5.5, 8.0))))
        elif use < s.copse_fraction + 0.03 and area_m2 < 6e4:
            self.patch("orchard", polygon, direction)
            self.trees.append(orchard_trees(rng, polygon, direction))
        elif use < s.copse_fraction + 0.11:
            self.patch("meadow", polygon, direction)
            self.trees.append(scattered_trees(rng, polygon, per_hectare=float(rng.choice([0.0, 1.0, 6.0]))))
        else:
            self.patch("field", polygon, direction)
            self._divided_in_one_look(polygon, direction)
            self._blemishes(polygon, area_m2)
            if rng.random() < 0.35:
                self.trees.append(scattered_trees(rng, polygon, per_hectare=0.4))
            if use > 0.955:
                build_farmstead(self, polygon)

    def _divided_in_one_look(self, polygon: FloatArray, direction: float) -> None:
        """Fields are merged and divided over the years: one look shows two where the other shows one."""
        rng = self.rng
        draw = float(rng.random())
        if draw > 0.75:
            return
        across = direction + (math.pi / 2.0 if rng.random() < 0.4 else 0.0)
        centre = polygon.mean(axis=0) + rng.normal(0.0, 0.1, 2) * np.ptp(polygon, axis=0)
        part, _, cut = split(polygon, across, centre)
        if len(cut) == 2:
            look = "map" if draw < 0.16 else "camera" if draw < 0.32 else "" if draw < 0.45 else "old"
            self.patch("field", part, direction, look)
            if rng.random() < 0.4:
                self.boundary(cut, "track" if rng.random() < 0.4 else "verge", look)

    def _blemishes(self, polygon: FloatArray, area_m2: float) -> None:
        """What lasts in a field over the years: wet hollows and weedy spots, gullies, foot paths."""
        rng = self.rng
        count = int(rng.poisson(area_m2 / 5e4))
        spots = rng.uniform(polygon.min(axis=0), polygon.max(axis=0), (count, 2))
        for at in spots[inside(polygon, spots)]:
            angle = np.linspace(0.0, 2.0 * math.pi, 17)[:-1]
            size = float(rng.uniform(4.0, 22.0)) * np.exp(rng.normal(0.0, 0.22, 16))
            turn, flat = float(rng.uniform(0.0, 3.14)), float(rng.uniform(0.4, 1.0))
            local = np.stack([size * np.cos(angle), size * np.sin(angle) * flat], axis=1)
            c, s = math.cos(turn), math.sin(turn)
            self.patch("hollow", at + local @ np.array([[c, s], [-s, c]]), turn, _seen_in(rng, 0.7))
        if rng.random() < area_m2 / 3e5:
            _, _, cut = split(polygon, float(rng.uniform(0.0, math.pi)), polygon.mean(axis=0))
            if len(cut) == 2:
                points, tangent = along_line(cut, 12.0)
                wave = np.cumsum(rng.normal(0.0, 1.3, len(points)))
                points = points + np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * wave[:, None]
                if len(points) > 2:
                    width = float(rng.uniform(1.2, 4.0))
                    self.plan.lines.append(Line(self.key(), "gully", points, width, _seen_in(rng, 0.75)))

    def forest(self, polygon: FloatArray) -> None:
        """A wood cut by rides, of stands that differ in age, with clearings."""
        rng = self.rng
        self.patch("forest", polygon, 0.0)
        pieces = [polygon]
        for _ in range(int(rng.integers(2, 6))):
            piece = pieces.pop(int(np.argmax([polygon_area_m2(p) for p in pieces])))
            a, b, cut = split(piece, principal_direction(piece) + math.pi / 2.0, piece.mean(axis=0))
            if len(cut) < 2:
                pieces.append(piece)
                break
            pieces += [a, b]
            self.boundary(cut, "track" if rng.random() < 0.6 else "verge")
        for piece in pieces:
            if rng.random() < 0.16:
                self.patch("meadow", piece, 0.0)
                self.trees.append(scattered_trees(rng, piece, per_hectare=8.0))
            else:
                self.trees.append(forest_trees(rng, piece, spacing_m=float(rng.uniform(5.0, 8.5))))

    def meadow(self, polygon: FloatArray) -> None:
        """Grassland with bushes, a pond perhaps, and a path through it."""
        rng = self.rng
        self.patch("meadow", polygon, 0.0)
        self.trees.append(scattered_trees(rng, polygon, per_hectare=float(rng.uniform(0.5, 9.0))))
        centre = polygon.mean(axis=0)
        if rng.random() < 0.7:
            angle = np.linspace(0.0, 2.0 * math.pi, 25)[:-1]
            radius = float(rng.uniform(20.0, 70.0)) * (1.0 + 0.22 * np.sin(2 * angle + 1.0) + 0.1 * np.sin(5 * angle))
            at = centre + rng.normal(0.0, 120.0, 2)
            self.patch("pond", at + radius[:, None] * np.stack([np.cos(angle), 0.7 * np.sin(angle)], axis=1), 0.0)
        _, _, cut = split(polygon, float(rng.uniform(0, math.pi)), centre)
        if len(cut) == 2:
            points, tangent = along_line(self._wobble(cut), 25.0)
            normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
            wave = 9.0 * np.sin(np.arange(len(points)) * 0.35 + float(rng.uniform(0, 6)))
            self.boundary(points + normal * wave[:, None], "track")

    def village(self, polygon: FloatArray) -> None:
        """Streets, and blocks of gardens with houses along the streets; fields around where the cell is large."""
        rng = self.rng
        blocks = [(polygon, 0)]
        while blocks:
            block, depth = blocks.pop()
            area = polygon_area_m2(block)
            if area < 2.4e4 * float(rng.uniform(0.7, 1.6)) or depth > 8:
                if depth > 3 and rng.random() < 0.32:
                    self.field(block, area)
                else:
                    build_village_block(self, block)
                continue
            direction = principal_direction(block) + math.pi / 2.0 + math.radians(float(rng.normal(0, 6.0)))
            a, b, cut = split(block, direction, block.mean(axis=0) + rng.normal(0.0, 0.06, 2) * np.ptp(block, axis=0))
            if len(cut) < 2:
                build_village_block(self, block)
                continue
            blocks += [(a, depth + 1), (b, depth + 1)]
            self.boundary(self._wobble(cut), "minor_road" if depth < 4 else "track")


def _seen_in(rng: np.random.Generator, both: float) -> str:
    """Which look shows an item: both of them with probability `both`."""
    draw = float(rng.random())
    return "" if draw < both else ("map" if draw < (1.0 + both) / 2.0 else "camera")


def _bounds(points: FloatArray) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of points (N, 2), with room for what overhangs."""
    low, high = points.min(axis=0) - 30.0, points.max(axis=0) + 30.0
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
