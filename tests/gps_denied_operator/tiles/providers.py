"""Providers for the tests of the tile manager: real servers on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_operator.tiles.download import Area
from gps_denied_operator.tiles.feeds import ProviderFeed
from gps_denied_operator.tiles.http import RetrySchedule
from gps_denied_sim.provider.faults import App, Faults, FaultyApp
from gps_denied_sim.provider.serve import provider_app, running

KEY = "planted-api-key-5b1f9a10"
ZOOM = 18
X0, Y0 = 157_900, 90_200  # about 49 degrees north
QUICK = RetrySchedule(attempts=12, wait_first_s=0.01, wait_cap_s=0.05, timeout_s=5.0, body_timeout_s=5.0)


@cache
def picture(seed: int) -> bytes:
    """Return the JPEG of a coarse noise, some kilobytes."""
    grey = np.random.default_rng(seed).integers(0, 256, (64, 64), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    return cv2.imencode(".jpg", grey)[1].tobytes()


def offer_folder(folder: Path, count: int, **known: object) -> Path:
    """Make a provider's folder of count x count tiles; `known` goes into catalogue.json."""
    for x in range(X0, X0 + count):
        (folder / str(ZOOM) / str(x)).mkdir(parents=True, exist_ok=True)
        for y in range(Y0, Y0 + count):
            (folder / str(ZOOM) / str(x) / f"{y}.jpg").write_bytes(picture((x * 31 + y) % 50))
    (folder / "catalogue.json").write_text(json.dumps(known))
    return folder


def area(count: int, **changes: object) -> Area:
    """Return the area of count x count tiles."""
    corners = [[X0 * TILE_PX + 1, (Y0 + count) * TILE_PX - 1], [(X0 + count) * TILE_PX - 1, Y0 * TILE_PX + 1]]
    (south, west), (north, east) = geodesy.geodetic_from_mercator_px(corners, ZOOM).tolist()
    return Area(west, south, east, north, ZOOM, **changes)  # type: ignore[arg-type]


@contextmanager
def provider(tiles: Path, faults: Faults | None = None, seed: int = 0) -> Iterator[tuple[str, FaultyApp]]:
    """Run a provider; give its address and application."""
    app = provider_app(tiles, KEY, faults or Faults(), seed)
    with running(app) as port:
        yield f"http://127.0.0.1:{port}", app


@contextmanager
def feed(url: str, schedule: RetrySchedule = QUICK, key: str = KEY, ca: Path | None = None) -> Iterator[ProviderFeed]:
    """Open the provider's feed."""
    made = ProviderFeed(url, ZOOM, key, ca, schedule, 4)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def serving(app: App) -> Iterator[str]:
    """Run any application; give its address."""
    with running(app) as port:
        yield f"http://127.0.0.1:{port}"
