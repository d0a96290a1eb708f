"""Measure what recording costs: the writer, `enqueue` against Python's own queues, eight hours of records, seeking.

Usage: bench_recorder.py OUT.json [HOURS]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import FixType, ImuSample, NavState, SourceLabel
from gps_denied_onboard.recorder.chain import FlightKey
from gps_denied_onboard.recorder.client import RecorderClient
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, open_flight
from gps_denied_onboard.recorder.kinds import encoded, kind_of
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import HeaderRecord
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_onboard.recorder.writer import FlightWriter

IMU_HZ, STATE_HZ = 400, 10
SECOND_NS = 1_000_000_000
META = RecordingMeta(CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), 48.0, 37.0, 100.0, 2.0)


def measure(minutes: float, hours: float, enqueues: int) -> dict[str, Any]:
    """Everything, one after the other, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="gps-denied-bench-") as folder:
        root = Path(folder)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "writer": lambda: writer_cost(root / "cost", minutes),
            "enqueue_us": lambda: {
                "back to back": enqueue_times(root / "enqueue", enqueues, 0.0),
                "after pauses of 5 ms": enqueue_times(root / "paused", enqueues, 0.005),
            },
            "capped": lambda: capped_flight(root / "capped", hours / 8.0),
            "long": lambda: long_flight(root / "long", hours),
        }
        figures: dict[str, Any] = {}
        began = time.perf_counter()
        for name, part in parts.items():
            figures[name] = part()
            print(f"{name}: after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        return {**figures, "wall_s": round(time.perf_counter() - began)}


class _Samples:
    """Inertial samples and positions that differ, made beforehand: making them is not what is measured."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self._numbers = [tuple(float(v) for v in row) for row in rng.normal(0.0, 1.0, (4096, 6))]

    def imu(self, n: int, t_ns: int) -> ImuSample:
        v = self._numbers[n % len(self._numbers)]
        return ImuSample(t_ns, (v[0], v[1], v[2]), (v[3], v[4], v[5]))

    def state(self, n: int, t_ns: int) -> NavState:
        a, b, c, d, e, f = self._numbers[n % len(self._numbers)]
        covariance = (a * a, d, e, d, b * b, f, e, f, c * c)
        label = SourceLabel.SATELLITE_ANCHORED
        return NavState(
            t_ns, 48.0 + a * 1e-3, 37.0 + b * 1e-3, 900.0 + c, (a, b, c), (1.0, d, e, f), covariance, 7.3, 5.1, 12.0,
            3.0, 4.0, 0.5, label, 200, FixType.FIX_3D, n,
        )  # fmt: skip


def _stepped(folder: Path, config: RecorderConfig) -> tuple[FlightWriter, RecorderClient]:
    folder.mkdir(parents=True)
    key = FlightKey()
    header = HeaderRecord(0, "bench", "", "", {}, "bench", "", {}, {}, "", key.public, "")
    writer = FlightWriter(folder, header, key, config, lambda: 0, lambda _severity, _text: None)
    client = RecorderClient("flight", 8192)
    writer.add_producer(client)
    return writer, client


def writer_cost(folder: Path, minutes: float) -> dict[str, float]:
    """CPU time of the writer's steps (ten a second, a flush each half second) for so many minutes of records."""
    writer, client = _stepped(folder, RecorderConfig())
    samples = _Samples()
    spent_ns, count = 0, 0
    steps = round(minutes * 600)
    for step in range(steps):
        t0_ns = (step + 1) * SECOND_NS // 10
        for n in range(IMU_HZ // 10):
            client.record(samples.imu(count + n, t0_ns + n * SECOND_NS // IMU_HZ))
        client.record(samples.state(step, t0_ns))
        count += IMU_HZ // 10 + 2
        began = time.thread_time_ns()
        writer.step(t0_ns)
        spent_ns += time.thread_time_ns() - began
    writer.close(steps * SECOND_NS // 10, clean=True)
    verdict = verify_flight(folder)
    assert (verdict.state, verdict.lost) == ("clean", 0), verdict
    return {
        "minutes": minutes,
        "records": count,
        "cpu_percent_of_a_core": round(spent_ns / (minutes * 60e9) * 100.0, 3),
        "bytes_a_second": round(verdict.bytes / (minutes * 60.0)),
    }


def enqueue_times(folder: Path, count: int, pause_s: float) -> dict[str, dict[str, float]]:
    """Microseconds of handing one IMU record on, ten at a time with a pause between, the writer running: of all, and
    after a pause of each ten's first, which finds the processor's caches full of what ran meanwhile. `nothing` is a
    call that does nothing, in the same places."""
    samples = _Samples()
    flight = open_flight(RecorderConfig(directory=str(folder)), META, BuildInfo({}, "bench", "", {}, {}))
    client = flight.client("flight")
    plain: queue.Queue[bytes | None] = queue.Queue()
    shared: Any = multiprocessing.get_context("spawn").SimpleQueue()
    ways: dict[str, Callable[[ImuSample], object]] = {
        "recorder": client.record,
        "queue.Queue": lambda m: plain.put(encoded(kind_of(m), m, "flight")),
        "multiprocessing": lambda m: shared.put(encoded(kind_of(m), m, "flight")),
        "nothing": lambda _m: None,
    }
    spent: dict[str, list[int]] = {name: [] for name in ways}
    first: dict[str, list[int]] = {name: [] for name in ways}
    names = list(ways)
    for n in range(count):
        message = samples.imu(n, time.monotonic_ns())
        turn = n // 10 % len(names) + n  # none of them always first after the pause
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            way = ways[name]
            began = time.perf_counter_ns()
            way(message)
            spent[name].append(time.perf_counter_ns() - began)
            if n % 10 == 0 and place == 0:
                first[name].append(spent[name][-1])
        plain.get()
        shared.get()
        if n % 10 == 9 and pause_s > 0.0:
            time.sleep(pause_s)
    flight.close(flight.flight_id, clean=True)
    shown = {"": spent} | ({"first ": first} if pause_s > 0.0 else {})
    return {
        name: {f"{whose}p{p}": _percentile_us(times[name], p) for whose, times in shown.items() for p in (50, 99)}
        for name in ways
    }


def _percentile_us(times_ns: list[int], percent: int) -> float:
    return round(float(np.percentile(times_ns, percent)) / 1e3, 2)


def _fly(writer: FlightWriter, client: RecorderClient, seconds: int, look: Callable[[int], None]) -> None:
    """So many seconds of records as quickly as they can be written, a chunk each half second; the disk is not waited
    for: tens of thousands of waits would be all that is measured."""
    samples = _Samples()
    wait, os.fdatasync = os.fdatasync, lambda fd: None  # noqa: ARG005
    try:
        for second in range(1, seconds + 1):
            _fly_second(writer, client, samples, second)
            look(second)
        writer.close((seconds + 1) * SECOND_NS, clean=True)
    finally:
        os.fdatasync = wait


def _fly_second(writer: FlightWriter, client: RecorderClient, samples: _Samples, second: int) -> None:
    for half in range(2):
        t0_ns = second * SECOND_NS + half * SECOND_NS // 2
        for n in range(IMU_HZ // 2):
            client.record(samples.imu(second * IMU_HZ + n, t0_ns + n * SECOND_NS // IMU_HZ))
        for n in range(STATE_HZ // 2):
            client.record(samples.state(second, t0_ns + n * SECOND_NS // STATE_HZ))
        writer.step(t0_ns)


def capped_flight(folder: Path, hours: float) -> dict[str, Any]:
    """Records under a cap of a fifth of what they need: how large the folder ever was, and that it verifies."""
    cap_mib = max(round(hours * 30.0), 5)
    writer, client = _stepped(folder, RecorderConfig(cap_mib=cap_mib, segment_mib=max(cap_mib // 8, 1)))
    largest = 0

    def look(_second: int) -> None:
        nonlocal largest
        largest = max(largest, _folder_bytes(folder))

    _fly(writer, client, round(hours * 3600), look)
    look(0)
    verdict = verify_flight(folder)
    assert verdict.state == "clean", verdict
    return {
        "hours": hours,
        "cap_mib": cap_mib,
        "largest_mib": round(largest / (1 << 20), 2),
        "segments_removed": writer.rollover_count,
    }


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.mcap"))


def long_flight(folder: Path, hours: float) -> dict[str, Any]:
    """So many hours of records: memory at each tenth, and seeks into the result."""
    writer, client = _stepped(folder, RecorderConfig())
    seconds = round(hours * 3600)
    memory_mb: list[float] = []

    def look(second: int) -> None:
        if second % max(seconds // 10, 1) == 0:
            memory_mb.append(_memory_mb())

    _fly(writer, client, seconds, look)
    reader = FlightReader(folder)
    began = time.perf_counter()
    assert reader.end_ns is not None
    opened_ms = (time.perf_counter() - began) * 1e3
    rng = np.random.default_rng(2)
    seeks = []
    for second in rng.integers(1, seconds, 200).tolist():
        began = time.perf_counter()
        found = sum(1 for _ in reader.records(None, second * SECOND_NS, (second + 1) * SECOND_NS - 1))
        seeks.append((time.perf_counter() - began) * 1e3)
        assert found >= IMU_HZ
    return {
        "hours": hours,
        "memory_mb_at_tenths": memory_mb,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "segments": len(reader.segments),
        "bytes": sum(segment.size for segment in reader.segments),
        "open_ms": round(opened_ms, 1),
        "seek_ms": {f"p{p}": round(float(np.percentile(seeks, p)), 1) for p in (50, 99, 100)},
    }


def main() -> int:
    hours = float(sys.argv[2]) if len(sys.argv) > 2 else 8.0
    figures = measure(min(10.0, hours * 60.0), hours, 8000 if hours >= 1.0 else 600)
    Path(sys.argv[1]).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))
    return 0


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


if __name__ == "__main__":
    sys.exit(main())
