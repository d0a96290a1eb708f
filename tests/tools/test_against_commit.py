"""The page that holds an earlier commit against this tree says what was flown and what `compare` made of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

import pytest

from gps_denied_onboard.recorder.output_folder import MARKER_FILE
from gps_denied_operator.compare.bootstrap import Difference
from gps_denied_operator.compare.judge import Comparison
from gps_denied_operator.compare.model import Side, SourceKind

from .programs import load_program


@pytest.fixture(scope="module")
def against_commit() -> ModuleType:
    """Return the program's module, which lies in no package."""
    return load_program("against_commit")


def test_the_table_tells_each_figure_with_its_judgement(against_commit: ModuleType) -> None:
    """Both values, the difference with its interval, the verdict; figures that are not there have no row."""
    side = Side(Path("x"), SourceKind.FLIGHTS, ())
    found = Comparison(
        side, side, (), {"error_m.median": Difference(4.0, 2.5, -2.0, -1.0, 0.001)}, ("error_m.median",), (), (), (),
        "flights", 10,
    )  # fmt: skip
    asked = argparse.Namespace(commit="abc1234", out=Path("p.md"), seeds="0-9", minutes=2.0, scenario="cruise")
    page = against_commit.page(found, ("abc1234", "def5678"), asked, 2)
    assert "| `error_m.median` | 4 | 2.5 | -1.5 | -2 to -1 | better |" in page
    assert "--seeds 0-9 --minutes 2 --scenario cruise` on 2 cores" in page
    assert page.count("| `") == 1


def test_recordings_are_given_under_the_earlier_trees_names(
    against_commit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording keeps its flight's name and takes the earlier simulator's hash; its files are there."""
    made = tmp_path / "now" / "recordings" / "cruise-2min-seed3-aaaaaaaaaaaa"
    kept = tmp_path / "then" / "recordings"
    made.mkdir(parents=True)
    (tmp_path / "now" / MARKER_FILE).write_bytes(b"{}")
    (made / "telemetry.mcap").write_bytes(b"x")
    monkeypatch.setattr(against_commit, "python", lambda *_: "bbbbbbbbbbbb\n")
    against_commit.give_recordings(made.parent, tmp_path, kept)
    assert (kept / "cruise-2min-seed3-bbbbbbbbbbbb" / "telemetry.mcap").read_bytes() == b"x"
    assert (tmp_path / "then" / MARKER_FILE).read_bytes() == b"{}"
