"""Real photographs as frames with positions, and the score of an odometry chained over them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import nadir_camera_to_enu, rotation_z
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, OdometryStep
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.planar import PlanarOdometry


@dataclass(frozen=True)
class View:
    """A frame and where it was really taken; height and direction of the image's top where the truth has them."""

    frame: Frame
    position_enu_m: FloatArray
    height_m: float | None = None
    yaw_rad: float | None = None


@dataclass
class Score:
    """What chained steps amount to. `yaw_offset_rad` (N,) is the true yaw less the chained one, where it is known."""

    steps: list[OdometryStep] = field(default_factory=list)
    truth: list[FloatArray] = field(default_factory=list)
    measured: list[FloatArray] = field(default_factory=list)
    yaw_offset_rad: list[float] = field(default_factory=list)

    @property
    def registered(self) -> float:
        return float(np.mean([s.status == "ok" for s in self.steps]))

    @property
    def residual_px(self) -> float:
        """Mean reprojection error of the registered steps."""
        return float(np.mean([s.residual_px for s in self.steps if s.status == "ok"]))

    def aligned(self) -> tuple[FloatArray, FloatArray]:
        """True and measured displacements (N, 2) of the registered steps, the latter turned and scaled once."""
        ok = [i for i, s in enumerate(self.steps) if s.status == "ok"]
        t = np.array([complex(*self.truth[i][:2]) for i in ok])
        d = np.array([complex(*self.measured[i][:2]) for i in ok])
        d = d * np.vdot(d, t) / np.vdot(d, d).real
        return np.stack([t.real, t.imag], axis=1), np.stack([d.real, d.imag], axis=1)

    def drift_percent(self) -> float:
        """End error of the chain over the distance flown, after one turn and scale that fit it best."""
        t, d = self.aligned()
        return float(100.0 * np.hypot(*(t - d).sum(axis=0)) / np.hypot(*t.T).sum())

    def heading_drift_percent(self, first: int = 20) -> float:
        """The same with the true scale, and only the mean heading error of the first frames taken out."""
        offset = float(np.mean(np.unwrap(self.yaw_offset_rad[:first])))
        t = np.array(self.truth)[:, :2]
        d = (np.array(self.measured) @ rotation_z(offset).T)[:, :2]
        return float(100.0 * np.hypot(*(t - d).sum(axis=0)) / np.hypot(*t.T).sum())

    def wrong(self, share: float = 0.3) -> list[int]:
        """Numbers of the registered steps whose length is off by more than a share of the true one.

        Lengths do not depend on the heading, which drifts; the scale is the median ratio.
        """
        ok = [i for i, s in enumerate(self.steps) if s.status == "ok"]
        ratio = np.array([np.hypot(*self.measured[i][:2]) / max(np.hypot(*self.truth[i][:2]), 0.1) for i in ok])
        return [i + 1 for i, r in zip(ok, ratio / np.median(ratio), strict=True) if abs(r - 1.0) > share]


def camera_of(width: int, height: int, focal_mm: float, sensor_mm: float) -> CameraModel:
    """Ideal camera of a lens and a sensor's width, the principal point in the middle."""
    f = width * focal_mm / sensor_mm
    return CameraModel(width, height, f, f, (width - 1) / 2, (height - 1) / 2)


def read_stills(folder: Path) -> Iterator[View]:
    """Stills in order of their names with EXIF position."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".jpg")
    local: LocalFrame | None = None
    for index, path in enumerate(paths):
        gps = Image.open(path).getexif().get_ifd(0x8825)
        lat, lon = (float(v[0]) + float(v[1]) / 60 + float(v[2]) / 3600 for v in (gps[2], gps[4]))
        lat, lon = (-lat if gps[1] == "S" else lat), (-lon if gps[3] == "W" else lon)
        altitude = float(gps[6])
        local = local or LocalFrame(lat, lon, altitude)
        image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
        frame = Frame(index * 2_000_000_000, index, image, path.name)
        yield View(frame, local.enu_from_geodetic(lat, lon, altitude))


def read_video(folder: Path, every: int, focal_px: float) -> Iterator[View]:
    """Every n-th frame of the video with the truth's position, heading and, from its ground resolution, height."""
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
            position = np.array([float(row["easting_m"]), float(row["northing_m"]), 0.0])
            height = float(row["ground_resolution_m_px"]) * focal_px
            yaw = math.radians(90.0 - float(row["image_up_heading_deg"]))
            yield View(Frame(int(index / 29.97 * 1e9), index, np.asarray(image, dtype=np.uint8)), position, height, yaw)
        index += 1


def score(views: Iterator[View], camera: CameraModel, config: OdometryConfig, height_m: float, climbs: bool) -> Score:
    """Chain steps over the views: each step's yaw (and height, where it `climbs`) is the next one's prior."""
    odometry, result = PlanarOdometry(camera, config), Score()
    yaw, before = 0.0, next(views)
    for view in views:
        height_m = height_m if before.height_m is None else before.height_m
        if before.yaw_rad is not None:
            result.yaw_offset_rad.append(before.yaw_rad - yaw)
        priors = [_prior(v, yaw, height_m) for v in (before, view)]
        step = odometry.step(before.frame, priors[0], view.frame, priors[1])
        result.steps.append(step)
        result.truth.append(view.position_enu_m - before.position_enu_m)
        result.measured.append(step.displacement_enu_m)
        yaw += step.yaw_change_rad
        height_m *= step.scale_change if climbs else 1.0
        before = view
    return result


def _prior(view: View, yaw_rad: float, height_m: float) -> CameraPrior:
    return CameraPrior(
        view.frame.t_ns,
        np.zeros(3),
        np.eye(3) * 1e8,
        nadir_camera_to_enu(yaw_rad),
        math.radians(5.0),
        math.pi,
        height_m,
        0.1 * height_m,
        position_known=False,
    )
