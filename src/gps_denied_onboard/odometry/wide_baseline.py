"""Homography seeds from SIFT features, for pictures that share little or are turned and scaled; pure."""

from __future__ import annotations

import cv2
import numpy as np

from gps_denied_onboard.imaging.orientation import MaskArray
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.odometry.picture import Picture

RATIO_MAX = 0.85


def match_features(previous: Picture, current: Picture) -> tuple[FloatArray, FloatArray]:
    """Pixels (N, 2) of mutual nearest descriptors that pass Lowe's ratio test."""
    (p0, d0), (p1, d1) = previous.still_features, current.still_features
    if len(d0) < 3 or len(d1) < 3:
        return np.zeros((0, 2)), np.zeros((0, 2))
    # Root descriptors are unit vectors: the distance follows from the scalar product.
    similarity = d0 @ d1.T
    rows = np.arange(len(d0))
    best = similarity.argmax(axis=1)
    top = similarity[rows, best]
    mutual = top == similarity.max(axis=0)[best]
    similarity[rows, best] = -1.0
    second = similarity.max(axis=1)
    ratio = np.sqrt(np.maximum(1.0 - top, 0.0) / np.maximum(1.0 - second, 1e-9))
    good = (ratio < RATIO_MAX) & mutual
    return p0[good], p1[best[good]]


def robust_homography(x0: FloatArray, x1: FloatArray, focal_px: float, threshold_px: float) -> MaskArray:
    """(N,) inliers of MAGSAC's homography between normalised coordinates (N, 2); none where it fails."""
    none = np.zeros(len(x0), dtype=np.bool_)
    if len(x0) < 6:
        return none
    cv2.setRNGSeed(7)
    found, mask = cv2.findHomography(
        x0 * focal_px, x1 * focal_px, cv2.USAC_MAGSAC, threshold_px, maxIters=1500, confidence=0.999
    )
    if found is None or mask is None or not np.all(np.isfinite(found)):
        return none
    return mask.ravel().astype(np.bool_)
