"""Other zooms of the stored map: where the ground lies in them, how the whole of it looks, and what is not there."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import cv2
import numpy as np
import pytest

from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.pyramid import EMPTY_GREY, Pyramid

ZOOM = 18
X0, Y0 = 158_080, 90_368  # a corner of a tile seven zooms lower, as both are multiples of 128
Add = Callable[..., None]


def flat(grey: int) -> bytes:
    return cv2.imencode(".jpg", np.full((256, 256), grey, np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


@pytest.fixture
def add(store: TileStore) -> Add:
    """Return how to store tiles of one grey each: {(x, y): grey} from the corner on."""

    def insert(greys: dict[tuple[int, int], int], zoom: int = ZOOM, flight: bool = False) -> None:
        of = uuid4() if flight else None
        store.insert([
            NewTile(TileKey("provider", zoom, (X0 >> (ZOOM - zoom)) + x, (Y0 >> (ZOOM - zoom)) + y, flight_id=of),
                    flat(grey), 0.4)
            for (x, y), grey in greys.items()
        ])  # fmt: skip

    return insert


def shown(pyramid: Pyramid, down: int, x: int = 0, y: int = 0) -> np.ndarray:
    data = pyramid.tile("provider", ZOOM - down, (X0 >> down) + x, (Y0 >> down) + y)
    assert data is not None
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


def test_a_lower_zoom_is_made_of_the_next_ones(store: TileStore, add: Add) -> None:
    """Each of four tiles fills its quarter, what is missing stays empty, what is stored comes byte for byte."""
    add({(0, 0): 40, (1, 0): 90, (0, 1): 140})
    pyramid = Pyramid(store)
    picture = shown(pyramid, 1)
    means = [picture[y : y + 100, x : x + 100].mean() for x, y in ((14, 14), (142, 14), (14, 142), (142, 142))]
    assert means == pytest.approx([40, 90, 140, EMPTY_GREY], abs=2)
    assert pyramid.tile("provider", ZOOM, X0, Y0) == flat(40)


def test_the_whole_map_is_seen_far_out(store: TileStore, add: Add) -> None:
    """Seven zooms out one tile stands for a block of sixteen, at its place; eighteen zooms out it is still there."""
    add({(0, 0): 30, (127, 0): 80, (64, 64): 120})
    pyramid = Pyramid(store)
    picture = shown(pyramid, 7)
    assert [int(np.median(picture[p])) for p in (np.s_[1:7, 1:7], np.s_[1:7, 249:255], np.s_[129:135, 129:135])] == (
        pytest.approx([30, 80, 120], abs=6)
    )
    assert picture[60, 60] == pytest.approx(EMPTY_GREY, abs=3)
    assert pyramid.tile("provider", 0, 0, 0) is not None


def test_a_higher_zoom_is_the_stored_tile_enlarged(store: TileStore) -> None:
    """A quarter of the tile fills the next zoom, a sixteenth the one after: the one that lies there."""
    blocks = np.arange(16, dtype=np.uint8).reshape(4, 4) * 15 + 10
    jpeg = cv2.imencode(".jpg", blocks.repeat(64, 0).repeat(64, 1), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    store.insert([NewTile(TileKey("provider", ZOOM, X0, Y0), jpeg, 0.4)])
    pyramid = Pyramid(store)
    quarter = shown_above(pyramid, 1, 1, 0)
    assert [quarter[60, 60], quarter[60, 190], quarter[190, 60]] == pytest.approx([40, 55, 100], abs=4)
    assert np.median(shown_above(pyramid, 2, 3, 2)) == pytest.approx(blocks[2, 3], abs=4)


def shown_above(pyramid: Pyramid, up: int, x: int, y: int) -> np.ndarray:
    data = pyramid.tile("provider", ZOOM + up, (X0 << up) + x, (Y0 << up) + y)
    assert data is not None
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE).astype(int)


def test_what_is_not_there_is_none(store: TileStore, add: Add) -> None:
    """No map beside the map, none far above the stored zoom, none of another source, none outside the grid."""
    add({(0, 0): 30})
    pyramid = Pyramid(store)
    assert pyramid.tile("provider", ZOOM - 2, (X0 >> 2) + 1, Y0 >> 2) is None
    assert pyramid.tile("provider", ZOOM + 1, X0 * 2 + 2, Y0 * 2) is None
    assert pyramid.tile("provider", ZOOM + 5, X0 * 32, Y0 * 32) is None
    assert pyramid.tile("other", ZOOM - 1, X0 >> 1, Y0 >> 1) is None
    assert pyramid.tile("provider", 3, 9, 0) is None


def test_a_new_tile_is_seen_at_once_and_a_flights_own_is_not_the_map(store: TileStore, add: Add) -> None:
    """What was made before is made again after the store has changed; tiles of flights stay out of it."""
    add({(0, 0): 30})
    pyramid = Pyramid(store)
    assert shown(pyramid, 1)[200, 200] == pytest.approx(EMPTY_GREY, abs=3)
    add({(1, 1): 77})
    assert shown(pyramid, 1)[200, 200] == pytest.approx(77, abs=3)
    add({(1, 0): 10}, flight=True)
    assert shown(pyramid, 1)[60, 200] == pytest.approx(EMPTY_GREY, abs=3)


def test_looking_does_not_count_as_use(store: TileStore, add: Add) -> None:
    """After a look at lower zooms no tile has been read as far as `gc` knows."""
    add({(0, 0): 30, (1, 1): 60})
    shown(Pyramid(store), 3)
    store.flush_accesses()
    with store.connection() as connection:
        row = connection.execute("SELECT count(*) FROM tiles WHERE last_access_at IS NOT NULL").fetchone()
    assert row == (0,)
