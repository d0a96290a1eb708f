"""The companion computer's heat: readings of any source become one state, and its changes; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import ThermalSample, ThermalState

SOURCES = ("sysfs", "nvml", "jetson")
DETAIL_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class ThermalConfig:
    """`sources`: any of sysfs (thermal zones), nvml, jetson (jetson-stats, by a helper process that `jetson_python`
    runs). A throttle is over when nothing has reported it for `clear_after_s`."""

    sources: tuple[str, ...] = ("sysfs", "nvml")
    poll_interval_s: float = 2.0
    clear_after_s: float = 10.0
    sysfs_directory: str = "/sys/class/thermal"
    jetson_python: str = "/usr/bin/python3"

    def __post_init__(self) -> None:
        unknown = set(self.sources) - set(SOURCES)
        if unknown:
            raise UserError(f"thermal.sources names '{sorted(unknown)[0]}'; there are {', '.join(SOURCES)}.")
        if not 0.1 <= self.poll_interval_s <= 60.0:
            raise UserError(f"thermal.poll_interval_s must be 0.1 to 60, got {self.poll_interval_s}.")
        if not 0.0 <= self.clear_after_s <= 600.0:
            raise UserError(f"thermal.clear_after_s must be 0 to 600, got {self.clear_after_s}.")


@dataclass(frozen=True, slots=True)
class ThermalReading:
    """What one source says now: the hottest sensor (NaN: none is read), and the names of whatever throttles."""

    source: str
    hottest_c: float
    throttled_by: tuple[str, ...]


class ThermalWatch:
    """Turns readings into a state and tells its changes. `last` is the newest sample, None before the first."""

    def __init__(self, clear_after_s: float) -> None:
        self._clear_after_ns = round(clear_after_s * 1e9)
        self._throttled_ns: int | None = None
        self.last: ThermalSample | None = None

    def update(self, t_ns: int, readings: Sequence[ThermalReading]) -> ThermalSample | None:
        """The sample of this moment when the state has changed (and the first one); else None."""
        before = None if self.last is None else self.last.state
        self.last = self._sample(t_ns, readings)
        return None if self.last.state is before else self.last

    def _sample(self, t_ns: int, readings: Sequence[ThermalReading]) -> ThermalSample:
        hottest_c = max((r.hottest_c for r in readings if math.isfinite(r.hottest_c)), default=math.nan)
        names = [name for reading in readings for name in reading.throttled_by]
        source = ",".join(reading.source for reading in readings)
        if names:
            self._throttled_ns = t_ns
            return ThermalSample(t_ns, ThermalState.THROTTLED, hottest_c, source, ", ".join(names)[:DETAIL_CHARACTERS])
        held = self._throttled_ns is not None and t_ns - self._throttled_ns < self._clear_after_ns
        if held:
            return ThermalSample(t_ns, ThermalState.THROTTLED, hottest_c, source, "cooling down")
        self._throttled_ns = None
        if not readings:
            return ThermalSample(t_ns, ThermalState.UNKNOWN, math.nan, "", "no thermal telemetry")
        return ThermalSample(t_ns, ThermalState.NORMAL, hottest_c, source, "")
