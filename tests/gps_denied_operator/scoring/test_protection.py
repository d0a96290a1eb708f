"""What is beyond its promise: hazardous positions, protection levels, the worst flight, a true GPS left."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import NavState, PositionSource, SourceLabel
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_operator.evaluate.campaign import blackout_figures
from gps_denied_operator.evaluate.campaign_score import score_blackout
from gps_denied_operator.evaluate.campaign_tap import Answer
from gps_denied_operator.evaluate.gps_left import faulty_spans_ns, true_gps_left
from gps_denied_operator.report.verdict import BAD, criteria, verdict
from gps_denied_operator.scoring.frames import FrameResult, RunFacts
from gps_denied_operator.scoring.metrics import figures
from gps_denied_operator.scoring.protection import ellipses_away, is_hazardous, protection_level_m, worst_flight

RUN = RunFacts(1.5, 100.0, "abc", 2, true_gps_left=3)
SECOND_NS = 1_000_000_000
MakeState = Callable[..., NavState]


def ellipse(make_state: MakeState, major_m: float, minor_m: float, azimuth_deg: float = 0.0) -> NavState:
    """A state with this 95 % ellipse; its major axis is `azimuth_deg` from north, clockwise."""
    state = make_state(0, np.zeros(3))
    return dataclasses.replace(
        state, ellipse_semi_major_m=major_m, ellipse_semi_minor_m=minor_m, ellipse_azimuth_deg=azimuth_deg
    )


@pytest.mark.parametrize(
    ("azimuth_deg", "east_m", "north_m", "times"),
    [(0.0, 0.0, 40.0, 2.0), (0.0, 40.0, 0.0, 4.0), (90.0, 40.0, 0.0, 2.0), (45.0, 20.0, 20.0, math.sqrt(2.0))],
)
def test_ellipses_away(make_state: MakeState, azimuth_deg: float, east_m: float, north_m: float, times: float) -> None:
    """40 m along an axis of 20 m are two ellipses, across one of 10 m four."""
    assert ellipses_away(ellipse(make_state, 20.0, 10.0, azimuth_deg), east_m, north_m) == pytest.approx(times)


@pytest.mark.parametrize(
    ("level_m", "east_m", "north_m", "hazardous"),
    [
        (math.nan, 34.9, 0.0, False),
        (math.nan, 35.1, 0.0, True),
        (math.nan, 0.0, 69.9, False),
        (math.nan, 0.0, 70.1, True),
        (30.0, 0.0, 29.9, False),
        (30.0, 0.0, 30.1, True),
        (500.0, 35.1, 0.0, True),
        (math.nan, 0.0, 60.0, False),
        (0.0, 0.0, 60.0, False),
    ],
)
def test_hazardous_is_beyond_either(
    make_state: MakeState, level_m: float, east_m: float, north_m: float, hazardous: bool
) -> None:
    """Of 20 x 10 m: beyond 3.5 of them in that direction, or beyond the protection level where there is one."""
    state = dataclasses.replace(ellipse(make_state, 20.0, 10.0), protection_level_m=level_m)
    assert is_hazardous(state, east_m, north_m) is hazardous


def test_level_is_absent_in_older_records(make_state: MakeState) -> None:
    """No estimate gives none, nor one whose record did not hold it."""
    state = make_state(0, np.zeros(3))
    assert protection_level_m(None) is None
    assert protection_level_m(state) is None
    assert protection_level_m(dataclasses.replace(state, protection_level_m=12.5)) == 12.5


def flight(
    origin: LocalFrame, make_state: MakeState, errors_m: list[float], levels_m: list[float]
) -> list[FrameResult]:
    """Frames whose estimates are east of truth, with round 95 % ellipses of 10 m."""
    rows = []
    for k, (error_m, level_m) in enumerate(zip(errors_m, levels_m, strict=True)):
        latitude, longitude, altitude = (float(v) for v in origin.geodetic_from_enu(np.zeros(3)))
        state = make_state(k, np.array([error_m, 0.0, 0.0]))
        state = dataclasses.replace(
            state, ellipse_semi_major_m=10.0, ellipse_semi_minor_m=10.0, protection_level_m=level_m
        )
        rows.append(FrameResult(k, k, f"{k}.jpg", latitude, longitude, altitude, state))
    return rows


def test_figures_over_two_flights(origin: LocalFrame, make_state: MakeState) -> None:
    """Of six positions one is beyond its level and one beyond 3.5 ellipses; the second flight is the worse one."""
    first = flight(origin, make_state, [1.0, 2.0, 9.0, 25.0], [20.0, 20.0, 20.0, 20.0])
    second = flight(origin, make_state, [12.0, 40.0], [100.0, 100.0])
    result = figures([first, second], RUN, ("a", "b"))
    assert result["hazardous"] == 2
    assert result["coverage_95"] == 0.5
    assert result["worst_flight"] == {"flight": "b", "coverage_95": 0.0}
    assert result["protection_level_m"] == {"median": 20.0, "p95": 100.0, "max": 100.0}
    assert result["true_gps_left"] == 3
    levels = {row.name: row.level for row in criteria(result)}
    assert levels["hazardous (beyond protection level)"] == levels["true GPS left"] == BAD
    assert levels["the same, worst flight"] == BAD
    assert verdict(result)[0] == BAD
    assert "2 positions" in verdict(result)[1]


def test_position_sent_as_no_fix_misleads_nobody(origin: LocalFrame, make_state: MakeState) -> None:
    """A state with fix type 1 is no position, whatever its error; a 2D fix is one."""
    latitude, longitude, altitude = (float(v) for v in origin.geodetic_from_enu(np.zeros(3)))
    for fix_type, count in ((1, 0), (2, 1), (3, 1)):
        state = dataclasses.replace(make_state(0, np.array([900.0, 0.0, 0.0])), fix_type=fix_type)
        assert figures([[FrameResult(0, 0, "0", latitude, longitude, altitude, state)]], RUN)["hazardous"] == count


def test_worst_flight_of_nothing_is_null() -> None:
    """Flights without truth have no coverage."""
    assert worst_flight([("a", None)]) == {"flight": None, "coverage_95": None}
    assert worst_flight([("a", None), ("b", 0.9), ("c", 0.8)]) == {"flight": "c", "coverage_95": 0.8}


def test_true_gps_left_is_counted_outside_of_attacks() -> None:
    """Left in the jamming and within a second of it: for its sake. Left before or later: for nothing."""
    gps, ours = PositionSource.GPS, PositionSource.COMPANION
    meta = cast(
        RecordingMeta,
        SimpleNamespace(schedule=({"kind": "gps_jump", "start_s": 20.0, "end_s": 30.0}, {"kind": "camera_dark"})),
    )
    spans = faulty_spans_ns(meta, 10 * SECOND_NS)
    assert spans == [(30 * SECOND_NS, 41 * SECOND_NS)]
    told: list[tuple[int, Any]] = [(11, ours), (12, gps), (15, ours), (16, gps), (31, ours), (32, gps), (40, ours),
                                   (41, gps), (42, ours), (43, ours)]  # fmt: skip
    assert true_gps_left([(t * SECOND_NS, source) for t, source in told], spans) == 2


def test_blackouts_count_hazardous_positions_too() -> None:
    """Positions of the window that are sent as a fix 3.6 times their ellipse away, with their protection levels."""
    state = NavState(
        0, 48.0, 37.0, 500.0, (0.0, 17.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9, 10.0, 10.0, 0.0, 4.0, 4.0, 0.3,
        SourceLabel.DEAD_RECKONED, 0, 3,
    )  # fmt: skip
    answers = [
        Answer(k, dataclasses.replace(state, t_ns=k, fix_type=fix_type), ())
        for k, fix_type in ((2, 3), (3, 2), (4, 1), (9, 3))
    ]
    score = score_blackout(5.0, (1, 2, 4, 5), answers, lambda _: (36.0, 0.0), (100.0, 500.0, 30.0))
    assert score.hazardous == 2
    assert blackout_figures([score, score])["hazardous"] == 4
    assert blackout_figures([score])["protection_level_m"] == {"median": None, "p95": None, "max": None}
