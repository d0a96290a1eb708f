"""A board as a known camera sees it: corners with noise, or whole pictures."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import exp_rotation
from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_operator.calibrate.camera import Board, View

CAMERA = CameraModel(640, 480, 620.0, 622.0, 325.0, 236.0, "brown", (-0.21, 0.08, 0.0006, -0.0004, 0.0))
FISHEYE = CameraModel(640, 480, 300.0, 301.0, 322.0, 238.0, "fisheye", (0.02, -0.004, 0.001, 0.0))
CHESS = Board(10, 7, 0.025)
CHARUCO = Board(8, 6, 0.03, 0.022, "DICT_5X5_100")
CELL_PX = 40
Pose = tuple[FloatArray, FloatArray]


def poses(
    count: int, board: Board, seed: int = 0, turn_rad: float = 0.55, reach: float = 1.0, near: float = 1.5
) -> list[Pose]:
    """Rotation (3, 3) and translation (3,) of boards held around the view, turned by up to `turn_rad`; `near` is their
    distance in board widths, `reach` how far from the middle they are held."""
    rng = np.random.default_rng(seed)
    middle = np.array([board.columns, board.rows, 0.0]) * board.square_m / 2.0
    wide = board.columns * board.square_m
    made = []
    for number in range(count):
        turn = exp_rotation(np.array([*rng.uniform(-turn_rad, turn_rad, 2), rng.uniform(-0.2, 0.2)]))
        side = np.array([(number % 3) - 1, (number // 3) % 3 - 1]) * (0.42, 0.36) * wide * reach
        place = np.array([*(side + rng.uniform(-0.05, 0.05, 2) * wide), wide * near * rng.uniform(1.0, 1.25)])
        made.append((turn, place - turn @ middle))
    return made


def view(camera: CameraModel, board: Board, pose: Pose, name: str, noise_px: float, rng: np.random.Generator) -> View:
    """The inner corners that lie in the picture."""
    grid = np.mgrid[1 : board.columns, 1 : board.rows].T.reshape(-1, 2) * board.square_m
    points = np.concatenate([grid, np.zeros((len(grid), 1))], axis=1)
    seen = points @ pose[0].T + pose[1]
    pixel = camera.distort(seen[:, :2] / seen[:, 2:]) + rng.normal(0.0, noise_px, (len(grid), 2))
    inside = ((pixel > 0) & (pixel < (camera.width_px, camera.height_px))).all(axis=1)
    return View(name, points[inside].astype(np.float32), pixel[inside].astype(np.float32))


def views(camera: CameraModel, count: int = 24, noise_px: float = 0.1, **options: float) -> list[View]:
    """Views of a chessboard."""
    rng = np.random.default_rng(1)
    held = poses(count, CHESS, **options)  # type: ignore[arg-type]
    return [view(camera, CHESS, pose, f"{n:02d}.png", noise_px, rng) for n, pose in enumerate(held)]


@lru_cache(maxsize=2)
def drawn_board(board: Board) -> ImageArray:
    """The board from above, CELL_PX a square, with a white margin of one square."""
    size = (board.columns * CELL_PX, board.rows * CELL_PX)
    if board.dictionary:
        words = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
        made = cv2.aruco.CharucoBoard((board.columns, board.rows), board.square_m, board.marker_m, words)
        inner = np.asarray(made.generateImage(size), dtype=np.uint8)
    else:
        rows, columns = np.indices(size[::-1]) // CELL_PX
        inner = np.where((rows + columns) % 2, 235, 20).astype(np.uint8)
    return np.pad(inner, CELL_PX, constant_values=235)


@lru_cache(maxsize=1)
def camera_rays(camera: CameraModel, shrink: int) -> FloatArray:
    """(N, 3) ray of each pixel, row by row, `shrink` times finer than the picture."""
    u = (np.arange(camera.width_px * shrink) + 0.5) / shrink - 0.5
    v = (np.arange(camera.height_px * shrink) + 0.5) / shrink - 0.5
    pixel = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    return np.concatenate([camera.undistort(pixel), np.ones((len(pixel), 1))], axis=1)


def picture(camera: CameraModel, board: Board, pose: Pose, shrink: int = 2) -> ImageArray:
    """A picture of the board: each pixel's ray meets the board's plane; `shrink` times finer, then averaged."""
    drawn, rays = drawn_board(board), camera_rays(camera, shrink) @ pose[0]
    origin = -pose[0].T @ pose[1]
    depth = -origin[2] / rays[:, 2]
    on_board = (origin[:2] + depth[:, None] * rays[:, :2]) / board.square_m * CELL_PX + CELL_PX - 0.5
    shape = (camera.height_px * shrink, camera.width_px * shrink)
    x, y = (on_board[:, k].reshape(shape).astype(np.float32) for k in (0, 1))
    fine = cv2.remap(drawn, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=120)
    small = cv2.resize(fine, (camera.width_px, camera.height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (3, 3), 0.6), dtype=np.uint8)
