"""How likely it is that a place found on the map is the wrong one. Pure.

A place that was looked at has features: how many patches agree, how surprising that is, how they score. Two
distributions of them, over right and over wrong places, give a log-likelihood ratio; a logistic model of a few
monotone features is that ratio, up to a constant (Berkson; Hastie, Tibshirani and Friedman, "The Elements of
Statistical Learning", 4.4). Its numbers are fitted by tools/fit_evidence.py: see _docs/evidence.md.

Of all places that a search proposed at most one is right. With the prior that one of them is, and each of them as
likely, the probability that the best one is wrong follows from their ratios by Bayes' rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gps_denied_onboard.geometry.rotations import image_up_yaw, rotation_z

if TYPE_CHECKING:
    from gps_denied_onboard.localisation.matching.map_projector import PassResult
    from gps_denied_onboard.localisation.plane_pose import PoseSolution
    from gps_denied_onboard.messages import CameraPrior, FloatArray, PlaceCandidate

HEIGHT_SIGMA_MIN = 0.03
"""Of the height: what a picture tells of it is no better (one sigma of relief and tilt)."""
HEIGHT_SIGMAS_UNKNOWN = 1.0
"""Of a height of which nothing is known: as right and wrong places have it alike."""
TRIED_SHARE = 0.5
"""Of the log of how many more places a search compared than those of the fit: with 12 times as many (the heading not
known) what wrong places show rises by 0.6 to 1.5 and not by 2.5, as few are looked at. See _docs/evidence.md."""
LOG_RATIO_MAX = 40.0
"""No sum of features is believed beyond this: exp(40) is more than all places on Earth."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A log-likelihood ratio as a sum: `bias`, and for each feature of `names` its weight times its value, which
    counts only within its `low` and `high`: beyond what the fit has seen nothing more is learned."""

    bias: float
    names: tuple[str, ...]
    weights: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def ceiling(self, features: Mapping[str, float]) -> float:
        """The highest that the ratio could still become, features that are missing yet being the best that counts."""
        ranges = zip(self.names, self.weights, self.low, self.high, strict=True)
        best = {name: high if weight > 0.0 else low for name, weight, low, high in ranges}
        return self.log_ratio({**best, **features})

    def log_ratio(self, features: Mapping[str, float]) -> float:
        """Log-likelihood ratio of right against wrong. KeyError for a feature that is missing."""
        total = self.bias
        for name, weight, low, high in zip(self.names, self.weights, self.low, self.high, strict=True):
            total += weight * min(max(features[name], low), high)
        return max(-LOG_RATIO_MAX, min(LOG_RATIO_MAX, total))


@dataclass(frozen=True, slots=True)
class EvidenceModel:
    """`first` judges a place by the first pass alone, `both` by the first and the refining pass. The fit's searches
    tried up to `tried` independent places, and what a search proposes is the best of those: more are held against it.
    Of the right places the share `ahead` was the best of its search. Hardly a wrong place (1e-4 of them) shows a log
    ratio of more than `alike`; one that looks alike goes on looking alike along the way.
    """

    first: Terms
    both: Terms
    tried: float
    ahead: float
    alike: float

    def prior_log_odds(self, right_among: float, rank: int, proposed: int, tried: float) -> float:
        """Log odds, before any look, of the place of `rank` among the `proposed` ones being right, against none of them
        being so, where one of them is with probability `right_among`."""
        share = 1.0 if proposed <= 1 else self.ahead if rank == 0 else (1.0 - self.ahead) / (proposed - 1)
        more = TRIED_SHARE * math.log(max(tried / self.tried, 1.0))
        return math.log(right_among / (1.0 - right_among)) + math.log(share) - more


def prior_density(off_en_m: FloatArray, prior: CameraPrior, place_sigma_m: float) -> float:
    """How many times likelier than in a search that holds all places alike (1) a place is, `off_en_m` (2,) from the
    state's and itself known to `place_sigma_m`: where the state is in doubt it is the state's own place, or any one of
    the square of 3 sigma that is searched."""
    if prior.state_covariance_en_m2 is None:
        return 1.0
    covariance = prior.state_covariance_en_m2 + np.eye(2) * place_sigma_m**2
    alike_m2 = (6.0 * prior.horizontal_sigma_m) ** 2
    over = alike_m2 / (2.0 * math.pi * math.sqrt(float(np.linalg.det(covariance))))
    at_state = over * math.exp(-0.5 * float(off_en_m @ np.linalg.solve(covariance, off_en_m)))
    return prior.state_probability * at_state + 1.0 - prior.state_probability


def first_features(first: PassResult) -> dict[str, float]:
    """What the first pass says of a place, however it was found."""
    agreeing, attempted = len(first.matches.quality), max(first.matches.attempted, 1)
    return {
        "log_agreeing": math.log(agreeing),
        "agreeing_ratio": agreeing / attempted,
        "agreeing_of_good": agreeing / max(first.good, 1),
        "surprise": surprise(agreeing, first.good, first.chance),
        "score": first.score,
        "shift_cells": first.shift_cells,
    }


def second_features(second: PassResult, solution: PoseSolution, size_px: tuple[int, int]) -> dict[str, float]:
    """What the refining pass under the first one's pose adds."""
    inliers = int(np.count_nonzero(solution.inlier))
    attempted = max(second.matches.attempted, 1)
    pixel = second.matches.pixel_px[solution.inlier]
    return {
        "second_log_inliers": math.log(max(inliers, 1)),
        "second_ratio": inliers / attempted,
        "second_of_good": inliers / max(second.good, 1),
        "second_surprise": surprise(len(second.matches.quality), second.good, second.chance),
        "second_score": second.score,
        "second_shift_cells": second.shift_cells,
        "spread": float(min(pixel.std(axis=0) / size_px)) if inliers else 0.0,
        "residual_cells": solution.rms_m / max(second.matches.map_gsd_m, 1e-6),
    }


def prior_features(
    place: PlaceCandidate, solution: PoseSolution, height_m: float, prior: CameraPrior
) -> dict[str, float]:
    """How a solution `height_m` above the ground agrees with what was known, and how the place stood out: in a window
    around a known position there is less to stand out from than on a whole map. Tilts are compared under the
    solution's heading: a camera that is known to lean leans with it, whatever the heading was thought to be."""
    found, expected = solution.rotation_camera_to_enu, prior.rotation_camera_to_enu
    turned = rotation_z(image_up_yaw(found) - image_up_yaw(expected)) @ expected
    relative = prior.height_sigma_m / prior.height_m
    off = abs(math.log(max(height_m, 1.0) / prior.height_m)) / max(relative, HEIGHT_SIGMA_MIN)
    return {
        "log_margin": 0.0 if prior.position_known else math.log(max(place.margin, 1.0)),
        "window_log_margin": math.log(max(place.margin, 1.0)) if prior.position_known else 0.0,
        "tilt_off_rad": math.acos(max(-1.0, min(1.0, float(found[:, 2] @ turned[:, 2])))),
        "height_sigmas": HEIGHT_SIGMAS_UNKNOWN if relative >= 1.0 else off,
    }


def surprise(agreeing: int, good: int, chance: float) -> float:
    """Square root of the log of how much less likely it is that so many matches agree by chance than as expected.

    The exponent of Chernoff's bound on a Poisson count, as in a-contrario matching (Moisan and Stival 2004).
    """
    expected = good * chance
    if not expected > 0.0 or agreeing <= expected:
        return 0.0
    return math.sqrt(agreeing * math.log(agreeing / expected) - (agreeing - expected))


def wrong_probability(best: float, others: Sequence[float] = ()) -> float:
    """Probability that the best place is the wrong one: that none is right, or another one of those looked at.

    `best` and `others` are log odds against none being right: prior and log-likelihood ratio together.
    """
    return 1.0 / (1.0 + math.exp(min(best - float(np.logaddexp.reduce([0.0, *others])), 700.0)))
