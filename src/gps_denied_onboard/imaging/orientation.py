"""Dense gradient-orientation fields and their correlation: what makes a photograph and a map comparable.

The gradient's direction, doubled, is blind to contrast reversal, so season and sensor hardly matter. A field has four
real channels: cosine and sine of the doubled angle and of the fourfold angle, weighted by the gradient's magnitude,
smoothed, and divided by the local energy. After CFOG (Ye et al. 2019) and orientation correlation (Fitch et al. 2002).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from gps_denied_onboard._native import normalise_planes, orientation_harmonics
from gps_denied_onboard.imaging import fft
from gps_denied_onboard.messages import ImageArray

FieldArray = npt.NDArray[np.float32]
MaskArray = npt.NDArray[np.bool_]
SpectrumArray = npt.NDArray[np.complex64]

CHANNELS = 4
SMOOTHING_PX = 1.5
ENERGY_PX = 6.0
NOISE_GREY = 2.0
"""Gradient magnitude (grey levels a pixel) below which a place counts as flat: sensor noise and JPEG blocks."""


def orientation_field(image: ImageArray, valid: MaskArray | None = None, channels: int = CHANNELS) -> FieldArray:
    """(channels, H, W) orientation field of a grey picture; zero where `valid` (H, W) is False and at its rim.

    Channels: cos 2t, sin 2t and, with four of them, cos 4t, sin 4t of the gradient direction t (image axes, y down).
    """
    grey = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.8)
    gx = np.asarray(cv2.Scharr(grey, cv2.CV_32F, 1, 0, scale=1.0 / 32.0), np.float32)
    gy = np.asarray(cv2.Scharr(grey, cv2.CV_32F, 0, 1, scale=1.0 / 32.0), np.float32)
    inner = None
    if valid is not None:
        inner = np.asarray(cv2.erode(valid.astype(np.uint8), np.ones((7, 7), np.uint8)), np.uint8)
    field, power = orientation_harmonics(gx, gy, inner, channels // 2)
    for channel in field:
        cv2.GaussianBlur(channel, (0, 0), SMOOTHING_PX, dst=channel)
    energy = np.asarray(cv2.GaussianBlur(power, (0, 0), ENERGY_PX), np.float32)
    normalise_planes(field, energy, NOISE_GREY**2)
    return field


def correlate(template: FieldArray, field: FieldArray) -> FieldArray:
    """Correlation of `template` (C, h, w) with `field` (C, H, W) at all (H - h + 1, W - w + 1) whole offsets."""
    h, w = template.shape[1:]
    shape = field_shape(field.shape[1], field.shape[2])
    surface = correlate_spectra(template_spectrum(template, shape), field_spectrum(field, shape), shape)
    return surface[: field.shape[1] - h + 1, : field.shape[2] - w + 1]


def field_shape(height: int, width: int) -> tuple[int, int]:
    """Transform size for a field of this size."""
    return (fft.next_fast_len(height), fft.next_fast_len(width))


def field_spectrum(field: FieldArray, shape: tuple[int, int]) -> SpectrumArray:
    """(C, rows, columns) transform of a map's field, for many templates."""
    return fft.rfft2(field, shape)


def template_spectrum(template: FieldArray, shape: tuple[int, int]) -> SpectrumArray:
    """(C, rows, columns) conjugate transform of a template, for many fields."""
    # Row by row first: most of the rows that rfft2 would transform are padding.
    t = fft.fft(fft.rfft(template, shape[1], 2), shape[0], 1)
    return np.asarray(np.conjugate(t, out=t))


def correlate_spectra(template: SpectrumArray, field: SpectrumArray, shape: tuple[int, int]) -> FieldArray:
    """Circular correlation, of size `shape`, of a template with a field."""
    product = template[0] * field[0]
    term = np.empty_like(product)
    for k in range(1, len(template)):
        product += np.multiply(template[k], field[k], out=term)
    return np.asarray(fft.irfft2(product, shape), dtype=np.float32)


def subpixel_peak(surface: FieldArray, row: int, column: int) -> tuple[float, float]:
    """(row, column) of the maximum near a whole-pixel peak, by parabolas through its neighbours."""

    def offset(before: float, here: float, after: float) -> float:
        curvature = before - 2.0 * here + after
        return 0.0 if curvature >= 0.0 else float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))

    dr = dc = 0.0
    if 0 < row < surface.shape[0] - 1:
        dr = offset(*(float(surface[row + k, column]) for k in (-1, 0, 1)))
    if 0 < column < surface.shape[1] - 1:
        dc = offset(*(float(surface[row, column + k]) for k in (-1, 0, 1)))
    return row + dr, column + dc
