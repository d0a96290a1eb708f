"""How late a log's receiver is: its velocity against what the accelerometers felt, turned by the autopilot's attitude.

A receiver's fix is of a tenth or two of a second before it is in the log: metres along the track for the truth that a
flight is scored by. Any manoeuvre shows it, in the velocity's changes; a constant error of either side does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.autopilot.mavlink.telemetry import STANDARD_GRAVITY_MPS2
from gps_denied_onboard.geometry.rotations import matrix_from_quaternion
from gps_denied_onboard.messages import AttitudeSample, FixType, FloatArray, GpsSample, ImuSample
from gps_denied_operator.logs.flight_log import FlightLog

IMU_HZ_MIN = 10.0
ATTITUDE_AGE_S = 0.15
STEP_S = 2.0
"""The changes that are compared are over this time."""
DELAY_S_MAX, GRID_S = 0.6, 0.02
OUTLIER = 3.0
FLYING_MPS = 3.0
CHANGES_MIN = 100
SIGMA_S_MAX = 0.05
"""Where the answer is less sure than this there is none."""


@dataclass(frozen=True, slots=True)
class ReceiverDelay:
    """By how much the receiver's samples come after what they are of, and one sigma."""

    delay_s: float
    sigma_s: float


def receiver_delay(log: FlightLog) -> ReceiverDelay | None:
    """The delay; None where the log does not tell it (no IMU or attitude, no manoeuvre, sensors that shake)."""
    if log.rate_hz(ImuSample) < IMU_HZ_MIN:
        return None
    samples = [m for m in log.messages if isinstance(m, GpsSample) and m.fix_type >= FixType.FIX_3D]
    if len(samples) < CHANGES_MIN:
        return None
    felt = _felt_velocity(log)
    if felt is None:
        return None
    imu_s, felt_mps = felt
    t_s = np.array([m.t_ns for m in samples]) / 1e9
    told_mps = np.array([m.velocity_ned_mps[:2] for m in samples])
    later = np.searchsorted(t_s, t_s + STEP_S)
    inside = later < len(t_s)
    first, last = np.flatnonzero(inside), later[inside]
    flying = np.hypot(*told_mps[first].T) > FLYING_MPS
    steady = np.abs(t_s[last] - t_s[first] - STEP_S) < 0.25 * STEP_S
    first, last = first[flying & steady], last[flying & steady]
    told = told_mps[last] - told_mps[first]
    grid = np.arange(0.0, DELAY_S_MAX + GRID_S / 2, GRID_S)
    off = []
    for delay_s in grid:
        at = np.stack([np.interp(t_s - delay_s, imu_s, felt_mps[:, k]) for k in (0, 1)], axis=1)
        off.append(told - (at[last] - at[first]))
    table = np.array(off)  # (delays, changes, 2)
    known = np.isfinite(table).all(axis=(0, 2))
    if int(known.sum()) < CHANGES_MIN:
        return None
    return _best(grid, table[:, known], float(np.median(np.diff(t_s))))


def _felt_velocity(log: FlightLog) -> tuple[FloatArray, FloatArray] | None:
    """(times in s, (N, 2) north and east): specific force and gravity summed up; nothing is where no attitude is near,
    and changes across it are outliers."""
    samples = [m for m in log.messages if isinstance(m, ImuSample)]
    attitudes = [m for m in log.messages if isinstance(m, AttitudeSample)]
    if len(samples) < CHANGES_MIN or len(attitudes) < CHANGES_MIN:
        return None
    t_s = np.array([m.t_ns for m in samples]) / 1e9
    force = np.array([m.accel_body_mps2 for m in samples])
    attitude_s = np.array([m.t_ns for m in attitudes]) / 1e9
    turned = np.array([matrix_from_quaternion(m.quaternion_body_to_ned) for m in attitudes])
    after = np.clip(np.searchsorted(attitude_s, t_s), 1, len(attitude_s) - 1)
    near = np.where(np.abs(attitude_s[after - 1] - t_s) < np.abs(attitude_s[after] - t_s), after - 1, after)
    accel = np.einsum("nij,nj->ni", turned[near], force) + np.array([0.0, 0.0, STANDARD_GRAVITY_MPS2])
    far = np.abs(attitude_s[near] - t_s) > ATTITUDE_AGE_S
    if float(far.mean()) > 0.5:
        return None
    accel[far] = 0.0
    steps = np.diff(t_s, prepend=t_s[0])
    return t_s, np.cumsum(accel[:, :2] * np.minimum(steps, 1.0)[:, None], axis=0)


def _best(grid: FloatArray, off_mps: FloatArray, step_s: float) -> ReceiverDelay | None:
    """The delay whose differences (delays, changes, 2) scatter least, outliers of the best one left out."""
    middle = off_mps - np.median(off_mps, axis=1, keepdims=True)
    sizes = np.hypot(middle[..., 0], middle[..., 1])
    at = int(np.argmin(np.median(sizes, axis=1)))
    kept = sizes[at] < OUTLIER * 1.4826 * float(np.median(sizes[at])) + 1e-9
    cost = np.mean(sizes[:, kept] ** 2, axis=1)
    at = int(np.argmin(cost))
    if not 0 < at < len(grid) - 1:
        return ReceiverDelay(0.0, GRID_S) if at == 0 and _bends(cost) else None
    bend = float(cost[at - 1] + cost[at + 1] - 2.0 * cost[at]) / GRID_S**2
    if bend <= 0.0:
        return None
    delay_s = float(grid[at]) - float(cost[at + 1] - cost[at - 1]) / (2.0 * GRID_S) / bend
    independent = max(int(kept.sum()) * step_s / STEP_S, 1.0)  # changes that overlap err alike
    sigma_s = math.sqrt(2.0 * float(cost[at]) / (bend * independent))
    return ReceiverDelay(delay_s, sigma_s) if sigma_s < SIGMA_S_MAX else None


def _bends(cost: FloatArray) -> bool:
    """Whether no delay at all is clearly better than a long one."""
    return bool(cost[0] < 0.5 * cost[len(cost) // 2])
