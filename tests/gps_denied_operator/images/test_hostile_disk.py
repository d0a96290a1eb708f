"""Disks and releases that changed since they were looked at: no more is written than was checked."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gps_denied_onboard.errors import UserError
from gps_denied_operator.images.disk import partitions, write_and_read_back
from gps_denied_operator.images.flash import _identity, _kernel
from gps_denied_operator.images.release import NEEDED, Release, sign_release, verify_release

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Return the folder of a small signed release."""
    folder = tmp_path / "release"
    folder.mkdir()
    for name in NEEDED:
        (folder / name).write_bytes(name.encode() * 100)
    sign_release(folder, "1.2.3", "board", PRIVATE.private_bytes_raw())
    return folder


@pytest.mark.parametrize("size", [0, 1, 127, 4097, 2**32 - 1])
@pytest.mark.parametrize("first", [2, 2**63])
def test_a_partition_table_that_cannot_be_is_a_sentence(tmp_path: Path, size: int, first: int) -> None:
    """Entries of no size or of gigabytes, and a table beyond the end, are damaged tables."""
    header = b"EFI PART" + bytes(64) + struct.pack("<QII", first, 2**32 - 1, size)
    (tmp_path / "disk").write_bytes(bytes(512) + header + bytes(2000))
    with pytest.raises(UserError, match="damaged"):
        partitions(tmp_path / "disk")


def test_a_source_that_grows_does_not_reach_the_next_partition(tmp_path: Path) -> None:
    """What is appended to an image while it is written stays out; what lies behind its place stays as it was."""
    source, disk = tmp_path / "root.img", tmp_path / "disk"
    source.write_bytes(b"a" * 1000)
    disk.write_bytes(b"z" * 10_000)

    def grow(_what: str, _done: int, _size: int) -> None:
        with source.open("ab") as stream:
            stream.write(b"b" * 5000)

    write_and_read_back(source, disk, 100, hashlib.sha256(b"a" * 1000).hexdigest(), grow)
    assert disk.read_bytes() == b"z" * 100 + b"a" * 1000 + b"z" * 8900


def test_a_kernel_that_was_exchanged_after_the_check_is_not_written(release: Path) -> None:
    """The kernel image that goes to the boot partition is the one that was signed, byte for byte."""
    verified = verify_release(release, PUBLIC)
    assert _kernel(verified) == b"companion.efi" * 100
    (release / "companion.efi").write_bytes(b"x" * 1300)
    with pytest.raises(UserError, match="was changed since it was checked"):
        _kernel(verified)


@pytest.mark.parametrize("name", ["release.json", "release.json.sig", "root.img"])
@pytest.mark.parametrize("kind", ["pipe", "device", "dangling"])
def test_parts_of_a_release_that_are_no_plain_files_are_refused(release: Path, name: str, kind: str) -> None:
    """A pipe is not waited for, a device not read to its end."""
    (release / name).unlink()
    if kind == "pipe":
        os.mkfifo(release / name)
    else:
        (release / name).symlink_to("/dev/zero" if kind == "device" else "nowhere")
    with pytest.raises(UserError):
        verify_release(release, PUBLIC)


def test_a_signed_name_does_not_lead_out_of_the_folder(release: Path, tmp_path: Path) -> None:
    """Even a signed list names files of its own folder only."""
    (tmp_path / "outside").write_bytes(b"x")
    entry = '"../outside": {"sha256": "a", "size": 1}, "sbom.json"'
    raw = (release / "release.json").read_text().replace('"sbom.json"', entry)
    (release / "release.json").write_text(raw)
    (release / "release.json.sig").write_text(PRIVATE.sign(raw.encode()).hex())
    with pytest.raises(UserError, match="no name of a file"):
        verify_release(release, PUBLIC)


@pytest.mark.parametrize(
    "kernel",
    [
        b"IMAGE_VERSION=1 root.salt=" + b"a" * 64 + b" root.blocks=" + b"9" * 5000,
        b"IMAGE_VERSION=\xff\xfe root.salt=" + b"a" * 64 + b" root.blocks=1",
        b"IMAGE_VERSION=" + b"1" * 5000 + b" root.salt=" + b"a" * 64 + b" root.blocks=1",
    ],
)
def test_kernel_images_of_a_strange_disk_give_no_traceback(kernel: bytes) -> None:
    """Numbers of thousands of digits and versions of other bytes are read in part or refused in a sentence."""
    try:
        version, _, blocks = _identity(kernel)
    except UserError:
        return
    assert len(version) <= 128
    assert blocks < 10**12


def test_a_release_is_what_was_verified(release: Path) -> None:
    """A good release verifies, and carries the digests that everything later is held against."""
    verified = verify_release(release, PUBLIC)
    assert isinstance(verified, Release)
    assert verified.files["root.img"] == hashlib.sha256(b"root.img" * 100).hexdigest()
