"""Seeded noise: random streams by key, smooth lattice noise at any point, and tileable textures."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.messages import FloatArray, ImageArray

TEXTURE_SIZE_PX = 2048
TEXTURE_STORED_PX = 4608
"""Textures are stored repeated up to this size: sampling inside is three times faster than wrapping around."""


def stream(seed: int, tag: str, *key: int) -> np.random.Generator:
    """The random stream of (seed, tag, key): the same for ever, independent of the order of asking."""
    return np.random.default_rng([seed & 0xFFFFFFFF, zlib.crc32(tag.encode()), *(k & 0xFFFFFFFF for k in key)])


def _lattice_values(i: npt.NDArray[np.int64], j: npt.NDArray[np.int64], salt: int) -> FloatArray:
    """Hash of lattice corners to -1..1 (splitmix64 finaliser, Steele et al. 2014)."""
    mask = np.uint64(0xFFFFFFFFFFFFFFFF)
    with np.errstate(over="ignore"):
        h = i.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + j.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
        h += np.uint64(salt & 0xFFFFFFFF) * np.uint64(0x165667B19E3779F9)
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9) & mask
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB) & mask
        h ^= h >> np.uint64(31)
    return np.asarray((h >> np.uint64(40)).astype(np.float64) * (2.0 / 16777216.0) - 1.0)


def lattice_noise(x_m: npt.ArrayLike, y_m: npt.ArrayLike, cell_m: float, salt: int) -> FloatArray:
    """Value noise in -1..1 with features of about `cell_m`, twice differentiable; same shape as the broadcast input."""
    u = np.asarray(x_m, dtype=np.float64) / cell_m
    v = np.asarray(y_m, dtype=np.float64) / cell_m
    i, j = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    fu, fv = u - i, v - j
    su = fu * fu * fu * (fu * (fu * 6.0 - 15.0) + 10.0)
    sv = fv * fv * fv * (fv * (fv * 6.0 - 15.0) + 10.0)
    a, b = _lattice_values(i, j, salt), _lattice_values(i + 1, j, salt)
    c, d = _lattice_values(i, j + 1, salt), _lattice_values(i + 1, j + 1, salt)
    low = a + (b - a) * su
    return np.asarray(low + (c + (d - c) * su - low) * sv)


def _octave(rng: np.random.Generator, rows: int, columns: int, size: int) -> npt.NDArray[np.float32]:
    """One octave of tileable noise: `rows` x `columns` random cells, interpolated to `size` x `size`."""
    import cv2

    if rows == size and columns == size:
        return rng.standard_normal((size, size), dtype=np.float32)
    small = rng.standard_normal((rows, columns), dtype=np.float32)
    padded = np.pad(small, 2, mode="wrap")
    fy, fx = size // rows, size // columns
    big = cv2.resize(padded, (padded.shape[1] * fx, padded.shape[0] * fy), interpolation=cv2.INTER_CUBIC)
    return np.asarray(big[2 * fy : 2 * fy + size, 2 * fx : 2 * fx + size], dtype=np.float32)


def tileable_texture(rng: np.random.Generator, octaves: list[tuple[int, int, float]]) -> ImageArray:
    """(4608, 4608) uint8 texture that repeats each 2048 without a seam, mean 128, standard deviation 40.

    `octaves`: (rows, columns, weight), rows and columns powers of two up to 2048.
    """
    total = np.zeros((TEXTURE_SIZE_PX, TEXTURE_SIZE_PX), dtype=np.float32)
    for rows, columns, weight in octaves:
        total += np.float32(weight) * _octave(rng, rows, columns, TEXTURE_SIZE_PX)
    total *= np.float32(40.0) / total.std()
    total += np.float32(128.0) - total.mean()
    more = TEXTURE_STORED_PX - TEXTURE_SIZE_PX
    once = np.clip(total, 0, 255).astype(np.uint8)
    return np.asarray(np.pad(once, ((0, more), (0, more)), mode="wrap"), dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Textures:
    """Textures of period 2048, stored as (4608, 4608) uint8 about 128.

    `patches`: isotropic, most power at low frequency (soil, moisture); `grain`: fine isotropic; `rows`: streaks along
    x, varying along y at many spacings; `clumps`: middle frequencies (grass, crowns).
    """

    patches: ImageArray
    grain: ImageArray
    rows: ImageArray
    clumps: ImageArray


def make_textures(seed: int) -> Textures:
    """All textures of a world (about 0.5 s)."""
    rng = stream(seed, "textures")
    return Textures(
        patches=tileable_texture(
            rng, [(8, 8, 0.9), (16, 16, 0.8), (32, 32, 0.6), (64, 64, 0.5), (128, 128, 0.4), (512, 512, 0.25)]
        ),
        grain=tileable_texture(rng, [(512, 512, 0.5), (1024, 1024, 0.8), (2048, 2048, 0.6)]),
        rows=tileable_texture(
            rng, [(32, 2, 0.35), (128, 4, 0.6), (256, 16, 0.7), (512, 32, 0.9), (1024, 64, 0.8), (512, 512, 0.3)]
        ),
        clumps=tileable_texture(rng, [(64, 64, 0.5), (128, 128, 0.8), (256, 256, 0.9), (512, 512, 0.8)]),
    )
