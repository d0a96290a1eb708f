"""Tamper evidence: each closed segment is signed with the flight's own Ed25519 key and names the one before by hash."""

from __future__ import annotations

import base64
import hashlib

import orjson

from gps_denied_onboard.recorder.container import DamagedError

STATEMENT_KEYS = ("flight_id", "segment", "previous_sha256", "signed_bytes", "signed_sha256", "final")


def statement(entries: dict[str, str]) -> bytes:
    """What is signed: the entries of the signature record but the signature, in one order."""
    try:
        return b"gps-denied segment 1\n" + orjson.dumps({key: entries[key] for key in STATEMENT_KEYS})
    except KeyError as error:
        raise DamagedError(f"the signature says nothing of {error}") from error


class FlightKey:
    """The key of one flight. It is made when the recorder opens and exists in memory only: nobody can sign later."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.generate()
        self.public = base64.b64encode(self._key.public_key().public_bytes_raw()).decode("ascii")

    def signed(self, entries: dict[str, str]) -> dict[str, str]:
        """The entries with their signature."""
        return {**entries, "signature": base64.b64encode(self._key.sign(statement(entries))).decode("ascii")}


def fingerprint(public: str) -> str:
    """What people compare: the first 16 hex digits of the key's SHA-256."""
    return hashlib.sha256(public.encode("ascii")).hexdigest()[:16]


def is_signed(entries: dict[str, str], public: str) -> bool:
    """Whether the key has signed these entries."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(entries.get("signature", ""), validate=True), statement(entries))
    except (InvalidSignature, ValueError):
        return False
    return True
