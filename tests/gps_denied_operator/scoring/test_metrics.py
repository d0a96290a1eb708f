"""Frames to figures: what is counted, against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import NavState, OdometryStep, SourceLabel
from gps_denied_operator.scoring.frames import FrameResult, RunFacts
from gps_denied_operator.scoring.metrics import drift_windows, figures, frame_error, offset_m

RUN = RunFacts(1.5, 100.0, "abc", 2)
KEYS = {
    "frames", "scored", "with_estimate", "anchored", "within_m", "error_m", "anchored_error_m", "false_anchors",
    "coverage_95", "ellipse_95", "nees_mean", "odometry", "latency_ms", "worst_flight", "hazardous",
    "protection_level_m", "true_gps_left", "stage_ms_p95", "rss_peak_mb", "wall_s", "commit", "cores", "load_average",
}  # fmt: skip

STEP_M = 20.02  # a whole window of 500 m takes 25 steps

MakeState = Callable[..., NavState]


def row(
    origin: LocalFrame, make_state: MakeState, k: int, offset: tuple[float, float] | None, **state: object
) -> FrameResult:
    """A frame flown STEP_M east of the last, whose estimate is off by `offset` (east, north), or absent."""
    place = np.array([STEP_M * k, 0.0, 300.0])
    latitude, longitude, altitude = (float(v) for v in origin.geodetic_from_enu(place))
    estimate = None if offset is None else make_state(k, place + np.array([*offset, 0.0]), **state)
    return FrameResult(k, k, f"{k}.jpg", latitude, longitude, altitude, estimate, latency_ms=10.0 * k)


def test_error_is_the_geodesic_distance(origin: LocalFrame, make_state: MakeState) -> None:
    """An estimate 30 m east and 40 m south of truth is 50 m off, with its components."""
    error = frame_error(row(origin, make_state, 0, (30.0, -40.0)))
    assert error is not None
    assert (error.east_m, error.north_m, error.distance_m) == pytest.approx((30.0, -40.0, 50.0), rel=1e-4)


def test_offsets_agree_with_the_tangent_plane(origin: LocalFrame) -> None:
    """Geodesic offsets of a kilometre agree with the local plane to a centimetre."""
    latitude, longitude, _ = origin.geodetic_from_enu([600.0, -800.0, 0.0])
    east, north = offset_m((origin.latitude_deg, origin.longitude_deg), (float(latitude), float(longitude)))
    assert (east, north) == pytest.approx((600.0, -800.0), abs=0.15)


def test_frames_without_estimate_are_misses(origin: LocalFrame, make_state: MakeState) -> None:
    """Shares within a distance are of all scored frames; percentiles only of those with an estimate."""
    rows = [row(origin, make_state, k, offset) for k, offset in enumerate(((3.0, 0.0), (0.0, 8.0), None, (60.0, 0.0)))]
    result = figures([rows], RUN)
    assert result["within_m"] == {"5": 0.25, "10": 0.5, "20": 0.5, "50": 0.5}
    assert (result["frames"], result["scored"], result["with_estimate"], result["anchored"]) == (4, 4, 3, 3)
    assert result["false_anchors"] == 1
    assert result["error_m"] == pytest.approx({"median": 8.0, "p90": 49.6, "p95": 54.8, "max": 60.0}, rel=1e-3)
    assert result["latency_ms"] == {"p50": 15.0, "p95": 28.5, "max": 30.0}


def test_frames_without_truth_are_not_scored(origin: LocalFrame, make_state: MakeState) -> None:
    """Frames without truth count as frames only, whatever was estimated."""
    scored = row(origin, make_state, 0, (1.0, 0.0))
    free = dataclasses.replace(row(origin, make_state, 1, (900.0, 0.0)), truth_latitude_deg=None)
    result = figures([[scored, free]], RUN)
    assert (result["frames"], result["scored"], result["with_estimate"], result["false_anchors"]) == (2, 1, 1, 0)


def test_a_state_sent_as_no_fix_is_no_estimate(origin: LocalFrame, make_state: MakeState) -> None:
    """A position that the autopilot is told not to use is a miss, even if it happens to be right."""
    good = row(origin, make_state, 0, (0.0, 0.0))
    assert good.state is not None
    result = figures([[dataclasses.replace(good, state=dataclasses.replace(good.state, fix_type=1))]], RUN)
    assert (result["with_estimate"], result["within_m"]["50"]) == (0, 0.0)  # type: ignore[index]


def test_only_anchored_labels_make_false_anchors(origin: LocalFrame, make_state: MakeState) -> None:
    """A dead-reckoned frame 80 m off is an error but no false anchor, and not in the anchored errors."""
    rows = [
        row(origin, make_state, 0, (80.0, 0.0), label=SourceLabel.DEAD_RECKONED),
        row(origin, make_state, 1, (2.0, 0.0)),
    ]
    result = figures([rows], RUN)
    assert (result["anchored"], result["false_anchors"]) == (1, 0)
    assert result["anchored_error_m"]["max"] == pytest.approx(2.0, rel=1e-3)  # type: ignore[index]


def test_nothing_gives_null_and_never_nan() -> None:
    """Of no frames every figure is null or zero, all keys are there, and it is strict JSON."""
    result = figures([], RUN)
    assert set(result) == KEYS
    text = json.dumps(result, allow_nan=False)
    assert json.loads(text)["within_m"] == {"5": None, "10": None, "20": None, "50": None}
    assert json.loads(text)["error_m"] == {"median": None, "p90": None, "p95": None, "max": None}
    assert json.loads(text)["odometry"] == {"registered": None, "drift_percent": None}


def test_what_the_machine_does_not_say_is_null() -> None:
    """A run without a load and without a GPS to leave tells null for both, no number and no text."""
    found = figures([[]], RUN)
    assert (found["load_average"], found["true_gps_left"]) == (None, None)


def test_coverage_and_nees_of_an_honest_filter(origin: LocalFrame, make_state: MakeState) -> None:
    """Errors drawn from the promised covariance lie 95 % inside the ellipse and have a mean NEES of 2."""
    rng = np.random.default_rng(4)
    along, across = np.array([math.cos(0.6), math.sin(0.6)]), np.array([-math.sin(0.6), math.cos(0.6)])
    rows = []
    for k in range(4000):
        e = along * rng.normal(0, 4.2) + across * rng.normal(0, 3.0)
        rows.append(row(origin, make_state, k % 50, (float(e[0]), float(e[1])), sigma_m=3.0, stretch=1.4))
    result = figures([rows], RUN)
    assert result["coverage_95"] == pytest.approx(0.95, abs=0.012)
    assert result["nees_mean"] == pytest.approx(2.0, abs=0.1)


def test_the_ellipse_has_a_direction(origin: LocalFrame, make_state: MakeState) -> None:
    """An error along the long axis is inside where the same error across it is outside."""
    for offset, inside in (((15.0, 0.0), True), ((0.0, 15.0), False)):
        error = frame_error(row(origin, make_state, 0, offset, sigma_m=2.0, stretch=5.0, turn_rad=0.0))
        assert error is not None
        assert error.inside_95 is inside


@pytest.mark.parametrize(
    ("off_m", "needed", "verdict"),
    [
        (9.0, 9.0 / 7.34, "too small"),
        (6.0, 6.0 / 7.34, "honest"),
        (5.0, 5.0 / 7.34, "honest"),
        (4.7, 4.7 / 7.34, "too large"),
        (3.0, 3.0 / 7.34, "too large"),
    ],
)
def test_ellipses_are_judged_on_both_sides(
    origin: LocalFrame, make_state: MakeState, off_m: float, needed: float, verdict: str
) -> None:
    """Circles of 7.34 m (3 m times 2.448) around errors of one length, whatever their direction."""
    turns = np.arange(16) * math.pi / 8
    rows = [row(origin, make_state, k, (off_m * math.sin(t), off_m * math.cos(t)), sigma_m=3.0, stretch=1.0)
            for k, t in enumerate(turns)]  # fmt: skip
    ellipse = figures([rows], RUN)["ellipse_95"]
    assert isinstance(ellipse, dict)
    assert ellipse["verdict"] == verdict
    assert (ellipse["median_m"], ellipse["needed"]) == (pytest.approx(7.34, abs=0.01), pytest.approx(needed, rel=2e-3))


def test_what_is_needed_is_for_95_of_100(origin: LocalFrame, make_state: MakeState) -> None:
    """Errors of 0.1 to 10 m in circles of 7.34 m: 9.505 m is the 95th percentile of a hundred, between two of them."""
    rows = [row(origin, make_state, k, (0.1 * (k + 1), 0.0), sigma_m=3.0, stretch=1.0) for k in range(100)]
    ellipse = figures([rows], RUN)["ellipse_95"]
    assert isinstance(ellipse, dict)
    assert ellipse["needed"] == pytest.approx(9.505 / 7.343, rel=2e-3)


def test_an_anchor_is_false_beyond_fifty_metres(origin: LocalFrame, make_state: MakeState) -> None:
    """One at 49.5 m is not, one at 50.5 m is; without the label of an anchor it counts for nothing."""
    rows = [row(origin, make_state, k, (off_m, 0.0)) for k, off_m in enumerate((49.5, 50.5))]
    away = row(origin, make_state, 2, (80.0, 0.0), label=SourceLabel.DEAD_RECKONED)
    assert figures([[*rows, away]], RUN)["false_anchors"] == 1


@pytest.mark.parametrize("turn_deg", [0.0, 30.0, 90.0, 150.0, -60.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_ellipse_turns_with_the_errors(
    origin: LocalFrame, make_state: MakeState, turn_deg: float, mirrored: bool
) -> None:
    """The same error seen in a turned or mirrored frame is as many ellipses away, and has the same NEES."""
    turn = math.radians(-turn_deg if mirrored else turn_deg)
    along, across = (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))
    side = -1.0 if mirrored else 1.0
    off = tuple(8.0 * a + side * 3.0 * b for a, b in zip(along, across, strict=True))
    error = frame_error(row(origin, make_state, 0, (off[0], off[1]), sigma_m=2.0, stretch=3.0, turn_rad=turn))
    assert error is not None
    assert error.nees == pytest.approx((8.0 / 6.0) ** 2 + (3.0 / 2.0) ** 2, rel=1e-3)
    assert error.ellipses == pytest.approx(math.sqrt(error.nees / 5.991), rel=2e-3)


def step(k: int, scale: float, *, ok: bool = True) -> OdometryStep:
    """Odometry from the frame before to frame k, too long by `scale`."""
    return OdometryStep(
        k - 1, k, "ok" if ok else "lost", "" if ok else "dark", np.array([scale * STEP_M, 0.0, 0.0]), 0.0, 0.0,
        np.eye(4), 1.0, 9, 9, 0.5, 300.0, 5.0,
    )  # fmt: skip


def test_drift_is_of_windows_of_500_m(origin: LocalFrame, make_state: MakeState) -> None:
    """Odometry 2 % too long over 60 frames of 20 m makes two whole windows and a rest of 200 m, each 2 % off."""
    rows = [
        dataclasses.replace(row(origin, make_state, k, (0.0, 0.0)), step=step(k, 1.02) if k else None)
        for k in range(61)
    ]
    windows = drift_windows(rows)
    assert [round(path) for _, path in windows] == [500, 500, 200]
    assert [100 * error / path for error, path in windows] == pytest.approx([2.0, 2.0, 2.0], rel=1e-2)
    assert figures([rows], RUN)["odometry"] == {"registered": 1.0, "drift_percent": pytest.approx(2.0, rel=1e-2)}


def test_a_lost_step_breaks_the_window(origin: LocalFrame, make_state: MakeState) -> None:
    """Nothing is summed across a lost step, and a rest shorter than 100 m is not counted."""
    rows = [
        dataclasses.replace(row(origin, make_state, k, (0.0, 0.0)), step=step(k, 1.0, ok=k != 10) if k else None)
        for k in range(14)
    ]
    windows = drift_windows(rows)
    assert [round(path) for _, path in windows] == [180]
    assert windows[0][0] == pytest.approx(0.0, abs=0.02)
    assert figures([rows], RUN)["odometry"]["registered"] == pytest.approx(12 / 13, abs=1e-6)  # type: ignore[index]


def test_drift_is_measured_between_frames_with_truth(origin: LocalFrame, make_state: MakeState) -> None:
    """Where only every fifth frame has truth, windows begin and end there and sum all steps between."""
    rows = []
    for k in range(33):
        made = dataclasses.replace(row(origin, make_state, k, (0.0, 0.0)), step=step(k, 1.01) if k else None)
        rows.append(made if k % 5 == 2 else dataclasses.replace(made, truth_latitude_deg=None))
    windows = drift_windows(rows)
    assert [round(path) for _, path in windows] == [500, 100]
    assert [100 * error / path for error, path in windows] == pytest.approx([1.0, 1.0], rel=2e-2)


def test_windows_never_span_two_flights(origin: LocalFrame, make_state: MakeState) -> None:
    """Two flights of 90 m each have no window of 100 m together."""
    rows = [
        dataclasses.replace(row(origin, make_state, k, (0.0, 0.0)), step=step(k, 1.0) if k else None) for k in range(5)
    ]
    assert figures([rows, rows], RUN)["odometry"] == {"registered": 1.0, "drift_percent": None}


def test_every_figure_is_defined_in_the_documents() -> None:
    """Each key of the figures stands in _docs/metrics.md."""
    page = (Path(__file__).parents[3] / "_docs" / "metrics.md").read_text(encoding="utf-8")
    assert [key for key in KEYS if f"`{key}`" not in page] == []
