"""build-cache: resolve, lock, download, look at the companion, send tiles, build there, sign here, verify there.

Each phase puts its own report into one; what fails says in which phase and what to do. Nothing that flew before is
touched until the new manifest, signed here, takes the place of the old one in one step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gps_denied_onboard import VERSION
from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.cache_manifest import CacheBody, parse_cache_manifest, seal, sign
from gps_denied_onboard.provisioning.manifest import MANIFEST_FILE, Artefact, ManifestError
from gps_denied_onboard.provisioning.mission_file import MissionFile
from gps_denied_onboard.provisioning.overview_build import build_overviews, processes
from gps_denied_onboard.provisioning.provision import (
    CALIBRATION_FOLDER,
    MODELS_FOLDER,
    ROUTE_FOLDER,
    TERRAIN_FOLDER,
    UNSIGNED_FILE,
    read_area,
    route_file,
    terrain_artefact,
)
from gps_denied_onboard.provisioning.tile_bundles import area_state, tile_bundle_bytes, tile_bundle_name
from gps_denied_onboard.provisioning.trusted_keys import TrustedKeys
from gps_denied_onboard.tiles.coverage import TileBlock, square_records
from gps_denied_onboard.tiles.grid import tile_range
from gps_denied_onboard.tiles.records import TileDamagedError
from gps_denied_onboard.tiles.route_coverage import ROUTE_GAP_CODE, route_coverage
from gps_denied_onboard.tiles.store import TileStore, said_by
from gps_denied_onboard.tiles.terrain_file import terrain_summary
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.json import field as outside_field
from gps_denied_onboard.untrusted.json import list_of, of_kind, read_json
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.cache.consent import Ask, Ledger, Offered
from gps_denied_operator.companion.check import FREE_BYTES_MIN, check_companion
from gps_denied_operator.companion.config import CompanionSettings
from gps_denied_operator.companion.ssh import CompanionLink, CompanionNotReadyError, known_hosts_path
from gps_denied_operator.terrain.library import mission_heights

OVERVIEW_BYTES = 6_300_000
"""Of one square; and a tile is on the companion twice while it is taken in."""
OVERVIEWS_ALONE_MAX = 8
CALIBRATION_BYTES_MAX = 1024 * 1024
LEDGER_FILE = "companions.json"
SOURCE_TREE = "source tree"
Fetch = Callable[[MissionFile, TileStore], dict[str, Any]]
Tell = Callable[[str], None]


class LockHeldError(UserError):
    """Another build-cache works on this tile store."""

    exit_code = 50


class DownloadFailedError(UserError):
    """The tiles of the area could not be had."""

    exit_code = 20


class RouteGapError(UserError):
    """A leg of the route has no map."""

    exit_code = ROUTE_GAP_CODE


class BuildFailedError(UserError):
    """The cache could not be built, or the companion built something else than it was asked for."""

    exit_code = 21


PHASE_CODES = {
    "lock": 50, "download": 20, "route": ROUTE_GAP_CODE, "terrain": 21, "companion": 30, "send": 21, "build": 21,
    "sign": 21, "verify": 21,
}  # fmt: skip
REMEDIES = {
    "resolve": "mend the plan, or name another one, then run again",
    "lock": "wait until the other run ends",
    "download": "look at the provider's address, key and certificate, then run again: what came is kept",
    "route": "fetch or import map for these legs, change the plan, or give --allow-gaps to fly them without",
    "terrain": "look at `operator-tool terrain show`, import heights again, or give --no-terrain",
    "companion": "mend what is named, see `operator-tool companion check`, then run again",
    "send": "run again: what came across is not sent again",
    "build": "read the companion's last lines, mend it there, then run again",
    "sign": "do what the reason says (agree with --accept, or make an active key with `operator-tool keys`), run again",
    "verify": "do not fly with this cache; run again, and flash the companion if it stays",
}


@dataclass(slots=True)
class BuildReport:
    """What a build-cache did. outcome: success, failure or idempotent_no_op; `phases` by name, in order."""

    mission_id: str = ""
    flight_id: str = ""
    outcome: str = "success"
    failure_phase: str = ""
    exception: str = ""
    reason: str = ""
    remediation: str = ""
    exit_code: int = 0
    manifest_sha256: str = ""
    phases: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0

    def failed(self, phase: str, error: UserError, exit_code: int) -> None:
        """Note in which phase it ended, why, and what to do."""
        self.outcome, self.failure_phase, self.exception = "failure", phase, type(error).__name__
        self.reason, self.remediation, self.exit_code = str(error), REMEDIES[phase], exit_code

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Order:
    """What to build, from which tiles, signed by which key."""

    mission: MissionFile
    source: str
    zoom: int
    private_key: bytes
    trusted: TrustedKeys
    active: str
    own: frozenset[str] = frozenset()
    """SHA-256 of calibrations and models that this workstation holds itself: they are signed without a question."""
    accept: str = ""
    ask: Ask | None = None
    allow_gaps: bool = False
    """Go on although a leg of the route has no map."""
    terrain: bool = True
    """Take the heights of the store, where it has any; else the flight takes the ground as flat."""


def build_cache(
    order: Order,
    root: Path,
    companion: CompanionSettings,
    fetch: Fetch | None,
    tell: Tell,
    secrets: tuple[str, ...] = (),
) -> BuildReport:
    """Run all phases. fetch: fills the store with the mission's tiles and tells how; None: they are there.

    A UserError ends in outcome `failure` with its phase; any other exception propagates, with the lock released.
    """
    report = BuildReport(order.mission.mission_id, order.mission.flight_id)
    build = _Build(order, companion, report, tell)
    started_s = time.monotonic()
    phase = "lock"
    try:
        with _locked(root):
            phase = "download"
            with TileStore.open(root) as store:
                report.phases[phase] = _download(fetch, order.mission, store)
                phase = "route"
                report.phases[phase] = _route(order, store)
                tell(f"route: {report.phases[phase]['told']}")
                phase = "terrain"
                report.phases[phase] = build.take_heights(store)
                tell(f"terrain: {report.phases[phase]['told']}")
                phase = "companion"
                with CompanionLink(companion, tell, secrets) as link:
                    for phase, step in build.steps(link, store):
                        tell(f"{phase} ...")
                        report.phases[phase] = step()
        changed = any(part.get("changed", True) for part in report.phases.values())
        report.outcome = "success" if changed else "idempotent_no_op"
    except UserError as error:
        lost = isinstance(error, CompanionNotReadyError)
        report.failed(phase, error, error.exit_code if lost else PHASE_CODES[phase])
    report.seconds = round(time.monotonic() - started_s, 3)
    return report


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    holder = root / ".build-cache.holder"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".build-cache.lock", timeout=0.0):
            replace_whole(holder, f"process {os.getpid()}".encode())
            yield
    except Timeout:
        said = said_by(holder)
        raise LockHeldError(f"The tile store {root} is used by another build-cache ({said}): wait for it.") from None


def _download(fetch: Fetch | None, mission: MissionFile, store: TileStore) -> dict[str, Any]:
    if fetch is None:
        return {"outcome": "skipped", "reason": "no provider given: the store's tiles are taken", "changed": False}
    try:
        told = fetch(mission, store)
    except UserError as error:
        raise DownloadFailedError(str(error)) from error
    if told["outcome"] == "failure":
        raise DownloadFailedError(str(told["reason"]))
    return {**told, "changed": told["outcome"] != "idempotent_no_op"}


def _route(order: Order, store: TileStore) -> dict[str, Any]:
    """How much of the box and of the route has map. RouteGapError where a leg has none and gaps are not allowed."""
    mission = order.mission
    x0, y0, x1, y1 = tile_range(*mission.bbox_deg, order.zoom)
    held = store.query_tiles(order.source, order.zoom, x0, y0, x1, y1)
    box = {
        "tiles_in_box": sum(record.key.flight_id is None for record in held),
        "tiles_of_box": (x1 - x0) * (y1 - y0),
        "changed": False,
    }
    if not mission.paths_deg:
        return {**box, "told": "the mission names no route"}
    found = route_coverage(store, order.source, order.zoom, mission.paths_deg)
    if found.gaps and not order.allow_gaps:
        raise RouteGapError(f"{found.sentence()}; map '{order.source}' at zoom {order.zoom} in {store.root}.")
    return {**box, **found.as_dict(), "told": found.sentence()}


@dataclass(slots=True)
class _Build:
    """The phases on the companion, over one connection."""

    order: Order
    companion: CompanionSettings
    report: BuildReport
    tell: Tell
    described: dict[str, Any] = field(default_factory=dict)
    squares: tuple[TileBlock, ...] = ()
    downgraded: bool = False
    overviews: dict[str, str] = field(default_factory=dict)
    """Of the map overviews as this workstation makes them: path in the cache -> SHA-256."""
    heights: bytes = b""
    """The file of heights, b"" for flat ground."""

    def steps(self, link: CompanionLink, store: TileStore) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
        yield "companion", lambda: self._check(link)
        yield "send", lambda: self._send(link, store)
        yield "build", lambda: self._provision(link)
        yield "sign", lambda: self._sign(link)
        yield "verify", lambda: self._verify(link)

    @property
    def mission_path(self) -> str:
        return f"{self.companion.staging}/mission.json"

    @property
    def terrain_name(self) -> str:
        """The file of heights among what is sent: named after its contents, so that a part of another is not kept."""
        return f"terrain-{hashlib.sha256(self.heights).hexdigest()[:16]}.grid"

    def take_heights(self, store: TileStore) -> dict[str, Any]:
        """Cut the store's heights to the mission's box."""
        found = mission_heights(store.root, self.order.mission.bbox_deg) if self.order.terrain else None
        if found is None:
            why = "the store has no heights of the box" if self.order.terrain else "--no-terrain"
            return {"told": f"flat ground: {why}", "file": None, "changed": False}
        self.heights = found.data
        digest = hashlib.sha256(found.data).hexdigest()
        return {
            "told": found.told, "file": terrain_summary(found.grid), "bytes": len(found.data), "sha256": digest,
            "names": list(found.names), "holes_share_of_box": round(found.holes_share, 6), "changed": False,
        }  # fmt: skip

    def _check(self, link: CompanionLink) -> dict[str, Any]:
        state = check_companion(link, self.companion, VERSION, self.order.trusted, self.order.active, time.time)
        state.require_ready()
        self.described = state.described
        flown = (state.described.get("source"), state.described.get("zoom"))
        if flown != (self.order.source, self.order.zoom) or not state.described.get("use_store"):
            raise CompanionNotReadyError(
                f"The companion's configuration flies map {flown[0]!r} at zoom {flown[1]} (use_store "
                f"{state.described.get('use_store')}), asked for is '{self.order.source}' at zoom {self.order.zoom}: "
                "give --source and --zoom of the companion, or mend [map] there."
            )
        items = {item.name: item.told for item in state.items}
        return {"host_key": link.fingerprint, "pinned_now": link.pinned_now, "items": items, "changed": False}

    def _send(self, link: CompanionLink, store: TileStore) -> dict[str, Any]:
        order, staging = self.order, self.companion.staging
        self.squares = area_state(store, order.mission, order.source, order.zoom)
        if not self.squares:
            raise BuildFailedError(
                f"The store {store.root} holds no tile of '{order.source}' at zoom {order.zoom} in the mission's box "
                f"{order.mission.bbox_deg}: give --provider, or import a map of the area first."
            )
        link.make_folder(staging)
        link.put_whole(self.mission_path, order.mission.to_bytes())
        there = _squares(link.run(*self._receive()))
        held = {(s.column, s.row): s for s in self.squares}
        other = sorted(place for place in held.keys() | there.keys() if held.get(place) != there.get(place))
        self._check_room(store, other)
        sent = 0
        names: set[str] = set()
        for number, (column, row) in enumerate(other, 1):
            try:
                data = tile_bundle_bytes(store, order.source, order.zoom, column, row)
            except TileDamagedError as error:
                raise BuildFailedError(f"{error}: remove it and fetch the area again.") from error
            names.add(tile_bundle_name(data))
            sent += link.put_resumable(staging, tile_bundle_name(data), data)
            self.tell(f"tiles: square {number} of {len(other)} sent")
        if other:
            link.remove_others(staging, {*names, self.mission_path.rsplit("/", 1)[1]})
            if _squares(link.run(*self._receive(), "--parcels", staging)) != held:
                raise BuildFailedError("The companion's tiles are not those that were sent: run again.")
        self._make_own_overviews(store)
        return {"squares": len(self.squares), "squares_sent": len(other), "bytes_sent": sent, "changed": bool(other)}

    def _make_own_overviews(self, store: TileStore) -> None:
        """What the companion should make of the tiles, made here as well: nothing is signed that only it has seen."""
        order = self.order
        with tempfile.TemporaryDirectory(prefix="overviews-") as folder:
            _, jobs, self.downgraded = read_area(store, order.mission, order.source, order.zoom, Path(folder))
            pool = processes(0) if len(jobs) > OVERVIEWS_ALONE_MAX else None
            self.tell(f"map overviews: {len(jobs)} made here to compare")
            build_overviews(jobs, pool, lambda _done, _count: None)
            for job in jobs:
                path = job.out.relative_to(folder).as_posix()
                self.overviews[path] = hashlib.sha256(job.out.read_bytes()).hexdigest()

    def _receive(self) -> tuple[str, ...]:
        return ("receive-tiles", "--mission", self.mission_path, "--config", self.companion.config, "--json")

    def _check_room(self, store: TileStore, other: list[tuple[int, int]]) -> None:
        order = self.order
        tiles_bytes = sum(
            record.size_bytes for c, r in other for record in square_records(store, order.source, order.zoom, c, r)
        )
        needed = 2 * tiles_bytes + OVERVIEW_BYTES * len(other) + 2 * len(self.heights)
        free = min(self.described["store_free_bytes"], self.described["cache_free_bytes"])
        if needed + FREE_BYTES_MIN // 2 > free:
            raise CompanionNotReadyError(
                f"The companion's disk has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: free some there."
            )

    def _provision(self, link: CompanionLink) -> dict[str, Any]:
        link.make_folder(self.companion.cache)
        heights: tuple[str, ...] = ()
        if self.heights:
            link.put_resumable(self.companion.staging, self.terrain_name, self.heights)
            link.remove_others(self.companion.staging, {self.terrain_name, self.mission_path.rsplit("/", 1)[1]})
            heights = ("--terrain", f"{self.companion.staging}/{self.terrain_name}")
        told = link.run(
            "provision", "--mission", self.mission_path, "--config", self.companion.config, "--out",
            self.companion.cache, *heights, "--json",
        )  # fmt: skip
        kinds = {"outcome": str, "manifest_sha256": str, "signed": bool, "tiles": int, "squares": int,
                 "overviews_made": int, "overviews_kept": int, "artefacts": int, "artefact_bytes": int}  # fmt: skip
        kept = _told(told, kinds, "provision")
        return {**kept, "changed": kept["outcome"] != "idempotent_no_op"}

    def _sign(self, link: CompanionLink) -> dict[str, Any]:
        """Sign what was built, after a look at whether it is what was asked for."""
        built = self.report.phases["build"]
        name = MANIFEST_FILE if built.get("signed") else UNSIGNED_FILE
        try:
            sealed = parse_cache_manifest(link.read_small(f"{self.companion.cache}/{name}"))
        except ManifestError as error:
            raise BuildFailedError(f"The companion built no manifest that can be signed: {error}") from error
        self._compare(sealed.body)
        offered = self._offered(link, sealed.body)
        ledger = Ledger(known_hosts_path(self.companion).with_name(LEDGER_FILE), link.fingerprint)
        ledger.check(sealed.body, offered, set(self.order.own), self.order.accept, self.order.ask)
        ledger.note(sealed.body, offered)  # before it is signed: cut off in between, less is signed, not more
        signature = sign(sealed.body, self.order.private_key)
        self.report.manifest_sha256 = hashlib.sha256(seal(sealed.body, signature)).hexdigest()
        if sealed.signature == signature:
            return {"key": signature.key, "changed": False}
        link.put_whole(f"{self.companion.cache}/{MANIFEST_FILE}", seal(sealed.body, signature))
        return {"key": signature.key, "changed": True}

    def _compare(self, body: CacheBody) -> None:
        order, mission = self.order, self.order.mission
        asked = {
            "mission": (mission.mission_id, mission.flight_id),
            "origin": (mission.takeoff_latitude_deg, mission.takeoff_longitude_deg),
            "box": mission.bbox_deg,
            "map": (order.source, order.zoom),
            "tiles": tuple(sorted(self.squares, key=lambda s: (s.column, s.row))),
            "composition": self.described["composition_sha256"],
            "companion": self.described["companion_id"],
            "freshness": self.downgraded,
            "route": {path: hashlib.sha256(data).hexdigest() for path, data in route_file(mission).items()},
            "terrain": {p: hashlib.sha256(data).hexdigest() for p, data in terrain_artefact(self.heights).items()},
        }
        built = {
            "mission": (body.mission_id, body.flight_id),
            "origin": (body.origin_latitude_deg, body.origin_longitude_deg),
            "box": body.bbox_deg,
            "map": (body.source, body.zoom),
            "tiles": body.squares,
            "composition": body.composition_sha256,
            "companion": body.companion_id,
            "freshness": body.downgraded,
            "route": {artefact.path: artefact.sha256 for artefact in body.artefacts_of(ROUTE_FOLDER)},
            "terrain": {artefact.path: artefact.sha256 for artefact in body.artefacts_of(TERRAIN_FOLDER)},
        }
        wrong = [what for what in asked if asked[what] != built[what]]
        if wrong:
            told = ", ".join(wrong)
            raise BuildFailedError(f"What the companion built is not what was asked for ({told}): it was not signed.")

    def _offered(self, link: CompanionLink, body: CacheBody) -> list[Offered]:
        """What of a body this workstation cannot compare with what it made itself, for a person to judge."""
        out = [
            Offered("companion", body.companion_id, f"{body.companion_id}, over SSH as {link.fingerprint}"),
            Offered("software", body.composition_sha256 or SOURCE_TREE, body.composition_sha256 or "a source tree"),
        ]
        expected = self.companion.composition_sha256
        if expected and expected == body.composition_sha256:
            del out[1]
        names = set(self.overviews)
        for artefact in body.artefacts:
            folder, _, name = artefact.path.partition("/")
            if folder == CALIBRATION_FOLDER:
                out.append(Offered("calibration", artefact.sha256, self._calibration(link, artefact)))
            elif folder == MODELS_FOLDER:
                told = f"{shown(name)}, {artefact.size_bytes} bytes, SHA-256 {artefact.sha256}"
                out.append(Offered("model", artefact.sha256, told))
            elif folder in {ROUTE_FOLDER, TERRAIN_FOLDER}:
                continue  # compared
            elif artefact.path not in names:
                raise BuildFailedError(f"The companion put {shown(artefact.path)} into the cache, unasked for.")
            elif self.overviews[artefact.path] != artefact.sha256:
                told = f"{shown(name)} is not what this workstation makes of the same tiles (SHA-256 {artefact.sha256})"
                out.append(Offered("map overview", artefact.sha256, told))
        missing = names - {artefact.path for artefact in body.artefacts}
        if missing:
            raise BuildFailedError(f"The companion's cache lacks {sorted(missing)[0]}: it was not signed.")
        return out

    def _calibration(self, link: CompanionLink, artefact: Artefact) -> str:
        data = link.read_small(f"{self.companion.cache}/{artefact.path}")
        if hashlib.sha256(data).hexdigest() != artefact.sha256:
            raise BuildFailedError("The companion's calibration is not the file that its manifest names.")
        try:
            told = read_json(data, "the companion's calibration", CALIBRATION_BYTES_MAX)
            lines = [f"{shown(key)} {shown(value)}" for key, value in of_kind(told, dict, "the calibration").items()]
        except UntrustedError as error:
            raise BuildFailedError(f"{error} It was not signed.") from None
        return f"{'; '.join(lines)} (SHA-256 {artefact.sha256})"

    def _verify(self, link: CompanionLink) -> dict[str, Any]:
        told = link.run(
            "verify-cache", self.companion.cache, "--trusted-keys", self.companion.trusted_keys, "--config",
            self.companion.config, "--every-tile", *(["--allow-gaps"] if self.order.allow_gaps else []), "--json",
        )  # fmt: skip
        if told.get("outcome") != "success":
            faults = told.get("faults")
            found = "; ".join(shown(fault) for fault in faults[:20]) if isinstance(faults, list) else "no word why"
            raise BuildFailedError(f"The cache on the companion does not verify: {found}")
        kinds = {"outcome": str, "mission_id": str, "flight_id": str, "tiles": int, "artefacts": int}
        return {**_told(told, kinds, "verify-cache"), "changed": False}


def _squares(told: dict[str, Any]) -> dict[tuple[int, int], TileBlock]:
    what = "the companion's list of tiles"
    try:
        found = []
        for entry in list_of(outside_field(told, "squares", list, what), list, what):
            column, row, tiles = list_of(entry[:3], int, what, 3)
            found.append(TileBlock(column, row, tiles, *list_of(entry[3:], str, what, 1)))
    except UntrustedError as error:
        raise BuildFailedError(f"{error} Has the companion the same release?") from None
    return {(s.column, s.row): s for s in found}


def _told(told: dict[str, Any], kinds: dict[str, Any], command: str) -> dict[str, Any]:
    """Of a report of the companion what is used, each of its kind and fit to be shown."""
    try:
        found = {name: outside_field(told, name, kind, f"the report of {command}") for name, kind in kinds.items()}
    except UntrustedError as error:
        raise BuildFailedError(f"{error} Has the companion the same release?") from None
    return {name: shown(value) if isinstance(value, str) else value for name, value in found.items()}
