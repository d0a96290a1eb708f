"""Whether pictures show the moments that their stamps say, from how far the ground moved between them; pure.

An aircraft's ground speed does not change by half within a second. Where a step of the odometry is shorter or longer
than its last ones and than the state's velocity by half of its time, the picture shows an earlier or a later moment
than its stamp says: two pictures came the wrong way round, or all are late from here on. What the steps add up to is
the lag; while it stands the pictures are refused. At a constant lag from the start nothing is seen here.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from gps_denied_onboard.messages import FloatArray, OdometryStep

STEP_S_MAX = 3.0
DISTANCE_M_MIN = 2.0
SHARE = 0.5
ACROSS_SHARE = 0.35
STEP_ERROR = 0.1
"""Error of a lag's change as a share of it: the odometry's steps over twice or thrice the usual way."""
STEPS_KEPT = 5
STEPS_MIN = 3
SPEED_AGE_S = 60.0
LAG_S_MAX = 5.0
"""A step that would need more than this is a wrong registration."""


class PictureOrder:
    """`judge` is called with every step of the odometry, in order.

    `lag_s`: how much newer than its stamp says a picture is; negative: it is late. `changed`: the last step changed
    it; `steady`: so many steps since then did not. `disorder_s`: by how much it did where the step before had, too;
    else 0. What such steps add up to is no longer known: a sum near nothing makes no picture one in time.
    """

    def __init__(self) -> None:
        self.lag_s = 0.0
        self.changed = False
        self.steady = 0
        self.disorder_s = 0.0
        self._changed_ns = 0
        self._variance_s2 = 0.0
        self._unlike = 0  # steps at another speed than the state's while none of the odometry's own was known
        self._speeds: deque[tuple[int, float]] = deque(maxlen=STEPS_KEPT)

    def judge(self, step: OdometryStep, velocity_enu_mps: FloatArray | None, velocity_sigma_mps: float) -> bool:
        """Whether the step's second picture shows another moment than its stamp, where the state has this velocity."""
        change_s = self._change_s(step, velocity_enu_mps, velocity_sigma_mps)
        self.disorder_s = change_s if change_s is not None and self.changed else 0.0
        if change_s is None:
            return self.lag_s != 0.0
        least_s = SHARE * min((step.t1_ns - step.t0_ns) / 1e9, 1.0)
        again, self.changed = self.changed, change_s != 0.0
        self.steady = 0 if self.changed else self.steady + 1
        if self.changed:
            self.lag_s += change_s
            self._variance_s2 += (STEP_ERROR * change_s) ** 2
            self._changed_ns = step.t1_ns
            if again:  # one after the other: what they add up to is no longer known well enough to be used
                return True
        else:
            least_s = max(least_s, 2.0 * math.sqrt(self._variance_s2))
        if abs(self.lag_s) < least_s:
            self.forget()
        return self.lag_s != 0.0

    def hold(self, t_ns: int) -> None:
        """Something else says at `t_ns` that the lag still stands."""
        self._changed_ns = max(self._changed_ns, t_ns)

    def assume(self, t_ns: int, lag_s: float, sigma_s: float) -> None:
        """Something else says at `t_ns` which lag there is."""
        self.lag_s, self._variance_s2, self._changed_ns = lag_s, sigma_s**2, t_ns

    def held_s(self, t_ns: int) -> float:
        """How long ago something last said that the lag stands."""
        return (t_ns - self._changed_ns) / 1e9

    def forget(self) -> None:
        """The pictures are in time, as far as is known."""
        self.lag_s = self._variance_s2 = 0.0

    def _change_s(
        self, step: OdometryStep, velocity_enu_mps: FloatArray | None, velocity_sigma_mps: float
    ) -> float | None:
        """By how much the lag has changed in s; None where the step cannot tell."""
        dt_s = (step.t1_ns - step.t0_ns) / 1e9
        if step.status != "ok" or velocity_enu_mps is None or not 0.0 < dt_s <= STEP_S_MAX:
            return None
        speed = math.hypot(float(velocity_enu_mps[0]), float(velocity_enu_mps[1]))
        if speed * dt_s < DISTANCE_M_MIN or speed < 2.0 * velocity_sigma_mps:
            return None
        ahead = velocity_enu_mps[:2] / speed
        along_m = float(step.displacement_enu_m[:2] @ ahead)
        across_m = float(step.displacement_enu_m[1] * ahead[0] - step.displacement_enu_m[0] * ahead[1])
        recent = [s for t_ns, s in self._speeds if step.t1_ns - t_ns <= SPEED_AGE_S * 1e9]
        measured = float(np.median(recent)) if len(recent) >= STEPS_MIN else None
        step_sigma_m = math.sqrt(max(float(ahead @ step.covariance[:2, :2] @ ahead), 0.0))
        limit_m = max(SHARE * speed, 2.0 * velocity_sigma_mps) * dt_s + 2.0 * step_sigma_m
        off_m = [along_m - expected * dt_s for expected in (speed, measured) if expected is not None]
        if any(abs(off) < limit_m for off in off_m) and along_m > 0.0:
            self._speeds.append((step.t1_ns, along_m / dt_s))
            return 0.0
        if measured is None:
            self._unlike += 1
            if self._unlike >= STEPS_MIN and along_m > 0.0:  # the state's speed is wrong, not the pictures
                self._speeds.append((step.t1_ns, along_m / dt_s))
            return None
        if abs(across_m) > ACROSS_SHARE * max(abs(along_m), speed * dt_s) or abs(off_m[-1] / measured) > LAG_S_MAX:
            return None
        return off_m[-1] / measured
