"""What is stored comes back byte for byte, and what is wrong is not stored."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import geodetic_from_mercator_px
from gps_denied_onboard.tiles import codec, files
from gps_denied_onboard.tiles.grid import TileKey, tile_range, tile_size_m
from gps_denied_onboard.tiles.records import NewTile, TileDamagedError, TileExistsError
from gps_denied_onboard.tiles.sources import StoreTileSource
from gps_denied_onboard.tiles.store import TileStore

FLIGHT = UUID("6f1c7a52-31c5-4d0e-9b8e-2f5c5b1f9a10")


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (256, 256), dtype=np.uint8)


def tile(x: int, y: int, seed: int = 1, flight: UUID | None = None) -> NewTile:
    return NewTile(TileKey("provider", 18, x, y, flight), codec.encode_jpeg(picture(seed)), 0.5)


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[TileStore]:
    with TileStore.open(tmp_path / "store", database_url) as store:
        yield store


def test_bytes_and_columns_come_back(store: TileStore) -> None:
    """A tile's JPEG, mask and all columns that were given are read back as they were."""
    valid = np.ones((256, 256), dtype=bool)
    valid[:64] = False
    given = NewTile(
        TileKey("provider", 18, 153_000, 90_000), codec.encode_jpeg(picture(1)), 0.52, codec.encode_mask(valid), 0.75,
        datetime(2024, 5, 17, tzinfo=UTC), "trusted", {"maps": ["a"], "sharpness": 0.5},
    )  # fmt: skip
    store.insert([given])
    record = store.get(given.key)
    assert record is not None
    assert (record.captured_at, record.voting_status, record.quality_metadata, record.valid_fraction) == (
        given.captured_at, "trusted", {"maps": ["a"], "sharpness": 0.5}, 0.75,
    )  # fmt: skip
    assert record.content_sha256 == hashlib.sha256(given.jpeg).digest()
    jpeg, mask = store.read(record)
    assert bytes(jpeg) == given.jpeg
    assert mask is not None
    assert jpeg.readonly
    np.testing.assert_array_equal(codec.decode_mask(mask), valid)


def test_sidecar_is_what_sha256sum_checks(store: TileStore) -> None:
    """`sha256sum -c` accepts a tile's sidecar, image and mask both."""
    valid = np.eye(256, dtype=bool)
    store.insert([replace(tile(7, 8), mask=codec.encode_mask(valid), valid_fraction=float(valid.mean()))])
    image = store.image_path(TileKey("provider", 18, 7, 8))
    done = subprocess.run(
        ["sha256sum", "-c", files.sidecar_path(image)], cwd=image.parent, capture_output=True, text=True
    )
    assert done.stdout.split() == ["8.jpg:", "OK", "8.mask.png:", "OK"]


def test_duplicate_is_refused_and_changes_nothing(store: TileStore) -> None:
    """A second tile of one identity fails as a whole batch; old bytes stay and none of the new ones appear."""
    store.insert([tile(1, 1)])
    before = store.image_path(TileKey("provider", 18, 1, 1)).read_bytes()
    with pytest.raises(TileExistsError):
        store.insert([tile(2, 1, seed=2), tile(1, 1, seed=2)])
    assert store.image_path(TileKey("provider", 18, 1, 1)).read_bytes() == before
    assert store.get(TileKey("provider", 18, 2, 1)) is None
    assert not store.image_path(TileKey("provider", 18, 2, 1)).exists()


def test_flight_tile_stands_beside_the_providers(store: TileStore) -> None:
    """A tile made in flight has an identity and a file of its own, and is not read as the map."""
    store.insert([tile(5, 5, seed=1), tile(5, 5, seed=2, flight=FLIGHT)])
    assert store.image_path(TileKey("provider", 18, 5, 5, FLIGHT)).name == f"5-{FLIGHT}.jpg"
    found = store.query_tiles("provider", 18, 5, 5, 6, 6)
    assert sorted(str(record.key.flight_id) for record in found) == sorted(["None", str(FLIGHT)])
    read = StoreTileSource(store, "provider", 18).read_tile(5, 5)
    assert read is not None
    np.testing.assert_array_equal(read[0], codec.decode_tile(tile(5, 5, seed=1).jpeg, None)[0])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (replace(tile(1, 1), content_sha256=b"x" * 32), "not what was promised"),
        (replace(tile(1, 1), jpeg=b"<html>no such tile</html>"), "not a JPEG"),
        (replace(tile(1, 1), valid_fraction=0.5), "a mask goes with"),
        (replace(tile(1, 1), key=TileKey("../up", 18, 1, 1)), "source name"),
    ],
)
def test_what_is_not_as_claimed_is_refused(store: TileStore, bad: NewTile, message: str) -> None:
    """A broken promise, another format, a missing mask or a name that leads out is refused before any write."""
    with pytest.raises(ValueError, match=message):
        store.insert([bad])
    assert store.sources() == []
    assert list(store.root.glob("[a-z]*")) == []


def test_changed_mask_is_noticed_at_the_first_read(store: TileStore) -> None:
    """A mask that changed on disk would show map where there is none: the tile is refused as its picture would be."""
    valid = np.eye(256, dtype=bool)
    store.insert([replace(tile(3, 4), mask=codec.encode_mask(valid), valid_fraction=float(valid.mean()))])
    files.mask_path(store.image_path(TileKey("provider", 18, 3, 4))).write_bytes(codec.encode_mask(~valid))
    record = store.get(TileKey("provider", 18, 3, 4))
    assert record is not None
    with pytest.raises(TileDamagedError, match=r"mask file .* not what was stored"):
        store.read(record)


def test_bytes_of_picture_and_mask_are_counted(store: TileStore) -> None:
    """What a tile takes, and what all take, is picture and mask together."""
    valid = np.eye(256, dtype=bool)
    given = replace(tile(3, 4), mask=codec.encode_mask(valid), valid_fraction=float(valid.mean()))
    store.insert([given, tile(9, 9, seed=2)])
    record = store.get(given.key)
    assert record is not None
    assert record.size_bytes == len(given.jpeg) + len(given.mask or b"")
    assert store.totals() == (2, record.size_bytes + len(tile(9, 9, seed=2).jpeg))


def test_bounds_end_behind_the_last_tile(store: TileStore) -> None:
    """Neither end is included beyond what is stored; other sources and zooms do not count."""
    store.insert([tile(3, 8), tile(5, 6), replace(tile(50, 60), key=TileKey("other", 18, 50, 60))])
    assert store.bounds("provider", 18) == (3, 6, 6, 9)
    assert store.bounds("provider", 17) is None


def test_downgraded_is_told_of_its_own_source_and_zoom(store: TileStore) -> None:
    """One stale tile that was kept is told where it lies, and nowhere else."""
    store.insert([tile(1, 1), replace(tile(2, 1), key=TileKey("other", 18, 2, 1), freshness="downgraded")])
    assert [store.holds_downgraded(*where) for where in (("provider", 18), ("other", 18), ("other", 17))] == [
        False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("width", [3, 400])
def test_box_of_tiles_ends_before_its_far_edge(store: TileStore, width: int) -> None:
    """Narrow and wide boxes, which are asked for in different ways, hold the same tiles: x0 <= x < x1, y0 <= y < y1."""
    store.insert([tile(x, y) for x in (9, 10, 10 + width - 1, 10 + width) for y in (19, 20, 22, 23)])
    found = store.query_tiles("provider", 18, 10, 20, 10 + width, 23)
    assert [(r.key.x, r.key.y) for r in found] == [(x, y) for x in (10, 10 + width - 1) for y in (20, 22)]


def test_replaced_only_by_a_tile_of_its_own_place(store: TileStore) -> None:
    """Another place's tile is refused, and so is a replacement of what was changed since it was read."""
    store.insert([tile(1, 1)])
    record = store.get(tile(1, 1).key)
    assert record is not None
    with pytest.raises(ValueError, match="does not replace"):
        store.replace(record, tile(2, 1, seed=2))
    fresh = replace(tile(1, 1, seed=2), freshness="downgraded", parent_sigma_m=2.5, sector_class="stable_rear")
    store.replace(record, fresh)
    now = store.get(tile(1, 1).key)
    assert now is not None
    assert (now.freshness, now.parent_sigma_m, now.sector_class) == ("downgraded", 2.5, "stable_rear")
    assert now.content_sha256 == hashlib.sha256(fresh.jpeg).digest()
    with pytest.raises(ValueError, match="changed or removed"):
        store.replace(record, tile(1, 1, seed=3))


def test_changed_bytes_are_noticed_at_the_first_read(store: TileStore) -> None:
    """A file that changed on disk since it was stored is refused, and is a hole in the map."""
    store.insert([tile(3, 3), tile(4, 3)])
    image = store.image_path(TileKey("provider", 18, 3, 3))
    image.write_bytes(tile(3, 3, seed=9).jpeg)
    record = store.get(TileKey("provider", 18, 3, 3))
    assert record is not None
    with pytest.raises(TileDamagedError, match="not what was stored"):
        store.read(record)
    source = StoreTileSource(store, "provider", 18)
    assert source.read_tile(3, 3) is None
    assert source.read_tile(4, 3) is not None


def test_box_query_returns_what_the_box_touches(store: TileStore) -> None:
    """A box in degrees gives the tiles that it touches, from west to east and north to south, and no others."""
    store.insert([tile(153_000 + i, 90_000 + j) for i in range(6) for j in range(6)])
    # Middles of tiles (153001, 90002) and (153003, 90001), by pyproj.
    middles = geodetic_from_mercator_px(np.array([[153_001.5, 90_002.5], [153_003.5, 90_001.5]]) * 256.0, 18)
    mid = middles[:, 1].tolist(), middles[:, 0].tolist()
    found = store.query(mid[0][0], mid[1][0], mid[0][1], mid[1][1], 18, "provider")
    assert [(r.key.x, r.key.y) for r in found] == [(153_000 + i, 90_000 + j) for i in (1, 2, 3) for j in (1, 2)]
    assert store.bounds("provider", 18) == (153_000, 90_000, 153_006, 90_006)
    assert store.bounds("provider", 17) is None


def test_sources_lists_what_is_there(store: TileStore) -> None:
    """Every source and zoom that holds tiles is listed once."""
    store.insert([tile(1, 1), tile(2, 1), replace(tile(1, 1), key=TileKey("winter", 12, 1, 1))])
    assert store.sources() == [("provider", 18), ("winter", 12)]


def test_replacing_changes_row_and_files_together(store: TileStore) -> None:
    """A replaced tile reads as the new one, its mask goes where it is whole now, and nothing of the old one is left."""
    valid = np.eye(256, dtype=bool)
    store.insert([replace(tile(7, 8), mask=codec.encode_mask(valid), valid_fraction=float(valid.mean()))])
    old = store.get(TileKey("provider", 18, 7, 8))
    assert old is not None
    store.read(old)
    store.replace(old, tile(7, 8, seed=2))
    new = store.get(TileKey("provider", 18, 7, 8))
    assert new is not None
    assert (new.valid_fraction, new.mask_sha256) == (1.0, None)
    assert bytes(store.read(new)[0]) == tile(7, 8, seed=2).jpeg
    assert sorted(entry.name for entry in store.image_path(new.key).parent.iterdir()) == ["8.jpg", "8.jpg.sha256"]
    with pytest.raises(ValueError, match="changed or removed meanwhile"):
        store.replace(old, tile(7, 8, seed=3))
    assert bytes(store.read(new)[0]) == tile(7, 8, seed=2).jpeg


@pytest.mark.parametrize(("box", "expected"), [
    ((-180.0, -90.0, 180.0, 90.0), (0, 0, 4, 4)),
    ((0.0, 0.0, 90.0, 66.51326), (2, 1, 3, 2)),
    ((10.0, 10.0, 10.0, 10.0), (2, 1, 3, 2)),
])  # fmt: skip
def test_tile_range_of_a_box(box: tuple[float, ...], expected: tuple[int, ...]) -> None:
    """Boxes give the tiles that they touch: an edge on a tile's edge does not touch the next one."""
    assert tile_range(*box, zoom=2) == expected


def test_tile_size_is_the_ground_size() -> None:
    """A tile at 60 degrees is half as wide on the ground as one at the equator."""
    assert tile_size_m(10, 512) == pytest.approx(40_075_016.686 / 1024, rel=1e-4)
    assert tile_size_m(12, 1189) == pytest.approx(40_075_016.686 / 4096 / 2, rel=2e-3)
