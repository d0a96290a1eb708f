"""`operator-tool import-log`: a log of an autopilot, with the pictures of its flight, as a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gps_denied_operator.console import JsonOption, print_json


def import_log(
    log: Annotated[
        Path, typer.Argument(metavar="LOG", help="ArduPilot .bin or .tlog, PX4 .ulg, iNav blackbox as CSV.")
    ],
    out: Annotated[Path, typer.Option(metavar="RECORDING", help="Folder of the recording to write.")],
    video: Annotated[Path | None, typer.Option(help="Video of the flight.")] = None,
    photos: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of stills of the flight.")] = None,
    map_: Annotated[
        list[Path] | None, typer.Option("--map", metavar="PATH...", help="GeoTIFF/COG, MBTiles, folder of tiles; many.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Pictures a second of a video.")] = 1.0,
    fov: Annotated[
        float | None, typer.Option(help="Horizontal field of view, degrees; else as the pictures say.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a recording of a flight's own log and pictures: `gps-denied-onboard replay` and all evaluations take it.

    The log's GPS becomes the truth to score by and a receiver that is watched, never an input. RECORDING/import.html
    shows the track, the sensors, how the pictures were placed on the log's clock, and what is missing.
    """
    from gps_denied_operator.logs.importer import ImportRequest
    from gps_denied_operator.logs.importer import import_log as run

    told = run(ImportRequest(log, out, video, photos, tuple(map_ or ()), rate, fov))
    if json:
        print_json(told)
        return
    typer.echo(f"{out}: {told['duration_s']:.0f} s, {told['frames']} pictures, by {told['aligned_by']}")
    for note in told["notes"]:
        typer.echo(f"note: {note}")
