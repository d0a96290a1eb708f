"""Steps in processes of their own: results, users' errors in words, deaths, and stopping."""

from __future__ import annotations

import contextlib
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.evaluate import flight_worker
from gps_denied_operator.evaluate.flight_worker import FlightTask
from gps_denied_operator.evaluate.processes import Processes, Step
from gps_denied_operator.evaluate.recordings import FlightKey

SOURCE = Path(__file__).resolve().parents[3] / "src"


def test_results_come_with_their_steps() -> None:
    """Each step's result is handed out once, and a step that was added on the way is done too."""
    with Processes[bool](2, print) as processes:
        for name in ("a", "b"):
            processes.add(Step(name, operator.is_not, name))
        seen = []
        for step, result in processes.results():
            seen.append((step.name, result))
            if step.name == "a":
                processes.add(Step("c", operator.is_, "c"), first=True)
    assert sorted(seen) == [("a", True), ("b", True), ("c", False)]


def test_a_users_mistake_keeps_its_words(tmp_path: Path) -> None:
    """A UserError in the process is raised here with the step's name before it."""
    task = FlightTask(FlightKey("cruise", 4, 1.0), tmp_path, None, None, 1, 100)
    with Processes[object](1, print) as processes:
        processes.add(Step("flight with seed 4", flight_worker.replay, task))
        with pytest.raises(UserError, match=r"flight with seed 4: .* is not a recording"):
            list(processes.results())


def test_a_process_that_dies_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    """A step whose process ends without a result is an error, not a wait without end."""
    with Processes[object](1, print) as processes:
        processes.add(Step("flight with seed 4", operator.add, 1))
        with pytest.raises(RuntimeError, match="ended with code 1"):
            list(processes.results())
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.slow
def test_an_interrupt_ends_everything_and_leaves_nothing_half(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a simulation ends within seconds; no partial recording or result stays."""
    flight = ["--seeds", "1-2", "--minutes", "9", "--workers", "1"]
    arguments = ["evaluate", "flights", *flight, "--out", str(tmp_path / "o")]
    run = subprocess.Popen(
        [sys.executable, "-m", "gps_denied_operator.cli", *arguments], start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    until = time.monotonic() + 60.0
    while not list(tmp_path.glob("o/recordings/.*.partial/frames/*.jpg")) and time.monotonic() < until:
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"ended early with {run.wait(timeout=0.1)}")
    os.killpg(run.pid, signal.SIGINT)
    run.communicate(timeout=30)
    assert run.returncode == 130
    assert list(tmp_path.iterdir()) == []
