"""A release on a disk: the whole image, and an update of the slot that is not in use. Disks are plain files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gps_denied_onboard.errors import UserError
from gps_denied_operator.images import disk
from gps_denied_operator.images.flash import _Esp, flash_slot, flash_whole
from gps_denied_operator.images.release import verify_release

from .making import HAVE_TOOLS, make_release

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
needs_tools = pytest.mark.skipif(
    not HAVE_TOOLS, reason="needs sfdisk, mkfs.vfat and mtools (Debian: fdisk dosfstools mtools)"
)


@pytest.fixture(autouse=True)
def _system_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")


def quiet(_what: str, _done: int, _all: int) -> None:
    return None


def blank(path: Path, size_bytes: int) -> disk.Target:
    with path.open("wb") as stream:
        stream.truncate(size_bytes)
    return disk.find_target(path)


def test_the_whole_image_is_written_and_read_back(tmp_path: Path) -> None:
    """The disk begins with the image's bytes, and the rest is untouched."""
    release = verify_release(make_release(tmp_path / "r", "1.0.0", "aa" * 32, KEY), PUBLIC)
    image = (release.folder / "companion.img").read_bytes()
    target = blank(tmp_path / "disk", len(image) + 1000)
    flash_whole(release, target, quiet)
    assert target.path.read_bytes() == image + bytes(1000)


def test_a_disk_that_is_too_small_is_left_alone(tmp_path: Path) -> None:
    """Not one byte is written to a disk that cannot hold the image."""
    release = verify_release(make_release(tmp_path / "r", "1.0.0", "aa" * 32, KEY), PUBLIC)
    target = blank(tmp_path / "disk", 5000)
    with pytest.raises(UserError, match="too small"):
        flash_whole(release, target, quiet)
    assert target.path.read_bytes() == bytes(5000)


def test_what_changed_between_check_and_writing_is_seen(tmp_path: Path) -> None:
    """The read-back compares with the signed hash, not with the file that was read."""
    release = verify_release(make_release(tmp_path / "r", "1.0.0", "aa" * 32, KEY), PUBLIC)
    image = release.folder / "companion.img"
    raw = bytearray(image.read_bytes())
    raw[77] ^= 1
    image.write_bytes(raw)
    with pytest.raises(UserError, match="does not hold what was written"):
        flash_whole(release, blank(tmp_path / "disk", len(raw)), quiet)


@needs_tools
def test_updates_take_the_slots_in_turn(tmp_path: Path) -> None:
    """A new release goes to the slot that is not in use; the one that boots today stays, with its kernel image."""
    first, second, third = (
        verify_release(make_release(tmp_path / f"r{k}", f"1.{k}.0", f"{k}{k}" * 32, KEY, filling=k), PUBLIC)
        for k in (1, 2, 3)
    )
    target = blank(tmp_path / "disk", (first.folder / "companion.img").stat().st_size)
    flash_whole(first, target, quiet)
    assert flash_slot(second, target, quiet) == "root-b"
    assert kernels(target) == {"companion_1.1.0+3.efi", "companion_1.2.0+3.efi"}
    assert flash_slot(third, target, quiet) == "root-a"
    assert kernels(target) == {"companion_1.2.0+3.efi", "companion_1.3.0+3.efi"}
    table, raw = disk.partitions(target.path), target.path.read_bytes()
    for slot, release in (("root-a", third), ("root-b", second)):
        root = (release.folder / "root.img").read_bytes()
        assert raw[table[slot].start_bytes :][: len(root)] == root


@needs_tools
def test_an_older_release_is_no_update(tmp_path: Path) -> None:
    """The boot loader starts the higher version, so a lower one would only take the fall-back away."""
    new, old = (
        verify_release(make_release(tmp_path / v, v, f"{v[-1] * 2}" * 32, KEY), PUBLIC) for v in ("1.10.0", "1.9.9")
    )
    target = blank(tmp_path / "disk", (new.folder / "companion.img").stat().st_size)
    flash_whole(new, target, quiet)
    before = target.path.read_bytes()
    with pytest.raises(UserError, match=r"holds version 1\.10\.0"):
        flash_slot(old, target, quiet)
    assert target.path.read_bytes() == before


def test_a_disk_without_an_image_takes_no_update(tmp_path: Path) -> None:
    """An empty disk is told to be flashed whole."""
    release = verify_release(make_release(tmp_path / "r", "1.0.0", "aa" * 32, KEY), PUBLIC)
    with pytest.raises(UserError, match="flash the whole image first"):
        flash_slot(release, blank(tmp_path / "disk", 1 << 20), quiet)


@pytest.mark.parametrize("name", [".", "no-such-disk"])
def test_what_is_no_disk_is_refused(tmp_path: Path, name: str) -> None:
    """A folder or nothing at all is no target."""
    with pytest.raises(UserError, match="give a disk"):
        disk.find_target(tmp_path / name)


def kernels(target: disk.Target) -> set[str]:
    return set(_Esp(target.path, disk.partitions(target.path)["esp"]).kernels())
