"""From log-likelihood ratios to the probability that a place is the wrong one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_onboard.localisation.evidence import EvidenceModel, Terms, surprise, wrong_probability
from gps_denied_onboard.localisation.evidence_table import CLASSIC

NOTHING = Terms(0.0, (), (), (), ())
EVEN = EvidenceModel(NOTHING, NOTHING, 1000.0, 1.0 / 3.0, 3.0)
HALF = math.log(0.5)
STEP = Terms(-1.0, ("agreeing",), (2.0,), (0.0,), (3.0,))


def test_bayes_by_hand() -> None:
    """Two places as likely, one of them right with 0.5: each weighs half its likelihood ratio against none being so."""
    assert wrong_probability(HALF + math.log(8.0), [HALF + math.log(2.0)]) == pytest.approx(2.0 / 6.0)


def test_a_claim_is_the_frequency() -> None:
    """Of places drawn from known distributions the share that is wrong is what was claimed."""
    rng = np.random.default_rng(5)
    claimed, wrong = [], []
    for _ in range(4000):
        seen, right = rng.normal(0.0, 1.0, 3), int(rng.integers(6))  # 3 to 5: none of the three
        if right < 3:
            seen[right] += 3.0
        ratios = 3.0 * seen - 4.5  # log of N(3, 1) over N(0, 1)
        best = int(np.argmax(ratios))
        odds = [float(ratio) + EVEN.prior_log_odds(0.5, k, 3, 1.0) for k, ratio in enumerate(ratios)]
        claimed.append(wrong_probability(odds.pop(best), odds))
        wrong.append(best != right)
    claims, were = np.array(claimed), np.array(wrong)
    for low, high in ((0.0, 0.05), (0.05, 0.5), (0.5, 1.0)):
        inside = (claims >= low) & (claims < high)
        assert inside.sum() > 100
        assert were[inside].mean() == pytest.approx(claims[inside].mean(), abs=0.05)


def test_more_tried_is_held_against_it() -> None:
    """Beyond what the fit's searches tried, a hundred times as many make each a tenth as likely, as wrong places of
    wider searches show that much more; fewer change nothing."""
    assert EVEN.prior_log_odds(0.5, 0, 1, 1000.0) == 0.0
    assert EVEN.prior_log_odds(0.5, 0, 1, 100_000.0) == pytest.approx(-math.log(10.0))
    assert EVEN.prior_log_odds(0.5, 0, 1, 10.0) == EVEN.prior_log_odds(0.5, 0, 1, 1000.0)


def test_the_first_of_a_search_is_likelier() -> None:
    """The prior of all proposed places together is that one of them is right, and the first has its fitted share."""
    model = EvidenceModel(NOTHING, NOTHING, 1000.0, 0.7, 3.0)
    odds = [math.exp(model.prior_log_odds(0.8, rank, 4, 1.0)) for rank in range(4)]
    assert sum(odds) == pytest.approx(4.0)
    assert odds[0] == pytest.approx(0.7 * 4.0)


@pytest.mark.parametrize(("value", "ratio"), [(1.0, 1.0), (-5.0, -1.0), (3.0, 5.0), (90.0, 5.0)])
def test_a_feature_counts_within_its_range(value: float, ratio: float) -> None:
    """Beyond what the fit has seen a feature says no more."""
    assert STEP.log_ratio({"agreeing": value}) == ratio


def test_the_ceiling_takes_the_best_of_what_is_missing() -> None:
    """With nothing known the highest ratio, with all known the ratio itself."""
    assert STEP.ceiling({}) == 5.0
    assert STEP.ceiling({"agreeing": 1.0}) == STEP.log_ratio({"agreeing": 1.0})


def test_surprise_grows_with_agreement_only() -> None:
    """None where no more agree than by chance; more where more of as many agree; none where chance is not known."""
    assert surprise(3, 100, 0.03) == 0.0
    assert 0.0 < surprise(5, 100, 0.03) < surprise(9, 100, 0.03)
    assert surprise(9, 300, 0.03) < surprise(9, 100, 0.03)
    assert surprise(9, 100, math.nan) == 0.0


@pytest.mark.parametrize("terms", [CLASSIC.first, CLASSIC.both])
def test_the_table_is_monotone(terms: Terms) -> None:
    """In the committed fit agreement never speaks against a place, nor disagreement with what is known for it."""
    against = {"tilt_off_rad", "height_sigmas", "shift_cells", "second_shift_cells"}
    for name, weight, low, high in zip(terms.names, terms.weights, terms.low, terms.high, strict=True):
        assert (weight <= 0.0) if name in against else (weight >= 0.0)
        assert low < high
    assert terms.ceiling({}) > 9.2  # else nothing could be surer than 1e-4
