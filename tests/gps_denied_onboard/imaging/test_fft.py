"""The transforms are SciPy's own, without what SciPy imports beside them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import scipy.fft

from gps_denied_onboard.imaging import fft

KINDS = (np.float32, np.float64)
SHAPE = (3, 45, 64)


def real(kind: type[np.floating]) -> fft.Array:
    """Seeded noise of an odd and an even size."""
    return np.random.default_rng(4).standard_normal(SHAPE).astype(kind)


def complex_of(kind: type[np.floating]) -> fft.Array:
    """Seeded complex noise."""
    return np.asarray(real(kind) + 1j * real(kind)[:, ::-1], np.result_type(kind, np.complex64))


PAIRS: dict[str, tuple[Callable[[type[np.floating]], fft.Array], Callable[[type[np.floating]], fft.Array]]] = {
    "rfft, filled": (lambda k: fft.rfft(real(k), 80, 2), lambda k: scipy.fft.rfft(real(k), n=80, axis=2)),
    "rfft, cut": (lambda k: fft.rfft(real(k), 40, 1), lambda k: scipy.fft.rfft(real(k), n=40, axis=1)),
    "fft, filled": (lambda k: fft.fft(complex_of(k), 50, 1), lambda k: scipy.fft.fft(complex_of(k), n=50, axis=1)),
    "ifft": (lambda k: fft.ifft(complex_of(k), 1), lambda k: scipy.fft.ifft(complex_of(k), axis=1)),
    "irfft": (lambda k: fft.irfft(complex_of(k), 90, 2), lambda k: scipy.fft.irfft(complex_of(k), n=90, axis=2)),
    "rfft2, filled": (lambda k: fft.rfft2(real(k), (48, 75)), lambda k: scipy.fft.rfft2(real(k), s=(48, 75))),
    "rfft2, cut and filled": (lambda k: fft.rfft2(real(k), (40, 72)), lambda k: scipy.fft.rfft2(real(k), s=(40, 72))),
    "irfft2": (lambda k: fft.irfft2(complex_of(k), (45, 126)), lambda k: scipy.fft.irfft2(complex_of(k), s=(45, 126))),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PAIRS)
def test_bytes_are_those_of_scipy(name: str, kind: type[np.floating]) -> None:
    """Each transform of single and double precision gives the same type, shape and bytes as `scipy.fft`."""
    ours, theirs = (each(kind) for each in PAIRS[name])
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert ours.tobytes() == theirs.tobytes()


def test_sizes_are_those_of_scipy() -> None:
    """The next quick size of a real transform is SciPy's, for all sizes of a map's window."""
    sizes = range(1, 3000)
    assert [fft.next_fast_len(n) for n in sizes] == [scipy.fft.next_fast_len(n, real=True) for n in sizes]


def test_nothing_else_of_scipy_is_imported() -> None:
    """A pipeline can be built without SciPy's special functions, its linear algebra, and NumPy's Fortran tools."""
    code = "import sys, gps_denied_onboard.runtime_root.build; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "gps_denied_onboard.imaging.fft" in loaded
    assert not loaded & {"scipy.special", "scipy.fft", "scipy.linalg", "numpy.f2py", "numpy.testing"}
