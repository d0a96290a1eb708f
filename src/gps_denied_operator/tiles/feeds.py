"""Where tiles are downloaded from: the provider's API, or a plain XYZ, TMS or WMTS server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles.codec import TILE_BYTES_MAX
from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_onboard.untrusted.json import field, list_of, optional, read_json
from gps_denied_operator.tiles.http import BODY_BYTES_MAX, HttpClient, RetrySchedule

TYPICAL_TILE_BYTES = 20_000
API_KEY_HEADER = "X-API-Key"


@dataclass(frozen=True, slots=True)
class Offer:
    """One tile that can be had. `sha256` None: not promised."""

    x: int
    y: int
    captured_at: datetime | None
    ground_resolution_m_px: float
    sha256: bytes | None
    size_bytes: int


class TileFeed(Protocol):
    """Tiles of one zoom from somewhere."""

    name: str

    def offers(self, places: Sequence[tuple[int, int]]) -> list[Offer]:
        """Return what there is of these (x, y)."""

    def fetch(self, x: int, y: int) -> bytes | None:
        """Return a tile's bytes as sent; None where there is none. Threads call it at once."""

    def close(self) -> None:
        """Let go of connections."""


class ProviderFeed:
    """The provider's inventory and tiles."""

    def __init__(
        self, url: str, zoom: int, api_key: str, ca_file: Path | None, schedule: RetrySchedule, connections: int
    ) -> None:
        self._zoom = zoom
        self._http = HttpClient(url, {API_KEY_HEADER: api_key} if api_key else {}, ca_file, schedule, connections)
        self.name = self._http.shown

    def offers(self, places: Sequence[tuple[int, int]]) -> list[Offer]:
        wanted = set(places)
        entries = [{"zoom": self._zoom, "x": x, "y": y} for x, y in places]
        found = self._http.post("/api/satellite/tiles/inventory", 200, self._read, json={"tiles": entries})
        return list({(offer.x, offer.y): offer for offer in found if (offer.x, offer.y) in wanted}.values())

    def fetch(self, x: int, y: int) -> bytes | None:
        return self._http.get(f"/tiles/{self._zoom}/{x}/{y}", TILE_BYTES_MAX)

    def close(self) -> None:
        self._http.close()

    def _read(self, body: bytes) -> list[Offer]:
        told = read_json(body, "the inventory", BODY_BYTES_MAX, depth_max=4, text_max=200)
        entries = list_of(field(told, "tiles", list, "the inventory"), dict, "the inventory's tiles")
        return [offer_of(entry) for entry in entries if field(entry, "zoom", int, "an offer") == self._zoom]


def offer_of(entry: Any) -> Offer:
    """Return an inventory's entry as an offer; ValueError or UntrustedError where it is none."""
    captured = optional(entry, "captured_at", str, "an offer")
    moment = None if captured is None else datetime.fromisoformat(captured)
    if moment is not None and moment.tzinfo is None:
        raise ValueError("a capture time without a time zone")
    digest = bytes.fromhex(field(entry, "sha256", str, "an offer"))
    resolution, size = (
        field(entry, "ground_resolution_m_px", float, "an offer"), field(entry, "bytes", int, "an offer")
    )  # fmt: skip
    if len(digest) != 32 or not 0.0 < resolution < 1e6 or not 0 < size <= TILE_BYTES_MAX:
        raise ValueError("a digest, resolution or size that cannot be")
    x, y = field(entry, "x", int, "an offer"), field(entry, "y", int, "an offer")
    return Offer(x, y, moment, resolution, digest, size)


class TemplateFeed:
    """A server whose addresses follow a template.

    {z} {x} {y} (or {TileMatrix} {TileCol} {TileRow} as WMTS writes them), {-y} for rows from the south (TMS),
    {switch:a,b,c} for one of several hosts' parts.
    """

    def __init__(
        self, template: str, zoom: int, captured_at: datetime | None, ca_file: Path | None, schedule: RetrySchedule,
        connections: int,
    ) -> None:  # fmt: skip
        normal = re.sub(r"\{TileMatrix\}", "{z}", template, flags=re.IGNORECASE)
        normal = re.sub(r"\{TileCol\}", "{x}", normal, flags=re.IGNORECASE)
        normal = re.sub(r"\{TileRow\}", "{y}", normal, flags=re.IGNORECASE)
        unknown = set(re.findall(r"\{([^}]*)\}", normal)) - {"z", "x", "y", "-y"}
        unknown = {name for name in unknown if not name.startswith("switch:")}
        if unknown or "{z}" not in normal or "{x}" not in normal or not re.search(r"\{-?y\}", normal):
            raise UserError(
                "The template needs {z}, {x} and {y} (or {-y}; or {TileMatrix}, {TileCol}, {TileRow})"
                + (f", and knows no {{{sorted(unknown)[0]}}}." if unknown else ".")
            )
        self._template, self._zoom, self._captured_at = normal, zoom, captured_at
        first = self._address(0, 0)
        parts = urlsplit(first)
        self._http = HttpClient(f"{parts.scheme}://{parts.netloc}", {}, ca_file, schedule, connections)
        self.name = self._http.shown

    def _address(self, x: int, y: int) -> str:
        def chosen(match: re.Match[str]) -> str:
            several = match.group(1).split(",")
            return several[(x + y) % len(several)]

        url = re.sub(r"\{switch:([^}]*)\}", chosen, self._template)
        south = (1 << self._zoom) - 1 - y
        for name, value in (("{z}", self._zoom), ("{x}", x), ("{y}", y), ("{-y}", south)):
            url = url.replace(name, str(value))
        return url

    def offers(self, places: Sequence[tuple[int, int]]) -> list[Offer]:
        found = []
        for x, y in places:
            latitude_deg = float(geodesy.geodetic_from_mercator_px([0.0, (y + 0.5) * TILE_PX], self._zoom)[0])
            resolution_m_px = geodesy.mercator_resolution_m(latitude_deg, self._zoom)
            found.append(Offer(x, y, self._captured_at, resolution_m_px, None, TYPICAL_TILE_BYTES))
        return found

    def fetch(self, x: int, y: int) -> bytes | None:
        return self._http.get(self._address(x, y), TILE_BYTES_MAX)

    def close(self) -> None:
        self._http.close()


def open_feed(
    provider: str, template: str, zoom: int, captured: datetime | None, key: str, ca: Path | None, connections: int
) -> TileFeed:
    """Return the feed of a provider, or of a template where there is no provider."""
    if provider:
        return ProviderFeed(provider, zoom, key, ca, RetrySchedule(), connections)
    return TemplateFeed(template, zoom, captured, ca, RetrySchedule(), connections)
