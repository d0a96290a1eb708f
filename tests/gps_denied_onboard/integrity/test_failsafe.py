"""The ladder of AC-N8, NO_ESTIMATE_TIMEOUT of AC-5.2, OPERATOR_RELOC_REQUEST of AC-3.4, as tables."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.failsafe import (
    BLACKOUT_FAILSAFE,
    NO_ESTIMATE,
    RELOC_REQUEST,
    Event,
    FailsafeInput,
    FailsafeLevel,
    FailsafeState,
    next_level,
    on_tick,
    wanted_level,
)

CONFIG = IntegrityConfig()
SECOND = 1_000_000_000
TICK = SECOND // 10
FULL, DEGRADED, FAILSAFE, NO_POSITION = FailsafeLevel
CLEAR = FailsafeInput(0, True, True, 10.0, 0.0, 0)


def run(sights: list[FailsafeInput], state: FailsafeState | None = None) -> list[tuple[float, Event]]:
    """(time in s, event) of all that is told."""
    state = state or FailsafeState(FULL, 0)
    told: list[tuple[float, Event]] = []
    for sight in sights:
        state, events = on_tick(state, sight, CONFIG)
        told += [(sight.t_ns / SECOND, event) for event in events]
    return told


@pytest.mark.parametrize(
    ("major_m", "visual_outage_s", "known", "level"),
    [
        (5.0, 0.0, True, FULL),
        (100.0, 30.0, True, FULL),
        (100.1, 0.0, True, DEGRADED),
        (500.0, 30.0, True, DEGRADED),
        (500.1, 0.0, True, FAILSAFE),
        (5.0, 30.1, True, FAILSAFE),
        (math.nan, 0.0, True, FAILSAFE),
        (math.inf, 0.0, True, FAILSAFE),
        (5.0, 0.0, False, NO_POSITION),
        (5.0, 31.0, False, NO_POSITION),
    ],
)
def test_where_the_ladder_should_be(major_m: float, visual_outage_s: float, known: bool, level: FailsafeLevel) -> None:
    """2D beyond 100 m, no fix beyond 500 m or 30 s, nothing without a position."""
    sight = FailsafeInput(0, True, known, major_m, visual_outage_s, 0)
    assert wanted_level(sight, CONFIG) is level
    assert wanted_level(replace(sight, estimate=False), CONFIG) is NO_POSITION


@pytest.mark.parametrize(("now", "wanted"), list(itertools.product(FailsafeLevel, FailsafeLevel)))
def test_down_one_rung_a_tick_and_up_at_once(now: FailsafeLevel, wanted: FailsafeLevel) -> None:
    """No step down is skipped; up, and to no position at all, goes at once."""
    got = next_level(now, wanted)
    if wanted is NO_POSITION or wanted <= now:
        assert got is wanted
    else:
        assert got == now + 1


def test_thirty_seconds_of_darkness_tell_every_step() -> None:
    """With a small ellipse both steps come right after the 30 s, in order, one tick apart, with what crossed what."""
    sights = [FailsafeInput(k * TICK, True, True, 40.0, k / 10, 0) for k in range(320)]
    told = run(sights)
    assert [(t, e.name, e.severity) for t, e in told] == [(30.1, "2D fix", 4), (30.2, BLACKOUT_FAILSAFE, 2)]
    assert (told[1][1].value, told[1][1].limit) == (30.2, 30.0)
    assert told[0][1].limit == 30.0


def test_a_growing_ellipse_steps_down_where_it_crosses() -> None:
    """2D at 100 m, no fix at 500 m, each in the tick that sees it; and 3D again as soon as it is small."""
    majors = [20.0 * k for k in range(30)] + [10.0]
    told = run([FailsafeInput(k * TICK, True, True, m, 1.0, 0) for k, m in enumerate(majors)])
    assert [(e.name, e.severity, e.value, e.limit) for _, e in told] == [
        ("2D fix", 4, 120.0, 100.0),
        (BLACKOUT_FAILSAFE, 2, 520.0, 500.0),
        ("3D fix", 5, 10.0, 100.0),
    ]


def test_a_lost_position_is_no_fix_at_once() -> None:
    """From 3D to no position in one tick, and told as that."""
    told = run([CLEAR, replace(CLEAR, t_ns=TICK, position_known=False)])
    assert [(e.name, e.severity) for _, e in told] == [("no position", 3)]


def test_it_begins_without_a_position() -> None:
    """The first position is told; before it nothing is."""
    dark = replace(CLEAR, position_known=False)
    assert run([dark], FailsafeState()) == []
    assert [e.name for _, e in run([dark, replace(CLEAR, t_ns=TICK)], FailsafeState())] == ["3D fix"]


@pytest.mark.parametrize("lost", [{"estimate": False}, {"position_known": False}])
def test_three_seconds_without_an_estimate(lost: dict[str, bool]) -> None:
    """Told once, within a tick after 3 s; again only after there was an estimate between."""
    gone = replace(CLEAR, **lost)  # type: ignore[arg-type]
    sights = [CLEAR] + [replace(gone, t_ns=k * TICK) for k in range(1, 60)]
    told = [(t, e) for t, e in run(sights) if e.name == NO_ESTIMATE]
    assert [(t, e.severity, e.limit) for t, e in told] == [(3.1, 2, 3.0)]
    assert told[0][1].value == pytest.approx(3.1)
    again = [*sights, replace(CLEAR, t_ns=60 * TICK), *(replace(gone, t_ns=k * TICK) for k in range(61, 99))]
    assert [t for t, e in run(again) if e.name == NO_ESTIMATE] == [3.1, 9.1]


def test_three_seconds_count_from_the_first_tick() -> None:
    """A flight that never had an estimate is told 3 s after it began."""
    sights = [replace(CLEAR, t_ns=k * TICK, estimate=False) for k in range(50, 90)]
    assert [(t, e.name) for t, e in run(sights, FailsafeState())] == [(8.1, NO_ESTIMATE)]


@pytest.mark.parametrize(
    ("visual_outage_s", "frames", "asks"),
    [(2.0, 3, True), (1.9, 3, False), (2.0, 2, False), (9.0, 2, False), (2.4, 8, True), (0.0, 0, False)],
)
def test_three_frames_and_two_seconds_ask_the_operator(visual_outage_s: float, frames: int, asks: bool) -> None:
    """Both must be reached."""
    told = run([replace(CLEAR, visual_outage_s=visual_outage_s, visual_outage_frames=frames)])
    assert told == ([(0.0, Event(RELOC_REQUEST, 3, visual_outage_s, 2.0))] if asks else [])


def test_the_operator_is_asked_again_every_half_minute() -> None:
    """While it lasts the request is repeated; after something was seen the next one comes at once."""
    dark = [FailsafeInput(k * TICK, True, True, 10.0, k / 10, k // 3) for k in range(700)]
    asked = [t for t, e in run(dark) if e.name == RELOC_REQUEST]
    assert asked == [2.0, 32.0, 62.0]
    twice = [*dark[:25], replace(CLEAR, t_ns=25 * TICK), replace(dark[24], t_ns=26 * TICK)]
    assert [t for t, e in run(twice) if e.name == RELOC_REQUEST] == [2.0, 2.6]
    flicker = [*dark[:25], replace(dark[24], t_ns=25 * TICK, visual_outage_frames=2), replace(dark[24], t_ns=26 * TICK)]
    assert [t for t, e in run(flicker) if e.name == RELOC_REQUEST] == [2.0]


def test_what_crossed_its_limit_is_told_at_the_limit_itself() -> None:
    """At exactly 30 s without sight it is the ellipse that steps down, not the darkness."""
    told = run([replace(CLEAR, semi_major_95_m=120.0, visual_outage_s=30.0)])
    assert [(e.name, e.value, e.limit) for _, e in told] == [("2D fix", 120.0, 100.0)]


def test_the_request_is_remembered_at_exactly_two_seconds() -> None:
    """With too few frames again, but still two seconds, it was asked already."""
    state = FailsafeState(FULL, 0, reloc_told_ns=5)
    assert on_tick(state, replace(CLEAR, visual_outage_s=2.0, visual_outage_frames=2), CONFIG)[0].reloc_told_ns == 5
    assert on_tick(state, replace(CLEAR, visual_outage_s=1.9, visual_outage_frames=2), CONFIG)[0].reloc_told_ns is None
