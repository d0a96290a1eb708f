"""Folders from outside: only plain files and folders that lie inside count, links and devices are passed over."""

from __future__ import annotations

import fnmatch
import os
import stat
from pathlib import Path

from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.text import shown

ENTRIES_MAX = 1_000_000


def is_plain(path: Path) -> bool:
    """Whether a path is a regular file itself: no link, pipe, device or folder, and nothing that is missing."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def plain_files(folder: Path, pattern: str = "*") -> list[Path]:
    """The regular files of a folder whose names fit, by name; empty where there is no folder."""
    return sorted(path for path in _entries(folder, pattern) if is_plain(path))


def plain_folders(folder: Path, pattern: str = "*") -> list[Path]:
    """The folders of a folder whose names fit, by name; links to folders are not followed."""
    return sorted(path for path in _entries(folder, pattern) if path.is_dir() and not path.is_symlink())


def inside(folder: Path, *names: str) -> Path:
    """`folder` with names below it; UntrustedError where a name is no plain one or a link lies on the way.

    The folder itself was named by whoever runs the program and may be a link.
    """
    here = folder
    for name in names:
        if not name or name in {".", ".."} or "/" in name or "\0" in name:
            raise UntrustedError(f"{shown(folder)}: '{shown(name, 80)}' is no plain name of a file in it.")
        here = here / name
        if here.is_symlink():
            raise UntrustedError(f"{shown(here)} is a link, which is not followed out of {shown(folder)}.")
    return here


def _entries(folder: Path, pattern: str) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found: list[Path] = []
            for entry in entries:
                if len(found) >= ENTRIES_MAX:
                    raise UntrustedError(f"{shown(folder)} holds more than {ENTRIES_MAX} files; give a smaller folder.")
                if fnmatch.fnmatchcase(entry.name, pattern):
                    found.append(folder / entry.name)
            return found
    except (FileNotFoundError, NotADirectoryError):
        return []
