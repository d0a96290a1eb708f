"""A slow stage on a thread of its own: one job in, its result out, nothing else shared with the flight."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

from gps_denied_onboard.pipeline_parts import Stage
from gps_denied_onboard.runtime_root.stopwatch import Stopwatch

Job = TypeVar("Job")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class Done(Generic[Job, Value]):
    """A finished job: its `value`, or None and the `error` that stopped it; `stage_ms` is the time of each stage."""

    job: Job
    value: Value | None
    error: str
    stage_ms: dict[str, float]


class _StoppedError(Exception):
    """The flight is over; nobody waits for the job."""


class Worker(Generic[Job, Value]):
    """Runs `work(job, stage)` beside the main loop, one job at a time; `idle` tells whether it may be given one.

    An error inside a job is a result, not the end of the flight. A context manager; leaving it ends the job that is
    under way at its next stage, and waits for that.
    """

    def __init__(self, name: str, work: Callable[[Job, Stage], Value | None]) -> None:
        self._work = work
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._results: queue.Queue[Done[Job, Value]] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stop = threading.Event()
        self.idle = True

    def give(self, job: Job) -> None:
        """Start a job; only while `idle`."""
        assert self.idle
        self.idle = False
        self._jobs.put(job)

    def result(self) -> Done[Job, Value] | None:
        """The finished job, or None; never waits."""
        try:
            done = self._results.get_nowait()
        except queue.Empty:
            return None
        self.idle = True
        return done

    def __enter__(self) -> Worker[Job, Value]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._jobs.put(None)
        self._thread.join()  # a thread that is left inside a library when the interpreter ends takes it down

    def _run(self) -> None:
        watch = Stopwatch(time.perf_counter_ns)

        def stage(name: str) -> AbstractContextManager[None]:
            if self._stop.is_set():
                raise _StoppedError
            return watch.stage(name)

        while (job := self._jobs.get()) is not None:
            try:
                value, error = self._work(job, stage), ""
            except _StoppedError:
                return
            except Exception:  # a flight goes on without this result; the log says why
                value, error = None, traceback.format_exc()
            self._results.put(Done(job, value, error, watch.take()))
