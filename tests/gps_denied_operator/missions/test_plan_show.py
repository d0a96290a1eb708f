"""`plan show`: figures and page of a planned flight, with and without a store."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.freshness import Sector
from gps_denied_onboard.tiles.grid import TileKey, tile_range
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.sectors import replace_sectors
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.cli import app
from gps_denied_operator.missions.needs import TYPICAL_TILE_BYTES, needs
from gps_denied_operator.missions.plan_page import plan_page
from gps_denied_operator.missions.route import resolved
from gps_denied_operator.missions.route_map import route_map

from .plans import ROUTE, qgc_plan

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SIZE = 2000


def picture(seed: int) -> bytes:
    """What the store takes for a JPEG, of SIZE bytes."""
    return b"\xff\xd8\xff" + bytes([seed]) * (SIZE - 3)


FRONT = {"type": "Polygon", "coordinates": [[[37.0, 48.3], [37.15, 48.3], [37.15, 48.6], [37.0, 48.6], [37.0, 48.3]]]}


def test_the_command_writes_page_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a store: tile count of the box, a typical size, one page that loads nothing; no store is made."""
    monkeypatch.setenv("GPS_DENIED_TILES", str(tmp_path / "none"))
    (tmp_path / "<b>ridge.plan").write_bytes(qgc_plan())
    out = tmp_path / "plan.html"
    answer = CliRunner().invoke(
        app, ["plan", "show", str(tmp_path / "<b>ridge.plan"), "--zoom", "17", "--out", str(out), "--json"]
    )
    assert answer.exit_code == 0, answer.output
    told = orjson.loads(answer.stdout)
    x0, y0, x1, y1 = tile_range(*told["bbox"], 17)
    assert told["tiles"] == told["missing"] == (x1 - x0) * (y1 - y0)
    assert told["bytes_estimate"] == told["tiles"] * TYPICAL_TILE_BYTES
    assert told["taken"] is False  # 0.79 m a pixel at this latitude
    page = out.read_text()
    assert "&lt;b&gt;ridge.plan" in page
    assert "<b>ridge" not in page
    assert "too coarse" in page
    assert not re.search(r"(?:src|href)=(?![\"']?data:)|url\((?!#)|@import", page)
    assert not (tmp_path / "none").exists()


def test_the_plan_may_be_named_as_for_build_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--flight-file` does what the argument does, and both of them are a mistake."""
    monkeypatch.setenv("GPS_DENIED_TILES", str(tmp_path / "none"))
    plan, out = tmp_path / "ridge.plan", str(tmp_path / "plan.html")
    plan.write_bytes(qgc_plan())
    answers = [
        CliRunner().invoke(app, ["plan", "show", *words, "--out", out, "--json"])
        for words in ([str(plan)], ["--flight-file", str(plan)], [str(plan), "--flight-file", str(plan)])
    ]
    assert [answer.exit_code for answer in answers] == [0, 0, 2]
    assert answers[0].stdout == answers[1].stdout
    assert "give the plan once" in answers[2].output


def test_what_the_store_holds_and_where_old_tiles_are_refused(tmp_path: Path, database_url: str) -> None:
    """Stored tiles, their mean size, old ones and the sectors of the box are counted and drawn."""
    flight = resolved(ROUTE, "ridge.plan", mission_id="ridge", buffer_m=2000.0)
    x0, y0, _, _ = tile_range(*flight.bbox, 18)
    made = []
    for number in range(6):
        key = TileKey("provider", 18, x0 + number, y0)
        label = "downgraded" if number == 5 else "fresh"
        made.append(NewTile(key, picture(number), 0.4, captured_at=NOW, freshness=label))
    with TileStore.open(tmp_path / "store", database_url) as store:
        store.insert(made)
        replace_sectors(store, [Sector("front & east", "active_conflict", FRONT)])
        found = needs(flight, 18, "provider", store, TilesConfig(), NOW)
        under = route_map(flight, "provider", 18, store, None)
        elsewhere = resolved([(10.0, 10.0), (10.1, 10.0)], "far", mission_id="far", buffer_m=100.0)
        assert needs(elsewhere, 18, "provider", store, TilesConfig(), NOW).sectors == ()
    assert found.stored == {"downgraded": 1, "fresh": 5}
    assert (found.tile_bytes, found.missing) == (SIZE, found.chosen.tiles - 6)
    assert sum(cell.stored for cell in found.cells) == 6
    assert sum(cell.tiles for cell in found.cells) == found.chosen.tiles
    assert found.class_shares["active_conflict"] == pytest.approx(
        (37.15 - flight.bbox[0]) / (flight.bbox[2] - flight.bbox[0]), abs=0.03
    )
    page = plan_page(found, replace(under, missing_m=0.0))
    assert "front &amp; east (active conflict)" in page
    assert "older tiles are refused" in page
    assert '<div class="verdict warn">' in page
    assert "are old and make the position less sure" in page
