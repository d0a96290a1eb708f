"""What became of an attack or a blackout, from what left the monitor; pure. Times in ms, None: it did not happen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gps_denied_onboard.integrity.failsafe import BLACKOUT_FAILSAFE, RELOC_REQUEST
from gps_denied_onboard.messages import AidRecord, Alert, FixType, NavState, PositionSource, SourceLabel
from gps_denied_operator.evaluate.campaign_tap import Answer
from gps_denied_operator.scoring.frames import FIX_TYPE_USABLE
from gps_denied_operator.scoring.protection import ellipses_away, is_hazardous, protection_level_m

FORGED_M = 30.0
"""A GPS that is led astray by more than this, and is followed, is a forged position sent on."""


@dataclass(frozen=True, slots=True)
class AttackScore:
    """`taken`: the GPS was in use when the attack began, so that there was something to leave.

    `promotion_ms` counts from when the verdict was possible: the first sample without a fix (jam), or the first whose
    forged part alone is five sigma of the difference between the GPS and our state. Negative: it came before that.
    `moved_m` is by how much the GPS was forged when it was left. `sent_on` counts positions (10 Hz) that told to follow
    a GPS forged by more than FORGED_M after it had been left once; `followed` the same before. `flight` is the flight's
    seed, -1 where nobody told.
    """

    kind: str
    speed_mps: float
    taken: bool
    promotion_ms: float | None
    moved_m: float | None
    followed: int
    sent_on: int
    readmitted_ms: float | None
    readmitted_forged_m: float
    false_alarms: int
    flight: int = -1


@dataclass(frozen=True, slots=True)
class BlackoutScore:
    """`dark_ms`: label dead_reckoned after the first dark frame. Steps of the ladder: how late after their condition,
    seen at 10 Hz. `shrunk_m`: by how much the ellipse shrank while nothing was seen. `error_m`, `ellipse_m` (semi-major
    axis) and `inside_95` are of the last position in the dark; `hazardous`: positions (10 Hz) sent as a fix but beyond
    their promise; `levels_m`: their protection levels. `flight` as in AttackScore."""

    length_s: float
    dark_ms: float | None
    two_d_ms: float | None
    no_fix_ms: float | None
    failsafe_told: bool
    in_order: bool
    shrunk_m: float
    asked_ms: float | None
    seen_again_ms: float | None
    error_m: float
    ellipse_m: float
    inside_95: bool
    gps_followed: int
    hazardous: int = 0
    levels_m: tuple[float, ...] = ()
    flight: int = -1


def score_attack(
    kind: str,
    speed_mps: float,
    span_ns: tuple[int, int],
    forged_m: Callable[[int], float],
    answers: Sequence[Answer],
    possible_ns: int | None,
) -> AttackScore:
    """Score one window. `span_ns` is the attack, `forged_m` tells by how much the GPS is forged at a time."""
    start_ns, end_ns = span_ns
    ticks = [(a.t_ns, a.state.position_source) for a in answers if a.state is not None]
    before = [source for t_ns, source in ticks if t_ns <= start_ns]
    taken = bool(before) and before[-1] is PositionSource.GPS
    left_ns = next((t for t, source in ticks if t > start_ns and source is PositionSource.COMPANION), None)
    if not taken:
        left_ns = None
    forged_m = _nothing if kind == "jam" else forged_m  # a GPS without a fix leads nobody astray
    following = [t for t, source in ticks if t > start_ns and source is PositionSource.GPS]
    forged = [t for t in following if forged_m(t) > FORGED_M]
    again = [t for t in following if left_ns is not None and t > left_ns]
    return AttackScore(
        kind=kind,
        speed_mps=speed_mps,
        taken=taken,
        promotion_ms=None if left_ns is None or possible_ns is None else (left_ns - possible_ns) / 1e6,
        moved_m=None if left_ns is None or kind == "jam" else forged_m(left_ns),
        followed=sum(left_ns is None or t < left_ns for t in forged),
        sent_on=sum(left_ns is not None and t > left_ns for t in forged),
        readmitted_ms=next(((t - end_ns) / 1e6 for t in again if t >= end_ns), None),
        readmitted_forged_m=max((forged_m(t) for t in again), default=0.0),
        false_alarms=_left_for_nothing(ticks, start_ns, end_ns),
    )


def _nothing(_t_ns: int) -> float:
    return 0.0


def _left_for_nothing(ticks: Sequence[tuple[int, PositionSource]], start_ns: int, end_ns: int) -> int:
    """How often the GPS was left outside of the attack."""
    count = 0
    for (_, before), (t_ns, now) in itertools.pairwise(ticks):
        left = before is PositionSource.GPS and now is PositionSource.COMPANION
        count += left and not start_ns <= t_ns < end_ns + 1_000_000_000
    return count


def score_blackout(
    length_s: float,
    frames_ns: tuple[int, int, int, int],
    answers: Sequence[Answer],
    offset_m: Callable[[NavState], tuple[float, float]],
    limits: tuple[float, float, float],
) -> BlackoutScore:
    """Score one blackout. `frames_ns`: last bright frame, first and third dark one, first bright one after it.

    `offset_m` tells a position's error, east and north. `limits`: the ellipse in m for 2D and for no fix, and the s
    without sight for no fix.
    """
    last_ns, dark_ns, third_ns, bright_ns = frames_ns
    inside = [a for a in answers if last_ns < a.t_ns <= bright_ns]
    states = [a.state for a in inside if a.state is not None]
    dead = [s for s in states if s.source_label is SourceLabel.DEAD_RECKONED and s.t_ns >= dark_ns]
    poor_ns = _first(s.t_ns for s in states if s.ellipse_semi_major_m > limits[0])
    lost_ns = _first(
        s.t_ns for s in states if s.ellipse_semi_major_m > limits[1] or (s.t_ns - last_ns) / 1e9 > limits[2]
    )
    steps = [s.fix_type for s in states]
    east_m, north_m = offset_m(states[-1]) if states else (math.nan, math.nan)
    asked_ns = _first(a.t_ns for a in inside if _tells(a, RELOC_REQUEST))
    after = [a.state for a in answers if a.state is not None and a.t_ns > bright_ns]
    anchored_ns = _first(s.t_ns for s in after if s.source_label is SourceLabel.SATELLITE_ANCHORED)
    return BlackoutScore(
        length_s=length_s,
        dark_ms=_late_ms(_first(s.t_ns for s in dead), dark_ns),
        two_d_ms=_late_ms(_first(s.t_ns for s in states if s.fix_type <= FixType.FIX_2D), poor_ns),
        no_fix_ms=_late_ms(_first(s.t_ns for s in states if s.fix_type == FixType.NONE), lost_ns),
        failsafe_told=any(_tells(a, BLACKOUT_FAILSAFE) for a in inside),
        in_order=all(a >= b >= a - 1 for a, b in itertools.pairwise(steps)),
        shrunk_m=max((a.ellipse_semi_major_m - b.ellipse_semi_major_m for a, b in itertools.pairwise(dead)),
                     default=0.0),
        asked_ms=_late_ms(asked_ns, max(third_ns, last_ns + 2_000_000_000)),
        seen_again_ms=_late_ms(anchored_ns, bright_ns),
        error_m=math.hypot(east_m, north_m),
        ellipse_m=states[-1].ellipse_semi_major_m if states else math.nan,
        inside_95=bool(states) and ellipses_away(states[-1], east_m, north_m) <= 1.0,
        gps_followed=sum(s.position_source is PositionSource.GPS for s in states),
        hazardous=sum(s.fix_type >= FIX_TYPE_USABLE and is_hazardous(s, *offset_m(s)) for s in states),
        levels_m=tuple(level for s in states if (level := protection_level_m(s)) is not None),
    )  # fmt: skip


def _tells(answer: Answer, name: str) -> bool:
    return any(isinstance(t, AidRecord) and t.reason == name for t in answer.told) and any(
        isinstance(t, Alert) and t.text.startswith(name) for t in answer.told
    )


def _first(times: Iterable[int]) -> int | None:
    return next(iter(times), None)


def _late_ms(t_ns: int | None, due_ns: int | None) -> float | None:
    return None if t_ns is None or due_ns is None else (t_ns - due_ns) / 1e6
