"""What the provider says to tiles that an aircraft made: its rules, its memory, its check of signatures."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gps_denied_onboard.tiles import codec

FIELDS = (
    "zoomLevel", "latitude", "longitude", "tile_size_meters", "tile_size_pixels", "capture_timestamp", "flight_id",
    "companion_id", "quality_metadata",
)  # fmt: skip
BYTES_MIN = 5 * 1024
BYTES_MAX = 5 * 1024 * 1024
FUTURE_MAX = timedelta(seconds=30)
AGE_MAX = timedelta(days=7)
FLAT_SIGMA_MAX = 2.0


def canonical_payload(fields: Mapping[str, str], blob: bytes) -> bytes:
    """Return the bytes that a tile's signature covers: JSON of all fields as sent and the picture's SHA-256, sorted."""
    content = {name: fields[name] for name in FIELDS} | {"tile_sha256": hashlib.sha256(blob).hexdigest()}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


@dataclass(frozen=True, slots=True)
class Verdict:
    """queued, rejected, duplicate or superseded, and why."""

    status: str
    reason: str


class Ingest:
    """The provider's side of uploads. `keep`: folder for a ledger (ledger.jsonl) of all verdicts."""

    def __init__(self, now: Callable[[], datetime], keep: Path | None = None) -> None:
        self._now = now
        self._keys: dict[str, list[Ed25519PublicKey]] = {}
        self._seen: set[tuple[str, ...]] = set()
        self._newest: dict[tuple[str, ...], datetime] = {}
        self.ledger: list[dict[str, str]] = []
        self._file = keep / "ledger.jsonl" if keep else None

    def register(self, flight_id: str, public_key: bytes) -> str:
        """Take a flight's public key (32 bytes); return its fingerprint. ValueError where it is none."""
        self._keys.setdefault(flight_id, []).append(Ed25519PublicKey.from_public_bytes(public_key))
        return hashlib.sha256(public_key).hexdigest()

    def judge(self, fields: Mapping[str, str], blob: bytes, signature: str) -> Verdict:
        """Apply the rules to one tile, and remember it where it is taken."""
        problem = self._problem(fields, blob, signature)
        place = (fields.get("zoomLevel", ""), fields.get("latitude", ""), fields.get("longitude", ""))
        identity = (*place, *(fields.get(name, "") for name in ("capture_timestamp", "companion_id", "flight_id")))
        if problem:
            verdict = Verdict("rejected", problem)
        elif identity in self._seen:
            verdict = Verdict("duplicate", "this tile is known already")
        else:
            self._seen.add(identity)
            captured = datetime.fromisoformat(fields["capture_timestamp"])
            newest = self._newest.get(place)
            if newest is not None and newest > captured:
                verdict = Verdict("superseded", "a newer picture of this place is known")
            else:
                self._newest[place] = captured
                verdict = Verdict("queued", "")
        entry = {"status": verdict.status, "reason": verdict.reason, "sha256": hashlib.sha256(blob).hexdigest()}
        self.ledger.append(entry | {name: fields.get(name, "") for name in FIELDS})
        if self._file is not None:
            with open(self._file, "a", encoding="utf-8") as file:
                file.write(json.dumps(self.ledger[-1]) + "\n")
        return verdict

    def _problem(self, fields: Mapping[str, str], blob: bytes, signature: str) -> str:
        missing = [name for name in FIELDS if not fields.get(name)]
        if missing:
            return f"field {missing[0]} is missing"
        if not self._signed(fields, blob, signature):
            return "signature"
        if not BYTES_MIN <= len(blob) <= BYTES_MAX:
            return f"{len(blob)} bytes, not {BYTES_MIN} to {BYTES_MAX}"
        try:
            codec.check_jpeg_tile(blob)
        except ValueError:
            return "not a 256x256 image"
        image = cv2.imdecode(np.frombuffer(blob, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
        if image is None:
            return "not a 256x256 image"
        if float(np.std(image)) < FLAT_SIGMA_MAX:
            return "a flat image"
        return self._bad_value(fields)

    def _bad_value(self, fields: Mapping[str, str]) -> str:
        try:
            captured = datetime.fromisoformat(fields["capture_timestamp"])
            numbers = [float(fields[name]) for name in ("latitude", "longitude", "tile_size_meters")]
            whole = [int(fields[name]) for name in ("zoomLevel", "tile_size_pixels")]
            json.loads(fields["quality_metadata"])
        except ValueError as error:
            return f"a value cannot be read: {error}"
        if captured.tzinfo is None:
            return "capture_timestamp has no time zone"
        if captured - self._now() > FUTURE_MAX:
            return "captured in the future"
        if self._now() - captured > AGE_MAX:
            return "captured more than 7 days ago"
        if not (abs(numbers[0]) <= 85.06 and abs(numbers[1]) <= 180.0 and numbers[2] > 0.0):
            return "no place on the map"
        return "" if 0 <= whole[0] <= 24 and whole[1] == 256 else "zoom or size is not one of ours"

    def _signed(self, fields: Mapping[str, str], blob: bytes, signature: str) -> bool:
        try:
            given = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        for key in self._keys.get(fields["flight_id"], []):
            try:
                key.verify(given, canonical_payload(fields, blob))
            except InvalidSignature:
                continue
            return True
        return False


def key_bytes(body: Any) -> bytes:
    """Return the 32 bytes of {"public_key": base64}; ValueError otherwise."""
    text = body.get("public_key") if isinstance(body, dict) else None
    if not isinstance(text, str):
        raise ValueError("public_key is missing")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"public_key is not base64: {error}") from error
    if len(data) != 32:
        raise ValueError(f"public_key holds {len(data)} bytes, not 32")
    return data
