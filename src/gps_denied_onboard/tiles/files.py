"""Tile files on disk: names, atomic writing, read-only mapping.

A tile is `<root>/<source>/<z>/<x>/<y>[-<flight>].jpg`, its validity mask `....mask.png` where part of it has
no data, and `....jpg.sha256` in the format of sha256sum, naming both.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import mmap
import os
import re
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.grid import TileKey

SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
TILE_FILE = re.compile(r"(?P<stem>\d+(?:-[0-9a-f-]{36})?)\.(?:jpg|mask\.png|jpg\.sha256)")
FLUSH_TOGETHER = 8  # more files than these are quicker by one flush of the filesystem (3 ms each against 12 ms for all)
UNLINKS_AT_A_TIME = 16
UNFINISHED_FILE = re.compile(r"\..+\.unfinished|\d.*\.previous")


def image_path(root: Path, key: TileKey) -> Path:
    flight = f"-{key.flight_id}" if key.flight_id else ""
    return root / key.source / str(key.zoom) / str(key.x) / f"{key.y}{flight}.jpg"


def mask_path(image: Path) -> Path:
    return image.with_suffix(".mask.png")


def sidecar_path(image: Path) -> Path:
    return image.with_name(f"{image.name}.sha256")


def all_paths(image: Path) -> tuple[Path, Path, Path]:
    """Return image, mask and sidecar of a tile, of which the mask may not exist."""
    return image, mask_path(image), sidecar_path(image)


def sidecar_text(image: Path, content_sha256: bytes, mask_sha256: bytes | None) -> bytes:
    """Return what `sha256sum -c` reads in the tile's folder."""
    lines = f"{content_sha256.hex()}  {image.name}\n"
    if mask_sha256 is not None:
        lines += f"{mask_sha256.hex()}  {mask_path(image).name}\n"
    return lines.encode()


def tile_files(
    image: Path, jpeg: bytes, mask: bytes | None, digests: tuple[bytes, bytes | None]
) -> list[tuple[Path, bytes]]:
    """Return the files of one tile and their contents. digests: SHA-256 of image and mask."""
    found = [(image, jpeg)] if mask is None else [(image, jpeg), (mask_path(image), mask)]
    return [*found, (sidecar_path(image), sidecar_text(image, *digests))]


def write_files(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write files so that each is there whole and durable, or not at all.

    Temporary file, fsync, rename, fsync of the folder; many files share one flush of their filesystem.
    On an error everything that this call wrote is removed again.
    Raises UserError where the disk is full.
    """
    # Plain strings: building a Path takes longer than the system call that it is for.
    names = [(str(path.parent), path.name) for path, _ in files]
    folders = sorted({folder for folder, _ in names})
    unfinished: list[str] = []
    done: list[str] = []
    try:
        for folder in folders:
            _make_folder(Path(folder))
        for (folder, name), (_, content) in zip(names, files, strict=True):
            unfinished.append(f"{folder}/.{name}.unfinished")
            _write(unfinished[-1], content)
        _make_durable(unfinished)
        for (folder, name), aside in zip(names, unfinished, strict=True):
            os.rename(aside, f"{folder}/{name}")
            done.append(f"{folder}/{name}")
        _make_durable(folders)
    except BaseException as error:
        remove_files(map(Path, [*unfinished, *done]))
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise disk_full(files[0][0]) from error
        raise


def _write(path: str, content: bytes) -> None:
    """Write a file and let the disk begin with it, without waiting, so that the wait for all of them is short."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileExistsError:
        os.unlink(path)  # what a crash left, or a link that somebody put there: never written through
        descriptor = os.open(path, flags, 0o666)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def previous_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def keep_previous(image: Path) -> None:
    """Give a tile's files second names, durably, before others take their place."""
    for path in (image, mask_path(image), sidecar_path(image)):
        if path.exists():
            previous_path(path).unlink(missing_ok=True)
            os.link(path, previous_path(path))
    _fsync(image.parent)


def settle_previous(image: Path, content_sha256: bytes, mask_sha256: bytes | None) -> None:
    """Drop the second names where the files are those of the tile's row, else put them back in place."""
    mask = mask_path(image)
    digests = [hashlib.sha256(path.read_bytes()).digest() if path.exists() else None for path in (image, mask)]
    agree = digests[0] == content_sha256 and (mask_sha256 is None or digests[1] == mask_sha256)
    for path in (image, mask, sidecar_path(image)):
        previous = previous_path(path)
        if agree:
            previous.unlink(missing_ok=True)
        elif previous.exists():
            previous.replace(path)
    if mask_sha256 is None:
        mask.unlink(missing_ok=True)
    _fsync(image.parent)


def disk_full(path: Path) -> UserError:
    return UserError(
        f"The disk that holds {path.parents[3]} is full: nothing half-written is left. Free some space and run the "
        "same command again; it goes on where it stopped."
    )


def remove_files(paths: Iterable[Path]) -> None:
    """Remove files that may or may not exist, and make that durable; many at a time, since each waits for the disk."""
    paths = list(paths)
    if len(paths) <= FLUSH_TOGETHER:
        gone = [_unlink(path) for path in paths]
    else:
        with ThreadPoolExecutor(UNLINKS_AT_A_TIME) as pool:
            gone = list(pool.map(_unlink, paths, chunksize=64))
    _make_durable(sorted({str(path.parent) for path, was_there in zip(paths, gone, strict=True) if was_there}))


def _unlink(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        return True
    return False


def map_file(path: Path) -> memoryview:
    """Return a file's bytes, mapped read-only; OSError where it cannot be read, ValueError where it is empty.

    A link is not followed, and a device or a pipe is not read.
    """
    with open_plain(path) as file:
        return memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))


def open_plain(path: Path) -> IO[bytes]:
    """A regular file, opened to be read; OSError for a link, a folder, a device or a pipe, without waiting for it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(descriptor, "rb")


def _make_folder(folder: Path) -> None:
    if not folder.is_dir() or folder.is_symlink():
        if not folder.parent.is_dir():
            _make_folder(folder.parent)
        if folder.is_symlink():
            raise UserError(f"{folder} is a link, and tiles are not stored over links: put a folder in its place.")
        folder.mkdir(exist_ok=True)
        _fsync(folder.parent)


def _make_durable(paths: Sequence[str]) -> None:
    """Wait until files or folders of one filesystem are on the disk."""
    if len(paths) <= FLUSH_TOGETHER:
        for path in paths:
            _fsync(path)
        return
    descriptor = os.open(paths[0], os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), paths[0])
    finally:
        os.close(descriptor)


def _fsync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
