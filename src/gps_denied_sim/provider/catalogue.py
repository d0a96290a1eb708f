"""The provider's tiles: a folder `<z>/<x>/<y>.jpg`, with `catalogue.json` beside where dates and resolutions are known.

`catalogue.json`: {"captured_at": ISO 8601, "ground_resolution_m_px": number, "tiles": {"z/x/y": {the same keys}}}.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry import geodesy

TILE_PX = 256
Place = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class OfferedTile:
    """One tile as the inventory tells it."""

    zoom: int
    x: int
    y: int
    captured_at: str | None
    ground_resolution_m_px: float
    sha256: str
    bytes: int

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Catalogue:
    """Tiles of a folder; digests are taken when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        """List the folder. UserError where it holds no tiles."""
        self._paths: dict[Place, Path] = {
            (int(path.parts[-3]), int(path.parts[-2]), int(path.stem)): path
            for path in folder.glob("[0-9]*/[0-9]*/[0-9]*.jpg")
            if path.stem.isdigit() and path.parts[-2].isdigit() and path.parts[-3].isdigit()
        }
        if not self._paths:
            raise UserError(f"{folder} holds no <z>/<x>/<y>.jpg tiles; give the folder of a map, as a recording's.")
        self._known: dict[str, Any] = {}
        if (folder / "catalogue.json").is_file():
            self._known = json.loads((folder / "catalogue.json").read_text(encoding="utf-8"))
        self._offered: dict[Place, OfferedTile] = {}
        self._by_zoom: dict[int, list[Place]] = {}
        for place in sorted(self._paths):
            self._by_zoom.setdefault(place[0], []).append(place)

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, place: Place) -> bytes | None:
        """Return a tile's bytes, or None where there is none."""
        path = self._paths.get(place)
        return None if path is None else path.read_bytes()

    def offered(self, place: Place) -> OfferedTile | None:
        """Return what the inventory tells of a tile, or None where there is none."""
        if place in self._offered or place not in self._paths:
            return self._offered.get(place)
        data = self._paths[place].read_bytes()
        zoom, x, y = place
        own = self._known.get("tiles", {}).get(f"{zoom}/{x}/{y}", {})
        captured_at = own.get("captured_at", self._known.get("captured_at"))
        resolution = own.get("ground_resolution_m_px", self._known.get("ground_resolution_m_px"))
        latitude_deg = float(geodesy.geodetic_from_mercator_px([0.0, (y + 0.5) * TILE_PX], zoom)[0])
        natural_m_px = geodesy.mercator_resolution_m(latitude_deg, zoom)
        self._offered[place] = OfferedTile(
            zoom, x, y, captured_at, float(resolution or natural_m_px), hashlib.sha256(data).hexdigest(), len(data)
        )
        return self._offered[place]

    def inside(self, bbox_deg: tuple[float, float, float, float], zoom: int) -> list[Place]:
        """Return the tiles that touch a box (west, south, east, north)."""
        west, south, east, north = bbox_deg
        low = geodesy.mercator_px_from_geodetic(min(north, 85.0), west, zoom) / TILE_PX
        high = geodesy.mercator_px_from_geodetic(max(south, -85.0), east, zoom) / TILE_PX
        return [
            place
            for place in self._by_zoom.get(zoom, [])
            if math.floor(low[0]) <= place[1] <= high[0] and math.floor(low[1]) <= place[2] <= high[1]
        ]
