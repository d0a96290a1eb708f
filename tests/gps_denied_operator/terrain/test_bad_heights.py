"""Heights that are wrong are found out at import or told: place, unit, datum, holes, damage, nonsense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from gps_denied_onboard.errors import UserError
from gps_denied_operator.terrain.datum import Datum, Unit
from gps_denied_operator.terrain.importer import HowToRead, import_heights
from gps_denied_operator.terrain.library import mission_heights

from . import making

BOX = (-84.30, 36.55, -84.20, 36.65)
PLANE = from_origin(740_000.0, 4_060_000.0, 30.0, 30.0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store that holds heights of the same place as those below."""
    heights, transform = making.mountains()
    import_heights(making.geotiff(tmp_path / "good.tif", heights, transform), HowToRead(), tmp_path / "store")
    return tmp_path / "store"


def test_of_another_place(tmp_path: Path) -> None:
    """Heights of another country give a mission none."""
    heights, _ = making.mountains()
    other = making.geotiff(tmp_path / "a.tif", heights, from_origin(10.0, 50.0, 0.001, 0.001))
    import_heights(other, HowToRead(), tmp_path)
    assert mission_heights(tmp_path, BOX) is None
    with pytest.raises(UserError, match="nothing of --bbox"):
        import_heights(other, HowToRead(bbox_deg=BOX), tmp_path)


def test_of_another_planet(tmp_path: Path) -> None:
    """Heights on the ellipsoid of Mars, which no projection leads to a place on earth, are refused."""
    heights, transform = making.mountains()
    mars = making.geotiff(tmp_path / "a.tif", heights, transform, "+proj=longlat +a=3396190 +b=3376200 +no_defs")
    with pytest.raises(UserError, match=r"does not lead to latitude and longitude.*gdal_edit"):
        import_heights(mars, HowToRead(datum=Datum.EGM96, unit=Unit.METRE), tmp_path)


def test_feet_for_metres(tmp_path: Path, store: Path) -> None:
    """Feet without a unit are refused by what is stored already; above the highest summit, by themselves."""
    heights, transform = making.mountains()
    feet = np.round(heights / 0.3048).astype(np.int16)
    file = making.geotiff(tmp_path / "feet.tif", feet, transform, "EPSG:4326")
    with pytest.raises(UserError, match=r"look like feet.*--unit ft"):
        import_heights(file, HowToRead(datum=Datum.EGM96), store)
    with rasterio.open(file, "r+") as dataset:
        dataset.units = ("ft",)
    report = import_heights(file, HowToRead(datum=Datum.EGM96), store)
    assert abs(report["highest_m"] - float(heights.max())) < 0.2
    alps = making.geotiff(tmp_path / "alps.tif", feet + np.int16(8000), transform)
    with pytest.raises(UserError, match="--unit ft"):
        import_heights(alps, HowToRead(), tmp_path / "other")


def test_places_in_feet_without_a_unit_of_height(tmp_path: Path) -> None:
    """A state plane in feet whose heights have no unit is warned of."""
    heights, _ = making.mountains()
    file = making.geotiff(tmp_path / "a.tif", heights, from_origin(2_500_000.0, 700_000.0, 100.0, 100.0), "EPSG:2274")
    report = import_heights(file, HowToRead(datum=Datum.EGM96), tmp_path)
    assert any("places are in feet" in note for note in report["notes"])


@pytest.mark.parametrize(("shift_m", "told"), [(15, False), (60, True)])
def test_a_wrong_datum_is_told(tmp_path: Path, store: Path, shift_m: int, told: bool) -> None:
    """Heights that lie 60 m above those stored are noted: datum, unit or place of one is wrong. 15 m are no wonder."""
    heights, transform = making.mountains()
    file = making.geotiff(tmp_path / "shifted.tif", heights + np.int16(shift_m), transform)
    report = import_heights(file, HowToRead(), store)
    assert any("check datum" in note for note in report["notes"]) is told


def test_a_unit_that_is_nonsense(tmp_path: Path) -> None:
    """Fathoms are asked about; two units that differ are refused."""
    heights, transform = making.mountains()
    file = making.geotiff(tmp_path / "a.tif", heights, transform, unit="fathom")
    with pytest.raises(UserError, match=r"'fathom'.*--unit"):
        import_heights(file, HowToRead(), tmp_path)
    file = making.geotiff(tmp_path / "b.tif", heights, transform, unit="m")
    with pytest.raises(UserError, match=r"0\.3048 m"):
        import_heights(file, HowToRead(unit=Unit.FOOT), tmp_path)


@pytest.mark.parametrize("void", [-9999.0, -32768.0, 32767.0, np.nan, np.inf, -np.inf, -3.4028235e38])
def test_what_stands_for_no_height(tmp_path: Path, void: float) -> None:
    """Undeclared voids, NaN and infinity are holes, not depths, and they do not smear into what is near."""
    heights = np.full((200, 200), 300.0, dtype=np.float32)
    heights[50:80, 60:90] = void
    file = making.geotiff(tmp_path / "a.tif", heights, PLANE, "EPSG:32616")
    report = import_heights(file, HowToRead(datum=Datum.EGM96), tmp_path)
    assert (report["lowest_m"], report["highest_m"]) == (300.0, 300.0)
    assert 0.02 < report["holes_share"] < 0.10
    if np.isfinite(void) or np.isinf(void):
        assert any("holes" in note for note in report["notes"])


@pytest.mark.parametrize("level", [-600.0, 9500.0, 1e6])
def test_heights_beyond_the_earth(tmp_path: Path, level: float) -> None:
    """A raster with ground where there is none on earth is refused, with its range."""
    heights = np.full((200, 200), 300.0, dtype=np.float32)
    heights[50, 50] = level
    file = making.geotiff(tmp_path / "a.tif", heights, PLANE, "EPSG:32616")
    with pytest.raises(UserError, match="ground on earth lies between"):
        import_heights(file, HowToRead(datum=Datum.EGM96), tmp_path)


def test_a_hole_is_counted(tmp_path: Path) -> None:
    """A mission over a hole has its share told; one over nothing else has no heights."""
    heights, transform = making.mountains()
    wide = heights.astype(np.float32)
    wide[150:200, 150:200] = -1.0
    import_heights(making.geotiff(tmp_path / "a.tif", wide, transform, nodata=-1.0), HowToRead(), tmp_path)
    found = mission_heights(tmp_path, BOX)
    assert found is not None
    assert 0.02 < found.holes_share < 0.3
    assert "without a height" in found.told
    west, north = transform @ (160, 160)
    assert mission_heights(tmp_path, (west, north - 0.01, west + 0.01, north)) is None


@pytest.mark.parametrize("kind", ["truncated", "empty", "hgt short", "hgt unnamed", "text", "no place", "8 bit", "rgb"])
def test_damaged_and_other_files(tmp_path: Path, kind: str) -> None:
    """What is truncated, empty, unnamed, a picture or no raster at all is one sentence, and nothing is stored."""
    heights, transform = making.mountains()
    path = making.geotiff(tmp_path / "a.tif", heights, transform)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-30_000])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "hgt short":
        path = tmp_path / "N36W085.hgt"
        path.write_bytes(b"\0" * 1_000_000)
    elif kind == "hgt unnamed":
        path = making.hgt(tmp_path / "heights.hgt", np.zeros((1201, 1201)))
    elif kind == "text":
        path.write_text("ncols 3\nnrows 3\n")
    elif kind == "no place":
        with rasterio.open(path, "w", driver="GTiff", height=9, width=9, count=1, dtype="int16") as file:
            file.write(heights[:9, :9], 1)
    elif kind == "8 bit":
        path = making.geotiff(path, (heights // 8).astype(np.uint8), transform)
    else:
        with rasterio.open(
            path, "w", driver="GTiff", height=9, width=9, count=3, dtype="uint8", crs="EPSG:4326", transform=transform
        ) as file:
            file.write(np.zeros((3, 9, 9), dtype=np.uint8))
    with pytest.raises(UserError):
        import_heights(path, HowToRead(datum=Datum.EGM96), tmp_path / "store")
    assert not (tmp_path / "store" / "terrain").exists()


def test_a_huge_claim(tmp_path: Path) -> None:
    """A sparse raster that claims more posts than an import may have is refused before a pixel is read."""
    path = tmp_path / "huge.tif"
    profile: dict[str, Any] = {"height": 60_000, "width": 60_000, "count": 1, "dtype": "int16", "tiled": True}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:4326", transform=from_origin(0.0, 60.0, 0.001, 0.001),
        sparse_ok=True, blockxsize=512, blockysize=512, **profile,
    ):  # fmt: skip
        pass
    with pytest.raises(UserError, match=r"posts|pixels"):
        import_heights(path, HowToRead(datum=Datum.EGM96), tmp_path)
