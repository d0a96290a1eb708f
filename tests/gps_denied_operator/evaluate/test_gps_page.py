"""The figures and the page over logs' receivers: counts, shares of time, and where each verdict stands on the band."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gps_denied_onboard.messages import GpsHealth
from gps_denied_operator.evaluate.gps_log import GpsLogResult, VerdictChange
from gps_denied_operator.evaluate.gps_page import COLOURS, gps_page, results_of, timeline

CHANGES = (
    VerdictChange(10.0, GpsHealth.STABLE_NON_SPOOFED, ""),
    VerdictChange(40.0, GpsHealth.SPOOFED, "jump <b>"),
    VerdictChange(70.0, GpsHealth.DEGRADED, "no fix"),
)
RESULT = GpsLogResult("a.bin", 120.0, 600, CHANGES, 30.12345, 50.0, 1, 110.0, "the inertial sensors", (), 7.25)


def test_alarms_are_of_the_hours_watched() -> None:
    """Two logs' alarms over their watched time together; without any there is no rate."""
    told = results_of([RESULT, replace(RESULT, alarms=2, watched_s=250.0)])
    assert (told["alarms"], told["watched_h"], told["alarms_per_h"]) == (3, 0.1, 30.0)
    assert told["logs"][0]["spoofed_s"] == 30.123
    assert told["logs"][0]["verdicts"][1] == {"t_s": 40.0, "verdict": "SPOOFED", "reason": "jump <b>"}
    assert "track" not in told["logs"][0]
    nothing = results_of([replace(RESULT, watched_s=0.0, slowest_drift_mps=None)])
    assert (nothing["alarms_per_h"], nothing["logs"][0]["slowest_drift_mps"]) == (None, None)


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([RESULT], "1 alarm in 0.03 hours of 1 log, 32.7 an hour."),
        ([replace(RESULT, alarms=0)] * 2, "0 alarms in 0.06 hours of 2 logs, 0 an hour."),
        ([], "0 alarms in 0.00 hours of 0 logs."),
    ],
)
def test_the_page_begins_with_the_count(results: list[GpsLogResult], said: str) -> None:
    """One of a thing is one, of more there are several; no rate is made of no time."""
    assert said in gps_page(results, "command")


def test_each_verdict_stands_where_it_began() -> None:
    """From its change to the next one or to the log's end, in its colour, with its reason as text."""
    wide = timeline(CHANGES, 120.0).split("<svg")[1]
    width = float(wide.split('viewBox="0 0 ')[1].split()[0])
    scale = (width - 16.0 - 62.0) / 120.0
    found = re.findall(r'<rect x="([\d.]+)" y="6" width="([\d.]+)" [^>]*fill: ([^"]+)"', wide)
    assert [colour for _, _, colour in found] == [COLOURS[change.verdict] for change in CHANGES]
    for (x, across, _), (begins, ends) in zip(found, ((10.0, 40.0), (40.0, 70.0), (70.0, 120.0)), strict=True):
        assert float(x) == pytest.approx(62.0 + begins * scale, abs=0.01)
        assert float(across) == pytest.approx((ends - begins) * scale, abs=0.01)
    assert "40.0 s: SPOOFED jump &lt;b&gt;" in wide
    assert "time since the log began, s<" in wide
    assert "time since the log began, min<" in timeline(CHANGES, 200.0)


def test_a_long_list_is_cut_and_counted() -> None:
    """Four hundred changes are listed, and it is said how many more the JSON has."""
    many = tuple(VerdictChange(float(k), GpsHealth.DEGRADED, "no fix") for k in range(401))
    assert "1 more are in the JSON" in gps_page([replace(RESULT, verdicts=many)], "command")
    assert "more are in the JSON" not in gps_page([replace(RESULT, verdicts=many[:400])], "command")


def test_what_no_sensor_sees_is_said() -> None:
    """The slowest drift that would be told in metres a second, or that none would."""
    assert "7.2" in gps_page([RESULT], "command")
    assert "not seen at any speed" in gps_page([replace(RESULT, slowest_drift_mps=None)], "command")
