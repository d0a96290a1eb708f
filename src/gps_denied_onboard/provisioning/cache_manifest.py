"""The manifest of a provisioned cache: what flies, over which ground, by which tiles and files; signed; pure.

One canonical JSON object (sorted keys, no spaces, one newline): {"body": ..., "sha256": of the body, "signature":
{"ed25519": ..., "key": fingerprint} or null}. Other spellings of the same object are refused: every byte counts.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Any

import orjson

from gps_denied_onboard.provisioning.manifest import Artefact, ManifestError, artefact_from_tree
from gps_denied_onboard.tiles.coverage import TileBlock, coverage_sha256
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.json import read_json

FORMAT = "gps-denied cache"
SCHEMA_VERSION = 2
SIGNED_PREFIX = b"gps-denied cache manifest 2\n"
"""Goes before the body where it is signed: no signature made for something else fits."""
BYTES_MAX = 64 * 1024 * 1024
VALUES_MAX = 2_000_000
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
COMPANION_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_AGAIN = "Provision again."


@dataclass(frozen=True, slots=True)
class CacheBody:
    """What is signed. Latitudes and longitudes in degrees; `bbox_deg` is west, south, east, north; `squares` are the
    tiles of `source` at `zoom` that the flight may read, `artefacts` the cache's files, by path. `companion_id` is the
    one companion that may fly with it, `counter` rises with each manifest of that companion."""

    mission_id: str
    flight_id: str
    origin_latitude_deg: float
    origin_longitude_deg: float
    bbox_deg: tuple[float, float, float, float]
    composition_sha256: str
    source: str
    zoom: int
    downgraded: bool
    squares: tuple[TileBlock, ...]
    artefacts: tuple[Artefact, ...]
    companion_id: str
    counter: int

    @property
    def coverage_sha256(self) -> str:
        """The digest over all squares."""
        return coverage_sha256(self.source, self.zoom, self.squares)

    @property
    def tiles(self) -> int:
        """How many tiles the flight may read."""
        return sum(square.tiles for square in self.squares)

    def artefacts_of(self, folder: str) -> tuple[Artefact, ...]:
        """The artefacts below a folder of the cache."""
        return tuple(a for a in self.artefacts if a.path.startswith(f"{folder}/"))


@dataclass(frozen=True, slots=True)
class Signature:
    """Fingerprint of the key, and the Ed25519 signature over prefix and body, in hex."""

    key: str
    ed25519: str


@dataclass(frozen=True, slots=True)
class SealedManifest:
    """A manifest as read: nothing in it is to be believed before `verify` found no fault."""

    body: CacheBody
    sha256: str
    signature: Signature | None


def body_bytes(body: CacheBody) -> bytes:
    """The canonical bytes of a body: the same for the same content."""
    return _canonical(_body_tree(body))


def signed_bytes(body: CacheBody) -> bytes:
    """What a signature covers."""
    return SIGNED_PREFIX + body_bytes(body)


def seal(body: CacheBody, signature: Signature | None = None) -> bytes:
    """The manifest's bytes; without a signature it is only an offer to be signed."""
    signed = None if signature is None else {"ed25519": signature.ed25519, "key": signature.key}
    digest = hashlib.sha256(body_bytes(body)).hexdigest()
    return _canonical({"body": _body_tree(body), "sha256": digest, "signature": signed}) + b"\n"


def sign(body: CacheBody, private_key: bytes) -> Signature:
    """Sign a body with a raw Ed25519 key of 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from gps_denied_onboard.provisioning.trusted_keys import fingerprint

    key = Ed25519PrivateKey.from_private_bytes(private_key)
    return Signature(fingerprint(key.public_key().public_bytes_raw()), key.sign(signed_bytes(body)).hex())


def parse_cache_manifest(data: bytes) -> SealedManifest:
    """The manifest of its bytes. ManifestError for whatever is not exactly one of this version, canonically spelt."""
    try:
        tree = read_json(data, "the manifest", BYTES_MAX, values_max=VALUES_MAX, text_max=1024)
    except UntrustedError as error:
        raise ManifestError(f"{error} {_AGAIN}") from None
    version = tree["body"].get("schema_version") if _is_object(tree) and _is_object(tree.get("body")) else None
    if isinstance(version, int) and version < SCHEMA_VERSION:
        raise ManifestError(
            f"the manifest has version {version}, which names no companion and carries no counter: it is no longer "
            "flown with. Build the cache again with `operator-tool build-cache`."
        )
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise ManifestError(
            f"the manifest has version {version}, this program reads {SCHEMA_VERSION}; use companion and workstation "
            "software of one release."
        )
    _keys(tree, {"body", "sha256", "signature"}, "the manifest")
    signature = tree["signature"]
    if signature is not None:
        _keys(signature, {"ed25519", "key"}, "the signature")
        signature = Signature(_text(signature["key"], "signature.key"), _text(signature["ed25519"], "signature"))
    sealed = SealedManifest(_body(tree["body"]), _text(tree["sha256"], "sha256"), signature)
    if _canonical(tree) + b"\n" != data:
        raise ManifestError(f"the manifest is not spelt canonically: it was changed after it was made. {_AGAIN}")
    return sealed


def _canonical(tree: Any) -> bytes:
    return orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)


def _body_tree(body: CacheBody) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "companion_id": body.companion_id,
        "counter": body.counter,
        "mission_id": body.mission_id,
        "flight_id": body.flight_id,
        "origin": {"latitude_deg": body.origin_latitude_deg, "longitude_deg": body.origin_longitude_deg},
        "bbox_deg": list(body.bbox_deg),
        "composition_sha256": body.composition_sha256,
        "map": {"source": body.source, "zoom": body.zoom, "downgraded": body.downgraded},
        "coverage": {
            "sha256": body.coverage_sha256,
            "tiles": body.tiles,
            "squares": [[s.column, s.row, s.tiles, s.sha256] for s in body.squares],
        },
        "artefacts": [
            {"path": a.path, "sha256": a.sha256, "size_bytes": a.size_bytes}
            for a in sorted(body.artefacts, key=lambda a: a.path)
        ],
    }


def _body(tree: Any) -> CacheBody:
    _keys(
        tree,
        {
            "format", "schema_version", "mission_id", "flight_id", "origin", "bbox_deg", "composition_sha256", "map",
            "coverage", "artefacts", "companion_id", "counter",
        },
        "the manifest's body",
    )  # fmt: skip
    if tree["format"] != FORMAT or type(tree["schema_version"]) is not int:
        raise ManifestError(f"this is no manifest of a cache. {_AGAIN}")
    origin, box, shown, covered = tree["origin"], tree["bbox_deg"], tree["map"], tree["coverage"]
    _keys(origin, {"latitude_deg", "longitude_deg"}, "origin")
    _keys(shown, {"source", "zoom", "downgraded"}, "map")
    _keys(covered, {"sha256", "tiles", "squares"}, "coverage")
    if not isinstance(box, list) or len(box) != 4:
        raise ManifestError(f"the manifest's bbox_deg is no box. {_AGAIN}")
    if type(shown["downgraded"]) is not bool or not isinstance(covered["squares"], list):
        raise ManifestError(f"the manifest's map or coverage is of a wrong kind. {_AGAIN}")
    west, south, east, north = (_number(v, "bbox_deg") for v in box)
    if not isinstance(tree["artefacts"], list):
        raise ManifestError(f"the manifest's artefacts must be a list. {_AGAIN}")
    artefacts = tuple(artefact_from_tree(entry) for entry in tree["artefacts"])
    body = CacheBody(
        _name(tree["mission_id"], "mission_id"),
        _name(tree["flight_id"], "flight_id"),
        _number(origin["latitude_deg"], "origin"),
        _number(origin["longitude_deg"], "origin"),
        (west, south, east, north),
        _text(tree["composition_sha256"], "composition_sha256"),
        _name(shown["source"], "source"),
        _count(shown["zoom"], "zoom"),
        shown["downgraded"],
        tuple(_square(entry) for entry in covered["squares"]),
        artefacts,
        _text(tree["companion_id"], "companion_id"),
        _count(tree["counter"], "counter"),
    )
    if COMPANION_ID.fullmatch(body.companion_id) is None or body.counter < 1:
        raise ManifestError(f"the manifest names no companion, or carries no counter. {_AGAIN}")
    _check_lists(body, covered)
    return body


def _check_lists(body: CacheBody, covered: dict[str, Any]) -> None:
    places = [(s.column, s.row) for s in body.squares]
    paths = [a.path for a in body.artefacts]
    if places != sorted(set(places)) or paths != sorted(set(paths)):
        raise ManifestError(f"the manifest names a square or a file twice or out of order. {_AGAIN}")
    if covered["tiles"] != body.tiles or covered["sha256"] != body.coverage_sha256:
        raise ManifestError(f"the manifest's coverage does not add up. {_AGAIN}")


def _square(entry: Any) -> TileBlock:
    if not isinstance(entry, list) or len(entry) != 4:
        raise ManifestError(f"a square of the manifest's coverage is malformed. {_AGAIN}")
    digest = _text(entry[3], "coverage")
    if _SHA256.fullmatch(digest) is None:
        raise ManifestError(f"a square of the manifest's coverage has no SHA-256. {_AGAIN}")
    return TileBlock(_count(entry[0], "coverage"), _count(entry[1], "coverage"), _count(entry[2], "coverage"), digest)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _keys(tree: Any, keys: set[str], what: str) -> None:
    if not _is_object(tree) or set(tree) != keys:
        raise ManifestError(f"{what} must hold {', '.join(sorted(keys))}, nothing else. {_AGAIN}")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > 256:
        raise ManifestError(f"the manifest's {what} is no text. {_AGAIN}")
    return value


def _name(value: Any, what: str) -> str:
    if NAME.fullmatch(_text(value, what)) is None:
        raise ManifestError(f"the manifest's {what} is no plain name. {_AGAIN}")
    return str(value)


def _number(value: Any, what: str) -> float:
    if type(value) is not float or not math.isfinite(value):
        raise ManifestError(f"the manifest's {what} is no number. {_AGAIN}")
    return value


def _count(value: Any, what: str) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise ManifestError(f"the manifest's {what} is no count. {_AGAIN}")
    return value
