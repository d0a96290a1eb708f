"""A worker: results come back, errors are results, leaving ends what is under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from gps_denied_onboard.live.worker import Done, Worker
from gps_denied_onboard.pipeline import Stage


def wait_for(worker: Worker[str, int]) -> Done[str, int]:
    """The next result; the test's own time limit ends a wait for nothing."""
    while (done := worker.result()) is None:
        threading.Event().wait(0.001)
    return done


def test_results_times_and_errors() -> None:
    """A job gives its value with the time of each stage; a failing one gives its traceback; the worker lives on."""

    def work(text: str, stage: Stage) -> int:
        with stage("parse"):
            return int(text)

    with Worker("test", work) as worker:
        worker.give("12")
        assert not worker.idle
        done = wait_for(worker)
        assert (done.job, done.value, done.error) == ("12", 12, "")
        assert set(done.stage_ms) == {"parse"}
        worker.give("twelve")
        failed = wait_for(worker)
        assert failed.value is None
        assert "ValueError: invalid literal for int()" in failed.error
        worker.give("13")
        assert wait_for(worker).value == 13
        assert worker.idle
        assert worker.result() is None


def test_leaving_ends_the_job_at_its_next_stage() -> None:
    """A job that would go on for ever ends when the flight does, and its thread is gone."""
    begun = threading.Event()

    def endless(_job: str, stage: Stage) -> int:
        begun.set()
        return sum(steps(stage))

    def steps(stage: Stage) -> Iterator[int]:
        while True:
            with stage("step"):
                yield 1

    with Worker("endless", endless) as worker:
        worker.give("go")
        assert begun.wait(5.0)
    assert "endless" not in {thread.name for thread in threading.enumerate()}
    assert worker.result() is None
