"""Thermal readings become one state; only its changes are told."""

from __future__ import annotations

import math

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import ThermalState
from gps_denied_onboard.thermal.state import ThermalConfig, ThermalReading, ThermalWatch

COOL = ThermalReading("sysfs", 45.0, ())
HOT = ThermalReading("sysfs", 99.5, ("cpu-thermal",))
GPU = ThermalReading("nvml", 60.0, ())
S = 1_000_000_000


def states(steps: list[tuple[float, list[ThermalReading]]], clear_after_s: float = 10.0) -> list[tuple[float, str]]:
    """Times and states of what is told."""
    watch = ThermalWatch(clear_after_s)
    told = [watch.update(round(t * S), readings) for t, readings in steps]
    return [(sample.t_ns / S, sample.state.value) for sample in told if sample is not None]


def test_the_first_state_and_each_change_are_told_once() -> None:
    """Ten cool readings are one message; a throttle is told at once."""
    steps = [(float(t), [COOL]) for t in range(10)] + [(10.0, [HOT]), (12.0, [HOT])]
    assert states(steps) == [(0.0, "NORMAL"), (10.0, "THROTTLED")]


def test_a_throttle_that_flickers_is_one_throttle() -> None:
    """Heat that comes and goes within clear_after_s does not flood the ground; afterwards it is over."""
    steps = [(0.0, [HOT]), (2.0, [COOL]), (4.0, [HOT]), (6.0, [COOL]), (13.9, [COOL]), (14.0, [COOL])]
    assert states(steps) == [(0.0, "THROTTLED"), (14.0, "NORMAL")]


def test_silence_is_unknown_but_does_not_end_a_throttle_early() -> None:
    """Telemetry that goes missing is UNKNOWN; missing in the middle of a throttle, only after clear_after_s."""
    assert states([(0.0, [])]) == [(0.0, "UNKNOWN")]
    assert states([(0.0, [HOT]), (2.0, []), (11.0, []), (12.0, [COOL])]) == [
        (0.0, "THROTTLED"),
        (11.0, "UNKNOWN"),
        (12.0, "NORMAL"),
    ]


def test_one_hot_source_is_enough() -> None:
    """Of several sources the hottest sensor counts, any one throttles, and a source without numbers is no obstacle."""
    watch = ThermalWatch(10.0)
    sample = watch.update(0, [GPU, ThermalReading("jetson", math.nan, ("SOC",)), HOT])
    assert sample is not None
    assert (sample.state, sample.hottest_c) == (ThermalState.THROTTLED, 99.5)
    assert (sample.source, sample.detail) == ("nvml,jetson,sysfs", "SOC, cpu-thermal")


def test_the_last_snapshot_is_kept_though_nothing_is_told() -> None:
    """`last` follows the temperature between the changes."""
    watch = ThermalWatch(10.0)
    watch.update(0, [COOL])
    assert watch.update(5, [GPU]) is None
    assert watch.last is not None
    assert (watch.last.t_ns, watch.last.hottest_c) == (5, 60.0)


def test_settings_that_cannot_be() -> None:
    """An unknown source and impossible times are refused by name."""
    with pytest.raises(UserError, match="names 'acpi'; there are sysfs, nvml, jetson"):
        ThermalConfig(sources=("sysfs", "acpi"))
    with pytest.raises(UserError, match="poll_interval_s"):
        ThermalConfig(poll_interval_s=0.0)
