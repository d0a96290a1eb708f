"""Which tile folders have not changed since rows and files were last known to agree.

A million tiles lie in some thousand folders, and looking at each file at every start takes minutes. A folder's time of
change moves with every file that comes or goes, so that a start looks only into folders that changed since: what a
crash left is in one of these. A folder that changed within the clock's resolution of the note is looked at again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gps_denied_onboard.tiles.reconcile import tile_folders

SETTLED_FILE = ".settled.json"
CLOCK_STEP_NS = 200_000_000


def folder_times(root: Path) -> dict[str, int]:
    """Return each tile folder's time of change, ns, by its name below the root."""
    return {str(folder.relative_to(root)): folder.stat().st_mtime_ns for folder in tile_folders(root)}


def time_of(root: Path, name: str) -> int | None:
    """Return a folder's time of change, None where it does not exist."""
    try:
        return (root / name).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def remember(root: Path, agreeing: Mapping[str, int]) -> None:
    """Note the folders that still are as they were when they agreed with the rows; the caller may write.

    agreeing: the times that this process vouches for. What was noted before stays where it still holds; all others
    are looked into at the next start: somebody who has crashed since may have changed them.
    """
    newest_ns = time.time_ns() - CLOCK_STEP_NS
    noted = _noted(root) or {}
    kept = {
        name: moment
        for name, moment in folder_times(root).items()
        if moment < newest_ns and moment in {agreeing.get(name), noted.get(name)}
    }
    unfinished = root / f"{SETTLED_FILE}.unfinished"
    unfinished.write_text(json.dumps(kept))
    unfinished.replace(root / SETTLED_FILE)


def changed_folders(root: Path) -> Sequence[Path] | None:
    """Return the folders that came, went or changed since `remember`; None where that is not known."""
    noted = _noted(root)
    if noted is None:
        return None
    now = folder_times(root)
    return [root / name for name in sorted(noted.keys() | now.keys()) if noted.get(name) != now.get(name)]


def _noted(root: Path) -> dict[str, int] | None:
    try:
        noted = json.loads((root / SETTLED_FILE).read_text())
    except (OSError, ValueError):
        return None
    return noted if isinstance(noted, dict) else None
