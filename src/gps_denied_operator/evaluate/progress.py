"""Progress on stderr while an evaluation runs."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class FlightBars:
    """One bar for all flights, and one for each step that is running; nothing where stderr is no terminal."""

    def __init__(self, flights: int) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description:24}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        )  # fmt: skip
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._all = self._bars.add_task("flights", total=flights)
        self._steps: dict[tuple[int, str], TaskID] = {}

    def __enter__(self) -> FlightBars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def progress(self, seed: int, stage: str, done: int, total: int) -> None:
        """Move the bar of a seed's stage; it goes when it is full."""
        key = (seed, stage)
        if key not in self._steps:
            self._steps[key] = self._bars.add_task(f"seed {seed}: {stage}", total=total)
        self._bars.update(self._steps[key], completed=done)
        if done >= total:
            self._bars.update(self._steps[key], visible=False)
            if stage == "replay":
                self._bars.advance(self._all)


class FrameBar:
    """One bar for frames."""

    def __init__(self, total: int | None, description: str = "frames") -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description:24}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        )  # fmt: skip
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bars.add_task(description, total=total)

    def __enter__(self) -> FrameBar:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, done: int) -> None:
        """Move the bar."""
        self._bars.update(self._task, completed=done)
