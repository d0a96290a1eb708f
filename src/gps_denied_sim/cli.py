"""Command line of the simulator."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gps_denied_onboard.cli.run_app import run_app
from gps_denied_onboard.cli.version_option import VersionOption
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.faults import told

SCENARIO_HELP = (
    "cruise, turns, blackout, spoof-jump, spoof-ramp, spoof-replay, jam, kidnap, low-texture, old-map, cloud, "
    "storm, gusts, frozen-camera, wrong-origin, pitot-fault, gyro-warmup, cloud-shadow, "
    "autumn, winter, near-infrared, thermal, relief-50, relief-150 or relief-300."
)

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, help="Simulated flights over a simulated world."
)


@app.callback()
def _group(version: VersionOption = False) -> None:
    """Simulated flights over a simulated world."""


@app.command()
def fly(
    seed: Annotated[int, typer.Option(help="Everything follows from it: land, weather, route, sensors.")],
    minutes: Annotated[float, typer.Option(help="Length of the flight.")],
    out: Annotated[Path, typer.Option(help="Folder to make; must not exist or be empty.")],
    scenario: Annotated[str, typer.Option(help=SCENARIO_HELP)] = "cruise",
    frame_rate: Annotated[float, typer.Option(help="Pictures a second, 0.2 to 5.")] = 1.0,
    imu_rate: Annotated[float, typer.Option(help="IMU samples a second, 50 to 400.")] = 100.0,
    map_buffer: Annotated[float, typer.Option(help="Metres that the map reaches beyond the route.")] = 1000.0,
    terrain: Annotated[
        str, typer.Option(metavar="raster|none", help="Heights on board; else a raster where there are hills.")
    ] = "",
    height: Annotated[
        float | None, typer.Option(help="Metres above the origin's level, 60 to 2000, throughout; else by the seed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Simulate one flight and write its recording: frames, telemetry and truth as MCAP, map tiles."""
    import json

    import cv2

    from gps_denied_sim.recording import FlyRequest, heights_on_board, make_recording

    cv2.setNumThreads(1)  # one flight, one core: run several side by side instead
    heights = heights_on_board(terrain)
    request = FlyRequest(
        seed, minutes, scenario, frame_rate, imu_rate, buffer_m=map_buffer, terrain=heights, flying_height_m=height
    )
    with _Bars(quiet=as_json) as bars:
        summary = make_recording(request, out, bars.progress)
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        typer.echo(
            f"{summary['folder']}: {scenario}, seed {seed}, {summary['frames']} frames, {summary['tiles']} tiles."
        )


@app.command()
def provider(
    tiles: Annotated[Path, typer.Option(help="Folder of <z>/<x>/<y>.jpg to offer, as a recording's tiles/provider.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8484,
    api_key: Annotated[str, typer.Option(envvar="GPS_DENIED_PROVIDER_KEY", help="What clients must send.")] = "",
    tls: Annotated[Path | None, typer.Option(help="Folder for a test CA and certificates; serves HTTPS.")] = None,
    tls_fault: Annotated[str, typer.Option(help="expired, wrong-host or unknown-ca.")] = "",
    fault: Annotated[list[str] | None, typer.Option(help="NAME=NUMBER, repeatable: latency_s, too_many, ...")] = None,
    seed: Annotated[int, typer.Option(help="Of the faults.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Folder for ledger.jsonl, all verdicts on uploads.")] = None,
    flights: Annotated[Path | None, typer.Option(help="Folder of planned flights, <UUID>.json.")] = None,
    heights: Annotated[Path | None, typer.Option(help="Heights to offer, as a recording's terrain.grid.")] = None,
) -> None:
    """Be a tile provider on loopback, with the faults that one asks for, until interrupted."""
    from datetime import UTC, datetime

    from gps_denied_sim.provider.faults import Faults
    from gps_denied_sim.provider.serve import provider_app, server
    from gps_denied_sim.provider.tls import TLS_FAULTS, make_certificates

    if tls_fault not in TLS_FAULTS or (tls_fault and tls is None):
        raise UserError("--tls-fault needs --tls and one of expired, wrong-host, unknown-ca.")
    for name, folder in (("keep", keep), ("flights", flights)):
        if folder is not None and not folder.is_dir():
            raise UserError(f"--{name} {folder} is not a folder; make it first.")
    served = provider_app(tiles, api_key, Faults.parse(fault or []), seed, keep, flights=flights, heights=heights)
    certificate = key = None
    if tls is not None:
        authority, certificate, key = make_certificates(tls, datetime.now(UTC), tls_fault)
        typer.echo(f"clients trust {authority}")
    made = server(served, port, certificate, key)
    made.config.load()
    listener = made.config.bind_socket()
    scheme = "https" if tls else "http"
    typer.echo(f"provider of {tiles} on {scheme}://127.0.0.1:{listener.getsockname()[1]}", nl=True)
    made.run(sockets=[listener])


class _Bars:
    """One progress bar a stage, on stderr; nothing where `quiet`."""

    def __init__(self, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description:10}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Move the stage's bar."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done)


def main() -> None:
    """Entry point: the user's mistakes become one sentence and exit code 2."""
    try:
        run_app(app, "gps-denied-sim")
    except Exception as error:
        sentence, code = told(error, "gps-denied-sim")
        print(f"gps-denied-sim: {sentence}", file=sys.stderr)
        sys.exit(code)


if __name__ == "__main__":
    main()
