"""Every page in light, dark and phone width: no complaint, nothing beyond the edge, readable text, axes named.

Screenshots go into pytest's folder of the test, and into the folder that GPS_DENIED_SCREENSHOTS names.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import pstats
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame, mercator_px_from_geodetic
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.messages import GpsHealth, NavState
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.grid import TileKey, tile_range
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.missions.route import resolve
from gps_denied_operator.report.flight_report import report_flights
from gps_denied_operator.report.html import render
from gps_denied_operator.report.model import FlightPart, Report
from gps_denied_operator.scoring.frames import FrameResult, RunFacts
from gps_denied_operator.scoring.metrics import figures

from ..compare.conftest import errors_m, write_flights
from ..logs.log_files import flight, write
from .recordings import blind_flight, forged_flight
from .test_page_in_browser import Browser, browser, picture

__all__ = ["browser"]
LOOKS = {"light": (1366, 768), "dark": (1366, 768), "phone": (390, 844), "small phone": (360, 740)}
MakeState = Callable[..., NavState]
CHECKS = Path(__file__).with_name("page_checks.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory,
    make_state: MakeState,
    make_flight: Callable[..., list[FrameResult]],
    origin: LocalFrame,
) -> dict[str, Path]:
    """Write all pages that are files."""
    folder = tmp_path_factory.mktemp("pages")
    tiles = _tiles(folder, origin)
    plan = folder / "route.geojson"
    plan.write_text('{"type": "LineString", "coordinates": [[37.1, 48.4140], [37.1, 48.4240], [37.104, 48.4290]]}')
    flight = forged_flight(folder / "a", make_state, origin)
    other = forged_flight(folder / "b", make_state, origin, shift_m=300.0)
    made = {
        "flight": report_flights([flight], None, tiles, route_deg=resolve(plan).route_deg).page,
        "two flights": report_flights([flight, other], None, tiles).page,
        "blind": report_flights([blind_flight(folder / "c", origin)], None, None).page,
        "evaluation": _evaluation(make_flight, origin),
        "camera": _camera(),
        "mount": _mount(),
        "comparison": _comparison(folder, make_state, origin),
        "gps": _gps(),
        "imported log": _imported(folder),
        "profile": _profile(),
    }
    for name, page in made.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


def _tiles(folder: Path, origin: LocalFrame) -> Path:
    x, y = (mercator_px_from_geodetic(origin.latitude_deg, origin.longitude_deg, 15) // 256).astype(int)
    grey = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (256, 256), dtype=np.uint8), (0, 0), 4.0)
    for column in range(x - 1, x + 3):
        (folder / f"tiles/15/{column}").mkdir(parents=True)
        for row in range(y - 1, y + 2):
            cv2.imwrite(str(folder / f"tiles/15/{column}/{row}.jpg"), grey)
    return folder / "tiles"


def _evaluation(make_flight: Callable[..., list[FrameResult]], origin: LocalFrame) -> str:
    rows = make_flight(1, 240)
    rows = [
        dataclasses.replace(row, frame_jpeg=picture(i), map_jpeg=picture(i + 1)) if i in (95, 100) else row
        for i, row in enumerate(rows)
    ]
    run = RunFacts(12.0, 800.0, "0123456789ab", 2)
    of_rows = figures([rows], run)
    return render(Report("Evaluation", of_rows, [FlightPart("seed 1", rows, of_rows, origin)], [("command", "a b c")]))


def _camera() -> str:
    from gps_denied_operator.calibrate.camera import CameraCalibration
    from gps_denied_operator.calibrate.pages import camera_page

    rng = np.random.default_rng(0)
    lens = CameraModel(640, 480, 620.0, 620.0, 320.0, 240.0, "brown", (-0.2, 0.1, 0.0, 0.0, 0.0))
    pixel = rng.uniform((0, 0), (640, 480), (400, 2))
    found = CameraCalibration(lens, 0.2, 0.2, 0.3, 0.3, 0.9, {"a.png": 0.2}, pixel, rng.normal(0.0, 0.2, (400, 2)), ())
    return camera_page(found, "board")


def _mount() -> str:
    from gps_denied_operator.calibrate.boresight import Look, MountCalibration
    from gps_denied_operator.calibrate.pages import mount_page

    rng = np.random.default_rng(0)
    looks = tuple(Look(k * 10**9, rng.normal(0.0, 0.01, 3), np.eye(3) * 1e-4, 0.0) for k in range(200))
    turn, sigma, residual = np.array([0.4, -0.2]), np.array([0.05, 0.06]), rng.normal(0.0, 0.5, (200, 3))
    return mount_page(MountCalibration(np.eye(3), turn, sigma, 1.2, looks, residual, np.ones(200)), "flight")


def _comparison(folder: Path, make_state: MakeState, origin: LocalFrame) -> str:
    """Two runs of four flights, the second half as bad again, with another configuration."""
    from gps_denied_operator.compare.judge import compare
    from gps_denied_operator.compare.page import comparison_page
    from gps_denied_operator.compare.sides import read_any

    a = write_flights(folder / "before", make_state, origin, range(4))
    b = write_flights(
        folder / "after", make_state, origin, range(4), change=lambda seed, errors: 1.5 * errors_m(seed, len(errors)),
        more={"configuration": {"integrity": {"a_setting_with_a_long_name_m": 12.5}}},
    )  # fmt: skip
    return comparison_page(compare(read_any(a, None), read_any(b, None)))


def _gps() -> str:
    from gps_denied_operator.evaluate.gps_log import GpsLogResult, VerdictChange
    from gps_denied_operator.evaluate.gps_page import gps_page

    verdicts = (
        VerdictChange(0.0, GpsHealth.UNKNOWN, ""), VerdictChange(4.0, GpsHealth.STABLE_NON_SPOOFED, ""),
        VerdictChange(60.0, GpsHealth.SPOOFED, "jump, position"), VerdictChange(90.0, GpsHealth.DEGRADED, "accuracy"),
    )  # fmt: skip
    track = tuple((float(k), 48.0 + 1e-4 * k, 37.0 + 4e-5 * k * (k % 40)) for k in range(120))
    return gps_page(
        [GpsLogResult("0123-flight.ulg", 120.0, 600, verdicts, 30.0, 30.0, 2, 116.0, "IMU and airspeed",
                      ("it holds no rangefinder.",), 6.4, track)],
        "operator-tool evaluate gps logs/0123-flight.ulg --out a-folder-with-a-long-name/of/results",
    )  # fmt: skip


def _imported(folder: Path) -> str:
    from gps_denied_operator.logs.importer import ImportRequest, import_log

    import_log(ImportRequest(write(folder, ".bin", flight(minutes=0.5)), folder / "recording"))
    return (folder / "recording" / "import.html").read_text(encoding="utf-8")


def _profile() -> str:
    from gps_denied_onboard.cli.profile_report import profile_page
    from gps_denied_onboard.replay.profile import FunctionTime, ReplayProfile

    functions = tuple(
        FunctionTime(f"gps_denied_onboard/vision/a_module_{k}.py:120:a_function_with_a_long_name", 1200, 0.8, 1.4)
        for k in range(12)
    )
    stages = {"odometry": 3.2, "match": 6.4, "fuse": 0.7, "rest": 1.1}
    return profile_page(
        Path("flight"), ReplayProfile(60, 11.4, 11.0, stages, 20.0, functions, pstats.Stats(), ("one is torn",))
    )


@pytest.fixture
def stored(database_url: str, tmp_path: Path) -> Iterator[TileStore]:
    """Fill a store with half of a planned route's map, a row of it old."""
    x0, y0, x1, y1 = tile_range(37.1, 48.41, 37.15, 48.43, 18)
    tiles = [
        NewTile(TileKey("provider", 18, x, y), _noise(x * 7 + y), 0.4, captured_at=datetime(2026, 4, 1, tzinfo=UTC),
                freshness="downgraded" if y == y0 + 2 else "fresh")
        for x in range(x0, (x0 + x1) // 2) for y in range(y0, y1)
    ]  # fmt: skip
    with TileStore.open(tmp_path / "store", database_url) as store:
        store.insert(tiles)
        yield store


def _noise(seed: int) -> bytes:
    grey = np.random.default_rng(seed).integers(60, 200, (32, 32), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    return cv2.imencode(".jpg", grey)[1].tobytes()


def look_at(browser: Browser, address: str, look: str, folder: Path, name: str) -> list[str]:
    """Open a page in a look, check it, keep its screenshot; gives what its charts have written, canvas by canvas."""
    wide, high = LOOKS[look]
    browser.call("Page.navigate", url="about:blank")
    browser.wait("location.href === 'about:blank'")
    browser.events.clear()
    browser.call("Emulation.setDeviceMetricsOverride", width=wide, height=high, deviceScaleFactor=1, mobile=False)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if look == "dark" else "light"}
    browser.call("Emulation.setEmulatedMedia", features=[scheme])
    listener = browser.call("Page.addScriptToEvaluateOnNewDocument", source=CHECKS)["identifier"]
    browser.call("Page.navigate", url=address)
    drawn = "!document.querySelector('script') || document.documentElement.dataset.ready === 'yes'"
    ready = f"document.readyState === 'complete' && ({drawn})"
    assert browser.wait(f"location.href === {address!r} && {ready}"), browser.complaints()
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=listener)
    browser.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    own = address.rsplit("/", 1)[0]
    assert [told for told in browser.complaints() if not (isinstance(told, str) and told.startswith(own))] == []
    assert browser.evaluate("beyond()") == []
    assert browser.evaluate("crowded()") == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= wide
    assert browser.evaluate("unreadable()") == []
    size = browser.call("Page.getLayoutMetrics")["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": wide, "height": min(size["height"], 8000), "scale": 1}
    shot = base64.b64decode(
        browser.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
    )
    for place in filter(None, (folder, os.environ.get("GPS_DENIED_SCREENSHOTS"))):
        (Path(place) / f"{name.replace(' ', '-')}-{look.replace(' ', '-')}.png").write_bytes(shot)
    image = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)
    ground = np.median(image.reshape(-1, 3), axis=0).mean()
    assert (ground < 60) if look == "dark" and name not in ("tiles",) else (ground > 60)
    written = browser.evaluate("Object.fromEntries(Object.entries(window.written || {}).map(([k, v]) => [k, [...v]]))")
    named = [" | ".join(words) for key, words in written.items() if key and key not in ("map",)]
    drawn = browser.evaluate(
        "[...document.querySelectorAll('svg.plot:not(.north)')].filter((plot) => plot.clientWidth).map((plot) =>"
        " [...plot.querySelectorAll('text')].map((text) => text.textContent).join(' | '))"
    )
    return named + drawn


UNIT = re.compile(r"(?<!\w)(m|px|ms|s|σ|%|°|km|m a pixel)(?!\w)|test ratio|position source|Source label|verdict")
TIME = re.compile(r"UTC|min:s|, min\b|, s\b|, ms\b|, m\b|, km\b|px")


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    "name",
    ["flight", "two flights", "blind", "evaluation", "camera", "mount", "comparison", "gps", "imported log", "profile"],
)
def test_a_page_in_a_look(browser: Browser, pages: dict[str, Path], name: str, look: str, tmp_path: Path) -> None:
    """Nothing in the console, nothing beyond the edge, AA contrast, each chart names its unit and its other axis."""
    charts = look_at(browser, pages[name].as_uri(), look, tmp_path, name)
    assert bool(charts) is (name not in ("imported log", "profile"))
    for chart in charts:
        assert UNIT.search(chart), chart
        assert TIME.search(chart), chart


@pytest.mark.slow
def test_plan_and_store_in_all_looks(browser: Browser, stored: TileStore, tmp_path: Path) -> None:
    """The same for the page of `plan show` over a half stored map, and for that of `tiles serve`."""
    from gps_denied_operator.missions.needs import needs
    from gps_denied_operator.missions.plan_page import plan_page
    from gps_denied_operator.missions.route import resolved
    from gps_denied_operator.missions.route_map import footprint_of, route_map
    from gps_denied_operator.missions.terrain_profile import terrain_profile
    from gps_denied_operator.terrain.library import MissionHeights
    from gps_denied_operator.tiles.preview import Preview
    from gps_denied_sim.provider.serve import running

    flight = resolved([(48.42, 37.105), (48.421, 37.13), (48.416, 37.145)], "a", mission_id="a", buffer_m=300.0)
    lens = CameraModel(1280, 960, 1200.0, 1200.0, 640.0, 480.0)
    seen = footprint_of(lens, 400.0)
    found = needs(flight, 18, "provider", stored, TilesConfig(), datetime(2026, 6, 1, tzinfo=UTC))
    grid = TerrainGrid(48.40, 37.09, 0.001, 0.001, np.add.outer(np.linspace(90, 160, 41), np.arange(71.0)), 1.0)
    ground = terrain_profile(flight, MissionHeights(grid, b"", ("made",), 0.0), 400.0, lens, 16.7, 1.0)
    (tmp_path / "plan.html").write_text(plan_page(found, route_map(flight, "provider", 18, stored, seen), ground))
    with running(Preview(stored).app) as port:
        for look in LOOKS:
            chart, profile = look_at(browser, (tmp_path / "plan.html").as_uri(), look, tmp_path, "plan")
            assert "m above sea level" in profile
            assert "ground resolution, m a pixel" in chart
            assert "distance along the route, km" in chart
            look_at(browser, f"http://127.0.0.1:{port}/", look, tmp_path, "tiles")
            scale = browser.evaluate("[...window.written.map]")
            assert re.fullmatch(r"\d+ k?m", scale[-1])


@pytest.mark.slow
def test_the_story_leads_to_its_time(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    """A click on an alert or a chapter moves the cursor there, and the inspector tells GPS and refusal in words."""
    look_at(browser, pages["flight"].as_uri(), "light", tmp_path, "flight")
    browser.evaluate("[...document.querySelectorAll('.alert')].find((b) => b.textContent.includes('SPOOFED')).click()")
    said = browser.evaluate("document.querySelector('.inspect').innerText")
    assert "10:15:40" in said
    assert "spoofed" in said
    assert "600 m" in said
    browser.evaluate("timeline.pin(timeline.flight.fixes.find((f) => !f[1])[0])")
    said = browser.evaluate("document.querySelector('.inspect').innerText")
    assert "tilted more than the aircraft flies: 0.63 rad (at most 0.45)" in said
    assert browser.evaluate("document.querySelectorAll('.pair img').length") == 1
    assert browser.evaluate("document.querySelectorAll('.nopic').length") == 0
    browser.evaluate(
        "[...document.querySelectorAll('.told')].find((b) => b.textContent.includes('taken back')).click()"
    )
    assert "10:16:21" in browser.evaluate("document.querySelector('.inspect').innerText")
    assert browser.complaints() == []


@pytest.mark.slow
def test_two_flights_share_a_page_and_a_map(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    """Both stand in the table with what happened to them; choosing one shows it with the other behind it."""
    look_at(browser, pages["two flights"].as_uri(), "light", tmp_path, "two flights")
    rows = browser.evaluate("[...document.querySelectorAll('#flights tr')].map((row) => row.innerText)")
    assert len(rows) == 2
    assert all("31" in row and "3D fix" in row for row in rows)
    assert browser.evaluate("DATA.together") is True
    x = browser.evaluate("FLIGHTS.map((f) => f.x.find((v) => v !== null))")
    assert x[1] - x[0] == pytest.approx(300.0, abs=3.0)
    browser.evaluate("document.querySelectorAll('#flights tr')[1].click()")
    assert browser.wait("document.querySelector('#flight h2').textContent === FLIGHTS[1].title")
    assert browser.evaluate("document.querySelectorAll('.chapters li').length") == 4
    assert browser.complaints() == []
