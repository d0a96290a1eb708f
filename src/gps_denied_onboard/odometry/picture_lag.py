"""Whether map fixes lie where pictures in time would have them, or where late ones would; pure.

A late picture's fix lies behind the aircraft by the lag times the velocity. So does the fix of a picture in time where
the state itself is ahead of the aircraft; but while the aircraft turns or changes its speed, the lag's part goes with
the velocity, and the state's error only drifts. What the fixes say of one another counts, however wide the state has
become. Two interacting models, in time and late, each with the state's error and its drift as a Kalman filter (Blom and
Bar-Shalom, "The interacting multiple model algorithm", 1988); both begin with the state's covariance.
"""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.messages import Estimate, FloatArray, PoseFix
from gps_denied_onboard.odometry.picture_delay import DELAY_S_MAX, DELAY_S_MIN

FIX_DOUBT_M = 10.0
"""A fix before the attitude is known to it: a degree of tilt at 500 m."""
CLIPPED = 9.0
"""Beyond three sigma of either place a fix says nothing of them."""
LAG_SAME_S = 0.3
SWITCH_HZ = 0.001
"""How often pictures that were late are in time again, or the other way round."""
DRIFT_MPS_RTS = 0.3
"""Random walk of the error of the state's velocity while no fix is used: the wind's."""
MOVED = 0.9
"""A state whose sigma has become smaller by this was moved by something else."""


ACROSS_MAX = 0.5
"""Of the way back: a relocation farther across the track than this is not by a lag."""


def lag_of_relocation(before: Estimate, after: Estimate) -> float:
    """By how many seconds pictures would be late if it was they, and no error of the state, that moved it back along
    its track; 0 where it did not go that way."""
    speed_mps = float(np.hypot(*before.velocity_enu_mps[:2]))
    if speed_mps <= 0.0:
        return 0.0
    east, north = before.velocity_enu_mps[:2] / speed_mps
    moved_m = (after.position_enu_m - before.position_enu_m)[:2]
    back_m = -float(moved_m[0] * east + moved_m[1] * north)
    across_m = abs(float(moved_m[0] * north - moved_m[1] * east))
    if across_m > ACROSS_MAX * back_m or not DELAY_S_MIN <= back_m / speed_mps <= DELAY_S_MAX:
        return 0.0
    return back_m / speed_mps


class LagEvidence:
    """`judge` with every fix while a lag is suspected; `in_time` is the probability that there is none."""

    def __init__(self) -> None:
        self._lag_s = 0.0
        self._last_ns: int | None = None
        self._sigma_m = math.inf
        self._probability = np.array([0.5, 0.5])  # of in time, of late, as in what follows
        self._errors = np.zeros((2, 2, 2))  # [model; m, m/s; east, north] by which the state is wrong
        self._covariances = np.zeros((2, 2, 2))  # [model] of m and m/s along each axis

    @property
    def in_time(self) -> float:
        """The probability that pictures are in time."""
        return float(self._probability[0])

    def judge(self, fix: PoseFix, estimate: Estimate, sigma_m: float, lag_s: float) -> None:
        """A fix, the state at its time that has not used it, its position's sigma, and the lag: newer than stamped."""
        if abs(lag_s - self._lag_s) > LAG_SAME_S:
            self.forget()
            self._lag_s = lag_s
        dt_s = 0.0 if self._last_ns is None else (fix.t_ns - self._last_ns) / 1e9
        if dt_s <= 0.0 or sigma_m < MOVED * self._sigma_m:
            drift_mps2 = max(float(np.linalg.eigvalsh(estimate.covariance[3:5, 3:5])[-1]), 0.0)
            self._errors[:], self._covariances[:] = 0.0, np.diag([sigma_m**2, drift_mps2])
        else:
            self._mix(dt_s)
            self._predict(dt_s)
        self._last_ns, self._sigma_m = fix.t_ns, sigma_m
        off_m = (fix.position_enu_m - estimate.position_enu_m)[:2]
        self._update(np.stack([off_m, off_m - estimate.velocity_enu_mps[:2] * lag_s]))

    def _mix(self, dt_s: float) -> None:
        """Let either model begin where the other one was, as far as it may have been that."""
        switch = 0.5 * (1.0 - math.exp(-2.0 * SWITCH_HZ * dt_s))
        joint = np.array([[1.0 - switch, switch], [switch, 1.0 - switch]]) * self._probability[:, None]  # [from, to]
        self._probability = joint.sum(axis=0)
        share = joint / self._probability
        means = np.einsum("ij,iab->jab", share, self._errors)
        apart = self._errors[:, None] - means[None]
        spread = 0.5 * np.einsum("ij,ijax,ijbx->jab", share, apart, apart)
        self._covariances = np.einsum("ij,iab->jab", share, self._covariances) + spread
        self._errors = means

    def _predict(self, dt_s: float) -> None:
        ahead = np.array([[1.0, dt_s], [0.0, 1.0]])
        self._errors = ahead @ self._errors
        self._covariances = ahead @ self._covariances @ ahead.T + np.diag([0.0, DRIFT_MPS_RTS**2 * dt_s])

    def _update(self, off_m: FloatArray) -> None:
        """How far the fix lies from the state by either model [model; east, north]."""
        left_m = off_m - self._errors[:, 0]
        total_m2 = self._covariances[:, 0, 0] + FIX_DOUBT_M**2
        squares = np.sum(left_m**2, axis=1) / total_m2
        if np.min(squares) >= CLIPPED:
            return
        likely = np.exp(-0.5 * np.minimum(squares, CLIPPED)) / total_m2
        self._probability = self._probability * likely / float(self._probability @ likely)
        gains = self._covariances[:, :, 0] / total_m2[:, None]
        self._errors = self._errors + gains[:, :, None] * left_m[:, None, :]
        self._covariances = self._covariances - gains[:, :, None] * self._covariances[:, None, 0]

    def forget(self) -> None:
        """No lag is suspected."""
        self._probability[:] = 0.5
        self._lag_s, self._last_ns = 0.0, None
