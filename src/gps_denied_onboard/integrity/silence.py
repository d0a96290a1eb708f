"""What it says of the state that a frame matched the map where the state is, or that it did not; pure.

Two hypotheses: the state is near its place, or it is somewhere else. A frame that matches where the state says speaks
for the first. One that does not speaks against it by the probability that frames match at all, which is learned in
flight; but whole stretches match nothing (cloud, forest), so that silence alone convicts a state only when there was
little to vouch for it before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gps_denied_onboard.integrity.state_health_config import StateHealthConfig
from gps_denied_onboard.messages import SAYS_NOTHING, RejectReason

NOT_COUNTED = SAYS_NOTHING | {RejectReason.TILT}
"""Reasons of a fix that say nothing of the place: there was no map, nothing to be seen, or a steep bank."""

CELLS_STEEPNESS = 6.0
"""How steeply the chance to match rises with a frame's map cells: see `StateHealthConfig.cells_known`."""


@dataclass(frozen=True, slots=True)
class SilenceState:
    """`wrong` is the probability that the state is elsewhere, before the present silence; `silent` counts its frames,
    those of the same ground in part. `matched` and `tried` learn how often frames match."""

    wrong: float
    silent: float = 0.0
    matched: float = 0.0
    tried: float = 0.0
    recent: float = 1.0
    travelled_m: float | None = None


def started(config: StateHealthConfig) -> SilenceState:
    """At take-off: an origin that somebody entered."""
    return SilenceState(config.origin_wrong)


def fitted(state: SilenceState, travelled_m: float, footprint_m: float, config: StateHealthConfig) -> SilenceState:
    """After a fix that was accepted where the state is."""
    weight = _weight(state, travelled_m, footprint_m, config)
    wrong = max(state.wrong * config.fix_wrong_factor**weight, config.wrong_floor)
    return replace(
        state,
        wrong=wrong,
        silent=0.0,
        matched=0.98 * state.matched + weight,
        tried=0.98 * state.tried + weight,
        recent=config.match_memory * state.recent + (1.0 - config.match_memory),
        travelled_m=travelled_m,
    )


def unmatched(
    state: SilenceState,
    travelled_m: float,
    footprint_m: float,
    config: StateHealthConfig,
    scale_sigma: float = 0.0,
    cells: float = math.inf,
) -> SilenceState:
    """After a frame that should have matched and did not. `scale_sigma` is of its height above ground, relative; so
    many map `cells` lie along its longer side."""
    shown = _shown(cells, config)
    weight = _weight(state, travelled_m, footprint_m, config) * _seen(scale_sigma, config) * shown
    learns = state.wrong < 1e-2  # where the state itself is in doubt, a miss says nothing of the frames
    return replace(
        state,
        silent=state.silent + weight,
        matched=0.98 * state.matched if learns else state.matched,
        tried=0.98 * state.tried + weight if learns else state.tried,
        recent=config.match_memory**shown * state.recent,
        travelled_m=travelled_m,
    )


def relocated(state: SilenceState, config: StateHealthConfig) -> SilenceState:
    """After the state was set to another place: nothing vouches for it yet but the fixes that did it."""
    return replace(state, wrong=max(config.relocation_wrong, config.wrong_floor), silent=0.0, travelled_m=None)


def probability_wrong(state: SilenceState, config: StateHealthConfig) -> float:
    """That the state is elsewhere, with the present silence counted (Bayes)."""
    p = (state.matched + 3.0 * config.match_probability) / (state.tried + 3.0)
    right = config.blind_share + (1.0 - config.blind_share) * math.pow(1.0 - p, state.silent)
    return state.wrong / (state.wrong + (1.0 - state.wrong) * right)


def elsewhere_sigma_m(state: SilenceState, config: StateHealthConfig) -> float:
    """How far away the state may be if it is elsewhere: the longer nothing is found, the further."""
    frames_to_limit = math.log(config.silence_sigma_m_max / config.silence_sigma_m) / math.log(config.silence_growth)
    if state.silent >= frames_to_limit:  # hours of silence would overflow the power
        return config.silence_sigma_m_max
    return config.silence_sigma_m * math.pow(config.silence_growth, state.silent)


def radius_m(state: SilenceState, risk: float, config: StateHealthConfig) -> float:
    """The radius that a state which is elsewhere leaves with probability `risk`; 0 where being elsewhere is rarer."""
    wrong = probability_wrong(state, config)
    if state.silent <= 0.0 or wrong <= risk:
        return 0.0
    return elsewhere_sigma_m(state, config) * math.sqrt(2.0 * math.log(wrong / risk))


def cloud_variance_m2(state: SilenceState, step_s: float, config: StateHealthConfig) -> float:
    """What a step's displacement may be off by more, each axis, because frames match nothing: the tracks may be on
    cloud, whose motion is its own for some seconds."""
    speed_mps = config.cloud_speed_mps * (1.0 - state.recent) ** 2
    return 2.0 * speed_mps**2 * config.cloud_time_s * step_s


def _seen(scale_sigma: float, config: StateHealthConfig) -> float:
    """How much of a frame's chance to match is left where its scale is not known to a step of the search: low in a
    climb, over ground whose height is known to some metres, hardly any."""
    return min(1.0, config.scale_known / max(scale_sigma, 1e-6)) ** 2


def _shown(cells: float, config: StateHealthConfig) -> float:
    """How much of a frame's chance to match is left with so few map cells: none to speak of soon after take-off."""
    return 1.0 / (1.0 + math.pow(config.cells_known / max(cells, 1.0), CELLS_STEEPNESS))


def _weight(state: SilenceState, travelled_m: float, footprint_m: float, config: StateHealthConfig) -> float:
    if state.travelled_m is None:
        return 1.0
    apart_m = abs(travelled_m - state.travelled_m)
    return min(1.0, apart_m / max(config.independent_share * footprint_m, 1.0))
