"""The autopilot's clock on ours: late, jittered, restarted, jumping."""

from __future__ import annotations

import random

import pytest

from gps_denied_onboard.autopilot.mavlink.clock import ClockAlignment

MS = 1_000_000
OFFSET_NS = 3_600_000 * MS


def test_arrival_alone_is_late_by_the_least_latency() -> None:
    """Without TIMESYNC times are right to the link's least delay, and no jitter of the link reaches them."""
    rng = random.Random(1)
    clock = ClockAlignment()
    errors = []
    for k in range(2000):
        boot_ns = 20_000 * MS + k * 10 * MS
        now_ns = boot_ns + OFFSET_NS + 3 * MS + round(rng.expovariate(1 / 8) * MS)
        errors.append(clock.time_ns(boot_ns, now_ns) - boot_ns - OFFSET_NS)
    assert all(3 * MS <= error < 4 * MS for error in errors[200:])
    assert clock.answers == 0


def test_timesync_takes_out_the_latency() -> None:
    """Answers with a short way there and back bring the error well below a millisecond."""
    rng = random.Random(2)
    clock = ClockAlignment()
    for k in range(30):
        asked_ns = OFFSET_NS + 20_000 * MS + k * 1000 * MS
        there, back = (2 * MS + round(rng.expovariate(1 / 5) * MS) for _ in range(2))
        clock.on_answer(asked_ns, asked_ns + there - OFFSET_NS, asked_ns + there + back)
    boot_ns = 50_000 * MS
    t_ns = clock.time_ns(boot_ns, boot_ns + OFFSET_NS + 9 * MS)
    assert clock.answers == 30
    assert abs(t_ns - boot_ns - OFFSET_NS) < 1 * MS


def test_clocks_that_drift_stay_aligned() -> None:
    """An autopilot's clock that loses 50 us a second is followed for an hour to within some milliseconds."""
    clock = ClockAlignment()
    worst = 0
    for k in range(36_000):
        true_ns = k * 100 * MS
        boot_ns = 20_000 * MS + true_ns - true_ns * 50 // 1_000_000
        now_ns = 60_000 * MS + true_ns + (1 + k * 7 % 13) * MS
        worst = max(worst, abs(clock.time_ns(boot_ns, now_ns) - (60_000 * MS + true_ns)))
    assert worst < 6 * MS
    assert (clock.reboots, clock.clamped) == (0, 0)


def test_a_restart_begins_anew() -> None:
    """A clock that starts from zero is a restart: counted once, and its times are right at once."""
    clock = ClockAlignment()
    for k in range(100):
        clock.time_ns(500_000 * MS + k * 10 * MS, 1_000_000 * MS + k * 10 * MS)
    found = [clock.time_ns(800 * MS + k * 10 * MS, 1_020_000 * MS + k * 10 * MS) for k in range(100)]
    assert found == [1_020_000 * MS + k * 10 * MS for k in range(100)]
    assert clock.reboots == 1


@pytest.mark.parametrize("jump_ns", [5_000 * MS, 86_400_000 * MS, -900 * MS])
def test_a_jump_never_leads_into_the_future_or_the_far_past(jump_ns: int) -> None:
    """Whatever the autopilot's clock does, a time lies within two seconds before arrival, and never after it."""
    clock = ClockAlignment()
    for k in range(400):
        boot_ns = 20_000 * MS + k * 10 * MS + (jump_ns if k >= 200 else 0)
        now_ns = 90_000 * MS + k * 10 * MS
        assert now_ns - 2_000 * MS <= clock.time_ns(boot_ns, now_ns) <= now_ns
    assert clock.time_ns(boot_ns + 10 * MS, now_ns + 10 * MS) >= now_ns - 1000 * MS


def test_impossible_answers_do_not_count() -> None:
    """Answers to what was never asked, and those underway for more than a second, are passed over."""
    clock = ClockAlignment()
    clock.on_answer(5_000 * MS, 7 * MS, 4_000 * MS)
    clock.on_answer(5_000 * MS, 7 * MS, 6_500 * MS)
    assert clock.answers == 0
    assert clock.offset_ns is None


def test_the_residual_is_what_the_answers_leave_open() -> None:
    """Half of the shortest way there and back; asymmetric ways explain themselves and add nothing."""
    rng = random.Random(3)
    clock = ClockAlignment()
    assert clock.residual_ns is None
    shortest_ns = 1000 * MS
    for k in range(8):
        asked_ns = OFFSET_NS + 20_000 * MS + k * 1000 * MS
        there, back = (2 * MS + round(rng.expovariate(1 / 5) * MS) for _ in range(2))
        shortest_ns = min(shortest_ns, there + back)
        clock.on_answer(asked_ns, asked_ns + there - OFFSET_NS, asked_ns + there + back)
    assert clock.residual_ns == shortest_ns // 2


@pytest.mark.parametrize("lost_ms_a_second", [10, 100, -100])
def test_a_clock_that_wanders_shows_in_the_residual(lost_ms_a_second: int) -> None:
    """Whatever an even drift has made of the offset since the answer that is used, the residual covers it."""
    clock = ClockAlignment()
    rng = random.Random(4)
    for k in range(40):
        asked_ns = OFFSET_NS + 20_000 * MS + k * 1000 * MS
        way_ns = round((1 + rng.random()) * MS)
        lost_ns = k * lost_ms_a_second * MS
        clock.on_answer(asked_ns, asked_ns + way_ns - OFFSET_NS - lost_ns, asked_ns + 2 * way_ns)
        if k >= 8:
            assert clock.offset_ns is not None
            assert clock.residual_ns is not None
            assert abs(clock.offset_ns - OFFSET_NS - lost_ns) <= clock.residual_ns
