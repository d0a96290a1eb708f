"""Whom the autopilot should follow: promotion of the companion, and the gate through which its GPS comes back. Pure.

The companion takes over as soon as the GPS is not good. The GPS is taken back only when it has been STABLE_NON_SPOOFED
for long enough, the next satellite fix agrees with it, and it lies near our estimate; a rejection starts the wait anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.gps_health import GpsMeasurement, chi_square
from gps_denied_onboard.messages import FixType, GpsHealth, PositionSource


@dataclass(frozen=True, slots=True)
class GateState:
    """The source in use; `stable_since_ns` is when the wait began, None while the GPS is not stable."""

    source: PositionSource = PositionSource.COMPANION
    stable_since_ns: int | None = None


@dataclass(frozen=True, slots=True)
class FixCheck:
    """The autopilot's GPS at the time of a satellite fix.

    Its difference from the fix (east, north) with that difference's covariance (east-east, east-north, north-north),
    and its distance from our estimate.
    """

    from_fix_en_m: tuple[float, float]
    covariance_m2: tuple[float, float, float]
    from_estimate_m: float


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The GPS taken back (`accepted`) or rejected with the reason; `test_ratio` is chi-square over its gate."""

    accepted: bool
    reason: str
    test_ratio: float


def on_health(state: GateState, t_ns: int, health: GpsHealth) -> GateState:
    """After a verdict on the GPS. Anything but stable ends the wait; DEGRADED and SPOOFED make us the source."""
    if health is GpsHealth.STABLE_NON_SPOOFED:
        return state if state.stable_since_ns is not None else replace(state, stable_since_ns=t_ns)
    if health in (GpsHealth.DEGRADED, GpsHealth.SPOOFED):
        return GateState(PositionSource.COMPANION, None)
    return replace(state, stable_since_ns=None)


def waits_for_fix(state: GateState, fix_t_ns: int, config: IntegrityConfig) -> bool:
    """Whether a satellite fix of this time decides: the GPS is not in use and has been stable long enough by then."""
    return (
        state.source is PositionSource.COMPANION
        and state.stable_since_ns is not None
        and fix_t_ns - state.stable_since_ns >= config.gate_stable_s * 1e9
    )


def on_fix(
    state: GateState, t_ns: int, check: FixCheck | None, config: IntegrityConfig
) -> tuple[GateState, GateDecision]:
    """Decide by a satellite fix for which `waits_for_fix` holds; `check` None: no GPS sample near the fix's time."""
    decision = decide(check, config)
    if decision.accepted:
        return replace(state, source=PositionSource.GPS), decision
    return replace(state, stable_since_ns=t_ns), decision


def decide(check: FixCheck | None, config: IntegrityConfig) -> GateDecision:
    """Whether the GPS agrees with a satellite fix and with our estimate."""
    if check is None:
        return GateDecision(False, "no GPS sample at the time of the satellite fix", math.inf)
    ratio = chi_square(check.from_fix_en_m, check.covariance_m2) / config.gate_fix
    apart_m = math.hypot(*check.from_fix_en_m)
    if not (ratio <= 1.0 and apart_m <= config.gate_fix_m_max):
        return GateDecision(False, f"{apart_m:.0f} m from the satellite fix", ratio)
    if not check.from_estimate_m <= config.gate_estimate_m_max:
        return GateDecision(False, f"{check.from_estimate_m:.0f} m from the estimate", ratio)
    return GateDecision(True, "agrees with the satellite fix", ratio)


def measurement_at(claims: tuple[GpsMeasurement, ...], t_ns: int, config: IntegrityConfig) -> GpsMeasurement | None:
    """The claim nearest to `t_ns`, moved there with its own velocity; None when none is near enough."""
    near = min(claims, key=lambda claim: abs(claim.t_ns - t_ns), default=None)
    if near is None or abs(near.t_ns - t_ns) > config.gate_sample_age_s_max * 1e9 or near.fix_type < FixType.FIX_3D:
        return None
    dt_s = (t_ns - near.t_ns) * 1e-9
    (east, north), (east_mps, north_mps) = near.position_en_m, near.velocity_en_mps
    return replace(near, t_ns=t_ns, position_en_m=(east + east_mps * dt_s, north + north_mps * dt_s))
