"""`operator-tool build-cache`: from a planned flight to a signed and verified cache on the companion."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gps_denied_operator.console import JsonOption, print_json
from gps_denied_operator.keys.options import KeysOption
from gps_denied_operator.missions.options import (
    PLAN_FILES,
    BufferOption,
    FlightFileOption,
    FlightIdOption,
    PathOption,
    resolve_from_options,
)
from gps_denied_operator.tiles.options import CaOption, ConfigOption, KeyOption, RootOption, UrlOption, default_root

if TYPE_CHECKING:
    from gps_denied_onboard.provisioning.mission_file import MissionFile
    from gps_denied_operator.cache.build import BuildReport, Fetch
    from gps_denied_operator.missions.route import ResolvedFlight


AllowGapsOption = Annotated[
    bool, typer.Option("--allow-gaps", help="Go on although a leg of the route has no map; it is told.")
]
NoTerrainOption = Annotated[
    bool, typer.Option("--no-terrain", help="Leave the store's heights out: the flight takes the ground as flat.")
]


def build_cache(
    companion: Annotated[Path, typer.Option(help="TOML file that says where the companion is.")],
    flight_file: FlightFileOption = None,
    flight_id: FlightIdOption = "",
    path: PathOption = "",
    buffer: BufferOption = 2000.0,
    provider: UrlOption = "",
    template: Annotated[str, typer.Option(help="Instead: an address with {z}, {x}, {y}, as `tiles download`.")] = "",
    captured: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of a template's pictures.")
    ] = None,
    zoom: Annotated[int, typer.Option(min=0, max=22, help="Zoom of the tiles, as the companion's [map] has it.")] = 18,
    source: Annotated[str, typer.Option(help="Name of the map in both stores.")] = "provider",
    key_file: KeyOption = None,
    ca: CaOption = None,
    keys: KeysOption = None,
    root: RootOption = None,
    config: ConfigOption = None,
    accept: Annotated[
        str, typer.Option(help="Agree to what the companion offers of its own, by the digits that a run told.")
    ] = "",
    allow_gaps: AllowGapsOption = False,
    no_terrain: NoTerrainOption = False,
    json: JsonOption = False,
) -> None:
    """Resolve the flight, fetch its tiles, bring them aboard over SSH, build, sign, verify. Run again to go on.

    What the companion brings in of its own (its name, software, calibration, models) is shown and asked for once; what
    --config names here is signed without a question.
    Without --provider and --template the tiles of the store are taken as they are.
    """
    from gps_denied_operator.cache.build import BuildReport, Order
    from gps_denied_operator.cache.build import build_cache as build
    from gps_denied_operator.companion.config import read_companion
    from gps_denied_operator.keys.keyring import default_keys_folder, signing_key
    from gps_denied_operator.missions.errors import FlightResolutionError
    from gps_denied_operator.tiles.runs import provider_key, traced_run, write_report

    where = read_companion(companion)
    private_key, trusted = signing_key(keys or default_keys_folder())
    api_key = provider_key(key_file) if provider else ""
    try:
        flight = resolve_from_options(flight_file, flight_id, buffer, provider, key_file, ca, path)
    except FlightResolutionError as error:
        report = BuildReport()
        report.failed("resolve", error, error.exit_code)
        _end(report, json)
        raise typer.Exit(report.exit_code) from error
    mission = _mission(flight)
    store_root = root or default_root()
    fetch = None if not (provider or template) else _fetch(
        provider, template, captured, zoom, source, api_key, ca, config, heights=not no_terrain, quiet=json
    )  # fmt: skip
    ask = _ask if sys.stdin.isatty() and not json else None
    order = Order(
        mission, source, zoom, private_key, trusted, _active(private_key), _own(config), accept, ask, allow_gaps,
        terrain=not no_terrain,
    )  # fmt: skip
    with traced_run(store_root, "build-cache", [api_key]) as told_in, _interruptible() as tell:
        report = build(order, store_root, where, fetch, tell, (api_key,))
        write_report(told_in, report.as_dict())
    _end(report, json)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@contextmanager
def _interruptible() -> Iterator[Callable[[str], None]]:
    """Give what prints a line. A ctrl-C that was swallowed, as destructors do, is raised again by the next one."""
    pressed = threading.Event()

    def press(_number: int, _frame: object) -> None:
        pressed.set()
        raise KeyboardInterrupt

    def tell(line: str) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        print(line, file=sys.stderr)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield tell
    finally:
        signal.signal(signal.SIGINT, before)


def _ask(lines: Sequence[str]) -> bool:
    print("The companion offers what was never signed for it from here:", file=sys.stderr)
    for line in lines:
        print(f"  {line}", file=sys.stderr)
    return typer.confirm("Is all of it right?", err=True)


def _own(config: Path | None) -> frozenset[str]:
    """SHA-256 of the calibration and the models that this workstation's configuration names."""
    import hashlib

    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.inference.models import ModelFolder
    from gps_denied_onboard.provisioning.provision import calibration_bytes

    if config is None:
        return frozenset()
    loaded = load_config(config)
    own = set() if loaded.camera is None else {hashlib.sha256(calibration_bytes(loaded.camera)).hexdigest()}
    models = loaded.inference
    if models.models_directory and Path(models.models_directory).is_dir():
        folder = ModelFolder(Path(models.models_directory), Path(models.manifest) if models.manifest else None)
        own |= {artefact.sha256 for artefact in folder.manifest.artefacts.values()}
    return frozenset(own)


def _active(private_key: bytes) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from gps_denied_onboard.provisioning.trusted_keys import fingerprint

    return fingerprint(Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw())


def _fetch(
    provider: str, template: str, captured: datetime | None, zoom: int, source: str, api_key: str, ca: Path | None,
    config: Path | None, *, heights: bool, quiet: bool,
) -> Fetch:  # fmt: skip
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.tiles.store import TileStore
    from gps_denied_operator.console import progress_bar
    from gps_denied_operator.terrain.provider import fetch_heights
    from gps_denied_operator.tiles.admission import Admission
    from gps_denied_operator.tiles.download import Area, TileDownloader
    from gps_denied_operator.tiles.feeds import open_feed

    connections = 8
    settings = load_config(config).tiles
    day = captured.replace(tzinfo=UTC) if captured else None

    def fetch(mission: MissionFile, store: TileStore) -> dict[str, Any]:
        feed = open_feed(provider, template, zoom, day, api_key, ca, connections)
        try:
            downloader = TileDownloader(store, feed, Admission(store, settings, lambda: datetime.now(UTC)), connections)
            with progress_bar(f"{feed.name} zoom {zoom}", quiet=quiet) as progress:
                area = Area(*mission.bbox_deg, zoom, source, mission.mission_id)
                report = downloader.download_tiles_for_area(area, progress).as_dict()
        finally:
            feed.close()
        if heights and provider and report["outcome"] != "failure":
            report["heights"] = fetch_heights(provider, api_key, ca, mission.bbox_deg, store.root)
        return report

    return fetch


def _end(report: BuildReport, json: bool) -> None:
    if json:
        print_json(report.as_dict())
    elif report.exit_code:
        print(
            f"operator-tool: {report.failure_phase} failed: {report.reason}\nWhat to do: {report.remediation}.",
            file=sys.stderr,
        )
    else:
        route, cache_mb = report.phases["route"], report.phases["build"]["artefact_bytes"] / 1e6
        typer.echo(
            f"{report.outcome}: mission {report.mission_id}, {route['tiles_in_box']} of {route['tiles_of_box']} tiles "
            f"of its box, {cache_mb:.1f} MB of cache, signed and verified on the companion in {report.seconds:.0f} s; "
            f"{route['told']}; {report.phases['terrain']['told']}"
        )


def provision(
    flight_file: Annotated[Path, typer.Option(help=PLAN_FILES)],
    config: Annotated[Path, typer.Option(help="The flight's configuration (TOML): camera, map, strategies.")],
    out: Annotated[Path, typer.Option(help="The cache's folder; what is there and still good is kept.")],
    composition: Annotated[
        str, typer.Option(help="SHA-256 of the companion's composition, as `companion check --json` tells it.")
    ],
    companion_id: Annotated[str, typer.Option(help="Name of the companion, as `companion check --json` tells it.")],
    counter_past: Annotated[
        int, typer.Option(min=0, help="The highest counter that it verified: its `manifest_counter`.")
    ],
    path: PathOption = "",
    buffer: BufferOption = 2000.0,
    cluster: Annotated[
        str,
        typer.Option(help="Dask scheduler whose workers see the same folders; else this machine works."),
    ] = "",
    keys: KeysOption = None,
    no_terrain: NoTerrainOption = False,
    json: JsonOption = False,
) -> None:
    """Make and sign a cache here, for a companion to carry: for a large area on the workers of a Dask cluster."""
    from gps_denied_onboard.cli.provisioning import provision_cache
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.errors import UserError
    from gps_denied_onboard.provisioning.companion_memory import CompanionMemory
    from gps_denied_onboard.provisioning.overview_build import processes
    from gps_denied_operator.keys.keyring import default_keys_folder, signing_key
    from gps_denied_operator.terrain.library import mission_heights

    if re.fullmatch("[0-9a-f]{64}", composition) is None:
        raise UserError(f"--composition is '{composition}': give the 64 hex digits of `companion check --json`.")
    if re.fullmatch("[0-9a-f]{32}", companion_id) is None:
        raise UserError(f"--companion-id is '{companion_id}': give the 32 hex digits of `companion check --json`.")
    private_key, _ = signing_key(keys or default_keys_folder())
    mission = _mission(resolve_from_options(flight_file, "", buffer, "", None, None, path))
    pool = processes(0)
    if cluster:
        from gps_denied_operator.cache.cluster import cluster as workers_of

        pool = lambda _jobs: workers_of(cluster)  # noqa: E731
    companion = CompanionMemory(companion_id, counter_past)
    store = load_config(config).map.directory
    heights = mission_heights(Path(store), mission.bbox_deg) if store and not no_terrain else None
    data = b"" if heights is None else heights.data
    provision_cache(mission, config.absolute(), out.absolute(), private_key, pool, json, data, composition, companion)


def _mission(flight: ResolvedFlight) -> MissionFile:
    from gps_denied_onboard.provisioning.mission_file import MissionFile

    return MissionFile(
        flight.mission_id, flight.flight_id, flight.takeoff_latitude_deg, flight.takeoff_longitude_deg, flight.bbox,
        tuple(tuple((float(a), float(b)) for a, b in path.tolist()) for path in flight.paths_deg),
    )  # fmt: skip
