"""What was imported is kept, and cut to a mission without a loss that is not told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.grid_heights import grid_heights_amsl_m
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.tiles.terrain_file import POSTS_MAX, parse_terrain
from gps_denied_operator.terrain.importer import HowToRead, import_heights
from gps_denied_operator.terrain.library import keep_heights, mission_heights, remove_heights, stored_heights

from . import making

BOX = (-84.30, 36.55, -84.20, 36.65)


def test_a_mission_gets_the_posts_of_its_file(tmp_path: Path) -> None:
    """Heights of one file are copied, not interpolated; the margin of 2 km around the box is there."""
    heights, transform = making.mountains()
    import_heights(making.geotiff(tmp_path / "a.tif", heights, transform), HowToRead(sigma_m=7.0), tmp_path)
    found = mission_heights(tmp_path, BOX)
    assert found is not None
    grid = parse_terrain(found.data, "it")
    row, column = (
        round(v)
        for v in ((grid.south_deg - 36.44667) / grid.step_lat_deg, (grid.west_deg + 84.41333) / grid.step_lon_deg)
    )
    rows, columns = grid.heights_amsl_m.shape
    np.testing.assert_array_equal(grid.heights_amsl_m, heights[::-1][row : row + rows, column : column + columns])
    assert BOX[1] - grid.south_deg > 2000.0 / 111_195
    assert (grid.west_deg + (columns - 1) * grid.step_lon_deg - BOX[2]) * np.cos(np.radians(36.6)) > 2000.0 / 111_195
    assert (grid.sigma_m, found.holes_share) == (7.0, 0.0)


def test_the_surer_heights_win_and_others_fill_their_holes(tmp_path: Path) -> None:
    """Of two imports the one of the smaller sigma is taken; where it has a hole the other is, with its sigma."""
    flat = np.full((400, 400), 100.0, dtype="<f4")
    sure = flat.copy()
    sure[190:210, 190:210] = np.nan
    about: dict[str, object] = {}
    keep_heights(tmp_path, "sure", TerrainGrid(36.4, -84.45, 0.001, 0.001, sure, 3.0), about)
    keep_heights(tmp_path, "rough", TerrainGrid(36.4, -84.45, 0.001, 0.001, flat + 5.0, 9.0), about)
    found = mission_heights(tmp_path, BOX)
    assert found is not None
    at = grid_heights_amsl_m(found.grid, np.array([36.6, 36.56]), np.array([-84.25, -84.29]))
    assert at.tolist() == [105.0, 100.0]
    assert (found.names, found.grid.sigma_m, found.holes_share) == (("sure", "rough"), 9.0, 0.0)


def test_two_sheets_meet_without_a_seam(tmp_path: Path) -> None:
    """Between the last column of one raster and the first of the next no posts are lost."""
    heights, transform = making.mountains()
    left = making.geotiff(tmp_path / "left.tif", heights[:, :200], transform)
    shifted = transform @ transform.translation(200, 0)
    right = making.geotiff(tmp_path / "right.tif", heights[:, 200:], shifted)
    for file in (left, right):
        import_heights(file, HowToRead(), tmp_path)
    found = mission_heights(tmp_path, BOX)
    assert found is not None
    assert len(found.names) == 2
    assert not np.isnan(found.grid.heights_amsl_m).any()


@pytest.mark.slow
def test_400_square_kilometres_are_30_megabytes_at_most(tmp_path: Path) -> None:
    """The finest posts that are kept, with the margin around 20 x 20 km, fit into what a cache may cost."""
    heights = np.full((12_200, 12_200), 250.0, dtype=np.float32)  # 2 m a pixel
    file = making.geotiff(
        tmp_path / "a.tif", heights, making.from_origin(500_000.0, 5_424_400.0, 2.0, 2.0), "EPSG:32637+5773",
        compress="zstd",
    )  # fmt: skip
    report = import_heights(file, HowToRead(), tmp_path)
    assert 8.9 < report["step_m"] < 12.0
    box = (39.0281, 48.7600, 39.0281 + 20.0 / 73.3, 48.7600 + 20.0 / 111.2)
    found = mission_heights(tmp_path, box)
    assert found is not None
    assert found.holes_share == 0.0
    assert len(found.data) <= 30_000_000


def test_a_large_mission_gets_coarser_posts_and_says_what_that_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file would be too large every second post is taken, and the sigma grows by what that loses."""
    heights, transform = making.mountains()
    import_heights(making.geotiff(tmp_path / "a.tif", heights, transform), HowToRead(sigma_m=7.0), tmp_path)
    fine = mission_heights(tmp_path, BOX)
    monkeypatch.setattr("gps_denied_operator.terrain.library.POSTS_MAX", 10_000)
    coarse = mission_heights(tmp_path, BOX)
    assert POSTS_MAX > 10_000
    assert fine is not None
    assert coarse is not None
    assert coarse.grid.heights_amsl_m.size <= 10_000 < fine.grid.heights_amsl_m.size
    rng = np.random.default_rng(8)
    latitudes, longitudes = rng.uniform(BOX[1], BOX[3], 4000), rng.uniform(BOX[0], BOX[2], 4000)
    rough, true = (grid_heights_amsl_m(one.grid, latitudes, longitudes) for one in (coarse, fine))
    assert coarse.grid.sigma_m**2 - 49.0 > float(np.mean((rough - true) ** 2))
    assert coarse.grid.sigma_m < 30.0


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    """A second import is no work; another sigma replaces the first; after `remove` nothing is left."""
    heights, transform = making.mountains()
    file = making.geotiff(tmp_path / "a.tif", heights, transform)
    outcomes = [import_heights(file, HowToRead(sigma_m=sigma), tmp_path)["outcome"] for sigma in (10.0, 10.0, 5.0)]
    assert outcomes == ["success", "idempotent_no_op", "success"]
    (one,) = stored_heights(tmp_path)
    assert one.grid.sigma_m == 5.0
    with pytest.raises(UserError, match="no heights 'other'"):
        remove_heights(tmp_path, "other")
    with pytest.raises(UserError, match="no heights"):
        remove_heights(tmp_path, "../terrain/" + one.name)
    remove_heights(tmp_path, one.name)
    assert stored_heights(tmp_path) == []
    assert list((tmp_path / "terrain").iterdir()) == []


@pytest.mark.parametrize("damage", ["grid", "notes", "no notes"])
def test_damaged_imports_are_named(tmp_path: Path, damage: str) -> None:
    """A stored import that is truncated, or whose notes are gone, is named with what to do."""
    heights, transform = making.mountains()
    name = import_heights(making.geotiff(tmp_path / "a.tif", heights, transform), HowToRead(), tmp_path)["name"]
    file, notes = (tmp_path / "terrain" / f"{name}.{suffix}" for suffix in ("grid", "json"))
    if damage == "grid":
        file.write_bytes(file.read_bytes()[:5000])
    elif damage == "notes":
        notes.write_text("[1")
    else:
        notes.unlink()
    with pytest.raises(UserError, match="import"):
        mission_heights(tmp_path, BOX)


def test_the_same_heights_give_the_same_file(tmp_path: Path) -> None:
    """A mission's file is the same to the byte, so that a cache that has it is not built again."""
    heights, transform = making.mountains()
    import_heights(making.geotiff(tmp_path / "a.tif", heights, transform), HowToRead(), tmp_path)
    first, second = (mission_heights(tmp_path, BOX) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.data == second.data
    assert dataclasses.replace(first, grid=second.grid).told == second.told
