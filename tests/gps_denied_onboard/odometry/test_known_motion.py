"""Displacement, turn and climb of known flights over painted ground, by every strategy of odometry."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation
from gps_denied_onboard.messages import OdometryStep
from gps_denied_onboard.odometry.config import OdometryConfig

from .ground import HEIGHT_M, Ground, camera_attitude, frame, prior, yaw_change
from .strategies import each_odometry, each_odometry_features_slow, odometry


@dataclass(frozen=True)
class Leg:
    """Displacement in m, turn and relative tilt in degrees, and what the priors say of the turn."""

    displacement: tuple[float, float, float]
    turn_deg: float = 0.0
    tilt_deg: tuple[float, float] = (0.0, 0.0)
    yaw_sigma_deg: float = 3.0
    told_turn_deg: float | None = None


def fly(ground: Ground, leg: Leg, name: str, config: OdometryConfig | None = None) -> tuple[OdometryStep, float]:
    """One step of a strategy over the ground; returns it with the true turn in rad."""
    start = np.array([-40.0, 20.0, HEIGHT_M])
    r0 = camera_attitude(40.0, 2.0, -1.0)
    r1 = camera_attitude(40.0 + leg.turn_deg, 2.0 + leg.tilt_deg[0], -1.0 + leg.tilt_deg[1])
    told = leg.turn_deg if leg.told_turn_deg is None else leg.told_turn_deg
    q1 = camera_attitude(40.0 + told, 2.0 + leg.tilt_deg[0], -1.0 + leg.tilt_deg[1])
    first = frame(ground.image(start, r0), 0)
    second = frame(ground.image(start + leg.displacement, r1), 1)
    priors = [prior(f.t_ns, q, yaw_sigma_deg=leg.yaw_sigma_deg) for f, q in ((first, r0), (second, q1))]
    step = odometry(name, config=config).step(first, priors[0], second, priors[1])
    return step, yaw_change(r0, r1)


LEGS = {
    "cruise": Leg((22.0, 9.0, 0.0)),
    "still": Leg((0.0, 0.0, 0.0)),
    "gusts": Leg((20.0, -12.0, 1.0), 4.0, (5.0, -6.0)),
    "climb": Leg((15.0, 5.0, 25.0)),
    "descent": Leg((10.0, 5.0, -45.0)),
    "turn that the attitude missed": Leg((18.0, 4.0, 0.0), 9.0, told_turn_deg=4.0),
    "unknown turn of 75 degrees": Leg((40.0, -25.0, 0.0), 75.0, yaw_sigma_deg=180.0, told_turn_deg=0.0),
    "unknown turn of 180 degrees": Leg((-60.0, 40.0, 3.0), 180.0, yaw_sigma_deg=180.0, told_turn_deg=0.0),
    "half of the picture is new": Leg((-100.0, 120.0, 0.0)),
}


@each_odometry_features_slow
@pytest.mark.parametrize("motion", LEGS)
def test_step_measures_the_motion(ground: Ground, motion: str, name: str) -> None:
    """The displacement is right to 1 % of the height, the turn to 0.2 degrees, the scale to 1 %."""
    leg = LEGS[motion]
    step, turn = fly(ground, leg, name)
    assert step.status == "ok", step.reason
    assert np.linalg.norm(step.displacement_enu_m - leg.displacement) < 0.01 * HEIGHT_M
    assert math.degrees(abs(math.remainder(step.yaw_change_rad - turn, 2.0 * math.pi))) < 0.2
    assert abs(step.scale_change - (1.0 + leg.displacement[2] / HEIGHT_M)) < 0.01
    assert step.residual_px < 1.0
    assert np.all(np.linalg.eigvalsh(step.covariance) > 0.0)


@pytest.mark.slow
@each_odometry
def test_five_percent_of_overlap_is_right_or_lost(ground: Ground, name: str) -> None:
    """A strip of common ground gives a step within its own covariance, or none."""
    for along in (200.0, 215.0, 225.0):
        leg = Leg((along * math.cos(math.radians(40.0)), along * math.sin(math.radians(40.0)), 0.0))
        step, _ = fly(ground, leg, name)
        if step.status == "ok":
            error = step.displacement_enu_m - leg.displacement
            assert error @ np.linalg.solve(step.covariance[:3, :3], error) < 30.0
            assert np.linalg.norm(error) < 15.0


@each_odometry_features_slow
def test_stills_without_attitude(ground: Ground, name: str) -> None:
    """Tilts of 6 degrees that no prior knows are found in the picture, the displacement good to 4 % of the height."""
    rng = np.random.default_rng(5)
    config = OdometryConfig(relative_tilt_sigma_deg=7.0)
    start, moved = np.array([10.0, -30.0, HEIGHT_M]), np.array([55.0, 35.0, 2.0])
    for _ in range(3):
        tilts = rng.normal(0.0, 4.0, 4)
        r0 = exp_rotation(np.radians([*tilts[:2], 0.0])) @ camera_attitude(90.0)
        r1 = exp_rotation(np.radians([*tilts[2:], 0.0])) @ camera_attitude(70.0)
        first, second = frame(ground.image(start, r0), 0), frame(ground.image(start + moved, r1), 1)
        told = camera_attitude(90.0)
        a, b = (prior(f.t_ns, told, tilt_sigma_deg=5.0, yaw_sigma_deg=180.0) for f in (first, second))
        step = odometry(name, config=config).step(first, a, second, b)
        assert step.status == "ok", step.reason
        assert np.linalg.norm(step.displacement_enu_m[:2] - moved[:2]) < 0.04 * HEIGHT_M


@pytest.mark.slow
@each_odometry
def test_same_steps_give_the_same_numbers(name: str) -> None:
    """A second run over the same frames gives bit-identical steps."""
    runs = [fly(ground_again, LEGS["gusts"], name)[0] for ground_again in (Ground(8, 1.0), Ground(8, 1.0))]
    assert runs[0].displacement_enu_m.tobytes() == runs[1].displacement_enu_m.tobytes()
    assert runs[0].covariance.tobytes() == runs[1].covariance.tobytes()
