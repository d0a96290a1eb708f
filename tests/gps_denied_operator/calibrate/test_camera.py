"""The lens from pictures of a board: found where the pictures tell it, refused where they do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest
from PIL import Image
from typer.testing import CliRunner

from gps_denied_onboard.config import load_config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_operator.calibrate.camera import View, calibrate_camera, find_views, picture_paths
from gps_denied_operator.calibrate.errors import CalibrationRefusedError
from gps_denied_operator.cli import app

from .boards import CAMERA, CHARUCO, CHESS, FISHEYE, picture, poses, views

SIZE = (640, 480)


@pytest.mark.slow
@pytest.mark.parametrize(("camera", "near"), [(CAMERA, 1.5), (FISHEYE, 0.75)], ids=["brown", "fisheye"])
def test_the_lens_is_found(camera: CameraModel, near: float) -> None:
    """Focal length and centre to a pixel and a half, and every direction in the picture to half a pixel."""
    found = calibrate_camera(views(camera, near=near), SIZE, camera.distortion_model)
    assert (found.camera.fx_px, found.camera.fy_px) == pytest.approx((camera.fx_px, camera.fy_px), abs=1.5)
    assert (found.camera.cx_px, found.camera.cy_px) == pytest.approx((camera.cx_px, camera.cy_px), abs=1.5)
    pixel = np.stack(np.meshgrid(np.linspace(40, 600, 9), np.linspace(40, 440, 7)), axis=-1).reshape(-1, 2)
    assert np.abs(camera.distort(found.camera.undistort(pixel)) - pixel).max() < 1.0
    assert found.rms_px == pytest.approx(0.14, abs=0.02)  # 0.1 px in x and in y
    assert found.left_out == ()


@pytest.mark.slow
def test_one_odd_picture_is_left_out() -> None:
    """A picture of a bent board, 6 px off at its edge, does not move the answer."""
    good = views(CAMERA)
    bent = good[4].pixel_px + np.linspace(-6.0, 6.0, len(good[4].pixel_px))[:, None].astype(np.float32) ** 2 / 6.0
    found = calibrate_camera([*good[:4], replace(good[4], pixel_px=bent.astype(np.float32)), *good[5:]], SIZE)
    assert found.left_out == (good[4].name,)
    assert found.camera.fx_px == pytest.approx(CAMERA.fx_px, abs=1.5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [12, 16])
def test_a_small_but_good_fisheye_set_is_enough(count: int) -> None:
    """A dozen good pictures tell a fisheye; its uncertainty is that of leaving groups of them out."""
    found = calibrate_camera(views(FISHEYE, count, near=0.75), SIZE, "fisheye")
    assert len(found.view_rms_px) == count
    assert found.camera.fx_px == pytest.approx(FISHEYE.fx_px, abs=4.0 * found.focal_sigma_px + 0.1)
    assert 0.0 < found.focal_sigma_px < 0.6


@pytest.mark.slow
def test_a_picture_that_is_good_by_itself_is_never_odd() -> None:
    """Where the others are met to hundredths of a pixel, one with 0.2 px of noise is still a good one."""
    sharp = views(FISHEYE, 14, noise_px=0.02, near=0.75)
    noise = np.random.default_rng(3).normal(0.0, 0.2, sharp[5].pixel_px.shape)
    mixed = [*sharp[:5], replace(sharp[5], pixel_px=(sharp[5].pixel_px + noise).astype(np.float32)), *sharp[6:]]
    found = calibrate_camera(mixed, SIZE, "fisheye")
    assert found.left_out == ()
    assert len(found.view_rms_px) == 14


def blurred(seen: list[View], sigma_px: float) -> list[View]:
    rng = np.random.default_rng(5)
    return [
        replace(view, pixel_px=(view.pixel_px + rng.normal(0.0, sigma_px, view.pixel_px.shape)).astype(np.float32))
        for view in seen
    ]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (views(CAMERA, 9), "seen in 9 of 9 pictures"),
        (views(CAMERA, near=4.0, reach=0.1), "edges too"),
        (views(CAMERA, turn_rad=0.02), "cannot be told apart"),
        (blurred(views(CAMERA), 1.5), "misses the corners"),
        (blurred(views(CAMERA, 10), 0.5), "focal length is known only"),
    ],
    ids=["few", "only the middle", "never turned", "blurred", "not enough"],
)
def test_pictures_that_cannot_tell_the_lens_are_refused(seen: list[View], said: str) -> None:
    """Each kind of too little is told with what to do, and its exit code."""
    with pytest.raises(CalibrationRefusedError, match=said) as caught:
        calibrate_camera(seen, SIZE)
    assert caught.value.exit_code == 70


@pytest.mark.slow
def test_the_command_writes_what_a_configuration_takes(tmp_path: Path) -> None:
    """Pictures of a ChArUco board in, a [camera] table that the configuration reads and a page of residuals out."""
    (tmp_path / "board").mkdir()
    for number, pose in enumerate(poses(13, CHARUCO, reach=0.8, turn_rad=0.7)):
        cv2.imwrite(str(tmp_path / f"board/{number:02d}.png"), picture(CAMERA, CHARUCO, pose, shrink=1))
    cv2.imwrite(str(tmp_path / "board/empty.png"), np.full((480, 640), 90, np.uint8))
    out, page = tmp_path / "camera.toml", tmp_path / "camera.html"
    command = ["calibrate", "camera", str(tmp_path / "board"), "--board", "8x6", "--square", "30", "--marker", "22",
               "--dictionary", "DICT_5X5_100", "--out", str(out), "--page", str(page), "--json"]  # fmt: skip
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.exception
    assert orjson.loads(answer.stdout)["left_out"] == ["empty.png"]
    read = load_config(out).camera
    assert read is not None
    assert (read.fx_px, read.cx_px) == pytest.approx((CAMERA.fx_px, CAMERA.cx_px), abs=2.5)
    assert "Residuals" in page.read_text()
    assert isinstance(CliRunner().invoke(app, command).exception, UserError)  # the file is there already


def test_pictures_of_two_sizes_and_none_at_all_are_refused(tmp_path: Path) -> None:
    """Which picture, and both sizes; a folder without pictures."""
    with pytest.raises(UserError, match="holds no picture"):
        picture_paths([tmp_path])
    for name, wide in (("a.png", 320), ("b.png", 300)):
        cv2.imwrite(str(tmp_path / name), np.zeros((240, wide), np.uint8))
    with pytest.raises(UserError, match=r"b\.png is 300x240.*320x240"):
        find_views(picture_paths([tmp_path]), CHARUCO)


@pytest.mark.slow
def test_a_chessboard_in_pictures(tmp_path: Path) -> None:
    """The same with a chessboard, drawn finer."""
    for number, pose in enumerate(poses(18, CHESS, reach=0.7)):
        cv2.imwrite(str(tmp_path / f"{number:02d}.png"), picture(CAMERA, CHESS, pose))
    seen, _, size = find_views(picture_paths([tmp_path]), CHESS)
    assert calibrate_camera(seen, size).camera.fx_px == pytest.approx(CAMERA.fx_px, abs=1.0)


def test_an_orientation_flag_turns_no_corner(tmp_path: Path) -> None:
    """Pictures of one camera with the flags 1, 3 and 6 are one size, corners lie where the sensor saw them."""
    seen = Image.fromarray(picture(CAMERA, CHESS, poses(1, CHESS)[0]))
    for flag in (1, 3, 6):
        exif = Image.Exif()
        exif[0x112] = flag
        seen.save(tmp_path / f"{flag}.png", exif=exif)
    found, without, size_px = find_views(picture_paths([tmp_path]), CHESS)
    assert (len(found), without, size_px) == (3, (), (640, 480))
    assert all((view.pixel_px == found[0].pixel_px).all() for view in found)
