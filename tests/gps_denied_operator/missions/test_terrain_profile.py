"""The ground along a route: heights, height above it, ground resolution, overlap, and what is no good."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_operator.cli import app
from gps_denied_operator.missions.route import ResolvedFlight, resolved
from gps_denied_operator.missions.route_map import along
from gps_denied_operator.missions.terrain_profile import TerrainProfile, Trouble, terrain_profile
from gps_denied_operator.terrain.importer import HowToRead, import_heights
from gps_denied_operator.terrain.library import MissionHeights, mission_heights

from ..terrain import making

CAMERA = CameraModel(684, 456, 550.0, 550.0, 341.5, 227.5, "brown", (0.0, 0.0, 0.0, 0.0))
ROUTE = [(36.50, -84.35), (36.68, -84.15)]


def flown(route: list[tuple[float, float]] = ROUTE) -> ResolvedFlight:
    return resolved(route, "a.plan", mission_id="a", buffer_m=300.0)


def ground(shape: Any, sigma_m: float = 1.0) -> MissionHeights:
    """Ground of a function of latitude and longitude around the route."""
    latitudes, longitudes = np.meshgrid(np.arange(36.4, 36.8, 0.0005), np.arange(-84.45, -84.05, 0.0005), indexing="ij")
    heights = np.asarray(shape(latitudes, longitudes) + 0.0 * latitudes, dtype="<f4")
    return MissionHeights(TerrainGrid(36.4, -84.45, 0.0005, 0.0005, heights, sigma_m), b"", ("made",), 0.0)


def profile(heights: MissionHeights, height_m: float = 400.0, camera: CameraModel | None = CAMERA) -> TerrainProfile:
    return terrain_profile(flown(), heights, height_m, camera, 16.7, 1.0)


def test_the_ground_is_that_of_the_file(tmp_path: Path) -> None:
    """Along the route the profile's ground is the file's, as rasterio samples it, within half a pixel's slope."""
    heights, transform = making.mountains()
    file = making.geotiff(tmp_path / "a.tif", heights, transform)
    import_heights(file, HowToRead(), tmp_path)
    found = mission_heights(tmp_path, flown().bbox)
    assert found is not None
    made = profile(found)
    distances, places = along(flown().route_deg, 30.0)
    with rasterio.open(file) as dataset:
        wanted = np.array([v[0] for v in dataset.sample([(lon, lat) for lat, lon in places])], dtype=float)
    at = np.array([p.distance_m for p in made.points])
    here = np.array([p.ground_m for p in made.points])
    reference = np.interp(at, distances, wanted)
    assert float(np.abs(np.median(here - reference))) < 2.0
    assert float(np.std(here - reference)) < 15.0
    start = float(wanted[0])
    assert made.altitude_m == pytest.approx(start + 400.0, abs=30.0)
    assert made.range_of("ground_m")[1] == pytest.approx(wanted.max(), abs=20.0)


def test_flat_ground_has_the_figures_of_the_camera() -> None:
    """400 m above flat ground: metres a pixel and overlap are the camera's and the speed's, and nothing is wrong."""
    made = profile(ground(lambda _lat, _lon: 250.0))
    assert made.altitude_m == 650.0
    assert made.range_of("height_m") == [400.0, 400.0]
    assert made.range_of("gsd_m") == [pytest.approx(400.0 / 550.0, abs=1e-3)] * 2
    assert made.range_of("overlap") == [pytest.approx(1.0 - 16.7 / (400.0 * 456 / 550.0), abs=1e-3)] * 2
    assert made.stretches == ()
    assert made.points[-1].distance_m == pytest.approx(flown().length_m, abs=0.1)


def ridge(top_m: float, width_deg: float = 0.004) -> Any:
    """Ground of 250 m with a gentle ridge across the middle of the route."""
    return lambda lat, _lon: 250.0 + top_m * np.exp(-(((lat - 36.59) / width_deg) ** 2))


@pytest.mark.parametrize(
    ("heights", "height_m", "troubles"),
    [
        (ground(ridge(200.0, 0.02)), 400.0, []),
        (ground(ridge(320.0, 0.02)), 400.0, [Trouble.TOO_LOW]),
        (ground(ridge(290.0, 0.02), sigma_m=15.0), 400.0, [Trouble.TOO_LOW]),
        (ground(ridge(-400.0, 0.02)), 800.0, [Trouble.TOO_HIGH]),
        (ground(ridge(280.0, 0.003)), 500.0, [Trouble.SLOPE]),
        (ground(lambda lat, _lon: np.where(abs(lat - 36.6) < 0.01, np.nan, 250.0)), 400.0, [Trouble.HOLE]),
    ],
)
def test_each_trouble_is_found_where_it_is(heights: MissionHeights, height_m: float, troubles: list[Trouble]) -> None:
    """Too low over a ridge (earlier for heights less sure), too high over a valley, steep flanks, a hole."""
    made = profile(heights, height_m)
    assert [one.trouble for one in made.stretches] == troubles
    for one in made.stretches:
        middle = (one.from_m + one.to_m) / 2.0 / flown().length_m
        assert 0.4 < middle < 0.65
        assert f"km {one.from_m / 1000.0:.1f}" in one.told
    assert not made.hits_the_ground


def test_a_ridge_beside_the_route_counts() -> None:
    """Ground 300 m beside the route, within what the camera sees, is near; a kilometre away it is not."""

    def beside(off_m: float) -> MissionHeights:
        def shape(lat: Any, lon: Any) -> Any:
            along_route = (lat - 36.59) / 0.18 * 0.20 - 84.25
            off = (lon - along_route) * 89_000.0 * 0.745
            return 250.0 + np.where(abs(off - off_m) < 60.0, 500.0, 0.0)

        return ground(shape)

    assert any(one.trouble is Trouble.TOO_LOW and one.worst < 0.0 for one in profile(beside(250.0)).stretches)
    assert not any(one.trouble is Trouble.TOO_LOW for one in profile(beside(1500.0)).stretches)


def test_without_height_or_camera_less_is_said() -> None:
    """Without --height there is only the ground; without a camera no resolution. Nothing is made up."""
    bare = terrain_profile(flown(), ground(ridge(900.0)), 0.0, None, 16.7, 1.0)
    assert math.isnan(bare.altitude_m)
    assert {one.trouble for one in bare.stretches} <= {Trouble.SLOPE}
    assert bare.as_dict()["height_above_ground_m"] == [None, None]
    no_camera = profile(ground(ridge(10.0)), camera=None).as_dict()
    assert no_camera["gsd_m"] == [None, None]
    assert no_camera["height_above_ground_m"][1] == pytest.approx(400.0, abs=1.0)


def shown(tmp_path: Path, *options: str) -> tuple[Any, str]:
    (tmp_path / "r.geojson").write_text(
        json.dumps({"type": "LineString", "coordinates": [[lon, lat] for lat, lon in ROUTE]})
    )
    (tmp_path / "flight.toml").write_text(
        "[camera]\nwidth_px = 684\nheight_px = 456\nfx_px = 550.0\nfy_px = 550.0\ncx_px = 341.5\ncy_px = 227.5\n"
        'distortion = [0.0, 0.0, 0.0, 0.0]\ndistortion_model = "brown"\n'
    )
    done = CliRunner().invoke(
        app,
        ["plan", "show", str(tmp_path / "r.geojson"), "--root", str(tmp_path / "store"), "--config",
         str(tmp_path / "flight.toml"), "--out", str(tmp_path / "plan.html"), "--json", *options],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), (tmp_path / "plan.html").read_text()


def test_page_and_json_of_plan_show(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With imported heights the page draws the profile and lists warnings, the JSON has the same; without, neither."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    told, page = shown(tmp_path, "--height", "200")
    assert told["terrain"] is None
    assert "terrain import" in page
    heights, transform = making.mountains()
    import_heights(making.geotiff(tmp_path / "a.tif", heights, transform), HowToRead(), tmp_path / "store")
    told, page = shown(tmp_path, "--height", "200", "--speed", "20", "--frame-rate", "2")
    terrain = told["terrain"]
    assert set(terrain) == {
        "imports", "sigma_m", "altitude_amsl_m", "ground_m", "height_above_ground_m", "gsd_m", "overlap",
        "holes_share_of_box", "warnings", "profile",
    }  # fmt: skip
    assert len(terrain["profile"]) <= 500
    low, high = terrain["ground_m"]
    assert float(heights.min()) <= low < high <= float(heights.max())
    assert terrain["height_above_ground_m"] == [
        pytest.approx(terrain["altitude_amsl_m"] - edge, abs=0.1) for edge in (high, low)
    ]
    assert {one["trouble"] for one in terrain["warnings"]} >= {"too low"}
    assert "leads into the ground" in page
    assert re.search(r'aria-label="ground along the route.*flown, level', page, re.DOTALL)
    assert "into it" in page
