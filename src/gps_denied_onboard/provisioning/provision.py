"""Make a mission's cache from the populated store: coarse map levels, calibration, models, manifest; no network.

Every file's name says what it was made of, so that the cache that flies today stays whole until the new manifest takes
the place of its own, in one step; what no manifest names any more is removed after that. The same store, mission and
configuration give the same bytes, and then nothing is written at all.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from gps_denied_onboard.atomic_file import PART_SUFFIX, write_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.cache_manifest import BYTES_MAX, CacheBody, parse_cache_manifest, seal, sign
from gps_denied_onboard.provisioning.manifest import MANIFEST_FILE, Artefact, ManifestError, artefact_of, manifest_bytes
from gps_denied_onboard.provisioning.mission_file import MissionFile
from gps_denied_onboard.provisioning.overview_build import OVERVIEW_FOLDER, Pool, SquareJob, TileOnDisk, build_overviews
from gps_denied_onboard.tiles import files
from gps_denied_onboard.tiles.coverage import TileBlock, digest_square, square_records
from gps_denied_onboard.tiles.overview import HEADER_BYTES, PAYLOAD_BYTES, OverviewHeader, is_overview
from gps_denied_onboard.tiles.route_coverage import route_coverage
from gps_denied_onboard.tiles.terrain_file import parse_terrain
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import open_file, read_file

if TYPE_CHECKING:
    from gps_denied_onboard.geometry.camera import CameraModel
    from gps_denied_onboard.tiles.store import TileStore

UNSIGNED_FILE = "manifest.unsigned.json"
CALIBRATION_FOLDER, MODELS_FOLDER, ROUTE_FOLDER, TERRAIN_FOLDER = "calibration", "models", "route", "terrain"
LOCK_FILE = ".lock"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to provision, and for which software. `models`: name and bytes of the learned matcher's, if it flies.
    `companion_id`: the companion that is to fly it; `counter_past`: the highest counter that it verified before.
    `terrain`: the bytes of the area's file of heights (`tiles.terrain_file`), b"" where the ground is taken as flat."""

    mission: MissionFile
    source: str
    zoom: int
    camera: CameraModel
    composition_sha256: str
    companion_id: str
    counter_past: int
    models: tuple[tuple[str, bytes], ...] = ()
    terrain: bytes = b""


@dataclass(slots=True)
class ProvisionReport:
    """What was done. outcome: success or idempotent_no_op; `signed`: the manifest flies, else it waits to be signed.

    tiles: of all squares that the mission's box touches. route: km with map and share, {} where no route is known.
    """

    outcome: str
    manifest: str
    manifest_sha256: str
    signed: bool
    tiles: int
    squares: int
    overviews_made: int
    overviews_kept: int
    artefacts: int
    artefact_bytes: int
    removed: list[str] = field(default_factory=list)
    route: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def provision(
    store: TileStore,
    wanted: Wanted,
    cache: Path,
    pool: Pool | None,
    private_key: bytes | None,
    progress: Progress = lambda _what, _done, _all: None,
) -> ProvisionReport:
    """Bring the cache up to date. Without `private_key` the manifest is left as `manifest.unsigned.json` for the
    workstation to sign, and a cache that was valid stays so. UserError where the store lacks the area, a tile is
    damaged, the disk is full, or another run is under way."""
    with only_one(cache):
        _remove_parts(cache)
        squares, jobs, downgraded = read_area(store, wanted.mission, wanted.source, wanted.zoom, cache)
        todo = [job for job in jobs if not _is_made(job)]
        build_overviews(todo, pool, lambda done, count: progress("map overview", done, count))
        small = _small_files(wanted)
        for path, data in small.items():
            if not _holds(cache / path, data):
                write_whole(cache / path, data)
        artefacts = [artefact_of(path, data) for path, data in small.items()]
        artefacts += [_artefact_of_file(cache, job.out) for job in jobs]
        body = _counted(cache, _body(wanted, downgraded, squares, artefacts))
        target = cache / (MANIFEST_FILE if private_key is not None else UNSIGNED_FILE)
        data = seal(body, sign(body, private_key) if private_key is not None else None)
        unchanged = not todo and (_holds(target, data) or _is_sealed(cache / MANIFEST_FILE, body, private_key))
        signed = private_key is not None or _is_sealed(cache / MANIFEST_FILE, body, None)
        if not unchanged:
            write_whole(target, data)
        report = ProvisionReport(
            "idempotent_no_op" if unchanged else "success", str(cache / MANIFEST_FILE if signed else target),
            hashlib.sha256(seal(body)).hexdigest(), signed, body.tiles, len(squares), len(todo), len(jobs) - len(todo),
            len(artefacts), sum(a.size_bytes for a in artefacts),
        )  # fmt: skip
        report.removed = remove_unnamed(cache)
        if wanted.mission.paths_deg:
            report.route = route_coverage(store, wanted.source, wanted.zoom, wanted.mission.paths_deg).as_dict()
        return report


@contextlib.contextmanager
def only_one(cache: Path) -> Iterator[None]:
    """Hold the cache's lock; UserError when another run holds it."""
    from filelock import FileLock, Timeout

    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / LOCK_FILE, timeout=0.0):
            yield
    except Timeout:
        raise UserError(f"The cache {cache} is being provisioned by another run: wait until it ends.") from None
    except OSError as error:
        raise UserError(f"The cache {cache} cannot be made ({error.strerror}); give another --out.") from None


def read_area(
    store: TileStore, mission: MissionFile, source: str, zoom: int, cache: Path
) -> tuple[list[TileBlock], list[SquareJob], bool]:
    """Squares that hold tiles, the overview of each, and whether any of the tiles is stale."""
    squares, jobs, downgraded = [], [], False
    for column, row in mission.squares(zoom):
        records = square_records(store, source, zoom, column, row)
        if not records:
            continue
        squares.append(digest_square(column, row, records))
        downgraded |= any(record.freshness == "downgraded" for record in records)
        header = OverviewHeader(zoom, column, row, squares[-1].sha256)
        tiles = []
        for record in records:
            image = store.image_path(record.key)
            mask = files.mask_path(image) if record.mask_sha256 is not None else None
            tiles.append(TileOnDisk(record.key.x, record.key.y, image, record.content_sha256, mask, record.mask_sha256))
        jobs.append(SquareJob(header, tuple(tiles), cache / OVERVIEW_FOLDER / header.file_name))
    if not squares:
        raise UserError(
            f"The tile store {store.root} holds no tile of source '{source}' at zoom {zoom} in the "
            f"mission's box {mission.bbox_deg}: fill it first (`operator-tool build-cache` does so)."
        )
    return squares, jobs, downgraded


def _body(wanted: Wanted, downgraded: bool, squares: list[TileBlock], artefacts: list[Artefact]) -> CacheBody:
    mission = wanted.mission
    return CacheBody(
        mission.mission_id,
        mission.flight_id,
        mission.takeoff_latitude_deg,
        mission.takeoff_longitude_deg,
        mission.bbox_deg,
        wanted.composition_sha256,
        wanted.source,
        wanted.zoom,
        downgraded,
        tuple(sorted(squares, key=lambda s: (s.column, s.row))),
        tuple(sorted(artefacts, key=lambda a: a.path)),
        wanted.companion_id,
        wanted.counter_past,
    )


def _counted(cache: Path, body: CacheBody) -> CacheBody:
    """The body with its counter: that of the same manifest, if it was not followed by another, else the next one."""
    past = body.counter
    for name in (MANIFEST_FILE, UNSIGNED_FILE):
        with contextlib.suppress(OSError, UntrustedError, ManifestError):
            held = parse_cache_manifest(read_file(cache / name, BYTES_MAX, follow=False)).body
            if held.counter >= max(body.counter, 1) and replace(held, counter=body.counter) == body:
                return held
            if held.companion_id == body.companion_id:
                past = max(past, held.counter)
    return replace(body, counter=past + 1)


def _small_files(wanted: Wanted) -> dict[str, bytes]:
    """The calibration, and the models with their own manifest: path -> bytes."""
    out: dict[str, bytes] = {}
    camera = calibration_bytes(wanted.camera)
    out[f"{CALIBRATION_FOLDER}/camera-{hashlib.sha256(camera).hexdigest()[:16]}.json"] = camera
    out |= route_file(wanted.mission)
    out |= terrain_artefact(wanted.terrain)
    if wanted.models:
        listed = manifest_bytes([artefact_of(name, data) for name, data in wanted.models])
        folder = f"{MODELS_FOLDER}/{hashlib.sha256(listed).hexdigest()[:16]}"
        out |= {f"{folder}/{name}": data for name, data in wanted.models}
        out[f"{folder}/{MANIFEST_FILE}"] = listed
    return out


def route_file(mission: MissionFile) -> dict[str, bytes]:
    """The planned route's file, path -> bytes: the same for the same mission; {} where none is known."""
    if not mission.paths_deg:
        return {}
    route = orjson.dumps(mission.paths_deg, option=orjson.OPT_APPEND_NEWLINE)
    return {f"{ROUTE_FOLDER}/route-{hashlib.sha256(route).hexdigest()[:16]}.json": route}


def terrain_artefact(data: bytes) -> dict[str, bytes]:
    """The heights' file in the cache, path -> bytes; {} without any. UserError where they are none that may fly."""
    if not data:
        return {}
    parse_terrain(data, "the mission's file of heights")
    return {f"{TERRAIN_FOLDER}/terrain-{hashlib.sha256(data).hexdigest()[:16]}.grid": data}


def calibration_bytes(camera: CameraModel) -> bytes:
    """A calibration's file: the same bytes for the same camera."""
    return orjson.dumps(asdict(camera), option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _is_made(job: SquareJob) -> bool:
    try:
        return is_overview(read_file(job.out, HEADER_BYTES + PAYLOAD_BYTES, follow=False), job.header)
    except (OSError, UntrustedError):
        return False


def _holds(path: Path, data: bytes) -> bool:
    try:
        return read_file(path, len(data), follow=False) == data
    except (OSError, UntrustedError):
        return False


def _is_sealed(manifest: Path, body: CacheBody, private_key: bytes | None) -> bool:
    """Whether a manifest is one of this very body with a signature; by this key, where one is given."""
    try:
        held = parse_cache_manifest(read_file(manifest, BYTES_MAX, follow=False))
    except (OSError, UntrustedError, ManifestError):
        return False
    if held.body != body or held.signature is None:
        return False
    return private_key is None or held.signature == sign(body, private_key)


def _artefact_of_file(cache: Path, path: Path) -> Artefact:
    with open_file(path, HEADER_BYTES + PAYLOAD_BYTES, follow=False) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return Artefact(path.relative_to(cache).as_posix(), stream.tell(), digest)


def _remove_parts(cache: Path) -> None:
    for part in cache.rglob(f".*{PART_SUFFIX}"):
        part.unlink(missing_ok=True)


def remove_unnamed(cache: Path) -> list[str]:
    """Remove what neither the signed manifest nor the one that waits to be signed names; the paths removed."""
    named: set[str] = set()
    bodies = {}
    for name in (MANIFEST_FILE, UNSIGNED_FILE):
        with contextlib.suppress(OSError, UntrustedError, ManifestError):
            bodies[name] = parse_cache_manifest(read_file(cache / name, BYTES_MAX, follow=False)).body
            named |= {artefact.path for artefact in bodies[name].artefacts}
    gone = []
    if bodies.get(UNSIGNED_FILE) is not None and bodies.get(MANIFEST_FILE) == bodies[UNSIGNED_FILE]:
        (cache / UNSIGNED_FILE).unlink()
        gone.append(UNSIGNED_FILE)
    for folder in (OVERVIEW_FOLDER, CALIBRATION_FOLDER, MODELS_FOLDER, ROUTE_FOLDER, TERRAIN_FOLDER):
        for file in sorted((cache / folder).rglob("*")):
            path = file.relative_to(cache).as_posix()
            if file.is_file() and path not in named:
                file.unlink()
                gone.append(path)
    for empty in (cache / MODELS_FOLDER).glob("*"):
        with contextlib.suppress(OSError):
            empty.rmdir()
    return gone
