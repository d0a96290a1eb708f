"""Solution separation: the state against what it would be without one of its sources; pure.

ARAIM (Blanch et al., "Baseline advanced RAIM user algorithm and possible improvements", IEEE TAES 51, 2015): a fault of
one source is in every solution but the one without it. So the distance of that solution, which has an expected spread,
finds the source that lies, and distance and spread together bound the error while it is not found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.integrity.state_health_config import StateHealthConfig
from gps_denied_onboard.messages import FloatArray, SubsetSolution

CERTAIN_RATIO = 4.0 / 3.0
"""From here on a source lies for certain: see `covering`."""


@dataclass(frozen=True, slots=True)
class Separation:
    """One subset against all: `ratio` is the distance over what is expected of it (1: at the limit)."""

    solution: SubsetSolution
    distance_m: float
    ratio: float


def separations(
    position_en_m: FloatArray, covariance_m2: FloatArray, subsets: Sequence[SubsetSolution], config: StateHealthConfig
) -> tuple[Separation, ...]:
    """How far each subset's position is from `position_en_m` (2,), whose covariance is `covariance_m2` (2, 2)."""
    return tuple(_one(position_en_m, covariance_m2, subset, config) for subset in subsets)


def _one(position: FloatArray, covariance: FloatArray, subset: SubsetSolution, config: StateHealthConfig) -> Separation:
    apart = subset.position_en_m - position
    distance_m = float(np.linalg.norm(apart))
    if distance_m < 1e-6:
        return Separation(subset, distance_m, 0.0)
    axis = apart / distance_m
    # The subset uses less, so its covariance exceeds the other's by that of the difference.
    variance = float(axis @ (subset.covariance_m2 - covariance) @ axis)
    least = config.separation_floor_m**2 + 0.2 * float(axis @ covariance @ axis)
    return Separation(subset, distance_m, distance_m / (config.separation_sigmas * math.sqrt(max(variance, least))))


def covering(position_en_m: FloatArray, covariance_m2: FloatArray, found: Sequence[Separation]) -> FloatArray:
    """(2, 2) covariance that holds the subsets which are further away than expected: one of the sources lies, and as
    long as nothing tells which, the true position may be where any of them says.

    It grows from nothing at the limit to all at CERTAIN_RATIO, so that a separation at the limit does not flicker.
    """
    out = covariance_m2
    for separation in found:
        share = min(max(3.0 * (separation.ratio - 1.0), 0.0), 1.0)
        if share == 0.0:
            continue
        apart = separation.solution.position_en_m - position_en_m
        more = 0.25 * np.outer(apart, apart) + separation.solution.covariance_m2 - covariance_m2
        values, vectors = np.linalg.eigh(more)
        more = (vectors * np.maximum(values, 0.0)) @ vectors.T
        candidate = covariance_m2 + share * more
        if np.trace(candidate) > np.trace(out):
            out = candidate
    return out


def protection_level_m(
    position_en_m: FloatArray, covariance_m2: FloatArray, subsets: Sequence[SubsetSolution], config: StateHealthConfig
) -> float:
    """Radius that the true position leaves with the risks of the configuration: without a fault, and with any one
    source at fault, when the solution without it is right and its distance is known."""
    moment = config.integrity_risk_per_hour / config.independent_per_hour
    level = math.sqrt(-2.0 * math.log(moment)) * _sigma_m(covariance_m2)
    factor = math.sqrt(-2.0 * math.log(config.fault_risk))
    for subset in subsets:
        distance_m = float(np.linalg.norm(subset.position_en_m - position_en_m))
        level = max(level, distance_m + factor * _sigma_m(subset.covariance_m2))
    return min(level, config.protection_m_max)


def _sigma_m(covariance_m2: FloatArray) -> float:
    return math.sqrt(max(float(np.linalg.eigvalsh(covariance_m2)[-1]), 0.0))
