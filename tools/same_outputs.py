"""Compare the outputs of two replays of one recording line by line; a newer version may have added keys.

Usage: same_outputs.py OLD NEW. Each is a folder that `gps-denied-onboard replay` or `operator-tool evaluate` wrote;
navstate.jsonl, decisions.jsonl, gps_input.tlog and frames.csv are compared where both hold them. Prints a line a file;
ends with 1 where one differs, 2 where nothing is there.
"""

from __future__ import annotations

import json
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

FILES = ("navstate.jsonl", "decisions.jsonl", "gps_input.tlog", "frames.csv")
GATE_FLAGS = ("unique",)
"""Numbers of `gates` that became fields of their own, true or false."""
MEASURED = ("latency_ms", "odometry_ms", "place_ms", "match_ms", "pose_ms", "fusion_ms", "cpu_ms")
"""Columns of frames.csv that tell how long something took: they differ from run to run."""


def as_now(value: Any) -> Any:
    """Return a JSON value of an older version as this version would write it."""
    if isinstance(value, list):
        return [as_now(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {key: as_now(item) for key, item in value.items()}
    gates = out.get("gates")
    if isinstance(gates, dict):
        out |= {flag: bool(gates.pop(flag, 0.0)) for flag in GATE_FLAGS if flag in gates or flag not in out}
    return out


def without_added(new: Any, old: Any) -> Any:
    """Return `new` without the keys that `old` does not know: a version may add some."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: without_added(new[key], old[key]) for key in old if key in new}
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return [without_added(a, b) for a, b in zip(new, old, strict=True)]
    return new


def different_lines(old: Path, new: Path) -> int:
    """Return how many lines of two JSON-lines files differ, missing ones included."""
    with old.open("rb") as before, new.open("rb") as after:
        count = 0
        for one, other in zip_longest(before, after):
            if one == other:
                continue
            if one is None or other is None:
                count += 1
                continue
            mapped = as_now(json.loads(one))
            count += mapped != without_added(as_now(json.loads(other)), mapped)
        return count


def different_rows(old: Path, new: Path) -> int:
    """Return how many rows of two CSV files differ in the columns that both have, measured times left out."""
    import csv

    with old.open(newline="", encoding="utf-8") as before, new.open(newline="", encoding="utf-8") as after:
        pairs = zip_longest(csv.DictReader(before), csv.DictReader(after))
        return sum(
            one is None
            or other is None
            or any(one[key] != other[key] for key in one.keys() & other.keys() if key not in MEASURED)
            for one, other in pairs
        )


def compare(old: Path, new: Path) -> tuple[int, int]:
    """Return how many files were compared, and how many of them differ."""
    compared = differing = 0
    for name in FILES:
        first, second = old / name, new / name
        if not (first.is_file() and second.is_file()):
            continue
        if first.read_bytes() == second.read_bytes():
            said, differs = "the same bytes", False
        elif name.endswith(".jsonl"):
            lines = different_lines(first, second)
            said, differs = f"{lines} lines differ" if lines else "the same but for added keys", lines > 0
        elif name.endswith(".csv"):
            rows = different_rows(first, second)
            said, differs = f"{rows} rows differ" if rows else "the same but for measured times", rows > 0
        else:
            said, differs = "other bytes", True
        print(f"{name:16} {said}")
        compared, differing = compared + 1, differing + differs
    return compared, differing


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    compared, differing = compare(Path(sys.argv[1]), Path(sys.argv[2]))
    if not compared:
        print("neither folder holds outputs of a replay that the other holds, too")
        return 2
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
