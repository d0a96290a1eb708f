"""Where thermal readings come from: the kernel's thermal zones, NVML, and jetson-stats behind a process boundary.

Each source's `read` gives a reading, or None while it has nothing to say. None of them raises.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import orjson

from gps_denied_onboard.thermal.state import ThermalReading

PLAUSIBLE_C = (-40.0, 200.0)
"""Zones of parts that are switched off report anything."""
HOLDS_BACK = re.compile(r"cpufreq|devfreq|processor|throttle|\.gpu|ga10b", re.IGNORECASE)
"""Cooling devices that cost speed; the others are fans."""
HELPER_MODULE = "gps_denied_onboard.thermal.jetson_helper"
LINE_BYTES_MAX = 65536
RESTART_S = 60.0
STALE_INTERVALS = 3.0


class ThermalSource(Protocol):
    """A place to read temperatures from."""

    def read(self) -> ThermalReading | None:
        """What it says now."""

    def close(self) -> None:
        """Stop whatever it runs."""


class SysfsSource:
    """Thermal zones: throttled at a passive or hot trip point, or while a cooling device that costs speed is on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self) -> ThermalReading | None:
        """See `ThermalSource`."""
        hottest_c, names, any_zone = math.nan, [], False
        for zone in sorted(self._directory.glob("thermal_zone*")):
            temperature_c = _millidegrees(zone / "temp")
            if temperature_c is None:
                continue
            any_zone = True
            hottest_c = temperature_c if math.isnan(hottest_c) else max(hottest_c, temperature_c)
            for kind in sorted(zone.glob("trip_point_*_type")):
                limit_c = _millidegrees(kind.with_name(kind.name.replace("_type", "_temp")))
                if _text(kind) in ("passive", "hot") and limit_c is not None and 0.0 < limit_c <= temperature_c:
                    names.append(_text(zone / "type") or zone.name)
                    break
        for device in sorted(self._directory.glob("cooling_device*")):
            kind_name = _text(device / "type") or ""
            if HOLDS_BACK.search(kind_name) and _whole(device / "cur_state") > 0:
                names.append(kind_name)
        return ThermalReading("sysfs", hottest_c, tuple(names)) if any_zone else None

    def close(self) -> None:
        """Nothing is open."""


class NvmlSource:
    """NVIDIA's management library, where there is one: GPU temperature and thermal slowdown."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._devices: list[Any] = []
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception:  # no driver, no library, no permission: there is nothing to read
            return
        self._nvml = pynvml
        with contextlib.suppress(pynvml.NVMLError):
            self._devices = [pynvml.nvmlDeviceGetHandleByIndex(k) for k in range(pynvml.nvmlDeviceGetCount())]

    def read(self) -> ThermalReading | None:
        """See `ThermalSource`."""
        nvml, hottest_c, names, told = self._nvml, math.nan, [], False
        for number, device in enumerate(self._devices):
            with contextlib.suppress(nvml.NVMLError):
                temperature_c = float(nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU))
                hottest_c = temperature_c if math.isnan(hottest_c) else max(hottest_c, temperature_c)
                told = True
            with contextlib.suppress(nvml.NVMLError):
                reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device)
                thermal = (
                    nvml.nvmlClocksThrottleReasonSwThermalSlowdown | nvml.nvmlClocksThrottleReasonHwThermalSlowdown
                )
                told = True
                if reasons & thermal:
                    names.append(f"gpu{number}")
        return ThermalReading("nvml", hottest_c, tuple(names)) if told else None

    def close(self) -> None:
        """Release the library."""
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
            self._nvml, self._devices = None, []


class JetsonSource:
    """jetson-stats (AGPL) in a process of its own: JSON lines on a pipe are all that is shared.

    A helper that ends is started again after a minute at the soonest; a line that is old counts as silence.
    """

    def __init__(self, python: str, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        spec = importlib.util.find_spec(HELPER_MODULE)
        assert spec is not None
        assert spec.origin is not None
        self._command = [python, "-u", spec.origin, f"{interval_s:g}"]
        self._stale_s = max(STALE_INTERVALS * interval_s, 5.0)
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: threading.Thread | None = None
        self._next_start_s = -math.inf
        self._newest: tuple[float, ThermalReading] | None = None

    def read(self) -> ThermalReading | None:
        """See `ThermalSource`."""
        now_s = self._clock()
        if (self._process is None or self._process.poll() is not None) and now_s >= self._next_start_s:
            self._next_start_s = now_s + RESTART_S
            self._start()
        newest = self._newest
        return newest[1] if newest is not None and now_s - newest[0] <= self._stale_s else None

    def close(self) -> None:
        """End the helper."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        if self._listener is not None:
            self._listener.join()

    def _start(self) -> None:
        try:
            process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            return
        self._process = process
        self._listener = threading.Thread(target=self._listen, args=(process,), name="jetson-stats", daemon=True)
        self._listener.start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            while line := lines.readline(LINE_BYTES_MAX):
                reading = reading_of_line(line)
                if reading is not None:
                    self._newest = (self._clock(), reading)


def reading_of_line(line: bytes) -> ThermalReading | None:
    """A line of the helper, {"temperatures_c": {name: degrees}, "throttled_by": [names]}; None where it is no such."""
    try:
        tree = orjson.loads(line)
        temperatures = tree["temperatures_c"]
        values = [float(v) for v in temperatures.values() if type(v) in (int, float)]
        names = tuple(str(name)[:40] for name in tree["throttled_by"])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    plausible = [v for v in values if PLAUSIBLE_C[0] < v < PLAUSIBLE_C[1]]
    return ThermalReading("jetson", max(plausible, default=math.nan), names) if plausible or names else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def _whole(path: Path) -> int:
    try:
        return int(_text(path) or 0)
    except ValueError:
        return 0


def _millidegrees(path: Path) -> float | None:
    """Degrees Celsius of a file that holds thousandths; None where it says nothing plausible."""
    try:
        value_c = int(_text(path) or "") / 1000.0
    except ValueError:
        return None
    return value_c if PLAUSIBLE_C[0] < value_c < PLAUSIBLE_C[1] else None
