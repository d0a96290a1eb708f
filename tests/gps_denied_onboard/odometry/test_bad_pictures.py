"""Pictures that show nothing, or something else than the ground: lost with a reason, never a wrong step."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import FloatArray, ImageArray, OdometryStep
from gps_denied_onboard.odometry import Odometry

from .ground import CAMERA, HEIGHT_M, Ground, camera_attitude, frame, prior
from .strategies import each_odometry, each_odometry_features_slow, odometry

MOVED = np.array([24.0, 6.0, 0.0])
ATTITUDE = camera_attitude(90.0, 1.0, -1.0)


def pair(ground: Ground) -> tuple[ImageArray, ImageArray]:
    """Two good pictures, MOVED apart."""
    start = np.array([0.0, 0.0, HEIGHT_M])
    return ground.image(start, ATTITUDE), ground.image(start + MOVED, ATTITUDE)


def step_over(first: ImageArray, second: ImageArray, name: str) -> OdometryStep:
    """One step of a strategy between two pictures with good priors."""
    a, b = frame(first, 0), frame(second, 1)
    return odometry(name).step(a, prior(a.t_ns, ATTITUDE), b, prior(b.t_ns, ATTITUDE))


def noise_picture(rng: np.random.Generator) -> ImageArray:
    """Nothing but sensor noise."""
    return rng.integers(0, 255, (CAMERA.height_px, CAMERA.width_px)).astype(np.uint8)


def cloud_picture(rng: np.random.Generator) -> ImageArray:
    """White mist with soft structure and a little noise."""
    soft = cv2.resize(rng.standard_normal((6, 8)), (CAMERA.width_px, CAMERA.height_px), interpolation=cv2.INTER_CUBIC)
    return np.clip(215 + 8 * soft + rng.standard_normal(soft.shape), 0, 255).astype(np.uint8)


NOTHING: dict[str, Callable[[ImageArray, np.random.Generator], ImageArray]] = {
    "dark": lambda _, rng: np.clip(rng.normal(4.0, 1.2, (480, 640)), 0, 255).astype(np.uint8),
    "noise": lambda _, rng: noise_picture(rng),
    "cloud": lambda _, rng: cloud_picture(rng),
    "white": lambda _, __: np.full((480, 640), 255, np.uint8),
    "another place": lambda _, __: Ground(77).image(np.array([0.0, 0.0, HEIGHT_M]), ATTITUDE),
}


@each_odometry
@pytest.mark.slow
@pytest.mark.parametrize("what", NOTHING)
def test_nothing_in_common_is_lost_with_a_reason(ground: Ground, what: str, name: str) -> None:
    """Darkness, noise, cloud, overexposure and another place give no step, from either side."""
    rng = np.random.default_rng(1)
    good = pair(ground)[0]
    bad = NOTHING[what](good, rng)
    for first, second in ((good, bad), (bad, good), (bad, NOTHING[what](good, rng))):
        if what in ("white", "another place") and first is not good and second is not good:
            continue
        step = step_over(first, second, name)
        assert step.status == "lost"
        assert step.reason
        assert step.covariance[0, 0] > 1e9


@each_odometry
@pytest.mark.slow
def test_motion_blur_is_survived_or_lost(ground: Ground, name: str) -> None:
    """With the second picture smeared over 1 to 60 px the step is right within its covariance, or lost."""
    first, second = pair(ground)
    registered = 0
    for length in (1, 5, 11, 21, 41, 60):
        smeared = cv2.blur(second, (1, length))
        step = step_over(first, smeared, name)
        if step.status == "ok":
            registered += 1
            assert np.linalg.norm(step.displacement_enu_m - MOVED) < 5.0
    assert registered >= 3


@each_odometry_features_slow
def test_exposure_and_haze_do_not_matter(ground: Ground, name: str) -> None:
    """Half the light, or a third of the contrast in mist, gives the same displacement."""
    first, second = pair(ground)
    for changed in ((second * 0.45).astype(np.uint8), (130 + second * 0.33).astype(np.uint8)):
        step = step_over(first, changed, name)
        assert step.status == "ok", step.reason
        assert np.linalg.norm(step.displacement_enu_m - MOVED) < 2.0


@each_odometry
def test_identical_frames_do_not_move(ground: Ground, name: str) -> None:
    """A repeated frame is a registered step of length zero."""
    first, _ = pair(ground)
    step = step_over(first, first.copy(), name)
    assert step.status == "ok"
    assert np.linalg.norm(step.displacement_enu_m) < 0.05
    assert abs(step.yaw_change_rad) < 1e-4


@each_odometry
def test_other_frame_size_is_the_users_mistake(ground: Ground, name: str) -> None:
    """A frame of another size than the calibration's says so."""
    first, second = pair(ground)
    with pytest.raises(UserError, match="320x240"):
        step_over(first, cv2.resize(second, (320, 240)), name)


def logo(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """The picture with a ground station's text all round, the same in every frame."""
    out = image.copy()
    for row in (24, 60, 96, 400, 436, 470):
        cv2.putText(
            out, "".join(chr(c) for c in rng.integers(48, 90, 30)), (8, row), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2
        )
    return out


@each_odometry
def test_overlay_does_not_hold_the_picture_still(ground: Ground, name: str) -> None:
    """Text burnt into the picture, sharper than the ground, does not win over the ground's motion."""
    first, second = (logo(p, np.random.default_rng(4)) for p in pair(ground))
    step = step_over(first, second, name)
    assert step.status == "ok", step.reason
    assert np.linalg.norm(step.displacement_enu_m - MOVED) < 2.0


@each_odometry_features_slow
def test_overlay_on_faint_ground_does_not_hold_the_picture_still(ground: Ground, name: str) -> None:
    """Over ground with little contrast the text does not make the aircraft stand still."""
    for faint in (0.35, 0.15, 0.06):
        soft = [(120 + faint * (p.astype(float) - 120)).astype(np.uint8) for p in pair(ground)]
        first, second = (logo(p, np.random.default_rng(4)) for p in soft)
        step = step_over(first, second, name)
        if step.status == "ok":
            assert np.linalg.norm(step.displacement_enu_m - MOVED) < 3.0


def rows_picture(position: FloatArray, rng: np.random.Generator, irregular: float) -> ImageArray:
    """Crop rows of 4 m under a level camera, with irregular plants of a strength; ground east and north in m."""
    x, y = np.meshgrid(np.arange(640.0) - CAMERA.cx_px, np.arange(480.0) - CAMERA.cy_px)
    east, north = position[0] + x / 560.0 * HEIGHT_M, position[1] - y / 560.0 * HEIGHT_M
    plants = np.random.default_rng(9).standard_normal((1400, 1400)).astype(np.float32)
    seen = cv2.remap(plants, (700 + east / 0.5).astype(np.float32), (700 - north / 0.5).astype(np.float32), 1)
    rows = 120 + 40 * np.sin(2 * np.pi * east / 4.0) + irregular * seen
    return np.clip(rows + rng.standard_normal(rows.shape), 0, 255).astype(np.uint8)


@each_odometry_features_slow
@pytest.mark.parametrize("irregular", [0.0, 3.0, 25.0])
def test_crop_rows_never_slip_by_a_row(irregular: float, name: str) -> None:
    """Over regular rows the step is right or lost: perfect rows tell nothing, plants that differ tell enough."""
    rng = np.random.default_rng(2)
    camera: Odometry = odometry(name, type(CAMERA)(640, 480, 560.0, 560.0, CAMERA.cx_px, CAMERA.cy_px))
    level = camera_attitude(90.0)
    start = np.array([0.0, 0.0, HEIGHT_M])
    for moved in ((23.0, 6.0, 0.0), (3.0, 30.0, 0.0)):
        first, second = (rows_picture(p, rng, irregular) for p in (start, start + moved))
        a, b = frame(first, 0), frame(second, 1)
        step = camera.step(a, prior(a.t_ns, level), b, prior(b.t_ns, level))
        if step.status == "ok":
            assert np.linalg.norm(step.displacement_enu_m - moved) < 2.0, irregular
        else:
            assert irregular < 25.0, step.reason
