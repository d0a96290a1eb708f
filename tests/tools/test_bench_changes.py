"""What `make bench` says of its last page: a figure beyond this run's noise is named, noise and other sets are not."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .programs import load_program

ROOT = Path(__file__).resolve().parents[2]
PAGE = """# What was measured

| | flights | video |
|---|---:|---:|
| frames | 6000 | 136 |
| anchored | 5605 | 136 |
| error median, m | 2.17 | 0.64 |
| latency p95, ms | 209 | 118 |

Some words.

| | other |
|---|---:|
| frames | 14 |
"""
ROWS = (("anchored", "anchored", 0), ("error median, m", "error_m.median", 2), ("latency p95, ms", "latency_ms.p95", 0))


@pytest.fixture(scope="module")
def bench_changes() -> ModuleType:
    """Return the program's module, which lies in no package."""
    return load_program("bench_changes")


def run(frames: int, median: float, low: float, high: float) -> dict[str, Any]:
    noise = {"error_m.median": [low, high], "anchored": [5500.0, 5700.0], "latency_ms.p95": [1.0, 2.0]}
    return {"frames": frames, "anchored": 5610, "error_m": {"median": median}, "latency_ms": {"p95": 900.0},
            "noise_95": noise}  # fmt: skip


def test_only_what_is_beyond_noise_is_named(bench_changes: ModuleType) -> None:
    """A median of 2.17 before: 2.3 give or take 0.2 is noise, 2.9 is worse, 1.5 better; times are never judged."""
    for median, said in (
        (2.3, "flights: nothing changed beyond noise"),
        (2.9, "flights: error median, m 2.17 -> 2.90, WORSE beyond noise"),
        (1.5, "flights: error median, m 2.17 -> 1.50, better beyond noise"),
    ):
        flights = run(6000, median, median - 0.2, median + 0.2)
        assert bench_changes.changes(PAGE, {"flights": flights}, ROWS) == [said]


def test_what_cannot_be_compared_is_said(bench_changes: ModuleType) -> None:
    """Another number of frames, a run that the page has not, noise that is not known: each in a line."""
    runs = {"video": run(135, 0.6, 0.5, 0.7), "new": run(1, 1.0, 0.0, 2.0), "other": {"frames": 14}}
    assert bench_changes.changes(PAGE, runs, ROWS) == [
        "video: 135 frames, 136 on the last page: another set",
        "new: not on the last page",
        "other: its noise is not known",
    ]


def test_the_committed_page_is_read(bench_changes: ModuleType) -> None:
    """The page of this tree has the runs that the sets of `make bench` make."""
    assert {"flights", "video", "caliterra"} <= bench_changes.tables(
        (ROOT / "_docs" / "benchmarks.md").read_text()
    ).keys()
