"""The transcript of an operator's first hour shows what the programs say today."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gps_denied_operator.cli import app
from gps_denied_operator.companion.check import VALUES_GOOD

PAGE = (Path(__file__).resolve().parents[2] / "_docs" / "first-hour.md").read_text(encoding="utf-8")
PLACES = [(48.5966, 36.4501), (48.6008, 36.4430), (48.6056, 36.4422)]


def shape(lines: str) -> list[str]:
    """Lines with every number as 0."""
    return sorted(re.sub(r"\d+(\.\d+)?", "0", line).strip() for line in lines.splitlines() if line.strip())


def shown(command: str) -> str:
    """What the transcript shows below a command's first use."""
    return PAGE.split(command, 1)[1].split("\n", 1)[1].split("[exit code", 1)[0]


def test_the_plan_is_told_as_in_the_transcript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`plan show` before anything is downloaded prints the transcript's lines, with numbers of its own."""
    items = [
        {"type": "SimpleItem", "command": 22 if k == 0 else 16, "frame": 3, "doJumpId": k + 1, "autoContinue": True,
         "params": [0, 0, 0, None, *place, 100]}
        for k, place in enumerate(PLACES)
    ]  # fmt: skip
    mission = {"version": 2, "items": items, "plannedHomePosition": [*PLACES[0], 100]}
    (tmp_path / "route.plan").write_text(json.dumps({"fileType": "Plan", "version": 1, "mission": mission}))
    monkeypatch.chdir(tmp_path)
    command = ["plan", "show", "route.plan", "--buffer", "600", "--root", "store", "--out", "plan.html"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert shape(done.output) == shape(shown("operator-tool plan show route.plan"))


def test_the_companion_is_told_as_in_the_transcript() -> None:
    """What `companion check` says of a configuration without a fault stands in both of its outputs."""
    assert PAGE.count(f"ok   configuration: {VALUES_GOOD}\n") == 2


def test_flat_ground_is_told_wherever_a_cache_is_built_or_verified() -> None:
    """Each cache that is brought aboard, and the one that is verified, says that its ground is flat."""
    built = [line for line in PAGE.splitlines() if line.startswith(("success: mission", "idempotent_no_op: mission"))]
    assert len(built) == 2
    assert all(line.endswith("; flat ground: the store has no heights of the box") for line in built)
    assert "of its box), flat ground; " in shown("verify-cache cache")
