"""Results of `evaluate campaign` as sides: figures are those that the results themselves tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from gps_denied_operator.compare.judge import compare
from gps_denied_operator.compare.results import read_side
from gps_denied_operator.evaluate.campaign import blackout_figures
from gps_denied_operator.evaluate.campaign_score import BlackoutScore

NAME = "blackout-5s.inside_95"


def write_campaign(folder: Path, leave_out: str = "") -> dict[str, Any]:
    """Write a result of three flights with two blackouts each; of the second the error is below the longer axis and
    outside the ellipse. Gives the figures of the blackouts."""
    scores = [
        BlackoutScore(5.0, 100.0, None, None, True, True, 0.0, None, 900.0, error_m, 20.0, inside, 0, flight=flight)
        for flight in range(3)
        for error_m, inside in ((8.0, True), (15.0, False))
    ]
    figures = blackout_figures(scores)
    for each in figures["each"]:
        each.pop(leave_out, None)
    folder.mkdir()
    (folder / "results.json").write_bytes(
        orjson.dumps({"evaluation": "campaign", "minutes": 10.0, "blackout-5s": figures})
    )
    return figures


def test_ellipse_of_a_blackout_counts_as_the_result_tells(tmp_path: Path) -> None:
    """An error across a narrow ellipse is outside of it, though below its longer axis."""
    told = write_campaign(tmp_path / "a")["inside_95"]
    write_campaign(tmp_path / "b")
    found = compare(read_side(tmp_path / "a"), read_side(tmp_path / "b"))
    assert (found.figures[NAME].a, found.figures[NAME].b) == (told, told) == (3, 3)
    assert NAME in found.same


def test_earlier_result_without_it_is_not_compared_in_it(tmp_path: Path) -> None:
    """Earlier versions counted otherwise, so the figure is left out, and that is said."""
    write_campaign(tmp_path / "a", leave_out="inside_95")
    write_campaign(tmp_path / "b")
    found = compare(read_side(tmp_path / "a"), read_side(tmp_path / "b"))
    assert NAME not in found.figures
    assert any(note.startswith("A: does not say which blackouts") for note in found.notes)
    assert "blackout-5s.error_m.median" in found.same
