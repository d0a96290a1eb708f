"""What a map fix is doubted by beyond its own covariance: learned size and correlation of the fixes' innovations."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.fusion.fix_noise import FixNoise
from gps_denied_onboard.messages import FloatArray

STEP_M, HEIGHT_M = 15.0, 350.0
UNIT = np.ones(6)
OWN = np.diag([25.0**2] * 3 + [0.04**2] * 3)
GAIN = 0.2 * np.eye(6)


def factor_after(innovations: FloatArray, step_m: float = STEP_M, own_share: float = 1.0) -> float:
    """The factor after (N, 6) innovations of variance 1, `step_m` apart."""
    noise = FixNoise(FusionConfig())
    for i, innovation in enumerate(innovations):
        noise.learn(innovation, UNIT, float(innovation @ innovation), own_share, i * step_m, HEIGHT_M)
        noise.fused(i * step_m, OWN, GAIN)
    return noise.factor(len(innovations) * step_m, HEIGHT_M)


def test_fixes_that_are_better_than_they_say_are_taken_as_they_are() -> None:
    """Innovations of a tenth of the variance, as over ground with texture: nothing is added."""
    rng = np.random.default_rng(1)
    assert factor_after(0.3 * rng.standard_normal((40, 6))) == 1.0


def test_fixes_that_share_their_error_count_less_than_independent_ones() -> None:
    """Errors as large as claimed: many times the variance where they last over fixes, a few times else."""
    rng = np.random.default_rng(2)
    white = rng.standard_normal((60, 6))
    lasting = np.empty_like(white)
    lasting[0] = white[0]
    for k in range(1, len(white)):
        lasting[k] = 0.8 * lasting[k - 1] + 0.6 * white[k]
    assert factor_after(white) < 5.0
    assert factor_after(lasting) > 1.5 * factor_after(white)


def test_what_lasts_over_other_ground_is_not_the_fixes() -> None:
    """Innovations that lie on one side for kilometres are of a wrong state: fixes are not doubted for them, but for
    what they scatter around it."""
    rng = np.random.default_rng(9)
    scatter = 0.5 * rng.standard_normal((200, 6))
    on_one_side = np.array([1.5, -1.2, 0.0, 1.5, 1.2, 0.0]) + scatter
    assert factor_after(on_one_side, step_m=25.0) < 2.0
    assert factor_after(on_one_side[:12], step_m=25.0) > 5.0


def test_fixes_that_are_worse_than_they_say_are_doubted_by_as_much() -> None:
    """Twice the sigma that they claim, independent and of other ground each: about four times the variance."""
    rng = np.random.default_rng(3)
    assert factor_after(2.0 * rng.standard_normal((60, 6)), step_m=500.0) == pytest.approx(4.0, rel=0.5)


def test_a_state_that_knows_little_teaches_nothing_of_the_fixes() -> None:
    """Innovations whose variance is the state's alone leave the factor as it was."""
    rng = np.random.default_rng(4)
    large = factor_after(9.0 * rng.standard_normal((40, 6)), own_share=0.0)
    assert large == factor_after(np.zeros((40, 6)), own_share=0.0)


@pytest.mark.parametrize(("told", "meant"), [(2.0, 1.0), (-1.0, 0.0)])
def test_a_share_is_at_most_all_and_at_least_nothing(told: float, meant: float) -> None:
    """What rounding makes of a share beyond its limits teaches as much as the limit."""
    rng = np.random.default_rng(8)
    fixes = 2.0 * rng.standard_normal((20, 6))
    assert factor_after(fixes, own_share=told) == factor_after(fixes, own_share=meant)


def test_numbers_that_are_none_are_passed_over() -> None:
    """A NaN, an infinite innovation, a variance of nothing: nothing is learned."""
    noise = FixNoise(FusionConfig())
    for _ in range(60):
        noise.missed()  # now whatever is learned moves the factor
    noise.fused(0.0, OWN, GAIN)
    before = noise.factor(STEP_M, HEIGHT_M)
    assert before > 2.0
    nothing = np.zeros(0)
    noise.learn(np.full(6, np.nan), UNIT, 6.0, 1.0, STEP_M, HEIGHT_M)
    noise.learn(np.full(6, np.inf), np.full(6, np.inf), 6.0, 1.0, STEP_M, HEIGHT_M)
    noise.learn(UNIT, UNIT, np.nan, 1.0, STEP_M, HEIGHT_M)
    noise.learn(UNIT, np.zeros(6), 6.0, 1.0, STEP_M, HEIGHT_M)
    noise.learn(nothing, nothing, 0.0, 1.0, STEP_M, HEIGHT_M)
    assert noise.factor(STEP_M, HEIGHT_M) == before


def test_without_a_fix_before_nothing_is_shared() -> None:
    """Fixes that are what they claim, the first of them over its own ground: as they are, to a hundredth."""
    noise = FixNoise(FusionConfig())
    for _ in range(60):
        noise.missed()
    assert noise.factor(0.0, HEIGHT_M) == pytest.approx(1.0, abs=0.01)


def test_a_new_start_is_as_the_first() -> None:
    """After it the same fixes give the same factor and the same shared part as from the beginning."""
    rng = np.random.default_rng(7)
    fixes = 1.5 * rng.standard_normal((20, 6))
    noise = FixNoise(FusionConfig())
    found = []
    for _ in range(2):
        for k, innovation in enumerate(fixes):
            noise.learn(innovation, UNIT, float(innovation @ innovation), 1.0, k * STEP_M, HEIGHT_M)
            noise.fused(k * STEP_M, OWN, GAIN)
        found.append((noise.factor(20 * STEP_M, HEIGHT_M), *noise.common_m2.ravel()))
        noise.forget()
    assert found[0] == found[1]


def test_after_a_new_start_the_past_is_forgotten() -> None:
    """What a wrong state said of the fixes is not held against them by the right one."""
    noise = FixNoise(FusionConfig())
    for k in range(30):
        noise.learn(3.0 * UNIT, UNIT, 54.0, 1.0, k * STEP_M, HEIGHT_M)
        noise.fused(k * STEP_M, OWN, GAIN)
    assert noise.factor(30 * STEP_M, HEIGHT_M) > 9.0
    noise.forget()
    assert noise.factor(30 * STEP_M, HEIGHT_M) == 1.0


def test_fixes_that_differ_much_are_taken_to_share_a_part_of_it() -> None:
    """The position's own covariance grows with fixes that scatter, not with those of ground with texture."""
    rng = np.random.default_rng(5)
    common_m = []
    for size in (0.3, 1.2):
        noise = FixNoise(FusionConfig())
        for k, innovation in enumerate(size * rng.standard_normal((60, 6))):
            noise.learn(innovation, UNIT, float(innovation @ innovation), 1.0, k * STEP_M, HEIGHT_M)
            noise.fused(k * STEP_M, OWN, GAIN)
        common_m.append(float(np.sqrt(noise.common_m2[0, 0])))
    assert common_m[0] < 1.0
    assert 5.0 < common_m[1] < 25.0


def shared_m(gains: list[float]) -> float:
    """Sigma of the position's part in the fixes' shared error after a fix of each gain, all of them poor."""
    noise = FixNoise(FusionConfig())
    rng = np.random.default_rng(6)
    for k, gain in enumerate(gains):
        innovation = 1.5 * rng.standard_normal(6)
        noise.learn(innovation, UNIT, float(innovation @ innovation), 1.0, k * STEP_M, HEIGHT_M)
        noise.fused(k * STEP_M, OWN, gain * np.eye(6))
    return float(np.sqrt(noise.common_m2[0, 0]))


def test_a_pose_that_does_not_follow_the_fixes_shares_nothing_of_their_error() -> None:
    """What is known better from elsewhere stays that; the less is followed, the less is shared."""
    assert shared_m([0.0] * 30) == 0.0
    assert 0.0 < shared_m([0.01] * 30) < 0.5 * shared_m([0.3] * 30)


def test_what_the_first_fixes_shared_stays_when_later_ones_are_not_followed() -> None:
    """A mount that the first fixes told keeps their error; fixes of other ground that are followed average it out."""
    first = [0.9] * 4
    assert shared_m([*first, *[0.0] * 30]) > 5.0
    assert shared_m([*first, *[0.05] * 200]) < 0.7 * shared_m([*first, *[0.0] * 200])


def test_pictures_that_were_not_found_make_the_next_fixes_doubted() -> None:
    """Ground of which nothing is found is none with texture: its fixes are taken as no better than they say."""
    noise = FixNoise(FusionConfig())
    noise.fused(0.0, OWN, GAIN)
    assert noise.common_m2[0, 0] == 0.0
    before = noise.factor(STEP_M, HEIGHT_M)
    for _ in range(40):
        noise.missed()
    assert noise.common_m2[0, 0] > 1.0
    assert noise.factor(STEP_M, HEIGHT_M) == pytest.approx(before / 0.3, rel=0.05)
