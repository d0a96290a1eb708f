"""The freshness gate, rule by rule."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.freshness import FreshnessGate, Sector
from gps_denied_onboard.tiles.grid import TileKey, tile_range
from gps_denied_onboard.tiles.sectors import BYTES_MAX, load_sectors, read_geojson, replace_sectors
from gps_denied_onboard.tiles.store import TileStore

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def box(west: float, south: float, east: float, north: float) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north],
                                                [west, south]]]}  # fmt: skip


SECTORS = (
    Sector("front", "active_conflict", box(37.0, 48.0, 38.0, 49.0)),
    Sector("rear", "stable_rear", box(35.0, 48.0, 37.5, 49.0)),
)
GATE = FreshnessGate(SECTORS, TilesConfig())


@pytest.mark.parametrize(
    ("longitude_deg", "age_days", "label", "sector"),
    [
        (37.8, 179.9, "fresh", "front"),
        (37.8, 180.1, "", "front"),
        (37.8, None, "", "front"),
        (37.8, -2.0, "", "front"),  # a date in the future is no date
        (37.8, -0.5, "fresh", "front"),
        (36.0, 364.9, "fresh", "rear"),
        (36.0, 365.1, "downgraded", "rear"),
        (36.0, None, "downgraded", "rear"),
        (37.2, 200.0, "", "front"),  # both sectors: the strictest
        (30.0, 200.0, "fresh", ""),  # none: the default class
        (30.0, 400.0, "downgraded", ""),
    ],
)
def test_rule_of_age_and_class(longitude_deg: float, age_days: float | None, label: str, sector: str) -> None:
    """Class and age decide between fresh, downgraded and refused; an unknown age counts as stale."""
    captured = None if age_days is None else NOW - timedelta(days=age_days)
    decision = GATE.decide(48.5, longitude_deg, captured, NOW)
    assert (decision.label, decision.sector, decision.refused) == (label, sector, label == "")
    assert decision.sector_class in decision.rule


def test_limits_and_default_come_from_the_configuration() -> None:
    """Other age limits and another class outside of sectors change the decision."""
    gate = FreshnessGate(SECTORS, TilesConfig(active_conflict_age_days_max=300, default_sector_class="active_conflict"))
    assert gate.decide(48.5, 37.8, NOW - timedelta(days=200), NOW).label == "fresh"
    assert gate.decide(10.0, 10.0, NOW - timedelta(days=301), NOW).refused


def test_a_tile_on_the_edge_has_the_stricter_class() -> None:
    """A tile that only touches an active sector is judged by it; its neighbour outside is not."""
    x0, y0, x1, _ = tile_range(36.999, 48.5, 37.001, 48.5001, 14)
    stale = NOW - timedelta(days=200)
    assert GATE.decide_tile(TileKey("provider", 14, x1 - 1, y0), stale, NOW).refused
    assert GATE.decide_tile(TileKey("provider", 14, x0 - 1, y0), stale, NOW).label == "fresh"


def test_sectors_go_through_file_and_database(tmp_path: Path, database_url: str) -> None:
    """Polygons of a GeoJSON file are in the database and decide the same when they are read from there."""
    import json

    file = tmp_path / "sectors.geojson"
    features = [{"type": "Feature", "properties": {"name": s.name, "class": s.sector_class}, "geometry": s.polygon}
                for s in SECTORS]  # fmt: skip
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with TileStore.open(tmp_path / "store", database_url) as store:
        replace_sectors(store, read_geojson(file))
        assert load_sectors(store) == sorted(SECTORS, key=lambda sector: sector.name)
        replace_sectors(store, [])
        assert load_sectors(store) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "not a GeoJSON"),
        ('{"features": [{}]}', "lacks properties"),
        ('{"features": [{"properties": {"class": "quiet"}, "geometry": {}}]}', "active_conflict or stable_rear"),
        ('{"features": [{"properties": {"class": "stable_rear"}, "geometry": '
         '{"type": "Point", "coordinates": [1, 2]}}]}',
         "not a valid polygon"),
        ('{"features": {}}', "'features' must be a list"),
        ('{"features": NaN}', "NaN is no number"),
        ('[' * 40 + ']' * 40, "nested more than"),
        ('{"features": [{"properties": {"class": ["\\u001b[2J"]}, "geometry": {}}]}', r"class \['.x1b"),
        ('{"features": [{"properties": {"class": "stable_rear"}, "geometry": {"type": "Polygon", "coordinates": '
         '[[[0, 0], [200, 0], [200, 9], [0, 9], [0, 0]]]}}]}', "leaves the earth"),
        ('{"features": [{"properties": {"class": "stable_rear"}, "geometry": {"type": "Polygon", "coordinates": '
         '[[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}}]}', "without crossings"),
    ],
)  # fmt: skip
def test_bad_sector_files_are_explained(tmp_path: Path, text: str, said: str) -> None:
    """Each mistake in a sector file is one sentence."""
    file = tmp_path / "sectors.geojson"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        read_geojson(file)


def test_sector_files_are_read_up_to_a_bound(tmp_path: Path) -> None:
    """A file beyond the most bytes, and a pipe without a writer, are a sentence at once."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(BYTES_MAX + 1)
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("large", "more than the"), ("pipe", "no plain file")):
        with pytest.raises(UserError, match=said):
            read_geojson(tmp_path / name)
