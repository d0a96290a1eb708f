"""Options of the commands that use the tile store or a tile provider."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gps_denied_onboard.errors import UserError

RootOption = Annotated[
    Path | None, typer.Option(help="The store's folder; else GPS_DENIED_TILES, else among the user's data.")
]
ConfigOption = Annotated[
    Path | None, typer.Option(help="Configuration whose [tiles] table holds budget and age limits; else the defaults.")
]
KeyOption = Annotated[
    Path | None, typer.Option("--key-file", help="File with the API key; else GPS_DENIED_PROVIDER_KEY.")
]
CaOption = Annotated[Path | None, typer.Option("--ca", help="CA certificates (PEM) to trust instead of the system's.")]
UrlOption = Annotated[str, typer.Option("--provider", help="Address of the provider, https://HOST[:PORT].")]


def default_root() -> Path:
    """Return GPS_DENIED_TILES, else a folder among the user's data (XDG_DATA_HOME)."""
    named = os.environ.get("GPS_DENIED_TILES")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "gps-denied-onboard" / "tiles"


def existing_root(root: Path | None) -> Path:
    """The folder of a store to be looked at; UserError where the one that the user names is not there."""
    if root is not None and not root.is_dir():
        raise UserError(f"There is no tile store at {root}: check --root. `operator-tool tiles import` makes one.")
    return root or default_root()


def box_of(text: str) -> tuple[float, float, float, float]:
    """West, south, east, north of the option --bbox. UserError where it is no box on the map."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--bbox is '{text}': give west,south,east,north in degrees.") from None
    if 180.0 <= west < east <= 360.0:  # counted from 0 to 360
        west, east = west - 360.0, east - 360.0
    if not (-180.0 <= west < east <= 180.0 and -85.0 <= south < north <= 85.0):
        raise UserError(f"--bbox {text} is not a box on the map: give west,south,east,north in degrees, in this order.")
    return west, south, east, north
