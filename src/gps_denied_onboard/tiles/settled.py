"""Which tile folders have not changed since rows and files were last known to agree.

A million tiles lie in some thousand folders, and looking at each file at every start takes minutes. A folder's time of
change moves with every file that comes or goes, so that a start looks only into folders that changed since: what a
crash left is in one of these. A folder that changed within the clock's resolution of the note is looked at again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from gps_denied_onboard.tiles.reconcile import tile_folders

SETTLED_FILE = ".settled.json"
CLOCK_STEP_NS = 200_000_000


def remember(root: Path) -> None:
    """Note all folders as agreeing with the rows; the caller holds the right to write."""
    newest_ns = time.time_ns() - CLOCK_STEP_NS
    times = {str(folder.relative_to(root)): folder.stat().st_mtime_ns for folder in tile_folders(root)}
    kept = {name: moment for name, moment in times.items() if moment < newest_ns}
    unfinished = root / f"{SETTLED_FILE}.unfinished"
    unfinished.write_text(json.dumps(kept))
    unfinished.replace(root / SETTLED_FILE)


def changed_folders(root: Path) -> Sequence[Path] | None:
    """Return the folders that came, went or changed since `remember`; None where that is not known."""
    try:
        noted = json.loads((root / SETTLED_FILE).read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(noted, dict):
        return None
    now = {str(folder.relative_to(root)): os.stat(folder).st_mtime_ns for folder in tile_folders(root)}
    return [root / name for name in sorted(noted.keys() | now.keys()) if noted.get(name) != now.get(name)]
