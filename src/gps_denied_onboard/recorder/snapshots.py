"""Map tiles made in flight, as the recording keeps them: a record each, and the picture beside the segments.

The record names the picture's SHA-256, so that the signed segments vouch for it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.recorder.records import TileRecord

if TYPE_CHECKING:
    from gps_denied_onboard.recorder.client import RecorderClient
    from gps_denied_onboard.tiles.records import NewTile

FOLDER = "snapshots"
CAP_BYTES = 64 << 20
WRITE, SNAPSHOT, NO_SNAPSHOT, REFUSED, DOWNGRADED = "write", "snapshot", "no_snapshot", "refused", "downgraded"
"""A tile was stored; its picture is kept here, or is not (the cap, the disk); a tile was not stored; the map is old."""


def snapshot_name(zoom: int, x: int, y: int) -> str:
    """The file name of a tile's picture."""
    return f"{zoom}-{x}-{y}.jpg"


class TileSnapshots:
    """Used by the one thread that makes tiles; it may wait for the disk, and nothing that the disk does is raised."""

    def __init__(self, flight: Path, client: RecorderClient, cap_bytes: int = CAP_BYTES) -> None:
        self._folder = flight / FOLDER
        self._client = client
        self._left_bytes = cap_bytes
        self._cap_told = False

    def stored(self, t_ns: int, tile: NewTile) -> None:
        """A tile went into the store: record it and keep its picture, as long as the flight's cap lets that."""
        self._record(t_ns, WRITE, tile, f"flight {tile.key.flight_id}, sigma {tile.parent_sigma_m} m")
        if len(tile.jpeg) > self._left_bytes:
            if not self._cap_told:
                self._cap_told = True
                self._record(t_ns, NO_SNAPSHOT, tile, "the cap of a flight's snapshots is reached; this is said once")
            return
        try:
            self._folder.mkdir(exist_ok=True)
            replace_whole(self._folder / snapshot_name(tile.key.zoom, tile.key.x, tile.key.y), tile.jpeg)
        except OSError as error:
            self._record(t_ns, NO_SNAPSHOT, tile, str(error))
            return
        self._left_bytes -= len(tile.jpeg)
        self._record(t_ns, SNAPSHOT, tile, hashlib.sha256(tile.jpeg).hexdigest())

    def refused(self, t_ns: int, tile: NewTile, why: str) -> None:
        """A tile was made and not stored."""
        self._record(t_ns, REFUSED, tile, why)

    def _record(self, t_ns: int, event: str, tile: NewTile, detail: str) -> None:
        key = tile.key
        self._client.record(TileRecord(t_ns, event, key.source, key.zoom, key.x, key.y, detail[:500]))
