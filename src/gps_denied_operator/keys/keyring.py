"""The workstation's keys for manifests: a folder of `<fingerprint>.pub`, `<fingerprint>.key`, `active`, `revoked`.

`active` names the key that signs; a new key takes its place (rotation), the old one stays trusted until it is revoked.
The private halves never leave this folder; the rest is what a companion's folder of trusted keys holds.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.atomic_file import write_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.trusted_keys import (
    FINGERPRINT,
    KEY_BYTES_MAX,
    KEY_SUFFIX,
    REVOKED_FILE,
    TrustedKeys,
    fingerprint,
    read_trusted_keys,
)
from gps_denied_onboard.untrusted.bounded import read_file

PRIVATE_SUFFIX = ".key"
ACTIVE_FILE = "active"


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key of the folder. `state`: active, trusted or revoked; `signs`: its private half is here."""

    fingerprint: str
    state: str
    signs: bool


def default_keys_folder() -> Path:
    """GPS_DENIED_KEYS, else a folder among the user's data (XDG_DATA_HOME)."""
    named = os.environ.get("GPS_DENIED_KEYS")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "gps-denied-onboard" / "keys"


def new_key(folder: Path) -> str:
    """Make a key and make it the active one; its fingerprint."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    name = fingerprint(public)
    if not folder.exists():
        folder.mkdir(parents=True, mode=0o700)
    write_whole(folder / f"{name}{PRIVATE_SUFFIX}", f"{key.private_bytes_raw().hex()}\n".encode(), mode=0o600)
    write_whole(folder / f"{name}{KEY_SUFFIX}", f"{public.hex()}\n".encode())
    write_whole(folder / ACTIVE_FILE, f"{name}\n".encode())
    return name


def list_keys(folder: Path) -> list[KeyEntry]:
    """All keys of the folder by fingerprint; none where there is no folder."""
    if not folder.is_dir():
        return []
    trusted, active = read_trusted_keys(folder), _active(folder)
    entries = []
    for name in sorted(trusted.keys.keys() | trusted.revoked):
        state = "revoked" if name in trusted.revoked else "active" if name == active else "trusted"
        entries.append(KeyEntry(name, state, (folder / f"{name}{PRIVATE_SUFFIX}").exists()))
    return entries


def revoke_key(folder: Path, name: str) -> None:
    """Revoke a key for good: nothing that it signed is believed any more, and its private half is removed."""
    if FINGERPRINT.fullmatch(name) is None:
        raise UserError(f"'{name}' is no fingerprint: give the 32 hexadecimal digits that `keys list` shows.")
    trusted = read_trusted_keys(folder)
    if name not in trusted.keys:
        known = ", ".join(sorted(trusted.keys)) or "none"
        raise UserError(f"There is no key {name} in {folder}; there are: {known}.")
    lines = "".join(f"{one}\n" for one in sorted({*trusted.revoked, name}))
    write_whole(folder / REVOKED_FILE, lines.encode())
    (folder / f"{name}{PRIVATE_SUFFIX}").unlink(missing_ok=True)
    if _active(folder) == name:
        (folder / ACTIVE_FILE).unlink()


def signing_key(folder: Path) -> tuple[bytes, TrustedKeys]:
    """The active key's private half (32 bytes), and the keys of the folder. UserError where there is none."""
    active = _active(folder) if folder.is_dir() else ""
    if not active:
        raise UserError(f"There is no active key in {folder} to sign with: make one with `operator-tool keys new`.")
    trusted = read_trusted_keys(folder)
    if active not in trusted.good:
        raise UserError(f"The active key {active} in {folder} is revoked or missing; make one with `keys new`.")
    path = folder / f"{active}{PRIVATE_SUFFIX}"
    try:
        private = bytes.fromhex(read_file(path, KEY_BYTES_MAX).decode("ascii").strip())
        if path.stat().st_mode & 0o077:
            raise UserError(f"The private key {path} can be read by others: `chmod 600` it, or revoke it if they did.")
    except (OSError, ValueError) as error:
        raise UserError(f"The private key {path} cannot be read ({error}); make one with `keys new`.") from None
    return private, trusted


def _active(folder: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        name = read_file(folder / ACTIVE_FILE, KEY_BYTES_MAX).decode("ascii", "replace").strip()
        if FINGERPRINT.fullmatch(name) is None:
            raise UserError(f"{folder / ACTIVE_FILE} names no key; make one with `operator-tool keys new`.")
        return name
    return ""
