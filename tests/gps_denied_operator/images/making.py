"""A small release and a small disk, made of real partition tables and file systems by Debian's tools."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gps_denied_operator.images.release import sign_release

MIB = 1 << 20
ESP_MIB, SLOT_MIB = 40, 4
BLOCKS = 100
TOOLS = ("sfdisk", "mkfs.vfat", "mcopy", "mmd")
TOOLS_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
HAVE_TOOLS = all(shutil.which(tool, path=TOOLS_PATH) for tool in TOOLS)


def root_image(salt: str, filling: int) -> bytes:
    """A root of BLOCKS blocks with a verity superblock (the fields that are read) behind it."""
    superblock = b"verity\0\0" + bytes(80) + bytes.fromhex(salt)
    return bytes([filling]) * (BLOCKS * 4096) + superblock.ljust(4096, b"\0")


def kernel_image(version: str, salt: str) -> bytes:
    """The text that a kernel image is known by."""
    return f"MZ IMAGE_VERSION={version}\nroot.salt={salt} root.blocks={BLOCKS} \0".encode()


def make_release(folder: Path, version: str, salt: str, key: Ed25519PrivateKey, filling: int = 1) -> Path:
    """A signed release folder; its disk image has both slots filled, as the factory's."""
    folder.mkdir()
    (folder / "root.img").write_bytes(root_image(salt, filling))
    (folder / "companion.efi").write_bytes(kernel_image(version, salt))
    (folder / "composition.toml").write_text('image = "companion"\n')
    (folder / "sbom.json").write_text("{}\n")
    (folder / "companion.img").write_bytes(struct.pack("<Q", filling) * 1000)
    if HAVE_TOOLS:
        make_disk(folder, version)
    sign_release(folder, version, "qemu-virt", key.private_bytes_raw())
    return folder


def make_disk(folder: Path, version: str) -> None:
    """companion.img: boot partition and two slots that hold root.img."""
    disk, esp = folder / "companion.img", folder.parent / "esp.img"
    with disk.open("wb") as stream:
        stream.truncate((ESP_MIB + 2 * SLOT_MIB + 2) * MIB)
    with esp.open("wb") as stream:
        stream.truncate(ESP_MIB * MIB)
    table = ["label: gpt", f"start=1MiB, size={ESP_MIB}MiB, name=esp"]
    table += [f"start={1 + ESP_MIB + k * SLOT_MIB}MiB, size={SLOT_MIB}MiB, name=root-{'ab'[k]}" for k in range(2)]
    path = {**os.environ, "PATH": TOOLS_PATH, "MTOOLS_SKIP_CHECK": "1"}

    def run(*command: str | Path, text: str | None = None) -> None:
        subprocess.run(command, input=text, text=True, check=True, capture_output=True, env=path)

    run("sfdisk", disk, text="\n".join(table))
    run("mkfs.vfat", esp)
    run("mmd", "-i", esp, "::/EFI", "::/EFI/Linux")
    run("mcopy", "-i", esp, folder / "companion.efi", f"::/EFI/Linux/companion_{version}+3.efi")
    with disk.open("r+b") as whole:
        for at_mib, source in (
            (1, esp),
            (1 + ESP_MIB, folder / "root.img"),
            (1 + ESP_MIB + SLOT_MIB, folder / "root.img"),
        ):
            whole.seek(at_mib * MIB)
            whole.write(source.read_bytes())
