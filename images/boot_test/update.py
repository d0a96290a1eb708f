"""An update whose root is damaged on its slot: three starts fail, then the boot loader takes the release before it."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from boot_test.console import watch
from boot_test.flips import BLOCK_BYTES, copy_disk, flip
from boot_test.machine import Machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gps_denied_operator.images.disk import find_target, partitions
from gps_denied_operator.images.flash import flash_slot
from gps_denied_operator.images.release import Release, sign_release, verify_release

LIMIT_S = 900.0
FLIPPED_BYTE = 60_000_000
MAJOR = b"9"
"""Of the update's version, in place of the image's own."""
COMPOSITION = Path(__file__).resolve().parents[1] / "companion/composition.toml"
WANTED = {
    "slot A is another release's": r"slot root-a refused: another release",
    "slot B is damaged": r"slot root-b refused: a block is damaged",
    "starts again": r"FATAL: no whole root slot for this kernel image; starting again",
    "the release before comes up": r"slot root-a accepted",
}


def check_update(image: Path, scratch: Path) -> list[str]:
    """Flash an update to the other slot as an operator does, damage it there, start; returns what went wrong."""
    disk = copy_disk(image, scratch / "update.img")
    slot = flash_slot(next_release(image, scratch), find_target(disk), lambda *_: None)
    if slot != "root-b":
        return [f"the update went to {slot}, the running release's own"]
    flip(disk, partitions(disk)[slot].start_bytes + FLIPPED_BYTE)
    tries: list[str] = []
    faults = watch(Machine(disk, scratch), WANTED, LIMIT_S, note=tries.append)
    failed = sum("no whole root slot" in line for line in tries)
    disk.unlink()
    return (
        faults
        if failed == 3
        else [*faults, f"{failed} starts of the update failed before the release before it, not 3"]
    )


def next_release(image: Path, scratch: Path) -> Release:
    """The image's root under another salt, so with another hash, and a kernel image that names it; signed, verified."""
    folder = scratch / "update"
    folder.mkdir()
    kernel = (image / "companion.efi").read_bytes()
    old = {name: found(rf"root\.{name}=([0-9a-f]+)", kernel) for name in ("hash", "salt", "blocks", "super")}
    version = found(r"IMAGE_VERSION=([0-9.]+)", kernel)
    data_bytes = int(old["blocks"]) * BLOCK_BYTES
    with (image / "companion.img").open("rb") as disk, (folder / "root.img").open("wb") as root:
        disk.seek(partitions(image / "companion.img")["root-a"].start_bytes)
        root.write(disk.read(data_bytes))
    salt = hashlib.sha256(kernel).hexdigest()
    sealing = [
        "veritysetup",
        "format",
        "--salt",
        salt,
        "--data-blocks",
        old["blocks"],
        "--hash-offset",
        str(data_bytes),
    ]
    block = ["--data-block-size", str(BLOCK_BYTES), "--hash-block-size", str(BLOCK_BYTES)]
    sealed = subprocess.run(
        [*sealing, *block, folder / "root.img", folder / "root.img"], check=True, capture_output=True
    )
    with (folder / "root.img").open("rb") as root:
        root.seek(data_bytes)
        superblock = hashlib.sha256(root.read(BLOCK_BYTES)).hexdigest()
    new = {"hash": found(r"Root hash:\s+([0-9a-f]+)", sealed.stdout), "salt": salt, "super": superblock}
    for name, value in new.items():
        kernel = kernel.replace(old[name].encode(), value.encode())
    newer = MAJOR.decode() + version[1:]
    (folder / "companion.efi").write_bytes(kernel.replace(f"VERSION={version}".encode(), f"VERSION={newer}".encode()))
    (folder / "companion.img").symlink_to(image / "companion.img")
    (folder / "composition.toml").write_bytes(COMPOSITION.read_bytes())
    (folder / "sbom.json").write_text("{}\n")  # `flash` writes nothing of it
    key = Ed25519PrivateKey.generate()
    sign_release(folder, newer, "qemu-virt", key.private_bytes_raw())
    return verify_release(folder, key.public_key().public_bytes_raw())


def found(pattern: str, text: bytes) -> str:
    """The pattern's group in `text`."""
    match = re.search(pattern.encode(), text)
    if match is None:
        raise SystemExit(f"the image says nowhere {pattern}")
    return match[1].decode()
