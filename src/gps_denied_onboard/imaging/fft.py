"""Fourier transforms of pictures: SciPy's pocketfft by itself.

`import scipy.fft` brings in SciPy's special functions and NumPy's test and Fortran tools, 28 MB that no flight uses.
The functions here are those of `scipy.fft` with the same bytes, for float32, float64 and their complex numbers.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

Array = npt.NDArray[Any]

UNSCALED, BY_SIZE = 0, 2
"""What pocketfft divides by: nothing, or the transform's size."""


def _load() -> Any:
    folder = Path(scipy.__file__).parent / "fft" / "_pocketfft"
    files = (folder / f"pypocketfft{suffix}" for suffix in importlib.machinery.EXTENSION_SUFFIXES)
    name = "scipy.fft._pocketfft.pypocketfft"
    found = next(file for file in files if file.is_file())
    spec = importlib.util.spec_from_file_location(name, found)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_pocketfft = _load()


def next_fast_len(size: int) -> int:
    """The next size from this one on whose real transform is quick."""
    return int(_pocketfft.good_size(size, True))


def rfft(x: Array, n: int, axis: int) -> Array:
    """Of a real array along one axis, cut or filled with zeros to `n`."""
    return np.asarray(_pocketfft.r2c(_sized(x, {axis: n}), (axis,), True, UNSCALED, None, 1))


def fft(x: Array, n: int, axis: int) -> Array:
    """Of a complex array along one axis, cut or filled with zeros to `n`; may write over x."""
    sized = _sized(x, {axis: n})
    return np.asarray(_pocketfft.c2c(sized, (axis,), True, UNSCALED, sized, 1))


def ifft(x: Array, axis: int) -> Array:
    """Inverse of `fft` at the size that x has; writes over x."""
    return np.asarray(_pocketfft.c2c(x, (axis,), False, BY_SIZE, x, 1))


def irfft(x: Array, n: int, axis: int) -> Array:
    """Inverse of `rfft`: (..., n, ...) real."""
    return np.asarray(_pocketfft.c2r(_sized(x, {axis: n // 2 + 1}), (axis,), n, False, BY_SIZE, None, 1))


def rfft2(x: Array, shape: tuple[int, int]) -> Array:
    """Of a real array (..., H, W) along its last two axes, cut or filled with zeros to `shape`."""
    last = x.ndim - 1
    sized = _sized(x, {last - 1: shape[0], last: shape[1]})
    return np.asarray(_pocketfft.r2c(sized, (last - 1, last), True, UNSCALED, None, 1))


def irfft2(x: Array, shape: tuple[int, int]) -> Array:
    """Inverse of `rfft2`: (..., *shape) real."""
    last = x.ndim - 1
    sized = _sized(x, {last - 1: shape[0], last: shape[1] // 2 + 1})
    return np.asarray(_pocketfft.c2r(sized, (last - 1, last), shape[1], False, BY_SIZE, None, 1))


def _sized(x: Array, sizes: Mapping[int, int]) -> Array:
    """x, cut or filled with zeros to these sizes of its axes."""
    shape = tuple(sizes.get(axis, length) for axis, length in enumerate(x.shape))
    if shape == x.shape:
        return x
    kept = tuple(slice(min(a, b)) for a, b in zip(shape, x.shape, strict=True))
    if all(a <= b for a, b in zip(shape, x.shape, strict=True)):
        return x[kept]
    out = np.zeros(shape, x.dtype)
    out[kept] = x[kept]
    return out
