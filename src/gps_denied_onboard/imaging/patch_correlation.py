"""Local template matches between two orientation fields of the same scale and heading."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gps_denied_onboard.imaging import fft
from gps_denied_onboard.imaging.orientation import FieldArray, MaskArray
from gps_denied_onboard.messages import FloatArray

COVERED_MIN = 0.85
SECOND_RADIUS_PX = 4
FLAT_ENERGY = 0.02
"""A patch with less energy a cell than this has no structure."""


@dataclass(frozen=True, slots=True, eq=False)
class LocalMatches:
    """`template_xy` (N, 2) patch centres in the template's array coordinates (pixel centres at +0.5), `shift_xy` (N, 2)
    displacement to the best place in the field, `score` (N,) normalised correlation there, `ratio` (N,) second best
    place's score over the best one's, `attempted` how many patches had data."""

    template_xy: FloatArray
    shift_xy: FloatArray
    score: FloatArray
    ratio: FloatArray
    attempted: int


def match_patches(
    template: FieldArray, valid: MaskArray, field: FieldArray, reach_px: int, patch_px: int
) -> LocalMatches:
    """Search each patch of `template` (C, h, w) within +-`reach_px` of its own place in `field`.

    `field` (C, h + 2 reach, w + 2 reach) is the map around the place where the template is believed to lie: template
    cell (y, x) corresponds to field cell (y + reach, x + reach). Patches are squares of four blocks and overlap by one
    block; each block is correlated once. Patches without structure are left out. `patch_px` is even.
    """
    h, w = valid.shape
    block_px, side = patch_px // 2, 2 * reach_px + 1
    rows, columns = h // block_px - 1, w // block_px - 1
    if rows < 1 or columns < 1:
        return LocalMatches(np.empty((0, 2)), np.empty((0, 2)), np.empty(0), np.empty(0), 0)
    y0, x0 = (h % block_px) // 2, (w % block_px) // 2
    at_y, at_x = np.meshgrid(y0 + block_px * np.arange(rows), x0 + block_px * np.arange(columns), indexing="ij")
    tried = _box_sums(valid, patch_px)[at_y, at_x] >= COVERED_MIN * patch_px * patch_px
    flat = FLAT_ENERGY * patch_px * patch_px
    patch_energy = _box_sums(_energy(template), patch_px)[at_y, at_x]
    used = tried & (patch_energy >= flat)
    surfaces = _block_surfaces(template, field, used, (y0, x0), block_px, side)
    surfaces = surfaces[:-1, :-1] + surfaces[:-1, 1:] + surfaces[1:, :-1] + surfaces[1:, 1:]
    field_energy = np.maximum(_box_sums(_energy(field), patch_px), flat)
    energies = sliding_window_view(field_energy, (side, side))[at_y[used], at_x[used]]
    inside, found = _peaks(surfaces[used] / np.sqrt(energies * patch_energy[used][:, None, None]))
    row, column, score, ratio = found
    centres = np.stack([at_x[used], at_y[used]], axis=1)[inside] + patch_px / 2.0
    shifts = np.stack([column, row], axis=1) - reach_px
    return LocalMatches(centres, shifts, score, ratio, int(np.count_nonzero(tried)))


def _energy(field: FieldArray) -> FieldArray:
    """(H, W) sum of squares over the channels."""
    return np.asarray(np.einsum("ijk,ijk->jk", field, field))


def _box_sums(values: FloatArray | FieldArray | MaskArray, side_px: int) -> FloatArray:
    """(H - side + 1, W - side + 1) sums over all squares of `values` (H, W)."""
    total = cv2.integral(values.astype(np.float32), sdepth=cv2.CV_64F)
    sums = total[side_px:, side_px:] - total[:-side_px, side_px:] - total[side_px:, :-side_px]
    return np.asarray(sums + total[:-side_px, :-side_px])


def _block_surfaces(
    template: FieldArray, field: FieldArray, used: MaskArray, start: tuple[int, int], block_px: int, side: int
) -> FieldArray:
    """(rows + 1, columns + 1, side, side) correlation of each block with `field`, from the block's own corner on.

    Only for blocks of a `used` (rows, columns) patch; zero elsewhere.
    """
    rows, columns = used.shape
    needed = np.zeros((rows + 1, columns + 1), dtype=bool)
    for dy in (0, 1):
        for dx in (0, 1):
            needed[dy : dy + rows, dx : dx + columns] |= used
    region_px = block_px + side - 1
    size = fft.next_fast_len(region_px)
    blocks = sliding_window_view(template, (block_px, block_px), axis=(1, 2))
    regions = sliding_window_view(field, (region_px, region_px), axis=(1, 2))
    out = np.zeros((rows + 1, columns + 1, side, side), np.float32)
    for row in range(rows + 1):
        column = np.flatnonzero(needed[row])
        y, x = start[0] + block_px * row, start[1] + block_px * column
        # Axis by axis: most of a block's rows are padding, and most of the result's rows are of no use.
        spectrum = fft.rfft(blocks[:, y, x], size, 3)
        spectrum = fft.fft(spectrum, size, 2)
        np.conjugate(spectrum, out=spectrum)
        spectrum *= fft.rfft2(regions[:, y, x], (size, size))
        wrapped = fft.ifft(spectrum.sum(axis=0), 1)[:, :side]
        out[row, column] = fft.irfft(wrapped, size, 2)[:, :, :side]
    return out


def _peaks(surfaces: FieldArray) -> tuple[MaskArray, FloatArray]:
    """Which of the (N, side, side) surfaces have a best place that is positive and not at the rim, where it may go on
    beyond, and for these M (4, M): its row and column, its score, the second best place's share of it. The second best
    place is the best one more than SECOND_RADIUS_PX away.
    """
    count, side, _ = surfaces.shape
    each = np.arange(count)
    row, column = np.divmod(surfaces.reshape(count, side * side).argmax(axis=1), side)
    inside = (row > 0) & (row < side - 1) & (column > 0) & (column < side - 1) & (surfaces[each, row, column] > 0.0)
    surfaces, row, column = surfaces[inside], row[inside], column[inside]
    each = np.arange(len(row))
    score = surfaces[each, row, column].astype(np.float64)
    y = row + _parabola_peak(surfaces[each, row - 1, column], score, surfaces[each, row + 1, column])
    x = column + _parabola_peak(surfaces[each, row, column - 1], score, surfaces[each, row, column + 1])
    near_row = np.abs(np.arange(side) - row[:, None]) <= SECOND_RADIUS_PX
    near_column = np.abs(np.arange(side) - column[:, None]) <= SECOND_RADIUS_PX
    rest = np.where(near_row[:, :, None] & near_column[:, None, :], -1.0, surfaces)
    second = rest.reshape(len(rest), side * side).max(axis=1)
    return inside, np.stack([y, x, score, np.maximum(second, 0.0) / score])


def _parabola_peak(before: FieldArray, here: FloatArray, after: FieldArray) -> FloatArray:
    """(N,) offset of the maximum of the parabola through three neighbours, at most half a cell."""
    curvature = before - 2.0 * here + after
    offset = 0.5 * (before - after) / np.where(curvature < 0.0, curvature, -np.inf)
    return np.asarray(np.clip(offset, -0.5, 0.5))
