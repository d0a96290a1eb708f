"""What every strategy of odometry keeps to: all of them pass the same tests, with the same pictures."""

from __future__ import annotations

import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.odometry import Odometry
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.runtime_root.strategies import NEEDS, STRATEGIES, load_composition, resolve

from .ground import CAMERA

_NAMES = sorted(name for name in STRATEGIES["odometry"] if ("odometry", name) not in NEEDS)
"""Of pictures alone; `okvis2`, which needs an IMU and a library, has its own tests."""
each_odometry = pytest.mark.parametrize("name", _NAMES)
each_odometry_features_slow = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "features" else name for name in _NAMES]
)
"""The same where `features`, which nothing flies by default, takes many times as long: with the slow tests."""


def odometry(name: str, camera: CameraModel = CAMERA, config: OdometryConfig | None = None) -> Odometry:
    """A strategy of this name, as a flight makes it."""
    made: Odometry = resolve("odometry", name, load_composition())(camera, config or OdometryConfig())
    return made
