"""Which tile folders have not changed since rows and files were last known to agree.

A million tiles lie in some thousand folders, and looking at each file at every start takes minutes. A folder's time of
change moves with every file that comes or goes, so that a start looks only into folders that changed since: what a
crash left is in one of these. A folder that changed within the clock's resolution of the note is looked at again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.tiles.reconcile import tile_folders
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.json import read_json

SETTLED_FILE = ".settled.json"
SETTLED_BYTES_MAX = 256 * 1024 * 1024
_TILE_FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}/[0-9]{1,9}/[0-9]{1,9}")
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
    replace_whole(root / SETTLED_FILE, json.dumps(kept).encode())


def changed_folders(root: Path) -> Sequence[Path] | None:
    """Return the folders that came, went or changed since `remember`; None where that is not known."""
    noted = _noted(root)
    if noted is None:
        return None
    now = folder_times(root)
    return [root / name for name in sorted(noted.keys() | now.keys()) if noted.get(name) != now.get(name)]


def _noted(root: Path) -> dict[str, int] | None:
    try:
        data = read_file(root / SETTLED_FILE, SETTLED_BYTES_MAX, follow=False)
        noted = read_json(data, SETTLED_FILE, SETTLED_BYTES_MAX)
    except (OSError, UntrustedError):
        return None
    return noted if isinstance(noted, dict) and all(_TILE_FOLDER.fullmatch(name) for name in noted) else None
