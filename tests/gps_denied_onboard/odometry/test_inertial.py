"""What the IMU's samples say between two pictures, on motion that is known."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_onboard.geometry.rotations import exp_rotation, log_rotation
from gps_denied_onboard.messages import FloatArray, ImuSample
from gps_denied_onboard.odometry.inertial import BIAS_FLOOR_RADPS, GyroBias, ImuBuffer, preintegrate

STEP_NS = 10_000_000
STILL = np.zeros(3)


def samples(count: int, accel: FloatArray, gyro: FloatArray, t0_ns: int = 0) -> list[ImuSample]:
    """An IMU at 100 Hz that says the same all the time."""
    force, rate = tuple(accel.tolist()), tuple(gyro.tolist())
    return [ImuSample(t0_ns + k * STEP_NS, force, rate) for k in range(count)]


def test_a_steady_turn() -> None:
    """The body's turn is the rate times the time, and a force is turned with it."""
    rate = np.array([0.0, 0.0, 0.5])
    moved = preintegrate(samples(101, np.array([2.0, 0.0, 0.0]), rate), 0, 1_000_000_000, STILL)
    assert log_rotation(moved.rotation) == pytest.approx(rate, abs=1e-9)
    turned = np.linspace(0.0, 1.0, 20001)
    force = 2.0 * np.stack([np.cos(0.5 * turned), np.sin(0.5 * turned)])
    expected = (force * (1.0 - turned)).sum(axis=1) * (turned[1] - turned[0])
    assert moved.position_m[:2] == pytest.approx(expected, abs=0.01)


def test_pictures_between_samples() -> None:
    """Of the first and the last sample only the part between the pictures counts, and the last holds on beyond it."""
    moved = preintegrate(samples(11, np.array([0.0, 3.0, 0.0]), STILL), 4_000_000, 108_000_000, STILL)
    assert moved.position_m == pytest.approx([0.0, 0.5 * 3.0 * 0.104**2, 0.0])


def test_a_bias_is_taken_out() -> None:
    """The gyroscope's bias turns nothing where it is told."""
    bias = np.array([0.01, -0.02, 0.03])
    moved = preintegrate(samples(101, STILL, bias), 0, 1_000_000_000, bias)
    assert log_rotation(moved.rotation) == pytest.approx(STILL, abs=1e-12)


def test_samples_around_two_pictures() -> None:
    """They begin before the first picture."""
    buffer = ImuBuffer()
    for sample in samples(200, STILL, STILL):
        buffer.add(sample)
    found = buffer.between(1_003_000_000, 1_503_000_000)
    assert found[0].t_ns <= 1_003_000_000
    assert found[-1].t_ns >= 1_503_000_000


@pytest.mark.parametrize(("first", "hole"), [(120, 0), (0, 15)])
def test_a_hole_in_the_samples(first: int, hole: int) -> None:
    """Samples that begin too late, or stop for more than a tenth of a second, are not given."""
    buffer = ImuBuffer()
    for k, sample in enumerate(samples(200, STILL, STILL)):
        if k >= first and not 130 <= k < 130 + hole:
            buffer.add(sample)
    assert buffer.between(1_003_000_000, 1_503_000_000) == []


def test_the_gyroscopes_bias_beside_the_attitude() -> None:
    """It is found from attitudes that err, and its sigma says how well."""
    rng = np.random.default_rng(5)
    true, sigma_rad = np.array([0.002, -0.004, 0.003]), 0.005
    bias = GyroBias(0.006)
    assert bias.sigma_radps == 0.006
    errors = rng.normal(0.0, sigma_rad, (61, 3))
    attitudes = [exp_rotation(np.array([0.0, 0.0, 0.1 * k])) @ exp_rotation(errors[k]) for k in range(61)]
    for k in range(60):
        turn = preintegrate(samples(101, STILL, np.array([0.0, 0.0, 0.1]) + true), 0, 1_000_000_000, STILL)
        bias.watch(turn, attitudes[k], attitudes[k + 1], 1.0, sigma_rad)
    assert BIAS_FLOOR_RADPS < bias.sigma_radps < 0.0006
    assert np.abs(bias.bias_radps - true).max() < 4.0 * bias.sigma_radps
