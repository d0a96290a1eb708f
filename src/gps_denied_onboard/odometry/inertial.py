"""What the IMU's samples say between two pictures, and of the gyroscope's bias beside the fused attitude; pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.geometry.rotations import exp_rotation, log_rotation
from gps_denied_onboard.messages import FloatArray, ImuSample

SAMPLES_KEPT = 8000
BEFORE_NS = 50_000_000
"""How far before a picture its samples begin: so that one at least lies before it."""
GAP_NS = 100_000_000
"""A hole in the samples that is longer cannot be bridged."""
MEMORY_S = 120.0
"""How long the gyroscope's bias is averaged over."""
BIAS_FLOOR_RADPS = 3e-4
"""What of the gyroscope's bias an average leaves: the fused attitude errs slowly, too."""


class ImuBuffer:
    """The last samples of the IMU. `add` may be called on another thread than the rest."""

    def __init__(self) -> None:
        self._arrived: deque[ImuSample] = deque(maxlen=SAMPLES_KEPT)
        self._kept: deque[ImuSample] = deque(maxlen=SAMPLES_KEPT)

    def add(self, sample: ImuSample) -> None:
        """A sample, in order of time."""
        self._arrived.append(sample)

    def between(self, t0_ns: int, t1_ns: int) -> list[ImuSample]:
        """Samples from shortly before `t0_ns` to `t1_ns` or beyond; empty where they leave a hole."""
        while self._arrived:
            self._kept.append(self._arrived.popleft())
        found = [sample for sample in self._kept if sample.t_ns >= t0_ns - BEFORE_NS]
        times = [sample.t_ns for sample in found if sample.t_ns < t1_ns]
        if not times or times[0] > t0_ns or max(np.diff([*times, t1_ns])) > GAP_NS:
            return []
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Preintegrated:
    """Of a stretch of samples, in the body's axes at its beginning: `rotation` (3, 3) takes the body's axes at the end
    into them; `position_m` (3,) is the double integral of the specific force, gravity left in."""

    rotation: FloatArray
    position_m: FloatArray


def preintegrate(samples: Sequence[ImuSample], t0_ns: int, t1_ns: int, gyro_bias_radps: FloatArray) -> Preintegrated:
    """The samples of `ImuBuffer.between` from `t0_ns` to `t1_ns`; each holds from its time to the next one's."""
    rotation, velocity, position = np.eye(3), np.zeros(3), np.zeros(3)
    ends = [*(sample.t_ns for sample in samples[1:]), max(t1_ns, samples[-1].t_ns)]
    for sample, end_ns in zip(samples, ends, strict=True):
        dt = (min(end_ns, t1_ns) - max(sample.t_ns, t0_ns)) * 1e-9
        if dt <= 0.0:
            continue
        force = rotation @ np.asarray(sample.accel_body_mps2)
        position = position + velocity * dt + 0.5 * dt**2 * force
        velocity = velocity + force * dt
        rotation = rotation @ exp_rotation((np.asarray(sample.gyro_body_radps) - gyro_bias_radps) * dt)
    return Preintegrated(rotation, position)


class GyroBias:
    """The gyroscope's bias: how its turns differ from those of the fused attitude, over the last minutes."""

    def __init__(self, sigma_radps: float) -> None:
        """`sigma_radps`: spread of the bias while nothing is known."""
        self._sigma_radps = sigma_radps
        self._turn_rad: FloatArray = np.zeros(3)
        self._seconds = 0.0
        self._attitude_sigma_rad = 0.0

    @property
    def bias_radps(self) -> FloatArray:
        """(3,) in the body's axes."""
        return np.asarray(self._turn_rad / self._seconds) if self._seconds > 0.0 else np.zeros(3)

    @property
    def sigma_radps(self) -> float:
        """Of each axis."""
        if self._seconds <= 0.0:
            return self._sigma_radps
        return min(
            self._sigma_radps, math.hypot(math.sqrt(2.0) * self._attitude_sigma_rad / self._seconds, BIAS_FLOOR_RADPS)
        )

    def watch(
        self, turn: Preintegrated, body_to_enu0: FloatArray, body_to_enu1: FloatArray, seconds: float, sigma_rad: float
    ) -> None:
        """A stretch that was integrated without a bias, and the attitudes (3, 3) at its ends, good to `sigma_rad`."""
        kept = math.exp(-seconds / MEMORY_S)
        off = log_rotation((body_to_enu0.T @ body_to_enu1).T @ turn.rotation)
        self._turn_rad = kept * self._turn_rad + off
        self._seconds = kept * self._seconds + seconds
        self._attitude_sigma_rad = sigma_rad
