"""`operator-tool plan`: what a flight needs, before anything is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gps_denied_operator.missions.options import (
    BufferOption,
    FlightIdOption,
    resolve_from_options,
)
from gps_denied_operator.tiles.exchange_cli import CaOption, KeyOption, UrlOption
from gps_denied_operator.tiles.options import JsonOption, print_json

app = typer.Typer(no_args_is_help=True, help="See what a planned flight needs.")


@app.callback()
def plan() -> None:
    """See what a planned flight needs."""


@app.command()
def show(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="QGroundControl .plan, QGC WPL waypoints, GeoJSON or KML.")
    ] = None,
    flight_id: FlightIdOption = "",
    zoom: Annotated[int, typer.Option(min=0, max=22, help="Zoom of the tiles.")] = 18,
    buffer: BufferOption = 2000.0,
    provider: UrlOption = "",
    key_file: KeyOption = None,
    ca: CaOption = None,
    json: JsonOption = False,
) -> None:
    """Show route, box and tiles of a planned flight; nothing is downloaded."""
    from gps_denied_onboard.tiles.grid import tile_range

    flight = resolve_from_options(file, flight_id, buffer, provider, key_file, ca)
    x0, y0, x1, y1 = tile_range(*flight.bbox, zoom)
    told: dict[str, Any] = {
        "source": flight.source, "mission_id": flight.mission_id, "flight_id": flight.flight_id,
        "takeoff_deg": [flight.takeoff_latitude_deg, flight.takeoff_longitude_deg],
        "waypoints": len(flight.route_deg), "length_m": round(flight.length_m, 1), "bbox": list(flight.bbox),
        "buffer_m": flight.buffer_m, "zoom": zoom, "tiles": (x1 - x0) * (y1 - y0),
    }  # fmt: skip
    if json:
        print_json(told)
        return
    typer.echo(
        f"{flight.mission_id}: {told['waypoints']} waypoints, {flight.length_m / 1000.0:.1f} km; "
        f"box {','.join(f'{edge:.5f}' for edge in flight.bbox)}; {told['tiles']} tiles at zoom {zoom}"
    )
