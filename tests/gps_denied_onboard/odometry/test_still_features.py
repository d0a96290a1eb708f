"""Features of a whole picture, looked for strip by strip."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_onboard.odometry import picture
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.picture import find_still_features

from .ground import CAMERA, HEIGHT_M, Ground, camera_attitude, frame

LIMIT = 1200


@pytest.fixture(scope="module")
def seen() -> ImageArray:
    """A picture of 640 x 480 pixels: two strips."""
    return Ground(seed=9).image(np.array([0.0, 0.0, HEIGHT_M]), camera_attitude(30.0))


def at_once(grey: ImageArray, monkeypatch: pytest.MonkeyPatch) -> tuple[FloatArray, FloatArray]:
    """The features of one strip as large as the picture."""
    with monkeypatch.context() as patched:
        patched.setattr(picture, "STRIP_PX", grey.size)
        points, roots = find_still_features(grey, LIMIT)
    return points, roots.astype(float)


def test_strips_find_what_the_whole_picture_shows(seen: ImageArray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine of ten features of the strips are those of the whole picture, with the same descriptors, and about as many
    lie on either side of the seam."""
    points, roots = find_still_features(seen, LIMIT)
    whole, whole_roots = at_once(seen, monkeypatch)
    assert 0.85 * LIMIT < len(points) <= 1.05 * LIMIT
    away = np.linalg.norm(points[:, None] - whole[None], axis=2)
    near = away.min(axis=1) < 0.3
    alike = np.array([(whole_roots[row < 0.3] @ root).max(initial=0.0) for row, root in zip(away, roots, strict=True)])
    assert near.mean() > 0.85
    assert np.median(alike[near]) > 0.99
    half = seen.shape[0] / 2
    beside = [np.mean((points[:, 1] > half + a) & (points[:, 1] < half + a + 20)) for a in (-20.0, 0.0)]
    others = [np.mean((whole[:, 1] > half + a) & (whole[:, 1] < half + a + 20)) for a in (-20.0, 0.0)]
    assert np.abs(np.subtract(beside, others)).max() < 0.02


def test_nothing_is_found_where_nothing_is(seen: ImageArray) -> None:
    """A picture of one tone has no features, in the form that others have."""
    points, roots = find_still_features(np.full_like(seen, 90), LIMIT)
    assert points.shape == (0, 2)
    assert roots.shape == (0, 128)


def test_a_strip_at_a_time_is_looked_at(seen: ImageArray, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the picture, SIFT is never given much more than a strip of it."""
    sizes: list[int] = []
    real = cv2.SIFT_create  # type: ignore[attr-defined]

    class Watched:
        """SIFT that notes the size of what it is given."""

        def __init__(self, *arguments: object, **named: object) -> None:
            self._sift = real(*arguments, **named)

        def detectAndCompute(self, image: ImageArray, mask: ImageArray) -> object:  # noqa: N802
            """As SIFT does."""
            sizes.append(image.size)
            return self._sift.detectAndCompute(image, mask)

    monkeypatch.setattr(cv2, "SIFT_create", Watched)
    large = np.asarray(cv2.resize(seen, (1000, 750)), np.uint8)
    points, _ = find_still_features(large, LIMIT)
    assert len(sizes) == 4
    assert max(sizes) < 1.5 * picture.STRIP_PX
    assert points[:, 1].min() < 60.0
    assert points[:, 1].max() > 690.0


def test_features_of_a_picture_lie_where_they_are(seen: ImageArray) -> None:
    """SIFT looks at a smaller picture, and its places are those of the picture that the tracks are followed in."""
    points, _ = picture.Picture(frame(seen, 0), CAMERA, OdometryConfig()).still_features
    whole, _ = find_still_features(picture.even_out(seen), 4000)
    near = np.linalg.norm(points[:, None] - whole[None], axis=2)
    close = near.min(axis=1) < 1.0
    off = (points - whole[near.argmin(axis=1)])[close]
    assert close.mean() > 0.5
    assert np.abs(off.mean(axis=0)).max() < 0.05
