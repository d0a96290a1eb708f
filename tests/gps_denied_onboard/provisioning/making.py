"""A small store, a mission over it and a key, for the tests of provisioning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.provisioning.companion_memory import memory_of
from gps_denied_onboard.provisioning.mission_file import MissionFile
from gps_denied_onboard.provisioning.overview_build import Pool
from gps_denied_onboard.provisioning.provision import ProvisionReport, Wanted, provision
from gps_denied_onboard.provisioning.trusted_keys import TrustedKeys, fingerprint
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore

ZOOM, SOURCE = 18, "provider"
X0, Y0 = 157_920 - 3, 90_208 - 2  # about 49 degrees north; the corner of four squares is in the middle
CAMERA = CameraModel(684, 456, 550.0, 550.0, 341.5, 227.5, "brown", (-0.1, 0.02, 1e-4, 2e-4))
PRIVATE_KEY = bytes(range(32))
PUBLIC_KEY = Ed25519PrivateKey.from_private_bytes(PRIVATE_KEY).public_key().public_bytes_raw()
FINGERPRINT = fingerprint(PUBLIC_KEY)
TRUSTED = TrustedKeys({FINGERPRINT: PUBLIC_KEY})


def tile(x: int, y: int, seed: int, holes: bool = False) -> NewTile:
    """A noisy tile; with holes, a part of it has no data."""
    rng = np.random.default_rng(seed)
    grey = rng.integers(1, 256, (64, 64), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    valid = np.ones((256, 256), dtype=bool)
    if holes:
        valid[40:200, 17:90] = False
        valid[::2, 200:] = False
    mask = codec.encode_mask(valid)
    jpeg = codec.encode_jpeg(grey)
    return NewTile(TileKey(SOURCE, ZOOM, x, y), jpeg, 0.4, mask, float(valid.mean()), voting_status="trusted")


def fill(store: TileStore, columns: int = 6, rows: int = 5) -> None:
    """Tiles around the corner of four squares: some with holes, one missing."""
    places = [(i, j) for i in range(columns) for j in range(rows) if (i, j) != (4, 1)]
    store.insert([tile(X0 + i, Y0 + j, 10 * i + j, holes=(i + j) % 4 == 0) for i, j in places])


def mission(columns: int = 6, rows: int = 5, name: str = "training-1") -> MissionFile:
    """A mission whose box is these tiles."""
    corners = [[X0 * 256 + 1, (Y0 + rows) * 256 - 1], [(X0 + columns) * 256 - 1, Y0 * 256 + 1]]
    (south, west), (north, east) = geodesy.geodetic_from_mercator_px(corners, ZOOM).tolist()
    return MissionFile(name, "flight-1", (south + north) / 2, (west + east) / 2, (west, south, east, north))


def make_cache(
    store: TileStore, cache: Path, key: bytes | None = PRIVATE_KEY, pool: Pool | None = None, **wanted: Any
) -> ProvisionReport:
    """Provision the mission of `fill`."""
    memory = memory_of(store.root)
    camera = wanted.pop("camera", CAMERA)
    asked = Wanted(
        mission(),
        SOURCE,
        ZOOM,
        camera,
        "",
        memory.companion_id,
        memory.counter,
        **wanted,
    )
    return provision(store, asked, cache, pool, key)
