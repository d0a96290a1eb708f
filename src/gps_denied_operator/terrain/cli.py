"""`operator-tool terrain`: heights of the ground for missions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.console import JsonOption, print_json
from gps_denied_operator.tiles.options import box_of, default_root

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Heights of the ground, beside the tile store.")
StoreOption = Annotated[
    Path | None, typer.Option("--store", "--root", help="The tile store's folder; else as `tiles` finds it.")
]


@app.callback()
def terrain() -> None:
    """Heights of the ground, beside the tile store."""


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="GeoTIFF/COG, SRTM .hgt, folder or MBTiles of RGB heights.")
    ],
    store: StoreOption = None,
    datum: Annotated[
        str, typer.Option(help="What heights are counted from, where a file does not say: egm96, egm2008, ellipsoid.")
    ] = "",
    unit: Annotated[str, typer.Option(help="Unit of the heights, where a file does not say: m or ft.")] = "",
    sigma_m: Annotated[float, typer.Option("--sigma-m", help="One sigma of the heights in metres.")] = 10.0,
    bbox: Annotated[str, typer.Option(help="Import only this area: W,S,E,N in degrees.")] = "",
    rows: Annotated[str, typer.Option(help="Row count of tiles: xyz, tms or auto, as `tiles import`.")] = "auto",
    json: JsonOption = False,
) -> None:
    """Read heights, bring them to metres above mean sea level (EGM96), and keep them for `build-cache`."""
    from gps_denied_operator.terrain.datum import Datum, Unit
    from gps_denied_operator.terrain.importer import HowToRead, import_heights

    if rows not in {"auto", "xyz", "tms"}:
        raise UserError(f"--rows is '{rows}': give xyz, tms or auto.")
    if datum not in {"", *(one.value for one in Datum)}:
        raise UserError(f"--datum is '{datum}': give egm96, egm2008 or ellipsoid.")
    if unit not in {"", *(one.value for one in Unit)}:
        raise UserError(f"--unit is '{unit}': give m or ft.")
    how = HowToRead(
        Datum(datum) if datum else None, Unit(unit) if unit else None, sigma_m, box_of(bbox) if bbox else None, rows
    )
    done: list[dict[str, Any]] = []
    for path in files:
        report = import_heights(path, how, store or default_root())
        done.append(report)
        if not json:
            typer.echo(f"{report['outcome']}: {_sentence(report)}")
    if json:
        changed = any(report["outcome"] == "success" for report in done)
        print_json({"outcome": "success" if changed else "idempotent_no_op", "imported": done})


@app.command()
def show(store: StoreOption = None, json: JsonOption = False) -> None:
    """Say which heights are kept: box, posts, datum, sigma, lowest and highest, holes."""
    from gps_denied_operator.terrain.library import stored_heights

    root = store or default_root()
    found = [one.as_dict() for one in stored_heights(root)]
    if json:
        print_json({"store": str(root), "heights": found})
        return
    for one in found:
        typer.echo(_sentence(one))
    if not found:
        typer.echo(f"no heights in {root}: put some in with `operator-tool terrain import`")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="As `terrain show` tells it.")],
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Remove an import; caches that were built with it stay as they are."""
    from gps_denied_operator.terrain.library import remove_heights

    remove_heights(store or default_root(), name)
    if json:
        print_json({"outcome": "success", "removed": name})
        return
    typer.echo(f"{name} removed")


def _sentence(one: dict[str, Any]) -> str:
    box = ",".join(f"{edge:.5f}" for edge in one["box_deg"])
    notes = "".join(f"\n  note: {shown(note, 400)}" for note in one["notes"])
    return (
        f"{one['name']}: box {box}, {one['columns']} x {one['rows']} posts every {one['step_m']:g} m, "
        f"{one['lowest_m']:g} to {one['highest_m']:g} m over EGM96 "
        f"(file: {shown(one['datum'])}, {shown(one['unit'])}), "
        f"sigma {one['sigma_m']:g} m, {100.0 * one['holes_share']:.1f} % holes{notes}"
    )
