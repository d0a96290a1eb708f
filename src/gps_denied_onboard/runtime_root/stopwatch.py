"""How long the stages take; the clock is given from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Sums the time of each stage since the last `take`. Not for several threads at once: give each its own."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._spent_ns: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside the `with` block to stage `name`."""
        start = self._clock_ns()
        try:
            yield
        finally:
            self._spent_ns[name] = self._spent_ns.get(name, 0) + self._clock_ns() - start

    def take(self) -> dict[str, float]:
        """Milliseconds of each stage since the last call."""
        spent, self._spent_ns = self._spent_ns, {}
        return {name: ns / 1e6 for name, ns in spent.items()}
