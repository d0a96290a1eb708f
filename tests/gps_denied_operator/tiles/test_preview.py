"""`tiles serve`: what a browser and a ground station get, and what a stranger does not."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.preview import Preview

from .providers import X0, Y0, ZOOM, picture, serving


@pytest.fixture
def address(store: TileStore) -> Iterator[str]:
    """Serve a store of 4 x 4 tiles, one of them downgraded; give its address."""
    tiles = [NewTile(TileKey("provider", ZOOM, X0 + x, Y0 + y), picture(x * 4 + y), 0.4)
             for x in range(4) for y in range(4)]  # fmt: skip
    tiles[4] = replace(tiles[4], captured_at=datetime(2026, 4, 1, 9, tzinfo=UTC))
    store.insert([replace(tiles[0], freshness="downgraded"), *tiles[1:]])
    with serving(Preview(store).app) as address:
        yield address


def test_pictures_and_lists_are_those_of_the_store(address: str) -> None:
    """Tiles come byte for byte by XYZ address; the list tells labels; what is not there is 404."""
    with httpx.Client(base_url=address, trust_env=False) as client:
        assert client.get(f"/tiles/provider/{ZOOM}/{X0 + 1}/{Y0 + 2}.jpg").content == picture(6)
        assert client.get(f"/tiles/provider/{ZOOM}/{X0 + 9}/{Y0}.jpg").status_code == 404
        assert client.get("/tiles/provider/99/1/1.jpg").status_code == 404
        box = {"source": "provider", "zoom": ZOOM, "x0": X0, "y0": Y0, "x1": X0 + 2, "y1": Y0 + 1}
        listed = [[X0, Y0, "downgraded", None], [X0 + 1, Y0, "fresh", "2026-04-01"]]
        assert client.get("/api/tiles", params=box).json() == {"tiles": listed, "all": True}
        assert client.get("/api/tiles", params=box | {"zoom": "all"}).status_code == 422
        assert client.get("/api/overview").json()["sources"][0]["tiles"] == 16


def test_another_name_for_this_machine_is_refused(address: str) -> None:
    """A request under a foreign host name, as a rebinding attack makes it, gets nothing."""
    with httpx.Client(base_url=address, trust_env=False) as client:
        assert client.get("/", headers={"host": "evil.example.org"}).status_code == 400
        assert "default-src 'self'" in client.get("/").headers["content-security-policy"]


QGC_HEADERS = {"accept": "*/*", "user-agent": "Mozilla/5.0 (X11; Linux) Gecko/20100101", "connection": "keep-alive"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "tiles.localhost"])
def test_a_ground_station_gets_its_tiles(host: str, address: str) -> None:
    """QGroundControl puts numbers into the address of its setting and knows a picture by its first bytes."""
    port = address.rpartition(":")[2]
    given = "/tiles/provider/{zoom}/{x}/{y}.jpg"
    path = given.replace("{x}", str(X0)).replace("{y}", str(Y0)).replace("{zoom}", str(ZOOM))
    with httpx.Client(base_url=address, trust_env=False, headers=QGC_HEADERS | {"host": f"{host}:{port}"}) as client:
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert answer.content.startswith(b"\xff\xd8\xff")
        assert client.get(path.replace(f"/{X0}/", f"/{X0 + 99}/")).status_code == 404


def test_a_real_browser_shows_the_map(address: str, tmp_path: Path) -> None:
    """In Chromium the page draws the tiles: the screenshot holds their texture, not one colour."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here: install it (apt-get install chromium) to look at the map in a browser")
    shot = tmp_path / "shot.png"
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}",
             "--disable-background-networking", "--window-size=1000,800", "--virtual-time-budget=5000",
             "--no-proxy-server", f"--screenshot={shot}", address],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    image = cv2.imread(str(shot))
    assert image is not None
    map_part = image[300:600, 350:650]
    assert float(np.std(cv2.cvtColor(map_part, cv2.COLOR_BGR2GRAY))) > 30.0
    orange = np.all(np.abs(image.astype(int) - (0, 138, 224)) < 12, axis=-1)
    assert np.count_nonzero(orange) > 100  # the downgraded tile's frame
