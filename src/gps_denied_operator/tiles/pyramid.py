"""Tiles of other zooms, made of the stored ones when they are asked for: a ground station shows the map zoomed out, and
zoomed in a little further than it is stored.

Nothing is written, and looking at the map does not count as use: what `gc` evicts stays what flights did not need.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from uuid import UUID

import cv2
import numpy as np

from gps_denied_onboard.tiles import codec, files
from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_onboard.tiles.records import TileRecord
from gps_denied_onboard.tiles.store import TileStore

ZOOM_MAX = 24
EXACT_LEVELS = 5
"""Down to this many zooms below the stored one every stored tile is in the picture: at most 1024 of them."""
SAMPLES = 1 << EXACT_LEVELS
ENLARGED_LEVELS = 4
"""Up to this many zooms above the stored one its tiles are shown enlarged."""
EMPTY_GREY = 238
KEPT = 1500
"""Made tiles that are kept, about 20 MB."""
SAMPLE = """
    id IN (
        SELECT min(id) FROM tiles
        WHERE source = %s AND zoom = %s AND x >= %s AND x < %s AND y >= %s AND y < %s AND flight_id IS NULL
        GROUP BY x / %s, y / %s
    )
"""


class Pyramid:
    """See the module. Threads may share it."""

    def __init__(self, store: TileStore) -> None:
        self._store = store
        self._made: OrderedDict[tuple[str, int, int, int], bytes | None] = OrderedDict()
        self._of: tuple[int, int] | None = None
        self._lock = threading.Lock()

    def tile(self, source: str, zoom: int, x: int, y: int) -> bytes | None:
        """The JPEG of a tile: as it is stored, or made of finer ones or a coarser one; None where there is no map."""
        if not (0 <= zoom <= ZOOM_MAX and 0 <= x < 1 << zoom and 0 <= y < 1 << zoom):
            return None
        found = self._store.query_tiles(source, zoom, x, y, x + 1, y + 1)
        if found:
            return self._bytes(min(found, key=lambda record: record.key.flight_id or UUID(int=0)))
        key = (source, zoom, x, y)
        with self._lock:
            totals = self._store.totals()
            if totals != self._of:
                self._made.clear()
                self._of = totals
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        made = self._from_finer(*key) or self._from_coarser(*key)
        with self._lock:
            self._made[key] = made
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        return made

    def _from_finer(self, source: str, zoom: int, x: int, y: int) -> bytes | None:
        for stored in sorted(z for name, z in self._store.sources() if name == source and z > zoom):
            level = stored - zoom
            side, step = max(TILE_PX >> level, TILE_PX // SAMPLES), max((1 << level) // SAMPLES, 1)
            picture = np.full((TILE_PX, TILE_PX), EMPTY_GREY, dtype=np.uint8)
            drawn = False
            for record in self._inside(source, stored, x << level, y << level, 1 << level):
                small = self._small(record, side)
                if small is None:
                    continue
                left, top = ((at - (low << level)) // step * side for at, low in ((record.key.x, x), (record.key.y, y)))
                picture[top : top + side, left : left + side] = small
                drawn = True
            if drawn:
                return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
        return None

    def _from_coarser(self, source: str, zoom: int, x: int, y: int) -> bytes | None:
        coarser = [z for name, z in self._store.sources() if name == source and zoom - ENLARGED_LEVELS <= z < zoom]
        for stored in sorted(coarser, reverse=True):
            level = zoom - stored
            for record in self._inside(source, stored, x >> level, y >> level, 1):
                whole = self._small(record, TILE_PX)
                if whole is None:
                    continue
                side = TILE_PX >> level
                left, top = ((at & ((1 << level) - 1)) * side for at in (x, y))
                part = whole[top : top + side, left : left + side]
                picture = cv2.resize(part, (TILE_PX, TILE_PX), interpolation=cv2.INTER_LINEAR)
                return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
        return None

    def _inside(self, source: str, zoom: int, x0: int, y0: int, width: int) -> list[TileRecord]:
        """The map's tiles of a square; of more than SAMPLES x SAMPLES one of each block."""
        if width <= SAMPLES:
            found = self._store.query_tiles(source, zoom, x0, y0, x0 + width, y0 + width)
            return [record for record in found if record.key.flight_id is None]
        step = width // SAMPLES
        box = (source, zoom, x0, x0 + width, y0, y0 + width)
        return self._store.select(SAMPLE, (*box, step, step))

    def _small(self, record: TileRecord, side: int) -> codec.Grey | None:
        """A tile made smaller, its empty part grey; None where its file is not what was stored."""
        jpeg = self._bytes(record)
        if jpeg is None:
            return None
        try:
            mask = files.map_file(files.mask_path(self._store.image_path(record.key))) if record.mask_sha256 else None
            grey, valid = codec.decode_tile(jpeg, mask)
        except (OSError, ValueError):
            return None
        shown = np.where(valid, grey, EMPTY_GREY).astype(np.uint8)
        return np.asarray(cv2.resize(shown, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def _bytes(self, record: TileRecord) -> bytes | None:
        try:
            jpeg = bytes(files.map_file(self._store.image_path(record.key)))
        except (OSError, ValueError):
            return None
        return jpeg if hashlib.sha256(jpeg).digest() == record.content_sha256 else None
