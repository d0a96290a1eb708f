"""What of a benchmark changed against the page of the last commit, beyond noise.

The page holds figures alone. The noise is that of this run: what other flights, or other stretches of the only one,
would give (see gps_denied_operator.compare); the page's own figure is as uncertain, so the bounds are sqrt(2) as far.
Times and memory follow the machine and are not judged.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gps_denied_operator.compare.figures import OF_FRAMES, Way, flattened
from gps_denied_operator.compare.judge import noise_of
from gps_denied_operator.compare.results import read_side

JUDGED = {figure.name: figure.way for figure in OF_FRAMES if figure.way is not Way.UNJUDGED}
Rows = Sequence[tuple[str, str, int]]


def noise(result: Path) -> dict[str, list[float]]:
    """Return figure -> [low, high] of a result's own noise, where it is known."""
    found = noise_of(read_side(result))
    return {name: [one.low, one.high] for name, one in found.items() if one.low is not None and one.high is not None}


def committed_page(root: Path, page: Path) -> str:
    """Return the page as the last commit has it; empty where there is none."""
    command = ["git", "-C", str(root), "show", f"HEAD:{page.relative_to(root)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def tables(page: str) -> dict[str, dict[str, float]]:
    """Return run -> label -> number of every table of a page whose columns are runs."""
    found: dict[str, dict[str, float]] = {}
    runs: list[str] = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            runs = []
        elif not runs:
            runs = cells[1:]
        for run, cell in zip(runs, cells[1:], strict=False):
            try:
                found.setdefault(run, {})[cells[0]] = float(cell)
            except ValueError:
                continue
    return found


def changes(page: str, runs: Mapping[str, Mapping[str, Any]], rows: Rows) -> list[str]:
    """Return one line for each judged figure of `runs` that left the page's by more than noise.

    runs: name -> figures, with their `noise_95` (see `noise`). rows: (label on the page, path of the figure, digits).
    """
    before = tables(page)
    out: list[str] = []
    for name, figures in runs.items():
        held, bounds = before.get(name), figures.get("noise_95", {})
        if held is None:
            out.append(f"{name}: not on the last page")
            continue
        if held.get("frames") != figures.get("frames"):
            out.append(
                f"{name}: {figures.get('frames')} frames, {held.get('frames', 0):.0f} on the last page: another set"
            )
            continue
        told = flattened(figures)
        changed = [_change(label, path, digits, held, told, bounds) for label, path, digits in rows if path in JUDGED]
        out += [f"{name}: {line}" for line in changed if line]
        if not any(changed):
            out.append(f"{name}: nothing changed beyond noise" if bounds else f"{name}: its noise is not known")
    return out


def _change(
    label: str, path: str, digits: int, held: Mapping[str, float], told: Mapping[str, float],
    bounds: Mapping[str, Sequence[float]],
) -> str:  # fmt: skip
    was, now = held.get(label), told.get(path)
    if was is None or now is None or path not in bounds:
        return ""
    reach = [math.sqrt(2.0) * abs(bound - now) + 0.5 * 10.0**-digits for bound in bounds[path]]
    if now - reach[0] <= was <= now + reach[1]:
        return ""
    better = (now > was) is (JUDGED[path] is Way.HIGHER)
    return f"{label} {was:.{digits}f} -> {now:.{digits}f}, {'better' if better else 'WORSE'} beyond noise"
