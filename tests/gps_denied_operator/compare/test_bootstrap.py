"""The intervals themselves: as wide as the noise is, equal to NumPy where nothing is drawn, honest with few units."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_operator.compare.bootstrap import Statistic, difference, percentile, ratio, stand_together
from gps_denied_operator.compare.judge import block_rows
from tests.gps_denied_operator.compare.conftest import errors_m

ONCE = np.ones((1, 10), dtype=np.int64)


def flights(first: int) -> list[np.ndarray]:
    """Return the errors of ten flights, each 120 frames."""
    return [np.hypot(*errors_m(first + k, 120).T) for k in range(10)]


def some_figures(errors: list[np.ndarray]) -> list[Statistic]:
    counts = [float(len(one)) for one in errors]
    shares = [ratio([float((one <= limit).sum()) for one in errors], counts) for limit in (1.0, 2.0, 4.0)]
    return [*(percentile(errors, percent) for percent in (50, 90, 95)), *shares]


def test_a_percentile_is_that_of_numpy() -> None:
    """Drawn once each, and with one unit drawn thrice, it is NumPy's of the values that were drawn."""
    errors = flights(0)
    errors[3][5:9] = np.nan
    told = np.concatenate(errors)
    for percent in (0, 37.5, 50, 95, 100):
        found = percentile(errors, percent)
        assert found(ONCE)[0] == pytest.approx(np.nanpercentile(told, percent))
        drawn = np.array([[3, 0, 1, 0, 0, 0, 0, 0, 2, 0]])
        again = np.concatenate([*[errors[0]] * 3, errors[2], *[errors[8]] * 2])
        assert found(drawn)[0] == pytest.approx(np.nanpercentile(again, percent))


@pytest.mark.slow
def test_noise_alone_is_rarely_more_than_noise() -> None:
    """Of forty pairs of sets of equal flights, intervals hold zero about 95 times in a hundred, and with six figures
    looked at together hardly any pair is told apart."""
    inside = looked_at = apart = 0
    for trial in range(40):
        a, b = (some_figures(flights(10_000 + 40 * trial + shift)) for shift in (0, 20))
        found = [difference(one, other, 10, paired=True, draws=300) for one, other in zip(a, b, strict=True)]
        inside += sum(d.low <= 0.0 <= d.high for d in found if d.low is not None and d.high is not None)
        looked_at += len(found)
        apart += any(stand_together([d.p for d in found if d.p is not None]))
    assert inside / looked_at > 0.88
    assert apart <= 5


def test_two_flights_promise_little() -> None:
    """Two units that agree by chance are no proof: the interval is many times their spread."""
    found = difference(ratio([1.0, 1.0]), ratio([2.0, 2.4]), 2, paired=True)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 4.0
    assert found.p is not None
    assert found.p > 0.05


def test_one_unit_has_no_interval() -> None:
    """Of one unit the difference is known, its noise is not."""
    found = difference(ratio([1.0]), ratio([2.0]), 1, paired=True)
    assert (found.a, found.b, found.low, found.high, found.p) == (1.0, 2.0, None, None, None)


def test_the_same_every_time() -> None:
    """Draws are seeded: two calls give the same interval."""
    a, b = some_figures(flights(0))[0], some_figures(flights(50))[0]
    assert difference(a, b, 10, paired=True) == difference(a, b, 10, paired=True)


def test_several_looks_ask_for_more() -> None:
    """One figure in fifty at 1 % is chance; one at a ten-thousandth is not; several that move together stand sooner."""
    assert stand_together([0.01, *[0.5] * 49]) == [False] * 50
    assert stand_together([0.5, 0.0001, 0.9]) == [False, True, False]
    assert stand_together([0.02, 0.02, 0.02, 0.5]) == [True, True, True, False]
    assert stand_together([]) == []


def test_blocks_are_long_and_full_enough() -> None:
    """Blocks are 30 s long and hold five frames; a short rest goes to the last one; no frame is lost."""
    for t_s, count in ((np.arange(300.0), 10), (np.arange(0.0, 300.0, 10.0), 6), (np.arange(95.0), 3)):
        blocks = block_rows(t_s, 30.0)
        assert len(blocks) == count
        assert sorted(np.concatenate(blocks).tolist()) == list(range(len(t_s)))
