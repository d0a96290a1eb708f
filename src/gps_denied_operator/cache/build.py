"""build-cache: resolve, lock, download, look at the companion, send tiles, build there, sign here, verify there.

Each phase puts its own report into one; what fails says in which phase and what to do. Nothing that flew before is
touched until the new manifest, signed here, takes the place of the old one in one step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gps_denied_onboard import VERSION
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.cache_manifest import CacheBody, parse_cache_manifest, seal, sign
from gps_denied_onboard.provisioning.manifest import MANIFEST_FILE, ManifestError
from gps_denied_onboard.provisioning.mission_file import MissionFile
from gps_denied_onboard.provisioning.parcels import area_state, tile_bundle_bytes, tile_bundle_name
from gps_denied_onboard.provisioning.provision import UNSIGNED_FILE
from gps_denied_onboard.provisioning.trusted_keys import TrustedKeys
from gps_denied_onboard.tiles.coverage import TileBlock, square_records
from gps_denied_onboard.tiles.records import TileDamagedError
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.companion.check import FREE_BYTES_MIN, check_companion
from gps_denied_operator.companion.settings import CompanionSettings
from gps_denied_operator.companion.ssh import CompanionLink, CompanionNotReadyError

OVERVIEW_BYTES = 6_300_000
"""Of one square; and a tile is on the companion twice while it is taken in."""
Fetch = Callable[[MissionFile, TileStore], dict[str, Any]]
Tell = Callable[[str], None]


class LockHeldError(UserError):
    """Another build-cache works on this tile store."""

    exit_code = 50


class DownloadFailedError(UserError):
    """The tiles of the area could not be had."""

    exit_code = 20


class BuildFailedError(UserError):
    """The cache could not be built, or the companion built something else than it was asked for."""

    exit_code = 21


PHASE_CODES = {"lock": 50, "download": 20, "companion": 30, "send": 21, "build": 21, "sign": 21, "verify": 21}
REMEDIES = {
    "resolve": "mend the plan, or name another one, then run again",
    "lock": "wait until the other run ends",
    "download": "look at the provider's address, key and certificate, then run again: what came is kept",
    "companion": "mend what is named, see `operator-tool companion check`, then run again",
    "send": "run again: what came across is not sent again",
    "build": "read the companion's last lines, mend it there, then run again",
    "sign": "make or choose an active key with `operator-tool keys`, then run again",
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
            holder.write_text(f"process {os.getpid()}")
            yield
    except Timeout:
        said = holder.read_text() if holder.exists() else "another process"
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


@dataclass(slots=True)
class _Build:
    """The phases on the companion, over one connection."""

    order: Order
    companion: CompanionSettings
    report: BuildReport
    tell: Tell
    described: dict[str, Any] = field(default_factory=dict)
    squares: tuple[TileBlock, ...] = ()

    def steps(self, link: CompanionLink, store: TileStore) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
        yield "companion", lambda: self._check(link)
        yield "send", lambda: self._send(link, store)
        yield "build", lambda: self._provision(link)
        yield "sign", lambda: self._sign(link)
        yield "verify", lambda: self._verify(link)

    @property
    def mission_path(self) -> str:
        return f"{self.companion.staging}/mission.json"

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
        return {"squares": len(self.squares), "squares_sent": len(other), "bytes_sent": sent, "changed": bool(other)}

    def _receive(self) -> tuple[str, ...]:
        return ("receive-tiles", "--mission", self.mission_path, "--config", self.companion.config, "--json")

    def _check_room(self, store: TileStore, other: list[tuple[int, int]]) -> None:
        order = self.order
        tiles_bytes = sum(
            record.size_bytes for c, r in other for record in square_records(store, order.source, order.zoom, c, r)
        )
        needed = 2 * tiles_bytes + OVERVIEW_BYTES * len(other)
        free = min(int(self.described["store_free_bytes"]), int(self.described["cache_free_bytes"]))
        if needed + FREE_BYTES_MIN // 2 > free:
            raise CompanionNotReadyError(
                f"The companion's disk has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: free some there."
            )

    def _provision(self, link: CompanionLink) -> dict[str, Any]:
        link.make_folder(self.companion.cache)
        told = link.run(
            "provision", "--mission", self.mission_path, "--config", self.companion.config, "--out",
            self.companion.cache, "--json",
        )  # fmt: skip
        return {**told, "changed": told.get("outcome") != "idempotent_no_op"}

    def _sign(self, link: CompanionLink) -> dict[str, Any]:
        """Sign what was built, after a look at whether it is what was asked for."""
        built = self.report.phases["build"]
        name = MANIFEST_FILE if built.get("signed") else UNSIGNED_FILE
        try:
            sealed = parse_cache_manifest(link.read_small(f"{self.companion.cache}/{name}"))
        except ManifestError as error:
            raise BuildFailedError(f"The companion built no manifest that can be signed: {error}") from error
        self._compare(sealed.body)
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
        }
        built = {
            "mission": (body.mission_id, body.flight_id),
            "origin": (body.origin_latitude_deg, body.origin_longitude_deg),
            "box": body.bbox_deg,
            "map": (body.source, body.zoom),
            "tiles": body.squares,
            "composition": body.composition_sha256,
        }
        wrong = [what for what in asked if asked[what] != built[what]]
        if wrong:
            told = ", ".join(wrong)
            raise BuildFailedError(f"What the companion built is not what was asked for ({told}): it was not signed.")

    def _verify(self, link: CompanionLink) -> dict[str, Any]:
        told = link.run(
            "verify-cache", self.companion.cache, "--trusted-keys", self.companion.trusted_keys, "--config",
            self.companion.config, "--every-tile", "--json",
        )  # fmt: skip
        if told.get("outcome") != "success":
            found = "; ".join(map(str, told.get("faults", ())))
            raise BuildFailedError(f"The cache on the companion does not verify: {found}")
        return {**told, "changed": False}


def _squares(told: dict[str, Any]) -> dict[tuple[int, int], TileBlock]:
    try:
        found = [TileBlock(int(c), int(r), int(n), str(digest)) for c, r, n, digest in told["squares"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BuildFailedError(f"The companion's list of tiles cannot be read ({error}): same release?") from None
    return {(s.column, s.row): s for s in found}
