"""A disk, or a plain file in its place: what it is, whether it may be written, its GPT, and writing with read-back."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError

CHUNK_BYTES = 4 << 20
SECTOR_BYTES = 512
ENTRY_BYTES_MIN, ENTRY_BYTES_MAX, LAST_SECTOR = 128, 4096, 1 << 48
ENTRY_NAME = slice(56, 128)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Target:
    """What is going to be written; `size_bytes` of a plain file is its length."""

    path: Path
    size_bytes: int
    model: str
    is_device: bool

    def __str__(self) -> str:
        return f"{self.path} ({self.size_bytes / 1e9:.1f} GB, {self.model})"


@dataclass(frozen=True, slots=True)
class Partition:
    name: str
    start_bytes: int
    size_bytes: int


def find_target(
    path: Path, mounts: Path = Path("/proc/self/mounts"), sys_block: Path = Path("/sys/class/block")
) -> Target:
    """The disk or file at `path`. UserError where it is neither, is a partition, or is in use."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be used: {error.strerror}; give a disk such as /dev/sdb, or a file.") from error
    if stat.S_ISREG(status.st_mode):
        return Target(path, status.st_size, "plain file", False)
    if not stat.S_ISBLK(status.st_mode):
        raise UserError(f"{path} is neither a disk nor a file; give a disk such as /dev/sdb.")
    name = path.resolve().name
    if (sys_block / name / "partition").exists():
        raise UserError(f"{path} is a partition; give the whole disk.")
    for line in mounts.read_text(encoding="utf-8").splitlines():
        source, where = line.split()[:2]
        mounted = Path(source).resolve().name if source.startswith("/dev/") else ""
        if mounted == name or ((sys_block / name / mounted).exists() and mounted):
            raise UserError(f"{source} is mounted on {where}; unmount it, and make sure that {path} is the right disk.")
    model = sys_block / name / "device" / "model"
    size_bytes = int((sys_block / name / "size").read_text()) * SECTOR_BYTES
    return Target(path, size_bytes, model.read_text().strip() if model.exists() else "unknown model", True)


def partitions(path: Path) -> dict[str, Partition]:
    """Partitions of a GPT by name. UserError where there is none. Format: UEFI specification, chapter 5."""
    with path.open("rb") as stream:
        stream.seek(SECTOR_BYTES)
        header = stream.read(92)
        if header[:8] != b"EFI PART":
            raise UserError(f"{path} holds no companion image; flash the whole image first.")
        first, count, size = struct.unpack_from("<QII", header, 72)
        if not ENTRY_BYTES_MIN <= size <= ENTRY_BYTES_MAX or first > LAST_SECTOR:
            raise UserError(f"the partition table of {path} is damaged; flash the whole image.")
        stream.seek(first * SECTOR_BYTES)
        table = stream.read(min(count, 128) * size)
    found = {}
    for at in range(0, len(table) - size + 1, size):
        begin, end = struct.unpack_from("<QQ", table, at + 32)
        if begin:
            name = table[at : at + size][ENTRY_NAME].decode("utf-16-le", "replace").rstrip("\0")
            found[name] = Partition(name, begin * SECTOR_BYTES, (end - begin + 1) * SECTOR_BYTES)
    return found


def write_and_read_back(source: Path, target: Path, offset_bytes: int, sha256: str, progress: Progress) -> None:
    """Copy `source` to `offset_bytes` of `target`, flush, read it back from the medium and compare with `sha256`."""
    size = source.stat().st_size
    out = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        with source.open("rb") as stream:
            done = 0
            # No more than it had when it was measured: what lies behind the partition is another one's.
            while chunk := stream.read(min(CHUNK_BYTES, size - done)):
                _write_all(out, chunk, offset_bytes + done)
                done += len(chunk)
                progress("written", done, size)
        os.fsync(out)
        os.posix_fadvise(out, offset_bytes, size, os.POSIX_FADV_DONTNEED)
        digest, done = hashlib.sha256(), 0
        while done < size:
            chunk = os.pread(out, min(CHUNK_BYTES, size - done), offset_bytes + done)
            if not chunk:
                break
            digest.update(chunk)
            done += len(chunk)
            progress("read back", done, size)
    except OSError as error:
        raise UserError(
            f"{target} failed: {error.strerror}; nothing on it can be trusted, use another disk."
        ) from error
    finally:
        os.close(out)
    if digest.hexdigest() != sha256:
        raise UserError(f"{target} does not hold what was written to it; use another disk or reader.")


def _write_all(out: int, chunk: bytes, offset_bytes: int) -> None:
    view = memoryview(chunk)
    while view:
        written = os.pwrite(out, view, offset_bytes)
        view, offset_bytes = view[written:], offset_bytes + written
