"""Pictures as an ideal camera would take them, however large the camera's are."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.imaging import orthorectify
from gps_denied_onboard.imaging.orthorectify import Undistorter

BROWN = CameraModel(330, 149, 300.0, 301.0, 160.0, 75.0, "brown", (-0.12, 0.03, 0.0005, -0.0004))
FISHEYE = CameraModel(330, 149, 300.0, 301.0, 160.0, 75.0, "fisheye", (0.9, 0.1, 0.0, 0.0))


@pytest.mark.parametrize("camera", [BROWN, FISHEYE])
def test_every_row_is_where_the_distortion_has_it(camera: CameraModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over strips of unlike size a picture comes out as from maps that are made of all pixels at once."""
    monkeypatch.setattr(orthorectify, "STRIP_PX", 40 * camera.width_px)
    picture = np.random.default_rng(2).integers(0, 255, (camera.height_px, camera.width_px)).astype(np.uint8)
    x, y = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    ideal = np.stack([(x - camera.cx_px) / camera.fx_px, (y - camera.cy_px) / camera.fy_px], axis=-1)
    seen = camera.distort(ideal.reshape(-1, 2)).reshape(*x.shape, 2).astype(np.float32)
    maps = cv2.convertMaps(seen[..., 0], seen[..., 1], cv2.CV_16SC2)
    inside = (seen >= 0).all(axis=-1) & (seen[..., 0] <= camera.width_px - 1) & (seen[..., 1] <= camera.height_px - 1)
    ideal_picture, valid = Undistorter(camera).apply(picture)
    assert np.array_equal(ideal_picture, cv2.remap(picture, *maps, cv2.INTER_LINEAR))
    assert np.array_equal(np.ones_like(inside) if valid is None else valid, inside)
    assert not inside.all() or camera is BROWN


def test_a_large_camera_takes_little_memory_on_the_way() -> None:
    """A camera of 5 megapixels is made ready in 20 bytes a pixel, of which 7 stay."""
    camera = CameraModel(2736, 1824, 3200.0, 3200.0, 1367.0, 911.0, "brown", (-0.11, 0.02, -0.0004, -0.0005))
    tracemalloc.start()
    try:
        made = Undistorter(camera)
        kept_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.apply(np.zeros((1824, 2736), np.uint8))[0].shape == (1824, 2736)
    assert kept_bytes < 8 * 2736 * 1824
    assert peak_bytes < 20 * 2736 * 1824
