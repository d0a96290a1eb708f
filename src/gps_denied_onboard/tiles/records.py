"""Rows of the tile store as values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gps_denied_onboard.tiles.grid import TileKey


@dataclass(frozen=True, slots=True)
class NewTile:
    """A tile to be stored.

    jpeg: 256x256 JPEG. mask: 1-bit PNG, None where all pixels have data. valid_fraction: share of pixels that have.
    ground_resolution_m_px: what the picture resolves on the ground, which may be coarser than the grid's pixel.
    content_sha256: digest promised by who delivered the JPEG, if any; a tile that breaks the promise is refused.
    sector_class, freshness: what the freshness gate said. parent_sigma_m: position sigma of the frame that a tile made
    in flight comes from.
    """

    key: TileKey
    jpeg: bytes
    ground_resolution_m_px: float
    mask: bytes | None = None
    valid_fraction: float = 1.0
    captured_at: datetime | None = None
    voting_status: str = "pending"
    quality_metadata: Mapping[str, Any] = field(default_factory=dict)
    content_sha256: bytes | None = None
    sector_class: str | None = None
    freshness: str = "fresh"
    parent_sigma_m: float | None = None

    def digests(self) -> tuple[bytes, bytes | None]:
        """Return SHA-256 of the image and of the mask; ValueError where the promised digest or the format is wrong."""
        digest = hashlib.sha256(self.jpeg).digest()
        if self.content_sha256 is not None and digest != self.content_sha256:
            raise ValueError(f"tile {self.key} is not what was promised: its SHA-256 is {digest.hex()}")
        if not self.jpeg.startswith(b"\xff\xd8\xff"):
            raise ValueError(f"tile {self.key} is not a JPEG")
        if (self.mask is None) != (self.valid_fraction == 1.0):
            raise ValueError(f"tile {self.key}: a mask goes with a valid fraction below 1, and only with one")
        return digest, hashlib.sha256(self.mask).digest() if self.mask is not None else None


@dataclass(frozen=True, slots=True)
class TileRecord:
    """A stored tile's row, without its pixels."""

    row_id: int
    key: TileKey
    content_sha256: bytes
    mask_sha256: bytes | None
    valid_fraction: float
    size_bytes: int
    ground_resolution_m_px: float
    captured_at: datetime | None
    voting_status: str
    quality_metadata: Mapping[str, Any]
    sector_class: str | None
    freshness: str
    parent_sigma_m: float | None
    upload_attempts: int
    acknowledged: bool


class TileExistsError(ValueError):
    """A tile of this identity is stored already; nothing was changed."""


class VotingStatusError(ValueError):
    """A voting status that is final was to be changed; nothing was changed."""


class TileDamagedError(RuntimeError):
    """A stored tile's bytes are missing or are not those that were stored."""
