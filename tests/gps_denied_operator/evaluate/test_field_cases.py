"""Pictures and tables of public reports, from the command to its figures: those that shared/cases makes on the spot."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gps_denied_operator.cli import app

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, case_file: Callable[[str], Path], shared_data: Path
) -> tuple[Path, Path]:
    """Return the folder of what make_photos.py made, and the map that its pictures were cut from."""
    out, ortho = tmp_path_factory.mktemp("cases"), shared_data / "islamabad" / "ortho.tif"
    subprocess.run([sys.executable, str(case_file("make_photos.py")), str(out), str(ortho)], check=True, timeout=300)
    return out, ortho


def evaluated(made: tuple[Path, Path], folder: str, out: Path, *options: str) -> tuple[dict[str, Any], list[float]]:
    """The figures of `evaluate photos`, and the altitude of each picture in metres."""
    photos, ortho = made
    command = ["evaluate", "photos", "--photos", str(photos / folder), "--map", str(ortho), "--out", str(out), "--json"]
    result = CliRunner().invoke(app, [*command, *options])
    assert result.exit_code == 0, result.output
    with (out / "frames.csv").open(newline="") as table:
        altitudes_m = [float(row["altitude_amsl_m"]) for row in csv.DictReader(table)]
    return json.loads((out / "results.json").read_text()), altitudes_m


@pytest.mark.parametrize("folder", ["skydio", "dji", "zoom"])
def test_pictures_of_a_maker_are_placed_by_their_own_attitude(
    folder: str, made: tuple[Path, Path], tmp_path: Path
) -> None:
    """Skydio's three attitudes, DJI's one and a digital zoom: heading, height and view as the maker means them."""
    figures, altitudes_m = evaluated(made, folder, tmp_path / "out", "--heading", "exif", "--height", "exif")
    assert (figures["anchored"], figures["false_anchors"]) == (3, 0)
    assert figures["error_m"]["max"] < 1.0
    assert altitudes_m == pytest.approx([250.0] * 3, abs=1.0)


def test_a_table_in_milliseconds_and_feet_scores_every_picture(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Airdata's table: the row of 100 ms is the truth of that moment, not of 100 s."""
    options = ("--truth", str(made[0] / "airdata.csv"), "--heading", "290", "--height", "250")
    figures, _ = evaluated(made, "air", tmp_path / "out", *options)
    assert (figures["scored"], figures["false_anchors"]) == (5, 0)
    assert figures["error_m"]["max"] < 1.0
