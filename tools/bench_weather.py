#!/usr/bin/env python3
"""Measure `weather`: every scenario of the simulator, honest or not; into the JSON file that is named.

Usage: bench_weather.py OUT.json [--seeds 9400-9419] [--minutes 10] [--scenarios storm,gusts] [--workers 2]. No number
was fitted on these seeds. What was flown is removed after each scenario: 20 flights of 10 minutes take gigabytes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SEEDS, MINUTES = "9400-9419", 10.0
COLUMNS = (
    ("inside 95 %", "coverage_95", 3), ("hazardous", "hazardous", 0), ("true GPS left", "true_gps_left", 0),
    ("false anchors", "false_anchors", 0), ("scored", "scored", 0), ("with estimate", "with_estimate", 0),
    ("anchored", "anchored", 0), ("within 50 m", "within_m.50", 3), ("median, m", "error_m.median", 1),
    ("p95, m", "error_m.p95", 1), ("max, m", "error_m.max", 1), ("level median, m", "protection_level_m.median", 0),
    ("ellipse median, m", "ellipse_95.median_m", 1), ("needed, times", "ellipse_95.needed", 2),
    ("level p95, m", "protection_level_m.p95", 0), ("NEES", "nees_mean", 1),
)  # fmt: skip
MUST = (("coverage_95", 0.95), ("worst_flight.coverage_95", 0.90))

Figures = dict[str, Any]


def fly(scenario: str, folder: Path, seeds: str, minutes: float, workers: int) -> Figures:
    """Evaluate one scenario and return its figures, those of each flight under `flights`; SystemExit when it fails."""
    tool = str(Path(sys.executable).with_name("operator-tool"))
    command = [tool, "evaluate", "flights", "--scenario", scenario, "--seeds", seeds, "--minutes", f"{minutes:g}"]
    command += ["--workers", str(workers), "--out", str(folder), "--replace", "--json"]
    print(f"weather: {' '.join(command[1:])}", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: weather, {scenario} ended with {done.returncode}: see its words above")
    figures: Figures = json.loads((folder / "results.json").read_text("utf-8"))
    shutil.rmtree(folder / "recordings", ignore_errors=True)
    return figures


def value_of(figures: Figures, path: str) -> Any:
    """Return a figure by its path of keys; None where there is none."""
    value: Any = figures
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def cells(figures: Figures) -> str:
    """Return the figures of one line."""
    values = [(value_of(figures, path), digits) for _, path, digits in COLUMNS]
    return " | ".join(f"{v:.{digits}f}" if isinstance(v, int | float) else "-" for v, digits in values)


def tables(measured: Figures) -> str:
    """Return one table a scenario: all flights, then each."""
    out = [
        f"\n## Weather and faults\n\n`weather`: every scenario, seeds {measured['seeds']} of {measured['minutes']:g} "
        "minutes each. Must: inside 95 % at least 0.95, and 0.90 in every\nflight; hazardous, true GPS left and false "
        "anchors 0. `level` is the protection level.\n"
    ]
    for scenario, figures in measured["scenarios"].items():
        missed = [path for path, least in MUST if (value_of(figures, path) or 0.0) < least]
        missed += [path for path in ("hazardous", "true_gps_left", "false_anchors") if value_of(figures, path)]
        worst = value_of(figures, "worst_flight.flight")
        out.append(f"\n### {scenario}\n\n{'Not met: ' + ', '.join(missed) if missed else 'Met'}; worst: {worst}.\n\n")
        out.append(f"| flight | {' | '.join(name for name, _, _ in COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}\n")
        out.append(f"| all | {cells(figures)} |\n")
        out += [f"| {flight['title'].split(', ')[-1]} | {cells(flight)} |\n" for flight in figures["flights"]]
    return "".join(out) + f"\nMeasured with {measured['cores']} cores at commit {measured['commit']}.\n"


def main() -> int:
    from gps_denied_sim.scenarios import NAMES

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", default=SEEDS)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--scenarios", default=",".join(NAMES))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    scenarios = given.scenarios.split(",")
    if unknown := set(scenarios) - set(NAMES):
        sys.exit(f"bench: unknown scenario {sorted(unknown)[0]!r}: use {', '.join(NAMES)}")
    began, measured = time.monotonic(), {}
    for scenario in scenarios:
        folder = given.out.with_suffix("") / scenario
        measured[scenario] = fly(scenario, folder, given.seeds, given.minutes, given.workers)
    kept = {"seeds": given.seeds, "minutes": given.minutes, "wall_s": round(time.monotonic() - began, 1)}
    given.out.write_text(json.dumps({**kept, "scenarios": measured}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
