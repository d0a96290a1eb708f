"""What the report's columns say of a frame: its ellipse, its map fix, its innovations, and what went wrong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import OdometryStatus
from gps_denied_operator.report.model import FlightPart, Report
from gps_denied_operator.report.payload import payload, why
from gps_denied_operator.scoring.frames import FrameResult, RunFacts
from gps_denied_operator.scoring.metrics import figures

RUN = RunFacts(1.0, 100.0, "abc", 2)
MakeFlight = Callable[..., list[FrameResult]]


def report_of(flights: list[list[FrameResult]], local: LocalFrame | None) -> Report:
    parts = [FlightPart(f"flight {k}", rows, figures([rows], RUN), local) for k, rows in enumerate(flights)]
    return Report("title", figures(flights, RUN), parts)


def moved(rows: list[FrameResult], north_deg: float) -> list[FrameResult]:
    """The flight elsewhere."""
    out = []
    for row in rows:
        state, truth_deg = row.state, row.truth_latitude_deg
        out.append(dataclasses.replace(
            row,
            truth_latitude_deg=None if truth_deg is None else truth_deg + north_deg,
            state=None if state is None else dataclasses.replace(state, latitude_deg=state.latitude_deg + north_deg),
        ))  # fmt: skip
    return out


def test_an_ellipse_is_drawn_as_it_was_told(make_flight: MakeFlight, origin: LocalFrame) -> None:
    """Axes to a centimetre, azimuth to a degree, nothing for a frame without an estimate."""
    rows = make_flight(0, 60)
    drawn = payload(report_of([rows], origin))["flights"][0]
    for i, row in enumerate(rows):
        state = row.estimate
        told = [drawn[key][i] for key in ("major", "minor", "azimuth")]
        assert told == ([None] * 3 if state is None else [
            round(state.ellipse_semi_major_m, 2), round(state.ellipse_semi_minor_m, 2), round(state.ellipse_azimuth_deg)
        ])  # fmt: skip
    assert len(set(drawn["azimuth"])) > 1


def test_a_map_fix_lies_where_it_was_found(make_flight: MakeFlight, origin: LocalFrame) -> None:
    """On the page's plane beside the frame's own truth; without the flight's frame, or without a number, nowhere."""
    rows = make_flight(0, 60)
    drawn = payload(report_of([rows], origin))["flights"][0]
    checked = 0
    for i, taken, x, y, *_ in drawn["fixes"]:
        fix = rows[i].fix
        assert fix is not None
        truth = origin.enu_from_geodetic(
            rows[i].truth_latitude_deg, rows[i].truth_longitude_deg, rows[i].truth_altitude_m
        )
        off = (fix.position_enu_m - truth)[:2]
        np.testing.assert_allclose([x - drawn["tx"][i], y - drawn["ty"][i]], off, rtol=5e-3, atol=0.05)
        checked += taken
    assert checked > 10
    assert all(x is None and y is None for _, _, x, y, *_ in payload(report_of([rows], None))["flights"][0]["fixes"])


def test_an_innovation_is_told_in_its_sigmas(make_flight: MakeFlight, origin: LocalFrame) -> None:
    """The largest component of each, with its sign, to a hundredth."""
    rows = make_flight(0, 60)
    records = [aid for row in rows for aid in row.aids if aid.source == "baro"]
    told = payload(report_of([rows], origin))["flights"][0]["aids"]["baro"]
    expected = []
    for aid in records:
        scaled = [v / math.sqrt(s) for v, s in zip(aid.innovation, aid.innovation_variance, strict=True)]
        expected.append(round(float(max(scaled, key=abs)), 2))
    assert told["s"] == expected
    assert told["count"] == len(records)
    assert told["rejected"] == sum(not aid.accepted for aid in records)


def test_a_picture_comes_with_what_was_said_of_it(make_flight: MakeFlight, origin: LocalFrame) -> None:
    """Fix and odometry of the frame in words; the worst frame first."""
    rows = make_flight(0, 300)
    lost = next(k for k, row in enumerate(rows) if row.step is not None and row.step.status is not OdometryStatus.OK)
    for k in (lost, 20):
        rows[k] = dataclasses.replace(rows[k], frame_jpeg=b"x")
    rows[lost] = dataclasses.replace(rows[lost], state=None)  # a miss is worse than any error
    assert why(rows[lost]) == "no map fix tried; odometry lost, dark frame"
    fix = rows[20].fix
    assert fix is not None
    assert why(rows[20]) == f"map fix accepted, {fix.inliers} of {fix.matches} matches fit"
    worst = payload(report_of([rows], origin))["flights"][0]["worst"]
    assert [(one["i"], one["why"]) for one in worst] == [(lost, why(rows[lost])), (20, why(rows[20]))]
    assert [one["place"] for one in worst] == ["map at the estimate", "map at the fix"]
    assert worst[0]["frame"] == "data:image/jpeg;base64,eA=="
    assert worst[0]["map"] is None


@pytest.mark.parametrize(("north_deg", "together"), [(0.2, True), (0.7, False)])
def test_flights_near_each_other_share_a_plane(
    make_flight: MakeFlight, origin: LocalFrame, north_deg: float, together: bool
) -> None:
    """Two flights 22 km apart are drawn in one plane, each where it was; 78 km apart each has its own."""
    rows = make_flight(0, 40)
    made = payload(report_of([rows, moved(rows, north_deg)], origin))
    assert made["together"] is together
    here, there = (flight["ty"][20] for flight in made["flights"])
    assert there - here == pytest.approx(north_deg * 111_230.0 if together else 0.0, rel=0.01, abs=100.0)
    assert payload(report_of([rows], origin))["together"] is False
