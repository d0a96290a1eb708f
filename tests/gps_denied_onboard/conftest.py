"""What the tests of the onboard program share: a short simulated flight, and a painted ground with a camera over it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from filelock import FileLock

from gps_denied_onboard.geometry.camera import CameraModel, ground_points
from gps_denied_onboard.geometry.geodesy import LocalFrame, mercator_px_from_geodetic
from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu
from gps_denied_onboard.geometry.terrain import FlatTerrain
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, ImageArray, Telemetry
from gps_denied_onboard.pipeline import Pipeline
from gps_denied_onboard.tiles.mosaic import MapMosaic

SHORT_FLIGHT_S = 8.0
TINY_FLIGHT_S = 2.2


@pytest.fixture(scope="session")
def short_recording(run_folder: Path) -> Path:
    """Return a recording of eight seconds, sixteen small pictures, good conditions. Nobody writes into it.

    The processes of one run share it: the first that asks renders it.
    """
    from gps_denied_sim.recording import FlyRequest, make_recording

    out = run_folder / "short-flight"
    with FileLock(run_folder / "short-flight.lock"):
        if not out.exists():
            request = FlyRequest(
                3, SHORT_FLIGHT_S / 60.0, frame_rate_hz=2.0, buffer_m=200.0, width_px=684, height_px=456
            )
            make_recording(request, run_folder / "short-flight-begun", lambda *_: None)
            (run_folder / "short-flight-begun").rename(out)
    return out


@pytest.fixture
def tiny_recording(short_recording: Path, tmp_path: Path) -> Path:
    """Return a copy of the flight's first four pictures, free to be damaged."""
    from gps_denied_onboard.recorder.mcap_io import TELEMETRY_FILE, RecordingReader, RecordingWriter
    from gps_denied_onboard.recorder.meta import FRAMES_FOLDER, META_FILE

    out = tmp_path / "recording"
    out.mkdir()
    shutil.copy(short_recording / META_FILE, out)
    shutil.copytree(short_recording / "tiles", out / "tiles")
    reader = RecordingReader(short_recording)
    assert reader.path.name == TELEMETRY_FILE
    events = list(reader.events())
    last_ns = events[0].t_ns + round(TINY_FLIGHT_S * 1e9)
    with RecordingWriter(out) as writer:
        writer.write_all([event for event in events if event.t_ns <= last_ns])
    (out / FRAMES_FOLDER).mkdir()
    for frame in RecordingReader(out).frames():
        shutil.copy(short_recording / FRAMES_FOLDER / frame.name, out / FRAMES_FOLDER)
    return out


class PaintedGround:
    """A square of flat, textured ground around an origin, as map tiles in memory and as a camera sees it.

    `look` picks which seed's ground a picture shows; the map is always that of `seed`. 0.4 m a map pixel.
    """

    zoom = 18
    TILES = 8

    def __init__(self, seed: int) -> None:
        self.local = LocalFrame(48.2, 37.3, 100.0)
        self.terrain = FlatTerrain(self.local, 100.0, 2.0)
        self.camera = CameraModel(480, 360, 500.0, 500.0, 238.0, 181.0, "brown", (-0.08, 0.05, 2e-4, -3e-4))
        centre = mercator_px_from_geodetic(48.2, 37.3, self.zoom) / 256.0
        self._x0, self._y0 = (int(v) - self.TILES // 2 for v in centre)
        self.canvas = self.paint(seed)
        self._seen_at: dict[tuple[bytes, bytes], FloatArray] = {}

    def paint(self, seed: int) -> ImageArray:
        """(2048, 2048) fields, buildings and roads."""
        rng = np.random.default_rng(seed)
        side = self.TILES * 256
        canvas = np.full((side, side), 110, np.uint8)
        for size, count in ((400.0, 60), (120.0, 300), (30.0, 900)):
            for _ in range(count):
                centre, half = rng.uniform(0, side, 2), rng.uniform(0.3, 1.0, 2) * size / 2
                box = cv2.boxPoints((tuple(centre), tuple(2 * half), float(rng.uniform(0, 180))))
                cv2.fillPoly(canvas, [box.astype(np.int32)], int(rng.integers(40, 220)))
        grain = cv2.GaussianBlur(rng.normal(0.0, 30.0, canvas.shape).astype(np.float32), (0, 0), 1.5)
        return np.asarray(np.clip(canvas + grain, 0, 255), dtype=np.uint8)

    def bounds_tiles(self) -> tuple[int, int, int, int]:
        return self._x0, self._y0, self._x0 + self.TILES, self._y0 + self.TILES

    def read_tile(self, x: int, y: int) -> tuple[ImageArray, np.ndarray] | None:
        column, row = x - self._x0, y - self._y0
        if not (0 <= column < self.TILES and 0 <= row < self.TILES):
            return None
        tile = self.canvas[row * 256 : row * 256 + 256, column * 256 : column * 256 + 256]
        return tile, np.ones((256, 256), dtype=bool)

    def mosaic(self) -> MapMosaic:
        return MapMosaic(self)

    def pose(
        self, yaw_rad: float = 0.9, tilt_rad: tuple[float, float] = (0.02, -0.03)
    ) -> tuple[FloatArray, FloatArray]:
        """A camera 300 m over the ground, 40 m east and 25 m south of the origin, a little tilted."""
        rotation = exp_rotation(np.array([*tilt_rad, 0.0])) @ nadir_camera_to_enu(yaw_rad)
        return np.array([40.0, -25.0, 300.0]), rotation

    def frame(self, pose: tuple[FloatArray, FloatArray], canvas: ImageArray | None = None, t_ns: int = 0) -> Frame:
        """What the camera sees of `canvas` (its own ground without) from a pose."""
        maps = self._maps(pose)
        seen = cv2.remap(self.canvas if canvas is None else canvas, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR)
        return Frame(t_ns, 7, np.asarray(seen, dtype=np.uint8))

    def _maps(self, pose: tuple[FloatArray, FloatArray]) -> FloatArray:
        """(h, w, 2) map pixels that the camera's pixels show; many tests look from the same few poses."""
        key = (pose[0].tobytes(), pose[1].tobytes())
        if key not in self._seen_at:
            x, y = np.meshgrid(np.arange(self.camera.width_px), np.arange(self.camera.height_px))
            ground = ground_points(self.camera, np.stack([x, y], axis=-1).reshape(-1, 2), *pose, 0.0)
            at = self.local.mercator_px_from_enu(ground, self.zoom) - np.array([self._x0, self._y0]) * 256.0 - 0.5
            self._seen_at[key] = at.reshape(*x.shape, 2).astype(np.float32)
        return self._seen_at[key]

    def prior(
        self, pose: tuple[FloatArray, FloatArray], sigma_m: float = 20.0, known: bool = True, **changes: float
    ) -> CameraPrior:
        """What the state could say of a pose."""
        values = SimpleNamespace(tilt_sigma_rad=0.03, yaw_sigma_rad=0.05, height_m=300.0, height_sigma_m=5.0)
        values.__dict__.update(changes)
        covariance = np.diag([sigma_m**2, sigma_m**2, 25.0])
        return CameraPrior(0, pose[0], covariance, pose[1], **values.__dict__, position_known=known)


@pytest.fixture(scope="session")
def painted_ground() -> PaintedGround:
    """Return the ground of seed 5."""
    return PaintedGround(5)


@pytest.fixture(scope="session")
def new_pipeline(short_recording: Path) -> Callable[..., Pipeline]:
    """Return what makes a fresh pipeline for the short flight, as a replay does; its arguments are the observers."""
    from gps_denied_onboard.config import Config
    from gps_denied_onboard.recorder.meta import read_meta
    from gps_denied_onboard.runtime_root.build import World, build_pipeline
    from gps_denied_onboard.runtime_root.stopwatch import Stopwatch
    from gps_denied_onboard.runtime_root.strategies import load_composition
    from gps_denied_onboard.tiles.sources import DirectoryTileSource

    meta = read_meta(short_recording)
    mosaic = MapMosaic(DirectoryTileSource(short_recording / "tiles" / meta.tiles_source))
    local = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
    world = World(local, meta.origin_altitude_m, meta.ground_sigma_m, meta.camera)
    watch = Stopwatch(lambda: 0)
    return lambda *observers: build_pipeline(
        Config(), world, mosaic, load_composition(), watch.stage, observers=observers
    )


@pytest.fixture(scope="session")
def short_flight(short_recording: Path) -> list[Frame | Telemetry]:
    """Return the short flight's messages in the order of time, pictures loaded."""
    from gps_denied_onboard.frames.recording import RecordingFrames
    from gps_denied_onboard.recorder.kinds import FrameRecord
    from gps_denied_onboard.recorder.mcap_io import RecordingReader

    frames = RecordingFrames(short_recording, grey=True)
    out: list[Frame | Telemetry] = []
    for event in RecordingReader(short_recording).events():
        message = frames.load(event) if isinstance(event, FrameRecord) else event
        assert message is not None
        out.append(message)
    return out
