"""`operator-tool reloc|report|upload`: a hint to a flight in the air; what one that has landed did; its tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gps_denied_operator.console import JsonOption, print_json
from gps_denied_operator.tiles.options import CaOption, ConfigOption, KeyOption, RootOption, UrlOption


def reloc(
    latitude: Annotated[float, typer.Argument(metavar="LAT", help="Degrees.")],
    longitude: Annotated[float, typer.Argument(metavar="LON", help="Degrees.")],
    radius: Annotated[float, typer.Argument(metavar="RADIUS", help="Metres within which the aircraft is.")],
    link: Annotated[
        str, typer.Option(help="To the aircraft: udpin:HOST:PORT, udpout:HOST:PORT, tcp:HOST:PORT or DEVICE,BAUD.")
    ] = "udpin:0.0.0.0:14550",
    signing_key: Annotated[str, typer.Option(help="Key file of a signed link.")] = "",
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, max=86_400.0, help="Seconds to wait for the answer.")
    ] = 10.0,
    json: JsonOption = False,
) -> None:
    """Tell an aircraft that has lost its place where it is, about; ends when it has answered."""
    from dataclasses import asdict

    from gps_denied_operator.flights.reloc import send_reloc

    answer = send_reloc(latitude, longitude, radius, link, signing_key, timeout_s)
    if json:
        print_json({"outcome": "success"} | asdict(answer))
    else:
        typer.echo(f"{answer.text} (after {answer.seconds:.1f} s)")


def upload(
    recording: Annotated[Path, typer.Argument(metavar="FLIGHT", help="Folder of the flight's recording.")],
    provider: UrlOption,
    flight: Annotated[str, typer.Option(help="Name that the flight must have; else the folder's.")] = "",
    key_file: KeyOption = None,
    ca: CaOption = None,
    root: RootOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """After landing: send the tiles that a flight made, once its recording proves that it was shut down cleanly."""
    from gps_denied_onboard.tiles.grid import flight_uuid
    from gps_denied_operator.flights.after_flight import landed_flight
    from gps_denied_operator.tiles.provider_cli import send_pending

    name = landed_flight(recording, flight)
    send_pending(provider, str(flight_uuid(name)), key_file, ca, root, config, json)


def report(
    recordings: Annotated[
        list[Path], typer.Argument(metavar="FLIGHT...", help="Folder of a flight's recording; several for one page.")
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("flight.html"),
    truth: Annotated[
        Path | None, typer.Option(help="A simulated recording that holds the truth, or a CSV with t_s.")
    ] = None,
    tiles: Annotated[Path | None, typer.Option(help="Folder of z/x/y tiles to draw; else those it flew with.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Planned route to draw: .plan, WPL, GeoJSON, GPX or KML.")] = None,
    json: JsonOption = False,
) -> None:
    """After a flight: what happened and why, map, tracks, GPS health, alerts, measurements in one HTML page."""
    from gps_denied_operator.console import FrameBar
    from gps_denied_operator.missions.route import resolve
    from gps_denied_operator.report.flight_report import report_flights
    from gps_denied_operator.report.html import check_page_name, write_page

    check_page_name(out)
    route_deg = None if plan is None else resolve(plan).route_deg
    with FrameBar(None, "records") as bar:
        made = report_flights(recordings, truth, tiles, bar.show, route_deg)
    write_page(made.page, out)
    if json:
        told = {"flight_id": made.flight_id, "recording": made.state, "moments": made.moments, "map": made.map_shown}
        print_json({"outcome": "success", **told, "page": str(out), "figures": made.figures})
    else:
        flights = "flight" if len(recordings) == 1 else "flights"
        typer.echo(f"{made.sentence}\n{out}: {made.moments} moments of {flights} {made.flight_id}")
