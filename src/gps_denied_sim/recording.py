"""Makes a whole recording folder: frames, telemetry, truth, tiles; it appears under its name only when complete."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import TILE_SIZE_PX, LocalFrame
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_onboard.recorder.kinds import FrameRecord
from gps_denied_onboard.recorder.mcap_io import RecordingWriter
from gps_denied_onboard.recorder.meta import (
    FRAMES_FOLDER,
    TERRAIN_FILE,
    RecordingMeta,
    iso_from_unix_ns,
    unix_ns_from_iso,
    write_meta,
)
from gps_denied_onboard.tiles.terrain_file import write_terrain
from gps_denied_sim.noise import stream
from gps_denied_sim.render.appearance import camera_look, map_look
from gps_denied_sim.render.atmosphere import air_at, make_sensor
from gps_denied_sim.render.camera_faults import picture_files, picture_plans
from gps_denied_sim.render.map_tiles import ZOOM, TilePainter, tiles_around, write_tiles
from gps_denied_sim.render.seasons import season_look
from gps_denied_sim.render.sim_camera import CameraTruth, SimCamera, make_camera, pick_resolution
from gps_denied_sim.render.world import GroundPicture, World
from gps_denied_sim.scenarios import make_scenario
from gps_denied_sim.schedule import Scenario
from gps_denied_sim.sensors.error_table import SensorError
from gps_denied_sim.sensors.height_raster import height_raster
from gps_denied_sim.sensors.telemetry import NANOSECONDS, Rates, telemetry, truth_samples
from gps_denied_sim.vehicle.flight import FlightTruth, fly, make_air, scheduled_air
from gps_denied_sim.vehicle.route import make_route
from gps_denied_sim.vehicle.wind import cloud_drift_mps

FRAME_QUALITY = 92
TILES_FOLDER = "tiles"
TILE_SOURCE = "provider"
MAP_PAINT_M = 0.5
CAMERA_CHUNKS = 20
MAP_CHUNKS = 48
START_NS = 10 * NANOSECONDS

Progress = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done and how much there is."""


class HeightsOnBoard(StrEnum):
    """What the aircraft carries of the ground's heights."""

    RASTER = "raster"
    NONE = "none"


def heights_on_board(told: str) -> HeightsOnBoard | None:
    """The value of --terrain, None for nothing. UserError for anything else."""
    if told not in ("", *HeightsOnBoard):
        raise UserError(f"--terrain must be raster or none, got '{told[:40]}'.")
    return HeightsOnBoard(told) if told else None


@dataclass(frozen=True, slots=True)
class FlyRequest:
    """What to simulate. `frame_rate_hz` 0.2..5; `buffer_m` is how far the map reaches beyond the route. `terrain` None:
    a raster of heights where the scenario has hills. `flying_height_m` 60..2000 above the origin's level; None: the
    seed says how high, and it changes."""

    seed: int
    minutes: float
    scenario: str = "cruise"
    frame_rate_hz: float = 1.0
    imu_hz: float = 100.0
    width_px: int = 1368
    height_px: int = 912
    buffer_m: float = 1000.0
    terrain: HeightsOnBoard | None = None
    flying_height_m: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.minutes <= 600.0:
            raise UserError(f"--minutes must be more than 0 and at most 600, got {self.minutes}.")
        if not 0.2 <= self.frame_rate_hz <= 5.0:
            raise UserError(f"--frame-rate must be 0.2 to 5 Hz, got {self.frame_rate_hz}.")
        if not 50.0 <= self.imu_hz <= 400.0:
            raise UserError(f"--imu-rate must be 50 to 400 Hz, got {self.imu_hz}.")
        if not 20.0 <= self.buffer_m <= 10000.0:
            raise UserError(f"--map-buffer must be 20 to 10000 m, got {self.buffer_m}.")
        if self.flying_height_m is not None and not 60.0 <= self.flying_height_m <= 2000.0:
            raise UserError(f"--height must be 60 to 2000 m, got {self.flying_height_m}.")
        if self.seed < 0:
            raise UserError(f"--seed must not be negative, got {self.seed}.")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Everything that follows from the request before the first picture is taken."""

    request: FlyRequest
    scenario: Scenario
    frame: LocalFrame
    flight: FlightTruth
    camera: CameraTruth
    calibration: CameraModel
    start_utc: datetime
    frame_times_s: tuple[float, ...]


def prepare(request: FlyRequest) -> Prepared:
    """Fly the flight; no picture yet."""
    duration_s = request.minutes * 60.0
    scenario = make_scenario(request.scenario, request.seed, duration_s)
    rng = stream(request.seed, "place-on-earth")
    frame = LocalFrame(
        round(float(rng.uniform(48.0, 48.9)), 6),
        round(float(rng.uniform(36.4, 38.0)), 6),
        round(float(rng.uniform(90, 180)), 1),
    )
    start_utc = datetime(2025, 7, 1, 6, tzinfo=UTC) + timedelta(seconds=int(rng.integers(0, 50 * 24 * 3600)))
    route = make_route(scenario, request.seed, duration_s, request.flying_height_m)
    flight = fly(scenario, route, make_air(request.seed), request.seed, duration_s, request.imu_hz)
    camera, calibration = make_camera(request.seed, request.width_px, request.height_px)
    count = int(duration_s * request.frame_rate_hz)
    jitter = rng.uniform(-0.004, 0.004, count)
    times = tuple((k + 0.5) / request.frame_rate_hz + float(jitter[k]) for k in range(count))
    return Prepared(request, scenario, frame, flight, camera, calibration, start_utc, times)


def make_recording(request: FlyRequest, out: Path, progress: Progress) -> dict[str, object]:
    """Simulate and write the folder `out`; returns the summary that `--json` prints. UserError for a bad target."""
    refuse_existing(out)
    return write_recording(prepare(request), out, progress)


def write_recording(prepared: Prepared, out: Path, progress: Progress) -> dict[str, object]:
    """Take the pictures of a flight and write its folder, as `make_recording`."""
    request = prepared.request
    with complete_or_nothing(out) as folder:
        world = World(request.seed, prepared.scenario.style)
        for done in _frames(prepared, world, folder / FRAMES_FOLDER):
            progress("frames", done, len(prepared.frame_times_s))
        tiles = tiles_around(
            prepared.frame, prepared.flight.position_enu_m, request.buffer_m, prepared.scenario.route == "transfer"
        )
        ground = GroundPicture(
            world,
            map_look(request.seed, prepared.scenario.map_age, prepared.scenario.style.row_contrast),
            MAP_PAINT_M,
            MAP_CHUNKS,
        )
        for done in write_tiles(TilePainter(ground, prepared.frame), tiles, folder / TILES_FOLDER / TILE_SOURCE):
            progress("tiles", done, len(tiles))
        progress("telemetry", 0, 1)
        _write_messages(prepared, folder)
        progress("telemetry", 1, 1)
        meta = _meta(prepared, world, tiles)
        if _carries_heights(prepared):
            write_terrain(folder / TERRAIN_FILE, _heights(prepared, world, tiles))
            meta = replace(meta, terrain_file=TERRAIN_FILE)
        write_meta(folder, meta)
    return {
        "folder": str(out),
        "seed": request.seed,
        "scenario": request.scenario,
        "frames": len(prepared.frame_times_s),
        "tiles": len(tiles),
        "duration_s": request.minutes * 60.0,
    }


def frame_name(index: int) -> str:
    """File name of a frame inside the folder `frames`."""
    return f"{index:06d}.jpg"


def _frames(prepared: Prepared, world: World, folder: Path) -> Iterator[int]:
    """Take and write all pictures, yielding how many are done."""
    request = prepared.request
    folder.mkdir()
    height = float(prepared.flight.position_enu_m[:, 2].mean())
    resolution = pick_resolution(height, prepared.camera.model.fx_px)
    look = camera_look(request.seed, prepared.scenario.style.row_contrast)
    if prepared.scenario.season is not None:
        look = season_look(look, prepared.scenario.season, request.seed)
    ground = GroundPicture(world, look, resolution, CAMERA_CHUNKS)
    eye = SimCamera(prepared.camera, prepared.flight, ground, request.seed)
    sensor = make_sensor(request.seed, request.width_px, request.height_px)
    if any(event.kind == "cloud_shadow" for event in prepared.scenario.events):
        wind = scheduled_air(prepared.scenario, make_air(request.seed))
        sensor = replace(sensor, cloud_drift_mps=cloud_drift_mps(wind.wind_east_mps, wind.wind_north_mps))

    def expose(t_s: float, index: int) -> ImageArray:
        return eye.picture(t_s, index, air_at(prepared.scenario, t_s), sensor)

    plans = picture_plans(prepared.scenario, prepared.frame_times_s, request.seed)
    for index, data in enumerate(picture_files(plans, expose, FRAME_QUALITY, request.seed)):
        (folder / frame_name(index)).write_bytes(data)
        yield index + 1


def _meta(prepared: Prepared, world: World, tiles: list[tuple[int, int]]) -> RecordingMeta:
    """What the navigator may know beforehand. The origin is the middle of the map: it tells nothing of the start.

    The ground's altitude is the mean over the map, as an operator reads it from any height map.
    """
    request, frame = prepared.request, prepared.frame
    low, high = np.array(tiles).min(axis=0), np.array(tiles).max(axis=0) + 1
    middle = frame.enu_from_mercator_px((low + high) / 2.0 * TILE_SIZE_PX, ZOOM, frame.altitude_m)
    (x0, y0), (x1, y1) = _north_west_and_south_east(prepared, tiles).tolist()
    x, y = np.meshgrid(np.linspace(x0, x1, 40), np.linspace(y0, y1, 40))
    relief = world.terrain.relief_m(x, y)
    geodetic = frame.geodetic_from_enu(middle)
    start_unix_ns = unix_ns_from_iso(prepared.start_utc.isoformat())
    return RecordingMeta(
        camera=prepared.calibration,
        origin_latitude_deg=round(float(geodetic[0]), 7),
        origin_longitude_deg=round(float(geodetic[1]), 7),
        origin_altitude_m=round(frame.altitude_m + float(relief.mean()), 1),
        ground_sigma_m=round(float(relief.std()) + 2.0, 1),
        utc_at_zero=iso_from_unix_ns(start_unix_ns - START_NS),
        scenario=request.scenario,
        seed=request.seed,
        tiles_directory=TILES_FOLDER,
        tiles_source=TILE_SOURCE,
        tiles_zoom=ZOOM,
        schedule=tuple(asdict(event) for event in prepared.scenario.events),
    )


def _north_west_and_south_east(prepared: Prepared, tiles: list[tuple[int, int]]) -> FloatArray:
    """(2, 2) world x, y of two corners of the map."""
    frame = prepared.frame
    low, high = np.array(tiles).min(axis=0), np.array(tiles).max(axis=0) + 1
    corners = frame.enu_from_mercator_px(np.stack([low, high]) * float(TILE_SIZE_PX), ZOOM, frame.altitude_m)
    return np.asarray(corners[:, :2])


def _carries_heights(prepared: Prepared) -> bool:
    wanted = prepared.request.terrain
    return prepared.scenario.style.relief_m > 0.0 if wanted is None else wanted is HeightsOnBoard.RASTER


def _heights(prepared: Prepared, world: World, tiles: list[tuple[int, int]]) -> TerrainGrid:
    """The heights under the map."""
    (x0, y1), (x1, y0) = _north_west_and_south_east(prepared, tiles).tolist()
    return height_raster(world, prepared.frame, np.array([x0, y0]), np.array([x1, y1]), prepared.request.seed)


def refuse_existing(out: Path) -> None:
    """UserError where `out` is a file or holds something already."""
    if out.is_file():
        raise UserError(f"{out} is a file; give --out a folder that does not exist yet.")
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; give --out another folder, or remove this one first.")


@contextmanager
def complete_or_nothing(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that gets its name at the end; after any failure nothing is left of it."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise UserError(
            f"cannot make a folder beside {out}: {error.strerror}; choose another place for --out."
        ) from error
    try:
        yield folder
        folder.chmod(0o755)
        os.rename(folder, out)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"the disk of {out.parent} is full; nothing was left there. Free some space or choose another --out."
            ) from error
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise UserError(
                f"another run finished {out} first; this one was dropped. Give each its own --out."
            ) from error
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_messages(prepared: Prepared, folder: Path) -> None:
    """Sensors and frame times in time order, then the truth on its own channel."""
    request = prepared.request
    rates = Rates(imu_hz=request.imu_hz)
    with RecordingWriter(folder) as writer:
        late_s = SensorError.CAMERA_CLOCK.value.drawn(stream(request.seed, "camera-clock"))
        times = [START_NS + round((t_s + late_s) * NANOSECONDS) for t_s in prepared.frame_times_s]
        frames = [FrameRecord(t_ns, index, frame_name(index)) for index, t_ns in enumerate(times)]
        sensed = telemetry(prepared.flight, prepared.scenario, prepared.frame, request.seed, START_NS, rates)
        writer.write_all([*sensed, *frames])
        writer.write_all(truth_samples(prepared.flight, prepared.frame, START_NS, rates.truth_hz))
