"""`operator-tool compare` as people and tools call it: JSON with fixed keys, exit codes, the page with both tracks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gps_denied_onboard.messages import NavState
from gps_denied_onboard.recorder.navlog import navstate_line
from gps_denied_operator.cli import app
from tests.gps_denied_operator.compare.conftest import Write, errors_m


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


@pytest.mark.slow
def test_worse_ends_with_three_and_both_tracks_on_a_page(write_result: Write, tmp_path: Path) -> None:
    """B's errors are half as large again: exit code 3, the fixed keys, one page with the tracks and both hashes."""
    a, b = write_result("a"), write_result("b", change=lambda _seed, e: 1.5 * e)
    done = run(a, b, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 3, done.output
    told = json.loads(done.stdout)
    assert {"better", "worse", "same", "figures"} <= told.keys()
    assert set(told["better"]) | set(told["worse"]) | set(told["same"]) | set(told["not_judged"]) == set(
        told["figures"]
    )
    assert all(set(one) == {"a", "b", "difference", "interval_95"} for one in told["figures"].values())
    assert told["a"]["configuration_sha256"] == told["b"]["configuration_sha256"]
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == told
    page = (tmp_path / "out" / "report.html").read_text()
    assert "B is worse over 10 flights" in page
    assert page.count('aria-label="tracks of A and B and the truth') == 2 * 10  # for a laptop and for a phone
    assert told["a"]["configuration_sha256"][:12] in page
    assert "<script" not in page
    assert run(b, a).exit_code == 0


def test_the_same_ends_with_zero(write_result: Write) -> None:
    """A repeated run: exit code 0, and people read that nothing differs beyond noise."""
    done = run(write_result("a", range(3)), write_result("b", range(3)))
    assert done.exit_code == 0, done.output
    assert "B is the same as A over 3 flights" in done.stdout


def test_other_configurations_are_shown(write_result: Write) -> None:
    """What was configured differently is listed by key."""
    b = write_result("b", range(2))
    held = json.loads((b / "results.json").read_text())
    held["configuration"]["matching"]["inlier_cells"] = 9.5
    (b / "results.json").write_text(json.dumps(held))
    told = json.loads(run(write_result("a", range(2)), b, "--json").stdout)
    assert [(one["key"], one["b"]) for one in told["configuration_differences"]] == [("matching.inlier_cells", 9.5)]
    assert any("changed by hand" in note for note in told["notes"])


def states(make_state: Any, errors: np.ndarray) -> list[NavState]:
    """Positions at 10 Hz along a line, off by the errors."""
    places = [np.array([2.0 * k + e[0], e[1], 400.0]) for k, e in enumerate(errors)]
    return [make_state(1_000_000_000 + 100_000_000 * k, place) for k, place in enumerate(places)]


@pytest.fixture
def replays(tmp_path: Path, make_state: Any, origin: Any) -> tuple[Path, Path, Path]:
    """Return two replays of 120 s, the second with errors three times as large, and the truth as a CSV."""
    errors = np.repeat(errors_m(3, 120), 10, axis=0)
    out = []
    for name, factor in (("a", 1.0), ("b", 3.0)):
        (tmp_path / name).mkdir()
        lines = b"".join(navstate_line(state) for state in states(make_state, factor * errors))
        (tmp_path / name / "navstate.jsonl").write_bytes(lines + b'{"t_ns": 5, "latitude_deg"\n')
        out.append(tmp_path / name)
    rows = ["t_s,latitude_deg,longitude_deg"]
    for k in range(len(errors)):
        latitude, longitude, _ = origin.geodetic_from_enu(np.array([2.0 * k, 0.0, 400.0]))
        rows.append(f"{k / 10.0:.1f},{float(latitude):.9f},{float(longitude):.9f}")
    (tmp_path / "truth.csv").write_text("\n".join(rows) + "\n")
    return out[0], out[1], tmp_path / "truth.csv"


def test_two_flights_are_compared_frame_by_frame(replays: tuple[Path, Path, Path]) -> None:
    """Against the truth the larger errors are worse, by blocks of the one flight; a line that is cut off is told."""
    a, b, truth = replays
    done = run(a, b, "--truth", truth, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 3
    assert "error_m.median" in told["worse"]
    assert told["figures"]["error_m.median"]["b"] == pytest.approx(
        3.0 * told["figures"]["error_m.median"]["a"], rel=0.01
    )
    assert told["unit"] == "block of 12 s"
    assert any("1 lines of navstate.jsonl are no position" in note for note in told["notes"])


def test_without_truth_nothing_is_called_worse_that_needs_it(replays: tuple[Path, Path, Path]) -> None:
    """How far the two are apart is told, who is right is not known, and that is said."""
    done = run(replays[0], replays[1], "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["worse"]) == (0, [])
    assert told["figures"]["apart_m.median"]["b"] > 0.5
    assert any("truth is not known" in note for note in told["notes"])


def test_flights_of_other_times_are_refused(replays: tuple[Path, Path, Path], make_state: Any) -> None:
    """Two flights that share no moment are no pair: one sentence, exit code 2 by the program's own."""
    late = b"".join(navstate_line(make_state(10**15 + k * 10**8, np.array([0.0, 0.0, 400.0]))) for k in range(20))
    (replays[1] / "navstate.jsonl").write_bytes(late)
    done = run(replays[0], replays[1])
    assert "no frame in common" in str(done.exception)
