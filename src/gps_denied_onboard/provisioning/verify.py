"""Whether a provisioned cache is what somebody trusted signed: every fault at once, and no fault or no flight.

`faults` is pure. `verify_cache` reads the files for it. In the air the signed digests of the tiles are held against the
store's rows, whose contents each tile is checked against when it is first read; for an operator (`every_tile`) all
tiles are read and hashed again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.cache_manifest import (
    BYTES_MAX,
    CacheBody,
    SealedManifest,
    body_bytes,
    parse_cache_manifest,
    signed_bytes,
)
from gps_denied_onboard.provisioning.manifest import MANIFEST_FILE, Artefact, ManifestError
from gps_denied_onboard.provisioning.trusted_keys import TrustedKeys
from gps_denied_onboard.tiles.coverage import TileBlock, read_coverage
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import open_file, read_file
from gps_denied_onboard.untrusted.folders import inside
from gps_denied_onboard.untrusted.json import read_json

if TYPE_CHECKING:
    from gps_denied_onboard.tiles.route_coverage import RouteCoverage
    from gps_denied_onboard.tiles.store import TileStore

SHOWN_MAX = 20
ED25519_HEX = 128
NOT_READ = "-"
"""Instead of the SHA-256 of a file that has another size than was signed."""


class CacheNotTrustedError(UserError):
    """A cache that must not be flown with; `faults` are all that was found."""

    def __init__(self, cache: Path, faults: Sequence[str]) -> None:
        shown = [f"\n  {number}. {fault}" for number, fault in enumerate(faults[:SHOWN_MAX], 1)]
        more = f"\n  ... and {len(faults) - SHOWN_MAX} more" if len(faults) > SHOWN_MAX else ""
        super().__init__(
            f"the cache {cache} is not to be trusted, nothing of it is used:{''.join(shown)}{more}\n"
            "Run `operator-tool build-cache` for this mission again."
        )
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of the cache as it lies there; `sha256` in hex, '' for what is missing or is no regular file."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What the aircraft is: the manifest must be for it. None: not asked."""

    composition_sha256: str | None = None
    companion_id: str | None = None
    counter_min: int = 0
    """The highest counter that was ever flown with or verified here."""
    mission_id: str = ""
    """The mission that the configuration names; empty: any."""


def faults(
    sealed: SealedManifest,
    trusted: TrustedKeys,
    found: Mapping[str, FoundFile],
    coverage: Sequence[TileBlock] | None,
    expected: Expected,
) -> Iterator[str]:
    """Every fault of a manifest against the files found, by path, and the tiles that the store holds (None: not
    asked, the signed digests stand). Nothing is yielded for a cache that may be flown with."""
    body = sealed.body
    if hashlib.sha256(body_bytes(body)).hexdigest() != sealed.sha256:
        yield "the manifest's own SHA-256 is not that of its body: it was changed after it was made"
    yield from _signature_faults(sealed, trusted)
    west, south, east, north = body.bbox_deg
    if not (-180.0 <= west < east <= 180.0 and -90.0 < south < north < 90.0):
        yield f"the box {west}, {south}, {east}, {north} is no box of west, south, east, north in degrees"
    elif not (west <= body.origin_longitude_deg <= east and south <= body.origin_latitude_deg <= north):
        yield f"the origin {body.origin_latitude_deg}, {body.origin_longitude_deg} lies outside of the mission's box"
    if expected.composition_sha256 is not None and expected.composition_sha256 != body.composition_sha256:
        yield (
            f"it was provisioned for software of composition '{body.composition_sha256 or 'source tree'}', this is "
            f"'{expected.composition_sha256 or 'source tree'}'"
        )
    if expected.companion_id is not None and expected.companion_id != body.companion_id:
        yield f"it was made for the companion {body.companion_id}, this is {expected.companion_id}"
    if body.counter < expected.counter_min:
        yield f"its counter is {body.counter}, and a later one ({expected.counter_min}) was verified here: it is old"
    if expected.mission_id and expected.mission_id != body.mission_id:
        yield f"it is for the mission {body.mission_id}, the configuration names {expected.mission_id}"
    for artefact in body.artefacts:
        file = found.get(artefact.path, FoundFile(0, ""))
        if not file.sha256:
            yield f"the file {artefact.path} is missing, or is no plain file"
        elif file.size_bytes != artefact.size_bytes:
            yield f"the file {artefact.path} has {file.size_bytes} bytes, {artefact.size_bytes} were signed"
        elif file.sha256 != artefact.sha256:
            yield f"the file {artefact.path} is not the one that was signed (SHA-256)"
    if not body.squares:
        yield "it covers no tile at all"
    if coverage is not None:
        yield from _coverage_faults(body, coverage)


def _signature_faults(sealed: SealedManifest, trusted: TrustedKeys) -> Iterator[str]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signature = sealed.signature
    if signature is None:
        yield "nobody has signed it"
    elif signature.key in trusted.revoked:
        yield f"it is signed by the key {signature.key}, which was revoked"
    elif signature.key not in trusted.keys:
        known = ", ".join(trusted.good) or "none"
        yield f"it is signed by the key {signature.key}, which is not trusted here; trusted are: {known}"
    else:
        try:
            if len(signature.ed25519) != ED25519_HEX or signature.ed25519 != signature.ed25519.lower():
                raise ValueError("not 128 lower-case hexadecimal digits")
            raw = bytes.fromhex(signature.ed25519)
            Ed25519PublicKey.from_public_bytes(trusted.keys[signature.key]).verify(raw, signed_bytes(sealed.body))
        except (InvalidSignature, ValueError):
            yield f"the signature is not one of key {signature.key} over this manifest"


def _coverage_faults(body: CacheBody, coverage: Sequence[TileBlock]) -> Iterator[str]:
    there = {(s.column, s.row): s for s in coverage}
    for square in body.squares:
        held = there.get((square.column, square.row))
        if held != square:
            count = held.tiles if held is not None else 0
            yield (
                f"the tiles of square {square.column}/{square.row} (zoom {body.zoom}) are not those that were signed: "
                f"{count} of {square.tiles} are there, or others"
            )


def verify_cache(
    cache: Path,
    trusted: TrustedKeys,
    store: TileStore | None = None,
    expected: Expected = Expected(),
    every_tile: bool = False,
) -> CacheBody:
    """The body of a cache's manifest. CacheNotTrustedError with every fault.

    store: its rows are held against the signed coverage; with `every_tile` the tiles' files too.
    """
    try:
        data = _read(cache / MANIFEST_FILE)
        sealed = parse_cache_manifest(data)
    except ManifestError as error:
        raise CacheNotTrustedError(cache, [str(error)]) from None
    body = sealed.body
    found = {artefact.path: find_file(cache, artefact) for artefact in body.artefacts}
    coverage: tuple[TileBlock, ...] | None = None
    damaged: list[str] = []
    if store is not None:
        places = [(s.column, s.row) for s in body.squares]
        coverage = read_coverage(store, body.source, body.zoom, places)
        damaged = list(damaged_tiles(store, body)) if every_tile else []
    all_faults = [*faults(sealed, trusted, found, coverage, expected), *damaged]
    if all_faults:
        raise CacheNotTrustedError(cache, all_faults)
    return body


def signed_route_coverage(cache: Path, body: CacheBody, store: TileStore) -> RouteCoverage | None:
    """How much of the signed route the store has map for; None where the cache was built without a route."""
    from gps_denied_onboard.provisioning.mission_file import BYTES_MAX, read_paths
    from gps_denied_onboard.tiles.route_coverage import route_coverage

    found = body.artefacts_of("route")
    if not found:
        return None
    paths = read_paths(read_json(read_artefact(cache, found[0]), "the cache's route", BYTES_MAX, depth_max=3))
    return route_coverage(store, body.source, body.zoom, paths)


def tiles_in_box(store: TileStore, body: CacheBody) -> tuple[int, int]:
    """Map tiles of the mission's box that the store holds, and how many the box has; squares reach beyond it."""
    from gps_denied_onboard.tiles.grid import tile_range

    x0, y0, x1, y1 = tile_range(*body.bbox_deg, body.zoom)
    held = store.query_tiles(body.source, body.zoom, x0, y0, x1, y1)
    return sum(record.key.flight_id is None for record in held), (x1 - x0) * (y1 - y0)


def damaged_tiles(store: TileStore, body: CacheBody) -> Iterator[str]:
    """A sentence for each tile of the covered squares whose file is missing or is not what its row says."""
    from gps_denied_onboard.tiles.coverage import square_records
    from gps_denied_onboard.tiles.records import TileDamagedError

    for square in body.squares:
        for record in square_records(store, body.source, body.zoom, square.column, square.row):
            try:
                store.read(record)
            except TileDamagedError as error:
                yield str(error)


def read_artefact(cache: Path, artefact: Artefact) -> bytes:
    """The bytes of an artefact, which are those that were signed: read once, compared, and used.

    CacheNotTrustedError where the file was exchanged since it was verified.
    """
    try:
        data = read_file(inside(cache, *artefact.path.split("/")), artefact.size_bytes, follow=False)
    except (OSError, UntrustedError):
        data = b""
    if len(data) != artefact.size_bytes or hashlib.sha256(data).hexdigest() != artefact.sha256:
        raise CacheNotTrustedError(cache, [f"the file {artefact.path} is not the one that was verified a moment ago"])
    return data


def find_file(cache: Path, artefact: Artefact) -> FoundFile:
    """A file below the cache; what lies behind a link does not count, and what has another size is not read."""
    try:
        with open_file(inside(cache, *artefact.path.split("/")), 2**63 - 1, follow=False) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size != artefact.size_bytes:
                return FoundFile(size, NOT_READ)
            return FoundFile(size, hashlib.file_digest(stream, "sha256").hexdigest())
    except (OSError, UntrustedError):
        return FoundFile(0, "")


def _read(path: Path) -> bytes:
    try:
        return read_file(path, BYTES_MAX, "the manifest", follow=False)
    except UntrustedError as error:
        raise ManifestError(str(error)) from None
    except OSError as error:
        raise ManifestError(f"there is no manifest that can be read at {path} ({error.strerror})") from None
