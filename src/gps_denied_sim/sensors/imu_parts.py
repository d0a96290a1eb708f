"""What data sheets say of IMUs that flight controllers carry, and how such a part errs: warming, shaken, at rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.sensors.error_table import SensorError
from gps_denied_sim.vehicle.airframe import GRAVITY_MPS2

WARM_UP_S = (90.0, 300.0)
"""Time constants of a small flight controller that warms itself: an assumption, from thin boards to boxed ones."""
DRAUGHT_K_PER_ROOT_S = 0.03
"""Random walk of the part's temperature in moving air: an assumption, 0.7 K in ten minutes."""
FILTER_HZ = 20.0
"""ArduPilot's INS_ACCEL_FILTER and INS_GYRO_FILTER, of second order."""
FLICKER_TIMES_S = (1.0, 10.0, 100.0, 1000.0)
"""Bias instability is flicker noise: equal parts a decade apart look alike over all of them."""
TURNS_WANDER = 0.02
"""How much the propeller's frequency wanders with gusts, share: an assumption."""


@dataclass(frozen=True, slots=True)
class ImuPart:
    """Typical figures: change of offset with temperature, white noise, and a third of the scale's tolerance."""

    name: str
    source: str
    gyro_dps_per_k: float
    gyro_noise_dps_per_root_hz: float
    accel_mg_per_k: float
    accel_noise_ug_per_root_hz: float
    gyro_scale_sigma: float


PARTS = (
    ImuPart("BMI088", "Bosch Sensortec BST-BMI088-DS001, tables 2 and 3", 0.015, 0.014, 0.2, 175.0, 0.0033),
    ImuPart("ICM-42688-P", "TDK InvenSense DS-000347, tables 1 and 2", 0.005, 0.0028, 0.15, 70.0, 0.0017),
    ImuPart("MPU-6000", "InvenSense PS-MPU-6000A-00, 6.1 and 6.2 (range as a slope)", 0.16, 0.005, 0.5, 400.0, 0.01),
)  # fmt: skip


def warm_up_errors(
    rng: np.random.Generator, warming_k: float, count: int, dt_s: float
) -> tuple[FloatArray, FloatArray, ImuPart]:
    """Errors (count, 3) of accelerometer in m/s2 and gyroscope in rad/s of a part that still warms by `warming_k`.

    Nought at the start, where the autopilot calibrated; then offset = slope times temperature, and the part's noise.
    `warming_k` 0: warm already, only the air's draught changes its temperature.
    """
    part = PARTS[int(rng.integers(len(PARTS)))]
    time_s = float(rng.uniform(*WARM_UP_S))
    t_s = np.arange(count) * dt_s
    draught = np.cumsum(rng.standard_normal(count)) * DRAUGHT_K_PER_ROOT_S * math.sqrt(dt_s)
    warmer_k = warming_k * (1.0 - np.exp(-t_s / time_s)) + draught
    slopes = rng.uniform(0.3, 1.0, (2, 3)) * rng.choice([-1.0, 1.0], (2, 3))
    root = math.sqrt(1.0 / dt_s)
    accel_unit, gyro_unit = 1e-3 * GRAVITY_MPS2, math.radians(1.0)
    accel = warmer_k[:, None] * slopes[0] * part.accel_mg_per_k * accel_unit
    accel = accel + rng.standard_normal((count, 3)) * part.accel_noise_ug_per_root_hz * 1e-3 * accel_unit * root
    gyro = warmer_k[:, None] * slopes[1] * part.gyro_dps_per_k * gyro_unit
    gyro = gyro + rng.standard_normal((count, 3)) * part.gyro_noise_dps_per_root_hz * gyro_unit * root
    return accel, gyro, part


def flicker(rng: np.random.Generator, sigma: float, count: int, dt_s: float) -> FloatArray:
    """(count, 3) noise whose Allan deviation is about flat at `sigma` over some decades."""
    from scipy.signal import lfilter

    out = np.zeros((count, 3))
    for time_s in FLICKER_TIMES_S:
        decay = math.exp(-dt_s / time_s)
        drive = rng.standard_normal((count, 3)) * sigma * math.sqrt(1.0 - decay * decay)
        out += lfilter([1.0], [1.0, -decay], drive, axis=0)
    return out


def vibration(rng: np.random.Generator, count: int, dt_s: float) -> FloatArray:
    """(count, 3) accelerations in m/s2 that the propeller's shaking leaves in means over `dt_s`.

    Past the autopilot's filter and the mean little is left, but aliased: a tone far slower than the propeller.
    """
    frequency = SensorError.PROPELLER.value.drawn(rng)
    rms = np.array([SensorError.VIBRATION.value.drawn(rng) for _ in range(3)])
    steps = max(1, round(1.0 / dt_s))  # the frequency takes a new course each second
    slow = np.interp(np.arange(count), np.arange(count // steps + 2) * steps, rng.standard_normal(count // steps + 2))
    turns_hz = frequency * (1.0 + TURNS_WANDER * slow)
    out = np.zeros((count, 3))
    for harmonic, share in ((1.0, 1.0), (2.0, 1.0 / 3.0)):
        hz = harmonic * turns_hz
        phase = 2.0 * math.pi * np.cumsum(hz) * dt_s
        left = np.sinc(hz * dt_s) / np.sqrt(1.0 + (hz / FILTER_HZ) ** 4)
        out += (left * np.sin(phase[:, None] + rng.uniform(0.0, 2.0 * math.pi, 3)).T).T * rms * share * math.sqrt(2.0)
    return out
