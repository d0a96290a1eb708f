"""Prints jetson-stats' temperatures as JSON lines: run as a program by an interpreter that has jetson-stats.

jetson-stats is under the AGPL: it stays in this process, which nothing of the navigation imports. Only the standard
library is used besides, so that the system's Python can run it. It ends when jetson-stats does, or nobody listens.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from typing import Any


def line_of(temperature: Mapping[str, Mapping[str, Any]]) -> str:
    """One line of jtop's `temperature`: sensors that are on, and those at their limit (`max`, where it has one)."""
    on = {name: sensor for name, sensor in temperature.items() if sensor.get("online", True)}
    hot = [name for name, sensor in on.items() if sensor.get("max") and sensor["temp"] >= sensor["max"]]
    return json.dumps({"temperatures_c": {name: sensor["temp"] for name, sensor in on.items()}, "throttled_by": hot})


def main() -> None:
    """Print a line every argv[1] seconds."""
    with importlib.import_module("jtop").jtop(interval=float(sys.argv[1])) as jetson:
        while jetson.ok():
            print(line_of(jetson.temperature), flush=True)


if __name__ == "__main__":
    main()
