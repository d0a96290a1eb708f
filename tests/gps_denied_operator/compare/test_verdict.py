"""Whether noise is called noise and a change a change, over ten flights, over one, and with no frames at hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import orjson
import pytest

from gps_denied_operator.compare.judge import Comparison, compare, noise_of
from gps_denied_operator.compare.page import sentence
from gps_denied_operator.compare.sides import read_any
from tests.gps_denied_operator.compare.conftest import FIX_SIGMA_M, Write, errors_m


def compared(a: Path, b: Path) -> Comparison:
    return compare(read_any(a, None), read_any(b, None))


def jittered(seed: int, errors: np.ndarray) -> np.ndarray:
    """The same flight with a little noise of its own."""
    return errors + np.random.default_rng(1000 + seed).normal(0.0, 0.05, errors.shape)


def test_a_repeated_run_is_the_same(write_result: Write) -> None:
    """The same result twice differs in nothing, and its intervals hold nothing but zero."""
    found = compared(write_result("a"), write_result("b"))
    assert (found.better, found.worse, len(found.pairs)) == ((), (), 10)
    assert "error_m.median" in found.same
    assert found.told()["figures"]["error_m.p95"]["interval_95"] == [0.0, 0.0]


def test_noise_is_not_called_progress(write_result: Write) -> None:
    """A run whose errors are others of the same size is the same, though every figure moved."""
    found = compared(write_result("a"), write_result("b", change=lambda seed, e: errors_m(seed + 500, len(e))))
    assert (found.better, found.worse) == ((), ())
    assert found.figures["error_m.median"].a != found.figures["error_m.median"].b


def test_a_tenth_worse_over_ten_flights_is_worse(write_result: Write) -> None:
    """Errors a tenth larger, with noise of their own, are called worse, and the other way round better."""
    a, b = write_result("a"), write_result("b", change=lambda seed, e: jittered(seed, 1.1 * e))
    found = compared(a, b)
    assert {"error_m.median", "error_m.p95"} <= set(found.worse)
    assert found.better == ()
    told = found.told()["figures"]["error_m.median"]
    assert told["interval_95"][0] > 0.0
    assert told["difference"] == pytest.approx(told["b"] - told["a"], abs=2e-6)
    back = compared(b, a)
    assert {"error_m.median", "error_m.p95"} <= set(back.better)
    assert back.worse == ()


def test_a_matcher_a_tenth_worse_is_worse_on_ten_short_flights(write_result: Write) -> None:
    """Fixes a tenth worse, too little to be seen in what was fused of them, are told by the fixes' own errors."""
    more_m = FIX_SIGMA_M * math.sqrt(1.1**2 - 1.0)
    a, b = write_result("a", frames=60), write_result("b", change=jittered, frames=60, fixes_m=more_m)
    found = compared(a, b)
    figure = found.figures["fix_error_m.mean"]
    assert 1.04 < figure.b / figure.a < 1.16
    assert "fix_error_m.mean" in found.worse
    assert set(found.worse) <= {"fix_error_m.mean", "fix_error_m.median"}
    assert compared(a, write_result("c", frames=60)).worse == ()


def test_figures_of_a_side_are_those_of_its_result(write_result: Write) -> None:
    """Over the same frames what is compared is what results.json says."""
    a = write_result("a")
    held = orjson.loads((a / "results.json").read_bytes())
    found = compared(a, write_result("b", change=jittered)).figures
    assert found["error_m.p95"].a == pytest.approx(held["error_m"]["p95"], abs=1e-4)
    assert found["within_m.5"].a == pytest.approx(held["within_m"]["5"], abs=1e-6)
    assert found["coverage_95"].a == pytest.approx(held["coverage_95"], abs=1e-6)
    assert found["anchored"].a == held["anchored"]
    assert found["nees_mean"].a == pytest.approx(held["nees_mean"], abs=1e-4)


@pytest.mark.slow
def test_one_flight_has_intervals_by_blocks_of_time(write_result: Write) -> None:
    """One flight alone: frames hang together, so blocks of 30 s are drawn, and it is said what that does not hold."""
    a = write_result("a", range(1), frames=600)
    found = compared(a, write_result("b", range(1), jittered, 600))
    assert (found.unit, found.units) == ("block of 30 s", 20)
    assert found.worse == ()
    assert any("how much flights differ is not known" in note for note in found.notes)
    low, high = found.told()["figures"]["error_m.median"]["interval_95"]
    assert low < high
    doubled = compared(a, write_result("c", range(1), lambda _seed, e: 2.0 * e, 600))
    assert "error_m.median" in doubled.worse


def test_one_short_flight_has_no_interval(write_result: Write) -> None:
    """Where there are too few blocks nothing is judged: the interval is null, and that is said."""
    found = compared(write_result("a", range(1), frames=30), write_result("b", range(1), lambda _s, e: 3.0 * e, 30))
    assert found.told()["figures"]["error_m.median"]["interval_95"] is None
    assert found.worse == ()
    assert "cannot be told" in sentence(found)[1]
    assert any("not known" in note for note in found.notes)


def test_without_frames_the_flights_own_figures_are_compared(write_result: Write) -> None:
    """results.json alone is enough for a verdict, and it is said that its figures are means of the flights'."""
    a = write_result("a", with_frames=False)
    found = compared(a, write_result("b", change=lambda seed, e: jittered(seed, 1.1 * e), with_frames=False))
    assert "error_m.median" in found.worse
    assert any("mean of the flights' own" in note for note in found.notes)


def test_a_coverage_beyond_its_promise_is_no_loss(write_result: Write) -> None:
    """Smaller errors under the same ellipses are better, and nothing that follows from them is called worse."""
    found = compared(write_result("a"), write_result("b", change=lambda _seed, e: 0.5 * e))
    assert "error_m.median" in found.better
    assert found.worse == ()


def test_a_few_hazardous_frames_are_pointed_at(write_result: Write) -> None:
    """What is too rare for a verdict is told all the same where it is a danger."""

    def far_once(seed: int, errors: np.ndarray) -> np.ndarray:
        out = errors.copy()
        if seed == 4:
            out[7] = (200.0, 0.0)
        return out

    found = compared(write_result("a"), write_result("b", change=far_once))
    assert "hazardous" in found.same
    assert any("'hazardous' (1, A 0)" in note for note in found.notes)


def test_the_noise_of_one_result_holds_its_own_figures(write_result: Write) -> None:
    """A result alone: each figure lies inside what other such flights would give, which is more than nothing."""
    found = noise_of(read_any(write_result("a"), None))
    assert {"error_m.median", "coverage_95", "anchored"} <= found.keys()
    for name in ("error_m.median", "error_m.p95"):
        low, high = found[name].low, found[name].high
        assert low is not None
        assert high is not None
        assert low < found[name].b < high
