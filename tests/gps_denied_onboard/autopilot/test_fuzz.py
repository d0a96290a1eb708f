"""The autopilot's parsers under atheris: some runs always, ten seconds each in the slow suite (more: `make fuzz`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("fuzz_parsers.py")
SRC = Path(__file__).resolve().parents[3] / "src"
TARGETS = ("mavlink", "signed", "msp")


def fuzz(target: str, limit: str, folder: Path) -> None:
    pytest.importorskip("atheris")
    done = subprocess.run(
        [sys.executable, str(HARNESS), target, limit, "-seed=1", "-max_len=2000", "-len_control=0"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_some_thousand_hostile_inputs(target: str, tmp_path: Path) -> None:
    """No exception, no number that cannot be, nothing unsigned where signing is on."""
    fuzz(target, "-runs=2000", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_ten_seconds_of_hostile_inputs(target: str, tmp_path: Path) -> None:
    """The same for ten seconds."""
    fuzz(target, "-max_total_time=10", tmp_path)
