"""An output folder that appears whole under its name, or not at all.

Everything is written into a hidden folder beside the target, flushed to the disk and renamed at the end. A finished
output of the same kind is replaced in one step; anything else is left alone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.json import field, list_of, read_json
from gps_denied_onboard.untrusted.text import shown

MARKER_FILE = ".gps-denied-output.json"
MARKER_BYTES_MAX = 64 * 1024 * 1024
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class OutputFolder:
    """Context manager that gives the path to write into: `with OutputFolder(out, "replay") as folder: ...`.

    `kind` names what is written ("recording", "replay", "evaluation"): only a finished output of the same kind, to
    which nothing was added, is replaced. UserError when the target holds something else, another run writes it, or
    the disk is full; after any failure nothing new is left and what was there before is still there.
    """

    def __init__(self, target: Path, kind: str) -> None:
        self.target = Path(os.path.abspath(target))
        self.kind = kind
        self._lock = _Lock(self.target)
        self._folder: Path | None = None

    def __enter__(self) -> Path:
        refuse_foreign(self.target, self.kind)
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._remove_leftovers()
            self._folder = Path(
                tempfile.mkdtemp(prefix=f".{self.target.name}.", suffix=".partial", dir=self.target.parent)
            )
            self._folder.chmod(0o755)
        except OSError as error:
            self._lock.release()
            raise self._explained(error) from error
        return self._folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._folder is not None
        try:
            if error is None:
                self._publish(self._folder)
        except OSError as failure:
            raise self._explained(failure) from failure
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._lock.release()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise self._explained(error) from error

    def _publish(self, folder: Path) -> None:
        marker = {"kind": self.kind, "entries": sorted(entry.name for entry in folder.iterdir())}
        (folder / MARKER_FILE).write_bytes(orjson.dumps(marker, option=orjson.OPT_APPEND_NEWLINE))
        _flush_filesystem(folder)
        refuse_foreign(self.target, self.kind)
        if self.target.is_dir():
            _exchange(folder, self.target)
        else:
            os.rename(folder, self.target)
        _flush_filesystem(self.target.parent)

    def _remove_leftovers(self) -> None:
        """Drop what a killed run left beside the target; the lock says that no living run writes there."""
        ours = re.compile(rf"\.{re.escape(self.target.name)}\.[a-z0-9_]{{8}}(-old)?\.partial")  # as mkdtemp names them
        for entry in self.target.parent.iterdir():
            if ours.fullmatch(entry.name) and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)

    def _explained(self, error: OSError) -> UserError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return UserError(
                f"the disk of {self.target.parent} is full; nothing was left there. "
                "Free some space or give --out on another disk."
            )
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            return UserError(f"cannot make {self.target}: a part of that path is a file; give another --out.")
        return UserError(
            f"cannot write {self.target}: {error.strerror or error} ({error.filename or self.target.parent}). "
            "Give another --out, or mend the rights of that folder."
        )


def refuse_foreign(target: Path, kind: str) -> None:
    """UserError unless `target` is absent, an empty folder, or a finished output of `kind` and nothing else."""
    if not target.is_dir():
        if target.exists() or target.is_symlink():
            raise UserError(f"{target} is not a folder; give --out a folder that does not exist yet.")
        return
    try:
        present = {entry.name for entry in target.iterdir()}
    except OSError as error:
        raise UserError(f"cannot read {target}: {error.strerror}; give another --out.") from error
    if not present:
        return
    try:
        data = read_file(target / MARKER_FILE, MARKER_BYTES_MAX, follow=False)
        marker = read_json(data, MARKER_FILE, MARKER_BYTES_MAX)
        found = field(marker, "kind", str, MARKER_FILE)
        entries = set(list_of(field(marker, "entries", list, MARKER_FILE), str, MARKER_FILE))
    except (OSError, UntrustedError):
        raise UserError(
            f"{target} is not empty and is not an output of this program; give --out another folder, or empty it first."
        ) from None
    if found != kind:
        raise UserError(
            f"{target} holds a {shown(found, 40)}, not a {kind}; give --out another folder, or remove it first."
        )
    added = sorted(present - entries - {MARKER_FILE})
    if added:
        raise UserError(
            f"{target} holds '{shown(added[0], 80)}', which this program did not write; move it away or give --out "
            "another folder."
        )


class _Lock:
    """A lock file beside the target that says who holds it; it is gone when the run ends."""

    def __init__(self, target: Path) -> None:
        from filelock import FileLock

        self._target = target
        self._path = target.parent / f".{target.name}.lock"
        self._lock = FileLock(self._path)

    def acquire(self) -> None:
        """Take the lock, or UserError naming the run that has it."""
        from filelock import Timeout

        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"another run is writing {self._target}: {self._holder()}. Wait for it, or give --out another folder."
            ) from None
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
        self._path.write_text(f"process {os.getpid()} on {socket.gethostname()} ({command})", encoding="utf-8")

    def release(self) -> None:
        """Remove the file while it is still held (waiters notice the new inode), then let go."""
        if self._lock.is_locked:
            self._path.unlink(missing_ok=True)
            self._lock.release()

    def _holder(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8", errors="replace") or "a process that has just started"
        except OSError:
            return "a process that is just ending"


def _flush_filesystem(path: Path) -> None:
    """Write everything of the filesystem that holds `path` to the disk (one call instead of one for each tile)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders in one step; where the filesystem cannot, in two."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is not None:
        if renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(number, os.strerror(number), str(old))
    aside = new.with_name(f"{new.name.removesuffix('.partial')}-old.partial")
    os.rename(old, aside)
    os.rename(new, old)
    shutil.rmtree(aside, ignore_errors=True)
