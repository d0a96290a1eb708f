#!/usr/bin/env python3
"""Fly a few short flights and the real video, and write the bands that their figures must stay in.

Usage: accuracy_bands.py. Writes tests/gps_denied_operator/evaluate/accuracy_bands.csv, whose difference is reviewed
with the change that moved it: run, figure, low, high. A band is a quarter of the figure to either side, and no
narrower than FLOORS. The slow test beside that file fails when a figure leaves its band, on either side: what became
better shall be written down, too.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gps_denied_operator.compare.figures import flattened

ROOT = Path(__file__).resolve().parents[1]
BANDS = ROOT / "tests" / "gps_denied_operator" / "evaluate" / "accuracy_bands.csv"
ISLAMABAD = Path(os.environ.get("GPS_DENIED_SHARED", ROOT.parent / "shared")) / "data" / "islamabad"
SHARE = 0.25
FLOORS = {
    "error_m.median": 0.3, "error_m.p95": 1.0, "ellipse_95.median_m": 0.5, "coverage_95": 0.05, "within_m.20": 0.05,
    "hazardous": 0.0, "false_anchors": 0.0,
}  # fmt: skip
"""Figure, by its keys -> the least that a band reaches to either side."""
FLIGHTS = {"cruise": 41, "gusts": 42, "blackout": 43}
"""Scenario -> seed; a minute each."""
VIDEO = "video"

Figures = dict[str, float]


def evaluate(arguments: list[str]) -> Figures:
    """Run one `operator-tool evaluate` and return the figures that bands are kept of; SystemExit when it fails."""
    with tempfile.TemporaryDirectory(prefix="gps-denied-bands-") as folder:
        command = [sys.executable, "-m", "gps_denied_operator.cli", "evaluate", *arguments, "--out", folder, "--json"]
        path = os.pathsep.join((str(ROOT / "src"), os.environ.get("PYTHONPATH", "")))
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"accuracy_bands: {' '.join(arguments)} ended with {done.returncode}: see its words above")
    told = flattened(json.loads(done.stdout))
    return {key: told[key] for key in FLOORS}


def measure(run: str) -> Figures:
    """Return the figures of one run, by its name in the file of bands."""
    if run == VIDEO:
        video = ["--photos", str(ISLAMABAD / "flight.mp4"), "--truth", str(ISLAMABAD / "truth.csv")]
        return evaluate(["photos", *video, "--map", str(ISLAMABAD / "ortho.tif"), "--prior", "none"])
    seed = FLIGHTS[run]
    return evaluate(["flights", "--seeds", f"{seed}-{seed}", "--minutes", "1", "--scenario", run])


def outside(figures: Figures, bands: dict[str, tuple[float, float]]) -> list[str]:
    """Return a sentence for each figure that left its band."""
    return [
        f"{key} is {figures[key]:.4g}, its band is {low:g} to {high:g}"
        for key, (low, high) in bands.items()
        if not low <= figures[key] <= high
    ]


def read_bands() -> dict[str, dict[str, tuple[float, float]]]:
    """Return run -> figure -> (low, high)."""
    out: dict[str, dict[str, tuple[float, float]]] = {}
    with BANDS.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            out.setdefault(row["run"], {})[row["figure"]] = (float(row["low"]), float(row["high"]))
    return out


def main() -> int:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("run", "figure", "low", "high"))
    for run in (*FLIGHTS, VIDEO):
        for key, value in measure(run).items():
            reach = max(SHARE * value, FLOORS[key]) if FLOORS[key] else 0.0
            high = min(value + reach, 1.0) if key in ("coverage_95", "within_m.20") else value + reach
            rows.writerow((run, key, f"{max(value - reach, 0.0):.4g}", f"{high:.4g}"))
            print(f"{run} {key} {value:.4g}", flush=True)
    BANDS.write_text(text.getvalue(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
