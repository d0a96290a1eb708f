"""The numbers behind the report's page: finite, complete, and few enough for many flights."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable

import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_operator.evaluate.output import COLUMNS, frames_csv, result_files
from gps_denied_operator.report.model import FlightPart, Report
from gps_denied_operator.report.payload import ROWS_MAX, payload, thinned
from gps_denied_operator.report.verdict import BAD, GOOD, WARN, verdict
from gps_denied_operator.scoring.frames import FrameResult, RunFacts
from gps_denied_operator.scoring.metrics import figures, frame_error

RUN = RunFacts(1.0, 100.0, "abc", 2)
MakeFlight = Callable[..., list[FrameResult]]


def report_of(flights: list[list[FrameResult]], origin: LocalFrame) -> Report:
    parts = [FlightPart(f"flight {k}", rows, figures([rows], RUN), origin) for k, rows in enumerate(flights)]
    return Report("title", figures(flights, RUN), parts)


def test_the_payload_is_strict_json_with_equal_columns(make_flight: MakeFlight, origin: LocalFrame) -> None:
    """No NaN even where the inputs hold one, and every column of a flight is as long as its time."""
    rows = make_flight(0, 80)
    assert rows[40].fix is not None
    broken = dataclasses.replace(rows[40].fix, position_enu_m=rows[40].fix.position_enu_m * math.nan)
    rows[40] = dataclasses.replace(rows[40], fix=broken, truth_altitude_m=math.nan, latency_ms=None)
    made = payload(report_of([rows, []], origin))
    json.dumps(made, allow_nan=False)
    first = made["flights"][0]
    for column in ("name", "x", "y", "z", "zs", "tx", "ty", "tz", "label", "err", "inside", "nees", "major", "latency"):
        assert len(first[column]) == len(first["t"]) == 80
    assert made["flights"][1]["t"] == []


def test_heights_above_ground_are_not_drawn_beside_those_above_the_sea(
    make_flight: MakeFlight, origin: LocalFrame
) -> None:
    """Of photographs nobody told where the ground lies: their own heights are drawn, the true altitudes are not."""
    report = report_of([make_flight(0, 40)], origin)
    plain = payload(report)["flights"][0]
    part = dataclasses.replace(report.flights[0], above_ground=True)
    photos = payload(dataclasses.replace(report, flights=[part]))["flights"][0]
    assert (plain["aboveGround"], photos["aboveGround"]) == (False, True)
    assert any(height is not None for height in plain["tz"])
    assert all(height is None for height in photos["tz"])
    assert photos["z"] == plain["z"]


def test_drawn_positions_are_true_to_the_ground(make_flight: MakeFlight, origin: LocalFrame) -> None:
    """Distances on the page's plane are metres to half a percent, and errors on it are the scored errors."""
    rows = make_flight(1, 200)
    drawn = payload(report_of([rows], origin))["flights"][0]
    for i in (10, 90, 180):
        error = frame_error(rows[i])
        assert error is not None
        length = math.hypot(drawn["x"][i] - drawn["tx"][i], drawn["y"][i] - drawn["ty"][i])
        assert length == pytest.approx(error.distance_m, rel=5e-3, abs=0.03)
        assert drawn["x"][i] - drawn["tx"][i] == pytest.approx(error.east_m, rel=5e-3, abs=0.03)


def test_the_curve_counts_misses(make_flight: MakeFlight, origin: LocalFrame) -> None:
    """Of scored frames a quarter without an estimate: three quarters stay below some error, no more below any."""
    rows = [dataclasses.replace(row, state=None) if k % 4 == 0 else row for k, row in enumerate(make_flight(3, 80))]
    errors = sorted(error.distance_m for row in rows if (error := frame_error(row)) is not None)
    scored = sum(row.scored for row in rows)
    made = payload(report_of([rows], origin))
    for curve in (made["cdf"], made["flights"][0]["cdf"]):
        share = len(errors) / scored
        known = [value for value in curve if value is not None]
        assert len(known) / len(curve) == pytest.approx(share, abs=0.02)
        assert known == sorted(known)
        assert known[-1] == pytest.approx(errors[-1], abs=0.001)
        assert curve[len(curve) // 2] == pytest.approx(errors[scored // 2 - 1], abs=0.3)


def test_many_frames_are_thinned_but_the_worst_stay(make_flight: MakeFlight, origin: LocalFrame) -> None:
    """Of too many rows about the limit is drawn, in order, with the largest error and every picture among them."""
    rows = make_flight(2, 900)
    rows[7] = dataclasses.replace(rows[7], frame_jpeg=b"x")
    errors = [frame_error(row) for row in rows]
    kept = thinned(rows, errors, 200)
    assert len(kept) <= 230
    assert kept == sorted(set(kept))
    assert 7 in kept
    assert max(range(900), key=lambda i: errors[i].distance_m if errors[i] else 0.0) in kept  # type: ignore[union-attr]
    assert thinned(rows, errors, 900) == list(range(900))
    drawn = payload(report_of([rows], origin))["flights"][0]
    assert drawn["share"] == payload(report_of([rows, rows], origin))["flights"][0]["share"]


def test_the_page_of_many_flights_stays_small(make_flight: MakeFlight, origin: LocalFrame) -> None:
    """As many frames as are ever drawn take less than 6 MB, which leaves room for the pictures in 8 MB."""
    small, large = (result_files(report_of([make_flight(0, n)], origin), {})["report.html"] for n in (100, 300))
    assert (len(large) - len(small)) / 200 * ROWS_MAX < 6_000_000
    assert len(small) < 200_000


def test_verdicts(make_flight: MakeFlight) -> None:
    """Nothing anchored, a false anchor, a missed figure and all met: each has its level and says so."""
    flight = make_flight(0, 300)
    good = {**figures([flight], RUN), "false_anchors": 0, "coverage_95": 0.96, "hazardous": 0}
    good["worst_flight"] = {"flight": "0", "coverage_95": 0.93}
    good["odometry"] = {"registered": 0.99, "drift_percent": 0.5}
    assert verdict(good)[0] == GOOD
    assert verdict({**good, "coverage_95": 0.5})[0] == WARN
    level, sentence = verdict({**good, "false_anchors": 1})
    assert (level, "one frame is" in sentence) == (BAD, True)
    level, sentence = verdict({**good, "anchored": 0})
    assert level == BAD
    assert sentence.startswith("No frame could be anchored")


def test_the_table_of_frames(make_flight: MakeFlight) -> None:
    """One line a frame, all columns; a name that a spreadsheet would run as a formula is defused."""
    rows = make_flight(0, 5, name="=cmd()|{}.jpg")
    lines = frames_csv([("a, b", rows, None)]).decode().splitlines()
    assert lines[0].split(",") == list(COLUMNS)
    assert len(lines) == 6
    assert lines[4].startswith('"a, b",13,3,\'=cmd()|3.jpg,')
    assert len(lines[4].split(",")) == len(COLUMNS) + 1
