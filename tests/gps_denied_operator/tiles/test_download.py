"""Downloads from a real provider: what is taken, refused, repeated, resumed and replaced."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.budget import CacheBudgetExhaustedError, missions
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.freshness import Sector
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.sectors import replace_sectors
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.admission import Admission
from gps_denied_operator.tiles.download import DownloadReport, TileDownloader
from gps_denied_operator.tiles.feeds import Offer, TemplateFeed, TileFeed
from gps_denied_operator.tiles.http import ProviderUnavailableError
from gps_denied_sim.provider.faults import Faults

from ...gps_denied_onboard.tiles import made_tiles
from .providers import QUICK, X0, Y0, ZOOM, area, feed, offer_folder, picture, provider

NOW = datetime(2026, 6, 1, tzinfo=UTC)
Get = Callable[..., DownloadReport]


@pytest.fixture
def get(store: TileStore) -> Get:
    """Return a function that downloads an area of count x count tiles from an address."""

    def get(url: str, count: int, config: TilesConfig | None = None, **changes: object) -> DownloadReport:
        with feed(url) as tiles:
            admission = Admission(store, config or TilesConfig(), lambda: NOW)
            return TileDownloader(store, tiles, admission, 4).download_tiles_for_area(area(count, **changes))

    return get


def agrees(root: Path, url: str) -> int:
    """Return how many tiles a freshly opened store holds, after checking each file of it."""
    with TileStore.open(root, url) as store:
        records = store.query_tiles("provider", ZOOM, X0, Y0, X0 + 100, Y0 + 100)
        for record in records:
            jpeg, _ = store.read(record)
            assert bytes(jpeg) == picture((record.key.x * 31 + record.key.y) % 50)
        names = [path for path in root.rglob("*") if path.is_file() and f"/{ZOOM}/" in str(path)]
        assert len(names) == 2 * len(records)
        return len(records)


def test_an_area_comes_and_the_second_time_is_a_no_op(tmp_path: Path, store: TileStore, get: Get) -> None:
    """All tiles are stored with date, label and digest; the same again fetches nothing; the mission protects them."""
    folder = offer_folder(tmp_path / "tiles", 5, captured_at="2026-05-01T00:00:00+00:00")
    with provider(folder) as (url, app):
        first = get(url, 5)
        asked = app.requests
        second = get(url, 5)
        assert app.requests - asked == 1  # the inventory alone
    assert (first.outcome, first.downloaded, first.tiles_in_area) == ("success", 25, 25)
    assert first.summary_by_label == {"stable_rear fresh": 25}
    assert (second.outcome, second.downloaded, second.already_stored) == ("idempotent_no_op", 0, 25)
    record = store.query_tiles("provider", ZOOM, X0, Y0, X0 + 1, Y0 + 1)[0]
    assert record.captured_at == datetime(2026, 5, 1, tzinfo=UTC)
    assert record.content_sha256 == hashlib.sha256(picture((X0 * 31 + Y0) % 50)).digest()
    assert missions(store) == ["current"]


def test_old_and_coarse_tiles_are_refused_unfetched(tmp_path: Path, store: TileStore, get: Get) -> None:
    """Stale tiles of an active sector and coarse ones are counted and never asked for; rear ones are downgraded."""
    square = [[-180, -80], [180, -80], [180, 80], [-180, 80], [-180, -80]]
    replace_sectors(store, [Sector("all", "active_conflict", {"type": "Polygon", "coordinates": [square]})])
    tiles = {
        f"{ZOOM}/{X0}/{Y0}": {"captured_at": "2026-05-01T00:00:00+00:00"},
        f"{ZOOM}/{X0}/{Y0 + 1}": {"captured_at": "2026-05-01T00:00:00+00:00", "ground_resolution_m_px": 0.51},
    }
    folder = offer_folder(tmp_path / "tiles", 3, captured_at="2024-01-01T00:00:00+00:00", tiles=tiles)  # fmt: skip
    with provider(folder) as (url, app):
        report = get(url, 3)
        assert app.requests == 2
        assert (report.downloaded, report.rejected_freshness, report.rejected_resolution) == (1, 7, 1)
        replace_sectors(store, [])
        later = get(url, 3)
    assert (later.downloaded, later.already_stored, later.downgraded) == (7, 1, 7)
    assert later.summary_by_label == {"stable_rear downgraded": 7}
    assert store.holds_downgraded("provider", ZOOM)


def test_a_newer_picture_replaces_an_older_one(tmp_path: Path, store: TileStore, get: Get) -> None:
    """Where the provider has a newer capture it takes the place; an older one does not."""
    folder = offer_folder(tmp_path / "tiles", 2, captured_at="2026-03-01T00:00:00+00:00")
    with provider(folder) as (url, _):
        get(url, 2)
    (folder / str(ZOOM) / str(X0) / f"{Y0}.jpg").write_bytes(picture(99))
    for date, replaced, kept in (("2026-04-01", 1, 0), ("2026-01-01", 0, 1)):
        (folder / "catalogue.json").write_text(json.dumps({"captured_at": f"{date}T00:00:00+00:00"}))
        with provider(folder) as (url, _):
            report = get(url, 2)
        assert (report.replaced, report.kept_newer, report.already_stored) == (replaced, kept, 3)
        (folder / str(ZOOM) / str(X0) / f"{Y0}.jpg").write_bytes(picture(98))
    record = store.query_tiles("provider", ZOOM, X0, Y0, X0 + 1, Y0 + 1)[0]
    assert bytes(store.read(record)[0]) == picture(99)


@pytest.mark.parametrize(
    ("stored", "offered", "outcome"),
    [
        ("2026-03-01", "2026-03-01", "kept_newer"),
        ("2026-03-01", "", "kept_newer"),
        ("", "2026-03-01", "replaced"),
        ("", "", "replaced"),
    ],
)
def test_another_picture_of_the_same_day_or_of_none(
    tmp_path: Path, store: TileStore, get: Get, stored: str, offered: str, outcome: str
) -> None:
    """Only a picture without a date gives way to it: than one with a date it is not known to be newer."""

    def known(date: str) -> dict[str, str]:
        return {"captured_at": f"{date}T00:00:00+00:00"} if date else {}

    folder = offer_folder(tmp_path / "tiles", 1, **known(stored))
    with provider(folder) as (url, _):
        assert get(url, 1).downloaded == 1
    (folder / str(ZOOM) / str(X0) / f"{Y0}.jpg").write_bytes(picture(99))
    (folder / "catalogue.json").write_text(json.dumps(known(offered)))
    with provider(folder) as (url, _):
        report = get(url, 1)
    counts = (report.replaced, report.kept_newer, report.already_stored, report.downloaded)
    assert counts == ((1, 0, 0, 0) if outcome == "replaced" else (0, 1, 0, 0))
    (record,) = store.query_tiles("provider", ZOOM, X0, Y0, X0 + 1, Y0 + 1)
    assert bytes(store.read(record)[0]) == picture(99 if outcome == "replaced" else (X0 * 31 + Y0) % 50)


def test_the_budget_is_checked_before_the_first_byte(tmp_path: Path, store: TileStore, get: Get) -> None:
    """An area that does not fit is refused after the inventory, with nothing fetched and nothing stored."""
    with provider(offer_folder(tmp_path / "tiles", 3)) as (url, app):
        with pytest.raises(CacheBudgetExhaustedError):
            get(url, 3, TilesConfig(budget_gb=8 * len(picture(0)) / 1e9))
        assert app.requests == 1
    assert store.totals() == (0, 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_do_not_change_the_outcome(
    tmp_path: Path, store: TileStore, get: Get, seed: int, database_url: str
) -> None:
    """With late, refused, broken, cut and lost answers, exactly the right set is stored in the end."""
    faults = Faults(latency_s=0.001, retry_after_s=0.01, slow_s=0.05, too_many=0.1, too_many_date=0.05,
                    server_error=0.05, truncate=0.1, slow=0.05, garbage=0.1)  # fmt: skip
    with provider(offer_folder(tmp_path / "tiles", 8), faults, seed) as (url, app):
        reports = [get(url, 8) for _ in range(2)]
        assert app.requests > 80
    # A cut or garbage body may be a whole answer to HTTP; its digest says that it is not the tile.
    assert sum(r.downloaded for r in reports) + reports[1].rejected_damaged == 64
    assert agrees(store.root, database_url) == sum(r.downloaded for r in reports)


def test_a_provider_that_is_away_ends_in_a_failure_that_resumes(tmp_path: Path, get: Get) -> None:
    """When tries run out the report says failure and when to come back; the next run goes on from the journal."""
    folder = offer_folder(tmp_path / "tiles", 4)
    with provider(folder, Faults(server_error=1.0)) as (url, _):
        report = get(url, 4)
    assert (report.outcome, report.downloaded) == ("failure", 0)
    assert report.next_retry_at_s is not None
    assert "503" in report.reason
    with provider(folder) as (url, _):
        assert get(url, 4).downloaded == 16


class Stubborn:
    """A feed that is away for one tile and has nothing of another."""

    def __init__(self, feed: TileFeed, away: tuple[int, int], absent: tuple[int, int]) -> None:
        self.name, self._feed, self._away, self._absent = feed.name, feed, away, absent

    def offers(self, places: Sequence[tuple[int, int]]) -> list[Offer]:
        return self._feed.offers(places)

    def fetch(self, x: int, y: int) -> bytes | None:
        if (x, y) == self._away:
            raise ProviderUnavailableError("no answer", 0.0)
        return None if (x, y) == self._absent else self._feed.fetch(x, y)

    def close(self) -> None:
        self._feed.close()


def test_what_was_settled_is_counted_and_what_was_lost_is_fetched(tmp_path: Path, store: TileStore, get: Get) -> None:
    """Going on, what the provider lacked is not asked for again; a tile that was evicted meanwhile is."""
    folder = offer_folder(tmp_path / "tiles", 3)
    away, absent, evicted = (X0, Y0), (X0 + 1, Y0), (X0 + 2, Y0)
    with provider(folder) as (url, app):
        with feed(url) as tiles:
            admission = Admission(store, TilesConfig(), lambda: NOW)
            first = TileDownloader(store, Stubborn(tiles, away, absent), admission, 4).download_tiles_for_area(area(3))
        assert (first.outcome, first.downloaded, first.missing) == ("failure", 7, 1)
        store.remove(store.query_tiles("provider", ZOOM, *evicted, evicted[0] + 1, evicted[1] + 1))
        asked = app.requests
        second = get(url, 3)
        assert app.requests - asked == 2  # the two tiles: the inventory is in the journal
    assert (second.outcome, second.resumed) == ("success", True)
    assert (second.downloaded, second.already_stored, second.missing) == (2, 6, 1)


def test_a_tile_made_in_flight_is_not_the_maps(tmp_path: Path, store: TileStore, get: Get) -> None:
    """Where a flight stored a tile under the map's name, the map's own is fetched still."""
    flown = replace(made_tiles.tile(X0, Y0), key=TileKey("provider", ZOOM, X0, Y0, made_tiles.FLIGHT))
    store.insert([flown])
    with provider(offer_folder(tmp_path / "tiles", 1)) as (url, _):
        report = get(url, 1)
    assert (report.downloaded, report.replaced, report.already_stored) == (1, 0, 0)
    assert store.get(flown.key) is not None


KILLED = """
import sys
from gps_denied_operator.cli import app
app(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [20])
def test_killed_at_any_moment_it_resumes(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    """SIGKILL after a random number of requests, then to the end: the right set, nothing torn, no orphans."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    root = tmp_path / "store"
    box = area(30)
    bbox = f"{box.west_deg},{box.south_deg},{box.east_deg},{box.north_deg}"
    with provider(offer_folder(tmp_path / "tiles", 30), Faults(latency_s=0.002)) as (url, app):
        command = [sys.executable, "-c", KILLED, "tiles", "download", f"--bbox={bbox}", "--zoom", str(ZOOM),
                   "--provider", url, "--root", str(root), "--json"]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                                    "GPS_DENIED_PROVIDER_KEY": "planted-api-key-5b1f9a10"}  # fmt: skip
        for enough in np.random.default_rng(kills).integers(1, 200, kills):
            asked = app.requests
            run = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while run.poll() is None and app.requests < asked + enough:
                pass
            run.send_signal(signal.SIGKILL)
            run.wait()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] in {"success", "idempotent_no_op"}
    assert agrees(root, database_url) == 900
    traces = "".join(path.read_text() for path in (root / "reports").iterdir())
    assert "planted-api-key" not in traces + done.stdout + done.stderr


def test_xyz_and_tms_templates_place_the_same_tiles(tmp_path: Path, store: TileStore) -> None:
    """A plain server is read by template, rows from the north; without a date its tiles are downgraded."""
    from gps_denied_sim.provider.serve import provider_app, running

    with running(provider_app(offer_folder(tmp_path / "tiles", 3), "", Faults())) as port:
        for template in ("{z}/{x}/{y}", "{TileMatrix}/{TileCol}/{TileRow}"):
            made = TemplateFeed(f"http://127.0.0.1:{port}/tiles/{template}", ZOOM, None, None, QUICK, 4)
            admission = Admission(store, TilesConfig(), lambda: NOW)
            report = TileDownloader(store, made, admission, 4).download_tiles_for_area(area(3, source="plain"))
            made.close()
            assert (report.downloaded or report.already_stored) == 9
        south = TemplateFeed(f"http://127.0.0.1:{port}/tiles/{{z}}/{{x}}/{{-y}}", ZOOM, None, None, QUICK, 4)
        assert south.fetch(X0, (1 << ZOOM) - 1 - Y0) == picture((X0 * 31 + Y0) % 50)
        south.close()
    assert {r.freshness for r in store.query_tiles("plain", ZOOM, X0, Y0, X0 + 3, Y0 + 3)} == {"downgraded"}
    with pytest.raises(UserError, match="knows no"):
        TemplateFeed("https://example.org/{z}/{x}/{y}?q={quadkey}", ZOOM, None, None, QUICK, 4)


def test_a_second_run_is_told_who_holds_the_store(tmp_path: Path, store: TileStore, database_url: str) -> None:
    """While one run writes, another one is refused with the holder's process and task."""
    with (
        TileStore.open(store.root, database_url) as other, other.writing("import of north.tif"),
        provider(offer_folder(tmp_path / "tiles", 1)) as (url, _), feed(url) as tiles,
    ):  # fmt: skip
        downloader = TileDownloader(store, tiles, Admission(store, TilesConfig(), lambda: NOW), 4)
        with pytest.raises(UserError, match=rf"process {os.getpid()} \(import of north.tif\)"):
            downloader.download_tiles_for_area(area(1))
