#!/usr/bin/env python3
"""Set all strategies of odometry side by side on simulated flights of one seed at several heights, and on a real video.

Usage: bench_odometry.py OUT.json [MINUTES] [HEIGHT_M...]. Each flight is replayed once with `planar`; every strategy
is given the same pictures, IMU samples and what the state says of both pictures, and is compared with the true path.
A flight that the map does not find, as at 100 m, goes on without: searching wide for each picture would take hours.
On the video of shared/data/islamabad they are told the true yaw and height, and that the camera looks straight down.
`okvis2` needs an IMU and the native module of an installed OKVIS2; its vocabulary is looked for in the folder that
GPS_DENIED_OKVIS2 names. A strategy that cannot fly says why. The recordings stay beside OUT.json.
"""

from __future__ import annotations

import csv
import json
import math
import os
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import StrategyNotLinkedError, UserError
from gps_denied_onboard.frames.video import VideoSource
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import (
    ROTATION_NED_TO_ENU,
    image_up_yaw,
    matrix_from_quaternion,
    nadir_camera_to_enu,
    rotation_z,
)
from gps_denied_onboard.imaging.orthorectify import Orthorectifier
from gps_denied_onboard.localisation.place_search import GridPlace, SearchStage
from gps_denied_onboard.messages import (
    CameraPrior,
    FloatArray,
    Frame,
    ImuSample,
    OdometryStatus,
    OdometryStep,
    PlaceCandidate,
)
from gps_denied_onboard.odometry import InertialOdometry, Odometry
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.pipeline_parts import Input, OdometryDone, PipelineObserver
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import RecordingMeta, read_meta
from gps_denied_onboard.replay.recording import replay_recording
from gps_denied_onboard.runtime_root.build import imu_noise
from gps_denied_onboard.runtime_root.strategies import STRATEGIES, load_composition, resolve
from gps_denied_sim.recording import FlyRequest, prepare, write_recording

SEED = 41
HEIGHTS_M = (100.0, 300.0, 700.0)
WINDOW_M = 500.0
WIDE_SIGMA_M = 60.0
WIDE_SEARCHES_MAX = 10
ROOT = Path(__file__).resolve().parents[1]
VIDEO = Path(os.environ.get("GPS_DENIED_SHARED", ROOT.parent / "shared")) / "data" / "islamabad"
VIDEO_TILT_SIGMA_RAD = math.radians(4.0)
VIDEO_YAW_SIGMA_RAD = math.radians(1.0)
VIDEO_HEIGHT_SIGMA = 0.02
VIDEO_FOV_DEG = 70.0
"""Assumed, of the picture's width: nobody calibrated the camera."""
OKVIS2_ENV = "GPS_DENIED_OKVIS2"


@dataclass
class Truth:
    """The true camera of a recording."""

    times_ns: FloatArray
    positions_m: FloatArray
    attitudes: list[FloatArray]

    def at(self, t_ns: int) -> tuple[FloatArray, float]:
        """(3,) position ENU, m, and the yaw of the picture's top, rad."""
        place = np.array([np.interp(t_ns, self.times_ns, axis) for axis in self.positions_m.T])
        after = int(np.clip(np.searchsorted(self.times_ns, t_ns), 1, len(self.times_ns) - 1))
        yaws = np.unwrap([image_up_yaw(self.attitudes[k]) for k in (after - 1, after)])
        return place, float(np.interp(t_ns, self.times_ns[after - 1 : after + 1], yaws))


def truth_of(recording: Path, meta: RecordingMeta, mount: FloatArray) -> Truth:
    """The recording's true path; `mount` (3, 3) is the true one, which the calibration misses by degrees."""
    local = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
    samples = list(RecordingReader(recording).truth())
    return Truth(
        np.array([s.t_ns for s in samples], dtype=float),
        np.array([local.enu_from_geodetic(s.latitude_deg, s.longitude_deg, s.altitude_amsl_m) for s in samples]),
        [ROTATION_NED_TO_ENU @ matrix_from_quaternion(s.quaternion_body_to_ned) @ mount for s in samples],
    )


@dataclass
class Score:
    """What one strategy said of a flight; `fault`: why it flies no further."""

    odometry: Odometry | None
    fault: str = ""
    cpu_s: float = 0.0
    steps: list[OdometryStep] = field(default_factory=list)

    def step(self, previous: Frame, prior0: CameraPrior, current: Frame, prior1: CameraPrior) -> None:
        """One pair of pictures; a strategy that raises is out."""
        if self.odometry is None:
            return
        before = time.process_time()
        try:
            self.steps.append(self.odometry.step(previous, prior0, current, prior1))
        except (UserError, RuntimeError, ValueError) as error:
            self.odometry, self.fault = None, f"failed at picture {len(self.steps) + 1}: {error}"
        self.cpu_s += time.process_time() - before

    def figures(self, truth: Truth) -> dict[str, Any]:
        """Drift over windows of 500 m, what was lost, NEES of the two horizontal dimensions, CPU a picture."""
        if self.fault:
            return {"fault": self.fault}
        errors: list[float] = []
        nees: list[float] = []
        windows: list[tuple[float, float]] = []
        drift, path_m, last_ns = np.zeros(2), 0.0, -1
        for step in self.steps:
            if step.status is not OdometryStatus.OK or step.t0_ns != last_ns or path_m >= WINDOW_M:
                windows.append((float(np.hypot(*drift)), path_m))
                drift, path_m = np.zeros(2), 0.0
            if step.status is not OdometryStatus.OK:
                continue
            (start, yaw_rad), (end, _) = truth.at(step.t0_ns), truth.at(step.t1_ns)
            turn = rotation_z(yaw_rad - step.yaw_prior_rad)  # the displacement holds for the yaw that was told
            error = (turn @ step.displacement_enu_m - (end - start))[:2]
            covariance = (turn @ step.covariance[:3, :3] @ turn.T)[:2, :2]
            errors.append(float(error @ error))
            nees.append(float(error @ np.linalg.solve(covariance, error)))
            drift, path_m, last_ns = drift + error, path_m + math.dist(start[:2], end[:2]), step.t1_ns
        whole = [(off, path) for off, path in [*windows, (float(np.hypot(*drift)), path_m)] if path >= WINDOW_M / 5.0]
        length = sum(path for _, path in whole)
        return {
            "pictures": len(self.steps),
            "lost_percent": round(100.0 * (1.0 - len(errors) / max(len(self.steps), 1)), 2),
            "drift_percent": round(100.0 * sum(off for off, _ in whole) / length, 2) if length else None,
            "step_error_rms_m": round(math.sqrt(float(np.mean(errors))), 2) if errors else None,
            "nees_2d_mean": round(float(np.mean(nees)), 2) if nees else None,
            "nees_2d_max": round(float(np.max(nees)), 1) if nees else None,
            "cpu_ms_a_picture": round(1000.0 * self.cpu_s / max(len(self.steps), 1), 1),
        }


class BoundedPlace(GridPlace):
    """`grid` that gives up searching wide after some pictures."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wide_searches = 0

    def search(
        self,
        frame: Orthorectifier,
        prior: CameraPrior,
        footprint_m: float,
        ground_up_m: float,
        search_stage: SearchStage,
    ) -> list[PlaceCandidate]:
        """See `GridPlace.search`; nothing once too many were wide."""
        if not prior.position_known or prior.horizontal_sigma_m > WIDE_SIGMA_M:
            self._wide_searches += 1
            if self._wide_searches > WIDE_SEARCHES_MAX:
                return []
        return super().search(frame, prior, footprint_m, ground_up_m, search_stage)


class SideBySide(PipelineObserver):
    """Gives every strategy what the flown one had."""

    def __init__(self, scores: dict[str, Score]) -> None:
        self._scores = scores

    def on_input(self, taken: Input) -> None:
        """Hand on IMU samples and the pictures that the odometry had."""
        for score in self._scores.values():
            if isinstance(taken, ImuSample) and isinstance(score.odometry, InertialOdometry):
                score.odometry.on_imu(taken)
            job = taken.job if isinstance(taken, OdometryDone) else None
            if job is not None and job.previous is not None and job.before is not None:
                score.step(job.previous, job.before, job.frame, job.prior)


def strategies(camera: CameraModel, config: Config) -> dict[str, Score]:
    """Every strategy; one that cannot be had here has its reason."""
    found: dict[str, Score] = {}
    vocabulary = next(iter(sorted(Path(os.environ.get(OKVIS2_ENV, os.devnull)).rglob("small_voc.yml.gz"))), None)
    settings: OdometryConfig = replace(config.odometry, okvis2_vocabulary=str(vocabulary.parent) if vocabulary else "")
    for name in STRATEGIES["odometry"]:
        if name == "okvis2" and vocabulary is None:
            found[name] = Score(None, f"{OKVIS2_ENV} names no folder with its small_voc.yml.gz")
            continue
        try:
            made: Odometry = resolve("odometry", name, load_composition())(camera, settings)
        except StrategyNotLinkedError:
            found[name] = Score(None, "not linked")
            continue
        if isinstance(made, InertialOdometry):
            made.on_imu_noise(imu_noise(config.fusion))
        found[name] = Score(made)
    return found


def measure(height_m: float, minutes: float, folder: Path) -> dict[str, Any]:
    """Figures of every strategy at one height."""
    recording = folder / f"height-{height_m:g}-minutes-{minutes:g}"
    prepared = prepare(FlyRequest(SEED, minutes, buffer_m=300.0, flying_height_m=height_m))
    if not recording.is_dir():
        print(f"simulating {minutes:g} minutes at {height_m:g} m", flush=True)
        write_recording(prepared, recording, lambda *_: None)
    meta, config = read_meta(recording), Config()
    STRATEGIES["place"]["grid"] = f"{BoundedPlace.__module__}:{BoundedPlace.__name__}"
    scores = strategies(meta.camera, config)
    replay_recording(recording, config, None, observers=(SideBySide(scores),))
    truth = truth_of(recording, meta, prepared.camera.rotation_camera_to_body)
    return {name: score.figures(truth) for name, score in scores.items()}


def measure_video(folder: Path) -> dict[str, Any]:
    """Figures of every strategy on the real video, at the frames that have a true place.

    Grid east and north stand for ENU. The true places are too coarse to judge a single step by.
    """
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as page:
        rows = {int(row["frame"]): {key: float(value) for key, value in row.items()} for row in csv.DictReader(page)}
    source = VideoSource(folder / "flight.mp4", indices=rows.keys())
    camera, config = CameraModel.from_fov(*source.size_px, VIDEO_FOV_DEG), Config()
    scores = strategies(camera, config)
    for score in scores.values():
        if isinstance(score.odometry, InertialOdometry):
            score.odometry, score.fault = None, "the video has no IMU"
    priors: list[CameraPrior] = []
    last: Frame | None = None
    for frame in source:
        row = rows[frame.index]
        height_m = row["ground_resolution_m_px"] * camera.fx_px
        rotation = nadir_camera_to_enu(math.radians(90.0 - row["image_up_heading_deg"]))
        position = np.array([row["easting_m"], row["northing_m"], height_m])
        sigmas = VIDEO_TILT_SIGMA_RAD, VIDEO_YAW_SIGMA_RAD
        prior = CameraPrior(
            frame.t_ns, position, np.eye(3), rotation, *sigmas, height_m, VIDEO_HEIGHT_SIGMA * height_m, False
        )
        priors.append(prior)
        if last is not None:
            for score in scores.values():
                score.step(last, priors[-2], frame, prior)
        last = frame
    truth = Truth(
        np.array([prior.t_ns for prior in priors], dtype=float),
        np.array([prior.position_enu_m for prior in priors]),
        [prior.rotation_camera_to_enu for prior in priors],
    )
    unknown = dict.fromkeys(("step_error_rms_m", "nees_2d_mean", "nees_2d_max"))
    told = {name: score.figures(truth) for name, score in scores.items()}
    return {name: one if "fault" in one else one | unknown for name, one in told.items()}


def main() -> None:
    """Measure and write the JSON."""
    cv2.setNumThreads(1)
    out = Path(sys.argv[1])
    minutes, *heights = [float(word) for word in sys.argv[2:]] or [10.0]
    folder = out.parent / "odometry"
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    found: dict[str, Any] = {"minutes": minutes, "flights": {}}
    for height_m in heights or HEIGHTS_M:
        found["flights"][f"{height_m:g} m"] = told = measure(height_m, minutes, folder)
        print(json.dumps({f"{height_m:g} m": told}, indent=1), flush=True)
    if VIDEO.is_dir():
        found["flights"][VIDEO.name] = told = measure_video(VIDEO)
        print(json.dumps({VIDEO.name: told}, indent=1), flush=True)
    else:
        print(f"without the video: no {VIDEO}; name the folder above data/ in GPS_DENIED_SHARED", flush=True)
    out.write_text(
        json.dumps(found | {"wall_s": round(time.perf_counter() - began)}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
