"""By how much the pictures' times are off against the gyros', from the turns that both of them saw; pure.

Two map fixes tell by how much the camera turned between two pictures, from the pictures alone. The gyros tell it for
the time between the two stamps. Where pictures are stamped `tau` too early, the camera shows the turn of a span that
lies `tau` later: the two differ by `tau` times what the rate changed from the one picture to the other. One number
explains that in every turn's beginning and end; nothing else goes with the change of the rate. (The same offset is
observable in visual-inertial filters, as a state: Li and Mourikis, "Online temporal calibration for camera-IMU
systems", 2014.)
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.geometry.rotations import exp_rotation, log_rotation
from gps_denied_onboard.messages import FloatArray, ImuSample, PoseFix

MEMORY_S = 300.0
GYRO_S = 6.0
JUMP_NS = 1_000_000_000
PAIR_S = 3.0
RATE_OVER_NS = 50_000_000
"""A rate is the mean of this long before and after."""
CHANGE_RADPS = math.radians(2.0)
GYRO_RAD = math.radians(0.15)
MOUNT_RAD = math.radians(1.0)
"""How well the gyros know a turn, without their noise, and the filter the camera's mount."""
CORRELATED = 2.0
TURNS_MIN = 5.0
"""Fewer pairs of pictures than this move nothing: two fixes that are a little wrong look like a time."""
SIGMAS = 4.0
STEP_S = 0.010
"""Less than this is left alone: the mean of a rolling shutter, the delay of a gyro's filter."""
LIMIT_S = 1.0
OUTLIER_SIGMAS = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A fix as it counts here: rotation and its covariance in the body's frame, rad2."""

    t_ns: int
    used_ns: int
    rotation_body_to_enu: FloatArray
    covariance: FloatArray


class TimeOffsetEstimator:
    """Least squares of the turn that the pictures add to the gyros' on the change of the rate, forgetting.

    `gyro_noise_radps_rthz` is the gyros' noise density, as the fusion has it.
    `offset_ns` is to be added to the times of pictures; it is 0, and what flies is the same to the bit, until the
    offset is known to be neither 0 nor small.
    """

    def __init__(self, gyro_noise_radps_rthz: float) -> None:
        self._gyro_noise_radps_rthz = gyro_noise_radps_rthz
        self.offset_ns = 0
        self._gyro: deque[tuple[int, tuple[float, float, float]]] = deque()
        self._used: deque[tuple[int, int]] = deque(maxlen=64)  # (time of a picture, what was added to it)
        self._last: _Seen | None = None
        self._newest_ns: int | None = None
        self._information = 0.0  # 1/s2
        self._weighted = 0.0  # 1/s
        self._squares = 0.0  # of what the pictures added, in sigmas
        self._pairs = 0.0

    @property
    def sigma_s(self) -> float:
        """Of the offset, larger where one offset does not explain the turns; infinite before the first turn."""
        if self._information <= 0.0:
            return math.inf
        left = self._squares - self._weighted**2 / self._information
        unexplained = max(1.0, left / max(3.0 * self._pairs - 1.0, 1.0))
        return math.sqrt(CORRELATED * unexplained / self._information)

    @property
    def estimate_s(self) -> float:
        """The whole offset, what is added already included; 0 before the first turn."""
        return self._weighted / self._information if self._information > 0.0 else 0.0

    def forget(self) -> None:
        """What turns have told says nothing of the pictures that come now; what is added to their times stays."""
        self._last = None
        self._information = self._weighted = self._squares = self._pairs = 0.0

    def on_imu(self, sample: ImuSample) -> None:
        """Samples in the order of their time; late ones and those without a number are passed over."""
        if self._gyro and sample.t_ns < self._gyro[-1][0] - JUMP_NS:
            self._gyro.clear()  # the clock was set back
        if not all(map(math.isfinite, sample.gyro_body_radps)) or (self._gyro and sample.t_ns <= self._gyro[-1][0]):
            return
        self._gyro.append((sample.t_ns, sample.gyro_body_radps))
        while self._gyro[0][0] < sample.t_ns - GYRO_S * 1e9:
            self._gyro.popleft()

    def moved_ns(self, t_ns: int) -> int:
        """The time to be used of a picture that was stamped `t_ns`."""
        moved_ns = t_ns + self.offset_ns
        self._used.append((moved_ns, self.offset_ns))
        return moved_ns

    def on_fix(self, fix: PoseFix, rotation_camera_to_body: FloatArray) -> bool:
        """A fix of a picture, and the mount as the filter has it. Tells whether `offset_ns` has changed.

        A fix that was found without the state's help tells nothing: it may be the wrong place.
        """
        used_ns = next((offset_ns for moved_ns, offset_ns in self._used if moved_ns == fix.t_ns), None)
        if used_ns is None or not fix.accepted or fix.global_search:
            return False
        rotation = fix.rotation_camera_to_enu @ rotation_camera_to_body.T
        seen = _Seen(fix.t_ns, used_ns, rotation, rotation.T @ fix.covariance[3:, 3:] @ rotation)
        last, self._last = self._last, seen
        if last is None or last.used_ns != used_ns or not 0 < fix.t_ns - last.t_ns <= PAIR_S * 1e9:
            return False
        return self._on_pair(last, seen)

    def _on_pair(self, first: _Seen, second: _Seen) -> bool:
        rates = self._rate(first.t_ns), self._rate(second.t_ns)
        if rates[0] is None or rates[1] is None or np.linalg.norm(rates[1] - rates[0]) < CHANGE_RADPS:
            return False
        turned = self._turned(first.t_ns, second.t_ns)
        # In the body's frame of the second picture; a shift by tau turns the far end by the first rate less.
        change = rates[1] - turned.T @ rates[0]
        added = log_rotation(turned.T @ first.rotation_body_to_enu.T @ second.rotation_body_to_enu)
        angle_rad = float(np.linalg.norm(log_rotation(turned)))
        gyro_rad2 = GYRO_RAD**2 + self._gyro_noise_radps_rthz**2 * (second.t_ns - first.t_ns) / 1e9
        noise = second.covariance + turned.T @ first.covariance @ turned
        noise = noise + np.eye(3) * (gyro_rad2 + (MOUNT_RAD * angle_rad) ** 2)
        if not np.all(np.isfinite(noise)) or not np.all(np.isfinite(added)):
            return False
        if np.any(np.abs(added) > OUTLIER_SIGMAS * np.sqrt(np.diag(noise)) + np.abs(change) * LIMIT_S):
            return False
        weights = np.linalg.inv(noise)
        elapsed_s = 0.0 if self._newest_ns is None else max(second.t_ns - self._newest_ns, 0) / 1e9
        self._newest_ns = second.t_ns
        kept = math.exp(-elapsed_s / MEMORY_S)
        whole = added + change * (second.used_ns / 1e9)
        self._information = kept * self._information + float(change @ weights @ change)
        self._weighted = kept * self._weighted + float(change @ weights @ whole)
        self._squares = kept * self._squares + float(whole @ weights @ whole)
        self._pairs = kept * self._pairs + 1.0
        wrong_s = abs(self.estimate_s - self.offset_ns / 1e9)
        if self._pairs < TURNS_MIN or wrong_s < max(STEP_S, SIGMAS * self.sigma_s) or abs(self.estimate_s) > LIMIT_S:
            return False
        self.offset_ns = round(self.estimate_s * 1e9)
        return True

    def _rate(self, t_ns: int) -> FloatArray | None:
        """(3,) mean rate around a time, rad/s; None where the gyros do not cover it."""
        low, high = t_ns - RATE_OVER_NS, t_ns + RATE_OVER_NS
        if not self._gyro or self._gyro[0][0] > low or self._gyro[-1][0] < high:
            return None
        rates = [rate for at_ns, rate in self._gyro if low < at_ns <= high]
        return np.mean(rates, axis=0) if rates else None

    def _turned(self, from_ns: int, to_ns: int) -> FloatArray:
        """(3, 3) rotation of the body from one time to the other by the gyros: a sample is the mean before it."""
        turned: FloatArray = np.eye(3)
        at_ns = from_ns
        for t_ns, rate in self._gyro:
            if t_ns <= from_ns:
                continue
            end_ns = min(t_ns, to_ns)
            turned = turned @ exp_rotation(np.array(rate) * ((end_ns - at_ns) / 1e9))
            at_ns = end_ns
            if t_ns >= to_ns:
                break
        return turned
