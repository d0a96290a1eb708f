"""`operator-tool tiles`: put maps into the tile store."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gps_denied_onboard.errors import UserError

if TYPE_CHECKING:
    from gps_denied_operator.tiles.importer import ImportReport

app = typer.Typer(no_args_is_help=True, help="Put maps into the tile store that the aircraft flies with.")


@app.callback()
def tiles() -> None:
    """Put maps into the tile store that the aircraft flies with."""


def default_root() -> Path:
    """Return GPS_DENIED_TILES, else a folder among the user's data (XDG_DATA_HOME)."""
    named = os.environ.get("GPS_DENIED_TILES")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "gps-denied-onboard" / "tiles"


@app.command("import")
def import_(
    source_map: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="GeoTIFF/COG, MBTiles file or folder of z/x/y tiles.")
    ],
    zoom: Annotated[
        int | None, typer.Option(min=0, max=22, help="Zoom of the tiles; by the map's resolution if not given.")
    ] = None,
    source: Annotated[str, typer.Option(help="Name under which the store keeps this map.")] = "provider",
    root: Annotated[
        Path | None, typer.Option(help="The store's folder; else GPS_DENIED_TILES, else among the user's data.")
    ] = None,
    captured: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day the map's pictures were taken.")
    ] = None,
    rows: Annotated[
        str, typer.Option(help="Row count of a tile folder: xyz from the north, tms from the south, auto.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Cut a map into tiles and store them. The same map again changes nothing; an interrupted import goes on."""
    if rows not in {"auto", "xyz", "tms"}:
        raise UserError(f"--rows is '{rows}': give xyz, tms or auto.")
    try:
        report = _run(source_map, zoom, source, root or default_root(), captured, rows, quiet=json)
    except UserError as error:
        if not json:
            raise
        _print_json({"map": str(source_map), "source": source, "outcome": "failure", "reason": str(error)})
        raise typer.Exit(2) from error
    if json:
        _print_json(report.as_dict())
    else:
        typer.echo(_sentence(report))


def _run(
    source_map: Path, zoom: int | None, source: str, root: Path, captured: datetime | None, rows: str, *, quiet: bool
) -> ImportReport:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from gps_denied_onboard.tiles.store import TileStore
    from gps_denied_operator.tiles.importer import import_map
    from gps_denied_operator.tiles.makers import open_map

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=quiet)
    with closing(open_map(source_map, zoom, rows)) as maker, TileStore.open(root) as store, bar as progress:
        task = progress.add_task(f"{source_map.name} at zoom {maker.zoom}")
        return import_map(
            store, maker, source_map, source, captured.replace(tzinfo=UTC) if captured else None,
            lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip


def _sentence(report: ImportReport) -> str:
    parts = [
        f"{report.tiles_written} tiles written ({report.bytes_written / 1e6:.1f} MB)",
        *([f"{report.tiles_merged} filled up"] if report.tiles_merged else []),
        *([f"{report.tiles_already_stored} stored already"] if report.tiles_already_stored else []),
        *([f"{report.tiles_kept_from_other_maps} kept from other maps"] if report.tiles_kept_from_other_maps else []),
        *([f"{report.tiles_unreadable} unreadable and left out"] if report.tiles_unreadable else []),
    ]
    return (
        f"{report.outcome}: {', '.join(parts)}; zoom {report.zoom}, {report.ground_resolution_m_px:.2f} m a pixel, "
        f"source '{report.source}' in {report.store}"
    )


def _print_json(report: dict[str, object]) -> None:
    import orjson

    typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
