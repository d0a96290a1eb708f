"""Options with which commands name a planned flight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gps_denied_onboard.untrusted.text import shown

if TYPE_CHECKING:
    from gps_denied_operator.missions.route import ResolvedFlight

NOTE_CHARACTERS_MAX = 2000
PLAN_FILES = "QGroundControl .plan, QGC WPL waypoints, iNav .mission, GeoJSON, GPX, KML or KMZ."
FlightFileOption = Annotated[Path | None, typer.Option("--flight-file", help=PLAN_FILES)]
FlightIdOption = Annotated[str, typer.Option(help="Instead of a file: the flight's UUID at the flights API.")]
PathOption = Annotated[
    str, typer.Option("--path", help="Number or name of the path that is flown, where the file holds several.")
]
BufferOption = Annotated[float, typer.Option("--buffer", help="Metres of map on all sides of the route.")]


def resolve_from_options(
    file: Path | None,
    flight_id: str,
    buffer_m: float,
    provider: str,
    key_file: Path | None,
    ca: Path | None,
    path: str = "",
) -> ResolvedFlight:
    """Resolve a flight from a file, or over the provider's flights API; what the operator should know goes to stderr.

    FlightResolutionError, UserError.
    """
    from gps_denied_operator.missions.route import resolve

    if not (flight_id and provider) or file is not None:
        flight = resolve(file, flight_id, buffer_m=buffer_m, path=path)
        for note in flight.notes:
            typer.echo(f"note: {shown(note, NOTE_CHARACTERS_MAX)}", err=True)
        return flight
    from gps_denied_operator.missions.api import FlightsApi
    from gps_denied_operator.tiles.http import RetrySchedule
    from gps_denied_operator.tiles.runs import provider_key

    with FlightsApi(provider, provider_key(key_file), ca, RetrySchedule()) as api:
        return resolve(None, flight_id, buffer_m=buffer_m, api=api)
