"""`--version` of both programs."""

from __future__ import annotations

from typing import Annotated

import typer

from gps_denied_onboard import VERSION


def _tell(asked: bool) -> None:
    if asked:
        print(VERSION)
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", help="Print the release and end.", is_eager=True, callback=_tell)
]
