"""How much of a route has map: by tiles, by the pixels in them, leg by leg; counts are of the route, not of the box."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import geodetic_from_mercator_px
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.route_coverage import LegCoverage, RouteCoverage, route_coverage
from gps_denied_onboard.tiles.store import TileStore

ZOOM, COLUMN, ROW = 17, 79000, 45000
JPEG = codec.encode_jpeg(np.full((256, 256), 90, dtype=np.uint8))


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[TileStore]:
    """Return a store with a strip of six tiles; the fourth holds data in its western half only."""
    half = np.zeros((256, 256), dtype=bool)
    half[:, :128] = True
    with TileStore.open(tmp_path / "store", database_url) as made:
        for k in range(6):
            seen = half if k == 3 else np.ones((256, 256), dtype=bool)
            made.insert([NewTile(TileKey("m", ZOOM, COLUMN + k, ROW), JPEG, 0.8, codec.encode_mask(seen),
                                 float(seen.mean()))])  # fmt: skip
        yield made


def at(column: float) -> tuple[float, float]:
    """Return the middle of the strip at so many tiles from its western end."""
    place = geodetic_from_mercator_px([[(COLUMN + column) * 256.0, (ROW + 0.5) * 256.0]], ZOOM)[0]
    return float(place[0]), float(place[1])


def test_a_route_on_the_map_is_all_covered(store: TileStore) -> None:
    """Both legs over whole tiles: a share of 1 and no gap."""
    found = route_coverage(store, "m", ZOOM, [[at(0.1), at(2.9), at(0.1)]])
    assert (found.share, found.gaps, len(found.legs)) == (1.0, (), 2)
    assert found.covered_m == found.length_m


def test_every_leg_that_is_all_covered_has_a_share_of_one(store: TileStore) -> None:
    """Of legs of any length: none is a step short by rounding."""
    for k in range(60):
        (leg,) = route_coverage(store, "m", ZOOM, [[at(0.05), at(0.1 + 0.047 * k)]]).legs
        assert leg.covered_m == leg.length_m


def test_holes_in_a_tile_and_the_maps_end_count(store: TileStore) -> None:
    """Data ends in the middle of a tile, begins again, and ends with the strip: two and a half of eight tiles lack."""
    found = route_coverage(store, "m", ZOOM, [[at(0.0), at(8.0)]])
    assert found.share == pytest.approx(5.5 / 8, abs=0.03)
    assert not found.gaps  # under two kilometres each
    assert found.as_dict()["legs_without_map"] == []


def test_a_damaged_tile_is_no_map(store: TileStore) -> None:
    """Nobody knows which pixels of it hold data: the route counts as without map there, and is counted to its end."""
    whole = route_coverage(store, "m", ZOOM, [[at(0.0), at(6.0)]])
    (damaged,) = store.query_tiles("m", ZOOM, COLUMN + 3, ROW, COLUMN + 4, ROW + 1)
    store.image_path(damaged.key).unlink()
    found = route_coverage(store, "m", ZOOM, [[at(0.0), at(6.0)]])
    assert whole.covered_m - found.covered_m == pytest.approx(whole.length_m * 0.5 / 6, rel=0.3)


def test_a_leg_without_map_is_a_gap_and_named(store: TileStore) -> None:
    """A leg that has none is told by number and ends; so is a long stretch of one that has some."""
    found = route_coverage(store, "m", ZOOM, [[at(0.0), at(2.0), at(2.1)], [at(7.0), at(8.0)], [at(5.0), at(30.0)]])
    assert [leg.number for leg in found.gaps] == [3, 4]
    assert "leg 3 from" in found.sentence()
    assert route_coverage(store, "other", ZOOM, [[at(0.0), at(1.0)]]).share == 0.0


def test_a_stretch_without_map_goes_on_through_waypoints(store: TileStore) -> None:
    """1.8 km without map on each side of a waypoint are 3.6 km in the dark: a gap, though neither leg has 2 km."""
    tile_m = route_coverage(store, "m", ZOOM, [[at(0.0), at(1.0)]]).length_m
    away = 6.0 + 1800.0 / tile_m
    alone = route_coverage(store, "m", ZOOM, [[at(5.5), at(away)], [at(away), at(5.5)]])
    assert not alone.gaps
    assert alone.legs[0].longest_gap_m == pytest.approx(1800.0, abs=30.0)
    through = route_coverage(store, "m", ZOOM, [[at(5.5), at(away), at(5.5)]])
    assert [leg.number for leg in through.gaps] == [2]
    assert through.legs[1].longest_gap_m == pytest.approx(3600.0, abs=60.0)
    near = 6.0 + 900.0 / tile_m  # over the map the count begins anew
    assert not route_coverage(store, "m", ZOOM, [[at(5.5), at(near), at(0.5), at(near), at(5.5)]]).gaps


def test_a_share_is_never_rounded_up_to_all(store: TileStore) -> None:
    """A step without map in a long route is no 100 %."""
    back_and_forth = [at(0.0), at(2.9)] * 200
    found = route_coverage(store, "m", ZOOM, [[*back_and_forth, at(3.8)]])
    assert found.share < 1.0
    long = RouteCoverage((LegCoverage(1, (48.0, 37.0), (48.0, 37.1), 7000.0, 6999.9, 0.1),))
    assert "(99.9 %)" in long.sentence()
