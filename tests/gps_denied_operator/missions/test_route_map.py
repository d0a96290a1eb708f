"""What of the stored map lies under a route: where it is missing, its picture, what the camera sees."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.grid import TileKey, tile_range
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.route_coverage import route_coverage
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.missions.needs import needs
from gps_denied_operator.missions.plan_page import plan_page
from gps_denied_operator.missions.route import ResolvedFlight, resolved
from gps_denied_operator.missions.route_chart import stretches
from gps_denied_operator.missions.route_map import Footprint, along, footprint_of, route_map

ZOOM = 17
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def flight() -> ResolvedFlight:
    """Return four kilometres to the east."""
    return resolved([(48.42, 37.1), (48.42, 37.154)], "a.plan", mission_id="a", buffer_m=300.0)


@pytest.fixture
def half(tmp_path: Path, database_url: str, flight: ResolvedFlight) -> Iterator[TileStore]:
    """Return a store with the map of the western half of the box, brighter to the west."""
    x0, y0, x1, y1 = tile_range(*flight.bbox, ZOOM)
    tiles = []
    for x in range(x0, (x0 + x1) // 2):
        grey = np.full((256, 256), 250 - 20 * (x - x0), np.uint8)
        data = cv2.imencode(".jpg", grey)[1].tobytes()
        tiles += [NewTile(TileKey("provider", ZOOM, x, y), data, 0.8, captured_at=NOW) for y in range(y0, y1)]
    with TileStore.open(tmp_path / "store", database_url) as store:
        store.insert(tiles)
        yield store


def test_the_route_is_walked_evenly_and_through_its_corners() -> None:
    """Distances grow to the geodesic length, corners are points, and no step is longer than the others' kind."""
    distances, places = along(np.array([(48.0, 37.0), (48.0, 37.02), (48.01, 37.02)]))
    assert distances[-1] == pytest.approx(1491.6 + 1112.0, abs=3.0)
    assert (np.diff(distances) > 0.0).all()
    assert np.diff(distances).max() < 21.0
    assert any(np.allclose(place, (48.0, 37.02)) for place in places)


def test_half_of_the_route_is_missing(half: TileStore, flight: ResolvedFlight) -> None:
    """The stored half is covered, the other half is told in metres, to a tile's width."""
    found = route_map(flight, "provider", ZOOM, half, None)
    assert found.length_m == pytest.approx(3998.0, abs=30.0)
    assert found.missing_m == pytest.approx(2000.0, abs=250.0)
    assert [point.missing for point in found.points] == sorted(point.missing for point in found.points)
    assert route_map(flight, "provider", ZOOM, None, None).missing_m == pytest.approx(found.length_m)


def test_missing_kilometres_are_those_of_build_cache(half: TileStore, flight: ResolvedFlight) -> None:
    """A wide footprint is drawn, but what is said of the route is what the cache's builder will say of it."""
    paths = [path.tolist() for path in flight.paths_deg]
    told = route_coverage(half, "provider", ZOOM, paths)
    for seen in (None, Footprint(900.0, 1800.0, 1200.0, 1.4)):
        found = route_map(flight, "provider", ZOOM, half, seen)
        assert found.missing_m == pytest.approx(told.length_m - told.covered_m)
        assert found.length_m == pytest.approx(told.length_m)


def test_the_way_between_two_paths_is_neither_counted_nor_drawn(half: TileStore, flight: ResolvedFlight) -> None:
    """Two paths of one file are as long as both; one lies on the map and one does not; each is a line of its own."""
    ends = [(48.42, 37.1), (48.42, 37.11), (48.42, 37.144), (48.42, 37.154)]
    two = resolved(ends, "a.kml", mission_id="a", buffer_m=300.0, path_sizes=(2, 2))
    found = route_map(two, "provider", ZOOM, half, None)
    assert found.length_m == pytest.approx(two.length_m, abs=1.0)
    assert found.length_m == pytest.approx(20.0 / 54.0 * flight.length_m, rel=0.01)
    assert found.missing_m == pytest.approx(0.5 * found.length_m, rel=0.01)
    assert [len({p.path for p in points}) for _, points in stretches(found.points)] == [1, 1]


def test_the_picture_is_the_stored_map_where_it_lies(half: TileStore, flight: ResolvedFlight) -> None:
    """Bright in the west, clear in the east, and its edges are those of the box's tiles."""
    found = route_map(flight, "provider", ZOOM, half, None)
    assert found.picture is not None
    image = cv2.imdecode(np.frombuffer(found.picture, np.uint8), cv2.IMREAD_UNCHANGED)
    middle, wide = image.shape[0] // 2, image.shape[1]
    assert (image[middle, 5, 3], image[middle, wide - 5, 3]) == (255, 0)
    assert image[middle, 5, 0] > image[middle, wide // 3, 0] + 30
    west, south, east, north = found.edges_deg
    assert west <= flight.bbox[0]
    assert south <= flight.bbox[1]
    assert east >= flight.bbox[2]
    assert north >= flight.bbox[3]


def test_the_page_draws_map_footprint_and_gap(half: TileStore, flight: ResolvedFlight) -> None:
    """Picture, red route, resolution of map and camera with their units, and how many kilometres have map."""
    lens = CameraModel(1280, 960, 1200.0, 1200.0, 640.0, 480.0)
    seen = footprint_of(lens, 600.0)
    assert seen == Footprint(600.0, 640.0, 480.0, 0.5)
    assert footprint_of(None, 600.0) is None
    assert footprint_of(lens, 0.0) is None
    found = route_map(flight, "provider", ZOOM, half, seen)
    page = plan_page(needs(flight, ZOOM, "provider", half, TilesConfig(), NOW), found)
    data = re.search(r'href="data:image/png;base64,([^"]+)"', page)
    assert data is not None
    assert base64.b64decode(data[1]) == found.picture
    assert 'stroke="#c00026"' in page
    assert "640 × 480 m at 0.50 m a pixel" in page
    assert "distance along the route, km" in page
    assert "ground resolution, m a pixel" in page
    assert re.search(r"[12]\.\d of 4\.0 km of the route have map", page)
