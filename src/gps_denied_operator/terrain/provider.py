"""Heights of a mission from the provider's own tiles, where it has any."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.codec import TILE_BYTES_MAX
from gps_denied_onboard.tiles.grid import TILE_PX, ZOOM_MAX, tile_range
from gps_denied_onboard.tiles.terrain_file import POSTS_MAX
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.json import field, in_range, read_json
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.terrain.datum import Datum, to_egm96, vertical_of
from gps_denied_operator.terrain.height_tiles import height_tiles, post_zoom
from gps_denied_operator.terrain.library import has_heights, keep_heights, with_margin
from gps_denied_operator.terrain.rasters import Box
from gps_denied_operator.tiles.feeds import API_KEY_HEADER
from gps_denied_operator.tiles.http import HttpClient, RetrySchedule

DESCRIPTION_BYTES_MAX = 64 * 1024
TILES_AT_ONCE = POSTS_MAX // TILE_PX**2
"""A larger box gets a coarser zoom."""
VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclasses.dataclass(frozen=True, slots=True)
class _Offer:
    """What a provider says of its heights."""

    datum: Datum
    sigma_m: float
    zoom_min: int
    zoom_max: int
    version: str


def fetch_heights(url: str, api_key: str, ca: Path | None, bbox_deg: Box, root: Path) -> dict[str, Any]:
    """Fetch the heights of a box (west, south, east, north) and its margin into a store's folder; what was done.

    outcome: success, idempotent_no_op, or skipped where the provider has none. UserError where it cannot be reached, or
    says what cannot be.
    """
    http = HttpClient(url, {API_KEY_HEADER: api_key} if api_key else {}, ca, RetrySchedule(), 1)
    try:
        body = http.get("/api/heights", DESCRIPTION_BYTES_MAX)
        if body is None:
            return {"outcome": "skipped", "reason": "the provider offers no heights"}
        return _fetched(http, _offer(body, http.shown), bbox_deg, root)
    finally:
        http.close()


def _fetched(http: HttpClient, offer: _Offer, bbox_deg: Box, root: Path) -> dict[str, Any]:
    west, south, east, north = with_margin(bbox_deg)
    wide = (max(west, -180.0), south, min(east, 180.0), north)
    zoom = post_zoom(range(offer.zoom_min, offer.zoom_max + 1), (bbox_deg[1] + bbox_deg[3]) / 2.0)
    x0, y0, x1, y1 = tile_range(*wide, zoom)
    while (x1 - x0) * (y1 - y0) > TILES_AT_ONCE and zoom > offer.zoom_min:
        zoom -= 1
        x0, y0, x1, y1 = tile_range(*wide, zoom)
    places = [(x, y) for x in range(x0, x1) for y in range(y0, y1)]
    name = f"provider-{hashlib.sha256(f'{http.shown} {offer} {(x0, y0, x1, y1)}'.encode()).hexdigest()[:12]}"
    if has_heights(root, name):
        return {"outcome": "idempotent_no_op", "name": name, "tiles": len(places)}
    if len(places) > TILES_AT_ONCE:
        raise UserError(f"The box needs {len(places)} tiles of heights, {TILES_AT_ONCE} at most: plan a smaller one.")
    had: dict[tuple[int, int], bytes] = {}
    for x, y in places:
        data = http.get(f"/heights/{zoom}/{x}/{y}", TILE_BYTES_MAX)
        if data is not None:
            had[x, y] = data
    if not had:
        return {"outcome": "skipped", "reason": "the provider has no heights of the box", "tiles": len(places)}
    read = height_tiles(f"{http.shown} heights", zoom, list(had), lambda x, y: had[x, y])
    grid, told = to_egm96(dataclasses.replace(read.grid, sigma_m=offer.sigma_m), vertical_of(offer.datum))
    missing = len(places) - len(had)
    notes = [*read.notes, *([told] if told else []), *([f"{missing} tiles were not there: holes"] if missing else [])]
    about = {
        "file": f"{http.shown} heights, zoom {zoom}", "kind": "provider", "datum": offer.datum.value,
        "stored_datum": Datum.EGM96.value, "unit": "m", "notes": notes,
    }  # fmt: skip
    keep_heights(root, name, grid, about)
    return {"outcome": "success", "name": name, "tiles": len(had), "notes": notes}


def _offer(body: bytes, source: str) -> _Offer:
    what = "the description of its heights"
    try:
        told = read_json(body, what, DESCRIPTION_BYTES_MAX, depth_max=2, text_max=200)
        low, high = field(told, "zoom_min", int, what), field(told, "zoom_max", int, what)
        version = field(told, "version", str, what)
        if not 0 <= low <= high <= ZOOM_MAX or VERSION.fullmatch(version) is None:
            raise ValueError("zooms or a version that cannot be")
        sigma_m = in_range(field(told, "sigma_m", float, what), 0.1, 100.0, "sigma_m")
        return _Offer(Datum(field(told, "datum", str, what)), sigma_m, low, high, version)
    except (UntrustedError, ValueError) as error:
        raise UserError(
            f"{source}: {what} cannot be read ({shown(error, 160)}): tell its operator, or give --no-terrain."
        ) from error
