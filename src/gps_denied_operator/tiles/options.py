"""Options that the commands of `operator-tool tiles` share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

RootOption = Annotated[
    Path | None, typer.Option(help="The store's folder; else GPS_DENIED_TILES, else among the user's data.")
]
ConfigOption = Annotated[
    Path | None, typer.Option(help="Configuration whose [tiles] table holds budget and age limits; else the defaults.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def default_root() -> Path:
    """Return GPS_DENIED_TILES, else a folder among the user's data (XDG_DATA_HOME)."""
    named = os.environ.get("GPS_DENIED_TILES")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "gps-denied-onboard" / "tiles"


def print_json(report: Mapping[str, object]) -> None:
    """Print one JSON object."""
    import orjson

    typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
