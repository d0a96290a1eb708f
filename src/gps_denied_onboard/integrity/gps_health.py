"""Health of the autopilot's own GPS by our state: one sample and what we know of that moment in, a verdict out. Pure.

DEGRADED: the receiver itself is not good (no fix, few satellites, poor accuracy, jamming, silence). SPOOFED: it
contradicts our state or itself, or says so. STABLE_NON_SPOOFED: good, and our state was certain enough to tell, for a
while. UNKNOWN: nothing speaks against it, but nothing could.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.messages import FixType, GpsHealth

JAMMING, SPOOFING = 1, 2
NOWHERE = (0.0, 0.0)
NO_REFERENCE = "no state to compare with"
IN_DOUBT = "our own state is in doubt"
BY_COMPARISON = frozenset({"position", "velocity", "drift"})
"""Faults that only our state says of a GPS."""


@dataclass(frozen=True, slots=True)
class GpsMeasurement:
    """A GPS sample in the local frame: east and north, m and m/s. `utc_ns` and `interference` as in GpsSample."""

    t_ns: int
    position_en_m: tuple[float, float]
    velocity_en_mps: tuple[float, float]
    fix_type: int
    satellites: int
    accuracy_m: float
    utc_ns: int = 0
    interference: int = 0


@dataclass(frozen=True, slots=True)
class Reference:
    """Our state at a claim's time. Covariances are (east-east, east-north, north-north). Only a `trusted` one, healthy
    and anchored by map fixes, says anything of a GPS."""

    position_en_m: tuple[float, float]
    velocity_en_mps: tuple[float, float]
    position_covariance_m2: tuple[float, float, float]
    velocity_covariance_m2ps2: tuple[float, float, float]
    trusted: bool = True

    @property
    def sigma_m(self) -> float:
        """One sigma of the position along its worst direction."""
        return math.sqrt(max(_largest_eigenvalue(self.position_covariance_m2), 0.0))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Claim minus reference: innovations, their variances along east and north, and ratios to the gates (1: at it)."""

    position_en_m: tuple[float, float]
    velocity_en_mps: tuple[float, float]
    position_variance_m2: tuple[float, float]
    velocity_variance_m2ps2: tuple[float, float]
    position_ratio: float
    velocity_ratio: float
    drift_ratio: float


@dataclass(frozen=True, slots=True)
class HealthState:
    """What is remembered of a GPS.

    `mean_en_m` is the slow mean of its distance from our state, `creep_en_mps` of how much faster its position moves
    than its own velocity says. Counters are of consecutive samples; `good_since_ns` None: not good now.
    """

    health: GpsHealth = GpsHealth.UNKNOWN
    reason: str = ""
    last: GpsMeasurement | None = None
    mean_en_m: tuple[float, float] | None = None
    creep_en_mps: tuple[float, float] = NOWHERE
    poor: int = 0
    wrong: int = 0
    wrong_velocity: int = 0
    good_since_ns: int | None = None


def assess(
    state: HealthState, claim: GpsMeasurement, reference: Reference | None, config: IntegrityConfig
) -> tuple[HealthState, Comparison | None]:
    """The state after a claim, and how the claim compares with our state where both have a position.

    A claim that was heard already, or overtook another one by a little, changes nothing.
    """
    if state.last is not None and 0 <= state.last.t_ns - claim.t_ns <= config.time_jump_s_max * 1e9:
        return state, None
    if reference is not None and not reference.trusted:
        compared = (
            compare(claim, reference, None, config) if _finite(claim) and claim.fix_type >= FixType.FIX_3D else None
        )
        return assess(voided(state), claim, None, config)[0], compared
    poor = quality_faults(claim, config)
    if not _finite(claim):
        return replace(_with_poor(state, claim, ("malformed",), config), last=state.last), None
    if "no fix" in poor:
        return _with_poor(state, claim, poor, config), None
    mean = _mean(state, claim, reference, config)
    compared = None if reference is None else compare(claim, reference, mean, config)
    wrong = turned = 0
    if compared is not None:
        wrong = state.wrong + 1 if _off(compared.position_en_m, compared.position_ratio, config) else 0
        turned = state.wrong_velocity + 1 if compared.velocity_ratio > 1.0 else 0
    deceit = spoofing_indicators(state.last, claim, config)
    creep = position_velocity_divergence_mps(state, claim, config)
    if math.hypot(*creep) > config.creep_mps_max:
        deceit = (*deceit, "creep")
    if wrong >= config.wrong_samples:
        deceit = (*deceit, "position")
    if turned >= config.wrong_velocity_samples:
        deceit = (*deceit, "velocity")
    if compared is not None and _off(mean, compared.drift_ratio, config):
        deceit = (*deceit, "drift")
    if "jump" in deceit:
        mean, creep = None, NOWHERE
    state = replace(state, last=claim, mean_en_m=mean, creep_en_mps=creep, wrong=wrong, wrong_velocity=turned)
    if deceit:
        return replace(state, health=GpsHealth.SPOOFED, reason=", ".join(deceit), poor=0, good_since_ns=None), compared
    if poor:
        return _with_poor(state, claim, poor, config), compared
    doubtful = wrong > 0 or turned > 0
    return _without_fault(replace(state, poor=0), claim.t_ns, reference, doubtful, config), compared


def by_comparison(state: HealthState) -> bool:
    """Whether a GPS is called spoofed by our state's word alone."""
    return state.health is GpsHealth.SPOOFED and set(state.reason.split(", ")) <= BY_COMPARISON


def voided(state: HealthState) -> HealthState:
    """The state once our own is in doubt: what it said of the GPS is no verdict."""
    state = replace(state, mean_en_m=None, wrong=0, wrong_velocity=0)
    return replace(state, health=GpsHealth.UNKNOWN, reason=IN_DOUBT) if by_comparison(state) else state


def silent(state: HealthState, t_ns: int, config: IntegrityConfig) -> HealthState:
    """The state at `t_ns` when no claim has come for too long; nothing changes for a GPS that never spoke."""
    if state.last is None or t_ns - state.last.t_ns <= config.silence_s * 1e9:
        return state
    return replace(state, health=GpsHealth.DEGRADED, reason="silent", good_since_ns=None)


def quality_faults(claim: GpsMeasurement, config: IntegrityConfig) -> tuple[str, ...]:
    """What the receiver itself says is not good enough."""
    faults = []
    if claim.fix_type < FixType.FIX_3D:
        faults.append("no fix")
    if claim.satellites < config.satellites_min:
        faults.append("few satellites")
    if not claim.accuracy_m <= config.accuracy_m_max:  # True for NaN
        faults.append("poor accuracy")
    if claim.interference & JAMMING:
        faults.append("jamming")
    return tuple(faults)


def spoofing_indicators(last: GpsMeasurement | None, claim: GpsMeasurement, config: IntegrityConfig) -> tuple[str, ...]:
    """Where a claim contradicts the one before it, without any help of our state; or the receiver says so itself."""
    faults = []
    if claim.interference & SPOOFING:
        faults.append("receiver says spoofing")
    if last is None:
        return tuple(faults)
    if claim.t_ns <= last.t_ns:
        return (*faults, "time runs back")
    if last.utc_ns and claim.utc_ns:
        jump_s = abs((claim.utc_ns - claim.t_ns) - (last.utc_ns - last.t_ns)) * 1e-9
        if jump_s > config.time_jump_s_max:
            faults.append("time jump")
    if follows(last, claim, config) and math.hypot(*unexplained_m(last, claim)) > config.jump_m_max:
        faults.append("jump")
    return tuple(faults)


def position_velocity_divergence_mps(
    state: HealthState, claim: GpsMeasurement, config: IntegrityConfig
) -> tuple[float, float]:
    """Exponential mean of how much faster the claimed position moves than the claimed velocity says; none after a gap.

    A forger who draws the position away and leaves the velocity true is seen by this, whatever we know ourselves.
    """
    last = state.last
    if last is None or not follows(last, claim, config) or NOWHERE in (last.velocity_en_mps, claim.velocity_en_mps):
        return NOWHERE
    dt_s = (claim.t_ns - last.t_ns) * 1e-9
    weight = 1.0 - math.exp(-dt_s / config.drift_time_s)
    (east, north), (east_m, north_m) = state.creep_en_mps, unexplained_m(last, claim)
    return (east + weight * (east_m / dt_s - east), north + weight * (north_m / dt_s - north))


def follows(last: GpsMeasurement, claim: GpsMeasurement, config: IntegrityConfig) -> bool:
    """Whether a claim follows another one closely enough for its motion to be looked at."""
    return last.fix_type >= FixType.FIX_3D and 0 < claim.t_ns - last.t_ns <= config.silence_s * 1e9


def unexplained_m(last: GpsMeasurement, claim: GpsMeasurement) -> tuple[float, float]:
    """Motion between two claims that the mean of their velocities does not explain."""
    half_s = 0.5 * (claim.t_ns - last.t_ns) * 1e-9
    (east, north), (u, v) = _minus(claim.position_en_m, last.position_en_m), last.velocity_en_mps
    return (east - (u + claim.velocity_en_mps[0]) * half_s, north - (v + claim.velocity_en_mps[1]) * half_s)


def compare(
    claim: GpsMeasurement, reference: Reference, mean_en_m: tuple[float, float] | None, config: IntegrityConfig
) -> Comparison:
    """Innovation of a claim against our state. A velocity of exactly zero means that the receiver told none.

    The claimed accuracy counts between two bounds only: a forger may claim anything. The drift ratio does without it;
    it is of the slow mean or of the sample, whichever is less: our own state may just have been corrected.
    """
    apart = _minus(claim.position_en_m, reference.position_en_m)
    variance = min(max(claim.accuracy_m, config.gps_floor_m), config.gps_believed_m_max) ** 2
    spread = _plus(reference.position_covariance_m2, variance)
    told = claim.velocity_en_mps != NOWHERE
    faster = _minus(claim.velocity_en_mps, reference.velocity_en_mps) if told else NOWHERE
    speed_spread = _plus(reference.velocity_covariance_m2ps2, config.gps_speed_floor_mps**2)
    drift_spread = _plus(reference.position_covariance_m2, config.gps_floor_m**2)
    return Comparison(
        position_en_m=apart,
        velocity_en_mps=faster,
        position_variance_m2=(spread[0], spread[2]),
        velocity_variance_m2ps2=(speed_spread[0], speed_spread[2]),
        position_ratio=chi_square(apart, spread) / config.position_gate,
        velocity_ratio=chi_square(faster, speed_spread) / config.velocity_gate,
        drift_ratio=min(chi_square(v, drift_spread) for v in (mean_en_m or NOWHERE, apart)) / config.drift_gate,
    )


def chi_square(v: tuple[float, float], covariance: tuple[float, float, float]) -> float:
    """v' C^-1 v of a symmetric C given as (a, b, c) for [[a, b], [b, c]]; infinite where C is not positive."""
    a, b, c = covariance
    determinant = a * c - b * b
    if not determinant > 0.0:
        return math.inf
    return (c * v[0] * v[0] - 2.0 * b * v[0] * v[1] + a * v[1] * v[1]) / determinant


def _with_poor(
    state: HealthState, claim: GpsMeasurement, faults: tuple[str, ...], config: IntegrityConfig
) -> HealthState:
    """After a claim of poor quality: DEGRADED once there were enough of them in a row."""
    state = replace(state, last=claim, poor=state.poor + 1, good_since_ns=None)
    if state.poor < config.poor_samples:
        return state
    reason = ", ".join(faults)
    return replace(state, health=GpsHealth.DEGRADED, reason=reason, mean_en_m=None, wrong=0, wrong_velocity=0)


def _without_fault(
    state: HealthState, t_ns: int, reference: Reference | None, doubtful: bool, config: IntegrityConfig
) -> HealthState:
    """After a claim that nothing speaks against. A spoofed GPS stays spoofed until it is shown to be good."""
    if reference is None or not reference.sigma_m <= config.reference_sigma_m_max:
        why = NO_REFERENCE if reference is None else "our state is too uncertain to tell"
        if state.health is GpsHealth.SPOOFED:
            return replace(state, good_since_ns=None)
        return replace(state, health=GpsHealth.UNKNOWN, reason=why, good_since_ns=None)
    if doubtful:
        return replace(state, good_since_ns=None)
    since_ns = t_ns if state.good_since_ns is None else state.good_since_ns
    state = replace(state, good_since_ns=since_ns)
    if t_ns - since_ns >= config.stable_after_s * 1e9:
        return replace(state, health=GpsHealth.STABLE_NON_SPOOFED, reason="")
    return state


def _mean(
    state: HealthState, claim: GpsMeasurement, reference: Reference | None, config: IntegrityConfig
) -> tuple[float, float] | None:
    """Exponential mean of the position innovation: it sees what is too slow for a single sample."""
    if reference is None:
        return None
    apart = _minus(claim.position_en_m, reference.position_en_m)
    if state.mean_en_m is None or state.last is None:
        return apart
    dt_s = max(claim.t_ns - state.last.t_ns, 0) * 1e-9
    weight = 1.0 - math.exp(-dt_s / config.drift_time_s)
    east, north = state.mean_en_m
    return (east + weight * (apart[0] - east), north + weight * (apart[1] - north))


def _off(apart_en_m: tuple[float, float] | None, ratio: float, config: IntegrityConfig) -> bool:
    """Whether a difference is beyond its gate, and more than what is never called wrong."""
    return apart_en_m is not None and ratio > 1.0 and math.hypot(*apart_en_m) > config.wrong_m_min


def _finite(claim: GpsMeasurement) -> bool:
    return all(math.isfinite(v) for v in (*claim.position_en_m, *claim.velocity_en_mps))


def _minus(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return (a[0] - b[0], a[1] - b[1])


def _plus(covariance: tuple[float, float, float], variance: float) -> tuple[float, float, float]:
    return (covariance[0] + variance, covariance[1], covariance[2] + variance)


def _largest_eigenvalue(covariance: tuple[float, float, float]) -> float:
    a, b, c = covariance
    return 0.5 * (a + c) + math.hypot(0.5 * (a - c), b)
