"""Proof that the autopilot uses what we send, and the delay with which it has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gps_denied_onboard.autopilot.gps_input_monitor import ECHO_AFTER_NS, GpsInputMonitor, apart_m
from gps_denied_onboard.autopilot.mavlink.latency import DRIFT_MS, TELL_AGAIN_NS, WINDOW, LatencyMeter
from gps_denied_onboard.messages import NavState, SourceLabel

STATE = NavState(
    10_000_000_000, 60.0, 179.9999, 800.0, (10.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9,
    3.0, 3.0, 0.0, 2.0, 3.0, 0.3, SourceLabel.SATELLITE_ANCHORED, 0, 3,
)  # fmt: skip
LATER_NS = STATE.t_ns + ECHO_AFTER_NS


def texts(alerts: object) -> list[str]:
    assert isinstance(alerts, list)
    return [alert.text for alert in alerts]


def test_the_echo_proves_that_we_are_taken() -> None:
    """Five seconds after our first fix the autopilot's receiver shows it, or it is told that it does not; once each."""
    watch = GpsInputMonitor(1)
    watch.on_sent(STATE)
    assert watch.on_receiver(LATER_NS - 1, 1, 0.0, 0.0) == []
    assert texts(watch.on_receiver(LATER_NS, 1, 60.0, 179.9999)) == [
        "the autopilot does not take our position as GPS 2: it shows fix 1"
    ]
    assert watch.on_receiver(LATER_NS, 0, 60.0, 179.9999) == []
    assert texts(watch.on_receiver(LATER_NS, 3, 60.0, -179.9999)) == ["the autopilot takes our position as GPS 2"]
    assert watch.taken
    assert watch.on_receiver(LATER_NS, 2, 60.0, 179.9999) == []  # a 2D fix, as the ladder sends it, is taken too
    assert texts(watch.on_receiver(LATER_NS, 3, 60.01, 179.9999)) == [
        "the autopilot does not take our position as GPS 2: it shows another one, 1113 m away"
    ]


def test_without_a_fix_of_ours_nothing_is_expected() -> None:
    """While we say that we have none, an autopilot without one is right; the wait begins with the next fix."""
    watch = GpsInputMonitor(0)
    watch.on_sent(STATE)
    watch.on_sent(replace(STATE, fix_type=1))
    assert watch.on_receiver(LATER_NS, 1, 0.0, 0.0) == []
    watch.on_sent(replace(STATE, t_ns=LATER_NS))
    assert watch.on_receiver(LATER_NS + 1, 1, 0.0, 0.0) == []
    assert watch.taken is None


def test_the_filters_flags() -> None:
    """Losing the absolute position, having it again, and the glitch flag (32768) are told when they change."""
    watch = GpsInputMonitor(0)
    assert watch.on_filter(1, 831) == []
    assert watch.on_filter(2, 831) == []
    assert texts(watch.on_filter(3, 831 | 32768)) == ["the autopilot's filter takes a GPS for glitching"]
    assert texts(watch.on_filter(4, 815)) == ["the autopilot's filter has lost its position"]
    assert texts(watch.on_filter(5, 831)) == ["the autopilot's filter has a position"]


def test_distance_on_the_globe() -> None:
    """A degree of longitude at 60 degrees north is half of one at the equator."""
    east_m = apart_m(replace(STATE, longitude_deg=10.0), 60.0, 11.0)
    assert east_m == pytest.approx(55_660.0, rel=1e-3)


def test_the_delay_is_our_way_and_half_of_the_links() -> None:
    """The median over the window: 12 ms to the wire and a round trip of 8 ms are 16 ms."""
    meter = LatencyMeter(20)
    assert meter.median_ms is None
    for k in range(WINDOW):
        late_ns = 400_000_000 if k % 10 == 0 else 12_000_000
        assert meter.on_sent(k, k + late_ns, 8_000_000) is None
    assert meter.median_ms == pytest.approx(16.0)


def test_a_delay_that_drifts_is_told() -> None:
    """A median further than the limit from what the autopilot was told is an alert, once a minute."""
    meter = LatencyMeter(20)
    late_ns = round((20.0 + DRIFT_MS + 1.0) * 1e6)
    alerts = [meter.on_sent(k, k + late_ns, None) for k in range(WINDOW + 5)]
    assert [k for k, alert in enumerate(alerts) if alert is not None] == [WINDOW - 1]
    assert "position delay is 61 ms, the autopilot was told 20" in str(alerts[WINDOW - 1])
    assert meter.on_sent(TELL_AGAIN_NS, TELL_AGAIN_NS + 2 * late_ns, None) is not None
