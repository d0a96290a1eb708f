"""Odometry by an installed OKVIS2, where the environment names one: what it measures, what it says when it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.config import Config, StrategyNames
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import AidSource, Frame, ImageArray, OdometryStatus
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.replay.recording import FrameTrace, replay_recording
from gps_denied_sim.recording import FlyRequest, make_recording

from .ground import CAMERA, Ground
from .inertial_flight import LevelFlight, okvis2, vocabulary_folder

STARTS_WITHIN = 6
"""Pictures that a start may take here."""


@pytest.fixture(autouse=True)
def _linked() -> None:
    """Skip all of it, with the reason, where there is no OKVIS2."""
    okvis2()


def picture(image: ImageArray) -> Frame:
    """A picture that hides a frame's own."""
    return Frame(0, 0, image)


@pytest.mark.parametrize("height_m", [100.0, 300.0])
def test_a_level_flight(ground: Ground, height_m: float) -> None:
    """Each step is right to 5 % of its length, and all of them together to 3 %, with a biased gyroscope."""
    flight = LevelFlight(ground, height_m=height_m)
    steps = flight.fly(okvis2(), 20)
    errors = flight.errors(steps)
    assert len(errors) >= len(steps) - STARTS_WITHIN
    assert np.linalg.norm(errors[:, :2], axis=1).max() < 0.05 * flight.speed_mps
    assert np.linalg.norm(errors[:, :2].mean(axis=0)) < 0.03 * flight.speed_mps


@pytest.mark.slow
def test_errors_fit_the_covariance() -> None:
    """The mean NEES of four degrees of freedom is below six, over several flights, and no step is beyond 40."""
    nees: list[float] = []
    for seed in (4, 5, 6):
        flight = LevelFlight(Ground(seed, relief_m=3.0), height_m=250.0 + 50.0 * (seed - 4), yaw_deg=20.0, seed=seed)
        steps = flight.fly(okvis2(), 25)
        told = [step.covariance for step in steps if step.status is OdometryStatus.OK]
        nees += [float(e @ np.linalg.solve(c, e)) for e, c in zip(flight.errors(steps), told, strict=True)]
    assert np.mean(nees) < 6.0, nees
    assert max(nees) < 40.0


def test_ground_of_elsewhere_in_between(ground: Ground) -> None:
    """A picture of other ground is lost, not told as a motion, and it finds itself again behind it."""
    flight = LevelFlight(ground)
    flight.hidden[12] = picture(Ground(seed=9).image(np.array([0.0, 0.0, 300.0]), flight.rotation))
    steps = flight.fly(okvis2(), 12 + 2 * STARTS_WITHIN)
    assert [step.status for step in steps[11:13]] == [OdometryStatus.LOST, OdometryStatus.LOST]
    assert steps[-1].status is OdometryStatus.OK
    assert np.linalg.norm(flight.errors(steps)[:, :2], axis=1).max() < 0.1 * flight.speed_mps


def test_a_dark_picture(ground: Ground) -> None:
    """It is lost for what it is, and the flight goes on behind it."""
    flight = LevelFlight(ground)
    flight.hidden[8] = picture(np.zeros((CAMERA.height_px, CAMERA.width_px), np.uint8))
    steps = flight.fly(okvis2(), 8 + 2 * STARTS_WITHIN)
    assert [step.reason for step in steps[7:9]] == ["picture is dark"] * 2
    assert steps[-1].status is OdometryStatus.OK


def test_a_silent_imu(ground: Ground) -> None:
    """A hole in the samples is told as the reason, and costs a new start."""
    flight = LevelFlight(ground, deaf=lambda t_ns: 8_200_000_000 < t_ns < 8_900_000_000)
    steps = flight.fly(okvis2(), 8 + 2 * STARTS_WITHIN)
    assert [step.t0_ns for step in steps if step.reason == "the IMU's samples leave a hole"] == [8_000_000_000]
    assert steps[-1].status is OdometryStatus.OK


def test_a_height_that_cannot_be(ground: Ground) -> None:
    """Told a height that leaps to the double, it says that it has diverged and gives no step."""
    flight = LevelFlight(ground, told_height=lambda t_ns: 2.0 if t_ns >= 10_000_000_000 else 1.0)
    steps = flight.fly(okvis2(), 11)
    assert all(step.status is OdometryStatus.OK for step in steps[STARTS_WITHIN:9])
    assert steps[9].reason.startswith("diverged: its scale is off by a factor")


def test_without_a_vocabulary() -> None:
    """A configuration that names none is refused by the setting's name."""
    with pytest.raises(UserError, match=r"odometry\.okvis2_vocabulary"):
        okvis2(OdometryConfig())


def test_a_folder_without_the_vocabulary(ground: Ground, tmp_path: Path) -> None:
    """A folder that holds no vocabulary is named in the error."""
    with pytest.raises(UserError, match=str(tmp_path)):
        LevelFlight(ground).fly(okvis2(OdometryConfig(okvis2_vocabulary=str(tmp_path))), 3)


@pytest.mark.slow
def test_a_replay_of_a_simulated_flight(tmp_path: Path) -> None:
    """Chosen by the configuration, it registers most pictures of a flight at 300 m, and these steps are fused."""
    request = FlyRequest(41, 0.7, width_px=684, height_px=456, buffer_m=250.0, flying_height_m=300.0)
    make_recording(request, tmp_path / "flight", lambda *_: None)
    config = replace(
        Config(),
        strategies=StrategyNames(odometry="okvis2"),
        odometry=OdometryConfig(okvis2_vocabulary=vocabulary_folder()),
    )
    traces: list[FrameTrace] = []
    replay_recording(tmp_path / "flight", config, None, traces.append)
    steps = [trace.step for trace in traces if trace.step is not None]
    registered = [step for step in steps if step.status is OdometryStatus.OK]
    assert {step.method for step in registered} == {"okvis2"}
    assert len(registered) > 0.7 * len(steps)
    fused = [aid for trace in traces for aid in trace.aids if aid.source is AidSource.ODOMETRY and aid.accepted]
    assert len(fused) >= 0.95 * len(registered)
