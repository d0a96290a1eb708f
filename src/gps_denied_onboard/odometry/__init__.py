"""Frame to frame motion: what the ground's movement through the picture says about the camera's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gps_denied_onboard.messages import CameraPrior, Frame, ImuSample, OdometryStep


class Odometry(Protocol):
    """What every strategy of odometry does. Built from a CameraModel, an OdometryConfig and the Terrain (None: level
    ground). A further one is one file with such a class, and its line in runtime_root/strategies.py."""

    def step(self, previous: Frame, prior0: CameraPrior, current: Frame, prior1: CameraPrior) -> OdometryStep:
        """Motion from `previous` to `current`, with its covariance, or lost with a reason.

        Called with successive frames. UserError when a frame has not the calibration's size.
        """
        ...


@dataclass(frozen=True, slots=True)
class ImuNoise:
    """Of the autopilot's IMU: densities per root hertz, walks per root second, spread of the biases; and gravity."""

    accel_noise_mps2_rthz: float
    gyro_noise_radps_rthz: float
    accel_bias_sigma_mps2: float
    gyro_bias_sigma_radps: float
    accel_bias_walk_mps2_rts: float
    gyro_bias_walk_radps_rts: float
    gravity_mps2: float


@runtime_checkable
class InertialOdometry(Odometry, Protocol):
    """A strategy that takes the IMU's samples as well. `step` may be called on another thread than the two others."""

    def on_imu_noise(self, noise: ImuNoise) -> None:
        """Once, before the first sample."""
        ...

    def on_imu(self, sample: ImuSample) -> None:
        """Every sample of the flight, in order of time."""
        ...
