"""Do a source's innovations fit what the state expects of them, over a window, the refused ones included? Pure.

Normalised innovation squared over windows and whiteness of its sign: Bar-Shalom, Li and Kirubarajan, "Estimation with
Applications to Tracking and Navigation" (2001), 5.4.
"""

from __future__ import annotations

import math
from collections import deque

from gps_denied_onboard.messages import AidRecord


class InnovationWindow:
    """The last horizontal innovations of one source, each over its own sigma."""

    def __init__(self, length: int, counted_max: float) -> None:
        self._counted_max = counted_max
        self._east: deque[float] = deque(maxlen=length)
        self._north: deque[float] = deque(maxlen=length)
        self.refused = 0
        """Successive measurements that were refused, the last one included."""

    def add(self, record: AidRecord) -> None:
        """A record of the filter; those that hold no innovation (lost, too late) say nothing of the state."""
        innovation, variance = record.innovation[:2], record.innovation_variance[:2]
        if len(innovation) < 2 or len(variance) < 2 or not all(v > 0.0 for v in variance):
            return
        z = [i / math.sqrt(v) for i, v in zip(innovation, variance, strict=True)]
        if not all(map(math.isfinite, z)):
            return
        length = math.hypot(*z)
        shrink = min(1.0, math.sqrt(2.0 * self._counted_max) / length) if length > 0.0 else 1.0
        self._east.append(z[0] * shrink)
        self._north.append(z[1] * shrink)
        self.refused = 0 if record.accepted else self.refused + 1

    def clear(self) -> None:
        """Forget all: the state was replaced."""
        self._east.clear()
        self._north.clear()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._east)

    @property
    def mean_square(self) -> float:
        """Chi-square a degree of freedom, 1 where all fits; 0 before anything was measured.

        Over the whole window: a few first innovations cannot condemn a state.
        """
        if not self._east:
            return 0.0
        maximum = self._east.maxlen or len(self._east)
        total = sum(e * e + n * n for e, n in zip(self._east, self._north, strict=True)) / 2.0
        return (total + (maximum - len(self._east))) / maximum

    @property
    def run(self) -> float:
        """Chi-square (two degrees of freedom) of the innovations' mean: large where they are of one sign."""
        n = len(self._east)
        return 0.0 if n == 0 else (sum(self._east) ** 2 + sum(self._north) ** 2) / n
