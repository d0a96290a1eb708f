"""The rule by which refused fixes vouch for one another."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_onboard.fusion.consistency import PendingFix, agreeing

from .synthetic import SECOND_NS


def held(
    t_s: float, state_e: float, offset: tuple[float, float], sigma_m: float = 3.0, turned_deg: float = 0.0
) -> PendingFix:
    state = np.array([state_e, 0.0, 500.0])
    position = state + np.array([offset[0], offset[1], 0.0])
    turned = np.radians([0.0, 0.0, turned_deg])
    turned_rad2 = np.diag(np.radians([2.0, 2.0, 0.4]) ** 2)
    return PendingFix(round(t_s * SECOND_NS), position, np.eye(3) * sigma_m**2, state, 0.5, turned, turned_rad2)


@pytest.mark.parametrize(
    ("offsets", "count"),
    [
        ([(900.0, 0.0)], 1),
        ([(900.0, 0.0), (903.0, 2.0), (898.0, -2.0)], 3),
        ([(900.0, 0.0), (500.0, 0.0), (903.0, 1.0)], 2),
        ([(900.0, 0.0), (905.0, 0.0), (-300.0, 50.0)], 1),
        ([(900.0, 0.0), (940.0, 0.0)], 1),
    ],
)
def test_fixes_agree_when_their_offset_from_the_state_is_the_same(
    offsets: list[tuple[float, float]], count: int
) -> None:
    """Counted are those that differ from the last one by no more than noise and drift."""
    fixes = [held(float(k), 17.0 * k, offset) for k, offset in enumerate(offsets)]
    assert len(agreeing(fixes, 0.05, 16.0)) == count


def test_a_long_way_between_fixes_allows_more() -> None:
    """Drift of a few per cent of the way between two fixes is allowed."""
    fixes = [held(0.0, 0.0, (0.0, 0.0)), held(40.0, 680.0, (60.0, 0.0))]
    assert len(agreeing(fixes, 0.05, 16.0)) == 2
    assert len(agreeing([held(0.0, 0.0, (0.0, 0.0)), held(1.0, 17.0, (60.0, 0.0))], 0.05, 16.0)) == 1
    assert agreeing([], 0.05, 16.0) == []


def test_fixes_agree_when_they_are_turned_alike() -> None:
    """Off by 9 degrees from a heading that is wrong all of them are; of another moment in a turn each is otherwise."""
    alike = [held(float(k), 17.0 * k, (900.0, 0.0), turned_deg=9.0 + 0.3 * k) for k in range(4)]
    assert len(agreeing(alike, 0.05, 16.0)) == 4
    turning = [held(float(k), 17.0 * k, (900.0, 0.0), turned_deg=turned) for k, turned in enumerate((-4, 13, 12, 4))]
    assert len(agreeing(turning, 0.05, 16.0)) == 1
