"""The failsafe ladder (AC-N8), NO_ESTIMATE_TIMEOUT (AC-5.2) and OPERATOR_RELOC_REQUEST (AC-3.4). Pure.

Down, the ladder goes one rung a tick, so that every step is told and none is skipped; up at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.messages import FixType, Severity

BLACKOUT_FAILSAFE = "VISUAL_BLACKOUT_FAILSAFE"
NO_ESTIMATE = "NO_ESTIMATE_TIMEOUT"
RELOC_REQUEST = "OPERATOR_RELOC_REQUEST"


class FailsafeLevel(IntEnum):
    """What the autopilot is told: a 3D fix, a 2D fix, no fix. NO_POSITION is no fix before any position is known."""

    FULL = 0
    DEGRADED = 1
    FAILSAFE = 2
    NO_POSITION = 3


FIX_TYPES = {
    FailsafeLevel.FULL: FixType.FIX_3D,
    FailsafeLevel.DEGRADED: FixType.FIX_2D,
    FailsafeLevel.FAILSAFE: FixType.NONE,
    FailsafeLevel.NO_POSITION: FixType.NONE,
}
"""What each rung tells the autopilot."""
LEVEL_NAMES = {
    FailsafeLevel.FULL: "3D fix",
    FailsafeLevel.DEGRADED: "2D fix",
    FailsafeLevel.FAILSAFE: BLACKOUT_FAILSAFE,
    FailsafeLevel.NO_POSITION: "no position",
}
"""What alerts and records call each rung."""


@dataclass(frozen=True, slots=True)
class FailsafeInput:
    """What a tick sees. `semi_major_95_m` of the position's ellipse; `visual_outage_s` and `visual_outage_frames` since
    anything visual was accepted; `estimate`: there is a state, `position_known`: and it knows where it is,
    `healthy`: and what it claims of itself can be believed."""

    t_ns: int
    estimate: bool
    position_known: bool
    semi_major_95_m: float
    visual_outage_s: float
    visual_outage_frames: int
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell: name, MAVLink severity, and the number that crossed its limit (of an unhealthy state: its
    ellipse, which need not have)."""

    name: str
    severity: Severity
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class FailsafeState:
    """Level of the ladder; when the last estimate was; what has been told."""

    level: FailsafeLevel = FailsafeLevel.NO_POSITION
    estimate_ns: int | None = None
    timeout_told: bool = False
    reloc_told_ns: int | None = None


def wanted_level(sight: FailsafeInput, config: IntegrityConfig) -> FailsafeLevel:
    """Where the ladder should be by itself."""
    if not (sight.estimate and sight.position_known):
        return FailsafeLevel.NO_POSITION
    if (
        not sight.semi_major_95_m <= config.failsafe_95_m or sight.visual_outage_s > config.failsafe_blackout_s
    ):  # NaN too
        return FailsafeLevel.FAILSAFE
    poor = sight.semi_major_95_m > config.degraded_95_m or not sight.healthy
    return FailsafeLevel.DEGRADED if poor else FailsafeLevel.FULL


def next_level(now: FailsafeLevel, wanted: FailsafeLevel) -> FailsafeLevel:
    """Where the ladder goes in one tick: down by one rung; up, or to no position at all, at once."""
    if wanted is FailsafeLevel.NO_POSITION or wanted <= now:
        return wanted
    return FailsafeLevel(now + 1)


def on_tick(
    state: FailsafeState, sight: FailsafeInput, config: IntegrityConfig
) -> tuple[FailsafeState, tuple[Event, ...]]:
    """The state after a tick, and what there is to tell, in order."""
    state, ladder = _climb(state, sight, config)
    state, timeout = _timeout(state, sight, config)
    state, request = _request(state, sight, config)
    return state, (*ladder, *timeout, *request)


def _climb(
    state: FailsafeState, sight: FailsafeInput, config: IntegrityConfig
) -> tuple[FailsafeState, tuple[Event, ...]]:
    level = next_level(state.level, wanted_level(sight, config))
    if level is state.level:
        return state, ()
    blackout = sight.visual_outage_s > config.failsafe_blackout_s
    value, limit = (sight.visual_outage_s, config.failsafe_blackout_s) if blackout else (
        sight.semi_major_95_m, config.failsafe_95_m if level is FailsafeLevel.FAILSAFE else config.degraded_95_m
    )  # fmt: skip
    severity = {
        FailsafeLevel.FULL: Severity.NOTICE,
        FailsafeLevel.DEGRADED: Severity.WARNING,
        FailsafeLevel.FAILSAFE: Severity.CRITICAL,
        FailsafeLevel.NO_POSITION: Severity.ERROR,
    }[level]
    return replace(state, level=level), (Event(LEVEL_NAMES[level], severity, value, limit),)


def _timeout(
    state: FailsafeState, sight: FailsafeInput, config: IntegrityConfig
) -> tuple[FailsafeState, tuple[Event, ...]]:
    """NO_ESTIMATE_TIMEOUT once when it lasts too long, counted from the first tick or the last estimate."""
    if sight.estimate and sight.position_known:
        return replace(state, estimate_ns=sight.t_ns, timeout_told=False), ()
    if state.estimate_ns is None:
        return replace(state, estimate_ns=sight.t_ns), ()
    without_s = (sight.t_ns - state.estimate_ns) * 1e-9
    if state.timeout_told or without_s <= config.no_estimate_s:
        return state, ()
    return replace(state, timeout_told=True), (Event(NO_ESTIMATE, Severity.CRITICAL, without_s, config.no_estimate_s),)


def _request(
    state: FailsafeState, sight: FailsafeInput, config: IntegrityConfig
) -> tuple[FailsafeState, tuple[Event, ...]]:
    """OPERATOR_RELOC_REQUEST when enough pictures and time gave nothing; again after a while, as long as it lasts."""
    if sight.visual_outage_frames < config.reloc_frames or sight.visual_outage_s < config.reloc_s:
        return (state if sight.visual_outage_s >= config.reloc_s else replace(state, reloc_told_ns=None)), ()
    if state.reloc_told_ns is not None and sight.t_ns - state.reloc_told_ns < config.reloc_repeat_s * 1e9:
        return state, ()
    event = Event(RELOC_REQUEST, Severity.ERROR, sight.visual_outage_s, config.reloc_s)
    return replace(state, reloc_told_ns=sight.t_ns), (event,)
