"""AC-3.5: dead reckoned within a frame or 400 ms of the dark; how many frames and seconds nothing was seen."""

from __future__ import annotations

import pytest

from gps_denied_onboard.integrity.source_label import LabelLimits, LabelState
from gps_denied_onboard.messages import SourceLabel

LIMITS = LabelLimits()
SECOND = 1_000_000_000
ANCHORED, VISUAL, DEAD = SourceLabel


def ns(t_s: float) -> int:
    return round(t_s * SECOND)


def seen(*frames_s: float, moved_s: float | None = None) -> LabelState:
    """Frames came at these times; the odometry to the last one, or to `moved_s`, was accepted."""
    state = LabelState().started(0)
    for t_s in frames_s:
        state = state.saw(ns(t_s))
    return state.moved(ns(frames_s[-1] if moved_s is None else moved_s))


@pytest.mark.parametrize(
    ("now_s", "label"),
    [(10.0, VISUAL), (11.0, VISUAL), (11.29, VISUAL), (11.3, DEAD), (12.0, DEAD)],
)
def test_a_frame_that_gave_nothing(now_s: float, label: SourceLabel) -> None:
    """Its fix is waited for 0.3 s; then the label falls, however young the last good frame."""
    state = seen(9.0, 10.0).saw(ns(11.0)).failed(ns(11.0))
    assert state.label(ns(now_s), 3.0, LIMITS) is label


def test_a_fix_of_the_same_frame_or_a_later_one_lifts_it() -> None:
    """A failed frame that is found on the map was seen; an older fix that comes late does not count for it."""
    state = seen(9.0, 10.0).saw(ns(11.0)).failed(ns(11.0))
    assert state.anchored(ns(11.0)).label(ns(11.4), 3.0, LIMITS) is ANCHORED
    assert state.anchored(ns(10.5)).label(ns(11.4), 3.0, LIMITS) is DEAD
    assert state.saw(ns(11.5)).moved(ns(11.5)).label(ns(12.0), 3.0, LIMITS) is VISUAL


def test_a_failure_that_is_told_late_does_not_turn_time_back() -> None:
    """The newest failed frame counts."""
    assert LabelState().failed(ns(5.0)).failed(ns(4.0)).failed_ns == ns(5.0)
    assert LabelState().failed(ns(5.0)).failed(ns(6.0)).failed_ns == ns(6.0)


@pytest.mark.parametrize(
    ("frames_s", "now_s", "label"),
    [
        ((9.0, 10.0), 11.4, VISUAL),
        ((9.0, 10.0), 11.41, DEAD),
        ((9.5, 10.0), 10.9, VISUAL),
        ((9.5, 10.0), 10.91, DEAD),
        ((5.0, 10.0), 12.4, VISUAL),
        ((5.0, 10.0), 12.41, DEAD),
        ((10.0,), 12.4, VISUAL),
        ((10.0,), 12.41, DEAD),
    ],
)
def test_a_frame_that_does_not_come(frames_s: tuple[float, ...], now_s: float, label: SourceLabel) -> None:
    """Later than the time between the last two frames (2 s at most) by 0.4 s: dead reckoned."""
    assert seen(*frames_s).label(ns(now_s), 3.0, LIMITS) is label


def test_without_any_frame_only_ages_count() -> None:
    """A state that was anchored by other means than frames that were announced is judged by its ages."""
    assert LabelState().anchored(ns(7.0)).label(ns(10.0), 3.0, LIMITS) is ANCHORED
    assert LabelState().label(0, 3.0, LIMITS) is DEAD


@pytest.mark.parametrize(
    ("frames_s", "moved_s", "now_s", "blind"),
    [
        ((9.0, 10.0), 10.0, 10.0, 0),
        ((9.0, 10.0), 10.0, 11.29, 0),
        ((9.0, 10.0), 10.0, 11.31, 1),
        ((9.0, 10.0), 9.0, 10.0, 0),
        ((9.0, 10.0), 9.0, 10.29, 0),
        ((9.0, 10.0), 9.0, 10.3, 1),
        ((9.0, 10.0), 9.0, 10.9, 1),
        ((8.0, 9.0, 10.0), 7.0, 10.0, 2),
        ((8.0, 9.0, 10.0), 7.0, 10.3, 3),
        ((8.0, 9.0, 10.0), 7.0, 12.31, 5),
        ((9.9, 10.0), 9.9, 10.3, 1),
        ((9.9, 10.0), 9.9, 10.51, 3),
        ((10.0, 10.0), 10.0, 10.51, 2),
        ((10.0,), 10.0, 14.29, 1),
        ((10.0,), 10.0, 14.31, 2),
    ],
)
def test_frames_without_anything(frames_s: tuple[float, ...], moved_s: float, now_s: float, blind: int) -> None:
    """Those after the last good one and those that should have come since, each once its fix has had 0.3 s to come."""
    assert seen(*frames_s, moved_s=moved_s).visual_outage_frames(ns(now_s), LIMITS) == blind


def test_how_long_a_fix_may_take_is_a_setting() -> None:
    """A longer wait counts frames later."""
    state = seen(8.0, 9.0, 10.0, moved_s=8.0)
    waits = [LabelLimits(failed_s=wait_s) for wait_s in (0.3, 0.6, 1.6)]
    assert [state.visual_outage_frames(ns(10.5), limits) for limits in waits] == [2, 1, 0]
    at_the_limit = [state.visual_outage_frames(ns(11.0) - k, LabelLimits(failed_s=1.0)) for k in (0, 1)]
    assert at_the_limit == [2, 1]


def test_frames_before_anything_was_seen() -> None:
    """From the start each frame counts; without a camera, one for every two seconds."""
    state = LabelState().started(0)
    assert [state.visual_outage_frames(ns(t), LIMITS) for t in (0.0, 1.9, 2.0, 6.0)] == [0, 0, 1, 3]
    assert state.saw(ns(1.0)).saw(ns(1.5)).visual_outage_frames(ns(1.9), LIMITS) == 2
    assert state.saw(1).saw(ns(0.5)).visual_outage_frames(ns(0.9), LIMITS) == 2


def test_only_the_last_frames_are_kept() -> None:
    """A long darkness counts eight frames and what is overdue, no more."""
    state = LabelState().started(0)
    for k in range(100):
        state = state.saw(ns(k * 1.0))
    assert len(state.frames_ns) == 8
    assert state.frames_ns[-1] == ns(99.0)
    assert state.visual_outage_frames(ns(99.9), LIMITS) == 8
    assert state.frame_period_s == 1.0


def test_blind_seconds_count_from_the_last_thing_seen() -> None:
    """Whichever of fix and odometry is newer; from the start before either."""
    state = LabelState().started(ns(2.0))
    assert state.seen_ns is None
    assert state.visual_outage_s(ns(5.0)) == pytest.approx(3.0)
    assert state.moved(ns(4.0)).anchored(ns(3.0)).seen_ns == ns(4.0)
    assert state.moved(ns(3.0)).anchored(ns(4.0)).visual_outage_s(ns(5.0)) == pytest.approx(1.0)
    assert state.moved(ns(6.0)).visual_outage_s(ns(5.0)) == 0.0


def test_an_older_step_that_comes_late_does_not_turn_time_back() -> None:
    """The newest frame that odometry could use counts."""
    assert LabelState().moved(ns(5.0)).moved(ns(4.0)).odometry_ns == ns(5.0)


def test_limits_of_age_are_exact() -> None:
    """At the limit the label holds, a nanosecond later it does not; before anything was seen it is dark."""
    assert LabelState().in_visual_outage(0, LIMITS)
    anchored, moved = LabelState().anchored(ns(7.0)), LabelState().moved(ns(7.5))
    assert [anchored.label(ns(10.0) + k, 3.0, LIMITS) for k in (0, 1)] == [ANCHORED, DEAD]
    assert [moved.label(ns(10.0) + k, 3.0, LIMITS) for k in (0, 1)] == [VISUAL, DEAD]
    assert [seen(9.0, 10.0).in_visual_outage(ns(11.4) + k, LIMITS) for k in (0, 1)] == [False, True]
