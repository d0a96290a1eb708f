"""Place search: the frame, laid on the map's grid under heading and height hypotheses, correlated with the map.

With a prior the window is its 3-sigma region; without one it is the whole map, block by block. The same correlation
serves both, so a kidnapped start needs no index of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft

from gps_denied_onboard.geo import LocalFrame
from gps_denied_onboard.matching.orientation import (
    CHANNELS,
    FieldArray,
    correlate_spectrum,
    field_shape,
    orientation_field,
    subpixel_peak,
)
from gps_denied_onboard.matching.rectify import FrameRectifier, MapGrid
from gps_denied_onboard.messages import CameraPrior, FloatArray, PlaceCandidate
from gps_denied_onboard.place.settings import PlaceConfig
from gps_denied_onboard.rotations import image_up_yaw, rotation_z, wrap_angle
from gps_denied_onboard.tiles.mosaic import MapMosaic

GROUP_BYTES_MAX = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Template:
    field: FieldArray
    norm: float
    yaw_rad: float
    height_m: float
    cells_from_position: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    score: float
    position_en_m: FloatArray
    template: _Template


@dataclass(frozen=True, slots=True, eq=False)
class Rung:
    """One search of a frame: its longer side becomes `cells` map cells under each of the heights."""

    cells: float
    heights_m: FloatArray
    candidates: int


class GridPlace:
    """Finds where on the map a frame could lie. Holds the map and the local frame, no state of the flight."""

    def __init__(self, mosaic: MapMosaic, local: LocalFrame, config: PlaceConfig) -> None:
        self._mosaic = mosaic
        self._local = local
        self._config = config

    def rungs(self, prior: CameraPrior) -> tuple[Rung, ...]:
        """Searches to try one after the other until a place is accepted.

        An unknown height is searched an octave at a time from the highest down: the larger the footprint, the fewer map
        cells, so that what takes long is only tried when the rest has failed.
        """
        cfg = self._config
        fine = self._heights(prior, coarse=False)
        if prior.position_known:
            return (Rung(cfg.footprint_cells, fine, cfg.candidates),)
        heights = self._heights(prior, coarse=True)
        if len(fine) <= cfg.fine_heights_max:
            coarse = Rung(cfg.coarse_footprint_cells, heights, cfg.candidates_unknown)
            return (coarse, Rung(cfg.footprint_cells, fine, cfg.candidates_unknown))
        octave = np.floor(np.log2(heights.max() / heights) + 1e-9).astype(int)
        return tuple(
            Rung(cfg.coarse_footprint_cells, heights[octave == k], cfg.candidates_unscaled)
            for k in range(int(octave.max()) + 1)
        )

    def search(
        self, frame: FrameRectifier, prior: CameraPrior, footprint_m: float, ground_up_m: float, rung: Rung
    ) -> list[PlaceCandidate]:
        """Best places, best first. `footprint_m` is the ground length of the frame's longer side at the prior's height.
        Coarse searches take larger steps and the second harmonic alone. An octave of heights for which the map has more
        than `unscaled_cells_max` cells is left out: see PlaceConfig.

        `score` is the correlation over the template's norm, in units of the map field's RMS: comparable between
        hypotheses. `margin` is the best score over that of the best place elsewhere (1 for every other candidate).
        """
        coarse = rung.cells <= self._config.coarse_footprint_cells
        by_level: dict[int, list[float]] = {}
        for height_m in rung.heights_m:
            level = self.level_for(footprint_m * height_m / prior.height_m / rung.cells)
            by_level.setdefault(level, []).append(float(height_m))
        found: list[_Found] = []
        for level, heights_m in by_level.items():
            window = self._window_px(prior, footprint_m, level, ground_up_m)
            width, height = window[2] - window[0], window[3] - window[1]
            if width < 16 or height < 16:
                continue
            if prior.height_sigma_m >= prior.height_m and width * height > self._config.unscaled_cells_max:
                continue
            centre = self._centre_enu(*window, level, ground_up_m)
            grid = MapGrid.at(self._local, self._mosaic.zoom, level, centre, ground_up_m)
            for group in self._template_groups(frame, prior, grid, heights_m, coarse):
                found.extend(self._correlate(group, level, window, grid))
        return self._candidates(found, footprint_m / prior.height_m, rung.candidates)

    def level_for(self, resolution_m: float) -> int:
        """Map level whose cells are closest to `resolution_m`, at least that of the tiles."""
        finest = MapGrid.at(self._local, self._mosaic.zoom, 0, np.zeros(2), 0.0).resolution_m
        return int(np.clip(round(math.log2(max(resolution_m, 1e-6) / finest)), 0, 7))

    def _window_px(
        self, prior: CameraPrior, footprint_m: float, level: int, ground_up_m: float
    ) -> tuple[int, int, int, int]:
        bounds = self._mosaic.bounds_px(level)
        if not prior.position_known:
            return bounds
        grid = MapGrid.at(self._local, self._mosaic.zoom, level, prior.position_enu_m[:2], ground_up_m)
        tilt_m = prior.height_m * math.tan(min(self._config.sigmas * prior.tilt_sigma_rad, 0.7))
        ray = prior.rotation_camera_to_enu[:, 2]
        lean = ray[:2] / max(-float(ray[2]), 0.2) * prior.height_m
        reach_m = self._config.sigmas * np.sqrt(np.diag(prior.covariance_enu_m2)[:2]) + tilt_m
        half = (reach_m + 0.75 * footprint_m) / grid.resolution_m
        c = grid.cell_from_enu(prior.position_enu_m[:2] + lean)
        x0, y0 = np.floor(c - half).astype(int)
        x1, y1 = np.ceil(c + half).astype(int)
        return max(x0, bounds[0]), max(y0, bounds[1]), min(x1, bounds[2]), min(y1, bounds[3])

    def _centre_enu(self, x0: int, y0: int, x1: int, y1: int, level: int, ground_up_m: float) -> FloatArray:
        zoom = float(self._mosaic.zoom - level)
        altitude_m = float(self._local.geodetic_from_enu([0.0, 0.0, ground_up_m])[2])
        return self._local.enu_from_mercator_px([(x0 + x1) / 2.0, (y0 + y1) / 2.0], zoom, altitude_m)[:2]

    def _template_groups(
        self, frame: FrameRectifier, prior: CameraPrior, grid: MapGrid, heights_m: list[float], coarse: bool
    ) -> Iterator[list[_Template]]:
        group: list[_Template] = []
        size = 0
        for height_m in heights_m:
            for turn in self._turns(prior, coarse):
                template = _template(frame, prior, grid, turn, height_m, CHANNELS // 2 if coarse else CHANNELS)
                if template is None:
                    continue
                group.append(template)
                size += self._config.block_cells**2 * 16
                if size > GROUP_BYTES_MAX:
                    yield group
                    group, size = [], 0
        if group:
            yield group

    def _turns(self, prior: CameraPrior, coarse: bool) -> FloatArray:
        step = math.radians(self._config.coarse_yaw_step_deg if coarse else self._config.yaw_step_deg)
        reach = self._config.sigmas * prior.yaw_sigma_rad
        if reach >= math.pi - step:
            return np.arange(0.0, 2.0 * math.pi - step / 2.0, 2.0 * math.pi / round(2.0 * math.pi / step))
        count = math.ceil(max(reach - step / 2.0, 0.0) / step)
        return np.asarray(np.arange(-count, count + 1) * step, dtype=np.float64)

    def _heights(self, prior: CameraPrior, coarse: bool) -> FloatArray:
        step = math.log1p(self._config.coarse_height_step if coarse else self._config.height_step)
        if prior.height_sigma_m >= prior.height_m:
            lowest, highest = math.log(self._config.unknown_height_under), math.log(self._config.unknown_height_over)
            steps = np.arange(math.floor(lowest / step), math.ceil(highest / step) + 1)
            return np.asarray(prior.height_m * np.exp(steps * step), dtype=np.float64)
        reach = self._config.sigmas * prior.height_sigma_m / prior.height_m
        count = math.ceil(max(reach - step / 2.0, 0.0) / step)
        return np.asarray(prior.height_m * np.exp(np.arange(-count, count + 1) * step), dtype=np.float64)

    def _correlate(
        self, group: list[_Template], level: int, window: tuple[int, int, int, int], grid: MapGrid
    ) -> list[_Found]:
        reach = max(max(t.field.shape[1:]) for t in group)
        found: list[_Found] = []
        for bx, by, bw, bh in _blocks(window, reach, self._config.block_cells):
            grey, valid = self._mosaic.window(level, bx, by, bw, bh)
            if not valid.any():
                continue
            field = orientation_field(grey, valid)[: len(group[0].field)]
            rms = float(np.sqrt(np.mean(field[:, valid] ** 2))) + 1e-6
            shape = field_shape(bh + reach, bw + reach)
            spectrum = scipy.fft.rfft2(field, s=shape)
            for template in group:
                surface = correlate_spectrum(template.field, spectrum, shape)
                h, w = template.field.shape[1:]
                # Half of the template may hang over the edge of the window: circular rows are moved to the front.
                surface = np.roll(surface, (h // 2, w // 2), axis=(0, 1))[:bh, :bw]
                for row, column in _peaks(surface, 3, max(8, reach // 6)):
                    y, x = subpixel_peak(surface, row, column)
                    score = float(surface[row, column]) / template.norm / rms
                    cell = np.array([bx + x - w // 2, by + y - h // 2]) - template.cells_from_position
                    found.append(_Found(score, grid.enu_from_cell(cell), template))
        return found

    def _candidates(self, found: list[_Found], footprint_over_height: float, count: int) -> list[PlaceCandidate]:
        chosen: list[_Found] = []
        for one in sorted(found, key=lambda f: -f.score):
            apart = 0.12 * footprint_over_height * one.template.height_m
            if all(np.hypot(*(one.position_en_m - other.position_en_m)) > apart for other in chosen):
                chosen.append(one)
            if len(chosen) == count:
                break
        out = []
        for k, one in enumerate(chosen):
            margin = one.score / max(chosen[1].score, 1e-6) if k == 0 and len(chosen) > 1 else 1.0
            east, north = one.position_en_m
            place = PlaceCandidate(
                (float(east), float(north)), one.template.yaw_rad, one.template.height_m, one.score, margin
            )
            out.append(place)
        return out


def _template(
    frame: FrameRectifier, prior: CameraPrior, grid: MapGrid, turn_rad: float, height_m: float, channels: int
) -> _Template | None:
    rotation = rotation_z(turn_rad) @ prior.rotation_camera_to_enu
    position = np.array([grid.origin_enu_m[0], grid.origin_enu_m[1], grid.ground_up_m + height_m])
    laid = frame.lay(grid, position, rotation)
    if laid is None or min(laid.image.shape) < 12:
        return None
    field = orientation_field(laid.image, laid.valid)[:channels]
    norm = float(np.sqrt(np.sum(field * field)))
    if norm < 1e-3:
        return None
    offset = np.array([laid.x0, laid.y0]) - grid.anchor_cell
    return _Template(field, norm, wrap_angle(image_up_yaw(rotation)), float(height_m), offset)


def _blocks(window: tuple[int, int, int, int], reach: int, block: int) -> Iterator[tuple[int, int, int, int]]:
    """(x, y, width, height) of blocks that cover the window and overlap by `reach`."""
    x0, y0, x1, y1 = window
    step = max(block - reach, block // 2)
    for y in range(y0, max(y1 - reach, y0 + 1), step):
        for x in range(x0, max(x1 - reach, x0 + 1), step):
            yield x, y, min(block, x1 - x), min(block, y1 - y)


def _peaks(surface: FieldArray, count: int, apart: int) -> list[tuple[int, int]]:
    """The highest `count` cells at least `apart` cells from one another."""
    rest = surface.copy()
    out = []
    for _ in range(count):
        _, value, _, (column, row) = cv2.minMaxLoc(rest)
        if value <= 0.0:
            break
        out.append((row, column))
        rest[max(0, row - apart) : row + apart + 1, max(0, column - apart) : column + apart + 1] = 0.0
    return out
