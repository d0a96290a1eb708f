"""A release is what was signed, whole, by the right key; anything else is refused with a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gps_denied_onboard.errors import UserError
from gps_denied_operator.images.release import read_key, verify_release

from .making import make_release

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
SALT = "ab" * 32


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("signed") / "release", "1.2.0", SALT, KEY)


@pytest.fixture
def release(signed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed, tmp_path / "release"))


def test_a_signed_release_is_accepted(release: Path) -> None:
    """Version, board and the files' hashes are those of the signed manifest."""
    found = verify_release(release, PUBLIC)
    assert (found.version, found.board) == ("1.2.0", "qemu-virt")
    assert {"companion.img", "root.img", "companion.efi", "composition.toml", "sbom.json"} == found.files.keys()


def test_another_key_is_refused(release: Path) -> None:
    """A manifest that somebody else signed is refused, whatever it says."""
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    with pytest.raises(UserError, match="not signed by this key"):
        verify_release(release, other)


def _flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


SPOILINGS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte of the root": (lambda folder: _flip(folder / "root.img", 5000), "root.img is not what was signed"),
    "the last byte of the image": (lambda folder: _flip(folder / "companion.img", -1), "companion.img is not what"),
    "a byte of the manifest": (lambda folder: _flip(folder / "release.json", 40), "was changed since"),
    "a byte of the signature": (lambda folder: (folder / "release.json.sig").write_text("00" * 64), "not signed by"),
    "no signature": (lambda folder: (folder / "release.json.sig").unlink(), "holds no release.json.sig"),
    "a signature that is none": (lambda folder: (folder / "release.json.sig").write_text("zz"), "cannot be read"),
    "a file less": (lambda folder: (folder / "sbom.json").unlink(), "sbom.json is missing"),
    "a longer file": (lambda folder: (folder / "sbom.json").write_text("{} more"), "sbom.json is not what was signed"),
}


@pytest.mark.parametrize("what", SPOILINGS)
def test_a_spoiled_release_is_refused_and_names_the_file(release: Path, what: str) -> None:
    """One changed byte, a missing file, a signature that is gone: refused, and the sentence says which file."""
    spoil, said = SPOILINGS[what]
    spoil(release)
    with pytest.raises(UserError, match=said):
        verify_release(release, PUBLIC)


@pytest.mark.parametrize("content", ["", "xyz", "00" * 31])
def test_a_key_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    """A file that holds no key of 32 bytes is named."""
    (tmp_path / "key").write_text(content)
    with pytest.raises(UserError, match=r"public key .*key"):
        read_key(tmp_path / "key", "public")
