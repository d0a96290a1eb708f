"""How far one picture lies beside another, to a fraction of a pixel."""

from __future__ import annotations

import cv2
import numpy as np


def shift_px(picture: np.ndarray, other: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(2,) right and down by which `picture` lies beside `other`, both smooth: least squares on gradients (Lucas 1981).

    Only well inside `valid`, and only for shifts of less than a pixel or so.
    """
    inside = cv2.erode(valid.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    a, b = (cv2.GaussianBlur(image.astype(np.float64), (0, 0), 1.5) for image in (picture, other))
    down, right = np.gradient(0.5 * (a + b))
    columns = np.stack([right[inside], down[inside], np.ones(int(inside.sum()))], axis=1)
    return np.asarray(np.linalg.lstsq(columns, (b - a)[inside], rcond=None)[0][:2])
