"""Solutions without one source against the one with all."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gps_denied_onboard.integrity.separation import covering, protection_level_m, separations
from gps_denied_onboard.integrity.state_health_config import StateHealthConfig
from gps_denied_onboard.messages import ExcludedSource, FloatArray, SubsetSolution

CONFIG = StateHealthConfig()
HERE = np.array([100.0, -40.0])
OWN = np.diag([9.0, 9.0])


def subset(east_m: float, sigma_m: float, without: ExcludedSource = ExcludedSource.ODOMETRY) -> SubsetSolution:
    return SubsetSolution(without, HERE + np.array([east_m, 0.0]), np.eye(2) * sigma_m**2)


def major_95_m(covariance: FloatArray) -> float:
    return math.sqrt(5.991 * float(np.linalg.eigvalsh(covariance)[-1]))


def test_a_separation_within_its_spread_changes_nothing() -> None:
    """The spread is that of the difference: the subset's covariance less the whole's."""
    (found,) = separations(HERE, OWN, [subset(11.9, 5.0)], CONFIG)
    assert found.ratio == pytest.approx(11.9 / (3.0 * 4.0))
    assert np.array_equal(covering(HERE, OWN, [found]), OWN)


def test_a_source_that_lies_makes_the_ellipse_hold_both() -> None:
    """Beyond its spread the other solution and its own ellipse are within ours."""
    found = separations(HERE, OWN, [subset(60.0, 5.0)], CONFIG)
    wide = covering(HERE, OWN, found)
    assert major_95_m(wide) > 60.0 + 5.0
    assert np.linalg.eigvalsh(wide)[0] >= 9.0 - 1e-9  # and never smaller in any direction


def test_it_grows_from_the_limit_without_a_step() -> None:
    """A separation at its limit does not make the ellipse flicker."""
    at, above = (covering(HERE, OWN, separations(HERE, OWN, [subset(m, 5.0)], CONFIG)) for m in (12.0, 12.01))
    assert major_95_m(above) - major_95_m(at) < 0.1


def test_the_same_position_has_no_separation() -> None:
    """Nothing is divided by nothing."""
    (found,) = separations(HERE, OWN, [SubsetSolution(ExcludedSource.MAP, HERE.copy(), OWN)], CONFIG)
    assert (found.distance_m, found.ratio) == (0.0, 0.0)


def test_a_subset_that_claims_more_than_the_whole_is_held_to_a_floor() -> None:
    """Two filters are never quite nested: a covariance that is too small does not make each metre a lie."""
    (found,) = separations(HERE, OWN, [subset(3.0, 2.0)], CONFIG)
    assert found.ratio < 1.0


def test_protection_without_a_fault_follows_from_the_risk() -> None:
    """1e-4 an hour over 60 independent errors an hour: the Rayleigh radius of one sigma."""
    expected = math.sqrt(-2.0 * math.log(1e-4 / 60.0)) * 3.0
    assert protection_level_m(HERE, OWN, [], CONFIG) == pytest.approx(expected)


@pytest.mark.parametrize("without", list(ExcludedSource))
def test_protection_holds_when_any_one_source_lies(without: ExcludedSource) -> None:
    """Whichever source is at fault, the true position is within the level but for the risk of a fault (seeded)."""
    rng = np.random.default_rng(7)
    other = subset(50.0, 8.0, without)
    level_m = protection_level_m(HERE, OWN, [other], CONFIG)
    truth = other.position_en_m + rng.standard_normal((200_000, 2)) * 8.0
    outside = np.mean(np.linalg.norm(truth - HERE, axis=1) > level_m)
    assert outside <= CONFIG.fault_risk
    assert level_m < 50.0 + 4.0 * 8.0


def test_protection_is_bounded() -> None:
    """A number that a float of the telemetry can hold, whatever the covariance."""
    assert protection_level_m(HERE, OWN * 1e30, [], CONFIG) == CONFIG.protection_m_max
