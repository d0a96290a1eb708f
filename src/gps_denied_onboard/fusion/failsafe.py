"""The failsafe ladder (AC-N8), NO_ESTIMATE_TIMEOUT (AC-5.2) and OPERATOR_RELOC_REQUEST (AC-3.4). Pure.

Down, the ladder goes one rung a tick, so that every step is told and none is skipped; up at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from gps_denied_onboard.fusion.integrity_config import IntegrityConfig

BLACKOUT_FAILSAFE = "VISUAL_BLACKOUT_FAILSAFE"
NO_ESTIMATE = "NO_ESTIMATE_TIMEOUT"
RELOC_REQUEST = "OPERATOR_RELOC_REQUEST"


class Rung(IntEnum):
    """What the autopilot is told: a 3D fix, a 2D fix, no fix. NO_POSITION is no fix before any position is known."""

    FULL = 0
    DEGRADED = 1
    FAILSAFE = 2
    NO_POSITION = 3


@dataclass(frozen=True, slots=True)
class Sight:
    """What a tick sees. `semi_major_95_m` of the position's ellipse; `blind_s` and `blind_frames` since anything visual
    was accepted; `estimate`: there is a state, `position_known`: and it knows where it is."""

    t_ns: int
    estimate: bool
    position_known: bool
    semi_major_95_m: float
    blind_s: float
    blind_frames: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell: name, MAVLink severity, and the number that crossed its limit."""

    name: str
    severity: int
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class FailsafeState:
    """Rung of the ladder; when the last estimate was; what has been told."""

    rung: Rung = Rung.NO_POSITION
    estimate_ns: int | None = None
    timeout_told: bool = False
    reloc_told_ns: int | None = None


def wanted_rung(sight: Sight, config: IntegrityConfig) -> Rung:
    """Where the ladder should be by itself."""
    if not (sight.estimate and sight.position_known):
        return Rung.NO_POSITION
    if not sight.semi_major_95_m <= config.failsafe_95_m or sight.blind_s > config.failsafe_blackout_s:  # NaN too
        return Rung.FAILSAFE
    return Rung.DEGRADED if sight.semi_major_95_m > config.degraded_95_m else Rung.FULL


def next_rung(now: Rung, wanted: Rung) -> Rung:
    """Where the ladder goes in one tick: down by one rung; up, or to no position at all, at once."""
    if wanted is Rung.NO_POSITION or wanted <= now:
        return wanted
    return Rung(now + 1)


def on_tick(state: FailsafeState, sight: Sight, config: IntegrityConfig) -> tuple[FailsafeState, tuple[Event, ...]]:
    """The state after a tick, and what there is to tell, in order."""
    state, ladder = _climb(state, sight, config)
    state, timeout = _timeout(state, sight, config)
    state, request = _request(state, sight, config)
    return state, (*ladder, *timeout, *request)


def _climb(state: FailsafeState, sight: Sight, config: IntegrityConfig) -> tuple[FailsafeState, tuple[Event, ...]]:
    rung = next_rung(state.rung, wanted_rung(sight, config))
    if rung is state.rung:
        return state, ()
    blackout = sight.blind_s > config.failsafe_blackout_s
    value, limit = (sight.blind_s, config.failsafe_blackout_s) if blackout else (
        sight.semi_major_95_m, config.failsafe_95_m if rung is Rung.FAILSAFE else config.degraded_95_m
    )  # fmt: skip
    name, severity = {
        Rung.FULL: ("3D fix", 5),
        Rung.DEGRADED: ("2D fix", 4),
        Rung.FAILSAFE: (BLACKOUT_FAILSAFE, 2),
        Rung.NO_POSITION: ("no position", 3),
    }[rung]
    return replace(state, rung=rung), (Event(name, severity, value, limit),)


def _timeout(state: FailsafeState, sight: Sight, config: IntegrityConfig) -> tuple[FailsafeState, tuple[Event, ...]]:
    """NO_ESTIMATE_TIMEOUT once when it lasts too long, counted from the first tick or the last estimate."""
    if sight.estimate and sight.position_known:
        return replace(state, estimate_ns=sight.t_ns, timeout_told=False), ()
    if state.estimate_ns is None:
        return replace(state, estimate_ns=sight.t_ns), ()
    without_s = (sight.t_ns - state.estimate_ns) * 1e-9
    if state.timeout_told or without_s <= config.no_estimate_s:
        return state, ()
    return replace(state, timeout_told=True), (Event(NO_ESTIMATE, 2, without_s, config.no_estimate_s),)


def _request(state: FailsafeState, sight: Sight, config: IntegrityConfig) -> tuple[FailsafeState, tuple[Event, ...]]:
    """OPERATOR_RELOC_REQUEST when enough pictures and time gave nothing; again after a while, as long as it lasts."""
    if sight.blind_frames < config.reloc_frames or sight.blind_s < config.reloc_s:
        return (state if sight.blind_s >= config.reloc_s else replace(state, reloc_told_ns=None)), ()
    if state.reloc_told_ns is not None and sight.t_ns - state.reloc_told_ns < config.reloc_repeat_s * 1e9:
        return state, ()
    return replace(state, reloc_told_ns=sight.t_ns), (Event(RELOC_REQUEST, 3, sight.blind_s, config.reloc_s),)
