"""Tiles made in flight: right pixels in the right place, and only where the frame's own place is well known."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import CameraModel, ground_points
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import rotation_z
from gps_denied_onboard.geometry.terrain import meet_ground
from gps_denied_onboard.live.candidate_worker import CandidateWriter
from gps_denied_onboard.localisation.tile_candidates import CandidateJob, CandidateMaker, trust_of
from gps_denied_onboard.messages import Frame
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.budget import CacheBudget
from gps_denied_onboard.tiles.grid import tile_size_m
from gps_denied_onboard.tiles.sources import StoreTileSource
from gps_denied_onboard.tiles.store import TileStore

from ..geometry.hills import hill
from ..tiles.made_tiles import FLIGHT, tile

LOCAL = LocalFrame(48.5, 37.8, 140.0)
CAMERA = CameraModel.from_fov(1200, 900, 70.0)
ZOOM = 18
DOWN = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
TIME_NS = 1_780_000_000_000_000_000
ORIGIN_PX = np.floor(LOCAL.mercator_px_from_enu([0.0, 0.0, 0.0], ZOOM)) - 1500.0


def land() -> np.ndarray:
    """Return (3000, 3000) grey of the ground around the origin, smooth enough to survive two resamplings."""
    noise = np.random.default_rng(7).integers(0, 256, (3000, 3000)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3.0), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


LAND = land()
POSITION = np.array([40.0, -25.0, 500.0])
ROTATION = rotation_z(0.7) @ DOWN


@cache
def seen() -> np.ndarray:
    """Return LAND as the true camera sees it, pixel by pixel through the camera model."""
    u, v = np.meshgrid(np.arange(1200.0), np.arange(900.0))
    ground = ground_points(CAMERA, np.stack([u.ravel(), v.ravel()], axis=1), POSITION, ROTATION, 0.0)
    cell = (LOCAL.mercator_px_from_enu(ground, ZOOM) - ORIGIN_PX - 0.5).reshape(900, 1200, 2).astype(np.float32)
    return cv2.remap(LAND, cell[..., 0], cell[..., 1], cv2.INTER_LINEAR)


def job(sigma_m: float = 2.0) -> CandidateJob:
    covariance = np.diag([4.0, 4.0, 9.0, 1e-4, 1e-4, 1e-4])
    return CandidateJob(Frame(5_000_000_000, 12, seen()), POSITION, ROTATION, covariance, sigma_m, 0.0)


def maker(zoom: int = ZOOM, sharpness_min: float = 1.0) -> CandidateMaker:
    return CandidateMaker(LOCAL, CAMERA, zoom, sharpness_min, FLIGHT, TIME_NS)


@pytest.mark.parametrize(("sigma_m", "trust"), [(0.0, "full"), (3.0, "full"), (3.01, "low"), (5.0, "low"), (5.01, ""),
                                                (math.inf, ""), (math.nan, ""), (-1.0, "")])  # fmt: skip
def test_trust_by_the_parents_sigma(sigma_m: float, trust: str) -> None:
    """Up to 3 m full trust, up to 5 m low, beyond never; what is no sigma is never."""
    assert trust_of(sigma_m) == trust
    assert bool(maker().tiles(job(sigma_m))) == bool(trust)


def test_pixels_lie_where_the_grid_says() -> None:
    """Each tile of a turned frame agrees with the ground under it to a fraction of a pixel."""
    made = maker().tiles(job())
    assert len(made) >= 4
    for new in made:
        image, valid = codec.decode_tile(new.jpeg, None)
        left, top = new.key.x * 256 - int(ORIGIN_PX[0]), new.key.y * 256 - int(ORIGIN_PX[1])
        shift, response = cv2.phaseCorrelate(LAND[top : top + 256, left : left + 256].astype(np.float32),
                                             image.astype(np.float32))  # fmt: skip
        assert valid.all()
        assert np.hypot(*shift) < 0.3
        assert response > 0.5


def test_what_is_stored_with_a_tile() -> None:
    """Time, sigma, trust, covariance and sharpness of the parent go with each tile, under its flight, pending."""
    covariance = np.diag([4.0, 4.0, 9.0, 1e-4, 1e-4, 1e-4])
    covariance[0, 4] = covariance[4, 0] = 0.0123456789
    new = maker().tiles(replace(job(4.0004), covariance=covariance))[0]
    assert (new.key.source, new.key.flight_id, new.voting_status) == ("onboard_ingest", FLIGHT, "pending")
    assert new.captured_at == datetime.fromtimestamp(TIME_NS / 1e9 + 5.0, UTC)
    assert new.parent_sigma_m == 4.0004
    quality = new.quality_metadata
    assert (quality["trust"], quality["frame_index"], quality["parent_sigma_m"]) == ("low", 12, 4.0)
    assert quality["pose_covariance"][:6] == [4.0, 0.0, 0.0, 0.0, 0.0123457, 0.0]  # the upper triangle by rows
    assert (len(quality["pose_covariance"]), quality["pose_covariance"][6]) == (21, 4.0)
    assert quality["frame_resolution_m_px"] == round(POSITION[2] / CAMERA.fx_px, 4)
    assert quality["sharpness"] > 1.0


def test_blurred_and_coarse_frames_make_no_tiles() -> None:
    """A frame without edges, and one that is too coarse for the zoom, are not laid down."""
    assert maker(sharpness_min=1e6).tiles(job()) == []
    for zoom in (18, 19, 21):  # 0.58 m of ground a pixel of the frame; the grid's 0.40, 0.20, 0.05
        assert bool(maker(zoom=zoom, sharpness_min=0.0).tiles(job())) == (zoom == 18)
    for height_m, made in ((500.0, True), (530.0, False)):  # 1.47 and 1.56 times as coarse as the grid
        above = replace(job(), position_enu_m=np.array([*POSITION[:2], height_m]))
        assert bool(maker(sharpness_min=0.0).tiles(above)) == made


def test_resolution_is_the_coarser_of_frame_and_grid() -> None:
    """A frame that was enlarged brings no new detail; one that was reduced has lost what the grid cannot hold."""
    frame_m_px = 500.0 / CAMERA.fx_px
    (enlarged, *_), (reduced, *_) = maker(zoom=18).tiles(job()), maker(zoom=17).tiles(job())
    assert enlarged.ground_resolution_m_px == pytest.approx(frame_m_px)
    assert reduced.ground_resolution_m_px == pytest.approx(tile_size_m(17, reduced.key.y) / 256.0, rel=0.01)
    assert reduced.ground_resolution_m_px > frame_m_px


def test_writing_keeps_to_the_budget_and_never_touches_the_map(tmp_path: Path, database_url: str) -> None:
    """Candidates are stored once a flight, not read as the map, and not at all where there is no room."""
    with TileStore.open(tmp_path / "store", database_url) as store:
        here = maker().tiles(job())[0].key
        store.insert([tile(here.x, here.y)])
        budget = CacheBudget(store, store.totals()[1] + 1000)
        cramped = CandidateWriter(store, maker(), budget, 10.0, None)
        assert [alert.text for alert in cramped.write(job())] == ["no room for tiles made in flight"]
        assert cramped.write(job()) == []  # said once
        assert store.totals()[0] == 1
        writer = CandidateWriter(store, maker(), CacheBudget(store, 10**9), 10.0, None)
        assert writer.write(job()) == []
        count = store.totals()[0]
        assert count == 1 + len(maker().tiles(job()))
        assert not writer.due(14_000_000_000)
        assert writer.due(15_000_000_000)
        assert writer.write(job()) == []
        assert store.totals()[0] == count
        read = StoreTileSource(store, "provider", ZOOM).read_tile(here.x, here.y)
        assert read is not None
        np.testing.assert_array_equal(read[0], codec.decode_tile(tile(here.x, here.y).jpeg, None)[0])


@pytest.mark.slow
def test_tiles_of_a_hill_are_orthophotos() -> None:
    """With the hill's heights each tile lies on the ground to a fraction of a pixel; on the plane some are far off."""
    terrain = hill(LOCAL)
    u, v = np.meshgrid(np.arange(1200.0), np.arange(900.0))
    rays = CAMERA.bearings(np.stack([u.ravel(), v.ravel()], axis=1)) @ ROTATION.T
    ground = meet_ground(terrain, POSITION, rays)
    cell = (LOCAL.mercator_px_from_enu(ground, ZOOM) - ORIGIN_PX - 0.5).reshape(900, 1200, 2).astype(np.float32)
    picture = cv2.remap(LAND, cell[..., 0], cell[..., 1], cv2.INTER_LINEAR)
    worst_px = []
    for known in (terrain, None):
        up_m = terrain.up_m(POSITION[:2])
        made = maker().tiles(replace(job(), frame=Frame(5_000_000_000, 12, picture), ground_up_m=up_m, ground=known))
        assert len(made) >= 4
        worst_px.append(0.0)
        for new in made:
            image, _ = codec.decode_tile(new.jpeg, None)
            left, top = new.key.x * 256 - int(ORIGIN_PX[0]), new.key.y * 256 - int(ORIGIN_PX[1])
            there = LAND[top : top + 256, left : left + 256].astype(np.float32)
            shift, _ = cv2.phaseCorrelate(there, image.astype(np.float32))
            worst_px[-1] = max(worst_px[-1], math.hypot(*shift))
    assert worst_px[0] < 1.0
    assert worst_px[1] > 10.0
