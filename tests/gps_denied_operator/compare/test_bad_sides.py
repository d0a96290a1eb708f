"""Results that do not fit together, are empty, cut off or made by a stranger: said, never a traceback."""

from __future__ import annotations

import math
from pathlib import Path

import orjson
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.compare.judge import compare
from gps_denied_operator.compare.page import comparison_page
from gps_denied_operator.compare.sides import read_any
from tests.gps_denied_operator.compare.conftest import Write


def notes_of(a: Path, b: Path) -> str:
    return " ".join(compare(read_any(a, None), read_any(b, None)).notes)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"flights": []}, "holds no flight"),
        ({"flights": 7}, "must be a list"),
        ({"flights": [7]}, "must be an object"),
        ({"evaluation": "flights", "flights": [{"title": "x", "seed": 1}] * 2}, "twice"),
        ({"configuration": "mine"}, "must be an object"),
    ],
)
def test_a_result_of_another_shape(write_result: Write, more: dict[str, object], said: str) -> None:
    """What is no result of an evaluation is named in a sentence."""
    with pytest.raises(UserError, match=said):
        read_any(write_result("a", range(1), more=more), None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"), (b'{"flights": [{"title": "cru', "not JSON"), (b'{"flights": NaN}', "NaN is no number"),
        (b"[1]", "must be an object"), (b"{}", "no result of"), (b"[" * 9000, "deep"), (b"\xff\xfe", "UTF-8"),
    ],
)  # fmt: skip
def test_a_broken_results_file(tmp_path: Path, data: bytes, said: str) -> None:
    """Empty, truncated, not finite, not an object, nested for ever: one sentence."""
    (tmp_path / "results.json").write_bytes(data)
    with pytest.raises(UserError, match=said):
        read_any(tmp_path, None)


def test_flights_in_common_are_needed(write_result: Write) -> None:
    """Other seeds or another scenario: what each has is told; some in common: the others are left out, and said."""
    a, b = write_result("a", range(3)), write_result("b", range(3, 6))
    with pytest.raises(UserError, match=r"no flight in common \(A: cruise, seed 0, 2 min.* B: cruise, seed 3"):
        notes_of(a, b)
    assert "1 of 3 flights of A are not in the other" in notes_of(a, write_result("c", range(1, 5)))


def test_other_lengths_are_other_flights(write_result: Write) -> None:
    """The same seed flown for another time is no pair."""
    b = write_result("b", range(2))
    held = orjson.loads((b / "results.json").read_bytes())
    held["flights"] = [{**flight, "minutes": 5.0} for flight in held["flights"]]
    (b / "results.json").write_bytes(orjson.dumps(held))
    with pytest.raises(UserError, match="no flight in common"):
        notes_of(write_result("a", range(2)), b)


def test_other_versions_and_simulators_are_said(write_result: Write) -> None:
    """Another commit, an unnamed configuration, other cores are notes, not silence."""
    b = write_result("b", range(3), more={"commit": "fedcba987654", "cores": 64, "configuration": None})
    held = orjson.loads((b / "results.json").read_bytes())
    held["flights"] = [{**flight, "simulator": "s2"} for flight in held["flights"]]
    (b / "results.json").write_bytes(orjson.dumps(held))
    notes = notes_of(write_result("a", range(3)), b)
    for said in ("different versions: A 0123456789ab", "simulators differ", "64: times", "does not name its config"):
        assert said in notes


def test_frames_that_are_cut_off_are_not_taken_for_all(write_result: Write) -> None:
    """A truncated frames.csv is said, and the flights' own figures are compared instead."""
    a, b = write_result("a", range(3)), write_result("b", range(3))
    whole = (b / "frames.csv").read_bytes()
    (b / "frames.csv").write_bytes(whole[: len(whole) * 3 // 4])
    notes = notes_of(a, b)
    assert "frames of 'cruise, seed 2', not all" in notes
    assert "Without the frames of both" in notes


def test_frames_of_another_run_are_not_believed(write_result: Write) -> None:
    """Where frames.csv has other errors than results.json tells, that is said and the frames are left out."""
    a, b = write_result("a", range(3)), write_result("b", range(3))
    other = write_result("other", range(3), lambda _seed, errors: 2.0 * errors)
    (b / "frames.csv").write_bytes((other / "frames.csv").read_bytes())
    found = compare(read_any(a, None), read_any(b, None))
    assert "tell different errors of 'cruise, seed 0'" in " ".join(found.notes)
    assert found.figures["error_m.median"].a == found.figures["error_m.median"].b


def test_numbers_that_are_none_are_left_out(write_result: Write) -> None:
    """NaN, infinities and text in frames.csv are counted, left out and make no figure NaN."""
    a, b = write_result("a", range(3)), write_result("b", range(3))
    lines = (b / "frames.csv").read_text().splitlines()
    header = lines[0].split(",")
    for number, word in ((5, "nan"), (6, "inf"), (7, "much")):
        cells = lines[number].split(",")
        cells[header.index("error_m") + 1] = word  # the title holds a comma
        lines[number] = ",".join(cells)
    (b / "frames.csv").write_text("\n".join(lines) + "\n")
    found = compare(read_any(a, None), read_any(b, None))
    assert "3 values of frames.csv are no numbers" in " ".join(found.notes)
    assert all(math.isfinite(one.b) for one in found.figures.values())


def test_foreign_words_cannot_write_on_the_page(write_result: Write) -> None:
    """Titles, commits and configurations of a stranger are text on the page, whatever they hold."""
    word = "<script>alert(1)</script>\x1b[31m"
    b = write_result("b", range(2), more={"commit": word, "configuration": {word: word}})
    page = comparison_page(compare(read_any(write_result("a", range(2)), None), read_any(b, None)))
    assert "<script" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    """A missing path and a folder without a result, segments or positions are told what would do."""
    with pytest.raises(UserError, match="does not exist"):
        read_any(tmp_path / "nowhere", None)
    with pytest.raises(UserError, match="is neither a result"):
        read_any(tmp_path, None)
