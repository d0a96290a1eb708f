"""`operator-tool evaluate`: score the navigation, and write the report that shows it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gps_denied_onboard.errors import UserError
from gps_denied_operator.console import print_json

if TYPE_CHECKING:
    from gps_denied_operator.evaluate.results_folder import ResultsFolder
    from gps_denied_operator.report.model import Report

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Score the navigation against truth, and write a report."
)

OutOption = Annotated[Path, typer.Option(help="Folder for report.html, results.json and frames.csv.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object on stdout.")]
ClusterOption = Annotated[
    str, typer.Option(help="Dask scheduler whose workers see the same folders; else this machine works.")
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Write over a result of another configuration or evaluation in DIR.")
]
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
    terrain: Annotated[
        str, typer.Option(metavar="raster|none", help="Heights on board; else a raster where there are hills.")
    ] = "",
    cluster: ClusterOption = "",
    config: ConfigOption = None,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Simulate flights, replay them through the onboard pipeline, score them against the true path.

    Recordings are kept under DIR/recordings: the same flights again are only replayed.
    """
    from gps_denied_operator.console import FlightBars
    from gps_denied_operator.evaluate import flights as evaluation
    from gps_denied_operator.evaluate import machine
    from gps_denied_operator.evaluate.configuration import SHA256, configuration_facts
    from gps_denied_operator.evaluate.results_folder import ResultsFolder

    chosen = evaluation.parse_seeds(seeds)
    if not 0.0 < minutes <= 600.0:
        raise UserError(f"--minutes must be more than 0 and at most 600, got {minutes:g}.")
    told = {"evaluation": "flights", **configuration_facts(config)}
    path = None if config is None else config.absolute()
    jobs = workers or machine.cores()
    request = evaluation.FlightsRequest(chosen, minutes, scenario, jobs, keep, path, terrain, cluster)
    with ResultsFolder(out) as folder:
        folder.keep_others("flights", told[SHA256], replace)
        with FlightBars(len(chosen)) as bars:
            report = evaluation.evaluate_flights(request, folder.path, _command(), bars.progress)
        _finish(folder, report, json, {**told, "seeds": list(chosen), "minutes": minutes, "scenario": scenario})


@app.command()
def campaign(
    seeds: Annotated[str, typer.Option(metavar="A-B", help="Seeds of the flights that the attacks share: 0-9.")],
    minutes: Annotated[float, typer.Option(help="Length of each flight; 3 at least.")],
    out: OutOption,
    count: Annotated[int, typer.Option(min=1, help="Attacks of each kind, and blackouts of each length.")] = 100,
    recordings: Annotated[
        Path | None, typer.Option(help="Where the flights' recordings are kept; else DIR/recordings.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Flights at the same time; else one a core.")] = None,
    cluster: ClusterOption = "",
    config: ConfigOption = None,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Forge and jam the GPS of simulated flights, darken their cameras, and score what became of the position.

    Pictures, map and the fused state of a flight are made once and shared by its attacks: no GPS claim can change them.
    """
    import orjson

    from gps_denied_operator.console import FlightBars
    from gps_denied_operator.evaluate import campaign as evaluation
    from gps_denied_operator.evaluate import machine
    from gps_denied_operator.evaluate.configuration import SHA256, configuration_facts
    from gps_denied_operator.evaluate.flights import parse_seeds
    from gps_denied_operator.evaluate.results_folder import RECORDINGS, ResultsFolder

    chosen = parse_seeds(seeds)
    if not 3.0 <= minutes <= 600.0:
        raise UserError(f"--minutes must be 3 to 600, got {minutes:g}: an attack needs room before and after it.")
    told = {"evaluation": "campaign", **configuration_facts(config)}
    with ResultsFolder(out) as folder:
        folder.keep_others("campaign", told[SHA256], replace)
        kept = (recordings or folder.path / RECORDINGS).absolute()
        path, number = None if config is None else config.absolute(), workers or machine.cores()
        request = evaluation.CampaignRequest(chosen, minutes, count, number, kept, path, cluster)
        with FlightBars(len(chosen)) as bars:
            figures = evaluation.run_campaign(request, bars.progress)
        results = figures | told | {"seeds": list(chosen)}
        folder.publish({"results.json": orjson.dumps(results, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)})
    shown = evaluation.without_lists(figures)
    if json:
        print_json(shown)
    else:
        from gps_denied_operator.evaluate.table import print_campaign

        print_campaign(shown, folder.path / "results.json")


@app.command()
def photos(
    photos: Annotated[Path, typer.Option(metavar="DIR|VIDEO", help="Photographs in a folder, or a video.")],
    map_: Annotated[
        list[Path], typer.Option("--map", metavar="PATH...", help="GeoTIFF/COG, MBTiles, folder of z/x/y tiles; many.")
    ],
    out: OutOption,
    truth: Annotated[
        str | None, typer.Option(metavar="exif|CSV", help="True positions to score by: the pictures' own, or a table.")
    ] = None,
    prior: Annotated[
        str, typer.Option(metavar="none|SIGMA_M", help="Where to look: not told, or true positions displaced by this.")
    ] = "none",
    heading: Annotated[
        str, typer.Option(metavar="exif|none|DEG", help="Azimuth of the first picture's top, or each one's own.")
    ] = "none",
    fov: Annotated[str, typer.Option(metavar="exif|DEG", help="Horizontal field of view, degrees.")] = "exif",
    attitude: Annotated[
        str,
        typer.Option(metavar="exif|none|CSV", help="Each picture's roll, pitch, yaw; the heading then comes from it."),
    ] = "none",
    height: Annotated[str, typer.Option(metavar="M|exif|none", help="Height above the ground, metres.")] = "none",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the displacements of --prior.")] = 0,
    config: ConfigOption = None,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Find photographs or a video's frames on a map, without a position, and score them where truth is known.

    Frames are taken in the order of time. Nothing of the true positions reaches the estimation with --prior none.
    """
    from gps_denied_operator.console import FrameBar
    from gps_denied_operator.evaluate import photos_run
    from gps_denied_operator.evaluate.configuration import SHA256, configuration_facts
    from gps_denied_operator.evaluate.photo_options import parse_choice
    from gps_denied_operator.evaluate.results_folder import ResultsFolder

    told_fov = parse_choice("--fov", fov, 1.0, 170.0, ("exif",))
    fov_deg = None if isinstance(told_fov, str) else told_fov
    request = photos_run.PhotosRequest(
        photos, tuple(map_), truth, prior, heading, fov_deg, height, seed, config, attitude
    )
    told = {"evaluation": "photos", **configuration_facts(config)}
    with ResultsFolder(out) as folder:
        folder.keep_others("photos", told[SHA256], replace)
        prepared = photos_run.prepare(request)
        with FrameBar(photos_run.frame_count(prepared)) as bar:
            report = photos_run.evaluate_photos(request, prepared, _command(), bar.show)
        more = {"photos": str(photos), "maps": [str(path) for path in map_], "prior": prior}
        _finish(folder, report, json, told | more)
    for problem in prepared.frames.problems:
        typer.echo(f"note: {problem}", err=True)


@app.command()
def gps(
    logs: Annotated[
        list[Path], typer.Argument(metavar="LOG...", help="ArduPilot .bin or .tlog, PX4 .ulg, iNav blackbox as CSV.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html and results.json; else nothing is kept.")
    ] = None,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Run the GPS monitor over the logs of real receivers: when each verdict would have changed, and why.

    No picture and no map is needed: a receiver is compared with dead reckoning by the log's own sensors, and with
    itself. A log that cannot be read is told, and the others are watched.
    """
    import orjson

    from gps_denied_operator.evaluate import gps_page
    from gps_denied_operator.evaluate.gps_log import watch_log
    from gps_denied_operator.evaluate.results_folder import ResultsFolder
    from gps_denied_operator.logs.open_log import open_log

    results, failures = [], []
    for path in logs:
        try:
            results.append(watch_log(open_log(path)))
        except UserError as error:
            if len(logs) == 1:
                raise
            failures.append(error)
            typer.echo(f"operator-tool: {error}", err=True)
    if not results:
        raise typer.Exit(2)
    figures = gps_page.results_of(results) | {"unread": [str(error) for error in failures]}
    if out is not None:
        told = figures | {"evaluation": "gps"}
        with ResultsFolder(out) as folder:
            folder.keep_others("gps", "", replace)
            folder.publish({
                "results.json": orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
                "report.html": gps_page.gps_page(results, _command()).encode("utf-8"),
            })  # fmt: skip
    if json:
        print_json(figures)
        return
    for result in results:
        typer.echo(
            f"{result.log}: {result.duration_s:.0f} s, {result.gps_samples} samples, alarms {result.alarms}, spoofed "
            f"{result.spoofed_s:.0f} s, degraded {result.degraded_s:.0f} s"
        )
        for note in result.notes:
            typer.echo(f"  note: {note}")
        for change in result.verdicts:
            typer.echo(f"  {change.t_s:9.1f} s  {change.verdict.value}  {change.reason}")


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _finish(folder: ResultsFolder, report: Report, json: bool, more: dict[str, Any]) -> None:
    """Write the results; print the figures, or a table and where the report is."""
    from gps_denied_operator.evaluate.output import result_files

    folder.publish(result_files(report, more))
    if json:
        print_json(report.figures)
    else:
        from gps_denied_operator.evaluate.table import print_table

        print_table(report, folder.path / "report.html")
    if not report.figures["anchored"]:
        from gps_denied_operator.report.verdict import NOTHING_ANCHORED

        typer.echo(f"operator-tool: {report.verdict or NOTHING_ANCHORED}", err=True)
