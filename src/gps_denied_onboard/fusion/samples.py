"""Short memory of the autopilot's samples, asked for by time span. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from gps_denied_onboard.messages import AirspeedSample, AttitudeSample, BaroSample, ImuSample

Kept = ImuSample | AttitudeSample | AirspeedSample | BaroSample


class Samples:
    """Samples of one kind in time order; those older than `keep_s` before the newest are dropped."""

    def __init__(self, keep_s: float) -> None:
        self._keep_ns = round(keep_s * 1e9)
        self._times: list[int] = []
        self._samples: dict[int, Kept] = {}

    def add(self, sample: Kept) -> None:
        """Add one; a second one of the same time replaces the first."""
        if sample.t_ns not in self._samples:
            insort(self._times, sample.t_ns)
        self._samples[sample.t_ns] = sample
        if len(self._times) % 256 == 0:
            old = bisect_left(self._times, self._times[-1] - self._keep_ns)
            for t_ns in self._times[:old]:
                del self._samples[t_ns]
            del self._times[:old]

    def clear(self) -> None:
        """Forget all."""
        self._times.clear()
        self._samples.clear()

    def between(self, after_ns: int, until_ns: int) -> Iterator[Kept]:
        """Samples with after_ns < t <= until_ns."""
        first, last = bisect_right(self._times, after_ns), bisect_right(self._times, until_ns)
        for t_ns in self._times[first:last]:
            yield self._samples[t_ns]

    def next_after(self, t_ns: int) -> Kept | None:
        """The first sample after `t_ns`."""
        at = bisect_right(self._times, t_ns)
        return self._samples[self._times[at]] if at < len(self._times) else None

    def last_until(self, t_ns: int) -> Kept | None:
        """The last sample not after `t_ns`."""
        at = bisect_right(self._times, t_ns)
        return self._samples[self._times[at - 1]] if at > 0 else None
