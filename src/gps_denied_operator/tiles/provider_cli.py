"""`operator-tool tiles download|upload`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gps_denied_onboard.errors import UserError
from gps_denied_operator.console import JsonOption, print_json, progress_bar
from gps_denied_operator.tiles.options import (
    CaOption,
    ConfigOption,
    KeyOption,
    RootOption,
    UrlOption,
    box_of,
    default_root,
)


def download(
    bbox: Annotated[str, typer.Option(help="west,south,east,north in degrees.")],
    zoom: Annotated[int, typer.Option(min=0, max=22, help="Zoom of the tiles; 0.5 m a pixel or finer is taken.")],
    provider: UrlOption = "",
    template: Annotated[
        str, typer.Option(help="Instead: address with {z}, {x}, {y} (XYZ), {-y} (TMS) or WMTS' {TileMatrix} ...")
    ] = "",
    captured: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of a template's pictures.")
    ] = None,
    source: Annotated[str, typer.Option(help="Name under which the store keeps these tiles.")] = "provider",
    mission: Annotated[str, typer.Option(help="Mission of these tiles: not evicted until released.")] = "current",
    connections: Annotated[int, typer.Option(min=1, max=64, help="Requests at a time.")] = 8,
    key_file: KeyOption = None,
    ca: CaOption = None,
    root: RootOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Fetch an area's tiles into the store. Interrupted, the same command goes on; done, it is a no-op."""
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.tiles.store import TileStore
    from gps_denied_operator.tiles.admission import Admission
    from gps_denied_operator.tiles.download import Area, TileDownloader
    from gps_denied_operator.tiles.feeds import open_feed
    from gps_denied_operator.tiles.runs import provider_key, traced_run, write_report

    if bool(provider) == bool(template):
        raise UserError("Give --provider or --template, one of the two.")
    area = Area(*box_of(bbox), zoom, source, mission)
    settings = load_config(config).tiles
    key = provider_key(key_file) if provider else ""
    day = captured.replace(tzinfo=UTC) if captured else None
    feed = open_feed(provider, template, zoom, day, key, ca, connections)
    try:
        with TileStore.open(root or default_root()) as store, traced_run(store.root, "download", [key]) as path:
            admission = Admission(store, settings, lambda: datetime.now(UTC))
            downloader = TileDownloader(store, feed, admission, connections)
            with progress_bar(f"{feed.name} zoom {zoom}", quiet=json) as progress:
                report = downloader.download_tiles_for_area(area, progress)
            write_report(path, report.as_dict())
    finally:
        feed.close()
    if json:
        print_json(report.as_dict())
    else:
        typer.echo(_sentence(report.as_dict()))
    if report.outcome == "failure":
        raise typer.Exit(2)


def upload(
    provider: UrlOption,
    flight: Annotated[str, typer.Option(help="Only this flight's tiles (UUID).")] = "",
    key_file: KeyOption = None,
    ca: CaOption = None,
    root: RootOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """After landing: send the tiles that the aircraft made, signed per flight. Done, it is a no-op."""
    send_pending(provider, flight, key_file, ca, root, config, json)


def send_pending(
    provider: str,
    flight: str,
    key_file: Path | None,
    ca: Path | None,
    root: Path | None,
    config: Path | None,
    json: bool,
) -> None:
    """Send the stored tiles of a flight (UUID; empty: of all) and tell what came of it; Exit(2) where it failed."""
    from uuid import UUID

    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.tiles.store import TileStore
    from gps_denied_operator.tiles.runs import provider_key, traced_run, write_report
    from gps_denied_operator.tiles.upload import TileUploader

    try:
        flight_id = UUID(flight) if flight else None
    except ValueError:
        raise UserError(f"--flight '{flight}' is not a flight's UUID; leave it out for all flights.") from None
    companion_id = load_config(config).tiles.companion_id
    key = provider_key(key_file)
    with TileStore.open(root or default_root()) as store, traced_run(store.root, "upload", [key]) as path:
        uploader = TileUploader(store, provider, key, companion_id, ca)
        try:
            with progress_bar("upload", quiet=json) as progress:
                report = uploader.upload_pending_tiles(flight_id, progress)
        finally:
            uploader.close()
        write_report(path, report.as_dict())
    if json:
        print_json(report.as_dict())
    else:
        said = report.as_dict()
        counts = [f"{said[name]} {name.replace('_', ' ')}" for name in UPLOAD_COUNTS if said[name]]
        why = f" ({report.reason})" if report.reason else ""
        typer.echo(f"{report.outcome}{why}: {', '.join(counts) or 'nothing'} of {report.tiles}")
    if report.outcome == "failure":
        raise typer.Exit(2)


UPLOAD_COUNTS = ("queued", "duplicate", "superseded", "rejected", "given_up", "still_pending", "security_events")


COUNTS = (
    "downloaded", "replaced", "already_stored", "kept_newer", "rejected_freshness", "rejected_resolution",
    "rejected_damaged", "missing", "downgraded",
)  # fmt: skip


def _sentence(report: dict[str, Any]) -> str:
    counts = ", ".join(f"{report[name]} {name.replace('_', ' ')}" for name in COUNTS if report[name]) or "nothing"
    why = f" ({report['reason']})" if report["reason"] else ""
    return f"{report['outcome']}{why}: {counts}; {report['bytes_downloaded'] / 1e6:.1f} MB in {report['seconds']:.0f} s"
