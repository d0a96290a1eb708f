"""What is told of pictures that are not used: one record each, an alert where it begins, and where it ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.messages import AidRecord, Alert, Estimate, Frame, OdometryStep, PoseFix
from gps_denied_onboard.odometry.picture_novelty import NotNew
from gps_denied_onboard.odometry.picture_watch import GOOD_AGAIN, LAG_HELD_S, PictureWatch

SECOND_NS = 1_000_000_000


def picture(noise: int, second: float) -> Frame:
    """A picture with its own noise."""
    image = np.random.default_rng(noise).integers(0, 255, (120, 160), dtype=np.uint8)
    return Frame(round(second * SECOND_NS), noise, image)


def test_run_of_repeated_pictures_is_told_once_and_its_end_too() -> None:
    """Five repeated pictures: five records, one alert; after some new ones one more alert that counts them."""
    watch = PictureWatch(200.0, (160, 120))
    used = [watch.on_frame(picture(1 if 1 <= k <= 6 else k, k), None, None) for k in range(7 + GOOD_AGAIN)]
    told = watch.take()
    assert used == [True, True, *[False] * 5, *[True] * GOOD_AGAIN]
    records = [t for t in told if isinstance(t, AidRecord)]
    assert [(r.source, r.accepted, NotNew.REPEATED.value in r.reason) for r in records] == [("frame", False, True)] * 5
    alerts = [t for t in told if isinstance(t, Alert)]
    assert [a.severity for a in alerts] == [4, 5]
    assert "5 were not used" in alerts[1].text
    assert watch.take() == []


def test_clock_that_stands_still_or_goes_back_is_refused() -> None:
    """A picture with the stamp of the one before, or an earlier one, is none; a clock that was set back is believed."""
    watch = PictureWatch(200.0, (160, 120))
    stamps = [10.0, 11.0, 11.0, 10.5, 12.0, 3.0, 4.0]
    assert [watch.on_frame(picture(k, s), None, None) for k, s in enumerate(stamps)] == [
        True, True, False, False, True, True, True,
    ]  # fmt: skip
    assert [NotNew.STAMP.value in t.reason for t in watch.take() if isinstance(t, AidRecord)] == [True, True]


def test_pictures_without_samples_pass() -> None:
    """A recording that is replayed without its pictures."""
    watch = PictureWatch(200.0, (160, 120))
    empty = np.zeros((0, 0), dtype=np.uint8)
    assert all(watch.on_frame(Frame(k * SECOND_NS, k, empty), None, None) for k in range(3))


def moving(t_s: float) -> Estimate:
    """A state that flies east at 18 m/s, known to 4 m."""
    covariance = np.diag([16.0, 16.0, 9.0, 0.1, 0.1, 0.1, 1e-4, 1e-4, 1e-4])
    return Estimate(
        round(t_s * SECOND_NS), np.array([18.0 * t_s, 0.0, 400.0]), np.array([18.0, 0.0, 0.0]), np.eye(3), np.eye(3),
        covariance, np.eye(3) * 1e-4, np.zeros(3), True,
    )  # fmt: skip


def step(second: int, east_m: float) -> OdometryStep:
    """The odometry from one second to the next."""
    return OdometryStep(
        (second - 1) * SECOND_NS, second * SECOND_NS, "ok", "", np.array([east_m, 0.0, 0.0]), 0.0, 0.0,
        np.eye(4), 1.0, 99, 90, 0.2, 400.0, 5.0, "tracks",
    )  # fmt: skip


def fix(second: int, ahead_m: float) -> PoseFix:
    """A map fix of the picture of a second, so far ahead of the state."""
    place = np.array([18.0 * second + ahead_m, 2.0, 400.0])
    return PoseFix(second * SECOND_NS, True, "", place, np.eye(3), np.eye(6), 50, 60, 0.5, False)


def late_watch() -> PictureWatch:
    """A watch that has just seen the pictures go back by two seconds."""
    watch = PictureWatch(200.0, (160, 120))
    for second in range(1, 7):
        assert watch.on_step(picture(second, second), step(second, 18.0), moving(second))
    assert not watch.on_step(picture(7, 7), step(7, -18.0), moving(7))
    return watch


def test_fix_of_a_late_picture_is_not_fused() -> None:
    """It lies two seconds of flight behind, as the lag has it: refused with a record, and so are the next."""
    watch = late_watch()
    watch.take()
    assert not watch.on_fix(fix(7, -36.0), moving(7))
    (record,) = watch.take()
    assert isinstance(record, AidRecord)
    assert (record.source, record.accepted) == ("fix", False)
    assert not watch.on_step(picture(8, 8), step(8, 18.0), moving(8))
    assert watch.on_fix(fix(5, 0.0), moving(5))  # that of a picture in time


def test_fixes_beyond_any_lag_are_those_of_a_wrong_state() -> None:
    """Two seconds of lag are 36 m; three fixes in a row 120 m off are fused, one alone between others is not."""
    watch = late_watch()
    off_m = (-120.0, -36.0, -120.0, -120.0, -120.0)
    for second, east_m in enumerate(off_m, 7):
        assert watch.on_fix(fix(second, east_m), moving(second)) == (second == 11)
        watch.on_step(picture(second + 1, second + 1), step(second + 1, 18.0), moving(second + 1))


def test_fix_of_a_picture_in_time_ends_a_row_of_fixes_beyond() -> None:
    """Two of a lag that is over do not help the first one of the next lag to be the third."""
    watch = late_watch()
    for second in range(8, 11):
        assert not watch.on_step(picture(second, second), step(second, 18.0), moving(second))
    assert not watch.on_fix(fix(7, -120.0), moving(7))
    assert not watch.on_fix(fix(8, -120.0), moving(8))
    assert watch.on_fix(fix(5, 0.0), moving(5))
    assert not watch.on_fix(fix(9, -120.0), moving(9))
    assert not watch.on_fix(fix(10, -120.0), moving(10))


def test_fix_where_the_state_is_refutes_a_lag() -> None:
    """The odometry's step was wrong, not the picture: its fix is fused, and the next picture is used again."""
    watch = late_watch()
    assert watch.on_fix(fix(7, 3.0), moving(7))
    assert watch.on_step(picture(8, 8), step(8, 18.0), moving(8))


def test_one_fix_between_others_refutes_no_lag_that_they_confirm() -> None:
    """A raw fix is off by ten metres and more: five as late as the lag has it outweigh one near the state, and one more
    only just. Pictures that are in time again are found out by a few of theirs."""
    watch = late_watch()
    off_m = (-36.0, -40.0, -30.0, -36.0, -38.0, -8.0, -36.0, -33.0)
    for second, east_m in enumerate(off_m, 7):
        assert not watch.on_fix(fix(second, east_m), moving(second))
        assert not watch.on_step(picture(second + 1, second + 1), step(second + 1, 18.0), moving(second + 1))
    used = [watch.on_fix(fix(second, 2.0), moving(second)) for second in range(15, 16)]
    assert used == [False]
    for second in range(16, 22):
        if watch.on_step(picture(second, second), step(second, 18.0), moving(second)):
            break
        watch.on_fix(fix(second, 2.0), moving(second))
    else:
        raise AssertionError("six fixes in time do not end the lag")


def test_a_lag_that_fixes_confirm_outlasts_its_hold() -> None:
    """Two minutes straight ahead, all pictures two seconds late: none is used, as long as their fixes show it."""
    watch = late_watch()
    for second in range(8, 128):
        assert not watch.on_step(picture(second, second), step(second, 18.0), moving(second))
        assert not watch.on_fix(fix(second, -36.0), moving(second))


def test_a_lag_that_nothing_speaks_for_is_let_go_with_a_doubt() -> None:
    """After a minute without fixes the pictures are used again: one step may have been wrong, or they are late."""
    watch = late_watch()
    used = [watch.on_step(picture(second, second), step(second, 18.0), moving(second)) for second in range(8, 90)]
    assert not any(used[: int(LAG_HELD_S)])
    assert all(used[int(LAG_HELD_S) :])
    assert watch.doubt_s == 2.0


def test_a_lag_is_let_go_where_the_state_is_wider_than_it() -> None:
    """Two seconds are 36 m: the fixes of a state known to 4 m wait, those of one known to 60 m are fused."""
    wide = [replace(moving(8), covariance=moving(8).covariance + 3600.0 * np.eye(9)), moving(8)]
    for state, used in zip(wide, (True, False), strict=True):
        watch = late_watch()
        assert watch.on_step(picture(8, 8), step(8, 18.0), state) is used
        assert watch.on_fix(fix(8, -30.0), state) is used
        assert (watch.doubt_s > 0.0) is used


def test_a_lag_of_a_few_metres_refuses_nothing() -> None:
    """At walking pace over the ground half a second is less than a fix's own error."""
    slow = replace(moving(7.0), velocity_enu_mps=np.array([5.0, 0.0, 0.0]))
    watch = PictureWatch(200.0, (160, 120))
    for second in range(1, 7):
        assert watch.on_step(picture(second, second), step(second, 5.0), slow)
    assert watch.on_step(picture(7, 7), step(7, 0.1), slow)


def test_a_step_is_not_called_late_for_what_its_own_error_explains() -> None:
    """Shorter by 60 % at 10 m/s: a step known to 0.3 m shows a late picture, one known to 3 m does not."""
    calm = replace(moving(7.0), velocity_enu_mps=np.array([10.0, 0.0, 0.0]))
    for sigma_m, used in ((0.3, False), (3.0, True)):
        watch = PictureWatch(200.0, (160, 120))
        covariance = np.diag([sigma_m**2, sigma_m**2, 0.1, 1e-4])
        for second in range(1, 7):
            assert watch.on_step(picture(second, second), step(second, 10.0), calm)
        short = replace(step(7, 4.0), covariance=covariance)
        assert watch.on_step(picture(7, 7), short, calm) is used


def test_swapped_pictures_are_refused_whatever_their_steps_add_up_to() -> None:
    """Pairs the wrong way round, and one step of them a second too short: the sum then says of every other picture
    that it is in time, and none is used all the same."""
    watch = PictureWatch(200.0, (160, 120))
    for second in range(1, 7):
        assert watch.on_step(picture(second, second), step(second, 18.0), moving(second))
    ways_m = [36.0, -18.0, 54.0, 0.0, 54.0, -18.0, 54.0, -18.0, 54.0, -18.0, 54.0]
    used = [watch.on_step(picture(k, k), step(k, way_m), moving(k)) for k, way_m in enumerate(ways_m, 7)]
    assert used == [False] * len(ways_m)


def test_pictures_that_seem_newer_than_their_stamps_are_in_time_and_those_before_were_late() -> None:
    """A long step, and the usual ones after it: after three of them pictures are used, and what late ones may have done
    is doubted."""
    watch = PictureWatch(200.0, (160, 120))
    used = [watch.on_step(picture(k, k), step(k, 54.0 if k == 6 else 18.0), moving(k)) for k in range(1, 12)]
    assert used == [*[True] * 5, *[False] * 3, *[True] * 3]
    assert watch.doubt_s == pytest.approx(2.0)
