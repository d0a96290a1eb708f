"""By how much more than its own covariance says a map fix is to be doubted; pure.

Two things that a fix cannot know of itself. Fixes of overlapping ground share their error: patches of the same trees
lean the same way. Of a first-order Gauss-Markov error with correlation rho from one fix to the next, fixes tell as much
as independent ones of (1 + rho) / (1 - rho) times the variance. And how large that error is shows only in their
innovations: over ground with texture fixes are better than they say, and nothing is added; where haze leaves few
matches, they are worse. Both are learned from the innovations (Mehra, "On the identification of variances and adaptive
Kalman filtering", 1970); of the correlation the overlap of the ground is the first guess.

What all fixes of a stretch share for longer the state follows, and no innovation shows it: fixes that differ from one
another by more than good ones do are taken to share a part of that. A tilt and a displacement look alike to a fix, so
most of its error is of both together, and how much of it is in the position is a matter of how well the camera's level
was known when it was fused: the first fixes tell the mount, and what they share stays in it. So the shared error is
carried beside the filter, as one that is considered and not estimated (Schmidt 1966; Jazwinski, "Stochastic Processes
and Filtering Theory", 8.4), for fixes that share all that they claim, and scaled by what they are found to share.
"""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.messages import FloatArray

START_NIS = 0.3
"""Before anything was measured. Over ground with texture it is a tenth, where fixes are what they promise 1."""
GUESS_WEIGHT = 2.0
"""The overlap counts as much as a window of innovations whose mean square is this."""
COUNTED_MAX = 3.0
NIS_MAX = 9.0
GOOD_NIS = 0.3
"""Fixes of ground with texture stay below it: what those share is the map's own error, a state of the filter."""
CLAIMED_NIS = 1.0
RHO_MAX = 0.95


class FixNoise:
    """`factor` before a fix is fused, `learn` after each that was tested, `fused` after each that was fused.

    `common_m2` (2, 2) is the covariance of what the position has of the errors that fixes share.
    """

    def __init__(self, config: FusionConfig) -> None:
        self._config = config
        self._fused_at_m: float | None = None
        self._last: FloatArray | None = None
        self._pose: FloatArray = np.zeros((6, 6))
        self._cross: FloatArray = np.zeros((6, 6))
        self._nis = self._square = START_NIS
        self._product = 0.0

    def factor(self, travelled_m: float, height_m: float) -> float:
        """On the covariance of a fix at `travelled_m` of the path; 1 at least. `height_m` is over the ground."""
        overlap = 0.0
        if self._fused_at_m is not None:
            correlation_m = self._config.fix_correlation_heights * max(height_m, 1.0)
            overlap = math.exp(-abs(travelled_m - self._fused_at_m) / correlation_m)
        rho = (GUESS_WEIGHT * overlap + self._product) / (GUESS_WEIGHT + self._square)
        rho = min(max(rho, 0.0), RHO_MAX)
        return max(1.0, self._nis * (1.0 + rho) / (1.0 - rho))

    def learn(self, innovation: FloatArray, variance: FloatArray, chi2: float, own_share: float) -> None:
        """From a fix's innovation (N,), its variance (N,) and its chi-square, refused ones included. `own_share` 0..1
        is the fix's part in that variance: what is small for a state that knows little need not be small."""
        if len(variance) == 0 or not np.all(variance > 0.0) or not np.all(np.isfinite([*innovation, *variance, chi2])):
            return
        z = np.clip(innovation / np.sqrt(variance), -COUNTED_MAX, COUNTED_MAX)
        weight = min(max(own_share, 0.0), 1.0) / self._config.fix_noise_memory
        self._nis += weight * (min(chi2 / len(z), NIS_MAX) - self._nis)
        self._square += weight * (float(z @ z) / len(z) - self._square)
        if self._last is not None and len(self._last) == len(z):
            self._product += weight * (float(z @ self._last) / len(z) - self._product)
        self._last = z

    @property
    def common_m2(self) -> FloatArray:
        """See the class."""
        worse = max(self._nis - GOOD_NIS, 0.0)
        return np.asarray(self._config.fix_common_share**2 * worse * self._pose[:2, :2])

    def missed(self) -> None:
        """A picture of ground was not found on the map: then those that are found are not of ground with texture, and
        are taken as no better than they say until they have shown it."""
        self._nis += max(CLAIMED_NIS - self._nis, 0.0) / self._config.fix_noise_memory

    def fused(self, travelled_m: float, covariance: FloatArray, gain: FloatArray) -> None:
        """A fix was fused there, of `covariance` (6, 6) as in PoseFix; `gain` (6, 6) is by how much the camera's pose
        followed it."""
        self._fused_at_m = travelled_m
        keep = np.eye(6) - gain
        both = keep @ self._cross @ gain.T
        pose = keep @ self._pose @ keep.T + both + both.T + gain @ covariance @ gain.T
        self._pose = 0.5 * (pose + pose.T)
        self._cross = (1.0 - 1.0 / self._config.fix_noise_memory) * (keep @ self._cross + gain @ covariance)

    def forget(self) -> None:
        """The state was set anew: what innovations said of the fixes was said by a wrong state."""
        self._fused_at_m = self._last = None
        self._pose, self._cross = np.zeros((6, 6)), np.zeros((6, 6))
        self._nis = self._square = START_NIS
        self._product = 0.0
