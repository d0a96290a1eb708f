"""Figures of attacks and blackouts from what left the monitor, and the plans that they follow."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from gps_denied_onboard.integrity.failsafe import BLACKOUT_FAILSAFE, RELOC_REQUEST
from gps_denied_onboard.messages import AidRecord, Alert, GpsHealth, NavState, PositionSource, SourceLabel
from gps_denied_operator.evaluate import campaign
from gps_denied_operator.evaluate.campaign_plan import ATTACKS, WINDOW_S, attacks, blackouts
from gps_denied_operator.evaluate.campaign_score import AttackScore, score_attack, score_blackout
from gps_denied_operator.evaluate.campaign_tap import Answer

SECOND = 1_000_000_000
COMPANION, GPS = PositionSource
STATE = NavState(
    0, 48.0, 37.0, 500.0, (0.0, 17.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9, 10.0, 10.0, 0.0, 4.0, 4.0, 0.3,
    SourceLabel.SATELLITE_ANCHORED, 0, 3, -1, GpsHealth.STABLE_NON_SPOOFED, GPS,
)  # fmt: skip


def ns(t_s: float) -> int:
    return round(t_s * SECOND)


def followed(*spans: tuple[float, float], until_s: float = 60.0) -> list[Answer]:
    """Ticks at 10 Hz; the GPS is followed during the spans."""
    out = []
    for k in range(round(until_s * 10)):
        source = GPS if any(a <= k / 10 < b for a, b in spans) else COMPANION
        out.append(Answer(ns(k / 10), replace(STATE, t_ns=ns(k / 10), position_source=source), ()))
    return out


def scored(*spans: tuple[float, float], kind: str = "spoof-ramp", speed: float = 2.0) -> AttackScore:
    """An attack from 20 to 40 s, a ramp, on a GPS followed during the spans; a verdict was possible at 25 s."""

    def forged_m(t_ns: int) -> float:
        return max(t_ns / SECOND - 20.0, 0.0) * speed if 20.0 <= t_ns / SECOND < 40.0 else 0.0

    return score_attack(kind, speed, (ns(20.0), ns(40.0)), forged_m, followed(*spans), ns(25.0))


def test_left_in_time_and_taken_back() -> None:
    """Left 0.5 s after it was possible, forged by 11 m, followed again 12 s after the end."""
    score = scored((10.0, 25.5), (52.0, 99.0))
    assert score == AttackScore("spoof-ramp", 2.0, True, 500.0, 11.0, 0, 0, 12_000.0, 0.0, 0)


def test_followed_too_long_and_taken_back_too_early() -> None:
    """Positions that follow more than 30 m count before and after the GPS was left, and how far it was off then."""
    score = scored((10.0, 37.0), (38.0, 39.0))
    assert score.promotion_ms == 12_000.0
    assert score.moved_m == pytest.approx(34.0)
    assert score.followed == 19  # from 15.1 to 16.9 s of the ramp
    assert score.sent_on == 10
    assert score.readmitted_forged_m == pytest.approx(37.8)
    assert score.readmitted_ms is None


def test_never_left() -> None:
    """A GPS that is followed to the end of the ramp has no promotion and many forged positions."""
    score = scored((10.0, 99.0))
    assert (score.promotion_ms, score.moved_m, score.sent_on) == (None, None, 0)
    assert score.followed == 49


def test_not_in_use_when_the_attack_came() -> None:
    """Nothing to leave: no promotion is counted."""
    score = scored((52.0, 99.0))
    assert (score.taken, score.promotion_ms, score.moved_m) == (False, None, None)


def test_a_jammed_gps_leads_nobody_astray() -> None:
    """Following a receiver without a fix for some ticks is not following a forged position."""
    score = scored((10.0, 38.0), kind="jam")
    assert (score.followed, score.sent_on, score.moved_m) == (0, 0, None)
    assert score.promotion_ms == 13_000.0


def test_a_true_gps_that_is_left_is_a_false_alarm() -> None:
    """Before the attack, and well after it; what is left at the end of the attack is not counted."""
    assert scored((5.0, 10.0), (12.0, 22.0)).false_alarms == 1
    assert scored((10.0, 22.0), (45.0, 50.0)).false_alarms == 1
    assert scored((10.0, 22.0), (30.0, 40.5)).false_alarms == 0


def dark(**changes: object) -> list[Answer]:
    """A blackout from 10.5 s for 35 s: ticks with the ellipse growing by 1 m/s, everything as it should be."""
    out = []
    for k in range(600):
        t = k / 10
        blind = 10.0 < t <= 46.0
        label = SourceLabel.DEAD_RECKONED if 11.3 <= t < 46.2 else SourceLabel.SATELLITE_ANCHORED
        fix_type = 1 if 40.2 <= t < 46.2 else 2 if 40.1 <= t < 46.2 else 3
        major = 10.0 + (t - 10.0 if blind else 0.0)
        told: list[AidRecord | Alert] = []
        for at, name in ((13.0, RELOC_REQUEST), (40.2, BLACKOUT_FAILSAFE)):
            if t == at:
                told = [AidRecord(ns(t), "failsafe", (), (), (), (), 1.0, False, name), Alert(ns(t), 2, name)]
        state = replace(
            STATE, t_ns=ns(t), source_label=label, fix_type=fix_type, ellipse_semi_major_m=major,
            position_source=COMPANION,
        )  # fmt: skip
        out.append(Answer(ns(t), replace(state, **changes) if t == 30.0 else state, told))  # type: ignore[arg-type]
    return out


FRAMES = (ns(10.0), ns(11.0), ns(13.0), ns(46.0))
LIMITS = (100.0, 500.0, 30.0)


def test_a_blackout_as_it_should_be() -> None:
    """Each delay from its own condition: first dark frame, 30 s, three frames and 2 s, first bright frame."""
    score = score_blackout(35.0, FRAMES, dark(), lambda _state: (7.0, 0.0), LIMITS)
    assert score.dark_ms == pytest.approx(300.0)
    assert score.two_d_ms is None
    assert score.no_fix_ms == pytest.approx(100.0)
    assert (score.failsafe_told, score.in_order, score.shrunk_m <= 0.0) == (True, True, True)
    assert score.asked_ms == pytest.approx(0.0)
    assert score.seen_again_ms == pytest.approx(200.0)
    assert (score.error_m, score.ellipse_m, score.gps_followed) == (7.0, pytest.approx(46.0), 0)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"fix_type": 1}, "in_order"),
        ({"ellipse_semi_major_m": 29.0}, "shrunk_m"),
        ({"position_source": GPS}, "gps_followed"),
    ],
)
def test_what_is_wrong_in_a_blackout_shows(changes: dict[str, object], wrong: str) -> None:
    """A skipped step, an ellipse that shrinks, a forged GPS that is followed: each in its own figure."""
    good = score_blackout(35.0, FRAMES, dark(), lambda _state: (7.0, 0.0), LIMITS)
    bad = score_blackout(35.0, FRAMES, dark(**changes), lambda _state: (7.0, 0.0), LIMITS)
    assert getattr(good, wrong) != getattr(bad, wrong)


def test_inside_is_asked_of_the_ellipse_and_its_direction() -> None:
    """40 m off is inside an ellipse of 46 by 4 m along its length, and outside across it."""
    for offset_m, inside in (((0.0, 40.0), True), ((40.0, 0.0), False)):
        score = score_blackout(35.0, FRAMES, dark(), lambda _state, off=offset_m: off, LIMITS)  # type: ignore[misc]
        assert score.error_m == pytest.approx(40.0)
        assert score.inside_95 is inside
        assert campaign.blackout_figures([score])["inside_95"] == inside


def test_a_wide_ellipse_is_timed() -> None:
    """The step to 2D counts from the first position whose ellipse is beyond its limit."""
    score = score_blackout(35.0, FRAMES, dark(), lambda _state: (7.0, 0.0), (35.0, 500.0, 30.0))
    assert score.two_d_ms == pytest.approx(5_000.0)


def test_figures_of_no_attack_are_null_not_wrong() -> None:
    """Empty sets give zeros and nulls."""
    figures = campaign.attack_figures([])
    assert (figures["attacks"], figures["promotion_ms"]["max"], figures["readmitted_forged_m_max"]) == (0, None, 0.0)
    assert campaign.blackout_figures([])["error_m"]["max"] is None
    assert campaign.without_lists({"jam": figures, "cores": 2})["jam"].get("each") is None


@pytest.mark.parametrize("kind", ATTACKS)
def test_attacks_lie_inside_their_windows(kind: str) -> None:
    """True GPS for 25 s and more before and 15 s after; windows inside the flight; values as promised; seeded."""
    plan = attacks(kind, 3, 600.0, 25)
    assert plan == attacks(kind, 3, 600.0, 25)
    assert len({a.event.start_s for a in plan}) == 25
    for a in plan:
        assert a.from_s >= 10.0
        assert a.until_s == pytest.approx(a.from_s + WINDOW_S)
        assert a.until_s <= 600.0 + 1e-9
        assert a.from_s + 25.0 <= a.event.start_s
        assert a.event.end_s + 15.0 <= a.until_s
        assert a.forged_m(a.event.start_s - 0.1) == a.forged_m(a.event.end_s) == 0.0
        middle = a.forged_m((a.event.start_s + a.event.end_s) / 2)
        if kind == "jam":
            assert math.isinf(middle)
        elif kind == "spoof-jump":
            assert 300.0 <= middle <= 900.0
        else:
            assert 0.5 <= a.event.value <= 5.0
            assert 10.0 <= middle <= 30.1
    assert sum(a.hidden for a in plan) == (12 if kind == "spoof-ramp" else 0)


def test_blackouts_take_turns_with_sight_between() -> None:
    """5, 15, 35 s in turn, 9 s apart, inside the flight; another turn begins with another length."""
    first, second = blackouts(0, 0, 600.0), blackouts(0, 1, 600.0)
    lengths = [round(e.end_s - e.start_s, 6) for e in first]
    assert lengths[:4] == [5.0, 15.0, 35.0, 5.0]
    assert round(second[0].end_s - second[0].start_s, 6) == 15.0
    assert len(first) >= 18
    for before, after in itertools.pairwise(first):
        assert after.start_s - before.end_s == pytest.approx(9.0)
    assert first[-1].end_s <= 591.0
