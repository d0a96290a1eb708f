"""`operator-tool plan`: what a flight needs, before anything is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gps_denied_operator.console import JsonOption, print_json
from gps_denied_operator.missions.options import (
    PLAN_FILES,
    BufferOption,
    FlightFileOption,
    FlightIdOption,
    PathOption,
    resolve_from_options,
)
from gps_denied_operator.tiles.options import CaOption, ConfigOption, KeyOption, RootOption, UrlOption, default_root

WARNINGS_MAX = 20
app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="See what a planned flight needs.")


@app.callback()
def plan() -> None:
    """See what a planned flight needs."""


@app.command()
def show(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help=PLAN_FILES)] = None,
    flight_file: FlightFileOption = None,
    flight_id: FlightIdOption = "",
    path: PathOption = "",
    zoom: Annotated[int, typer.Option(min=0, max=22, help="Zoom of the tiles.")] = 18,
    buffer: BufferOption = 2000.0,
    provider: UrlOption = "",
    key_file: KeyOption = None,
    ca: CaOption = None,
    source: Annotated[str, typer.Option(help="Name under which the store keeps these tiles.")] = "provider",
    root: RootOption = None,
    config: ConfigOption = None,
    height: Annotated[
        float,
        typer.Option(
            "--height", min=0.0, max=2e4, help="Metres above the ground at take-off: what --config's camera sees."
        ),
    ] = 0.0,
    speed: Annotated[
        float, typer.Option(min=1.0, max=200.0, help="Metres a second over ground, for the overlap.")
    ] = 16.7,
    frame_rate: Annotated[float, typer.Option(min=0.01, max=120.0, help="Frames a second, for the overlap.")] = 1.0,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("plan.html"),
    json: JsonOption = False,
) -> None:
    """Draw route, box, tiles, size and freshness into one HTML page, before anything is downloaded."""
    from contextlib import nullcontext
    from datetime import UTC, datetime

    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.tiles.store import TileStore
    from gps_denied_operator.missions.needs import needs
    from gps_denied_operator.missions.plan_page import plan_page
    from gps_denied_operator.missions.route_map import footprint_of, route_map
    from gps_denied_operator.missions.terrain_profile import terrain_profile
    from gps_denied_operator.report.html import write_page
    from gps_denied_operator.terrain.library import mission_heights

    if file is not None and flight_file is not None:
        raise typer.BadParameter("give the plan once, as FILE or as --flight-file")
    flight = resolve_from_options(file or flight_file, flight_id, buffer, provider, key_file, ca, path)
    folder = root or default_root()
    settings = load_config(config)
    footprint = footprint_of(settings.camera, height)
    with TileStore.open(folder) if folder.is_dir() else nullcontext() as store:
        found = needs(flight, zoom, source, store, settings.tiles, datetime.now(UTC))
        under = route_map(flight, source, zoom, store, footprint)
    heights = mission_heights(folder, flight.bbox)
    ground = terrain_profile(flight, heights, height, settings.camera, speed, frame_rate) if heights else None
    write_page(plan_page(found, under, ground), out)
    if json:
        route = {"route_m": round(under.length_m, 1), "route_without_map_m": round(under.missing_m, 1)}
        seen = {"footprint_m": [footprint.across_m, footprint.along_m], "gsd_m": footprint.gsd_m} if footprint else {}
        told = {"terrain": ground.as_dict() if ground else None, "page": str(out)}
        print_json(found.as_dict() | route | seen | told)
        return
    box = ",".join(f"{edge:.5f}" for edge in flight.bbox)
    typer.echo(f"{flight.mission_id}: {len(flight.route_deg)} waypoints, {flight.length_m / 1000.0:.1f} km, box {box}")
    typer.echo(
        f"{found.chosen.tiles} tiles at zoom {zoom}, about {found.chosen.bytes_estimate / 1e6:.0f} MB; "
        f"{found.missing} not in the store; "
        f"{under.missing_m / 1000.0:.1f} of {under.length_m / 1000.0:.1f} km of the route without map; drawn in {out}"
    )
    if ground is None:
        typer.echo("no heights of this area are imported: the ground is taken as flat")
    for stretch in ground.stretches[:WARNINGS_MAX] if ground else ():
        typer.echo(f"warning: {stretch.told}", err=True)
