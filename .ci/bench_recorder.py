"""Measure what recording costs: the writer, `enqueue` against Python's own queues, eight hours of records, seeking.

Usage: bench_recorder.py OUT.json [HOURS]
"""

from __future__ import annotations

import json
import multiprocessing
import queue
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.camera import CameraModel
from gps_denied_onboard.messages import ImuSample, NavState, SourceLabel
from gps_denied_onboard.recorder.chain import FlightKey
from gps_denied_onboard.recorder.client import RecorderClient
from gps_denied_onboard.recorder.flight import Aboard, open_flight
from gps_denied_onboard.recorder.kinds import encoded, kind_of
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import HeaderRecord
from gps_denied_onboard.recorder.settings import RecorderConfig
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_onboard.recorder.writer import FlightWriter

IMU_HZ, STATE_HZ = 400, 10
SECOND_NS = 1_000_000_000
META = RecordingMeta(CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), 48.0, 37.0, 100.0, 2.0)


def measure(minutes: float, hours: float, enqueues: int) -> dict[str, Any]:
    """Everything, one after the other, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="gps-denied-bench-") as folder:
        root = Path(folder)
        return {
            "writer": writer_cost(root / "cost", minutes),
            "enqueue_us": enqueue_times(root / "enqueue", enqueues),
            "long": long_flight(root / "long", hours),
        }


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
            3.0, 4.0, 0.5, label, 200, 3, n,
        )  # fmt: skip


def _stepped(folder: Path) -> tuple[FlightWriter, RecorderClient]:
    folder.mkdir(parents=True)
    key = FlightKey()
    header = HeaderRecord(0, "bench", "", "", {}, "bench", "", {}, {}, "", key.public, "")
    writer = FlightWriter(folder, header, key, RecorderConfig(), lambda: 0, lambda _severity, _text: None)
    client = RecorderClient("flight", 8192)
    writer.add_producer(client)
    return writer, client


def writer_cost(folder: Path, minutes: float) -> dict[str, float]:
    """CPU time of the writer's steps (ten a second, a flush each half second) for so many minutes of records."""
    writer, client = _stepped(folder)
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


def enqueue_times(folder: Path, count: int) -> dict[str, dict[str, float]]:
    """p50 and p99 in microseconds of handing one IMU record on, 400 a second in bursts of ten, the writer running."""
    samples = _Samples()
    flight = open_flight(RecorderConfig(directory=str(folder)), META, Aboard({}, "bench", "", {}, {}))
    client = flight.client("flight")
    plain: queue.Queue[bytes | None] = queue.Queue()
    shared: Any = multiprocessing.get_context("spawn").SimpleQueue()
    ways: dict[str, Callable[[ImuSample], object]] = {
        "recorder": client.record,
        "queue.Queue": lambda m: plain.put(encoded(kind_of(m), m, "flight")),
        "multiprocessing": lambda m: shared.put(encoded(kind_of(m), m, "flight")),
    }
    spent: dict[str, list[int]] = {name: [] for name in ways}
    names = list(ways)
    for n in range(count):
        message = samples.imu(n, time.monotonic_ns())
        for name in names[n % 3 :] + names[: n % 3]:  # none of them always first after the pause
            way = ways[name]
            began = time.perf_counter_ns()
            way(message)
            spent[name].append(time.perf_counter_ns() - began)
        plain.get()
        shared.get()
        if n % 10 == 9:
            time.sleep(10 / IMU_HZ / 5.0)
    flight.close(flight.flight_id, clean=True)
    return {name: {f"p{p}": round(float(np.percentile(t, p)) / 1e3, 2) for p in (50, 99)} for name, t in spent.items()}


def long_flight(folder: Path, hours: float) -> dict[str, Any]:
    """So many hours of records, as quickly as they can be written: memory at each tenth, and seeks into the result."""
    writer, client = _stepped(folder)
    samples = _Samples()
    seconds = round(hours * 3600)
    memory_mb = []
    for second in range(1, seconds + 1):
        for half in range(2):
            t0_ns = second * SECOND_NS + half * SECOND_NS // 2
            for n in range(IMU_HZ // 2):
                client.record(samples.imu(second * 400 + n, t0_ns + n * SECOND_NS // IMU_HZ))
            for n in range(STATE_HZ // 2):
                client.record(samples.state(second, t0_ns + n * SECOND_NS // STATE_HZ))
            writer.step(t0_ns)
        if second % max(seconds // 10, 1) == 0:
            memory_mb.append(_memory_mb())
    writer.close((seconds + 1) * SECOND_NS, clean=True)
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
    figures = measure(10.0, float(sys.argv[2]) if len(sys.argv) > 2 else 8.0, 8000)
    Path(sys.argv[1]).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))
    return 0


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


if __name__ == "__main__":
    sys.exit(main())
