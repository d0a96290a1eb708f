"""Place search: the frame, laid on the map's grid under heading and height hypotheses, correlated with the map.

With a prior the window is its 3-sigma region; without one it is the whole map, block by block. The same correlation
serves both, so a kidnapped start needs no index of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

import cv2
import numpy as np

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import image_up_yaw, rotation_z, wrap_angle
from gps_denied_onboard.imaging.orientation import (
    CHANNELS,
    FieldArray,
    SpectrumArray,
    correlate_spectra,
    field_shape,
    field_spectrum,
    orientation_field,
    subpixel_peak,
    template_spectrum,
)
from gps_denied_onboard.imaging.orthorectify import MapGrid, Orthorectifier
from gps_denied_onboard.localisation.place_config import PlaceConfig
from gps_denied_onboard.messages import CameraPrior, FloatArray, PlaceCandidate
from gps_denied_onboard.tiles.mosaic import MapMosaic

HILLS_KNOWN_M = 120.0
"""A place that is less known than this lies over other hills than the prior's."""
PEAKS = 3
"""Best places of a template that are kept in each piece of the map: a right place is the first or the second."""
PEAKS_APART_CELLS = 8
"""At least so far apart, and a sixth of the template: nearer cells are flanks of one peak (smoothing 1.5 cells)."""

REACH_STEP_CELLS = 16
"""What lies around a piece is rounded up to this, so that frames from about one height share prepared pieces."""

InOrder = Callable[..., Iterable[Any]]


Window = tuple[int, int, int, int]
"""(x0, y0, x1, y1) of cells."""


@dataclass(frozen=True, slots=True, eq=False)
class _Reach:
    """The part of the map, `window`, that a position at the cell `centre` with `sigma` (2,) cells leaves; `margin`
    cells of it at each side belong to frames whose middle lies further in."""

    window: Window
    centre: FloatArray
    sigma: FloatArray
    margin: float

    def within(self, cells: float) -> Window:
        """So many cells of it, those nearest to the centre; twice the margin and a half in any case."""
        low, high = np.array(self.window[:2]), np.array(self.window[2:])
        size = high - low
        if size.min() <= 0 or float(size[0]) * float(size[1]) <= cells:
            return self.window
        short = int(np.argmin(size))
        sides = np.full(2, math.sqrt(cells))
        sides[short] = min(sides[short], float(size[short]))
        sides[1 - short] = cells / sides[short]
        sides = np.ceil(np.minimum(np.maximum(sides, 3.0 * self.margin), size)).astype(int)
        first = np.clip(np.floor(self.centre - 0.5 * sides).astype(int), low, high - sides)
        x, y = (int(v) for v in first)
        return x, y, x + int(sides[0]), y + int(sides[1])

    def probability(self, part: Window) -> float:
        """Of the position's normal distribution: that a frame lies in a part of the window, clear of its cut sides."""
        out = 1.0
        for axis in range(2):
            low, high = self.window[axis], self.window[axis + 2]
            ends = (part[axis], part[axis + 2])
            inner = (
                ends[0] + self.margin if ends[0] > low else ends[0],
                ends[1] - self.margin if ends[1] < high else ends[1],
            )
            off = (np.array(inner) - self.centre[axis]) / self.sigma[axis] / math.sqrt(2.0)
            out *= 0.5 * max(math.erf(off[1]) - math.erf(off[0]), 0.0)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class _Template:
    field: FieldArray
    norm: float
    yaw_rad: float
    height_m: float
    cells_from_position: FloatArray


@dataclass(frozen=True, slots=True)
class _Tiling:
    """A window (x0, y0, x1, y1) cut into equal pieces of `rows` by `columns`, the last of which may reach beyond it.
    Each is transformed, with half of `reach` around it, at the size `shape`."""

    window: Window
    rows: int
    columns: int
    reach: int

    @property
    def shape(self) -> tuple[int, int]:
        return field_shape(self.rows + self.reach, self.columns + self.reach)

    @property
    def corners(self) -> list[tuple[int, int]]:
        """(x, y) of each piece's first cell."""
        x0, y0, x1, y1 = self.window
        return [(x, y) for y in range(y0, y1, self.rows) for x in range(x0, x1, self.columns)]


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """A piece with what lies around it: where it begins, its field's transform and that field's RMS."""

    x: int
    y: int
    spectrum: SpectrumArray
    rms: float


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    score: float
    position_en_m: FloatArray
    template: _Template


@dataclass(frozen=True, slots=True, eq=False)
class SearchStage:
    """One search of a frame: its longer side becomes `cells` map cells under each of the heights. `yaw_step_rad` is
    between headings, `channels` of the field are compared."""

    cells: float
    heights_m: FloatArray
    candidates: int
    yaw_step_rad: float
    channels: int


class GridPlace:
    """Finds where on the map a frame could lie. Holds the map, with its transforms, and no state of the flight."""

    def __init__(self, mosaic: MapMosaic, local: LocalFrame, config: PlaceConfig, in_order: InOrder = map) -> None:
        """`in_order` runs independent pieces of a search, as `map` does: an executor's lets them share the cores."""
        self._in_order = in_order
        self._prepared: dict[tuple[int, _Tiling, int], list[_Block]] = {}
        self._mosaic = mosaic
        self._local = local
        self._config = config

    @property
    def same_place(self) -> float:
        """Places nearer than this part of the frame's ground length are one place."""
        return self._config.same_place

    def cells(self, length_m: float) -> float:
        """How many of the tiles' own cells a length on the ground has."""
        return length_m / self._gsd_m(0)

    def _cells(self, gsd_m: float) -> int:
        """How many cells the whole map has at about this resolution."""
        x0, y0, x1, y1 = self._mosaic.bounds_px(self.pyramid_level(gsd_m))
        return (x1 - x0) * (y1 - y0)

    def search_stages(self, prior: CameraPrior, footprint_m: float) -> tuple[SearchStage, ...]:
        """Searches to try one after the other until a place is accepted. `footprint_m` as for `search`.

        An unknown height is searched an octave at a time from the highest down: the larger the footprint, the fewer map
        cells, so that what takes long is only tried when the rest has failed.
        """
        cfg = self._config
        fine = self._heights(prior, cfg.height_step)
        if prior.position_known:
            yaw_step = math.radians(cfg.yaw_step_deg)
            return (SearchStage(cfg.footprint_cells, fine, cfg.candidates, yaw_step, CHANNELS),)
        if prior.height_sigma_m < prior.height_m and self._cells(footprint_m / cfg.whole_footprint_cells) <= (
            cfg.whole_cells_max
        ):
            heights = self._heights(prior, cfg.whole_height_step)
            yaw_step = math.radians(cfg.whole_yaw_step_deg)
            return (SearchStage(cfg.whole_footprint_cells, heights, cfg.whole_candidates, yaw_step, CHANNELS),)
        heights = self._heights(prior, cfg.coarse_height_step)
        yaw_step, channels = math.radians(cfg.coarse_yaw_step_deg), CHANNELS // 2
        if len(fine) <= cfg.fine_heights_max:
            coarse = SearchStage(cfg.coarse_footprint_cells, heights, cfg.candidates_unknown, yaw_step, channels)
            return (coarse, SearchStage(cfg.footprint_cells, heights, cfg.candidates_unknown, yaw_step, channels))
        octave = np.floor(np.log2(heights.max() / heights) + 1e-9).astype(int)
        return tuple(
            SearchStage(cfg.coarse_footprint_cells, heights[octave == k], cfg.candidates_unscaled, yaw_step, channels)
            for k in range(int(octave.max()) + 1)
        )

    def search(
        self,
        frame: Orthorectifier,
        prior: CameraPrior,
        footprint_m: float,
        ground_up_m: float,
        search_stage: SearchStage,
    ) -> list[PlaceCandidate]:
        """Best places, best first. `footprint_m` is the ground length of the frame's longer side at the prior's height.
        An octave of heights for which
        the map has more than `unscaled_cells_max` cells is left out: see PlaceConfig.

        `score` is the correlation over the template's norm, in units of the map field's RMS: comparable between
        hypotheses. `margin` is the best score over that of the best place elsewhere (1 for every other candidate).
        """
        by_level: dict[int, list[float]] = {}
        for height_m in search_stage.heights_m:
            level = self.pyramid_level(footprint_m * height_m / prior.height_m / search_stage.cells)
            by_level.setdefault(level, []).append(float(height_m))
        found: list[_Found] = []
        templates = self._count(prior, search_stage)
        for level, heights_m in by_level.items():
            window = self._window_px(prior, footprint_m, level, ground_up_m, templates)
            width, height = window[2] - window[0], window[3] - window[1]
            if width < 16 or height < 16:
                continue
            if prior.height_sigma_m >= prior.height_m and width * height > self._config.unscaled_cells_max:
                continue
            centre = self._centre_enu(*window, level, ground_up_m)
            grid = MapGrid.at(self._local, self._mosaic.zoom, level, centre, ground_up_m)
            if drawn := self._templates(frame, prior, grid, heights_m, search_stage):
                found.extend(self._correlate(drawn, level, window, grid))
        return self._candidates(found, footprint_m / prior.height_m, search_stage.candidates)

    def tried(self, prior: CameraPrior, footprint_m: float, search_stage: SearchStage) -> float:
        """About how many independent places a search compares: those that the window has room for beside one another,
        at a `same_place` of distance, under each heading and height."""
        templates = self._count(prior, search_stage)
        level = self.pyramid_level(footprint_m / search_stage.cells)
        window = self._window_px(prior, footprint_m, level, 0.0, templates)
        cells = max(window[2] - window[0], 1) * max(window[3] - window[1], 1)
        apart = max(self._config.same_place * search_stage.cells, 1.0)
        return cells / apart**2 * templates

    def covered(self, prior: CameraPrior, footprint_m: float, search_stage: SearchStage) -> float:
        """Probability that a search reaches the place, if that is on the map: less than 1 where `window_cells_max` cuts
        its window."""
        if not prior.position_known:
            return 1.0
        level = self.pyramid_level(footprint_m / search_stage.cells)
        reach = self._reach(prior, footprint_m, level, 0.0)
        cut = reach.within(self._config.window_cells_max / self._count(prior, search_stage))
        if cut == reach.window:
            return 1.0
        part = reach.probability(cut) / max(reach.probability(reach.window), 1e-12)
        return min(part, 1.0)

    def _count(self, prior: CameraPrior, search_stage: SearchStage) -> int:
        """Under how many headings and heights a search draws the frame."""
        return len(search_stage.heights_m) * len(self._yaw_hypotheses(prior, search_stage.yaw_step_rad))

    def pyramid_level(self, gsd_m: float) -> int:
        """Map level whose cells are closest to `gsd_m`, at least that of the tiles."""
        return int(np.clip(round(math.log2(max(gsd_m, 1e-6) / self._gsd_m(0))), 0, 7))

    def _gsd_m(self, level: int) -> float:
        """Size of a map cell at the origin."""
        return MapGrid.at(self._local, self._mosaic.zoom, level, np.zeros(2), 0.0).gsd_m

    def _window_px(
        self, prior: CameraPrior, footprint_m: float, level: int, ground_up_m: float, templates: int
    ) -> Window:
        """(x0, y0, x1, y1) of the cells to be searched: a position's whole reach on the map, or as much of it, nearest
        to the position, as so many templates can be compared with in the time that there is."""
        if not prior.position_known:
            return self._mosaic.bounds_px(level)
        reach = self._reach(prior, footprint_m, level, ground_up_m)
        return reach.within(self._config.window_cells_max / templates)

    def _reach(self, prior: CameraPrior, footprint_m: float, level: int, ground_up_m: float) -> _Reach:
        """What a known position leaves of the map at a level."""
        bounds = self._mosaic.bounds_px(level)
        grid = MapGrid.at(self._local, self._mosaic.zoom, level, prior.position_enu_m[:2], ground_up_m)
        tilt_rad = min(self._config.sigmas * prior.tilt_sigma_rad, self._config.tilt_reach_rad_max)
        tilt_m = prior.height_m * math.tan(tilt_rad)
        ray = prior.rotation_camera_to_enu[:, 2]
        lean = ray[:2] / max(-float(ray[2]), 0.2) * prior.height_m
        sigma_m = np.sqrt(np.diag(prior.covariance_enu_m2)[:2])
        margin_m = self._config.window_margin * footprint_m
        half = (margin_m + self._config.sigmas * sigma_m + tilt_m) / grid.gsd_m
        c = grid.cell_from_enu(prior.position_enu_m[:2] + lean)
        x0, y0 = np.floor(c - half).astype(int)
        x1, y1 = np.ceil(c + half).astype(int)
        window = max(x0, bounds[0]), max(y0, bounds[1]), min(x1, bounds[2]), min(y1, bounds[3])
        return _Reach(window, c, np.maximum(sigma_m / grid.gsd_m, 1e-3), margin_m / grid.gsd_m)

    def _centre_enu(self, x0: int, y0: int, x1: int, y1: int, level: int, ground_up_m: float) -> FloatArray:
        zoom = float(self._mosaic.zoom - level)
        altitude_m = float(self._local.geodetic_from_enu([0.0, 0.0, ground_up_m])[2])
        return self._local.enu_from_mercator_px([(x0 + x1) / 2.0, (y0 + y1) / 2.0], zoom, altitude_m)[:2]

    def _templates(
        self,
        frame: Orthorectifier,
        prior: CameraPrior,
        grid: MapGrid,
        heights_m: list[float],
        search_stage: SearchStage,
    ) -> list[_Template]:
        turns, channels = self._yaw_hypotheses(prior, search_stage.yaw_step_rad), search_stage.channels
        made = (_template(frame, prior, grid, turn, height_m, channels) for height_m in heights_m for turn in turns)
        return [template for template in made if template is not None]

    def _yaw_hypotheses(self, prior: CameraPrior, step: float) -> FloatArray:
        reach = self._config.sigmas * prior.yaw_sigma_rad
        if reach >= math.pi - step:
            return np.arange(0.0, 2.0 * math.pi - step / 2.0, 2.0 * math.pi / round(2.0 * math.pi / step))
        count = math.ceil(max(reach - step / 2.0, 0.0) / step)
        return np.asarray(np.arange(-count, count + 1) * step, dtype=np.float64)

    def _heights(self, prior: CameraPrior, part: float) -> FloatArray:
        step = math.log1p(part)
        if prior.height_sigma_m >= prior.height_m:
            lowest, highest = math.log(self._config.unknown_height_under), math.log(self._config.unknown_height_over)
            steps = np.arange(math.floor(lowest / step), math.ceil(highest / step) + 1)
            return np.asarray(prior.height_m * np.exp(steps * step), dtype=np.float64)
        reach = self._config.sigmas * prior.height_sigma_m / prior.height_m
        count = math.ceil(max(reach - step / 2.0, 0.0) / step)
        return np.asarray(prior.height_m * np.exp(np.arange(-count, count + 1) * step), dtype=np.float64)

    def _correlate(self, templates: list[_Template], level: int, window: Window, grid: MapGrid) -> list[_Found]:
        largest = max(max(t.field.shape[1:]) for t in templates)
        reach = math.ceil(largest / REACH_STEP_CELLS) * REACH_STEP_CELLS
        cut = _tiling(window, reach, max(self._config.block_cells - reach, reach))
        corners, shape, channels = cut.corners, cut.shape, len(templates[0].field)
        together = max(1, self._config.spectra_mb * 1024 * 1024 // (channels * shape[0] * (shape[1] // 2 + 1) * 8))
        found: list[_Found] = []

        def fits(template: _Template, parts: list[_Block]) -> list[_Found]:
            spectrum = template_spectrum(template.field, shape)
            return [one for part in parts for one in _found_in(part, cut, template, spectrum, grid)]

        for first in range(0, len(corners), together):
            parts = self._parts(level, cut, channels, corners[first : first + together])
            for of_template in self._in_order(fits, templates, repeat(parts)):
                found.extend(of_template)
        return found

    def _parts(self, level: int, cut: _Tiling, channels: int, corners: list[tuple[int, int]]) -> list[_Block]:
        """The pieces of these corners. A whole map that fits into `spectra_mb` stays prepared for the next frame."""
        whole = cut.window == self._mosaic.bounds_px(level) and len(corners) == len(cut.corners)
        key = (level, cut, channels)
        if whole and key in self._prepared:
            return self._prepared[key]
        made = self._in_order(partial(self._block, level, cut, channels), corners)
        parts = [part for part in made if part is not None]
        if whole:
            held = (sum(part.spectrum.nbytes for part in kept) for kept in (*self._prepared.values(), parts))
            if sum(held) > self._config.spectra_mb * 1024 * 1024:
                self._prepared.clear()
            self._prepared[key] = parts
        return parts

    def _block(self, level: int, cut: _Tiling, channels: int, corner: tuple[int, int]) -> _Block | None:
        """The piece whose first cell (x, y) is `corner`; None where the map has nothing."""
        x, y = corner[0] - cut.reach // 2, corner[1] - cut.reach // 2
        rows, columns = cut.shape
        left, top = max(x, cut.window[0]), max(y, cut.window[1])
        right, bottom = min(x + columns, cut.window[2]), min(y + rows, cut.window[3])
        grey, valid = self._mosaic.window(level, left, top, right - left, bottom - top)
        if not valid.any():
            return None
        field = orientation_field(grey, valid, channels)
        known = field if valid.all() else field[:, valid]
        rms = math.sqrt(float(np.vdot(known, known)) / known.size) + 1e-6
        padded = np.zeros((channels, rows, columns), np.float32)
        padded[:, top - y : bottom - y, left - x : right - x] = field
        return _Block(x, y, field_spectrum(padded, cut.shape), rms)

    def _candidates(self, found: list[_Found], footprint_over_height: float, count: int) -> list[PlaceCandidate]:
        chosen: list[_Found] = []
        for one in sorted(found, key=lambda f: -f.score):
            apart = self._config.same_place * footprint_over_height * one.template.height_m
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
    frame: Orthorectifier, prior: CameraPrior, grid: MapGrid, turn_rad: float, height_m: float, channels: int
) -> _Template | None:
    rotation = rotation_z(turn_rad) @ prior.rotation_camera_to_enu
    position = np.array([grid.origin_enu_m[0], grid.origin_enu_m[1], grid.ground_up_m + height_m])
    anchor = grid.anchor_cell
    placed = prior.position_known and prior.horizontal_sigma_m < HILLS_KNOWN_M
    if placed and frame.ground is not None and frame.ground.flat is not None:
        position[:2] = prior.position_enu_m[:2]  # over the hills that are expected to be there
        anchor = grid.cell_from_enu(position[:2])
    laid = frame.orthorectify(grid, position, rotation, plane=not placed)
    if laid is None or min(laid.image.shape) < 12:
        return None
    field = orientation_field(laid.image, laid.valid, channels)
    norm = float(np.sqrt(np.sum(field * field)))
    if norm < 1e-3:
        return None
    offset = np.array([laid.x0, laid.y0]) - anchor
    return _Template(field, norm, wrap_angle(image_up_yaw(rotation)), float(height_m), offset)


def _tiling(window: Window, reach: int, side: int) -> _Tiling:
    """A window in pieces of at most `side` cells a side."""
    x0, y0, x1, y1 = window
    columns, rows = x1 - x0, y1 - y0
    return _Tiling(
        window, math.ceil(rows / math.ceil(rows / side)), math.ceil(columns / math.ceil(columns / side)), reach
    )


def _found_in(
    part: _Block, cut: _Tiling, template: _Template, spectrum: SpectrumArray, grid: MapGrid
) -> Iterator[_Found]:
    """Where a template's middle fits best in a piece."""
    h, w = template.field.shape[1:]
    top, left = cut.reach // 2 - h // 2, cut.reach // 2 - w // 2
    surface = correlate_spectra(spectrum, part.spectrum, cut.shape)[top : top + cut.rows, left : left + cut.columns]
    for y, x, value in _peaks(surface, PEAKS, max(PEAKS_APART_CELLS, cut.reach // 6)):
        cell = np.array([part.x + left + x, part.y + top + y]) - template.cells_from_position
        yield _Found(value / template.norm / part.rms, grid.enu_from_cell(cell), template)


def _peaks(surface: FieldArray, count: int, apart: int) -> list[tuple[float, float, float]]:
    """(row, column, value) of the highest `count` cells at least `apart` cells from one another; spoils `surface`."""
    out = []
    for _ in range(count):
        _, value, _, (column, row) = cv2.minMaxLoc(surface)
        if value <= 0.0:
            break
        out.append((*subpixel_peak(surface, row, column), value))
        surface[max(0, row - apart) : row + apart + 1, max(0, column - apart) : column + apart + 1] = 0.0
    return out
