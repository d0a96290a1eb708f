"""Unpack Debian packages into a tree where /bin, /sbin and /lib are links into /usr. No maintainer script runs."""

from __future__ import annotations

import fnmatch
import io
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

MERGED = ("bin", "sbin", "lib")
AR_MAGIC = b"!<arch>\n"
AR_HEADER_BYTES = 60


def words(file: Path) -> tuple[str, ...]:
    """The words of a list file; `#` starts a comment."""
    return tuple(word for line in file.read_text(encoding="utf-8").splitlines() for word in line.split("#")[0].split())


def package_name(deb: Path) -> str:
    """`hash-name_1.0_arm64.deb` or `name_1.0_arm64.deb` -> `name`; a store path carries a hash of 32 letters."""
    stem = deb.name
    if len(stem) > 33 and stem[32] == "-" and stem[:32].isalnum():
        stem = stem[33:]
    return stem.split("_")[0]


def unpack(debs: Iterable[Path], tree: Path, excluded: tuple[str, ...] = ()) -> None:
    """Unpack `debs` in the order of their names; what matches a glob of `excluded` (below /) stays out."""
    for name in MERGED:
        (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (tree / name).is_symlink():
            (tree / name).symlink_to(f"usr/{name}")
    for deb in sorted(debs, key=package_name):
        with tarfile.open(fileobj=io.BytesIO(data_member(deb)), mode="r:*") as archive:
            for member in archive:
                path = _merged(member.name)
                if path and not any(fnmatch.fnmatchcase(path, glob) for glob in excluded):
                    _put(archive, member, tree, path)


def data_member(deb: Path) -> bytes:
    """The `data.tar.*` of a package. ValueError where the file is no package."""
    for name, body in _ar_members(deb.read_bytes()):
        if name.startswith("data.tar"):
            return body
    raise ValueError(f"{deb} holds no data.tar: it is not a Debian package")


def _ar_members(raw: bytes) -> Iterator[tuple[str, bytes]]:
    at = len(AR_MAGIC) if raw.startswith(AR_MAGIC) else len(raw)
    while at + AR_HEADER_BYTES <= len(raw):
        name, size = raw[at : at + 16].decode().strip().rstrip("/"), int(raw[at + 48 : at + 58])
        at += AR_HEADER_BYTES
        yield name, raw[at : at + size]
        at += size + size % 2


def _merged(name: str) -> str:
    path = os.path.normpath(name).lstrip("/").removeprefix("./")
    first = path.split("/")[0]
    return "" if path in (".", *MERGED) else f"usr/{path}" if first in MERGED else path


def _put(archive: tarfile.TarFile, member: tarfile.TarInfo, tree: Path, path: str) -> None:
    target = tree / path
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.is_file():
        target.unlink()
    if member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        shutil.copyfile(tree / _merged(member.linkname), target)
        target.chmod(member.mode & 0o755 | 0o644)
    elif member.isfile():
        source = archive.extractfile(member)
        assert source is not None
        target.write_bytes(source.read())
        target.chmod(member.mode & 0o755 | 0o644)
    else:
        raise ValueError(f"{path} is neither file, folder nor link")
