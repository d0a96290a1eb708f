"""Intervals of differences by the bootstrap: whole units are drawn again, the same for both sides; pure.

A unit is a flight, or where there is one flight only a block of its time: neighbouring frames err alike, so that single
frames would promise far too much. Percentile intervals of few units are too narrow; they are widened to what the
t-distribution asks for (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", expanded intervals).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from gps_denied_onboard.messages import FloatArray
from gps_denied_operator.compare.model import IntArray

UNITS_MIN = 2
DRAWS = 4000
DRAWS_LARGE, LARGE_VALUES = 1000, 100_000
"""Fewer draws where a percentile has so many values."""
NORMAL_95 = 1.959963984540054
SEED = 20_210

Statistic = Callable[[IntArray], FloatArray]
"""(R, n) how often each of n units was drawn -> (R,) the figure of each draw; NaN where it is of nothing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """B minus A: `low` and `high` bound 95 % of what other units would have given, None where that is not known;
    `p` is how often noise alone would give as much, None likewise."""

    a: float
    b: float
    low: float | None
    high: float | None
    p: float | None


def ratio(above: Sequence[float], below: Sequence[float] | None = None) -> Statistic:
    """The sum of a unit's number over all units, divided by the sum of another where one is given."""
    top = np.asarray(above, dtype=float)
    if below is None:
        return lambda drawn: np.asarray(drawn @ top, dtype=float)
    base = np.asarray(below, dtype=float)

    def figure(drawn: IntArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = (drawn @ top) / (drawn @ base)
        return np.where(np.isfinite(shares), shares, np.nan)

    return figure


def nothing(drawn: IntArray) -> FloatArray:
    """A figure that is 0 whatever is drawn."""
    return np.zeros(len(drawn))


def percentile(values: Sequence[FloatArray], percent: float) -> Statistic:
    """A percentile of all units' values together, linear between values as everywhere; NaN values do not count."""
    units = np.concatenate([np.full(len(own), k) for k, own in enumerate(values)]) if values else np.zeros(0, int)
    together = np.concatenate([*values]) if values else np.zeros(0)
    kept = np.isfinite(together)
    order = np.argsort(together[kept], kind="stable")
    ordered, owner = together[kept][order], units[kept][order].astype(int)

    def one(times: IntArray) -> float:
        reached = np.cumsum(times[owner])
        count = int(reached[-1]) if len(reached) else 0
        if count == 0:
            return math.nan
        place = (count - 1) * percent / 100.0
        low, high = np.searchsorted(reached, [math.floor(place), math.ceil(place)], side="right")
        return float(ordered[low] + (ordered[high] - ordered[low]) * (place - math.floor(place)))

    return lambda drawn: np.array([one(times) for times in drawn])


def difference(
    a: Statistic, b: Statistic, units: int, *, paired: bool, draws: int = DRAWS,
    judged: Callable[[FloatArray], FloatArray] = lambda values: values,
) -> Difference:  # fmt: skip
    """The difference of a figure. units: how many each of A and B has; paired: they are the same ones, drawn
    together.

    `judged` maps a figure to what counts of it, for `p` alone.
    """
    rng = np.random.default_rng(SEED)
    of_all = np.ones((1, units), dtype=np.int64)
    at_a, at_b = float(a(of_all)[0]), float(b(of_all)[0])
    if units < UNITS_MIN or not (math.isfinite(at_a) and math.isfinite(at_b)):
        return Difference(at_a, at_b, None, None, None)
    drawn_a = rng.multinomial(units, np.full(units, 1.0 / units), size=draws)
    drawn_b = drawn_a if paired else rng.multinomial(units, np.full(units, 1.0 / units), size=draws)
    of_a, of_b = a(drawn_a), b(drawn_b)
    spread = of_b - of_a
    known = np.isfinite(spread)
    if known.sum() < draws / 2:
        return Difference(at_a, at_b, None, None, None)
    wider = math.sqrt(units / (units - 1.0)) * float(special.stdtrit(units - 1, 0.975)) / NORMAL_95
    apart = at_b - at_a
    low, high = np.percentile(spread[known], [2.5, 97.5])
    counted = float(judged(np.array([at_b]))[0] - judged(np.array([at_a]))[0])
    noise = judged(of_b[known]) - judged(of_a[known])
    return Difference(
        at_a, at_b, apart + wider * min(float(low) - apart, 0.0), apart + wider * max(float(high) - apart, 0.0),
        _chance(counted, float(np.std(noise)), units),
    )  # fmt: skip


def _chance(apart: float, sigma: float, units: int) -> float:
    """Two-sided, by the t-distribution; where all units differ by the same, that of so many equal signs."""
    if apart == 0.0:
        return 1.0
    sigma *= math.sqrt(units / (units - 1.0))
    if sigma <= 1e-12 * abs(apart):
        return float(2.0 ** (1 - units))
    return float(2.0 * special.stdtr(units - 1, -abs(apart) / sigma))


def stand_together(chances: Sequence[float], level: float = 0.05) -> list[bool]:
    """Which of several chances stand when all are looked at together: with twenty figures one is out by noise.

    Benjamini and Hochberg 1995: where nothing changed anything stands in `level` of the cases, and figures that move
    together, as errors do, need not each be beyond doubt alone.
    """
    if not chances:
        return []
    from scipy import stats  # half a second of imports, for this alone

    return [bool(one <= level) for one in stats.false_discovery_control(np.asarray(chances), method="bh")]
