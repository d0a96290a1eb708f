"""Per-flight signatures: an Ed25519 key pair for one upload session, its private half wiped at the end.

The library that signs takes the key from a buffer of ours for each signature; what lives longer than one signature is
that buffer alone, which is overwritten with zeros when the session ends, also by an error.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Mapping
from typing import Self
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

log = logging.getLogger(__name__)

SIGNED_FIELDS = (
    "zoomLevel", "latitude", "longitude", "tile_size_meters", "tile_size_pixels", "capture_timestamp", "flight_id",
    "companion_id", "quality_metadata",
)  # fmt: skip


def canonical_payload(fields: Mapping[str, str], blob: bytes | memoryview) -> bytes:
    """Return what is signed: JSON, keys sorted, no spaces, of all fields as sent and the picture's SHA-256."""
    content = {name: fields[name] for name in SIGNED_FIELDS} | {"tile_sha256": hashlib.sha256(blob).hexdigest()}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


class SigningSession:
    """The key of one flight's upload. Use as a context manager; a session that was never ended warns."""

    def __init__(self, flight_id: UUID, private_key: bytearray | None = None) -> None:
        """Make a key. private_key: 32 bytes to take over instead, wiped at the end like one that is made here."""
        self.flight_id = flight_id
        if private_key is None:
            private_key = bytearray(
                Ed25519PrivateKey.generate().private_bytes(
                    serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
                )
            )
        self._secret = private_key
        self.public_key = self._key().public_key().public_bytes_raw()
        self.fingerprint = hashlib.sha256(self.public_key).hexdigest()
        self._ended = False
        log.info("signing session started: flight=%s public_key_sha256=%s", flight_id, self.fingerprint)

    def sign(self, payload: bytes) -> bytes:
        """Return the 64 bytes of a signature; RuntimeError after the end."""
        if self._ended:
            raise RuntimeError("the signing session has ended")
        return self._key().sign(payload)

    def end(self) -> None:
        """Wipe the private key; a second call does nothing."""
        self._secret[:] = bytes(len(self._secret))
        if not self._ended:
            self._ended = True
            log.info("signing session ended, key wiped: flight=%s", self.flight_id)

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._secret)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def __del__(self) -> None:
        if not getattr(self, "_ended", True):
            self.end()
            log.warning("signing session was never ended; its key is wiped now: flight=%s", self.flight_id)
            warnings.warn(f"signing session of flight {self.flight_id} was never ended", ResourceWarning, stacklevel=2)
