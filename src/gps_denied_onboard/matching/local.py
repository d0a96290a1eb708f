"""Local template matches between two orientation fields of the same scale and heading."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from gps_denied_onboard.matching.orientation import FieldArray, MaskArray, subpixel_peak
from gps_denied_onboard.messages import FloatArray

COVERED_MIN = 0.85
SECOND_RADIUS_PX = 4


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
    template: FieldArray, valid: MaskArray, field: FieldArray, reach_px: int, patch_px: int, spacing_px: int
) -> LocalMatches:
    """Search each patch of `template` (C, h, w) within +-`reach_px` of its own place in `field`.

    `field` (C, h + 2 reach, w + 2 reach) is the map around the place where the template is believed to lie: template
    cell (y, x) corresponds to field cell (y + reach, x + reach). Patches without structure are left out.
    """
    h, w = valid.shape
    covered = cv2.integral(valid.astype(np.uint8))
    t_hwc = np.ascontiguousarray(template.transpose(1, 2, 0))
    f_hwc = np.ascontiguousarray(field.transpose(1, 2, 0))
    rows: list[tuple[float, ...]] = []
    attempted = 0
    for y in _starts(h, patch_px, spacing_px):
        for x in _starts(w, patch_px, spacing_px):
            inside = covered[y + patch_px, x + patch_px] - covered[y, x + patch_px]
            inside += covered[y, x] - covered[y + patch_px, x]
            if inside < COVERED_MIN * patch_px * patch_px:
                continue
            patch = t_hwc[y : y + patch_px, x : x + patch_px]
            region = f_hwc[y : y + patch_px + 2 * reach_px, x : x + patch_px + 2 * reach_px]
            attempted += 1
            found = _search(patch, region)
            if found is not None:
                row, column, score, ratio = found
                centre = (x + patch_px / 2.0, y + patch_px / 2.0)
                rows.append((*centre, column - reach_px, row - reach_px, score, ratio))
    table = np.array(rows, dtype=float).reshape(-1, 6)
    return LocalMatches(table[:, :2], table[:, 2:4], table[:, 4], table[:, 5], attempted)


def _starts(length_px: int, patch_px: int, spacing_px: int) -> list[int]:
    """Patch starts, evenly spread from edge to edge."""
    if length_px < patch_px:
        return []
    count = max(1, (length_px - patch_px) // spacing_px + 1)
    if count == 1:
        return [(length_px - patch_px) // 2]
    return [round(k * (length_px - patch_px) / (count - 1)) for k in range(count)]


def _search(patch: FieldArray, region: FieldArray) -> tuple[float, float, float, float] | None:
    """Best (row, column) of `patch` in `region`, its score and the ratio of the second best place's score."""
    patch_energy = float(np.vdot(patch, patch))
    if patch_energy < 0.02 * patch.shape[0] * patch.shape[1]:
        return None
    surface = cv2.matchTemplate(region, patch, cv2.TM_CCORR)
    energy = cv2.boxFilter(
        np.einsum("ijk,ijk->ij", region, region), cv2.CV_32F, patch.shape[:2][::-1], anchor=(0, 0), normalize=False
    )[: surface.shape[0], : surface.shape[1]]
    surface = surface / np.sqrt(np.maximum(energy, 0.02 * patch.shape[0] * patch.shape[1]) * patch_energy)
    row, column = np.unravel_index(int(np.argmax(surface)), surface.shape)
    score = float(surface[row, column])
    if score <= 0.0 or row in (0, surface.shape[0] - 1) or column in (0, surface.shape[1] - 1):
        return None
    y, x = subpixel_peak(surface, int(row), int(column))
    r = SECOND_RADIUS_PX
    rest = surface.copy()
    rest[max(0, row - r) : row + r + 1, max(0, column - r) : column + r + 1] = -1.0
    second = float(rest.max())
    return y, x, score, max(second, 0.0) / score
