"""The fit of the evidence claims of places that it has not seen no more than they show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.localisation.evidence_table import CLASSIC

from .programs import load_program

SIGNS = [1, -1]


@pytest.fixture(scope="module")
def fitting() -> ModuleType:
    return load_program("fit_evidence")


def places(fitting: ModuleType, wrong: int = 600, sets: int = 6) -> Any:
    """Places of several sets: wrong ones about 0 in the first feature, right ones about 4; the second tells nothing."""
    rng = np.random.default_rng(7)
    right = np.arange(wrong * 3 // 2) >= wrong
    x = rng.standard_normal((len(right), 2))
    x[right, 0] += 4.0
    group = np.array([f"set {k}" for k in rng.integers(sets, size=len(right))])
    key = [(name, "map", k, False, 0) for k, name in enumerate(group)]
    return fitting.Data(x, right, group, np.full(len(right), "map"), key)


def test_a_set_never_judges_itself(fitting: ModuleType) -> None:
    """What is said of a set's places does not change when its own labels are turned round."""
    data = places(fitting)
    chosen = data.group == "set 2"
    turned = replace(data, right=data.right ^ chosen)
    before, after = (fitting.held_out(one, SIGNS, 1.0) for one in (data, turned))
    assert before[chosen].tolist() == after[chosen].tolist()
    assert before[~chosen].tolist() != after[~chosen].tolist()


def test_wrong_places_claim_no_more_than_they_may(fitting: ModuleType) -> None:
    """A log ratio of r or more is shown by no more wrong places than exp(-r) of them, while right ones show it."""
    data = places(fitting, wrong=3000)
    ratio = fitting.held_out(data, SIGNS, 1.0)
    for least in (3.0, 4.0, 5.0):
        wrong = ratio[~data.right] >= least
        assert wrong.mean() <= 1.5 * np.exp(-least)
    assert (ratio[data.right] >= 5.0).mean() > 0.3


def test_a_feature_that_tells_nothing_hardly_counts(fitting: ModuleType) -> None:
    """The weight of noise is a small part of that of what tells right from wrong."""
    data = places(fitting, wrong=3000)
    _, weights, _, _ = fitting.fit(data, SIGNS, 1.0, np.ones(len(data.right), bool))
    assert abs(weights[1]) < 0.1 * weights[0]


def test_wrong_fixes_of_looks_are_counted(fitting: ModuleType) -> None:
    """Of one look on its own map and one on another, both with a place that is surely right by its ratio, one fix is
    found and one is wrong."""
    key = [("a", "a", 1, False, 0), ("a", "b", 1, False, 0)]
    data = fitting.Data(np.zeros((2, 1)), np.array([True, False]), np.array(["a", "a"]), np.array(["a", "b"]), key)
    sure = np.array([20.0, 20.0])
    told = fitting.decided(data, sure, data, sure, 0.9)
    assert told[-2:] == ["| on their own map, 1 | 1 | 1 | 0 |", "| on the map of another place, 1 | 0 | 0 | 1 |"]


def test_the_committed_table_judges_new_places(fitting: ModuleType, tmp_path: Path) -> None:
    """A place on another map with all that speaks for it counts as a wrong fix, one with nothing does not."""
    terms = CLASSIC.both
    of = (terms.names, terms.weights, terms.low, terms.high)
    best = {n: h if w > 0.0 else low for n, w, low, h in zip(*of, strict=True)}
    worst = {n: low if w > 0.0 else h for n, w, low, h in zip(*of, strict=True)}
    told = {"set": "a", "map": "b", "near": False, "rank": 0, "off": -1.0, "right": False, "log_height": 0.0}
    path = tmp_path / "places.jsonl"
    path.write_text("".join(json.dumps(told | {"frame": k, "features": f}) + "\n" for k, f in enumerate((best, worst))))
    report = fitting.judged_by_table([path])
    assert report[-1] == "| on the map of another place, 2 | 0 | 0 | 1 |"


def test_what_wrong_places_show_is_where_their_tail_is_as_thin_as_the_bound(fitting: ModuleType) -> None:
    """Of exponential log ratios with a mean of 0.8 hardly one in ten thousand passes it, none of those seen."""
    ratios = np.random.default_rng(5).exponential(0.8, 3000)
    level = fitting.shown_at_most(ratios)
    assert level >= ratios.max()
    assert -0.8 * np.log(1e-4) * 0.85 < level < -0.8 * np.log(1e-4) * 1.3
