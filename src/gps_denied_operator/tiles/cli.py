"""`operator-tool tiles`: put maps into the tile store."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.console import JsonOption, print_json
from gps_denied_operator.tiles import provider_cli
from gps_denied_operator.tiles.options import ConfigOption, RootOption, default_root, existing_root

if TYPE_CHECKING:
    from gps_denied_operator.tiles.importer import ImportReport

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Put maps into the tile store that the aircraft flies with."
)


app.command("download")(provider_cli.download)
app.command("upload")(provider_cli.upload)


@app.callback()
def tiles() -> None:
    """Put maps into the tile store that the aircraft flies with."""


@app.command("import")
def import_(
    source_map: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="GeoTIFF/COG, MBTiles, OsmAnd or RMaps file, or folder of z/x/y tiles."),
    ],
    zoom: Annotated[
        int | None, typer.Option(min=0, max=22, help="Zoom of the tiles; by the map's resolution if not given.")
    ] = None,
    source: Annotated[str, typer.Option(help="Name under which the store keeps this map.")] = "provider",
    root: RootOption = None,
    captured: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day the map's pictures were taken.")
    ] = None,
    rows: Annotated[
        str, typer.Option(help="Row count of tiles: xyz from the north, tms from the south, auto by what they hold.")
    ] = "auto",
    config: ConfigOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Cut a map into tiles and store them. The same map again changes nothing; an interrupted import goes on."""
    if rows not in {"auto", "xyz", "tms"}:
        raise UserError(f"--rows is '{rows}': give xyz, tms or auto.")
    try:
        report = _run(source_map, zoom, source, root or default_root(), captured, rows, config, quiet=json)
    except UserError as error:
        if not json:
            raise
        print_json({"map": str(source_map), "source": source, "outcome": "failure", "reason": str(error)})
        raise typer.Exit(2) from error
    if json:
        print_json(report.as_dict())
    else:
        typer.echo(_sentence(report))


@app.command()
def sectors(
    file: Annotated[Path, typer.Argument(help="GeoJSON FeatureCollection; properties name and class, see the page.")],
    root: RootOption = None,
    json: JsonOption = False,
) -> None:
    """Replace the sector polygons that say how old a map may be where."""
    from gps_denied_onboard.tiles.sectors import read_geojson, replace_sectors
    from gps_denied_onboard.tiles.store import TileStore

    found = read_geojson(file)
    with TileStore.open(root or default_root()) as store:
        replace_sectors(store, found)
    if json:
        print_json({"sectors": [{"name": sector.name, "class": sector.sector_class} for sector in found]})
        return
    typer.echo(f"{len(found)} sectors: {', '.join(f'{shown(s.name, 80)} ({s.sector_class})' for s in found) or 'none'}")


@app.command(context_settings={"ignore_unknown_options": True})  # a southern latitude is no option
def explain(
    latitude: Annotated[float, typer.Argument(min=-90.0, max=90.0, metavar="LAT")],
    longitude: Annotated[float, typer.Argument(min=-180.0, max=180.0, metavar="LON")],
    date: Annotated[datetime, typer.Argument(metavar="DATE", formats=["%Y-%m-%d"], help="Day of the pictures.")],
    root: RootOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say what the freshness gate does with a picture of a place and day; nothing is changed."""
    from dataclasses import asdict

    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.tiles.freshness import FreshnessGate
    from gps_denied_onboard.tiles.sectors import load_sectors
    from gps_denied_onboard.tiles.store import TileStore

    settings = load_config(config).tiles
    with TileStore.open(existing_root(root)) as store:
        gate = FreshnessGate(load_sectors(store), settings)
    decision = gate.decide(latitude, longitude, date.replace(tzinfo=UTC), datetime.now(UTC))
    if json:
        print_json(asdict(decision) | {"refused": decision.refused})
        return
    where = f"sector '{decision.sector}'" if decision.sector else "outside of all sectors"
    age = "age not known" if decision.age_days is None else f"{decision.age_days:.0f} days old"
    typer.echo(f"{decision.label or 'refused'}: {where}, {age}; {decision.rule}")


@app.command()
def stats(root: RootOption = None, json: JsonOption = False) -> None:
    """Say what the store holds: tiles and bytes, sources, labels, missions, pending uploads."""
    from gps_denied_onboard.tiles.store import TileStore
    from gps_denied_operator.tiles.overview import overview

    with TileStore.open(existing_root(root)) as store:
        found = overview(store)
    if json:
        print_json(found)
        return
    typer.echo(f"{found['tiles']} tiles, {found['bytes'] / 1e6:.1f} MB in {found['root']}")
    for part in found["sources"]:
        typer.echo(
            f"  {part['source']} zoom {part['zoom']}: {part['tiles']} tiles, {part['bytes'] / 1e6:.1f} MB, "
            f"{part['downgraded']} downgraded, {part['pending']} pending"
        )
    typer.echo(f"missions: {', '.join(found['missions']) or 'none'}; waiting for upload: {found['waiting']}")


@app.command()
def adopt(root: RootOption = None, json: JsonOption = False) -> None:
    """Vouch for a store that you made with an earlier version, or moved here yourself; never for a stranger's."""
    from gps_denied_onboard.tiles.database_home import adopt as take_over
    from gps_denied_onboard.tiles.server import ServerUser

    user, folder = ServerUser.current(), (root or default_root()).expanduser().resolve()
    home = take_over(folder, of_root=user.drop, server_uid=user.uid)
    if json:
        print_json({"outcome": "success", "root": str(folder), "database": str(home.folder)})
        return
    typer.echo(f"{folder} is this account's store; its database lies in {home.folder}")


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8485,
    root: RootOption = None,
) -> None:
    """Show the store in a browser, and as XYZ tiles for QGroundControl, until interrupted."""
    import uvicorn

    from gps_denied_onboard.tiles.store import TileStore
    from gps_denied_operator.tiles.preview import Preview

    with TileStore.open(existing_root(root)) as store:
        made = uvicorn.Server(
            uvicorn.Config(Preview(store).app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
        )
        try:
            made.config.load()
            listener = made.config.bind_socket()
        except SystemExit:
            raise UserError(f"Port {port} on 127.0.0.1 is taken: give another one with --port.") from None
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        typer.echo(f"{store.root} on {address}; XYZ: {address}/tiles/SOURCE/{{z}}/{{x}}/{{y}}.jpg")
        typer.echo(
            "The newest QGroundControl refuses 127.0.0.1: add `127.0.0.1 tiles.localhost` to the hosts file and give "
            "it that name"
        )
        made.run(sockets=[listener])


@app.command()
def gc(
    budget_gb: Annotated[
        float | None, typer.Option(min=0.0, max=1e6, help="Shrink to this; else the configuration's budget.")
    ] = None,
    release: Annotated[str | None, typer.Option(help="First let go of this mission's tiles.")] = None,
    root: RootOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Evict what was used longest ago until the store is within its budget."""
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.tiles.budget import CacheBudget, missions, release_areas
    from gps_denied_onboard.tiles.store import TileStore

    budget_bytes = round(budget_gb * 1e9) if budget_gb is not None else load_config(config).tiles.budget_bytes
    with TileStore.open(existing_root(root)) as store, store.writing("gc", timeout_s=0.0):
        if release is not None and release_areas(store, release) == 0:
            known = ", ".join(missions(store)) or "none"
            raise UserError(f"There is no mission '{release}' in {store.root}; there are: {known}.")
        freed = CacheBudget(store, budget_bytes).reserve_headroom(0)
        tiles_left, bytes_left = store.totals()
    if json:
        print_json({"freed_bytes": freed, "tiles": tiles_left, "bytes": bytes_left})
        return
    typer.echo(f"{freed / 1e6:.1f} MB freed; {tiles_left} tiles, {bytes_left / 1e6:.1f} MB left")


def _run(
    source_map: Path, zoom: int | None, source: str, root: Path, captured: datetime | None, rows: str,
    config: Path | None, *, quiet: bool,
) -> ImportReport:  # fmt: skip
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.tiles.store import TileStore
    from gps_denied_operator.tiles.admission import Admission
    from gps_denied_operator.tiles.importer import import_map
    from gps_denied_operator.tiles.makers import check_flyable, open_map

    settings = load_config(config).tiles
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=quiet)
    with closing(open_map(source_map, zoom, rows)) as maker, TileStore.open(root) as store, bar as progress:
        check_flyable(maker, source_map)
        task = progress.add_task(f"{source_map.name} at zoom {maker.zoom}")
        return import_map(
            store, maker, source_map, Admission(store, settings, lambda: datetime.now(UTC)), source,
            captured.replace(tzinfo=UTC) if captured else None,
            lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip


def _sentence(report: ImportReport) -> str:
    parts = [
        f"{report.tiles_written} tiles written ({report.bytes_written / 1e6:.1f} MB)",
        *([f"{report.tiles_merged} filled up"] if report.tiles_merged else []),
        *([f"{report.tiles_already_stored} stored already"] if report.tiles_already_stored else []),
        *([f"{report.tiles_kept_from_other_maps} kept from other maps"] if report.tiles_kept_from_other_maps else []),
        *([f"{report.tiles_unreadable} unreadable and left out"] if report.tiles_unreadable else []),
        *([f"{report.tiles_refused_stale} refused as stale"] if report.tiles_refused_stale else []),
        *([f"{report.tiles_downgraded} stored as stale (downgraded)"] if report.tiles_downgraded else []),
    ]
    undated = ""
    if report.tiles_downgraded and not report.day_known:
        undated = (
            ".\nThe day of its pictures is not known: it counts as too old and flies as downgraded, less sure of its "
            "places. If you know the day, import it again with --captured YYYY-MM-DD, under another --source."
        )
    no_data = f"{100.0 * report.no_data_share:.1f} %"
    notes = "".join(f"\nnote: {note}" for note in report.notes)
    return (
        f"{report.outcome}: {', '.join(parts)}; zoom {report.zoom}, {report.ground_resolution_m_px:.2f} m a pixel, "
        f"source '{report.source}' in {report.store}; {no_data} of its area holds no data{undated}{notes}"
    )
