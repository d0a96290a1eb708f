"""A release: a folder of files, `release.json` with their SHA-256 and sizes, and its Ed25519 signature.

The signature covers the bytes of release.json; the private key never enters a build. Keys are raw 32 bytes in
hexadecimal, one line a file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.json import read_json
from gps_denied_onboard.untrusted.text import shown

MANIFEST = "release.json"
SIGNATURE = "release.json.sig"
FORMAT = "gps-denied release 1"
KEY_BYTES = 32
KEY_FILE_BYTES_MAX = 1_000
MANIFEST_BYTES_MAX = 16 * 1024 * 1024
NEEDED = ("companion.img", "root.img", "companion.efi", "composition.toml", "sbom.json")


@dataclass(frozen=True, slots=True)
class Release:
    """A verified release: `files` maps each name to its SHA-256 in hexadecimal."""

    folder: Path
    version: str
    board: str
    files: dict[str, str]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_key(path: Path, what: str) -> bytes:
    """A key's 32 bytes. UserError where the file is no key."""
    try:
        key = bytes.fromhex(read_file(path, KEY_FILE_BYTES_MAX).decode("ascii").strip())
    except (OSError, ValueError) as error:
        raise UserError(f"{what} key {path} cannot be read ({error}); give a file of 64 hexadecimal digits.") from error
    if len(key) != KEY_BYTES:
        raise UserError(f"{what} key {path} has {len(key)} bytes, not {KEY_BYTES}; give the right file.")
    return key


def sign_release(folder: Path, version: str, board: str, private_key: bytes) -> None:
    """Write release.json and its signature into `folder`. UserError where a needed file is missing."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for name in NEEDED:
        if not (folder / name).is_file():
            raise UserError(f"{folder} lacks {name}; put all of {', '.join(NEEDED)} there before signing.")
    names = sorted(
        entry.name for entry in folder.iterdir() if entry.is_file() and entry.name not in (MANIFEST, SIGNATURE)
    )
    files = {name: {"sha256": file_sha256(folder / name), "size": (folder / name).stat().st_size} for name in names}
    manifest = {"format": FORMAT, "version": version, "board": board, "files": files}
    raw = (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()
    signature = Ed25519PrivateKey.from_private_bytes(private_key).sign(raw)
    (folder / MANIFEST).write_bytes(raw)
    (folder / SIGNATURE).write_text(signature.hex() + "\n", encoding="ascii")


def verify_release(folder: Path, public_key: bytes) -> Release:
    """Check signature first, then every file. UserError names what is wrong; nothing unsigned is read further."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        raw = read_file(folder / MANIFEST, MANIFEST_BYTES_MAX)
        signature = bytes.fromhex(read_file(folder / SIGNATURE, KEY_FILE_BYTES_MAX).decode("ascii").strip())
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} holds no {Path(error.filename).name}; give the folder of a signed release."
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"the signature in {folder} cannot be read ({error}); get the release again.") from error
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, raw)
    except InvalidSignature:
        raise UserError(
            f"{folder / MANIFEST} was not signed by this key, or was changed since; do not use it: get the release "
            "again, or give the public key of who made it."
        ) from None
    try:
        manifest = read_json(raw, str(folder / MANIFEST), MANIFEST_BYTES_MAX)
        if manifest["format"] != FORMAT:
            raise UserError(f"{folder} is of format '{manifest['format']}'; use the operator-tool of that release.")
        files = {str(name): (str(entry["sha256"]), int(entry["size"])) for name, entry in manifest["files"].items()}
        version, board = str(manifest["version"]), str(manifest["board"])
    except (UntrustedError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / MANIFEST} is signed and yet not a manifest ({error}); sign it again.") from error
    for name in NEEDED:
        if name not in files:
            raise UserError(f"{folder / MANIFEST} does not name {name}; make the release again.")
    for name, (sha256, size) in files.items():
        if Path(name).name != name:
            raise UserError(f"{folder / MANIFEST} names '{shown(name, 80)}', which is no name of a file in it.")
        _check_file(folder / name, sha256, size)
    return Release(folder, version, board, {name: sha256 for name, (sha256, _) in files.items()})


def _check_file(path: Path, sha256: str, size: int) -> None:
    if not path.is_file():  # a link is well where what it names is a file of these bytes: a build makes such
        raise UserError(f"{path} is missing, or is no plain file; get the release again.")
    if path.stat().st_size != size or file_sha256(path) != sha256:
        raise UserError(f"{path} is not what was signed (its bytes differ); do not use it, get the release again.")
