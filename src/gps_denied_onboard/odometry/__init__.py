"""Frame to frame motion: what the ground's movement through the picture says about the camera's own."""

from __future__ import annotations

from typing import Protocol

from gps_denied_onboard.messages import CameraPrior, Frame, OdometryStep


class Odometry(Protocol):
    """What every strategy of odometry does. Built from a CameraModel, an OdometryConfig and the Terrain (None: level
    ground). A further one is one file with such a class, and its line in runtime_root/strategies.py."""

    def step(self, previous: Frame, prior0: CameraPrior, current: Frame, prior1: CameraPrior) -> OdometryStep:
        """Motion from `previous` to `current`, with its covariance, or lost with a reason.

        Called with successive frames. UserError when a frame has not the calibration's size.
        """
        ...
