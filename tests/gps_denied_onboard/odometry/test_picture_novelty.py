"""Which pictures are new: by their samples, by detail that stays while the ground moves, by a break over the width."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu
from gps_denied_onboard.messages import Frame, ImageArray
from gps_denied_onboard.odometry.picture_novelty import (
    NotNew,
    PictureMotion,
    PictureNovelty,
    image_motion_px,
    seam_row,
)

SECOND_NS = 1_000_000_000
FOCAL_PX, SIZE_PX, HEIGHT_M = 800.0, (640, 480), 400.0
SPEED_MPS = 18.0
RNG = np.random.default_rng(8)
GROUND = cv2.GaussianBlur(RNG.normal(120.0, 60.0, (900, 3000)).astype(np.float32), (0, 0), 1.3) * 1.6 - 70.0


def motion(t_s: float, speed_mps: float = SPEED_MPS, turn_rad: float = 0.0, sigma_mps: float = 0.5) -> PictureMotion:
    """A camera that looks down, flies east, and has turned about the vertical."""
    rotation = exp_rotation(np.array([0.0, 0.0, turn_rad])) @ nadir_camera_to_enu(0.0)
    velocity = np.array([speed_mps, 0.0, 0.0])
    return PictureMotion(round(t_s * SECOND_NS), velocity, sigma_mps, rotation, HEIGHT_M, 10.0)


def taken(second: float, noise: int) -> ImageArray:
    """The ground as seen at a second of the flight: 36 px further each, with the sensor's own noise."""
    x = round(36.0 * second)
    clean = GROUND[200:680, 100 + x : 740 + x]
    noisy = clean + np.random.default_rng(1000 + noise).normal(0.0, 2.5, clean.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def again(image: ImageArray, quality: int) -> ImageArray:
    """The picture after another round of compression."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, 0), dtype=np.uint8)


def verdicts(images: Sequence[ImageArray], speed_mps: float = SPEED_MPS, known: bool = True) -> list[NotNew | None]:
    """What is said of pictures that come once a second."""
    novelty = PictureNovelty(FOCAL_PX, SIZE_PX)
    return [
        novelty.judge(Frame(k * SECOND_NS, k, image), motion(k, speed_mps) if known else None)
        for k, image in enumerate(images)
    ]


def test_pictures_of_moving_ground_are_new() -> None:
    """A flight over texture: every picture counts."""
    assert verdicts([taken(k, k) for k in range(8)]) == [None] * 8


def test_same_bytes_are_repeated_whatever_is_known() -> None:
    """The last picture, and one of three seconds before, are known again, also without an attitude."""
    a, b, c = taken(0, 0), taken(1, 1), taken(2, 2)
    for known in (True, False):
        assert verdicts([a, b, c, c, a], known=known) == [None, None, None, NotNew.REPEATED, NotNew.REPEATED]


def test_stutter_loses_every_second_picture_alone() -> None:
    """New, repeated, new, repeated."""
    images = [taken(2 * (k // 2), 2 * (k // 2)) for k in range(6)]
    assert verdicts(images) == [None, NotNew.REPEATED] * 3


def test_frozen_stream_that_is_encoded_anew_is_frozen_for_as_long_as_it_lasts() -> None:
    """Sixty pictures of one moment, each compressed otherwise; then the camera goes on."""
    still = taken(1, 1)
    images = [taken(0, 0), still, *(again(still, 80 + k % 15) for k in range(60)), taken(10, 99)]
    assert verdicts(images) == [None, None, *[NotNew.FROZEN] * 60, None]


def test_camera_that_stands_is_not_frozen() -> None:
    """On the ground the pictures are the same but for their noise, and they are new; so is one that is sent again."""
    images = [taken(0, k) for k in range(4)]
    assert verdicts([*images, images[-1]], speed_mps=0.02) == [None] * 4 + [NotNew.REPEATED]
    standing = [
        PictureMotion(k * SECOND_NS, np.zeros(3), 0.001, motion(0).rotation_camera_to_enu, 400.0, 1.0) for k in range(2)
    ]
    novelty = PictureNovelty(FOCAL_PX, SIZE_PX)
    assert [novelty.judge(Frame(k * SECOND_NS, k, images[0]), standing[k]) for k in range(2)] == [None, None]


def test_state_that_does_not_know_its_speed_freezes_nothing() -> None:
    """Where the velocity is open by more than the motion, likeness proves nothing."""
    novelty = PictureNovelty(FOCAL_PX, SIZE_PX)
    for k in range(4):
        assert novelty.judge(Frame(k * SECOND_NS, k, taken(0, k)), motion(k, sigma_mps=20.0)) is None


@pytest.mark.parametrize("row", [150, 240, 330])
def test_half_updated_picture_is_torn(row: int) -> None:
    """The upper part is of now, the lower of the picture before; in a row of such, the lower parts are new as well."""
    clean = [taken(k, k) for k in range(6)]
    torn = [np.concatenate([clean[k][:row], clean[k - 1][row:]]) for k in range(3, 6)]
    assert verdicts([*clean[:3], *torn])[3:] == [NotNew.TORN, None, None]


def test_seam_alone_refuses_nothing() -> None:
    """Below it a band of the picture before: torn. Of another place, or where no motion is known: new."""
    soft = cv2.GaussianBlur(GROUND, (0, 0), 3.0)
    soft = np.clip((soft - soft.mean()) * 6.0 + 120.0, 0, 255).astype(np.uint8)
    pictures = [soft[200:680, x : x + 640] for x in (100, 136, 172, 208, 1280)]
    torn, strange = (np.concatenate([pictures[3][:415], pictures[below][415:]]) for below in (2, 4))
    assert seam_row(torn) == seam_row(strange) == 414
    assert verdicts([*pictures[:3], torn])[3] is NotNew.TORN
    assert verdicts([*pictures[:3], strange])[3] is None
    assert verdicts([*pictures[:3], torn], known=False)[3] is None


def test_seam_is_told_from_edges_and_from_compression() -> None:
    """A tilted edge, a hard compression and an edge over a third of the width are no seams; a shift of the whole is."""
    smooth = cv2.GaussianBlur(GROUND[:480, :700], (0, 0), 3.0)
    smooth = np.clip((smooth - smooth.mean()) * 6.0 + 120.0, 0, 255).astype(np.uint8)
    assert None is seam_row(smooth[:, :640])
    assert None is seam_row(again(smooth[:, :640], 20))
    tilted = smooth[:, :640].copy()
    cv2.line(tilted, (0, 230), (639, 245), 255, 3)
    assert None is seam_row(tilted)
    part = smooth[:, :640].copy()
    part[200:, :213] //= 2
    assert None is seam_row(part)
    assert seam_row(np.concatenate([smooth[:200, :640], smooth[200:, 60:700]])) == 199


def test_overlay_that_never_changes_is_not_torn_for_ever() -> None:
    """A bar over the lower quarter is taken for half an old picture a few times; then the rest counts."""
    bar = taken(50, 7)[360:]
    images = []
    for k in range(16):
        image = taken(k, k)
        image[360:] = np.clip(bar + np.random.default_rng(k).normal(0.0, 1.0, bar.shape), 0, 255)
        images.append(image)
    told = verdicts([*images, images[-1]])
    assert told[8:16] == [None] * 8
    assert told[16] is NotNew.REPEATED


def test_dark_pictures_are_left_to_the_odometry() -> None:
    """A covered lens gives pictures of one colour: nothing can be said of their order."""
    black = np.zeros((480, 640), dtype=np.uint8)
    assert verdicts([black, black, black]) == [None] * 3


def test_motion_through_the_picture() -> None:
    """17 m at 400 m with 800 px are 34 px; a turn moves the corners; a doubtful velocity leaves nothing certain."""
    least, most = image_motion_px(motion(0, 17.0), motion(1, 17.0, sigma_mps=0.1), FOCAL_PX, 400.0)
    assert least < 34.0 < most
    assert least > 25.0
    assert image_motion_px(motion(0, 0.0), motion(1, 0.0, turn_rad=0.1), FOCAL_PX, 400.0)[0] == pytest.approx(
        38.0, abs=1.0
    )
    assert image_motion_px(motion(0), motion(1, sigma_mps=9.0), FOCAL_PX, 400.0)[0] == 0.0


def test_tilt_may_cancel_the_way() -> None:
    """A camera that turns with the ground sees it stand: no motion is demanded then."""
    first = motion(0, 17.0)
    follow = exp_rotation(np.array([0.0, 17.0 / HEIGHT_M, 0.0]))
    second = PictureMotion(SECOND_NS, first.velocity_enu_mps, 0.1, follow @ first.rotation_camera_to_enu, 400.0, 1.0)
    against = PictureMotion(SECOND_NS, first.velocity_enu_mps, 0.1, follow.T @ first.rotation_camera_to_enu, 400.0, 1.0)
    moved = [image_motion_px(first, s, FOCAL_PX, 400.0)[0] for s in (second, against)]
    assert min(moved) == 0.0
    assert max(moved) > 50.0
