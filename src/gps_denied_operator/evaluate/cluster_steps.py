"""Steps of work on the workers of a Dask cluster, as Processes runs them on this machine: the same results.

Every worker sees the same folders under the same names. What a worker tells of its progress comes over the scheduler.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import distributed

from gps_denied_onboard.errors import UserError
from gps_denied_operator.cache.cluster import connected
from gps_denied_operator.evaluate import machine, recordings
from gps_denied_operator.evaluate.processes import Step, Steps, Tell

Result = TypeVar("Result")
POLL_S = 0.5
TOPIC = "gps-denied-progress"
TOLD_A_STEP = 50
"""How many times a step tells of its progress at most: it goes through the scheduler."""


class ClusterSteps(Steps[Result]):
    """Runs steps on the workers of the scheduler at `address`; a worker does one step a thread at a time. Dask does a
    step again on another worker when its own dies. `folder`: one that all must see.

    UserError where no scheduler answers, it has no workers, they are not like this machine, or a step's own.
    """

    def __init__(self, address: str, folder: Path, tell: Tell) -> None:
        super().__init__(tell)
        self._address, self._folder = address, folder
        self._stack = ExitStack()
        self._running: dict[Future[Any], Step] = {}
        self._told: deque[tuple[Any, ...]] = deque()

    def results(self) -> Iterator[tuple[Step, Result]]:
        while self._waiting or self._running:
            while self._waiting and len(self._running) < 2 * self._threads:
                step = self._waiting.popleft()
                self._running[self._pool.submit(work, step)] = step
            done, _ = wait(self._running, timeout=POLL_S, return_when=FIRST_COMPLETED)
            while self._told:
                self._tell(*self._told.popleft())
            for future in done:
                step = self._running.pop(future)
                try:
                    result = future.result()
                except UserError as error:
                    raise UserError(f"{step.name}: {error}") from None
                yield step, result

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            client = stack.enter_context(connected(self._address))
            self._refuse_others(client)
            workers = client.scheduler_info(n_workers=-1)["workers"]
            self._threads = max(sum(int(worker["nthreads"]) for worker in workers.values()), 1)
            client.subscribe_topic(TOPIC, lambda event: self._told.append(tuple(event[1])))
            stack.callback(client.unsubscribe_topic, TOPIC)
            self._pool: Executor = client.get_executor(pure=False)
            self._stack = stack.pop_all()
        return self

    def _refuse_others(self, client: Any) -> None:
        """UserError for a worker that runs another source, or does not see the folder."""
        ours = (machine.commit(), recordings.simulator_hash())
        for worker, found in client.run(_like, self._folder).items():
            commit, simulator, sees = found
            if (commit, simulator) != ours:
                raise UserError(
                    f"The worker {worker} runs commit {commit} with simulator {simulator}, this machine {ours[0]} with "
                    f"{ours[1]}: give all the same checkout and start the workers again."
                )
            if not sees:
                raise UserError(
                    f"The worker {worker} does not see {self._folder}: give --out on a disk that all machines have "
                    "under the same path."
                )

    def __exit__(self, *error: Any) -> None:
        for future in self._running:
            future.cancel()
        self._running.clear()
        self._stack.__exit__(*error)


def _like(folder: Path) -> tuple[str, str, bool]:
    """What a worker runs and whether it sees a folder."""
    return machine.commit(), recordings.simulator_hash(), folder.is_dir()


def work(step: Step) -> Any:
    """What runs on a worker."""
    return step.function(step.argument, partial(_tell, {}))


def _tell(last: dict[tuple[int, str], int], seed: int, stage: str, done: int, total: int) -> None:
    """Hand a step's progress on, some times a stage."""
    dask: Any = distributed
    part = TOLD_A_STEP * done // max(total, 1)
    if last.get((seed, stage)) != part or done >= total:
        last[(seed, stage)] = part
        dask.get_worker().log_event(TOPIC, [seed, stage, done, total])
