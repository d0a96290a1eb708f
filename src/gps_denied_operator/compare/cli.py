"""`operator-tool compare`: whether one result or flight is better or worse than another, beyond noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gps_denied_operator.console import JsonOption, print_json

WORSE_CODE = 3


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Result of `evaluate`, recording of a flight, or replay.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The same of what is to be judged.")],
    out: Annotated[Path | None, typer.Option(help="Folder for report.html and comparison.json.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Of two flights: a simulated recording that holds the truth, or a CSV with t_s.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare B with A, flight by flight and frame by frame; exit code 3 where B is worse beyond noise."""
    from gps_denied_operator.compare.judge import compare as compared
    from gps_denied_operator.compare.page import print_comparison, write_comparison
    from gps_denied_operator.compare.sides import read_any

    found = compared(read_any(a, truth), read_any(b, truth))
    if out is not None:
        write_comparison(found, out)
    if json:
        print_json(found.told())
    else:
        print_comparison(found, out)
    if found.worse:
        raise typer.Exit(WORSE_CODE)
