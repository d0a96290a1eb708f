"""The native equations of a camera's pose are those of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from gps_denied_onboard._native import pose_equations
from gps_denied_onboard.geometry.rotations import exp_rotation
from gps_denied_onboard.messages import FloatArray

TUKEY = 4.685
NOISE = 2e-3


def residuals(p: FloatArray, r: FloatArray, bearing: FloatArray, ground: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(N, 2) normalised-image residuals (predicted - seen) and (N, 2, 6) Jacobian for (position, rotation left)."""
    relative = ground - p
    c = relative @ r
    z = np.maximum(c[:, 2], 1e-3)
    residual = c[:, :2] / z[:, None] - bearing
    d_pixel = np.zeros((len(c), 2, 3))
    d_pixel[:, 0, 0] = d_pixel[:, 1, 1] = 1.0 / z
    d_pixel[:, 0, 2] = -c[:, 0] / z**2
    d_pixel[:, 1, 2] = -c[:, 1] / z**2
    # c = R^T (g - p); R -> exp(e) R gives c -> R^T exp(-e) (g - p), so dc/de = R^T [g - p]x.
    d_position = -np.broadcast_to(r.T, (len(c), 3, 3))
    cross = np.zeros((len(c), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -relative[:, 2], relative[:, 1], -relative[:, 0]
    cross[:, 1, 0], cross[:, 2, 0], cross[:, 2, 1] = relative[:, 2], -relative[:, 1], relative[:, 0]
    d_rotation = np.einsum("ij,njk->nik", r.T, cross)
    jacobian = np.concatenate([d_pixel @ d_position, d_pixel @ d_rotation], axis=2)
    return residual, jacobian


def seen(count: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """A pose, and bearings of ground points that fit it to twice the noise; each fourth is of another point."""
    rng = np.random.default_rng(3)
    p = np.array([120.0, -40.0, 310.0])
    r = exp_rotation(np.array([0.1, -0.15, 0.8])) @ np.diag([1.0, -1.0, -1.0])
    ground = np.column_stack(
        [rng.uniform(0.0, 250.0, count), rng.uniform(-150.0, 80.0, count), rng.normal(0, 3, count)]
    )
    bearing = residuals(p, r, np.zeros((count, 2)), ground)[0] + rng.normal(0.0, 2.0 * NOISE, (count, 2))
    bearing[::4] += rng.uniform(-0.2, 0.2, bearing[::4].shape)
    return p, r, bearing, ground


@pytest.mark.parametrize("count", [5, 64, 301])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_as_in_numpy(count: int, scale: float) -> None:
    """Weights, information and gradient, whatever part of the points agrees."""
    p, r, bearing, ground = seen(count)
    residual, jacobian = residuals(p, r, bearing, ground)
    u = np.linalg.norm(residual, axis=1) / (TUKEY * NOISE * scale)
    weight = np.where(u < 1.0, (1.0 - np.minimum(u, 1.0) ** 2) ** 2, 0.0)
    w = (weight / NOISE**2)[:, None, None]
    information, gradient, agreeing = pose_equations(p, r, bearing, ground, NOISE, TUKEY * NOISE * scale)
    wanted = np.einsum("nki,nkj->ij", jacobian * w, jacobian)
    assert information == pytest.approx(wanted, rel=1e-9, abs=1e-9 * np.abs(wanted).max())
    wanted = np.einsum("nki,nk->i", jacobian * w, residual)
    assert gradient == pytest.approx(wanted, rel=1e-9, abs=1e-9 * np.abs(wanted).max())
    assert agreeing == np.count_nonzero(weight > 0.1)


def test_a_point_that_is_no_number_counts_for_nothing() -> None:
    """Its bearing is not known: the equations are those of the others."""
    p, r, bearing, ground = seen(40)
    bearing[3] = np.nan
    kept = np.arange(40) != 3
    found = pose_equations(p, r, bearing, ground, NOISE, TUKEY * NOISE)
    wanted = pose_equations(p, r, bearing[kept], ground[kept], NOISE, TUKEY * NOISE)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_of_other_points_is_refused() -> None:
    """Fewer ground points than bearings, or bearings that are no pairs, raise ValueError."""
    p, r, bearing, ground = seen(8)
    with pytest.raises(ValueError, match="all of them"):
        pose_equations(p, r, bearing, ground[:-1], NOISE, NOISE)
    with pytest.raises(ValueError, match="all of them"):
        pose_equations(p, r, bearing[:, 0], ground, NOISE, NOISE)
