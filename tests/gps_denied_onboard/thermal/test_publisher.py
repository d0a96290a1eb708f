"""The thermal publisher: changes for the loop, and a warning about silence that does not repeat itself."""

from __future__ import annotations

from pathlib import Path

from gps_denied_onboard.messages import Alert, ThermalSample, ThermalState
from gps_denied_onboard.thermal.publisher import ThermalPublisher
from gps_denied_onboard.thermal.state import ThermalConfig

MINUTE_NS = 60_000_000_000


def test_a_zone_that_heats_up_is_told_once(tmp_path: Path) -> None:
    """Polled before, at and after its limit, a zone gives one NORMAL, one THROTTLED and one NORMAL sample."""
    zone = tmp_path / "thermal_zone0"
    zone.mkdir()
    for name, text in (("type", "cpu"), ("trip_point_0_type", "passive"), ("trip_point_0_temp", "95000")):
        (zone / name).write_text(text)
    now = [0]
    publisher = ThermalPublisher(ThermalConfig(("sysfs",), sysfs_directory=str(tmp_path)), lambda: now[0])
    told: list[ThermalSample | Alert] = []
    for minute, temperature in enumerate((60, 80, 96, 97, 70, 60)):
        now[0] = minute * MINUTE_NS
        (zone / "temp").write_text(f"{temperature}000")
        publisher.poll()
        told += publisher.take()
    assert [(t.t_ns // MINUTE_NS, t.state) for t in told if isinstance(t, ThermalSample)] == [
        (0, ThermalState.NORMAL),
        (2, ThermalState.THROTTLED),
        (4, ThermalState.NORMAL),
    ]
    assert [t for t in told if isinstance(t, Alert)] == []
    assert publisher.last is not None
    assert publisher.last.hottest_c == 60.0


def test_silence_is_warned_of_every_ten_minutes(tmp_path: Path) -> None:
    """Without telemetry the state is UNKNOWN, told once, and the warning comes thrice in half an hour of polling."""
    now = [0]
    publisher = ThermalPublisher(ThermalConfig(("sysfs",), sysfs_directory=str(tmp_path)), lambda: now[0])
    for second in range(0, 1800, 2):
        now[0] = second * 1_000_000_000
        publisher.poll()
    told = publisher.take()
    assert [t.state for t in told if isinstance(t, ThermalSample)] == [ThermalState.UNKNOWN]
    warnings = [t for t in told if isinstance(t, Alert)]
    assert [w.t_ns // MINUTE_NS for w in warnings] == [0, 10, 20]
    assert {(w.severity, w.text) for w in warnings} == {(4, "thermal telemetry missing; flown as not hot")}
    assert publisher.take() == []


def test_its_thread_polls_and_ends(tmp_path: Path) -> None:
    """Inside the context the sources are read without anyone asking; leaving it ends the thread."""
    import threading

    with ThermalPublisher(ThermalConfig(("sysfs",), 0.1, sysfs_directory=str(tmp_path)), lambda: 5) as publisher:
        assert any(t.name == "thermal" for t in threading.enumerate())
    assert [type(t) for t in publisher.take()] == [ThermalSample, Alert]
    assert not any(t.name == "thermal" for t in threading.enumerate())
