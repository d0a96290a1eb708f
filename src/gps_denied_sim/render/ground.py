"""Paints one square of ground as one look shows it: fields, water, roads, then what stands up, with its shadows."""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_sim.noise import lattice_noise, stream
from gps_denied_sim.render.appearance import COVERS, Colour, palette
from gps_denied_sim.render.canvas import SHIFT, Canvas, fixed_point
from gps_denied_sim.render.seasons import cover_in, lay_snow, line_colour, without_leaves
from gps_denied_sim.render.vertical_objects import paint_buildings, paint_upright
from gps_denied_sim.scene.scene_layout import CellPlan, Line, Patch
from gps_denied_sim.scene.terrain import Terrain

WATER_STEP_M = 6.0
LINE_COLOURS: dict[str, Colour] = {
    "main_road": (108, 108, 106),
    "minor_road": (132, 136, 138),
    "track": (122, 144, 156),
    "ditch": (52, 84, 74),
    "verge": (74, 118, 108),
    "gully": (88, 120, 122),
}


def paint(canvas: Canvas, cells: list[CellPlan], terrain: Terrain, resolution_tree_m: float = 0.5) -> None:
    """Paint everything that the cells hold, in the order in which it covers."""
    _background(canvas)
    layers = (_soil(canvas), _clumps(canvas))
    for cell in cells:
        for patch in cell.patches:
            _patch(canvas, patch, layers)
    _water(canvas, terrain)
    lay_snow(canvas.look, canvas.image, *layers)
    for kind in ("gully", "verge", "ditch", "track", "minor_road", "main_road"):
        for cell in cells:
            for line in cell.lines:
                if line.kind == kind and canvas.shows(line.only_in, line.key):
                    _line(canvas, line)
    buildings = [b for cell in cells for b in cell.buildings if canvas.shows(b.only_in, b.key)]
    paint_buildings(canvas, buildings)
    trees = _standing(canvas, np.concatenate([cell.trees for cell in cells] or [np.zeros((0, 5))]))
    paint_upright(canvas, without_leaves(canvas.look, trees), buildings, resolution_tree_m)


def _standing(canvas: Canvas, trees: FloatArray) -> FloatArray:
    """The trees (N, 5) that stand on the day of this look: what is cut or planted between the two goes in groups."""
    if canvas.look.age == 0.0:
        return trees
    change = lattice_noise(trees[:, 0], trees[:, 1], 45.0, canvas.seed + 301)
    return trees[change < 0.78 - 0.3 * canvas.look.age]


def _soil(canvas: Canvas) -> ImageArray:
    """Slow soil and moisture pattern over the whole canvas, the same under both looks.

    Two layers of different scale and direction, so that their sum does not repeat although each of them does.
    """
    import cv2

    h, w = canvas.image.shape[:2]
    rng = stream(canvas.seed, "soil")
    layers = [
        canvas.sample(
            canvas.textures.patches,
            (0, 0, w, h),
            float(rng.uniform(0, 6.28)),
            np.full(2, scale),
            rng.uniform(0, 2048.0, 2),
        )
        for scale in (1.13, 0.71)
    ]
    return np.asarray(cv2.addWeighted(layers[0], 0.75, layers[1], 0.75, -64.0), dtype=np.uint8)


def _clumps(canvas: Canvas) -> ImageArray:
    """Growth that is thicker here and thinner there, over the whole canvas, each look's own."""
    h, w = canvas.image.shape[:2]
    rng = stream(canvas.seed, "clumps", canvas.look.salt)
    angle, offset = float(rng.uniform(0, 6.28)), rng.uniform(0, 2048.0, 2)
    return canvas.sample(canvas.textures.clumps, (0, 0, w, h), angle, np.full(2, rng.uniform(1.4, 2.0)), offset)


def _background(canvas: Canvas) -> None:
    """Rough grass under everything."""
    import cv2

    h, w = canvas.image.shape[:2]
    rng = stream(canvas.seed, "background", canvas.look.salt)
    texture = canvas.sample(canvas.textures.clumps, (0, 0, w, h), 0.7, np.array([1.7, 1.7]), rng.uniform(0, 2048, 2))
    colours = _grassy(canvas, palette(canvas.look, cover_in(canvas.look, "meadow"), rng))
    cv2.applyColorMap(texture, colours, canvas.image)


def _grassy(canvas: Canvas, colours: ImageArray) -> ImageArray:
    """The season's tone of grass."""
    return np.asarray(np.clip(colours * np.array(canvas.look.grass_gain), 0, 255), dtype=np.uint8)


def _cover_name(canvas: Canvas, patch: Patch, rng: np.random.Generator) -> str:
    """What grows on a patch on this day."""
    if patch.kind == "field":
        names, weights = zip(*canvas.look.crops, strict=True)
        return str(rng.choice(names, p=np.array(weights) / sum(weights)))
    if patch.kind == "hollow":
        return str(rng.choice(["weeds", "dark_green", "meadow", "bare_dark"]))
    if patch.kind == "garden":
        return str(rng.choice(["bare_dark", "green", "weeds", "dark_green", "bare_dry", "meadow"]))
    return patch.kind


def _patch(canvas: Canvas, patch: Patch, layers: tuple[ImageArray, ImageArray]) -> None:
    """One field: rows in its direction over the patterns of soil and growth (`layers`), coloured by its crop."""
    import cv2

    if patch.only_in and not canvas.shows(patch.only_in, patch.key):
        return
    pixels = canvas.pixels(patch.polygon_m)
    h, w = canvas.image.shape[:2]
    c0, r0 = max(0, math.floor(pixels[:, 0].min())), max(0, math.floor(pixels[:, 1].min()))
    c1, r1 = min(w, math.ceil(pixels[:, 0].max()) + 2), min(h, math.ceil(pixels[:, 1].max()) + 2)
    if c1 - c0 < 2 or r1 - r0 < 2:
        return
    mask = np.zeros((r1 - r0, c1 - c0), dtype=np.uint8)
    outline = fixed_point(pixels - (c0, r0))
    cv2.fillPoly(mask, [outline], 255, lineType=cv2.LINE_8, shift=SHIFT)
    rng = canvas.look.draw(canvas.seed, "patch", patch.key)
    name = _cover_name(canvas, patch, rng)
    cover = cover_in(canvas.look, name)
    soil, clumps = (layer[r0:r1, c0:c1] for layer in layers)
    texture = _field_texture(canvas, patch, name, rng, soil, clumps, (c0, r0, c1 - c0, r1 - r0))
    if patch.kind == "field":
        _tramlines(canvas, patch, rng, texture, (c0, r0))
    colours = palette(canvas.look, cover, rng)
    if name in ("meadow", "weeds", "orchard"):
        colours = _grassy(canvas, colours)
    coloured = cv2.applyColorMap(texture, colours)
    cv2.copyTo(coloured, mask, canvas.image[r0:r1, c0:c1])


def _field_texture(
    canvas: Canvas,
    patch: Patch,
    name: str,
    rng: np.random.Generator,
    soil: ImageArray,
    clumps: ImageArray,
    window: tuple[int, int, int, int],
) -> ImageArray:
    """Texture values of one patch: soil (shared by the looks, its sign by the crop), clumps and rows."""
    import cv2

    cover = COVERS[name]
    turned = patch.row_direction_rad + (math.pi / 2.0 if rng.random() < 0.12 else 0.0) + float(rng.normal(0.0, 0.012))
    across = float(rng.uniform(1.6, 3.4))
    weight_soil = cover.patches * float(rng.normal(0.5, 0.45))
    weight_rows = cover.rows * canvas.look.row_gain * float(rng.uniform(0.25, 1.0))
    weight_own = cover.grain * float(rng.uniform(0.5, 1.2))
    bias = 128.0 * (1.0 - weight_soil - weight_own)
    mixed = cv2.addWeighted(soil, weight_soil, clumps, weight_own, bias)
    if weight_rows < 0.02:
        return np.asarray(mixed, dtype=np.uint8)
    offset = rng.uniform(0, 2048, 2)
    rows = canvas.sample(canvas.textures.rows, window, turned, np.array([across * 0.7, across]), offset)
    return np.asarray(cv2.addWeighted(mixed, 1.0, rows, weight_rows, -128.0 * weight_rows), dtype=np.uint8)


def _tramlines(
    canvas: Canvas, patch: Patch, rng: np.random.Generator, texture: ImageArray, corner: tuple[int, int]
) -> None:
    """Wheel tracks every 18 to 36 m and a headland, drawn into a field's texture."""
    import cv2

    draw, spacing, tone = float(rng.random()), float(rng.choice([18.0, 24.0, 28.0, 36.0])), float(rng.uniform(-70, 60))
    if draw > 0.7:
        return
    c, s = math.cos(patch.row_direction_rad), math.sin(patch.row_direction_rad)
    along, normal = np.array([c, s]), np.array([-s, c])
    across = patch.polygon_m @ normal
    reach = patch.polygon_m @ along
    value = float(np.clip(128.0 + tone, 0, 255))
    width = max(1, round(0.5 / canvas.resolution_m))
    at = np.arange(across.min() + float(rng.uniform(0.2, 1.0)) * spacing, across.max(), spacing)
    for offset in at:
        for wheel in (-0.95, 0.95):
            ends = np.stack([along * reach.min(), along * reach.max()]) + normal * (offset + wheel)
            p = fixed_point(canvas.pixels(ends) - corner)
            cv2.line(texture, p[0].tolist(), p[1].tolist(), value, width, cv2.LINE_AA, SHIFT)
    if draw < 0.4:
        _headland(canvas, patch.polygon_m, spacing, texture, corner, value)


def _headland(
    canvas: Canvas, polygon_m: FloatArray, inset_m: float, texture: ImageArray, corner: tuple[int, int], value: float
) -> None:
    """Where the machines turn: a wheel track along each long side of the field."""
    import cv2

    centre = polygon_m.mean(axis=0)
    for a, b in zip(polygon_m, np.roll(polygon_m, -1, axis=0), strict=True):
        side = b - a
        length = float(np.hypot(side[0], side[1]))
        if length < 4.0 * inset_m:
            continue
        side = side / length
        inward = np.array([-side[1], side[0]])
        if inward @ (centre - a) < 0.0:
            inward = -inward
        ends = np.array([a + side * inset_m, b - side * inset_m]) + inward * inset_m
        p = fixed_point(canvas.pixels(ends) - corner)
        width = max(1, round(0.5 / canvas.resolution_m))
        cv2.line(texture, p[0].tolist(), p[1].tolist(), value, width, cv2.LINE_AA, SHIFT)


def _water(canvas: Canvas, terrain: Terrain) -> None:
    """Rivers and lakes with a wet bank and reeds."""
    import cv2

    h, w = canvas.image.shape[:2]
    factor = max(1, round(WATER_STEP_M / canvas.resolution_m))
    step_m = factor * canvas.resolution_m
    n = math.ceil(max(h, w) / factor) + 2
    at = (np.arange(n) - 0.5) * step_m
    coarse = terrain.water_margin_m(canvas.x0_m + at[None, :], canvas.y1_m - at[:, None]).astype(np.float32)
    if coarse.min() > 40.0:
        return
    full = cv2.resize(coarse, (n * factor, n * factor), interpolation=cv2.INTER_LINEAR)
    margin = np.asarray(full[factor : factor + h, factor : factor + w], dtype=np.float32)
    rng = stream(canvas.seed, "water", canvas.look.salt)
    level = float(rng.normal(0.0, 0.6))
    reeds = canvas.sample(canvas.textures.clumps, (0, 0, w, h), 0.3, np.array([3.0, 3.0]), rng.uniform(0, 2048, 2))
    edge = margin + (reeds.astype(np.float32) - 128.0) * 0.02 - level
    bank = cv2.applyColorMap(reeds, _grassy(canvas, palette(canvas.look, cover_in(canvas.look, "meadow"), rng)))
    cv2.copyTo(bank, np.asarray(edge < 13.0, dtype=np.uint8), canvas.image)
    bank = cv2.applyColorMap(reeds, palette(canvas.look, cover_in(canvas.look, "dark_green"), rng))
    cv2.copyTo(bank, np.asarray(edge < 3.5, dtype=np.uint8), canvas.image)
    ripple = canvas.sample(canvas.textures.patches, (0, 0, w, h), 1.0, np.array([0.6, 0.6]), rng.uniform(0, 2048, 2))
    water = cv2.applyColorMap(
        cv2.addWeighted(ripple, 0.3, ripple, 0.0, 90.0), palette(canvas.look, cover_in(canvas.look, "pond"), rng)
    )
    cv2.copyTo(water, np.asarray(edge < 0.0, dtype=np.uint8), canvas.image)


def _line(canvas: Canvas, line: Line) -> None:
    """A road, track, strip of grass or ditch."""
    import cv2

    pixels = canvas.pixels(line.points_m)
    h, w = canvas.image.shape[:2]
    room = line.width_m / canvas.resolution_m
    low, high = pixels.min(axis=0) - room, pixels.max(axis=0) + room
    if high[0] < 0 or high[1] < 0 or low[0] > w or low[1] > h:
        return
    rng = canvas.look.draw(canvas.seed, "line", line.key)
    colour = line_colour(canvas.look, line.kind, LINE_COLOURS) * float(np.exp(rng.normal(0.0, 0.10))) * canvas.look.tint
    if line.kind in ("verge", "ditch", "gully"):
        colour = colour * canvas.look.grass_gain
    p = [fixed_point(pixels)]
    width = max(1, round(line.width_m / canvas.resolution_m))
    if line.kind == "track":
        cv2.polylines(canvas.image, p, False, (colour * 0.92).tolist(), width, cv2.LINE_AA, SHIFT)
        grass = (line_colour(canvas.look, "verge", LINE_COLOURS) * canvas.look.grass_gain).tolist()
        cv2.polylines(canvas.image, p, False, grass, max(1, width // 3), cv2.LINE_AA, SHIFT)
        return
    cv2.polylines(canvas.image, p, False, colour.tolist(), width, cv2.LINE_AA, SHIFT)
    if line.kind == "main_road":
        light = (colour * 1.35).clip(0, 235).tolist()
        cv2.polylines(canvas.image, p, False, light, 1, cv2.LINE_AA, SHIFT)
