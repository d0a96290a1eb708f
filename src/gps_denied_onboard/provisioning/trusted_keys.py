"""Public keys that manifests are believed by: a folder of `<fingerprint>.pub` files and a list `revoked`.

A `.pub` file holds one Ed25519 public key, 64 lower-case hexadecimal digits on a line. `revoked` holds one fingerprint
a line; it wins over any key in the folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.text import shown

KEY_SUFFIX = ".pub"
REVOKED_FILE = "revoked"
KEY_BYTES_MAX = 1_000
REVOKED_BYTES_MAX = 1_000_000
FINGERPRINT = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Keys (32 bytes each) by fingerprint, and the fingerprints that nothing is believed from any more."""

    keys: Mapping[str, bytes]
    revoked: frozenset[str] = frozenset()

    @property
    def good(self) -> tuple[str, ...]:
        """Fingerprints that are trusted and not revoked, in order."""
        return tuple(sorted(self.keys.keys() - self.revoked))


def fingerprint(public_key: bytes) -> str:
    """A public key's name: the first 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def read_trusted_keys(folder: Path) -> TrustedKeys:
    """The keys of a folder. UserError where it or a file of it is not what it should be: nothing is then believed."""
    keys: dict[str, bytes] = {}
    try:
        for file in sorted(folder.glob(f"*{KEY_SUFFIX}")):
            text = read_file(file, KEY_BYTES_MAX).decode("ascii").strip()
            if _KEY.fullmatch(text) is None or fingerprint(bytes.fromhex(text)) != file.stem:
                raise UserError(
                    f"{file} does not hold the public key of its name; copy it again from the workstation that made it."
                )
            keys[file.stem] = bytes.fromhex(text)
        if not folder.is_dir():
            raise UserError(
                f"There is no folder of trusted keys at {folder}; make one, and put the .pub file of the manifest's "
                "key there (`operator-tool companion trust` does so)."
            )
        listed = folder / REVOKED_FILE
        # A link to nothing is no absent list: who made it wants nothing revoked.
        lines = read_file(listed, REVOKED_BYTES_MAX).decode("ascii").split() if os.path.lexists(listed) else []
    except UntrustedError as error:
        raise UserError(f"The trusted keys in {folder} cannot be used ({error}); put them there again.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The trusted keys in {folder} cannot be read ({error}); put them there again.") from None
    for line in lines:
        if FINGERPRINT.fullmatch(line) is None:
            raise UserError(f"{listed} holds '{shown(line, 40)}', which is no fingerprint; put the list there again.")
    return TrustedKeys(keys, frozenset(lines))
