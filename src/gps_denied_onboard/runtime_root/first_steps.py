"""The first steps of `run` as a short list that ticks itself off: what has come, and what is still waited for; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class FirstSteps:
    """Steps by name, in the order in which a flight gets going. Ticked ones stay ticked."""

    names: Sequence[str]
    _done: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether nothing is waited for any more."""
        return len(self._done) == len(self.names)

    def tick(self, *done: bool) -> bool:
        """Tick what is done now, in the steps' order; whether the list has changed."""
        came = {name for name, now in zip(self.names, done, strict=False) if now} - self._done
        self._done |= came
        return bool(came)

    def shown(self, waiting: str = "") -> str:
        """The list in one line; behind it what is known of what is waited for."""
        line = "  ".join(f"[{'x' if name in self._done else ' '}] {name}" for name in self.names)
        return f"{line}  ({waiting})" if waiting and not self.complete else line
