"""The option of the commands that need the keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

KeysOption = Annotated[
    Path | None, typer.Option("--keys", help="Folder of the keys; else GPS_DENIED_KEYS, else among the user's data.")
]
