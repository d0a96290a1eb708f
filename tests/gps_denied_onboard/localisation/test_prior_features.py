"""How a place that was looked at agrees with what was known before."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu, rotation_z
from gps_denied_onboard.localisation.evidence import prior_features
from gps_denied_onboard.localisation.plane_pose import PoseSolution
from gps_denied_onboard.messages import CameraPrior, FloatArray, PlaceCandidate

LEANING = nadir_camera_to_enu(0.4) @ exp_rotation(np.array([0.15, -0.05, 0.0]))
PRIOR = CameraPrior(0, np.zeros(3), np.eye(3) * 1e8, LEANING, 0.05, 9.0, 100.0, 8.0, position_known=False)
PLACE = PlaceCandidate((0.0, 0.0), 0.0, 100.0, 1.0, 1.5)


def features(rotation: FloatArray, height_m: float = 100.0, prior: CameraPrior = PRIOR) -> dict[str, float]:
    """Of a solution with this camera rotation."""
    inlier = np.ones(4, dtype=np.bool_)
    return prior_features(PLACE, PoseSolution(np.zeros(3), rotation, np.eye(6), inlier, 1.0, 1.0), height_m, prior)


@pytest.mark.parametrize("turn_deg", [0.0, 90.0, 180.0, -120.0])
def test_a_camera_that_leans_does_so_under_any_heading(turn_deg: float) -> None:
    """A lean of 9 degrees is no contradiction where the heading was unknown; one of 4 degrees against it is."""
    turned = rotation_z(math.radians(turn_deg)) @ LEANING
    assert features(turned)["tilt_off_rad"] == pytest.approx(0.0, abs=1e-6)
    against = turned @ exp_rotation(np.array([0.07, 0.0, 0.0]))
    assert features(against)["tilt_off_rad"] == pytest.approx(0.07, abs=0.002)


def test_heights_count_by_their_doubt() -> None:
    """A fifth higher is more of a contradiction the better the height was known, and none where it was not."""
    off = math.log(1.2)
    assert features(LEANING, 120.0)["height_sigmas"] == pytest.approx(off / 0.08)
    assert features(LEANING, 120.0, replace(PRIOR, height_sigma_m=2.0))["height_sigmas"] == pytest.approx(off / 0.03)
    assert features(LEANING, 120.0, replace(PRIOR, height_sigma_m=100.0))["height_sigmas"] == 1.0
