"""The figures as a table on stdout, for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gps_denied_operator.report.model import Report
from gps_denied_operator.report.verdict import BAD, GOOD, WARN, criteria, verdict

STYLE = {GOOD: "green", WARN: "yellow", BAD: "bold red"}


def print_campaign(figures: Mapping[str, Any], results: Path) -> None:
    """A block for each kind of attack or blackout, one line a figure."""
    console = Console(highlight=False, soft_wrap=True)
    for kind, values in figures.items():
        if not isinstance(values, dict):
            continue
        table = Table(title=Text(kind), title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, value in values.items():
            shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else f"{value}"
            table.add_row(Text(name), Text(shown))
        console.print(table)
    console.print(Text(f"each attack and blackout: {results}"))


def print_table(report: Report, page: Path) -> None:
    """Figures with their limits, the verdict, and where the report is."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 100
    table = Table(title=Text(report.title), title_justify="left", box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("figure", no_wrap=True)
    for heading in ("measured", "must", "aim"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for row in criteria(report.figures, report.seeing):
        status = Text(row.status, style=STYLE.get(row.level, "dim"))
        table.add_row(Text(row.name), Text(row.value, style="bold"), Text(row.must), Text(row.aim), status)
    console.print(table)
    level, sentence = verdict(report.figures, report.seeing)
    if report.figures["anchored"]:  # else the sentence goes to stderr
        console.print(Text(report.verdict or sentence, style=STYLE.get(level, "")))
    console.print(Text(f"report: {page}"))
