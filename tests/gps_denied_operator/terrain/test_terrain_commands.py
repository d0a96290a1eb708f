"""`operator-tool terrain` from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gps_denied_onboard.errors import UserError
from gps_denied_operator.cli import app

from . import making


def told(*arguments: str) -> Any:
    done = CliRunner().invoke(app, ["terrain", *arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_import_show_remove(tmp_path: Path) -> None:
    """What is imported is shown with box, posts, datum, sigma, lowest, highest and holes, and can be removed."""
    heights, transform = making.mountains()
    first = making.geotiff(tmp_path / "a.tif", heights[:, :200], transform)
    second = making.hgt(tmp_path / "N36W085.hgt", making.np.full((1201, 1201), 300))
    store = ("--store", str(tmp_path / "store"))
    done = told("import", str(first), str(second), *store, "--sigma-m", "6")
    assert done["outcome"] == "success"
    assert [one["outcome"] for one in done["imported"]] == ["success", "success"]
    assert told("import", str(first), *store, "--sigma-m", "6")["outcome"] == "idempotent_no_op"
    shown = told("show", *store)
    assert shown["store"] == str(tmp_path / "store")
    one = next(one for one in shown["heights"] if one["file"] == str(first))
    assert set(one) == {
        "name", "file", "kind", "datum", "stored_datum", "unit", "notes", "box_deg", "rows", "columns", "step_m",
        "sigma_m", "lowest_m", "highest_m", "holes_share",
    }  # fmt: skip
    assert (one["rows"], one["columns"], one["datum"], one["sigma_m"]) == (344, 200, "egm96", 6.0)
    assert (one["lowest_m"], one["highest_m"]) == (float(heights[:, :200].min()), float(heights[:, :200].max()))
    plain = CliRunner().invoke(app, ["terrain", "show", *store])
    assert "posts every 92.66 m" in plain.stdout
    assert told("remove", one["name"], *store)["removed"] == one["name"]
    assert len(told("show", *store)["heights"]) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("--datum", "wgs84"), ("--unit", "km"), ("--bbox", "1,2,3"), ("--bbox", "1,2,0,3"), ("--sigma-m", "0"),
     ("--sigma-m", "nan"), ("--sigma-m", "500"), ("--rows", "up")],
)  # fmt: skip
def test_wrong_options_are_refused(tmp_path: Path, option: str, value: str) -> None:
    """An option that makes no sense is one sentence that says what to give; nothing is read."""
    with pytest.raises(UserError, match="give"):
        CliRunner().invoke(
            app, ["terrain", "import", str(tmp_path / "a.tif"), "--store", str(tmp_path), option, value],
            catch_exceptions=False,
        )  # fmt: skip


def test_nothing_there(tmp_path: Path) -> None:
    """Without heights `show` says how to get some; a file that is not there is named."""
    assert "terrain import" in CliRunner().invoke(app, ["terrain", "show", "--store", str(tmp_path)]).stdout
    with pytest.raises(UserError, match="not there"):
        CliRunner().invoke(
            app, ["terrain", "import", str(tmp_path / "none.tif"), "--store", str(tmp_path)], catch_exceptions=False
        )
