"""What a map fix is doubted by beyond its own covariance: learned size and correlation of the fixes' innovations."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.fusion.fix_noise import FixNoise
from gps_denied_onboard.messages import FloatArray

STEP_M, HEIGHT_M = 15.0, 350.0
UNIT = np.ones(6)
OWN_M2 = 25.0**2 * np.eye(2)


def factor_after(innovations: FloatArray, step_m: float = STEP_M, own_share: float = 1.0) -> float:
    """The factor after (N, 6) innovations of variance 1, `step_m` apart."""
    noise = FixNoise(FusionConfig())
    for i, innovation in enumerate(innovations):
        noise.learn(innovation, UNIT, float(innovation @ innovation), own_share)
        noise.fused(i * step_m, OWN_M2)
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


def test_fixes_that_are_worse_than_they_say_are_doubted_by_as_much() -> None:
    """Twice the sigma that they claim, independent and of other ground each: about four times the variance."""
    rng = np.random.default_rng(3)
    assert factor_after(2.0 * rng.standard_normal((60, 6)), step_m=500.0) == pytest.approx(4.0, rel=0.5)


def test_a_state_that_knows_little_teaches_nothing_of_the_fixes() -> None:
    """Innovations whose variance is the state's alone leave the factor as it was."""
    rng = np.random.default_rng(4)
    large = factor_after(9.0 * rng.standard_normal((40, 6)), own_share=0.0)
    assert large == factor_after(np.zeros((40, 6)), own_share=0.0)


def test_numbers_that_are_none_are_passed_over() -> None:
    """A NaN, an infinite innovation, a variance of nothing: nothing is learned."""
    noise = FixNoise(FusionConfig())
    before = noise.factor(0.0, HEIGHT_M)
    nothing = np.zeros(0)
    noise.learn(np.full(6, np.nan), UNIT, 6.0, 1.0)
    noise.learn(np.full(6, np.inf), np.full(6, np.inf), 6.0, 1.0)
    noise.learn(UNIT, UNIT, np.nan, 1.0)
    noise.learn(UNIT, np.zeros(6), 6.0, 1.0)
    noise.learn(nothing, nothing, 0.0, 1.0)
    assert noise.factor(0.0, HEIGHT_M) == before


def test_after_a_new_start_the_past_is_forgotten() -> None:
    """What a wrong state said of the fixes is not held against them by the right one."""
    noise = FixNoise(FusionConfig())
    for k in range(30):
        noise.learn(3.0 * UNIT, UNIT, 54.0, 1.0)
        noise.fused(k * STEP_M, OWN_M2)
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
            noise.learn(innovation, UNIT, float(innovation @ innovation), 1.0)
            noise.fused(k * STEP_M, OWN_M2)
        common_m.append(float(np.sqrt(noise.common_m2[0, 0])))
    assert common_m[0] < 1.0
    assert 5.0 < common_m[1] < 25.0
