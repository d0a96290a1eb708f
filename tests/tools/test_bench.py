"""The pages that `make bench` writes: README.md shows what benchmarks.md holds, and the worst first."""

from __future__ import annotations

import re
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ROWS = {
    "scored": "scored", "< 5 m": "within 5 m", "< 20 m": "within 20 m", "median": "error median, m",
    "worst": "error max, m", "false anchors": "false anchors", "in 95 % ellipse": "coverage of the 95 % ellipse",
}  # fmt: skip
RUNS = {"ten simulated flights": "flights", "real video": "video"}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program `tools/bench` as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    loader = SourceFileLoader("bench", str(ROOT / "tools" / "bench"))
    module = module_from_spec(spec_from_loader("bench", loader) or pytest.fail("no such program"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    return module


def tables(text: str) -> list[dict[str, dict[str, str]]]:
    """Every table of a page: row -> column -> cell."""
    out: list[dict[str, dict[str, str]]] = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        out.append({row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows})
    return out


def test_readme_shows_what_the_benchmarks_hold() -> None:
    """Each cell of README's table of figures is the one of the page, rounded; both are of one commit."""
    readme = (ROOT / "README.md").read_text("utf-8")
    (shown,) = (table for table in tables(readme) if any("in 95 % ellipse" in row for row in table.values()))
    held = tables((ROOT / "_docs" / "benchmarks.md").read_text("utf-8"))[0]
    for label, cells in shown.items():
        run = next(name for begin, name in RUNS.items() if label.startswith(begin))
        assert held["commit"][run].removesuffix("-dirty") in readme
        for column, row in ROWS.items():
            told = float(cells[column].removesuffix(" m").removesuffix(" %"))
            share = cells[column].endswith("%")
            there = float(held[row][run]) * (100.0 if share else 1.0)
            assert told == pytest.approx(there, abs=0.051), f"{label}: {column} is {told}, benchmarks.md says {there}"


def figures(coverage: float, worst: float) -> dict[str, Any]:
    """The figures of a run, as far as the headline needs them."""
    return {
        "scored": 100, "within_m": {"5": 0.9, "20": 1.0}, "error_m": {"median": 2.04, "max": 15.4}, "false_anchors": 0,
        "coverage_95": coverage, "worst_flight": {"coverage_95": worst}, "commit": "abc",
    }  # fmt: skip


def test_headline_begins_with_the_worst_weather(bench: ModuleType) -> None:
    """Of all scenarios the one with the lowest coverage stands first, with its worst flight."""
    weather = {"seeds": "1-2", "commit": "abc", "scenarios": {"gusts": figures(0.97, 0.95), "storm": figures(0.7, 0.5)}}
    table = bench.headline({"flights": figures(0.98, 0.96), "weather": weather})
    (rows,) = tables(table)
    first, second = rows
    assert "`storm`" in first
    assert second.startswith("ten simulated flights")
    assert rows[first]["in 95 % ellipse"] == "70.0 %"
    assert rows[first]["worst flight"] == "50.0 %"


def test_only_the_table_of_the_readme_is_replaced(bench: ModuleType) -> None:
    """What stands before and after the marks stays as it is."""
    text = f"before\n{bench.BEGIN}old\n{bench.END}\nafter\n"
    assert bench.with_headline(text, "new\n") == f"before\n{bench.BEGIN}new\n{bench.END}\nafter\n"


def test_changed_tree_is_refused(bench: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Figures of a tree that no commit holds could never be measured again."""
    monkeypatch.setattr(bench, "OUT", tmp_path / "bench")
    monkeypatch.setattr(bench.machine, "commit", lambda: "0123456789ab-dirty")
    monkeypatch.setattr(sys, "argv", ["bench", "flights"])
    with pytest.raises(SystemExit, match="commit first"):
        bench.main()
    assert not (tmp_path / "bench").exists()
