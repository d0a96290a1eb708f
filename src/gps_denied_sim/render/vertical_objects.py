"""Trees and houses from above: crowns with light and shade, gabled roofs, and the shadows that all of them cast."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_sim.noise import stream
from gps_denied_sim.render.canvas import SHIFT, Canvas, fixed_point
from gps_denied_sim.render.seasons import roof_colour
from gps_denied_sim.scene.scene_layout import Building

ROOFS = (
    (92, 100, 150),
    (150, 152, 150),
    (118, 126, 140),
    (86, 92, 108),
    (168, 172, 172),
    (98, 118, 152),
    (120, 106, 92),
    (140, 146, 158),
)
DECIMETRES = 10.0


def paint_buildings(canvas: Canvas, buildings: list[Building]) -> None:
    """Two roof faces each, lit by the sun; a chimney's worth of variation in tone."""
    import cv2

    sun = np.array([math.sin(canvas.look.sun_azimuth_rad), math.cos(canvas.look.sun_azimuth_rad)])
    h, w = canvas.image.shape[:2]
    for b in buildings:
        p = canvas.pixels(b.corners_m)
        if p[:, 0].max() < 0 or p[:, 1].max() < 0 or p[:, 0].min() > w or p[:, 1].min() > h:
            continue
        rng = canvas.look.draw(canvas.seed, "roof", b.key)
        tone = float(np.exp(rng.normal(0.0, 0.08)))
        base = roof_colour(canvas.look, ROOFS[b.roof], rng) * tone * canvas.look.tint
        ends = np.array([(p[0] + p[3]) / 2.0, (p[1] + p[2]) / 2.0])
        side = b.corners_m[1] - b.corners_m[0]
        normal = np.array([side[1], -side[0]]) / max(float(np.hypot(side[0], side[1])), 1e-6)
        lit = 0.24 * float(normal @ sun)
        for face, gain in (
            (np.array([p[0], p[1], ends[1], ends[0]]), 1.0 + lit),
            (np.array([ends[0], ends[1], p[2], p[3]]), 1.0 - lit),
        ):
            colour = np.clip(base * gain, 0, 250).tolist()
            cv2.fillPoly(canvas.image, [fixed_point(face)], colour, cv2.LINE_AA, SHIFT)


def paint_upright(canvas: Canvas, trees: FloatArray, buildings: list[Building], resolution_m: float) -> None:
    """Crowns over the ground and all shadows; worked out at `resolution_m` and blended in at the canvas's own."""
    import cv2

    h, w = canvas.image.shape[:2]
    ratio = canvas.resolution_m / resolution_m
    hs, ws = math.ceil(h * ratio), math.ceil(w * ratio)
    resolution_x, resolution_y = w * canvas.resolution_m / ws, h * canvas.resolution_m / hs
    at = np.column_stack(
        [
            (trees[:, 0] - canvas.x0_m) / resolution_x - 0.5,
            (canvas.y1_m - trees[:, 1]) / resolution_y - 0.5,
            trees[:, 2:],
        ]
    )
    near = (at[:, 0] > 0) & (at[:, 0] < ws - 1) & (at[:, 1] > 0) & (at[:, 1] < hs - 1)
    at = at[near]
    height = np.zeros((hs, ws), dtype=np.uint8)
    crown: npt.NDArray[np.float32] | None = None
    if len(at):
        crown, height, tone = _crowns(canvas, at, (hs, ws), resolution_x)
    scale = np.array([canvas.resolution_m / resolution_x, canvas.resolution_m / resolution_y])
    _building_heights(canvas, buildings, height, scale)
    shade = _shadow(canvas, height, resolution_x)
    shade_full = cv2.resize(shade, (w, h), interpolation=cv2.INTER_LINEAR)
    shade3 = cv2.merge([shade_full, shade_full, shade_full])
    cv2.multiply(canvas.image, shade3, canvas.image, scale=1.0 / 255.0)
    if crown is not None:
        full_tone = cv2.resize(tone, (w, h), interpolation=cv2.INTER_LINEAR)
        full_crown = cv2.resize(crown, (w, h), interpolation=cv2.INTER_LINEAR)
        leaves = cv2.applyColorMap(full_tone, _leaf_palette(canvas))
        cv2.copyTo(leaves, np.asarray(full_crown > 0.0, dtype=np.uint8), canvas.image)


def _leaf_palette(canvas: Canvas) -> ImageArray:
    """(256, 1, 3) colours of a crown's tone: shaded to sunlit."""
    t = np.arange(256)[:, None] / 128.0
    base = np.array(canvas.look.tree_colour) * canvas.look.tint
    return np.asarray(np.clip(base * (0.18 + 0.82 * t), 0, 255), dtype=np.uint8).reshape(256, 1, 3)


def _crowns(
    canvas: Canvas, at: FloatArray, shape: tuple[int, int], resolution_m: float
) -> tuple[npt.NDArray[np.float32], ImageArray, ImageArray]:
    """Crown margin (> 0 inside a crown), height in decimetres and tone, each of `shape`."""
    import cv2

    hs, ws = shape
    seeds = np.full(shape, 255, dtype=np.uint8)
    rows, columns = np.round(at[:, 1]).astype(np.intp), np.round(at[:, 0]).astype(np.intp)
    seeds[rows, columns] = 0
    distance, found = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    labels = np.asarray(found, dtype=np.int32)
    count = int(labels.max()) + 1
    of_label = np.zeros(count, dtype=np.intp)
    of_label[labels[rows, columns]] = np.arange(len(at))
    radius = (at[:, 2] / resolution_m).astype(np.float32)[of_label]
    tall = (at[:, 3] * DECIMETRES).astype(np.float32)[of_label]
    rng = stream(canvas.seed, "leaves", canvas.look.salt)
    own = rng.permutation(256).astype(np.float32)[(at[:, 4] * 255).astype(np.intp)][of_label]
    spread = canvas.look.tree_colour_spread
    light = 116.0 * (1.0 + spread * (own / 127.5 - 1.0))
    window = (0, 0, ws, hs)
    small = replace(canvas, resolution_m=resolution_m)
    lumps = small.sample(canvas.textures.grain, window, 0.4, np.array([0.9, 0.9]), rng.uniform(0, 2048, 2))
    lump = (lumps.astype(np.float32) - 128.0) / 40.0
    label_radius = np.take(radius, labels)
    margin = label_radius - distance + lump * (0.22 / resolution_m)
    crown = np.clip(margin, -2.0, 2.0)
    dome = 1.0 - 0.55 * np.square(np.clip(distance / np.maximum(label_radius, 1.0), 0.0, 1.2))
    height = np.where(margin > 0, np.take(tall, labels) * dome, 0.0)
    smooth = cv2.GaussianBlur(height, (0, 0), 0.8)
    sx, sy = math.sin(canvas.look.sun_azimuth_rad), -math.cos(canvas.look.sun_azimuth_rad)
    slope = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3) * sx + cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3) * sy
    relief = np.clip(slope * (-0.05 / resolution_m), -62.0, 75.0)
    tone = np.clip(np.take(light, labels) + relief + lump * 9.0, 0, 255)
    return crown.astype(np.float32), np.clip(height, 0, 255).astype(np.uint8), tone.astype(np.uint8)


def _building_heights(canvas: Canvas, buildings: list[Building], height: ImageArray, scale: FloatArray) -> None:
    """Put houses into the height picture (decimetres)."""
    import cv2

    h, w = height.shape
    for b in buildings:
        p = (canvas.pixels(b.corners_m) + 0.5) * scale - 0.5
        if p[:, 0].max() < 0 or p[:, 1].max() < 0 or p[:, 0].min() > w or p[:, 1].min() > h:
            continue
        cv2.fillPoly(height, [fixed_point(p)], min(255.0, b.height_m * DECIMETRES), cv2.LINE_8, SHIFT)


def _shadow(canvas: Canvas, height: ImageArray, resolution_m: float) -> ImageArray:
    """Light that reaches each cell, 255 in the sun: heights are swept away from the sun in doubling steps."""
    import cv2

    look = canvas.look
    dx, dy = -math.sin(look.sun_azimuth_rad), math.cos(look.sun_azimuth_rad)
    drop = math.tan(look.sun_elevation_rad) * resolution_m * DECIMETRES
    longest = 230.0 / max(drop, 1e-3)
    swept = height.copy()
    step = 1
    while step < longest:
        cx, cy = round(dx * step), round(dy * step)
        lower = np.uint8(min(255, round(drop * step)))
        swept = np.maximum(swept, np.maximum(_moved(swept, cx, cy), lower) - lower)
        step *= 2
    dark = np.asarray(swept.astype(np.int16) > height.astype(np.int16) + 4, dtype=np.uint8) * 255
    soft = cv2.blur(dark, (3, 3))
    return np.asarray(255 - soft * (1.0 - look.shadow), dtype=np.uint8)


def _moved(image: ImageArray, columns: int, rows: int) -> ImageArray:
    """The image shifted by whole cells, zero where nothing comes in."""
    out = np.zeros_like(image)
    h, w = image.shape
    if abs(columns) >= w or abs(rows) >= h:
        return out
    out[max(0, rows) : h + min(0, rows), max(0, columns) : w + min(0, columns)] = image[
        max(0, -rows) : h + min(0, -rows), max(0, -columns) : w + min(0, -columns)
    ]
    return out
