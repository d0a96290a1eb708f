"""The parts of the boot chain that are written here: kernel image, initial RAM file system, package names."""

from __future__ import annotations

import importlib.util
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

IMAGES = Path(__file__).resolve().parents[2] / "images"


def load(name: str) -> Any:
    """A script of images/, which is no package."""
    file = IMAGES / f"{name}.py"
    sys.path.insert(0, str(file.parent))
    try:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent))
    return module


def stub(header_size: int = 4096) -> bytes:
    """A PE32+ file with one section of code, as small as the format allows."""
    pe, optional_size = 64, 240
    raw = bytearray(header_size)
    raw[:2], raw[0x3C:0x40] = b"MZ", struct.pack("<I", pe)
    raw[pe : pe + 24] = struct.pack("<4sHHIIIHH", b"PE\0\0", 0xAA64, 1, 0, 0, 0, optional_size, 0)
    struct.pack_into("<H", raw, pe + 24, 0x20B)
    struct.pack_into("<II", raw, pe + 24 + 32, 4096, 512)
    struct.pack_into("<I", raw, pe + 24 + 60, header_size)
    section = (b".text", 512, 4096, 512, header_size, 0, 0, 0, 0, 0x60000020)
    struct.pack_into("<8sIIIIIIHHI", raw, pe + 24 + optional_size, *section)
    return bytes(raw) + b"\x01" * 512


def test_sections_of_a_kernel_image_are_read_back() -> None:
    """What is appended to the stub is found in it again, with the stub's own code before it."""
    sections = [(".cmdline", b"root.hash=1\0"), (".initrd", bytes(5000)), (".linux", b"kernel" * 999)]
    image = load("companion/uki").unified_kernel(stub(), sections)
    found = load("boot_test/machine").efi_sections(image)
    assert found == {".text": b"\x01" * 512, **dict(sections)}


def test_a_stub_without_room_is_refused() -> None:
    """A header that cannot hold the sections is an error, never a damaged image."""
    with pytest.raises(ValueError, match="no room"):
        load("companion/uki").unified_kernel(stub(512), [(f".s{k}", b"x") for k in range(9)])


def test_the_initial_file_system_is_sorted_and_lists_every_file() -> None:
    """The archive holds each path once, in order, and the console that init writes to."""
    files = {"init": (0o100755, b"#!"), "bin": (0o040755, b""), "bin/a": (0o100755, b"x")}
    archive = load("companion/initrd").cpio(files)
    names, at = [], 0
    while at < len(archive) and archive[at : at + 6] == b"070701":
        size, name_size = (int(archive[at + k : at + k + 8], 16) for k in (54, 94))
        names.append(archive[at + 110 : at + 110 + name_size - 1].decode())
        at = (at + 110 + name_size + 3) // 4 * 4
        at = (at + size + 3) // 4 * 4
    assert names == ["bin", "bin/a", "dev/console", "init", "TRAILER!!!"]


@pytest.mark.parametrize("name", ["bash_5.2_arm64.deb", "0123456789abcdfghijklmnpqrsvwxyz-bash_5.2_arm64.deb"])
def test_a_package_is_known_by_its_name(name: str) -> None:
    """The store's hash before a file's name is not part of the package's name."""
    assert load("companion/debs").package_name(Path(name)) == "bash"


HELPERS = [f"companion/overlay/usr/lib/gps-denied/{name}" for name in ("bless", "database-init", "make-data")]


@pytest.mark.parametrize("script", ["companion/initrd/init", *HELPERS])
def test_shell_scripts_of_the_image_can_be_parsed(script: str) -> None:
    """A slip of syntax in a script that only runs while booting is seen here."""
    plain = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    done = subprocess.run(["sh", "-n", IMAGES / script], capture_output=True, text=True, check=False, env=plain)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_board_is_refused_with_the_known_ones() -> None:
    """A board that has no folder is named, and so are those that have one."""
    with pytest.raises(SystemExit, match=r"no board 'pi5'; there are: jetson-orin, qemu-virt"):
        load("companion/board").read_board(IMAGES / "boards" / "pi5")
