"""Continuous turbulence: Dryden's shaping filters as MIL-F-8785C (3.7.2, 3.7.3) and MIL-HDBK-1797 give them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.messages import FloatArray

FOOT_M = 0.3048
KNOT_MPS = 1852.0 / 3600.0
LOW_ALTITUDE_M, MEDIUM_ALTITUDE_M = 1000.0 * FOOT_M, 2000.0 * FOOT_M
MEDIUM_SCALE_M = 1750.0 * FOOT_M
"""Length of scale of all axes above 2000 ft."""
WIND_20FT_MPS = (30.0 * KNOT_MPS, 45.0 * KNOT_MPS)
"""Wind at 20 ft, moderate and severe (MIL-F-8785C figure 10): 0.1 of it is sigma_w below 1000 ft."""
MEDIUM_SIGMA_MPS = (9.6 * FOOT_M, 17.6 * FOOT_M)
"""Sigma at 1750 ft with probabilities of exceedance of 1e-3, moderate, and 1e-5, severe (MIL-F-8785C figure 7)."""
WARM_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class DrydenAir:
    """Standard deviations in m/s and lengths of scale in m along (u), across (v) and vertical (w)."""

    sigma_u_mps: float
    sigma_v_mps: float
    sigma_w_mps: float
    scale_u_m: float
    scale_v_m: float
    scale_w_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Turbulence:
    """Air that moves past the aircraft, each step: `velocity_mps` (N, 3) forward, right, down along its heading, and
    `rate_radps` (N, 3) the roll, pitch and yaw that the gusts' gradient over the wing asks for."""

    velocity_mps: FloatArray
    rate_radps: FloatArray


def dryden_air(height_m: float, severity: float) -> DrydenAir:
    """Turbulence at a height above the ground; `severity` 0 is moderate, 1 severe.

    Below 1000 ft the low-altitude model, above 2000 ft the medium-altitude one, between them linear.
    """
    wind_20ft = WIND_20FT_MPS[0] + severity * (WIND_20FT_MPS[1] - WIND_20FT_MPS[0])
    medium = MEDIUM_SIGMA_MPS[0] + severity * (MEDIUM_SIGMA_MPS[1] - MEDIUM_SIGMA_MPS[0])
    low_m = min(max(height_m, 3.0), LOW_ALTITUDE_M)
    factor = 0.177 + 0.000823 * low_m / FOOT_M
    sigma_w = 0.1 * wind_20ft
    sigma_u, scale_u, scale_w = sigma_w / factor**0.4, low_m / factor**1.2, low_m
    above = min(max((height_m - LOW_ALTITUDE_M) / (MEDIUM_ALTITUDE_M - LOW_ALTITUDE_M), 0.0), 1.0)
    sigma_u, sigma_w = (s + above * (medium - s) for s in (sigma_u, sigma_w))
    scale_u, scale_w = (s + above * (MEDIUM_SCALE_M - s) for s in (scale_u, scale_w))
    return DrydenAir(sigma_u, sigma_u, sigma_w, scale_u, scale_u, scale_w)


def turbulence(
    rng: np.random.Generator, air: DrydenAir, speed_mps: float, span_m: float, count: int, dt_s: float
) -> Turbulence:
    """(count) steps of frozen turbulence flown through at `speed_mps`; the wing's span filters its gradient."""
    extra = round(WARM_UP_S / dt_s)
    total = count + extra
    tau_u, tau_v, tau_w = (s / speed_mps for s in (air.scale_u_m, air.scale_v_m, air.scale_w_m))
    roll_tau = 4.0 * span_m / (math.pi * speed_mps)
    sigma_p = air.sigma_w_mps * math.sqrt(
        math.pi * 0.8 / speed_mps * (math.pi / (4.0 * span_m)) ** (1.0 / 3.0) / air.scale_w_m ** (2.0 / 3.0)
        / (2.0 * roll_tau)
    )  # fmt: skip
    root3 = math.sqrt(3.0)
    u = _shaped(rng, ([1.0], [tau_u, 1.0]), air.sigma_u_mps, total, dt_s)
    v = _shaped(rng, ([root3 * tau_v, 1.0], [tau_v**2, 2.0 * tau_v, 1.0]), air.sigma_v_mps, total, dt_s)
    w = _shaped(rng, ([root3 * tau_w, 1.0], [tau_w**2, 2.0 * tau_w, 1.0]), air.sigma_w_mps, total, dt_s)
    p = _shaped(rng, ([1.0], [roll_tau, 1.0]), sigma_p, total, dt_s)
    q = _gradient(w, speed_mps, roll_tau, dt_s)
    r = _gradient(v, -speed_mps, 3.0 * span_m / (math.pi * speed_mps), dt_s)
    return Turbulence(np.stack([u, v, w], axis=1)[extra:], np.stack([p, q, r], axis=1)[extra:])


def _shaped(
    rng: np.random.Generator, transfer: tuple[list[float], list[float]], sigma: float, count: int, dt_s: float
) -> FloatArray:
    """White noise through a continuous filter (Tustin), scaled to the standard deviation of the stationary output."""
    from scipy.linalg import solve_discrete_lyapunov
    from scipy.signal import cont2discrete, lfilter, tf2ss

    numerator, denominator, _ = cont2discrete(transfer, dt_s, method="bilinear")
    a, b, c, d = tf2ss(numerator, denominator)
    state = solve_discrete_lyapunov(a, b @ b.T)
    variance = float((c @ state @ c.T + d @ d.T)[0, 0])
    noise = rng.standard_normal(count) * (sigma / math.sqrt(variance))
    return np.asarray(lfilter(numerator.ravel(), denominator, noise))


def _gradient(gust: FloatArray, speed_mps: float, tau_s: float, dt_s: float) -> FloatArray:
    """(s / V) / (1 + tau s) of a gust: its slope along the flight path, as far as the aircraft's size feels it."""
    from scipy.signal import cont2discrete, lfilter

    numerator, denominator, _ = cont2discrete(([1.0 / speed_mps, 0.0], [tau_s, 1.0]), dt_s, method="bilinear")
    return np.asarray(lfilter(numerator.ravel(), denominator, gust))
