"""The native part of the orientation field gives the same bytes as the same steps in NumPy, on every machine."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from gps_denied_onboard._native import normalise_planes, orientation_harmonics
from gps_denied_onboard.imaging.orientation import ENERGY_PX, NOISE_GREY, SMOOTHING_PX, orientation_field

Plane = npt.NDArray[np.float32]


def by_numpy(image: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_] | None) -> Plane:
    """The field step by step, each operation rounded to 32 bits."""
    grey = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.8)
    gx = cv2.Scharr(grey, cv2.CV_32F, 1, 0, scale=1.0 / 32.0)
    gy = cv2.Scharr(grey, cv2.CV_32F, 0, 1, scale=1.0 / 32.0)
    if valid is not None:
        inner = cv2.erode(valid.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        gx, gy = gx * inner, gy * inner
    magnitude = np.sqrt(gx * gx + gy * gy) + np.float32(1e-6)
    c1, s1 = gx / magnitude, gy / magnitude
    c2, s2 = c1 * c1 - s1 * s1, 2 * c1 * s1
    planes = (c2, s2, c2 * c2 - s2 * s2, 2 * c2 * s2)
    field = np.stack([cv2.GaussianBlur(plane * magnitude, (0, 0), SMOOTHING_PX) for plane in planes])
    energy = cv2.GaussianBlur(magnitude * magnitude, (0, 0), ENERGY_PX)
    return np.asarray(field / np.sqrt(energy + np.float32(NOISE_GREY**2)), np.float32)


@pytest.mark.parametrize("size", [(13, 12), (97, 333), (240, 320)])
@pytest.mark.parametrize("masked", [False, True])
def test_field_has_the_bytes_of_numpy(size: tuple[int, int], masked: bool) -> None:
    """Pictures of any size, with and without places that have no data."""
    rng = np.random.default_rng(5)
    image = cv2.GaussianBlur(rng.integers(0, 256, size, dtype=np.uint8), (0, 0), 1.2)
    valid = None
    if masked:
        valid = np.ones(size, dtype=np.bool_)
        valid[: size[0] // 3, size[1] // 2 :] = False
    assert orientation_field(image, valid).tobytes() == by_numpy(image, valid).tobytes()


def test_two_channels_are_the_first_two_of_four() -> None:
    """The field of the doubled angle alone is that part of the whole field."""
    image = np.random.default_rng(6).integers(0, 256, (60, 90), dtype=np.uint8)
    assert orientation_field(image, channels=2).tobytes() == orientation_field(image)[:2].tobytes()


def test_planes_that_do_not_fit_are_refused() -> None:
    """Sizes that differ, masks of another size and wrong numbers of channels raise ValueError."""
    plane, other = np.zeros((4, 5), np.float32), np.zeros((5, 4), np.float32)
    with pytest.raises(ValueError, match="one size"):
        orientation_harmonics(plane, other, None, 1)
    with pytest.raises(ValueError, match="one size"):
        orientation_harmonics(plane, plane, np.ones((5, 4), np.uint8), 1)
    with pytest.raises(ValueError, match="harmonics"):
        orientation_harmonics(plane, plane, None, 3)
    with pytest.raises(ValueError, match="one size"):
        normalise_planes(np.zeros((2, 4, 5), np.float32), other, 4.0)
