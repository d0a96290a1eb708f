"""Writing a verified release: the whole disk, or the other slot of a disk that holds one (an update)."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.images.disk import Partition, Progress, Target, partitions, write_and_read_back
from gps_denied_operator.images.release import Release

ROOM_BYTES = 512 << 20
"""What the image leaves to the data and recorder partitions, which the first boot makes."""
TRIES = 3
KERNEL_BYTES_MAX = 1 << 30
BLOCK_BYTES = 4096
SUPERBLOCK_SALT_AT = 88
SALT_BYTES = 32
LOADER_FOLDER = "::/EFI/Linux"
SLOTS = ("root-a", "root-b")


def flash_whole(release: Release, target: Target, progress: Progress) -> None:
    """Write the image over the whole disk. UserError where the disk is too small."""
    image = release.folder / "companion.img"
    needed = image.stat().st_size + (ROOM_BYTES if target.is_device else 0)
    if target.size_bytes < needed:
        raise UserError(f"{target} is too small: {needed / 1e9:.1f} GB are needed; use a larger disk.")
    write_and_read_back(image, target.path, 0, release.files["companion.img"], progress)


def flash_slot(release: Release, target: Target, progress: Progress) -> str:
    """Write the release's root to the slot that the newest kernel image does not use, then add its kernel image with
    its boot counter; returns the slot's name. What boots today stays bootable until the last step.
    """
    table = partitions(target.path)
    for name in ("esp", *SLOTS):
        if name not in table:
            raise UserError(f"{target} has no partition '{name}'; flash the whole image first.")
    esp = _Esp(target.path, table["esp"])
    installed = {name: _identity(kernel) for name, kernel in esp.kernels().items()}
    current = max(installed.values(), default=None, key=lambda found: _ordered(found[0]))
    if current is not None and _ordered(release.version) <= _ordered(current[0]):
        raise UserError(
            f"{target} holds version {current[0]}, the release is {release.version}: the boot loader starts the higher "
            "one. Give a release with a higher version, or flash the whole image."
        )
    root = release.folder / "root.img"
    salts = {name: _slot_salts(target.path, table[name], installed.values()) for name in SLOTS}
    slot = next((name for name in reversed(SLOTS) if current is None or current[1] not in salts[name]), SLOTS[1])
    if root.stat().st_size > table[slot].size_bytes:
        raise UserError(f"slot {slot} of {target} is too small for this release; flash the whole image.")
    other = salts[SLOTS[0] if slot == SLOTS[1] else SLOTS[1]]
    for name, (_, salt, _) in installed.items():
        if salt not in other:
            esp.remove(name)
    write_and_read_back(root, target.path, table[slot].start_bytes, release.files["root.img"], progress)
    esp.add(_kernel(release), f"companion_{release.version}+{TRIES}.efi")
    return slot


class _Esp:
    """The boot partition, read and written by mtools in place."""

    def __init__(self, disk: Path, partition: Partition) -> None:
        if shutil.which("mcopy") is None:
            raise UserError("the boot partition is written with mtools, which is not installed: install 'mtools'.")
        self._image = f"{disk}@@{partition.start_bytes}"

    def _run(self, program: str, *arguments: str, given: bytes = b"") -> bytes:
        done = subprocess.run(
            [program, "-i", self._image, *arguments], input=given, capture_output=True, check=False,
            env={**os.environ, "MTOOLS_SKIP_CHECK": "1"},
        )  # fmt: skip
        if done.returncode:
            raise UserError(
                f"the boot partition cannot be changed: {shown(done.stderr.strip())}; flash the whole image."
            )
        return done.stdout

    def kernels(self) -> dict[str, bytes]:
        """File name -> content of each kernel image."""
        listed = self._run("mdir", "-b", LOADER_FOLDER).decode(errors="replace").split("\n")
        names = [line.strip().rsplit("/", 1)[-1] for line in listed if line.strip().endswith(".efi")]
        return {name: self._run("mtype", f"{LOADER_FOLDER}/{name}") for name in names}

    def remove(self, name: str) -> None:
        self._run("mdel", f"{LOADER_FOLDER}/{name}")

    def add(self, kernel: bytes, name: str) -> None:
        self._run("mcopy", "-o", "-", f"{LOADER_FOLDER}/{name}", given=kernel)


def _kernel(release: Release) -> bytes:
    """The kernel image as it was signed: read once, so that what is written is what was checked."""
    data = read_file(release.folder / "companion.efi", KERNEL_BYTES_MAX)
    if hashlib.sha256(data).hexdigest() != release.files["companion.efi"]:
        raise UserError(f"{release.folder / 'companion.efi'} was changed since it was checked; get the release again.")
    return data


def _identity(kernel: bytes) -> tuple[str, str, int]:
    """Version, salt and blocks of the root that a kernel image belongs to."""
    version = re.search(rb"IMAGE_VERSION=([!-~]{1,128})", kernel)
    salt, blocks = re.search(rb"root\.salt=([0-9a-f]{64})", kernel), re.search(rb"root\.blocks=(\d{1,12})", kernel)
    if version is None or salt is None or blocks is None:
        raise UserError("the boot partition holds a kernel image of another kind; flash the whole image.")
    return version[1].decode(), salt[1].decode(), int(blocks[1])


def _slot_salts(disk: Path, slot: Partition, installed: Iterable[tuple[str, str, int]]) -> set[str]:
    """The salts, of those that installed kernel images name, that lie where they must in this slot."""
    found = set()
    with disk.open("rb") as stream:
        for _, salt, blocks in installed:
            stream.seek(slot.start_bytes + blocks * BLOCK_BYTES + SUPERBLOCK_SALT_AT)
            if stream.read(SALT_BYTES).hex() == salt:
                found.add(salt)
    return found


def _ordered(version: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.\-+_]", version))
