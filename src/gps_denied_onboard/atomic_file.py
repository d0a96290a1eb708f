"""Files that are there whole and durable, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from gps_denied_onboard.errors import UserError

PART_SUFFIX = ".part"


def replace_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put `data` into the place of a file at once; its folder must be there. OSError leaves what was there."""
    part = path.with_name(f".{path.name}.{os.getpid()}{PART_SUFFIX}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """As `replace_whole`; the folder is made. UserError when the disk is full or read-only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, data, mode)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise UserError(
                f"The disk that holds {path.parent} is full: nothing half-written is left. Free some space and run the "
                "same command again; it goes on where it stopped."
            ) from error
        raise UserError(f"{path} cannot be written ({error.strerror}); give a place that can be written.") from error
