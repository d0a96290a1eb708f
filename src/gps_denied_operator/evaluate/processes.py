"""Steps of work, each in a fresh process: memory is each step's own, and stopping stops all of them, cleanly."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Self, TypeVar

from gps_denied_onboard.errors import UserError

Result = TypeVar("Result")
Tell = Callable[..., None]

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """Call `function(argument, tell)` in a process; both are pickled. `name` is for the sentence when it dies."""

    name: str
    function: Callable[[Any, Tell], Any]
    argument: Any


class Steps(ABC, Generic[Result]):
    """Runs steps in the order in which they were added; a context manager. `tell` hears of a step's progress."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._waiting: deque[Step] = deque()

    def add(self, step: Step, *, first: bool = False) -> None:
        """Queue a step; `first`: before those that wait already."""
        if first:
            self._waiting.appendleft(step)
        else:
            self._waiting.append(step)

    @abstractmethod
    def results(self) -> Iterator[tuple[Step, Result]]:
        """Results as they come, until nothing is left; steps may be added between. UserError: a step's own."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...


@dataclass(frozen=True, slots=True)
class _Failure:
    sentence: str


class Processes(Steps[Result]):
    """Runs steps in processes of this machine, at most `workers` at a time.

    A UserError of a step is raised here in its words; any other exception shows its traceback there and is raised as
    RuntimeError. Leaving early, for whatever reason, interrupts the processes and waits until they have cleaned up.
    """

    def __init__(self, workers: int, tell: Tell) -> None:
        super().__init__(tell)
        self._workers = workers
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[Connection, tuple[Step, BaseProcess]] = {}

    def results(self) -> Iterator[tuple[Step, Result]]:
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._workers:
                self._start(self._waiting.popleft())
            for ready in wait(list(self._running)):
                assert isinstance(ready, Connection)
                yield from self._hear(ready)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _step, process in self._running.values():
            if process.is_alive() and process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT)
        for connection, (_step, process) in self._running.items():
            connection.close()
            process.join(GRACE_S)
            if process.is_alive():
                process.kill()
                process.join()
        self._running.clear()

    def _start(self, step: Step) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(theirs, step), daemon=True)
        with _environment(ONE_THREAD):
            process.start()
        theirs.close()
        self._running[ours] = (step, process)

    def _hear(self, connection: Connection) -> Iterable[tuple[Step, Result]]:
        step, process = self._running[connection]
        try:
            what, content = connection.recv()
        except EOFError:
            process.join()
            raise self._died(step, process) from None
        if what == "progress":
            self._tell(*content)
            return ()
        del self._running[connection]
        connection.close()
        process.join()
        if isinstance(content, _Failure):
            raise UserError(f"{step.name}: {content.sentence}")
        return ((step, content),)

    def _died(self, step: Step, process: BaseProcess) -> Exception:
        if process.exitcode == -signal.SIGKILL:
            return UserError(f"{step.name}: its process was killed, probably for want of memory; use fewer --workers.")
        return RuntimeError(f"{step.name}: its process ended with code {process.exitcode}; its own words are above")


@contextlib.contextmanager
def _environment(names: Iterable[str]) -> Iterator[None]:
    """Set variables to 1 for a process that is being started: libraries read them when they are loaded."""
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(connection: Connection, step: Step) -> None:
    """What runs in the process. An interrupt ends it without a word, after its own clean-up."""
    try:
        result = step.function(step.argument, lambda *content: connection.send(("progress", content)))
        connection.send(("done", result))
    except UserError as error:
        connection.send(("done", _Failure(str(error))))
    except (KeyboardInterrupt, BrokenPipeError):
        pass
