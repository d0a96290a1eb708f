"""Objects from a configuration, in dependency order; what was built is closed in reverse order when a step fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.fusion.config import FusionConfig, msp_imu_noise
from gps_denied_onboard.fusion.time_offset import TimeOffsetEstimator
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.raster_terrain import RasterTerrain
from gps_denied_onboard.geometry.terrain import FlatTerrain, Terrain, TerrainGrid
from gps_denied_onboard.integrity.monitor import Integrity
from gps_denied_onboard.integrity.source_label import LabelLimits
from gps_denied_onboard.localisation.belief import PlaceBelief
from gps_denied_onboard.localisation.localiser import Localiser
from gps_denied_onboard.localisation.matching.map_projector import MapProjector
from gps_denied_onboard.messages import InferenceRecord
from gps_denied_onboard.odometry import ImuNoise, InertialOdometry
from gps_denied_onboard.odometry.picture_watch import PictureWatch
from gps_denied_onboard.pipeline import Pipeline
from gps_denied_onboard.pipeline_parts import PipelineObserver, PipelineParts, Stage
from gps_denied_onboard.runtime_root.matchers import build_matcher
from gps_denied_onboard.runtime_root.strategies import Composition, resolve
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_onboard.tiles.sources import DirectoryTileSource, StoreTileSource, TileSource

MAP_OFF_M_MAX = 50_000.0
"""How far outside the map a flight's origin may lie."""


@dataclass(frozen=True, slots=True)
class World:
    """Where the flight takes place and by which camera: from the configuration or from a recording.

    terrain: the signed heights of the ground; None where the ground is taken as flat."""

    local: LocalFrame
    ground_altitude_m: float
    ground_sigma_m: float
    camera: CameraModel
    terrain: TerrainGrid | None = None


def terrain_of(world: World) -> Terrain:
    """The ground of a flight."""
    flat = FlatTerrain(world.local, world.ground_altitude_m, world.ground_sigma_m)
    return flat if world.terrain is None else RasterTerrain(world.local, world.terrain, flat)


def open_map(config: Config, stack: ExitStack, directory: Path | None = None) -> MapMosaic:
    """The map that the configuration (or a recording's own tile folder) names; what it opens is closed by `stack`."""
    chosen = Path(config.map.directory) if config.map.directory else directory
    if chosen is None:
        raise UserError("no map: set map.directory in the configuration to the folder that holds the tiles.")
    zoom = config.map.zoom or None
    source: TileSource
    downgraded = False
    if config.map.use_store:
        from gps_denied_onboard.tiles.store import TileStore

        if zoom is None:
            raise UserError("map.use_store needs map.zoom: the zoom of the tiles to match against.")
        store = stack.enter_context(TileStore.open(chosen))
        source = StoreTileSource(store, config.map.source, zoom)
        downgraded = store.holds_downgraded(config.map.source, zoom)
    else:
        folder = chosen / config.map.source if (chosen / config.map.source).is_dir() else chosen
        source = DirectoryTileSource(folder, zoom)
    return MapMosaic(source, cache_bytes=config.map.cache_mb * 1024 * 1024, downgraded=downgraded)


def check_map_reaches(mosaic: MapMosaic, world: World) -> None:
    """UserError when the map lies so far from the flight's origin that it must be the map of another place."""
    x0, y0, x1, y1 = mosaic.bounds_px(0)
    corners = np.array([[x0, y0], [x1, y1], [(x0 + x1) / 2, (y0 + y1) / 2]], dtype=float)
    east, north = world.local.enu_from_mercator_px(corners, mosaic.zoom, world.ground_altitude_m)[:, :2].T
    off_m = math.hypot(east[2], north[2]) - math.hypot(east[1] - east[0], north[1] - north[0]) / 2.0
    if off_m > MAP_OFF_M_MAX:
        raise UserError(
            f"the map ends {off_m / 1000.0:.0f} km from the origin of the flight ({world.local.latitude_deg:.4f}, "
            f"{world.local.longitude_deg:.4f}): it is of another place. "
            "Give the map of this area, or correct the origin."
        )


def build_pipeline(
    config: Config,
    world: World,
    mosaic: MapMosaic | None,
    composition: Composition,
    stage: Stage,
    closing: ExitStack | None = None,
    observers: Sequence[PipelineObserver] = (),
) -> Pipeline:
    """The pipeline of a flight; `closing` gives back what it holds. Without a map it can take fixes, but find none.

    StrategyNotLinkedError when the configuration names what this image does not hold.
    """
    odometry_class = resolve("odometry", config.strategies.odometry, composition)
    fusion_class = resolve("fusion", config.strategies.fusion, composition)
    terrain = terrain_of(world)
    localiser: Localiser | None = None
    engines: tuple[InferenceRecord, ...] = ()
    if mosaic is not None:
        localiser, engines = _build_localiser(config, world, mosaic, terrain, composition, closing or ExitStack())
    settings = msp_imu_noise(config.fusion) if config.strategies.autopilot == "inav" else config.fusion
    fusion = fusion_class(world.local, world.camera, settings)
    limits = LabelLimits(
        config.fusion.anchor_age_s_max, config.fusion.anchor_sigma_m_max, config.fusion.odometry_age_s_max
    )
    monitor = Integrity(world.local, limits, config.integrity, config.fusion.map_sigma_m)
    odometry = odometry_class(world.camera, config.odometry, terrain)
    if isinstance(odometry, InertialOdometry):
        odometry.on_imu_noise(imu_noise(settings))
    clock = TimeOffsetEstimator(settings.gyro_noise_radps_rthz)
    camera = world.camera
    watch = PictureWatch(math.sqrt(camera.fx_px * camera.fy_px), (camera.width_px, camera.height_px))
    parts = PipelineParts(
        world.local, terrain, odometry, localiser, fusion, limits, monitor, clock, config.pipeline,
        PlaceBelief(config.belief, config.gates.wrong_probability_max), watch, config.state_health,
    )  # fmt: skip
    return Pipeline(parts, stage, engines, observers)


def imu_noise(settings: FusionConfig) -> ImuNoise:
    """The IMU's noise as the fusion has it, for an odometry that takes the IMU's samples."""
    return ImuNoise(**{field.name: getattr(settings, field.name) for field in fields(ImuNoise)})


def in_order(threads_max: int, closing: ExitStack) -> Callable[..., Iterable[Any]]:
    """What runs pieces of work in their order, like `map`: on as many cores as OpenCV may use, which those who fly
    several flights beside one another set to one."""
    threads = min(cv2.getNumThreads(), threads_max)
    if threads <= 1:
        return map
    return closing.enter_context(ThreadPoolExecutor(threads, "place")).map


def _build_localiser(
    config: Config,
    world: World,
    mosaic: MapMosaic,
    terrain: Terrain,
    composition: Composition,
    closing: ExitStack,
) -> tuple[Localiser, tuple[InferenceRecord, ...]]:
    """What finds a frame on the map, and on what its models run."""
    place_class = resolve("place", config.strategies.place, composition)
    localiser_class = resolve("pose", config.strategies.pose, composition)
    place = place_class(mosaic, world.local, config.place, in_order(config.place.threads_max, closing))
    ground = MapProjector(mosaic, world.local, terrain, world.camera)
    built = build_matcher(config, ground, composition, closing)
    stale = config.tiles.downgraded_sigma_factor if mosaic.downgraded else 1.0
    pose = replace(config.pose, map_sigma_m=config.pose.map_sigma_m * stale)
    localiser: Localiser = localiser_class(world.camera, place, built.matcher, terrain, pose)
    return localiser, built.engines
