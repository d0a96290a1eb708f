"""`operator-tool evaluate`: score the navigation, and write the report that shows it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gps_denied_onboard.errors import UserError

if TYPE_CHECKING:
    from gps_denied_operator.evaluate.results_folder import ResultsFolder
    from gps_denied_operator.report.model import Report

app = typer.Typer(no_args_is_help=True, help="Score the navigation against truth, and write a report.")

OutOption = Annotated[Path, typer.Option(help="Folder for report.html, results.json and frames.csv.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object on stdout.")]
ConfigOption = Annotated[Path | None, typer.Option(help="Configuration of the navigation (TOML); else its defaults.")]


@app.callback()
def _group() -> None:
    """Score the navigation against truth, and write a report."""


@app.command()
def flights(
    seeds: Annotated[str, typer.Option(metavar="A-B", help="Seeds of the flights: 0-9, or 3,7,11.")],
    minutes: Annotated[float, typer.Option(help="Length of each flight.")],
    out: OutOption,
    scenario: Annotated[str, typer.Option(help="What happens in flight: see gps-denied-sim fly --help.")] = "cruise",
    workers: Annotated[int | None, typer.Option(min=1, help="Flights at the same time; else one a core.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep each replay's own output under DIR/replays.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Simulate flights, replay them through the onboard pipeline, score them against the true path.

    Recordings are kept under DIR/recordings: the same flights again are only replayed.
    """
    from gps_denied_operator.evaluate import flights as evaluation
    from gps_denied_operator.evaluate import machine
    from gps_denied_operator.evaluate.progress import FlightBars
    from gps_denied_operator.evaluate.results_folder import ResultsFolder

    chosen = evaluation.parse_seeds(seeds)
    if not 0.0 < minutes <= 600.0:
        raise UserError(f"--minutes must be more than 0 and at most 600, got {minutes:g}.")
    _check_config(config)
    request = evaluation.FlightsRequest(chosen, minutes, scenario, workers or machine.cores(), keep, config)
    with ResultsFolder(out) as folder:
        with FlightBars(len(chosen)) as bars:
            report = evaluation.evaluate_flights(request, folder.path, _command(), bars.progress)
        _finish(folder, report, json, {"seeds": list(chosen), "minutes": minutes, "scenario": scenario})


def _check_config(path: Path | None) -> None:
    """Raise the configuration's UserError before any work is done."""
    if path is not None:
        from gps_denied_onboard.config import load_config

        load_config(path)


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _finish(folder: ResultsFolder, report: Report, json: bool, more: dict[str, Any]) -> None:
    """Write the results; print the figures, or a table and where the report is."""
    import orjson

    from gps_denied_operator.evaluate.output import result_files

    folder.publish(result_files(report, more))
    if json:
        typer.echo(orjson.dumps(report.figures, option=orjson.OPT_INDENT_2).decode())
        return
    from gps_denied_operator.evaluate.table import print_table

    print_table(report, folder.path / "report.html")
