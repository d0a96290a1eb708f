"""What the commands share on a terminal: the option `--json`, one JSON object on stdout, progress bars on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def print_json(report: Mapping[str, object]) -> None:
    """Print one JSON object."""
    import orjson

    typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Give a function of (done, total) that moves one bar on stderr; `quiet` shows none."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _terminal_bars() -> Progress:
    """Bars on stderr with the time that each has taken; nothing where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:24}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    return Progress(*columns, console=console, disable=not console.is_terminal)


class FlightBars:
    """One bar for all flights, and one for each step that is running; nothing where stderr is no terminal."""

    def __init__(self, flights: int) -> None:
        self._bars = _terminal_bars()
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
        self._bars = _terminal_bars()
        self._task = self._bars.add_task(description, total=total)

    def __enter__(self) -> FrameBar:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, done: int) -> None:
        """Move the bar."""
        self._bars.update(self._task, completed=done)
