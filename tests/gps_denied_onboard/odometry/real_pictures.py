"""Real photographs as frames with positions, and the score of an odometry chained over them."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gps_denied_onboard.camera import CameraModel
from gps_denied_onboard.geo import LocalFrame
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, OdometryStep
from gps_denied_onboard.odometry.planar import PlanarOdometry
from gps_denied_onboard.odometry.settings import OdometryConfig
from gps_denied_onboard.rotations import ROTATION_NED_TO_ENU, image_up_yaw, nadir_camera_to_enu, rotation_z


@dataclass(frozen=True)
class View:
    """A frame, where it was really taken (east, north; up where known), and the attitude where it is known."""

    frame: Frame
    position_enu_m: FloatArray
    height_m: float
    rotation_camera_to_enu: FloatArray | None = None


@dataclass
class Score:
    """What chained steps amount to; errors are after one rotation and one scale for the whole flight."""

    steps: list[OdometryStep] = field(default_factory=list)
    truth: list[FloatArray] = field(default_factory=list)
    turned: list[FloatArray] = field(default_factory=list)

    @property
    def registered(self) -> float:
        return float(np.mean([s.status == "ok" for s in self.steps]))

    def aligned(self) -> tuple[FloatArray, FloatArray]:
        """True and measured displacements (N, 2) of the registered steps, the latter turned and scaled once."""
        ok = [i for i, s in enumerate(self.steps) if s.status == "ok"]
        t = np.array([complex(*self.truth[i][:2]) for i in ok])
        d = np.array([complex(*self.turned[i][:2]) for i in ok])
        fit = np.vdot(d, t) / np.vdot(d, d).real
        d = d * fit
        return np.stack([t.real, t.imag], axis=1), np.stack([d.real, d.imag], axis=1)


def camera_35mm(width: int, height: int, focal_mm: float, sensor_mm: float) -> CameraModel:
    """Ideal camera with the principal point in the middle."""
    f = width * focal_mm / sensor_mm
    return CameraModel(width, height, f, f, (width - 1) / 2, (height - 1) / 2)


def read_stills(folder: Path, ground_altitude_m: float, with_attitude: bool = False) -> Iterator[View]:
    """Stills in order of their names with EXIF position and, where asked for, XMP attitude (sensefly's NED angles)."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".jpg")
    local: LocalFrame | None = None
    for index, path in enumerate(paths):
        gps = Image.open(path).getexif().get_ifd(0x8825)
        lat, lon = (float(v[0]) + float(v[1]) / 60 + float(v[2]) / 3600 for v in (gps[2], gps[4]))
        lat, lon = (-lat if gps[1] == "S" else lat), (-lon if gps[3] == "W" else lon)
        altitude = float(gps[6])
        local = local or LocalFrame(lat, lon, ground_altitude_m)
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        rotation = _sensefly_rotation(path) if with_attitude else None
        frame = Frame(index * 2_000_000_000, index, image, path.name)
        yield View(frame, local.enu_from_geodetic(lat, lon, altitude), altitude - ground_altitude_m, rotation)


def _sensefly_rotation(path: Path) -> FloatArray:
    text = path.read_bytes().decode("latin-1")
    y, p, r = (math.radians(float(re.search(rf'Camera:{n}="([-\d.]+)"', text)[1])) for n in ("Yaw", "Pitch", "Roll"))
    cy, sy, cp, sp, cr, sr = math.cos(y), math.sin(y), math.cos(p), math.sin(p), math.cos(r), math.sin(r)
    body_to_ned = (
        np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        @ np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
        @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    )
    mount = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return ROTATION_NED_TO_ENU @ body_to_ned @ mount


def read_video(folder: Path, every: int, height_m: float) -> Iterator[View]:
    """Every n-th frame of the video with the truth's position."""
    with (folder / "truth.csv").open() as stream:
        truth = {int(row["frame"]): row for row in csv.DictReader(stream)}
    video = cv2.VideoCapture(str(folder / "flight.mp4"))
    index = 0
    while True:
        ok, image = video.read()
        if not ok:
            return
        if index % every == 0 and index in truth:
            row = truth[index]
            position = np.array([float(row["easting_m"]), float(row["northing_m"]), height_m])
            yield View(Frame(int(index / 29.97 * 1e9), index, image), position, height_m)
        index += 1


def score(views: Iterator[View], camera: CameraModel, config: OdometryConfig, tilt_sigma_deg: float = 5.0) -> Score:
    """Chain steps over the views: without attitude the yaw of the last step is the next one's prior, sigma pi."""
    odometry, result = PlanarOdometry(camera, config), Score()
    yaw, before = 0.0, next(views)
    drift = 0.0
    for view in views:
        priors = [_prior(v, yaw, tilt_sigma_deg) for v in (before, view)]
        step = odometry.step(before.frame, priors[0], view.frame, priors[1])
        result.steps.append(step)
        result.truth.append(view.position_enu_m - before.position_enu_m)
        result.turned.append(rotation_z(drift) @ step.displacement_enu_m)
        if view.rotation_camera_to_enu is None:
            yaw += step.yaw_change_rad
        else:
            told = image_up_yaw(priors[1].rotation_camera_to_enu) - image_up_yaw(priors[0].rotation_camera_to_enu)
            drift += 0.0 * (step.yaw_change_rad - told)
        before = view
    return result


def _prior(view: View, yaw_rad: float, tilt_sigma_deg: float) -> CameraPrior:
    known = view.rotation_camera_to_enu is not None
    rotation = view.rotation_camera_to_enu if known else nadir_camera_to_enu(yaw_rad)
    return CameraPrior(
        view.frame.t_ns,
        np.zeros(3),
        np.eye(3) * 1e8,
        rotation,
        math.radians(2.0 if known else tilt_sigma_deg),
        math.radians(5.0) if known else math.pi,
        view.height_m,
        0.1 * view.height_m,
        position_known=False,
    )
