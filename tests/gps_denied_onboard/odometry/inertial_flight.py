"""A level flight over painted ground with the samples of its IMU, for strategies that take them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.errors import StrategyNotLinkedError
from gps_denied_onboard.geometry.rotations import image_up_yaw
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, ImuSample, OdometryStep
from gps_denied_onboard.odometry import ImuNoise, InertialOdometry
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.runtime_root.strategies import load_composition, resolve

from .ground import CAMERA, Ground, camera_attitude, frame, prior

OKVIS2_ENV = "GPS_DENIED_OKVIS2"
VOCABULARY = "small_voc.yml.gz"
GRAVITY_MPS2 = 9.80665
IMU_NS = 10_000_000
PERIOD_S = 1.0
NOISE = ImuNoise(0.008, 0.00025, 0.08, 0.006, 0.001, 1.0e-4, GRAVITY_MPS2)
GYRO_BIAS_RADPS = np.array([0.0015, -0.002, 0.001])
ACCEL_BIAS_MPS2 = np.array([0.03, -0.02, 0.04])


def vocabulary_folder() -> str:
    """Where the OKVIS2 that the environment names has its vocabulary; skips the test where there is none."""
    prefix = os.environ.get(OKVIS2_ENV)
    if not prefix:
        pytest.skip(f"no OKVIS2: {OKVIS2_ENV} does not name the folder where it is installed")
    found = next(Path(prefix).rglob(VOCABULARY), None)
    if found is None:
        pytest.skip(f"{OKVIS2_ENV} holds no {VOCABULARY}: put OKVIS2's own there")
    return str(found.parent)


def okvis2(config: OdometryConfig | None = None) -> InertialOdometry:
    """The strategy as a flight makes it; skips the test without the library."""
    config = config or OdometryConfig(okvis2_vocabulary=vocabulary_folder())
    try:
        made: InertialOdometry = resolve("odometry", "okvis2", load_composition())(CAMERA, config)
    except StrategyNotLinkedError as error:
        pytest.skip(f"built without OKVIS2: {error}")
    made.on_imu_noise(NOISE)
    return made


@dataclass
class LevelFlight:
    """Straight on at one height and yaw; attitude and height of the priors err by their sigmas, the IMU by its biases.

    `hidden` gives the picture that is seen instead of a frame's own, `deaf` whether the IMU is silent at a time in ns,
    `told_height` by what factor the height that is told is wrong at a time in ns.
    """

    ground: Ground
    speed_mps: float = 17.0
    height_m: float = 300.0
    yaw_deg: float = 30.0
    seed: int = 2
    hidden: dict[int, Frame] = field(default_factory=dict)
    deaf: Callable[[int], bool] = lambda _t_ns: False
    told_height: Callable[[int], float] = lambda _t_ns: 1.0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self.rotation = camera_attitude(self.yaw_deg)
        self._tilt = camera_attitude(self.yaw_deg, *self._rng.normal(0.0, 0.3, 2))
        # The top of the picture looks where the aircraft goes.
        self.velocity_mps = self.speed_mps * np.array(
            [-math.sin(image_up_yaw(self.rotation)), math.cos(image_up_yaw(self.rotation)), 0.0]
        )

    def position_m(self, k: int) -> FloatArray:
        """(3,) of the camera at frame k."""
        return np.array([-60.0, -120.0, self.height_m]) + k * PERIOD_S * self.velocity_mps

    def frame(self, k: int) -> Frame:
        """Frame k, or what hides it."""
        seen = frame(self.ground.image(self.position_m(k), self.rotation), k + 1, PERIOD_S)
        return replace(self.hidden[k], t_ns=seen.t_ns, index=seen.index) if k in self.hidden else seen

    def prior(self, made: Frame) -> CameraPrior:
        """What the estimator would say."""
        height_m = (self.height_m + 1.0) * self.told_height(made.t_ns)
        return prior(made.t_ns, self._tilt, height_m, 0.4, 0.5, height_sigma_m=2.0)

    def _samples(self, t0_ns: int, t1_ns: int) -> Iterator[ImuSample]:
        body_from_enu = CAMERA.mount @ self.rotation.T
        up = body_from_enu @ (0.0, 0.0, GRAVITY_MPS2)
        for t_ns in range(t0_ns, t1_ns, IMU_NS):
            accel = up + ACCEL_BIAS_MPS2 + self._rng.normal(0.0, 0.05, 3)
            gyro = GYRO_BIAS_RADPS + self._rng.normal(0.0, 0.002, 3)
            if not self.deaf(t_ns):
                yield ImuSample(t_ns, tuple(accel.tolist()), tuple(gyro.tolist()))

    def fly(self, odometry: InertialOdometry, frames: int) -> list[OdometryStep]:
        """The steps of so many frames."""
        steps: list[OdometryStep] = []
        last, heard_ns = None, 0
        for k in range(frames):
            seen = self.frame(k)
            for sample in self._samples(heard_ns, seen.t_ns + 2 * IMU_NS):
                odometry.on_imu(sample)
            heard_ns = (seen.t_ns + 2 * IMU_NS + IMU_NS - 1) // IMU_NS * IMU_NS
            if last is not None:
                steps.append(odometry.step(last, self.prior(last), seen, self.prior(seen)))
            last = seen
        return steps

    def errors(self, steps: list[OdometryStep]) -> FloatArray:
        """(N, 4) of the registered steps: displacement east, north, up in m, turn in rad."""
        true = np.append(self.velocity_mps * PERIOD_S, 0.0)
        told = [np.append(s.displacement_enu_m, s.yaw_change_rad) for s in steps if s.status == "ok"]
        return np.asarray(np.array(told).reshape(-1, 4) - true)
