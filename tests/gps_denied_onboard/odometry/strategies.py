"""What every strategy of odometry keeps to: all of them pass the same tests, with the same pictures."""

from __future__ import annotations

import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.odometry import Odometry
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.runtime_root.strategies import STRATEGIES, load_composition, resolve

from .ground import CAMERA

each_odometry = pytest.mark.parametrize("name", sorted(STRATEGIES["odometry"]))


def odometry(name: str, camera: CameraModel = CAMERA, config: OdometryConfig | None = None) -> Odometry:
    """A strategy of this name, as a flight makes it."""
    made: Odometry = resolve("odometry", name, load_composition())(camera, config or OdometryConfig())
    return made
