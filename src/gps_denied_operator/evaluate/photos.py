"""Photographs through the flight's own pipeline, with a motion model that needs pictures only."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.config import Config
from gps_denied_onboard.frames.photo_info import PhotoInfo
from gps_denied_onboard.fusion.time_offset import TimeOffsetEstimator
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import image_up_yaw, nadir_camera_to_enu
from gps_denied_onboard.geometry.terrain import FlatTerrain
from gps_denied_onboard.integrity.monitor import Integrity
from gps_denied_onboard.integrity.source_label import LabelLimits
from gps_denied_onboard.localisation.belief import PlaceBelief
from gps_denied_onboard.localisation.localiser import Localiser
from gps_denied_onboard.localisation.matching import Matcher
from gps_denied_onboard.localisation.matching.map_projector import MapProjector
from gps_denied_onboard.localisation.place_search import GridPlace
from gps_denied_onboard.messages import (
    AidRecord,
    AttitudeSample,
    BaroSample,
    Frame,
    OdometryStep,
    Output,
    PoseFix,
    RelocHint,
)
from gps_denied_onboard.odometry.planar import PlanarOdometry
from gps_denied_onboard.pipeline import Pipeline
from gps_denied_onboard.pipeline_parts import PipelineParts
from gps_denied_onboard.replay.recording import FrameTrace
from gps_denied_onboard.runtime_root.build import in_order
from gps_denied_onboard.runtime_root.matchers import build_matcher
from gps_denied_onboard.runtime_root.stopwatch import Stopwatch
from gps_denied_onboard.runtime_root.strategies import load_composition
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_operator.evaluate.photo_attitude import PhotoAttitudes
from gps_denied_operator.evaluate.photo_options import PhotoOptions
from gps_denied_operator.evaluate.picture_fusion import VisionConfig, VisionFusion

UNKNOWN_HEIGHT_M = 200.0
TOLD_HEIGHT_SIGMA = 0.08
RELATIVE_HEIGHT_SIGMA = 0.15
GROUND_SIGMA_M = 2.0
ODOMETRY_TILT_SIGMA_DEG = 4.0
BORESIGHT_SIGMA_RAD = math.radians(5.0)
YAW_SCATTER_RAD = math.radians(2.5)


def run_photos(
    frames: Iterable[Frame],
    infos: Sequence[PhotoInfo],
    mosaic: MapMosaic,
    options: PhotoOptions,
    observer: Callable[[FrameTrace], None],
    config: Config,
    place: GridPlace | None = None,
) -> tuple[float, float] | None:
    """Navigate by `frames` in time order and hand a trace of each to `observer`.

    Only `options` and what is left in `infos` is known beforehand. Without a known field of view, tilt and height
    cannot be told from the picture: then the position is that of the ground under the frame's centre. Returns roll and
    pitch in degrees of the boresight found on the way, None without attitudes and where nothing was found. `place` is
    a search of the same map that is prepared already.
    """
    with ExitStack() as closing:
        run: _Run | None = None
        for frame in frames:
            if run is None:
                run = _Run(frame, infos, mosaic, options, config, closing, place)
            observer(run.step(frame))
        tilt = run.mean_tilt_rad if run is not None and options.attitudes is not None else None
        if tilt is None:
            return None
        return -math.degrees(tilt[1]), math.degrees(tilt[0])


class _Run:
    def __init__(
        self,
        first: Frame,
        infos: Sequence[PhotoInfo],
        mosaic: MapMosaic,
        options: PhotoOptions,
        config: Config,
        closing: ExitStack,
        place: GridPlace | None,
    ) -> None:
        self._options = options
        self._infos = infos
        self._camera = options.camera
        local, camera = options.local, options.camera
        self._watch = Stopwatch(time.perf_counter_ns)
        told = options.attitudes
        lean_deg = ODOMETRY_TILT_SIGMA_DEG if told is None else ODOMETRY_TILT_SIGMA_DEG * told.tilt_sigma_deg / 2.0
        odometry = dataclasses.replace(
            config.odometry, relative_tilt_sigma_deg=min(max(lean_deg, 1.0), ODOMETRY_TILT_SIGMA_DEG)
        )
        self._fusion = VisionFusion(camera, self._start(first), first.t_ns)
        terrain = FlatTerrain(local, 0.0, GROUND_SIGMA_M)
        localiser = build_finding(mosaic, options, config, closing, place).localiser
        limits = LabelLimits()
        parts = PipelineParts(
            local,
            terrain,
            PlanarOdometry(camera, odometry),
            localiser,
            self._fusion,
            limits,
            Integrity(local, limits, config.integrity, config.fusion.map_sigma_m),
            TimeOffsetEstimator(config.fusion.gyro_noise_radps_rthz),
            dataclasses.replace(config.pipeline, queue_length=1),
            PlaceBelief(config.belief, config.gates.wrong_probability_max),
        )
        self._pipeline = Pipeline(parts, self._watch.stage)
        self._found = False
        height_m, sigma_m = told_height(options, self._info(first))
        self._tries = _Tries() if sigma_m >= height_m else None

    def _start(self, first: Frame) -> VisionConfig:
        """What is known before the first frame."""
        told, info = self._options, self._info(first)
        height_m, sigma = told_height(told, info)
        if told.attitudes is not None:
            return _against_attitudes(told, told.attitudes, height_m, sigma)
        heading = told.heading_deg if told.heading_deg is not None else (info.yaw_deg if info else None)
        if heading is None:
            yaw, yaw_sigma = 0.0, 9.0
        else:
            yaw, yaw_sigma = math.radians(90.0 - heading), math.radians(8.0)
        start = VisionConfig(height_m, sigma, yaw, yaw_sigma, mean_tilt_sigma_rad=BORESIGHT_SIGMA_RAD)
        if not told.fov_known:
            return dataclasses.replace(start, mean_tilt_sigma_rad=1e-4, tilt_scatter_rad=0.035, common_tilt_rad=0.0)
        return start

    @property
    def mean_tilt_rad(self) -> tuple[float, float] | None:
        """See VisionFusion; None where no picture was found."""
        return self._fusion.mean_tilt_rad if self._found else None

    def _info(self, frame: Frame) -> PhotoInfo | None:
        return self._infos[frame.index] if 0 <= frame.index < len(self._infos) else None

    def step(self, frame: Frame) -> FrameTrace:
        """One frame through the pipeline, its map search finished before the next one."""
        began_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        prior = self._options.priors.get(frame.index)
        if prior is not None:
            radius = 2.0 * prior.sigma_m
            self._pipeline.on_telemetry(RelocHint(frame.t_ns, prior.latitude_deg, prior.longitude_deg, radius))
        attitude = None if self._options.attitudes is None else self._options.attitudes.by_frame.get(frame.index)
        if attitude is not None:
            self._pipeline.on_telemetry(AttitudeSample(frame.t_ns, attitude.quaternion_body_to_ned))
        info = self._info(frame)
        if self._options.height_m is None and info is not None and info.relative_altitude_m is not None:
            self._pipeline.on_telemetry(BaroSample(frame.t_ns, info.relative_altitude_m))
        outputs: list[Output] = list(self._pipeline.on_frame(frame))
        job = self._pipeline.take_job()
        fix: PoseFix | None = None
        if job is not None and (self._found or prior is not None or self._tries is None or self._tries.due()):
            fix = self._pipeline.locate(job)
            shown = fix if self._options.fov_known else under_centre(fix, self._camera)
            taken = self._pipeline.on_fix(shown)
            outputs += taken
            self._found = self._found or any(isinstance(o, AidRecord) and o.accepted for o in taken)
        state = self._pipeline.state_at(frame.t_ns, frame.index)
        step = next((o for o in outputs if isinstance(o, OdometryStep)), None)
        aids = tuple(o for o in outputs if isinstance(o, AidRecord))
        stage_ms = self._watch.take()
        latency_ms = (time.perf_counter_ns() - began_ns) / 1e6
        cpu_ms = (time.process_time_ns() - cpu_ns) / 1e6
        return FrameTrace(
            frame.t_ns, frame.index, frame.name, state, fix, step, aids, stage_ms, latency_ms, cpu_ms=cpu_ms
        )


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What finds one photograph on the map, and its parts."""

    localiser: Localiser
    place: GridPlace
    matcher: Matcher


def build_finding(
    mosaic: MapMosaic, options: PhotoOptions, config: Config, closing: ExitStack, place: GridPlace | None = None
) -> Finding:
    """By the configuration; `closing` releases what the matcher's models and the search run on, `place` is a search
    that is prepared."""
    terrain = FlatTerrain(options.local, 0.0, GROUND_SIGMA_M)
    ground = MapProjector(mosaic, options.local, terrain, options.camera)
    built = build_matcher(config, ground, load_composition(), closing)
    place = place or GridPlace(mosaic, options.local, config.place, in_order(config.place.threads_max, closing))
    localiser = Localiser(options.camera, place, built.matcher, terrain, config.pose)
    return Finding(localiser, place, built.matcher)


def told_height(options: PhotoOptions, info: PhotoInfo | None) -> tuple[float, float]:
    """(height above ground, sigma) before the first fix; sigma >= height: unknown. The field of view's doubt is in it:
    what is searched is the scale."""
    if options.height_m is not None:
        return options.height_m, math.hypot(TOLD_HEIGHT_SIGMA, options.fov_sigma) * options.height_m
    if info is not None and info.relative_altitude_m is not None and info.relative_altitude_m > 10.0:
        sigma = RELATIVE_HEIGHT_SIGMA if options.attitudes is None else TOLD_HEIGHT_SIGMA
        return info.relative_altitude_m, math.hypot(sigma, options.fov_sigma) * info.relative_altitude_m
    return UNKNOWN_HEIGHT_M, UNKNOWN_HEIGHT_M


def _against_attitudes(
    options: PhotoOptions, told: PhotoAttitudes, height_m: float, height_sigma_m: float
) -> VisionConfig:
    """The start where each picture comes with an attitude: the state is then the boresight, found before or not."""
    found = options.boresight
    start = VisionConfig(
        height_m,
        height_sigma_m,
        yaw_sigma_rad=math.radians(told.yaw_sigma_deg),
        mean_tilt_sigma_rad=BORESIGHT_SIGMA_RAD,
        tilt_scatter_rad=math.radians(told.tilt_sigma_deg),
        yaw_scatter_rad=YAW_SCATTER_RAD,
    )
    if found is not None:
        start = dataclasses.replace(
            start,
            yaw_rad=found.yaw_rad,
            yaw_sigma_rad=math.hypot(found.yaw_sigma_rad, found.yaw_scatter_rad),
            mean_tilt_rad=found.tilt_rad,
            mean_tilt_sigma_rad=found.tilt_sigma_rad,
            yaw_scatter_rad=found.yaw_scatter_rad,
        )
    if not options.fov_known:
        return dataclasses.replace(start, mean_tilt_rad=(0.0, 0.0), mean_tilt_sigma_rad=1e-4, common_tilt_rad=0.0)
    return start


class _Tries:
    """When to search the whole map at unknown scale: every frame at first, then ever more rarely, as it takes long."""

    def __init__(self) -> None:
        self._frame = -1
        self._next = 0
        self._gap = 1

    def due(self) -> bool:
        self._frame += 1
        if self._frame < self._next:
            return False
        self._next = self._frame + self._gap
        self._gap += 1
        return True


def under_centre(fix: PoseFix, camera: CameraModel) -> PoseFix:
    """The fix of a camera that looked straight down on the ground that this one's frame has in its centre."""
    if not fix.accepted:
        return fix
    centre = camera.bearings([[(camera.width_px - 1) / 2.0, (camera.height_px - 1) / 2.0]])[0]
    ray = fix.rotation_camera_to_enu @ centre
    along = ray * (fix.position_enu_m[2] / max(-float(ray[2]), 0.2))
    position = np.array([*(fix.position_enu_m + along)[:2], np.linalg.norm(along)])
    skewed = np.array([[0.0, along[2], -along[1]], [-along[2], 0.0, along[0]], [along[1], -along[0], 0.0]])
    j = np.zeros((6, 6))
    j[:3, :3] = np.eye(3)
    j[:2, 2] = -along[:2] / along[2]
    j[:2, 3:] = skewed[:2] - np.outer(along[:2] / along[2], skewed[2])
    j[5, 5] = 1.0
    covariance = j @ fix.covariance @ j.T
    covariance[3, 3] = covariance[4, 4] = 1e-4
    rotation = nadir_camera_to_enu(image_up_yaw(fix.rotation_camera_to_enu))
    return dataclasses.replace(
        fix, position_enu_m=position, rotation_camera_to_enu=rotation, covariance=0.5 * (covariance + covariance.T)
    )
