"""Lens calibration from pictures of a chessboard or ChArUco board (OpenCV), refused where it would not be known.

Zhang, "A flexible new technique for camera calibration", 2000; standard deviations as OpenCV's calibrateCameraExtended
gives them. A few odd pictures are left out once; the answer is checked on pictures that took no part in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.folder import read_image
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.calibrate.errors import CalibrationRefusedError

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"}
VIEWS_MIN = 10
CORNERS_MIN = 12
COVERED_MIN = 0.6
"""Share of the picture's 8 x 6 fields that hold a corner of some board."""
FOCAL_SIGMA_MAX = 0.002
RMS_PX_MAX = 1.0
CHECK_PX_MAX = 1.5
TILT_DEG_MIN = 15.0
"""At least a few boards must be turned this far out of the picture's plane, or focal length and distance look alike."""
TILTED_MIN = 3
ODD_FACTOR = 3.0
ODD_PX_MIN = 0.5
"""No picture is odd whose corners are met better than this, however well the others are."""
JACKKNIFE_GROUPS = 5
FIELDS = (8, 6)
FISHEYE_FLAGS = cv2.CALIB_RECOMPUTE_EXTRINSIC | cv2.CALIB_FIX_SKEW | cv2.CALIB_USE_INTRINSIC_GUESS

Points = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Board:
    """A board of `columns` x `rows` squares of `square_m`; with `marker_m` and a dictionary it is a ChArUco board."""

    columns: int
    rows: int
    square_m: float
    marker_m: float = 0.0
    dictionary: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Corners that were found in a picture: (N, 3) on the board in m, (N, 2) in pixels."""

    name: str
    board_m: Points
    pixel_px: Points


@dataclass(frozen=True, slots=True, eq=False)
class CameraCalibration:
    """A camera with what is known about it. `residual_px` (N, 2) at `pixel_px` (N, 2), observed minus predicted, of all
    views; `view_rms_px` by name; `left_out` are pictures without a whole enough board, or odd ones."""

    camera: CameraModel
    rms_px: float
    check_rms_px: float
    focal_sigma_px: float
    centre_sigma_px: float
    covered: float
    view_rms_px: dict[str, float]
    pixel_px: FloatArray
    residual_px: FloatArray
    left_out: tuple[str, ...]


def picture_paths(places: Sequence[Path]) -> list[Path]:
    """Pictures among files and folders, in the order of their names. UserError where there is none."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
        elif place.is_file():
            found.append(place)
        else:
            raise UserError(f"{place} does not exist; give pictures of the board, or the folder that holds them.")
    if not found:
        raise UserError(f"{places[0]} holds no picture ({', '.join(sorted(SUFFIXES))}); give pictures of the board.")
    return found


def find_views(
    paths: Sequence[Path], board: Board, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> tuple[list[View], tuple[str, ...], tuple[int, int]]:
    """Find the board in each picture; returns the views, the names without one, and (width, height) in pixels."""
    finder = _charuco(board) if board.dictionary else _chessboard(board)
    views: list[View] = []
    without: list[str] = []
    size: tuple[int, int] | None = None
    for number, path in enumerate(paths):
        grey = _grey(path)
        found_px = (int(grey.shape[1]), int(grey.shape[0]))
        if size is not None and found_px != size:
            raise UserError(
                f"{path} is {found_px[0]}x{found_px[1]}, the pictures before it {size[0]}x{size[1]}: "
                "give pictures of one camera in one mode."
            )
        size = found_px
        corners = finder(np.asarray(grey, dtype=np.uint8))
        if corners is None or len(corners[0]) < CORNERS_MIN:
            without.append(path.name)
        else:
            views.append(View(path.name, *corners))
        progress(number + 1, len(paths))
    assert size is not None
    return views, tuple(without), size


def _grey(path: Path) -> ImageArray:
    """Pixels as stored, like every frame: an orientation flag turns none."""
    try:
        return read_image(path, grey=True)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(
            f"{path} cannot be read as a picture ({shown(error, 160)}); remove it, or take it again."
        ) from error


def calibrate_camera(
    views: Sequence[View], size_px: tuple[int, int], model: str = "brown", without: Sequence[str] = ()
) -> CameraCalibration:
    """Fit a lens of `model` ("brown" or "fisheye"). CalibrationRefusedError where the views cannot support one."""
    covered = coverage(views, size_px)
    _check_views(views, covered, without)
    fitted = _fit(views, size_px, model)
    odd = {view.name for view, rms in zip(views, fitted.view_rms, strict=True) if rms > fitted.odd_px}
    kept = [view for view in views if view.name not in odd]
    if odd and len(kept) >= VIEWS_MIN:
        fitted = _fit(kept, size_px, model)
    else:
        kept, odd = list(views), set()
    _check_fit(fitted)
    check = _check_rms(kept, size_px, model)
    if check > CHECK_PX_MAX:
        raise CalibrationRefusedError(
            f"Pictures that took no part in the fit miss it by {check:.2f} px (at most {CHECK_PX_MAX:g}): take more "
            "pictures, sharp, the board flat and at many places and angles."
        )
    return CameraCalibration(
        fitted.camera, fitted.rms, check, fitted.focal_sigma, fitted.centre_sigma, covered,
        {view.name: round(rms, 4) for view, rms in zip(kept, fitted.view_rms, strict=True)},
        np.concatenate([view.pixel_px for view in kept]).astype(float), fitted.residual, (*without, *sorted(odd)),
    )  # fmt: skip


def coverage(views: Sequence[View], size_px: tuple[int, int]) -> float:
    """Share of the picture's fields that hold a corner of some board."""
    if not views:
        return 0.0
    pixel = np.concatenate([view.pixel_px for view in views])
    fields = np.clip((pixel / size_px * FIELDS).astype(int), 0, np.array(FIELDS) - 1)
    return len(np.unique(fields, axis=0)) / (FIELDS[0] * FIELDS[1])


def camera_toml(camera: CameraModel) -> str:
    """The [camera] table of a configuration."""
    lines = [f"width_px = {camera.width_px}", f"height_px = {camera.height_px}"]
    lines += [f"{name} = {getattr(camera, name):.4f}" for name in ("fx_px", "fy_px", "cx_px", "cy_px")]
    lines.append(f'distortion_model = "{camera.distortion_model}"')
    lines.append(f"distortion = [{', '.join(f'{k:.8f}' for k in camera.distortion)}]")
    return "[camera]\n" + "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    camera: CameraModel
    rms: float
    view_rms: list[float]
    residual: FloatArray
    focal_sigma: float
    centre_sigma: float
    tilts_deg: list[float]

    @property
    def odd_px(self) -> float:
        """RMS of a view above which it is odd: far above the others, and bad by itself."""
        return max(ODD_FACTOR * float(np.median(self.view_rms)), ODD_PX_MIN)


def _fit(views: Sequence[View], size_px: tuple[int, int], model: str) -> _Fit:
    board = [view.board_m.reshape(-1, 1, 3) for view in views]
    pixel = [view.pixel_px.reshape(-1, 1, 2) for view in views]
    sigmas: Any = None
    start = _start(board, pixel, size_px) if model == "brown" else _fisheye_start(size_px)
    try:
        if model == "brown":
            _, matrix, distortion, turns, moves, sigmas, _, _ = cv2.calibrateCameraExtended(
                board, pixel, size_px, start, np.zeros(5), flags=cv2.CALIB_USE_INTRINSIC_GUESS
            )
        else:
            _, matrix, distortion, turns, moves = _fisheye(views, size_px, start)
    except cv2.error as error:
        raise CalibrationRefusedError(
            "No lens fits these pictures: give the board's true number of squares and kind, and take it from many "
            f"angles ({str(error.err)[:80]})."
        ) from error
    width, height = size_px
    told = tuple(float(k) for k in np.ravel(distortion))
    camera = CameraModel(
        width, height, float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2]), model, told
    )
    residuals = [
        view.pixel_px - _projected(view, camera, turn, move)
        for view, turn, move in zip(views, turns, moves, strict=True)
    ]
    tilts = [math.degrees(math.acos(min(1.0, abs(float(cv2.Rodrigues(turn)[0][2, 2]))))) for turn in turns]
    residual = np.concatenate(residuals).astype(float)
    focal, centre = _sigmas(sigmas, views, camera)
    rms = [float(np.sqrt(np.mean(np.sum(r**2, axis=1)))) for r in residuals]
    return _Fit(camera, float(np.sqrt(np.mean(np.sum(residual**2, axis=1)))), rms, residual, focal, centre, tilts)


def _start(board: Sequence[Any], pixel: Sequence[Any], size_px: tuple[int, int]) -> FloatArray:
    """A first matrix by the boards' homographies, kept within what lenses are."""
    width, height = size_px
    guess = np.asarray(cv2.initCameraMatrix2D(board, pixel, size_px), dtype=float)
    focal = float(guess[0, 0])
    if not (math.isfinite(focal) and 0.2 * width < focal < 20.0 * width):
        focal = float(width)
    return np.array([[focal, 0.0, (width - 1) / 2.0], [0.0, focal, (height - 1) / 2.0], [0.0, 0.0, 1.0]])


def _fisheye_start(size_px: tuple[int, int]) -> FloatArray:
    """A first matrix of a fisheye whose corners look 75 degrees aside; OpenCV's fit fails from a much longer lens."""
    width, height = size_px
    focal = math.hypot(width, height) / 2.0 / math.radians(75.0)
    return np.array([[focal, 0.0, (width - 1) / 2.0], [0.0, focal, (height - 1) / 2.0], [0.0, 0.0, 1.0]])


def _projected(view: View, camera: CameraModel, turn: Any, move: Any) -> FloatArray:
    points = view.board_m.astype(float) @ cv2.Rodrigues(turn)[0].T + np.ravel(move)
    return camera.distort(points[:, :2] / points[:, 2:])


def _sigmas(told: Any, views: Sequence[View], camera: CameraModel) -> tuple[float, float]:
    """Standard deviations of focal length and centre in px. OpenCV tells none for a fisheye: there the jackknife over
    groups of pictures stands for them (Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982)."""
    if told is not None:
        values = np.ravel(told)
        return float(max(values[0], values[1])), float(max(values[2], values[3]))
    size_px = camera.width_px, camera.height_px
    groups = min(JACKKNIFE_GROUPS, len(views))
    fits = []
    for left in range(groups):
        rest = [view for number, view in enumerate(views) if number % groups != left]
        try:
            matrix = np.asarray(_fisheye(rest, size_px, camera.matrix)[1], dtype=float)
        except cv2.error:  # so few pictures that some of them do not hold the lens
            return math.nan, math.nan
        fits.append([matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]])
    values = np.array(fits)
    sigma = np.sqrt((groups - 1) / groups * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
    return float(sigma[:2].max()), float(sigma[2:].max())


def _fisheye(views: Sequence[View], size_px: tuple[int, int], start: FloatArray) -> Any:
    """OpenCV's fisheye fit: RMS, matrix, distortion, turns, moves."""
    board = [view.board_m.reshape(1, -1, 3).astype(float) for view in views]
    pixel = [view.pixel_px.reshape(1, -1, 2).astype(float) for view in views]
    return cv2.fisheye.calibrate(board, pixel, size_px, start.copy(), np.zeros(4), flags=FISHEYE_FLAGS)


def _check_views(views: Sequence[View], covered: float, without: Sequence[str]) -> None:
    if len(views) < VIEWS_MIN:
        raise CalibrationRefusedError(
            f"The board is seen in {len(views)} of {len(views) + len(without)} pictures, {VIEWS_MIN} are needed: check "
            "the board's number of squares and kind, and take sharp pictures with all of it in view."
        )
    if covered < COVERED_MIN:
        raise CalibrationRefusedError(
            f"The boards cover {100 * covered:.0f} % of the picture, {100 * COVERED_MIN:.0f} % are needed: hold the "
            "board into the corners and along the edges too; the lens is not known where it was never seen."
        )


def _check_fit(fitted: _Fit) -> None:
    tilted = sum(tilt >= TILT_DEG_MIN for tilt in fitted.tilts_deg)
    if tilted < TILTED_MIN:
        raise CalibrationRefusedError(
            f"{tilted} of {len(fitted.tilts_deg)} boards are turned by {TILT_DEG_MIN:g} degrees or more, {TILTED_MIN} "
            "are needed: from boards that face the camera, focal length and distance cannot be told apart."
        )
    if fitted.rms > RMS_PX_MAX:
        raise CalibrationRefusedError(
            f"The best lens misses the corners by {fitted.rms:.2f} px (at most {RMS_PX_MAX:g}): the board is not flat, "
            "pictures are blurred, or the lens is of the other model (--model)."
        )
    share = fitted.focal_sigma / min(fitted.camera.fx_px, fitted.camera.fy_px)
    if not share <= FOCAL_SIGMA_MAX:
        known = "not" if math.isnan(share) else f"only to {100 * share:.2f} %"
        raise CalibrationRefusedError(
            f"The focal length is known {known} ({100 * FOCAL_SIGMA_MAX:g} % are needed): take more pictures, the "
            "board turned far and at several distances."
        )


def _check_rms(views: Sequence[View], size_px: tuple[int, int], model: str) -> float:
    """RMS in px of each third picture under the lens that the others give."""
    rest = [view for number, view in enumerate(views) if number % 3]
    camera = _fit(rest, size_px, model).camera
    squares: list[float] = []
    for view in views[::3]:
        flat = camera.undistort(view.pixel_px)
        found, turn, move = cv2.solvePnP(view.board_m, flat, np.eye(3), None)
        if found:
            squares += np.sum((view.pixel_px - _projected(view, camera, turn, move)) ** 2, axis=1).tolist()
    return float(np.sqrt(np.mean(squares))) if squares else math.inf


def _chessboard(board: Board) -> Callable[[ImageArray], tuple[Points, Points] | None]:
    inner = (board.columns - 1, board.rows - 1)
    grid = np.zeros((inner[0] * inner[1], 3), dtype=np.float32)
    grid[:, :2] = np.mgrid[: inner[0], : inner[1]].T.reshape(-1, 2) * board.square_m

    def find(grey: ImageArray) -> tuple[Points, Points] | None:
        found, corners = cv2.findChessboardCornersSB(grey, inner, flags=cv2.CALIB_CB_ACCURACY)
        return (grid, np.asarray(corners, dtype=np.float32).reshape(-1, 2)) if found else None

    return find


def _charuco(board: Board) -> Callable[[ImageArray], tuple[Points, Points] | None]:
    number = getattr(cv2.aruco, board.dictionary, None)
    if not board.dictionary.startswith("DICT_") or not isinstance(number, int):
        raise UserError(f"--dictionary {board.dictionary} is not known; give one of OpenCV's, as DICT_5X5_100.")
    if not 0.0 < board.marker_m < board.square_m:
        raise UserError("--marker must be more than 0 and less than --square, in millimetres.")
    made = cv2.aruco.CharucoBoard(
        (board.columns, board.rows), board.square_m, board.marker_m, cv2.aruco.getPredefinedDictionary(number)
    )
    detector = cv2.aruco.CharucoDetector(made)
    places = np.asarray(made.getChessboardCorners(), dtype=np.float32)

    def find(grey: ImageArray) -> tuple[Points, Points] | None:
        corners, ids, _, _ = detector.detectBoard(grey)
        if ids is None or len(ids) < CORNERS_MIN:
            return None
        return places[np.ravel(ids)], np.asarray(corners, dtype=np.float32).reshape(-1, 2)

    return find
