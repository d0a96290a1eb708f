"""By how much pictures are older than their stamps, from the turns that pictures and autopilot both saw; pure.

A late picture shows a turn late. Each step of the odometry says by how much the camera turned about the vertical; the
autopilot's attitude says it for the same span and for spans up to DELAY_S_MAX earlier. So does the heading of a map fix
against the state's, all through a turn and not only where it begins and ends. Which delay fits is summed over the last
of them, as many as speak for it most (CUSUM: Page, "Continuous inspection schemes", 1954): pictures may be late from
any moment on. Straight flight tells nothing, a few steps into a turn tell all. Offsets up to a second are left to
`TimeOffsetEstimator`, which learns them from map fixes.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from gps_denied_onboard.geometry.rotations import log_rotation, matrix_from_quaternion
from gps_denied_onboard.messages import AttitudeSample, Estimate, FloatArray, OdometryStatus, OdometryStep, PoseFix

DELAY_S_MAX, DELAY_STEP_S = 4.0, 0.1
DELAY_S_MIN = 1.2
STEPS_KEPT = 40
STEP_S_MAX = 3.0
HISTORY_S = STEP_S_MAX + DELAY_S_MAX + 1.0
SAMPLE_S_MIN, SAMPLE_S_MAX = 0.015, 0.5
TURN_RAD = 0.02
"""Error of a step's turn against the attitude's, one sigma: gusts between samples, the odometry's own."""
CLIPPED = 9.0
"""One step says no more than three sigma against a delay: a wrong registration is one step."""
EVIDENCE = 30.0
"""Twice the logarithm of how much likelier the delay must be than none: 3e6 times."""

_DELAYS_S: FloatArray = np.arange(0.0, DELAY_S_MAX + DELAY_STEP_S / 2.0, DELAY_STEP_S)


class PictureDelay:
    """`on_attitude` with the autopilot's attitudes in the order of time, `judge` with the odometry's steps, `on_fix`
    with map fixes."""

    def __init__(self) -> None:
        self._turned: deque[tuple[int, float]] = deque()  # time, rad turned about ENU up since the first sample
        self._last_yaw = 0.0
        self._costs: deque[FloatArray] = deque(maxlen=STEPS_KEPT)

    def on_attitude(self, sample: AttitudeSample) -> None:
        """Samples that are late, too close or after a gap are passed over, or begin anew."""
        dt_s = (sample.t_ns - self._turned[-1][0]) / 1e9 if self._turned else 0.0
        if self._turned and 0.0 <= dt_s < SAMPLE_S_MIN:
            return
        north, east = matrix_from_quaternion(sample.quaternion_body_to_ned)[:2, 0]
        yaw = math.atan2(float(north), float(east))  # of the body's forward axis, from east, counter-clockwise
        if not self._turned or not 0.0 < dt_s <= SAMPLE_S_MAX:
            self._turned.clear()
            self._turned.append((sample.t_ns, 0.0))
        else:
            more = math.remainder(yaw - self._last_yaw, 2.0 * math.pi)
            self._turned.append((sample.t_ns, self._turned[-1][1] + more))
        self._last_yaw = yaw
        while self._turned[0][0] < sample.t_ns - HISTORY_S * 1e9:
            self._turned.popleft()

    def judge(self, step: OdometryStep) -> float:
        """The delay in s that the last steps prove, 0.0 for none."""
        cost = self._cost(step)
        if cost is not None:
            self._costs.append(cost)
        return self.delay_s

    def on_fix(self, fix: PoseFix, estimate: Estimate) -> None:
        """A fix that was found, and the state at its time that has not used it."""
        turned = self._turned_before(fix.t_ns, 0.0)
        if turned is None:
            return
        known = estimate.rotation_body_to_enu @ estimate.rotation_camera_to_body
        off = float(log_rotation(fix.rotation_camera_to_enu @ known.T)[2])
        sigma = math.sqrt(TURN_RAD**2 + float(fix.covariance[5, 5]) + float(estimate.covariance[8, 8]))
        # At a delay the camera had turned as the aircraft had by then.
        self._costs.append(np.minimum(((off - (turned - turned[0])) / sigma) ** 2, CLIPPED))

    @property
    def delay_s(self) -> float:
        """The delay in s that is proven, 0.0 for none."""
        if not self._costs:
            return 0.0
        costs = np.array(self._costs)[::-1]
        gains = np.max(np.cumsum(costs[:, :1] - costs, axis=0), axis=0)
        best = int(np.argmax(gains))
        return float(_DELAYS_S[best]) if _DELAYS_S[best] >= DELAY_S_MIN and self._late(best) else 0.0

    def contradicts(self, delay_s: float) -> bool:
        """Whether the last steps prove that pictures are not late by as much as `delay_s`, but in time.

        Of a delay out of DELAY_S_MIN to DELAY_S_MAX: not late by the nearest one of these.
        """
        if delay_s <= 0.0:
            return False
        return self._late(round(min(max(delay_s, DELAY_S_MIN), DELAY_S_MAX) / DELAY_STEP_S)) is False

    def _late(self, index: int) -> bool | None:
        """Whether steps have last proven this delay (True) or that there is none (False); None: neither so far."""
        proven: bool | None = None
        late = in_time = 0.0
        for cost in self._costs:
            gain = float(cost[0] - cost[index])
            late, in_time = max(late + gain, 0.0), max(in_time - gain, 0.0)
            if max(late, in_time) > EVIDENCE:
                proven = late > in_time
                late = in_time = 0.0
        return proven

    def forget(self) -> None:
        """What was seen so far says nothing of the pictures that come now."""
        self._costs.clear()

    def _cost(self, step: OdometryStep) -> FloatArray | None:
        """(delays,) squared misfit of the step's turn in sigmas, for each delay; None where it cannot be told."""
        dt_s = (step.t1_ns - step.t0_ns) / 1e9
        if step.status != OdometryStatus.OK or not 0.0 < dt_s <= STEP_S_MAX:
            return None
        before, after = self._turned_before(step.t1_ns, dt_s), self._turned_before(step.t1_ns, 0.0)
        if before is None or after is None:
            return None
        return np.asarray(np.minimum(((step.yaw_change_rad - (after - before)) / TURN_RAD) ** 2, CLIPPED))

    def _turned_before(self, t_ns: int, span_s: float) -> FloatArray | None:
        """(delays,) rad turned by `span_s` and each delay before a time; None where no attitudes tell it."""
        if len(self._turned) < 2:
            return None
        times = np.array([(at_ns - t_ns) / 1e9 for at_ns, _ in self._turned])
        if times[0] > -span_s - DELAY_S_MAX or times[-1] < -0.1:
            return None
        return np.asarray(np.interp(-span_s - _DELAYS_S, times, np.array([angle for _, angle in self._turned])))
