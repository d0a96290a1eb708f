"""Frames to figures; pure. The keys of `figures` are fixed: other tools read them.

Definitions
- A frame is scored when it has truth. Its error is the horizontal geodesic distance from truth to estimate; a scored
  frame without an estimate has none and is a miss in `within_m`.
- `with_estimate` and `anchored` count scored frames; where no frame at all has truth they count all frames.
- `false_anchors` counts frames labelled satellite_anchored that are more than 50 m off.
- `coverage_95` is the share of frames with an estimate whose error lies inside the 95 % ellipse sent with it;
  `nees_mean` the mean of e' P^-1 e over the same frames, 2 for an honest covariance P of the horizontal position.
- `ellipse_95` is how large those ellipses are: median and 95th percentile of the semi-major axis, and `needed`, the
  factor by which all of them must be multiplied so that 95 % of the errors lie inside: honest from 1 / 1.5 to 1,
  above it they are too small, below it too large (`verdict`).
- `hazardous` counts frames with an estimate, a position sent as a 2D or 3D fix, whose error is beyond the protection
  level or beyond 3.5 times the 95 % ellipse. `protection_level_m` is over frames with an estimate that carries one.
- `worst_flight` names the flight with the lowest coverage. `true_gps_left` counts how often a true GPS was left; null
  where nothing is known of the GPS.
- `odometry.registered` is the share of frame pairs that odometry could register. `odometry.drift_percent` looks at the
  odometry alone: its displacements are summed over unbroken windows that start and end at frames with truth and are
  500 m long (the last of a segment may be down to 100 m); the lengths of the windows' errors are summed and
  divided by the summed true path length. Each step is turned by the yaw that the state held when it was made.
- Percentiles interpolate linearly. Of nothing every figure is null, never NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyproj

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import FloatArray, NavState, OdometryStatus, SourceLabel
from gps_denied_operator.scoring.frames import STAGES, FrameResult, RunFacts
from gps_denied_operator.scoring.protection import ellipses_away, is_hazardous, protection_level_m, worst_flight

WITHIN_M = (5, 10, 20, 50)
FALSE_ANCHOR_M = 50.0
CHI2_95_2DOF = 5.991464547107979
"""-2 ln 0.05. The judge's own, exact: the product rounds it, and a judge shares no figure with what it judges."""
DRIFT_WINDOW_M = 500.0
DRIFT_WINDOW_MIN_M = 100.0
VARIANCE_FLOOR_M2 = 1e-6

ELLIPSE_TOO_LARGE = 1.5
"""Ellipses more than this times as large as their errors need are a fault, too: nobody can use them."""

_WGS84 = pyproj.Geod(ellps="WGS84")


class EllipseVerdict(StrEnum):
    """Whether the 95 % ellipses fit the errors."""

    TOO_SMALL = "too small"
    HONEST = "honest"
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class FrameError:
    """Horizontal error of one frame, estimate minus truth, and how it stands to what was promised.

    `ellipses`: how many times its 95 % ellipse must grow to reach the error.
    """

    east_m: float
    north_m: float
    distance_m: float
    ellipses: float
    nees: float
    hazardous: bool = False

    @property
    def inside_95(self) -> bool:
        """Whether the error lies inside the 95 % ellipse."""
        return self.ellipses <= 1.0


def offset_m(from_deg: tuple[float, float], to_deg: tuple[float, float]) -> tuple[float, float]:
    """East and north in m of one (latitude, longitude) in degrees seen from another: geodesic length and azimuth."""
    azimuth_deg, _, distance_m = _WGS84.inv(from_deg[1], from_deg[0], to_deg[1], to_deg[0])
    azimuth = math.radians(azimuth_deg)
    return float(distance_m * math.sin(azimuth)), float(distance_m * math.cos(azimuth))


@functools.lru_cache(maxsize=1 << 17)
def frame_error(row: FrameResult) -> FrameError | None:
    """The error of a frame with truth and estimate; None for any other."""
    state = row.estimate
    if state is None or row.truth_latitude_deg is None or row.truth_longitude_deg is None:
        return None
    east, north = offset_m((row.truth_latitude_deg, row.truth_longitude_deg), (state.latitude_deg, state.longitude_deg))
    ellipses, nees = ellipses_away(state, east, north), _nees(state, east, north)
    return FrameError(east, north, math.hypot(east, north), ellipses, nees, is_hazardous(state, east, north))


def _nees(state: NavState, east_m: float, north_m: float) -> float:
    """Normalised squared error; sigmas are floored at 1 mm so that a singular covariance gives a number, not inf."""
    covariance = np.array(state.covariance_enu_m2, dtype=float).reshape(3, 3)[:2, :2]
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2.0)
    projected = vectors.T @ np.array([east_m, north_m])
    return float(np.sum(projected**2 / np.maximum(values, VARIANCE_FLOOR_M2)))


def fix_error_m(row: FrameResult, local: LocalFrame | None) -> float | None:
    """Horizontal distance from the truth to where an accepted map fix alone places the camera, before any fusion; None
    without both. `local`: the frame of the fix."""
    fix = row.fix
    if fix is None or not fix.accepted or local is None:
        return None
    if row.truth_latitude_deg is None or row.truth_longitude_deg is None:
        return None
    altitude_m = local.altitude_m if row.truth_altitude_m is None else row.truth_altitude_m
    true = local.enu_from_geodetic(row.truth_latitude_deg, row.truth_longitude_deg, altitude_m)
    return math.hypot(float(fix.position_enu_m[0] - true[0]), float(fix.position_enu_m[1] - true[1]))


def is_anchored(row: FrameResult) -> bool:
    """Whether the frame's estimate is labelled satellite_anchored."""
    return row.estimate is not None and row.estimate.source_label is SourceLabel.SATELLITE_ANCHORED


def figures(flights: Sequence[Sequence[FrameResult]], run: RunFacts, names: Sequence[str] = ()) -> dict[str, object]:
    """The fixed JSON object of all flights together; rows of each flight in time order, `names` the flights'."""
    rows = [row for flight in flights for row in flight]
    scored = [row for row in rows if row.scored]
    counted = scored or rows
    errors = [(row, error) for row in scored if (error := frame_error(row)) is not None]
    distances = [error.distance_m for _, error in errors]
    anchored = [error.distance_m for row, error in errors if is_anchored(row)]
    return {
        "frames": len(rows),
        "scored": len(scored),
        "with_estimate": sum(row.estimate is not None for row in counted),
        "anchored": sum(is_anchored(row) for row in counted),
        "within_m": {
            str(limit): _rounded(_ratio(sum(d <= limit for d in distances), len(scored)), 6) for limit in WITHIN_M
        },
        "error_m": spread(distances),
        "anchored_error_m": spread(anchored),
        "false_anchors": sum(d > FALSE_ANCHOR_M for d in anchored),
        "coverage_95": _rounded(_ratio(sum(error.inside_95 for _, error in errors), len(errors)), 6),
        "ellipse_95": _ellipses([row.estimate for row, _ in errors], [error.ellipses for _, error in errors]),
        "worst_flight": worst_flight(
            [(names[k] if k < len(names) else str(k), coverage_95(flight)) for k, flight in enumerate(flights)]
        ),
        "hazardous": sum(error.hazardous for _, error in errors),
        "protection_level_m": _levels(counted),
        "true_gps_left": run.true_gps_left,
        "nees_mean": _rounded(float(np.mean([error.nees for _, error in errors])) if errors else None, 4),
        "odometry": odometry_figures(flights),
        "latency_ms": _latency(row.latency_ms for row in rows),
        "stage_ms_p95": {
            stage: _percentile([row.stage_ms[stage] for row in rows if stage in row.stage_ms], 95) for stage in STAGES
        },
        "rss_peak_mb": _rounded(run.rss_peak_mb, 1),
        "wall_s": _rounded(run.wall_s, 2),
        "commit": run.commit,
        "cores": run.cores,
        "load_average": run.load_average,
    }


def coverage_95(rows: Sequence[FrameResult]) -> float | None:
    """Share of one flight's scored estimates whose error lies inside the 95 % ellipse; None without any."""
    errors = [error for row in rows if (error := frame_error(row)) is not None]
    return _rounded(_ratio(sum(error.inside_95 for error in errors), len(errors)), 6)


def _ellipses(states: Sequence[NavState | None], away: Sequence[float]) -> dict[str, float | str | None]:
    """Size of the 95 % ellipses and whether they fit the errors; nulls of nothing."""
    axes_m = [state.ellipse_semi_major_m for state in states if state is not None]
    needed = _percentile(away, 95)
    verdict = None
    if needed is not None:
        verdict = EllipseVerdict.TOO_SMALL if needed > 1.0 else EllipseVerdict.HONEST
        verdict = EllipseVerdict.TOO_LARGE if needed < 1.0 / ELLIPSE_TOO_LARGE else verdict
    return {"median_m": _percentile(axes_m, 50), "p95_m": _percentile(axes_m, 95), "needed": needed, "verdict": verdict}


def _levels(rows: Sequence[FrameResult]) -> dict[str, float | None]:
    levels = [level for row in rows if (level := protection_level_m(row.estimate)) is not None]
    return level_spread(levels)


def level_spread(levels_m: Sequence[float]) -> dict[str, float | None]:
    """Median, 95th percentile and maximum of protection levels; null of nothing."""
    return {name: _percentile(levels_m, percent) for name, percent in (("median", 50), ("p95", 95), ("max", 100))}


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Median, 90th and 95th percentile and maximum; null of nothing."""
    return {
        "median": _percentile(values, 50),
        "p90": _percentile(values, 90),
        "p95": _percentile(values, 95),
        "max": _percentile(values, 100),
    }


def _latency(values: Iterable[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {"p50": _percentile(known, 50), "p95": _percentile(known, 95), "max": _percentile(known, 100)}


def _percentile(values: Sequence[float], percent: float) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return _rounded(float(np.percentile(finite, percent)), 4) if finite else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)


# --- odometry ---------------------------------------------------------------------------------------------------------


def odometry_figures(flights: Sequence[Sequence[FrameResult]]) -> dict[str, float | None]:
    """`registered` and `drift_percent`, as the module says."""
    steps = [row.step for flight in flights for row in flight if row.step is not None]
    windows = [window for flight in flights for window in drift_windows(flight)]
    length = sum(path for _, path in windows)
    return {
        "registered": _rounded(_ratio(sum(step.status == OdometryStatus.OK for step in steps), len(steps)), 6),
        "drift_percent": _rounded(100.0 * sum(error for error, _ in windows) / length, 4) if windows else None,
    }


def drift_windows(rows: Sequence[FrameResult]) -> list[tuple[float, float]]:
    """(error m, path m) of each window of one flight."""
    windows: list[tuple[float, float]] = []
    chain = _Chain()
    by_time = {row.t_ns: row for row in rows}
    for row in rows:
        step = row.step
        if step is None or row.t_ns != step.t1_ns:
            continue
        if step.status != OdometryStatus.OK or not np.isfinite(step.displacement_enu_m).all():
            windows += chain.close()
            continue
        if chain.end_ns != step.t0_ns:
            windows += chain.close()
            chain.start(step.t0_ns, by_time.get(step.t0_ns))
        chain.add(step.t1_ns, step.displacement_enu_m)
        if row.scored:
            chain.reach(row)
            if chain.path_m >= DRIFT_WINDOW_M:
                windows += chain.close()
                chain.start(row.t_ns, row)
    return windows + chain.close()


class _Chain:
    """Consecutive registered steps since a frame with truth."""

    def __init__(self) -> None:
        self.start(-1, None)
        self.end_ns = -1

    def start(self, t_ns: int, row: FrameResult | None) -> None:
        """Begin at the frame at `t_ns`; without its truth the window begins at the next frame that has one."""
        self.end_ns = t_ns
        self.path_m = 0.0
        self._begin = self._last = _truth(row)
        self._sum: FloatArray = np.zeros(2)
        self._error_m = 0.0

    def add(self, t_ns: int, displacement_enu_m: FloatArray) -> None:
        self.end_ns = t_ns
        self._sum = self._sum + displacement_enu_m[:2]

    def reach(self, row: FrameResult) -> None:
        """Compare with truth at a scored frame."""
        place = _truth(row)
        assert place is not None
        if self._begin is None or self._last is None:
            self.start(row.t_ns, row)
            return
        self.path_m += math.hypot(*offset_m(self._last, place))
        east, north = offset_m(self._begin, place)
        self._error_m = math.hypot(self._sum[0] - east, self._sum[1] - north)
        self._last = place

    def close(self) -> list[tuple[float, float]]:
        """The window up to the last frame with truth, if it is long enough; the chain is then empty."""
        window = [(self._error_m, self.path_m)] if self.path_m >= DRIFT_WINDOW_MIN_M else []
        self.start(-1, None)
        return window


def _truth(row: FrameResult | None) -> tuple[float, float] | None:
    if row is None or row.truth_latitude_deg is None or row.truth_longitude_deg is None:
        return None
    return row.truth_latitude_deg, row.truth_longitude_deg
