"""The flashable disk image of a companion root.

    image.py --rootfs ROOTFS --board FOLDER --out OUT

ROOTFS is what rootfs.py wrote. OUT gets `companion.img` (GPT: boot partition, root slots A and B with the same release;
data and recorder are made on the first boot) and `companion.efi`, the unified kernel image. Same input, same bytes.
On PATH: mkfs.vfat, mmd, mcopy, sfdisk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from board import read_board
from rootfs import EPOCH_S, os_release
from uki import unified_kernel

MIB = 1 << 20
FIRST_MIB, ESP_MIB, SLOT_MIB, TAIL_MIB = 1, 200, 512, 1
TRIES = 3
GUID = "6E617600-0000-4000-8000-00000000000"
PARTITIONS = (
    ("esp", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", ESP_MIB),
    ("root-a", "B921B045-1DF0-41C3-AF44-4C6F280D3FAE", SLOT_MIB),
    ("root-b", "B921B045-1DF0-41C3-AF44-4C6F280D3FAE", SLOT_MIB),
)
LOADER = "timeout 0\neditor no\nconsole-mode keep\nauto-entries no\nauto-firmware no\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("rootfs", "board", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    board = read_board(args.board)
    args.out.mkdir(parents=True, exist_ok=True)
    sealed = json.loads((args.rootfs / "root.json").read_text())
    kernel = args.out / "companion.efi"
    kernel.write_bytes(
        unified_kernel(
            (args.rootfs / "efi/linuxaa64.efi.stub").read_bytes(),
            [
                (".osrel", os_release(board, sealed["version"]).encode()),
                (".cmdline", command_line(board.console, sealed).encode() + b"\0"),
                (".uname", (args.rootfs / "kernel-release").read_bytes()),
                (".initrd", (args.rootfs / "initrd.zst").read_bytes()),
                (".linux", (args.rootfs / "vmlinuz").read_bytes()),
            ],
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        esp = Path(folder) / "esp.img"
        make_esp(esp, args.rootfs / "efi/systemd-bootaa64.efi", kernel, sealed["version"], Path(folder))
        make_disk(args.out / "companion.img", esp, args.rootfs / "root.img")


def command_line(console: str, sealed: dict[str, object]) -> str:
    """All that identifies the root, so that the kernel image fits this root only, in either slot."""
    return (
        f"console={console} ro panic=5 loglevel=4 audit=0 root.hash={sealed['hash']} root.salt={sealed['salt']} "
        f"root.blocks={sealed['blocks']} root.super={sealed['superblock_sha256']}"
    )


def make_esp(esp: Path, loader: Path, kernel: Path, version: str, scratch: Path) -> None:
    """A FAT32 boot partition: systemd-boot at the place firmware looks, and the kernel image with its boot counter."""
    config = scratch / "loader.conf"
    config.write_text(LOADER)
    first = scratch / "bootaa64.efi"
    first.write_bytes(loader.read_bytes())
    for file in (config, first, kernel):
        os.utime(file, (EPOCH_S, EPOCH_S))
    with esp.open("wb") as stream:
        stream.truncate(ESP_MIB * MIB)
    environment = {**os.environ, "TZ": "UTC", "SOURCE_DATE_EPOCH": str(EPOCH_S), "MTOOLS_SKIP_CHECK": "1"}

    def run(*command: str | Path) -> None:
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)

    run("mkfs.vfat", "-F", "32", "--invariant", "-i", "0A0B0C0D", "-n", "ESP", esp)
    run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT", "::/EFI/Linux", "::/loader")
    run("mcopy", "-m", "-i", esp, first, "::/EFI/BOOT/BOOTAA64.EFI")
    run("mcopy", "-m", "-i", esp, config, "::/loader/loader.conf")
    run("mcopy", "-m", "-i", esp, kernel, f"::/EFI/Linux/companion_{version}+{TRIES}.efi")


def make_disk(disk: Path, esp: Path, root: Path) -> None:
    """A GPT with fixed identifiers around the boot partition and two slots. SystemExit when the root is too large."""
    if root.stat().st_size > SLOT_MIB * MIB:
        size = root.stat().st_size / MIB
        raise SystemExit(f"the root is {size:.0f} MiB, a slot holds {SLOT_MIB}: leave something out")
    starts, at = [], FIRST_MIB
    lines = ["label: gpt", f"label-id: {GUID}0", "first-lba: 2048"]
    for number, (name, kind, size) in enumerate(PARTITIONS, 1):
        lines.append(f"start={at}MiB, size={size}MiB, type={kind}, uuid={GUID}{number}, name={name}")
        starts.append(at)
        at += size
    with disk.open("wb") as stream:
        stream.truncate((at + TAIL_MIB) * MIB)
    quiet = ["sfdisk", "-q", "--no-reread", "--no-tell-kernel", disk]
    subprocess.run(quiet, input="\n".join(lines), text=True, check=True)
    with disk.open("r+b") as stream:
        for start, source in zip(starts, (esp, root, root), strict=True):
            _write_sparse(stream.fileno(), start * MIB, source)


def _write_sparse(target: int, offset: int, source: Path) -> None:
    zero = bytes(MIB)
    with source.open("rb") as stream:
        while chunk := stream.read(MIB):
            if chunk != zero[: len(chunk)]:
                os.pwrite(target, chunk, offset)
            offset += len(chunk)


if __name__ == "__main__":
    main()
