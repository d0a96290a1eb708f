"""Heights over other surfaces are brought to EGM96 as pyproj does, or refused, or told with a sigma that covers it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.transform import from_origin

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.terrain_file import read_terrain
from gps_denied_operator.terrain.datum import EGM2008_SIGMA_M, Datum, unit_told, vertical_told
from gps_denied_operator.terrain.importer import HowToRead, import_heights

from . import making

SRC = Path(__file__).resolve().parents[3] / "src"
UNDULATION = {"us_nga_egm96_15.tif": (-31.0, 0.7), "us_nga_egm08_25.tif": (-30.0, 0.9)}
"""Of the made grids: metres at 84.5 degrees west, and metres more for each degree east."""


def made_grids(folder: Path) -> None:
    """Grids of heights of the geoid over the ellipsoid, in the form and under the names that PROJ looks for."""
    folder.mkdir(parents=True)
    for name, (level_m, slope_m) in UNDULATION.items():
        longitudes = np.arange(-88.0, -80.0, 0.25)
        values = np.broadcast_to(level_m + slope_m * (longitudes + 84.5), (32, 32)).astype(np.float32)
        profile = {"height": 32, "width": 32, "count": 1, "dtype": "float32", "crs": "EPSG:4979"}
        transform = from_origin(-88.125, 40.125, 0.25, 0.25)
        with rasterio.open(folder / name, "w", driver="GTiff", transform=transform, **profile) as file:
            file.write(values, 1)
            file.update_tags(TYPE="VERTICAL_OFFSET_GEOGRAPHIC_TO_VERTICAL", AREA_OR_POINT="Point")
            file.set_band_description(1, "geoid_undulation")
            file.units = ("metre",)


def imported(file: Path, store: Path, home: Path, *options: str) -> dict[str, Any]:
    """What `operator-tool terrain import` tells, with PROJ's files of a user in `home`."""
    program = [sys.executable, "-m", "gps_denied_operator.cli"]
    done = subprocess.run(
        [*program, "terrain", "import", str(file), "--store", str(store), *options, "--json"],
        env={**os.environ, "PYTHONPATH": str(SRC), "XDG_DATA_HOME": str(home)}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)["imported"][0]
    return told


@pytest.mark.slow
@pytest.mark.parametrize(("datum", "crs"), [("ellipsoid", "EPSG:4979"), ("egm2008", "EPSG:9518")])
@pytest.mark.parametrize("told", [True, False])
def test_with_the_grids_they_are_converted_as_pyproj_does(tmp_path: Path, datum: str, crs: str, told: bool) -> None:
    """Heights over the ellipsoid and EGM2008, told by the file or the operator, are those of PROJ over EGM96."""
    made_grids(tmp_path / "home" / "proj")
    heights, transform = making.mountains()
    file = making.geotiff(tmp_path / "a.tif", heights.astype(np.float32), transform, crs if told else "EPSG:4326")
    report = imported(file, tmp_path / "store", tmp_path / "home", *(() if told else ("--datum", datum)))
    grid = read_terrain(tmp_path / "store" / "terrain" / f"{report['name']}.grid")
    longitudes = grid.west_deg + grid.step_lon_deg * np.arange(grid.heights_amsl_m.shape[1])
    (level, slope), (level_08, slope_08) = UNDULATION.values()
    undulation = level + slope * (longitudes + 84.5)
    over = undulation if datum == "ellipsoid" else undulation - (level_08 + slope_08 * (longitudes + 84.5))
    np.testing.assert_allclose(grid.heights_amsl_m, heights[::-1] - over[None, :], atol=0.01)
    assert report["datum"] == datum
    assert report["stored_datum"] == "egm96"
    assert grid.sigma_m > 10.0
    assert any("brought to EGM96 by PROJ" in note for note in report["notes"])


def test_without_the_grids_egm2008_costs_sigma(tmp_path: Path) -> None:
    """EGM2008 stands for EGM96 with a sigma that covers their difference, and it is told."""
    heights, transform = making.mountains()
    file = making.geotiff(tmp_path / "a.tif", heights, transform, "EPSG:9518")
    report = import_heights(file, HowToRead(sigma_m=4.0), tmp_path)
    assert report["sigma_m"] == pytest.approx(math.hypot(4.0, EGM2008_SIGMA_M), abs=1e-3)
    assert (report["lowest_m"], report["highest_m"]) == (float(heights.min()), float(heights.max()))
    assert any("EGM2008 are taken as over EGM96" in note for note in report["notes"])


@pytest.mark.parametrize(("crs", "name"), [("EPSG:4979", "ellipsoid"), ("EPSG:4326+5703", "NAVD88")])
def test_without_the_grids_others_are_refused(tmp_path: Path, crs: str, name: str) -> None:
    """A height over the ellipsoid is tens of metres off and is never taken as it is: the grid that lacks is named."""
    heights, transform = making.mountains()
    file = making.geotiff(tmp_path / "a.tif", heights, transform, crs)
    with pytest.raises(UserError, match=rf"over {name}.*PROJ lacks .*(\.tif|a way)"):
        import_heights(file, HowToRead(), tmp_path)
    assert not (tmp_path / "terrain").exists()


def test_a_national_datum_is_taken_as_another_only_when_asked(tmp_path: Path) -> None:
    """Heights over NAVD88 fly as EGM96 where the operator says so, and it is noted."""
    heights, transform = making.mountains()
    file = making.geotiff(tmp_path / "a.tif", heights, transform, "EPSG:4326+5703")
    report = import_heights(file, HowToRead(Datum.EGM96), tmp_path)
    assert any("NAVD88" in note and "as asked" in note for note in report["notes"])


def test_the_datum_is_told_once_and_the_same(tmp_path: Path) -> None:
    """Told by nobody, or by file and operator differently, nothing is imported."""
    heights, transform = making.mountains()
    file = making.geotiff(tmp_path / "a.tif", heights, transform, "EPSG:4326")
    with pytest.raises(UserError, match="--datum"):
        import_heights(file, HowToRead(), tmp_path)
    file = making.geotiff(tmp_path / "a.tif", heights, transform, "EPSG:9707")
    with pytest.raises(UserError, match="leave --datum out"):
        import_heights(file, HowToRead(Datum.ELLIPSOID), tmp_path)


@pytest.mark.parametrize(
    ("crs", "name"),
    [
        ("EPSG:4326", None), ("EPSG:32637", None), ("EPSG:9707", "egm96"), ("EPSG:9518", "egm2008"),
        ("EPSG:4979", "ellipsoid"), ("EPSG:32637+5773", "egm96"), ("EPSG:32637+3855", "egm2008"),
        ("EPSG:4326+6360", "NAVD88 height (ftUS)"),
    ],
)  # fmt: skip
def test_what_a_coordinate_system_tells(crs: str, name: str | None) -> None:
    """Compound, three-dimensional and horizontal systems say which surface their heights are over, and in what unit."""
    told = vertical_told(pyproj.CRS.from_user_input(crs))
    assert (told.name if told else None) == name
    if told is not None:
        assert told.unit_m == pytest.approx(1200 / 3937 if "ftUS" in told.name else 1.0)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_older_files_tell_their_datum_too(tmp_path: Path, version: str) -> None:
    """GDAL hides the vertical part of GeoTIFF 1.0 by itself; it is read all the same."""
    heights, transform = making.mountains()
    file = making.geotiff(tmp_path / "a.tif", heights, transform, "EPSG:9518", GEOTIFF_VERSION=version)
    assert import_heights(file, HowToRead(), tmp_path)["datum"] == "egm2008"


def test_names_of_units() -> None:
    """Metres and both feet by the names that files give them; another is not guessed."""
    assert [unit_told(name) for name in ("m", "Metre", "ft", "US survey foot", "us-ft", "")] == [
        1.0, 1.0, 0.3048, 1200 / 3937, 1200 / 3937, None
    ]  # fmt: skip
    assert math.isnan(unit_told("fathom") or 0.0)
