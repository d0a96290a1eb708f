"""Thermal sources: a kernel's tree of zones, and jetson-stats behind a real helper process."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from gps_denied_onboard.thermal.sources import JetsonSource, NvmlSource, SysfsSource, reading_of_line

JTOP = """
class jtop:
    def __init__(self, interval): self.left = 3
    def __enter__(self): return self
    def __exit__(self, *_): return False
    def ok(self):
        self.left -= 1
        return self.left >= 0
    temperature = {
        "CPU": {"temp": 99.0, "online": True, "max": 99},
        "GPU": {"temp": 61.5, "online": True},
        "CV0": {"temp": -256.0, "online": False},
    }
"""


def zone(root: Path, number: int, kind: str, temp: str, trips: dict[str, str]) -> None:
    folder = root / f"thermal_zone{number}"
    folder.mkdir()
    (folder / "type").write_text(f"{kind}\n")
    (folder / "temp").write_text(f"{temp}\n")
    for k, (name, limit) in enumerate(trips.items()):
        (folder / f"trip_point_{k}_type").write_text(f"{name}\n")
        (folder / f"trip_point_{k}_temp").write_text(f"{limit}\n")


def cooling(root: Path, number: int, kind: str, state: str) -> None:
    folder = root / f"cooling_device{number}"
    folder.mkdir()
    (folder / "type").write_text(f"{kind}\n")
    (folder / "cur_state").write_text(f"{state}\n")


@pytest.mark.parametrize(
    ("temp", "trips", "throttled"),
    [
        ("98999", {"active": "50000", "passive": "99000", "critical": "104500"}, False),
        ("99000", {"active": "50000", "passive": "99000", "critical": "104500"}, True),
        ("101000", {"critical": "104500", "hot": "100000"}, True),
        ("60000", {"passive": "0", "hot": "-274000"}, False),
        ("60000", {}, False),
    ],
)
def test_a_zone_throttles_at_its_passive_trip(
    tmp_path: Path, temp: str, trips: dict[str, str], throttled: bool
) -> None:
    """A zone at its passive or hot trip point throttles; fans' trips, and trips that are switched off, do not count."""
    zone(tmp_path, 0, "cpu-thermal", temp, trips)
    reading = SysfsSource(tmp_path).read()
    assert reading is not None
    assert reading.hottest_c == float(temp) / 1000.0
    assert reading.throttled_by == (("cpu-thermal",) if throttled else ())


def test_the_hottest_zone_and_the_working_brakes(tmp_path: Path) -> None:
    """The hottest plausible zone counts; a working frequency limit throttles, a working fan does not."""
    zone(tmp_path, 0, "cpu-thermal", "51500", {})
    zone(tmp_path, 1, "gpu-thermal", "55250", {})
    zone(tmp_path, 2, "cv0-thermal", "-256000", {})
    zone(tmp_path, 3, "tj-thermal", "", {})
    cooling(tmp_path, 0, "pwm-fan", "3")
    cooling(tmp_path, 1, "cpufreq-cpu4", "0")
    before = SysfsSource(tmp_path).read()
    assert before is not None
    assert (before.hottest_c, before.throttled_by) == (55.25, ())
    cooling(tmp_path, 2, "gpu-throttle-alert", "1")
    after = SysfsSource(tmp_path).read()
    assert after is not None
    assert after.throttled_by == ("gpu-throttle-alert",)


def test_no_zone_is_no_reading(tmp_path: Path) -> None:
    """A machine without thermal zones, and a folder that is not there, have nothing to say."""
    assert SysfsSource(tmp_path).read() is None
    assert SysfsSource(tmp_path / "absent").read() is None
    zone(tmp_path, 0, "broken", "not a number", {"passive": "90000"})
    assert SysfsSource(tmp_path).read() is None


def test_nvml_says_something_or_nothing() -> None:
    """On a machine without NVIDIA's driver there is no reading; on one with it the temperature is that of a chip."""
    source = NvmlSource()
    reading = source.read()
    assert reading is None or 0.0 < reading.hottest_c < 120.0
    source.close()
    assert source.read() is None


def test_jetson_stats_by_a_helper_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The helper turns what jetson-stats offers into lines, sensors that are off left out, and its end is survived."""
    (tmp_path / "jtop.py").write_text(JTOP)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    now_s = [100.0]
    source = JetsonSource(sys.executable, 0.1, lambda: now_s[0])
    source.read()
    assert source._process is not None
    assert source._process.wait(30.0) == 0
    assert source._listener is not None
    source._listener.join(30.0)
    reading = source.read()
    assert reading is not None
    assert (reading.source, reading.hottest_c, reading.throttled_by) == ("jetson", 99.0, ("CPU",))
    now_s[0] += 10.0
    assert source.read() is None  # an old line is silence
    source.close()
    assert "jtop" not in sys.modules


def test_no_jetson_stats_is_no_reading(tmp_path: Path) -> None:
    """Without jetson-stats, or without the Python that should run it, there is no reading and no error."""
    source = JetsonSource(sys.executable, 0.1)
    assert source.read() is None
    assert source._process is not None
    assert source._process.wait(30.0) != 0
    assert source.read() is None
    source.close()
    absent = JetsonSource(str(tmp_path / "python"), 0.1)
    assert absent.read() is None
    absent.close()


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{", b"[]", b"null", b"3", b'{"temperatures_c": 3, "throttled_by": []}', b"\xff" * 100,
     b'{"temperatures_c": {"CPU": "hot"}, "throttled_by": []}',
     b'{"temperatures_c": {"CPU": 1e9}, "throttled_by": []}'],
)  # fmt: skip
def test_lines_that_are_none(line: bytes) -> None:
    """Whatever else the helper prints is no reading."""
    assert reading_of_line(line) is None


def test_a_name_without_a_number_still_throttles() -> None:
    """A throttle is told even where no temperature is plausible."""
    reading = reading_of_line(b'{"temperatures_c": {}, "throttled_by": ["SOC"]}')
    assert reading is not None
    assert math.isnan(reading.hottest_c)
    assert reading.throttled_by == ("SOC",)
