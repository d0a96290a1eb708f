"""A file of heights through import, cache, verification, flight and tiles made in it, each by rasterio and pyproj."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject
from scipy.ndimage import map_coordinates

from gps_denied_onboard.config import Config
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.raster_terrain import RasterTerrain
from gps_denied_onboard.geometry.terrain import FlatTerrain
from gps_denied_onboard.localisation.tile_candidates import CandidateJob, CandidateMaker
from gps_denied_onboard.messages import Frame, PoseFix
from gps_denied_onboard.provisioning.verify import verify_cache
from gps_denied_onboard.recorder.meta import TERRAIN_FILE, read_meta
from gps_denied_onboard.replay.recording import FrameTrace, replay_recording
from gps_denied_onboard.runtime_root.provisioned_cache import signed_terrain
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_onboard.tiles.terrain_file import read_terrain
from gps_denied_operator.terrain.importer import HowToRead, import_heights
from gps_denied_operator.terrain.library import mission_heights

from ...gps_denied_onboard.provisioning import making as caches

UTM, PIXEL_M = "EPSG:32637", 20.0
ZOOM, TILE_PX = 17, 256


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return some seconds over hills."""
    from gps_denied_sim.recording import FlyRequest, make_recording

    out = tmp_path_factory.mktemp("hills") / "recording"
    request = FlyRequest(321, 4.0 / 60.0, "relief-150", frame_rate_hz=1.0, width_px=912, height_px=608, buffer_m=250.0)
    make_recording(request, out, lambda *_: None)
    return out


@pytest.fixture
def store(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TileStore]:
    """Return a store of a few tiles, for a cache to be made of."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    with TileStore.open(tmp_path / "store", database_url) as made:
        caches.fill(made)
        yield made


def geotiff_of(recording: Path, path: Path) -> Path:
    """The simulator's heights as somebody sells them: metres over EGM96 on a UTM grid."""
    grid = read_terrain(recording / TERRAIN_FILE)
    rows, columns = grid.heights_amsl_m.shape
    north = grid.south_deg + (rows - 0.5) * grid.step_lat_deg
    placed = from_origin(grid.west_deg - grid.step_lon_deg / 2, north, grid.step_lon_deg, grid.step_lat_deg)
    to_utm = pyproj.Transformer.from_crs("EPSG:4326", UTM, always_xy=True)
    west, south, east, top = to_utm.transform_bounds(
        grid.west_deg, grid.south_deg, grid.west_deg + columns * grid.step_lon_deg, north
    )
    shape = (int((top - south) / PIXEL_M), int((east - west) / PIXEL_M))
    metres = np.full(shape, np.nan, np.float32)
    there = from_origin(west, top, PIXEL_M, PIXEL_M)
    reproject(
        grid.heights_amsl_m[::-1].copy(), metres, src_transform=placed, src_crs="EPSG:4326", dst_transform=there,
        dst_crs=UTM, src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling.bilinear,
    )  # fmt: skip
    profile = {"height": shape[0], "width": shape[1], "count": 1, "dtype": "float32", "nodata": np.nan}
    with rasterio.open(path, "w", driver="GTiff", crs=f"{UTM}+5773", transform=there, **profile) as file:
        file.write(metres, 1)
    return path


class Reference:
    """Heights of the file by rasterio and SciPy, and places by PROJ; nothing of the product's own."""

    def __init__(self, path: Path, local: LocalFrame) -> None:
        with rasterio.open(path) as file:
            self._metres, self._from_utm = file.read(1), ~file.transform
        self._to_utm = pyproj.Transformer.from_crs("EPSG:4326", UTM, always_xy=True)
        origin = f"+lat_0={local.latitude_deg} +lon_0={local.longitude_deg} +h_0={local.altitude_m}"
        self._enu = pyproj.Transformer.from_pipeline(
            "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=cart +ellps=WGS84 "
            f"+step +proj=topocentric +ellps=WGS84 {origin}"
        )
        self._mercator = pyproj.Transformer.from_crs("EPSG:3857", "EPSG:4326", always_xy=True)

    def height_m(self, longitude: Any, latitude: Any) -> Any:
        """Bilinear between the pixels' middles."""
        column, row = self._from_utm @ np.array(self._to_utm.transform(longitude, latitude))
        return map_coordinates(self._metres, [np.ravel(row) - 0.5, np.ravel(column) - 0.5], order=1)

    def geodetic(self, enu_m: Any) -> Any:
        """Longitude, latitude, altitude of one place."""
        return np.array(self._enu.transform(*enu_m, direction="INVERSE"))

    def ground_enu_m(self, pixels: Any, zoom: int) -> Any:
        """(N, 3) ground under (N, 2) Web-Mercator pixels."""
        half_m = 20037508.342789244
        metres = pixels / (TILE_PX * 2**zoom) * 2.0 * half_m - half_m
        longitude, latitude = self._mercator.transform(metres[:, 0], -metres[:, 1])
        return np.column_stack(self._enu.transform(longitude, latitude, self.height_m(longitude, latitude)))


@pytest.mark.slow
def test_every_stage_has_the_heights_of_the_file(recording: Path, store: TileStore, tmp_path: Path) -> None:
    """Posts are the file's to a decimetre through import, cache and verification; the flight's fixes
    have PROJ's and the file's height above ground; a tile made of a frame shows at each pixel what is there."""
    meta = read_meta(recording)
    local = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
    path = geotiff_of(recording, tmp_path / "heights.tif")
    reference = Reference(path, local)

    assert import_heights(path, HowToRead(sigma_m=10.0), tmp_path / "operator")["outcome"] == "success"
    west, south = meta.origin_longitude_deg - 0.004, meta.origin_latitude_deg - 0.003
    box = (west, south, west + 0.008, south + 0.006)
    heights = mission_heights(tmp_path / "operator", box, 900.0)
    assert heights is not None
    assert caches.make_cache(store, tmp_path / "cache", terrain=heights.data).outcome == "success"
    body = verify_cache(tmp_path / "cache", caches.TRUSTED, store)
    grid = signed_terrain(body, tmp_path / "cache")
    assert grid is not None
    terrain = RasterTerrain(local, grid, FlatTerrain(local, meta.origin_altitude_m, 30.0))
    rng = np.random.default_rng(8)
    known = cv2.erode(np.isfinite(grid.heights_amsl_m).astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0)
    row, column = rng.permutation(np.argwhere(known))[:200].T
    latitude, longitude = grid.south_deg + row * grid.step_lat_deg, grid.west_deg + column * grid.step_lon_deg
    told = reference.height_m(longitude, latitude)
    assert np.std(told) > 5.0
    np.testing.assert_allclose(grid.heights_amsl_m[row, column], told, atol=0.1)
    enu = np.column_stack(reference._enu.transform(longitude, latitude, told))
    np.testing.assert_allclose(terrain.ups_m(enu[:, :2]), enu[:, 2], atol=0.2)

    carried = tmp_path / "carried"
    shutil.copytree(recording, carried)
    (artefact,) = body.artefacts_of("terrain")
    shutil.copyfile(tmp_path / "cache" / artefact.path, carried / TERRAIN_FILE)
    traces: list[FrameTrace] = []
    replay_recording(carried, Config(), tmp_path / "flown", traces.append, record=True)
    assert (tmp_path / "flown" / TERRAIN_FILE).read_bytes() == heights.data
    fixes = [trace.fix for trace in traces if trace.fix is not None and trace.fix.accepted]
    assert len(fixes) >= 2
    for fix in fixes:
        longitude, latitude, altitude_m = reference.geodetic(fix.position_enu_m)
        over_m = altitude_m - reference.height_m(longitude, latitude)[0]
        own_m = fix.position_enu_m[2] - terrain.up_m(fix.position_enu_m[:2])
        assert own_m == pytest.approx(over_m, abs=1.5)  # between posts
    _tiles_show_the_ground(carried, fixes, reference, local, terrain)


def _tiles_show_the_ground(
    recording: Path, fixes: list[PoseFix], reference: Reference, local: LocalFrame, terrain: RasterTerrain
) -> None:
    """Each tile against the frame's own pixels, looked up where PROJ and the file say that its ground is seen."""
    camera = read_meta(recording).camera
    maker = CandidateMaker(local, camera, ZOOM, 0.0, UUID(int=7), 1_780_000_000_000_000_000)
    tiles = 0
    for fix in fixes:
        picture = cv2.imread(str(recording / "frames" / f"{fix.frame_index:06d}.jpg"), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        position, rotation = fix.position_enu_m, fix.rotation_camera_to_enu
        up_m = terrain.up_m(position[:2])
        frame = Frame(fix.t_ns, fix.frame_index, picture)
        job = CandidateJob(frame, position, rotation, fix.covariance, 2.0, up_m, terrain)
        for ground, right in ((terrain, True), (None, False)):
            for tile in maker.tiles(replace(job, ground=ground)):
                image, _ = codec.decode_tile(tile.jpeg, None)
                u, v = np.meshgrid(np.arange(TILE_PX) + 0.5, np.arange(TILE_PX) + 0.5)
                pixels = np.column_stack([u.ravel() + tile.key.x * TILE_PX, v.ravel() + tile.key.y * TILE_PX])
                seen = (reference.ground_enu_m(pixels, ZOOM) - position) @ rotation
                at = camera.distort(seen[:, :2] / seen[:, 2:]).reshape(TILE_PX, TILE_PX, 2).astype(np.float32)
                there: Any = cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
                off_px = _worst_shift_px(image.astype(np.float32), there.astype(np.float32))
                assert (off_px < 1.0) is right, (ground, off_px)
                tiles += right
    assert tiles >= 1


def _worst_shift_px(one: Any, other: Any) -> float:
    """The largest shift of a quarter of two pictures against one another."""
    half = TILE_PX // 2
    parts = [np.s_[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    return max(float(np.hypot(*cv2.phaseCorrelate(one[part], other[part])[0])) for part in parts)
