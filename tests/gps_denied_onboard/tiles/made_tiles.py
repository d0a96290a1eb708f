"""Small tiles for the store's tests."""

from __future__ import annotations

from functools import cache
from uuid import UUID

import numpy as np

from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile

FLIGHT = UUID("6fd1f3a2-6a4c-4f9e-9b8e-2f5c5b1f9a10")


@cache
def jpeg(seed: int) -> bytes:
    """Return the JPEG of coarse noise: some kilobytes, the same for the same seed."""
    grey = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    return codec.encode_jpeg(grey)


def tile(x: int, y: int, seed: int = 1, flight: UUID | None = None) -> NewTile:
    """Return a provider's tile, or one made in flight, at zoom 18."""
    source = "onboard_ingest" if flight else "provider"
    status = "pending" if flight else "trusted"
    return NewTile(TileKey(source, 18, x, y, flight), jpeg(seed), 0.5, voting_status=status)
