"""`gps-denied-onboard provision|verify-cache|receive-tiles|describe`: what `operator-tool build-cache` runs over SSH.

With `--json` each prints progress as lines of text and, last, its report as one line of JSON.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gps_denied_onboard.errors import UserError

if TYPE_CHECKING:
    from gps_denied_onboard.config import Config
    from gps_denied_onboard.provisioning.cache_manifest import CacheBody
    from gps_denied_onboard.provisioning.companion_memory import CompanionMemory
    from gps_denied_onboard.provisioning.mission_file import MissionFile
    from gps_denied_onboard.provisioning.overview_build import Pool
    from gps_denied_onboard.tiles.route_coverage import RouteCoverage
    from gps_denied_onboard.tiles.store import TileStore

MissionOption = Annotated[Path, typer.Option(help="Mission file, as `operator-tool build-cache` writes it.")]
ConfigOption = Annotated[Path, typer.Option(help="The flight's configuration (TOML): camera, map, strategies.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as one JSON object on the last line.")]


def provision(
    mission: MissionOption,
    config: ConfigOption,
    out: Annotated[Path, typer.Option(help="The cache's folder; what is there and still good is kept.")],
    key: Annotated[
        Path | None, typer.Option(help="Private key to sign with; without one the workstation signs the manifest.")
    ] = None,
    terrain: Annotated[
        Path | None, typer.Option(help="File of heights, as `operator-tool build-cache` makes it; else flat ground.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes; 0: one a CPU.")] = 0,
    json: JsonOption = False,
) -> None:
    """Make a mission's cache from the tile store: coarse map levels, calibration, models, manifest; no network."""
    from gps_denied_onboard.provisioning.mission_file import read_mission
    from gps_denied_onboard.provisioning.overview_build import processes

    private_key = _private_key(key) if key is not None else None
    heights = _terrain(terrain) if terrain is not None else b""
    provision_cache(read_mission(mission), config, out, private_key, processes(workers), json, heights)


def provision_cache(
    asked: MissionFile,
    config: Path,
    out: Path,
    private_key: bytes | None,
    pool: Pool | None,
    json: bool,
    terrain: bytes = b"",
    composition_sha256: str = "",
    companion: CompanionMemory | None = None,
) -> None:
    """Provision for the software of this composition ("": that which runs here) and for `companion` (None: this one),
    and print the report. terrain: the file of heights, b"" for none."""
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.provisioning.companion_memory import memory_of
    from gps_denied_onboard.provisioning.provision import Wanted
    from gps_denied_onboard.provisioning.provision import provision as build
    from gps_denied_onboard.runtime_root.models_to_provision import models_of
    from gps_denied_onboard.runtime_root.strategies import load_composition

    loaded, composition = load_config(config), load_composition()
    if loaded.camera is None:
        raise UserError(f"{config} has no [camera] table: its calibration is part of what is provisioned; add it.")
    models = models_of(loaded, composition, out)
    flies = composition_sha256 or composition.sha256
    with _store(loaded, config) as store:
        known = companion or memory_of(store.root)
        wanted = Wanted(
            asked, loaded.map.source, loaded.map.zoom, loaded.camera, flies, known.companion_id, known.counter, models,
            terrain,
        )  # fmt: skip
        report = build(store, wanted, out, pool, private_key, _progress)
    done = f"{report.outcome}: {report.tiles} tiles in {report.squares} squares, {report.artefacts} files of "
    along = report.route
    covered = f"; {along['covered_km']} of {along['length_km']} km of the route have map" if along else ""
    waits = "" if report.signed else "; the manifest waits to be signed"
    _say(report.as_dict(), f"{done}{report.artefact_bytes / 1e6:.1f} MB{waits}{covered}; {report.manifest}", json)


def verify_cache(
    cache: Annotated[Path, typer.Argument(help="The cache's folder, with manifest.json.")],
    trusted_keys: Annotated[Path, typer.Option(help="Folder of the public keys that it may be signed by.")],
    config: Annotated[
        Path | None, typer.Option(help="Hold the signed tiles against the store of this configuration, too.")
    ] = None,
    every_tile: Annotated[
        bool, typer.Option("--every-tile", help="With --config: read every tile again and hash it, as an operator.")
    ] = False,
    allow_gaps: Annotated[
        bool, typer.Option("--allow-gaps", help="Good although a leg of the route has no map; it is told.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check a cache as `run` does: signature, schema, every file; all faults at once, exit code 2 for any.

    With --config it says how much of the signed route has map, and ends with exit code 22 where a leg has none.
    """
    from contextlib import nullcontext

    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.provisioning.companion_memory import memory_of, remember
    from gps_denied_onboard.provisioning.trusted_keys import read_trusted_keys
    from gps_denied_onboard.provisioning.verify import (
        CacheNotTrustedError,
        Expected,
        signed_route_coverage,
        tiles_in_box,
    )
    from gps_denied_onboard.provisioning.verify import verify_cache as verify
    from gps_denied_onboard.runtime_root.strategies import load_composition

    if every_tile and config is None:
        raise UserError("--every-tile needs --config, which names the tile store.")
    trusted = read_trusted_keys(trusted_keys)
    loaded = load_config(config) if config is not None else None
    with nullcontext() if loaded is None or config is None else _store(loaded, config) as store:
        try:
            expected = Expected(load_composition().sha256)
            if store is not None and loaded is not None:
                memory = memory_of(store.root)
                expected = Expected(
                    expected.composition_sha256, memory.companion_id, memory.counter, loaded.mission.mission_id
                )
            body = verify(cache, trusted, store, expected, every_tile)
            if store is not None:
                remember(store.root, body.counter)
        except CacheNotTrustedError as error:
            if not json:
                raise
            _say({"outcome": "failure", "faults": list(error.faults)}, "", json)
            raise typer.Exit(2) from error
        along = signed_route_coverage(cache, body, store) if store is not None else None
        in_box = tiles_in_box(store, body) if store is not None else None
    _say_verified(cache, body, along, in_box, allow_gaps=allow_gaps, json=json)


def _say_verified(
    cache: Path, body: CacheBody, along: RouteCoverage | None, in_box: tuple[int, int] | None, *, allow_gaps: bool,
    json: bool,
) -> None:  # fmt: skip
    """Print what a good cache holds; exit code 22 where a leg of its route has no map and that is not allowed."""
    from gps_denied_onboard.runtime_root.provisioned_cache import signed_terrain
    from gps_denied_onboard.tiles.route_coverage import ROUTE_GAP_CODE
    from gps_denied_onboard.tiles.terrain_file import terrain_summary

    fails = along is not None and bool(along.gaps) and not allow_gaps
    told = (
        along.sentence()
        if along is not None
        else "how much of its route has map is not known: "
        + ("give --config" if in_box is None else "it was built without one")
    )
    terrain = signed_terrain(body, cache)
    heights = None if terrain is None else terrain_summary(terrain)
    report = {
        "outcome": "failure" if fails else "success", "mission_id": body.mission_id, "flight_id": body.flight_id,
        "tiles": body.tiles, "tiles_in_box": in_box, "artefacts": len(body.artefacts),
        "coverage_sha256": body.coverage_sha256, "route": None if along is None else along.as_dict(),
        "terrain": heights, "faults": [told] if fails else [],
    }  # fmt: skip
    good = f"{cache}: as signed for mission {body.mission_id}, {body.tiles} tiles"
    good += "" if in_box is None else f" ({in_box[0]} of {in_box[1]} of its box)"
    good += ", flat ground" if heights is None else f", heights every {heights['step_m']:g} m"
    if json or not fails:
        _say(report, f"{good}; {told}", json)
    if fails:
        if not json:
            print(f"error: {good}, but {told}. Fetch map there, or give --allow-gaps.", file=sys.stderr)
        raise typer.Exit(ROUTE_GAP_CODE)


def receive_tiles(
    mission: MissionOption,
    config: ConfigOption,
    bundles: Annotated[
        Path | None, typer.Option("--parcels", help="Folder of bundles to take in; without one only the state is told.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Take tiles that the workstation sent into the store, and tell what it holds of the mission's area."""
    from dataclasses import asdict

    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.provisioning.mission_file import read_mission
    from gps_denied_onboard.provisioning.tile_bundles import area_state, receive_tile_bundles

    asked, loaded = read_mission(mission), load_config(config)
    shown = loaded.map
    with _store(loaded, config) as store:
        taken: dict[str, Any] = {}
        if bundles is not None:
            budget_bytes = loaded.tiles.budget_bytes
            taken = asdict(receive_tile_bundles(store, bundles, asked, shown.source, shown.zoom, budget_bytes))
        state = area_state(store, asked, shown.source, shown.zoom)
    squares = [[s.column, s.row, s.tiles, s.sha256] for s in state]
    report = {"outcome": "success", "source": shown.source, "zoom": shown.zoom, "taken": taken, "squares": squares}
    _say(report, f"{sum(s.tiles for s in state)} tiles of the mission's area in {len(state)} squares; {taken}", json)


def describe(
    config: ConfigOption,
    trusted_keys: Annotated[
        Path | None, typer.Option(help="Folder of trusted keys; else the configuration's mission.trusted_keys.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of the cache, for its disk's free space.")] = None,
    json: JsonOption = False,
) -> None:
    """Tell what this companion is: version, composition, clock, free disk, trusted keys, wrong values of its file."""
    from gps_denied_onboard.cli.build_info import describe as tell
    from gps_denied_onboard.config import load_config

    report = tell(load_config(config), trusted_keys, cache)
    lines = [f"{name}: {value}" for name, value in report.items()]
    _say(report, "\n".join(lines), json)


def _store(config: Config, path: Path) -> TileStore:
    from gps_denied_onboard.tiles.store import TileStore

    if not (config.map.use_store and config.map.directory and config.map.zoom):
        raise UserError(f"{path} flies no tile store: set use_store, directory and zoom in its [map] table.")
    return TileStore.open(Path(config.map.directory))


def _private_key(path: Path) -> bytes:
    from gps_denied_onboard.provisioning.trusted_keys import KEY_BYTES_MAX
    from gps_denied_onboard.untrusted import UntrustedError
    from gps_denied_onboard.untrusted.bounded import read_file

    try:
        key = bytes.fromhex(read_file(path, KEY_BYTES_MAX).decode("ascii").strip())
    except (OSError, ValueError, UntrustedError) as error:
        raise UserError(f"The key {path} cannot be read ({error}); make one with `operator-tool keys new`.") from None
    if len(key) != 32:
        raise UserError(f"The key {path} has {len(key)} bytes, not 32; give a key of `operator-tool keys new`.")
    return key


def _terrain(path: Path) -> bytes:
    from gps_denied_onboard.tiles.terrain_file import BYTES_MAX
    from gps_denied_onboard.untrusted import UntrustedError
    from gps_denied_onboard.untrusted.bounded import read_file

    try:
        return read_file(path, BYTES_MAX)
    except (OSError, UntrustedError) as error:
        raise UserError(f"The heights {path} cannot be read ({error}); run `operator-tool build-cache`.") from None


def _progress(what: str, done: int, count: int) -> None:
    print(f"{what}: {done} of {count}", file=sys.stderr, flush=True)


def _say(report: dict[str, Any], text: str, json: bool) -> None:
    import orjson

    print(orjson.dumps(report).decode() if json else text, flush=True)
