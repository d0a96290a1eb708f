"""A board's layer: its kernel, modules and console, from images/boards/NAME/board.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

BOARDS = Path(__file__).resolve().parents[1] / "boards"


@dataclass(frozen=True)
class Board:
    """`kernel` is the start of a package's name; `overlay` is a folder laid over the root, or None."""

    name: str
    console: str
    kernel: str
    initrd_modules: tuple[str, ...]
    modules: tuple[str, ...]
    overlay: Path | None


def read_board(folder: Path) -> Board:
    """The board that lies in `folder`. SystemExit with a sentence for an unknown one."""
    file = folder / "board.toml"
    if not file.is_file():
        known = ", ".join(sorted(entry.parent.name for entry in BOARDS.glob("*/board.toml")))
        raise SystemExit(f"there is no board '{folder.name}'; there are: {known}")
    tree = tomllib.loads(file.read_text(encoding="utf-8"))
    overlay = folder / "overlay"
    return Board(
        folder.name, tree["console"], tree["kernel"], tuple(tree["initrd_modules"]), tuple(tree["modules"]),
        overlay if overlay.is_dir() else None,
    )  # fmt: skip
