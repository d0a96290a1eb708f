"""A strategy of odometry that takes the IMU's samples is given them by the pipeline, and the mount with each prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest

from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.messages import CameraPrior, Frame, ImuSample, OdometryStep, Telemetry
from gps_denied_onboard.odometry import ImuNoise
from gps_denied_onboard.odometry.planar import PlanarOdometry
from gps_denied_onboard.pipeline import Pipeline
from gps_denied_onboard.runtime_root.strategies import STRATEGIES

SECOND = 1_000_000_000


class HearingOdometry(PlanarOdometry):
    """`planar` that keeps what it is told."""

    made: ClassVar[list[HearingOdometry]] = []

    def on_imu_noise(self, noise: ImuNoise) -> None:
        self.noise, self.samples, self.priors = noise, list[ImuSample](), list[CameraPrior]()
        self.made.append(self)

    def on_imu(self, sample: ImuSample) -> None:
        self.samples.append(sample)

    def step(self, previous: Frame, prior0: CameraPrior, current: Frame, prior1: CameraPrior) -> OdometryStep:
        self.priors += [prior0, prior1]
        return super().step(previous, prior0, current, prior1)


def test_it_hears_the_imu_and_is_told_the_mount(
    monkeypatch: pytest.MonkeyPatch, new_pipeline: Callable[..., Pipeline], short_flight: list[Frame | Telemetry]
) -> None:
    """Every sample in order, the configured noise, and the state's own mount: all that it needs besides pictures."""
    monkeypatch.setitem(STRATEGIES["odometry"], "planar", f"{__name__}:HearingOdometry")
    monkeypatch.setattr(HearingOdometry, "made", [])
    pipeline = new_pipeline()
    messages = [m for m in short_flight if m.t_ns <= short_flight[0].t_ns + 2 * SECOND]
    for message in messages:
        if isinstance(message, Frame):
            pipeline.on_frame(message)
        else:
            pipeline.on_telemetry(message)
    (heard,) = HearingOdometry.made
    assert heard.samples == [m for m in messages if isinstance(m, ImuSample)] != []
    assert heard.noise.gyro_noise_radps_rthz == FusionConfig().gyro_noise_radps_rthz
    assert heard.priors
    for prior in heard.priors:
        mount = prior.rotation_camera_to_body
        assert mount is not None
        assert mount @ mount.T == pytest.approx(np.eye(3), abs=1e-9)
