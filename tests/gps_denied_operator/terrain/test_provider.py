"""Heights from the provider: those of its grid, fetched once, and none where it has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.grid_heights import grid_heights_amsl_m
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.tiles.terrain_file import write_terrain
from gps_denied_operator.terrain.library import mission_heights
from gps_denied_operator.terrain.provider import fetch_heights
from gps_denied_sim.provider.faults import Faults
from gps_denied_sim.provider.serve import provider_app, running

from . import making

KEY = "planted-api-key-of-the-heights"
BOX = (36.95, 48.95, 37.02, 49.0)


def made_grid() -> TerrainGrid:
    latitudes = 48.8 + np.arange(1000)[:, None] / 3600.0
    longitudes = 36.8 + np.arange(1100)[None, :] / 3600.0
    return TerrainGrid(48.8, 36.8, 1 / 3600, 1 / 3600, making.hill(latitudes, longitudes).astype("<f4"), 8.0)


@contextmanager
def provider(folder: Path, heights: TerrainGrid | None) -> Iterator[str]:
    (folder / "tiles" / "3" / "0").mkdir(parents=True, exist_ok=True)
    picture = np.full((256, 256), 90, dtype=np.uint8)
    (folder / "tiles" / "3" / "0" / "0.jpg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    if heights is not None:
        write_terrain(folder / "a.grid", heights)
    app = provider_app(folder / "tiles", KEY, Faults(), heights=None if heights is None else folder / "a.grid")
    with running(app) as port:
        yield f"http://127.0.0.1:{port}"


def test_they_are_those_of_the_provider(tmp_path: Path) -> None:
    """Box and margin hold the provider's heights to centimetres, with its sigma; a second fetch asks for no tile."""
    grid = made_grid()
    with provider(tmp_path, grid) as url:
        first = fetch_heights(url, KEY, None, BOX, tmp_path / "store")
        second = fetch_heights(url, KEY, None, BOX, tmp_path / "store")
    assert (first["outcome"], second["outcome"]) == ("success", "idempotent_no_op")
    found = mission_heights(tmp_path / "store", BOX)
    assert found is not None
    assert (found.grid.sigma_m, found.holes_share) == (8.0, 0.0)
    rng = np.random.default_rng(9)
    latitudes, longitudes = rng.uniform(48.935, 49.015, 3000), rng.uniform(36.93, 37.04, 3000)
    here = grid_heights_amsl_m(found.grid, latitudes, longitudes)
    assert np.abs(here - grid_heights_amsl_m(grid, latitudes, longitudes)).max() < 0.1


def test_a_provider_without_heights_of_the_place(tmp_path: Path) -> None:
    """A provider without any, and one whose heights lie elsewhere, give none; the flight is over flat ground."""
    with provider(tmp_path, None) as url:
        assert fetch_heights(url, KEY, None, BOX, tmp_path / "store")["outcome"] == "skipped"
    elsewhere = TerrainGrid(10.0, 10.0, 0.01, 0.01, np.full((30, 30), 99.0, dtype="<f4"), 8.0)
    with provider(tmp_path, elsewhere) as url:
        assert fetch_heights(url, KEY, None, BOX, tmp_path / "store")["outcome"] == "skipped"
    assert mission_heights(tmp_path / "store", BOX) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"datum": "egm96"}',
     b'{"datum": "sea", "sigma_m": 9.0, "zoom_min": 8, "zoom_max": 13, "version": "a"}',
     b'{"datum": "egm96", "sigma_m": 0.0, "zoom_min": 8, "zoom_max": 13, "version": "a"}',
     b'{"datum": "egm96", "sigma_m": NaN, "zoom_min": 8, "zoom_max": 13, "version": "a"}',
     b'{"datum": "egm96", "sigma_m": 9.0, "zoom_min": 13, "zoom_max": 8, "version": "a"}',
     b'{"datum": "egm96", "sigma_m": 9.0, "zoom_min": -1, "zoom_max": 900, "version": "a"}',
     b'{"datum": "egm96", "sigma_m": 9.0, "zoom_min": 8, "zoom_max": 13, "version": "../../x"}',
     b'{"a": "' + b"x" * 100_000 + b'"}'],
)  # fmt: skip
def test_a_hostile_description_is_refused(tmp_path: Path, body: bytes) -> None:
    """What is no description of heights is one sentence, and nothing is kept."""
    app: Any = Starlette(routes=[Route("/api/heights", lambda _request: Response(body))])
    with running(app) as port, pytest.raises(UserError):
        fetch_heights(f"http://127.0.0.1:{port}", "", None, BOX, tmp_path)
    assert not (tmp_path / "terrain").exists()


def test_hostile_tiles_are_no_heights(tmp_path: Path) -> None:
    """Tiles that are pictures, huge or broken give no heights, whatever the description says."""
    told = b'{"datum": "egm96", "sigma_m": 9.0, "zoom_min": 8, "zoom_max": 13, "version": "a"}'
    picture = making.tile_png(np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8))
    app: Any = Starlette(
        routes=[
            Route("/api/heights", lambda _request: Response(told)),
            Route("/heights/{zoom}/{x}/{y}", lambda _request: Response(picture)),
        ]
    )
    with running(app) as port, pytest.raises(UserError, match="no Terrarium or Mapbox"):
        fetch_heights(f"http://127.0.0.1:{port}", "", None, BOX, tmp_path)
    assert not (tmp_path / "terrain").exists()
