"""By how much more than its own covariance says a map fix is to be doubted; pure.

Two things that a fix cannot know of itself. Fixes of overlapping ground share their error: patches of the same trees
lean the same way. Of a first-order Gauss-Markov error with correlation rho from one fix to the next, fixes tell as much
as independent ones of (1 + rho) / (1 - rho) times the variance. And how large that error is shows only in their
innovations: over ground with texture fixes are better than they say, and nothing is added; where haze leaves few
matches, they are worse. Both are learned from the innovations (Mehra, "On the identification of variances and adaptive
Kalman filtering", 1970); of the correlation the overlap of the ground is the first guess. What is alike in fixes of
other ground as well is not theirs: there the state is wrong, and to doubt them for it would keep it so.

What all fixes of a stretch share for longer the state follows, and no innovation shows it: fixes that differ from one
another by more than good ones do are taken to share a part of that. A tilt and a displacement look alike to a fix, so
most of its error is of both together, and how much of it is in the position is a matter of how well the camera's level
was known when it was fused: the first fixes tell the mount, and what they share stays in it. So the shared error is
carried beside the filter, as one that is considered and not estimated (Schmidt 1966; Jazwinski, "Stochastic Processes
and Filtering Theory", 8.4), for fixes that share all that they claim, and scaled by what they are found to share.
"""

from __future__ import annotations

import math
from collections import deque

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
OTHER_GROUND = 3.0
"""Fixes so many correlation lengths apart are of other ground."""
LASTING_MEMORY = 4.0
"""What lasts is averaged over so many times as many fixes: chance alone leaves less of it."""
SEEN_MAX = 64
SIDE_MEMORY = 8.0
"""Fixes of other ground by which it is told whether they lie on one side of the state."""
SIDE_COUNTED_MAX = 5.0
SIDE_TOLD = 6.0
"""One in twenty of what chance gives is more."""


class FixNoise:
    """`factor` before a fix is fused, `learn` after each that was tested, `fused` after each that was fused.

    `common_m2` (2, 2) is the covariance of what the position has of the errors that fixes share.
    """

    def __init__(self, config: FusionConfig) -> None:
        self._config = config
        self._fused_at_m: float | None = None
        self._pose: FloatArray = np.zeros((6, 6))
        self._cross: FloatArray = np.zeros((6, 6))
        self._nis = self._square = START_NIS
        self._product = self._lasting = 0.0
        self._seen: deque[tuple[float, FloatArray]] = deque(maxlen=SEEN_MAX)
        self._side: FloatArray = np.zeros(2)
        self._side_m: FloatArray = np.zeros(2)
        self._side_fixes = self._side_overlap = 0.0

    def factor(self, travelled_m: float, height_m: float) -> float:
        """On the covariance of a fix at `travelled_m` of the path; 1 at least. `height_m` is over the ground."""
        overlap = 0.0
        if self._fused_at_m is not None:
            overlap = math.exp(-abs(travelled_m - self._fused_at_m) / self._correlation_m(height_m))
        lasting = min(max(self._lasting, 0.0), self._square)
        rho = (GUESS_WEIGHT * overlap + self._product - lasting) / (GUESS_WEIGHT + self._square - lasting)
        rho = min(max(rho, 0.0), RHO_MAX)
        own_nis = self._nis * (1.0 - lasting / max(self._square, 1e-9))
        return max(1.0, own_nis * (1.0 + rho) / (1.0 - rho))

    @property
    def one_sided(self) -> float:
        """Chi-square (two degrees of freedom) of the mean of the last horizontal innovations over what fixes claim:
        large where they lie on one side over more ground than they can share an error of."""
        if self._side_fixes <= 0.0:
            return 0.0
        return float(self._side @ self._side) / (self._side_fixes * (1.0 + self._side_overlap))

    @property
    def aside_m2(self) -> FloatArray:
        """(2, 2) of a position that may be as far off as fixes lie on one side of it; nothing while they hardly do."""
        if self.one_sided <= SIDE_TOLD:
            return np.zeros((2, 2))
        return np.asarray(np.outer(self._side_m, self._side_m) / self._side_fixes**2)

    def _correlation_m(self, height_m: float) -> float:
        return self._config.fix_correlation_heights * max(height_m, 1.0)

    def learn(
        self,
        innovation: FloatArray,
        variance: FloatArray,
        chi2: float,
        own_share: float,
        travelled_m: float,
        height_m: float,
    ) -> None:
        """From a fix's innovation (N,), its variance (N,) and its chi-square, refused ones included. `own_share` 0..1
        is the fix's part in that variance: what is small for a state that knows little need not be small. Where it was
        seen from is as for `factor`."""
        if len(variance) == 0 or not np.all(variance > 0.0) or not np.all(np.isfinite([*innovation, *variance, chi2])):
            return
        z = np.clip(innovation / np.sqrt(variance), -COUNTED_MAX, COUNTED_MAX)
        weight = min(max(own_share, 0.0), 1.0) / self._config.fix_noise_memory
        self._nis += weight * (min(chi2 / len(z), NIS_MAX) - self._nis)
        self._square += weight * (float(z @ z) / len(z) - self._square)
        overlap = 0.0
        if self._seen:
            overlap = math.exp(-abs(travelled_m - self._seen[-1][0]) / self._correlation_m(height_m))
        keep = 1.0 - (1.0 - overlap) / SIDE_MEMORY
        sides = np.clip(innovation[:2] / np.sqrt(variance[:2]), -SIDE_COUNTED_MAX, SIDE_COUNTED_MAX)
        self._side = keep * self._side + (1.0 - overlap) * sides
        self._side_m = keep * self._side_m + (1.0 - overlap) * innovation[:2]
        self._side_fixes, self._side_overlap = keep * self._side_fixes + 1.0 - overlap, overlap
        if self._seen:
            self._product += weight * (float(z @ self._seen[-1][1]) / len(z) - self._product)
        far_m = OTHER_GROUND * self._correlation_m(height_m)
        far = [before for at_m, before in self._seen if travelled_m - at_m >= far_m]
        if far:
            self._lasting += weight / LASTING_MEMORY * (float(z @ far[-1]) / len(z) - self._lasting)
        self._seen.append((travelled_m, z))

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
        self._fused_at_m = None
        self._seen.clear()
        self._side, self._side_m = np.zeros(2), np.zeros(2)
        self._side_fixes = self._side_overlap = 0.0
        self._pose, self._cross = np.zeros((6, 6)), np.zeros((6, 6))
        self._nis = self._square = START_NIS
        self._product = self._lasting = 0.0
