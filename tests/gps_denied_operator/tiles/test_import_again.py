"""Imports that are repeated, interrupted, laid beside each other or run at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_onboard.tiles.sources import StoreTileSource
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.admission import Admission
from gps_denied_operator.tiles.importer import import_map
from gps_denied_operator.tiles.makers import open_map

from ...full_disk import fill_for
from . import drawn_maps
from .conftest import Import
from .drawn_maps import draw, eight_bit

KILLED_IMPORT = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_operator.tiles.admission import Admission
from gps_denied_operator.tiles.importer import import_map
from gps_denied_operator.tiles.makers import open_map

def stop(done, total):
    if 0 < done < total:
        os.kill(os.getpid(), signal.SIGKILL)

path = Path(sys.argv[1])
with TileStore.open(Path(sys.argv[2]), sys.argv[3]) as store:
    admission = Admission(store, TilesConfig(), lambda: datetime.now(UTC))
    import_map(store, open_map(path, None), path, admission, progress=stop)
"""


def contents(store: TileStore) -> dict[str, bytes]:
    return {
        str(path.relative_to(store.root)): path.read_bytes()
        for path in (store.root / "provider").rglob("*")
        if path.is_file()
    }


def sheet(path: Path, columns: slice) -> Path:
    """Write a map sheet: some columns of the drawn map, the rest not there."""
    drawn = draw(path.with_suffix(".whole.tif"), eight_bit()[None])
    with rasterio.open(drawn.path) as whole:
        width = columns.stop - columns.start
        window = rasterio.windows.Window(columns.start, 0, width, drawn_maps.HEIGHT)
        profile = whole.profile | {
            "width": width,
            "transform": whole.transform @ rasterio.Affine.translation(columns.start, 0),
        }
        with rasterio.open(path, "w", **profile) as part:
            part.write(whole.read(window=window))
    return path


def test_second_import_changes_nothing(tmp_path: Path, store: TileStore, put: Import) -> None:
    """The same map again is an idempotent no-op that reports the same area and leaves every byte."""
    path = draw(tmp_path / "map.tif", eight_bit()[None]).path
    first = put(path)
    before = contents(store)
    again = put(path)
    assert (first.outcome, again.outcome) == ("success", "idempotent_no_op")
    assert (again.tiles_written, again.bytes_written) == (0, 0)
    assert (
        again.tiles_already_stored
        == first.tiles_written
        == len(before) // 2 - sum("mask" in name for name in before) // 2
    )
    assert (again.bounds_deg, again.zoom, again.tiles_in_area) == (first.bounds_deg, first.zoom, first.tiles_in_area)
    assert contents(store) == before


def test_killed_import_goes_on(tmp_path: Path, database_url: str) -> None:
    """An import that is killed half-way leaves whole tiles; run again, it ends with the same bytes as one in one go."""
    path = draw(tmp_path / "map.tif", np.tile(eight_bit(), (1, 3, 3))).path
    root = tmp_path / "store"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IMPORT, path, root, database_url], env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    with TileStore.open(root, database_url) as store, closing(open_map(path, None)) as maker:
        admission = Admission(store, TilesConfig(), lambda: datetime(2026, 6, 1, tzinfo=UTC))
        report = import_map(store, maker, path, admission)
        resumed = contents(store)
        assert report.outcome == "success"
        assert report.tiles_already_stored > 0
        assert report.tiles_written > 0
        with closing(open_map(path, None)) as other:
            import_map(store, other, path, admission, source="second")
        once = {name.replace("second/", "provider/"): (store.root / name).read_bytes() for name in map(
            str, (p.relative_to(root) for p in (root / "second").rglob("*") if p.is_file()))}  # fmt: skip
    assert resumed == once


def test_sheets_meet_without_a_seam(tmp_path: Path, store: TileStore, put: Import) -> None:
    """Two sheets that meet inside of tiles fill each other's tiles up: the map is whole across the seam."""
    put(draw(tmp_path / "whole.tif", eight_bit()[None]).path, source="whole")
    west = put(sheet(tmp_path / "west.tif", slice(0, 230)))
    east = put(sheet(tmp_path / "east.tif", slice(230, drawn_maps.WIDTH)))
    assert west.tiles_merged == 0
    assert east.tiles_merged > 0
    maps = []
    for name in ("whole", "provider"):
        mosaic = MapMosaic(StoreTileSource(store, name, east.zoom))
        x0, y0, x1, y1 = mosaic.bounds_px(0)
        maps.append(mosaic.window(0, x0, y0, x1 - x0, y1 - y0))
    assert (maps[0][1] != maps[1][1]).mean() < 2e-3
    both = maps[0][1] & maps[1][1]
    assert np.abs(maps[0][0].astype(int) - maps[1][0])[both].mean() < 2.0
    assert put(tmp_path / "east.tif").outcome == "idempotent_no_op"
    assert put(tmp_path / "west.tif").outcome == "idempotent_no_op"


def test_another_map_of_the_same_place_is_kept_out(tmp_path: Path, store: TileStore, put: Import) -> None:
    """A new map where the source has tiles of another one is refused by name, and goes under a name of its own."""
    flat = np.full((1, drawn_maps.HEIGHT, drawn_maps.WIDTH), 90, dtype=np.uint8)
    put(draw(tmp_path / "old.tif", flat).path)
    before = contents(store)
    new = draw(tmp_path / "new.tif", eight_bit()[None]).path
    with pytest.raises(UserError, match=r"holds tiles of another map everywhere.*--source NAME"):
        put(new)
    assert contents(store) == before
    assert put(new, source="new").outcome == "success"


def test_a_map_far_away_needs_its_own_name(tmp_path: Path, put: Import) -> None:
    """A map 1,000 km from what a source holds is refused: it is the wrong map, or belongs under another name."""
    tiles, _ = drawn_maps.xyz_tiles(17)
    drawn_maps.write_mbtiles(tmp_path / "here.mbtiles", 17, tiles)
    drawn_maps.write_mbtiles(tmp_path / "far.mbtiles", 17, {(x + 5000, y): tile for (x, y), tile in tiles.items()})
    put(tmp_path / "here.mbtiles")
    with pytest.raises(UserError, match="km from what source 'provider' holds"):
        put(tmp_path / "far.mbtiles")


def test_two_imports_at_once_take_turns(tmp_path: Path, store: TileStore, database_url: str, put: Import) -> None:
    """While one process imports, a second import is refused with the first one's map, and works afterwards."""
    path = draw(tmp_path / "map.tif", eight_bit()[None]).path
    with (
        TileStore.open(store.root, database_url) as other,
        other.writing("import of south.tif"),
        pytest.raises(UserError, match=r"is being written by process \d+ \(import of south.tif\)"),
    ):
        put(path)
    assert put(path).outcome == "success"


def test_full_disk_can_be_resumed(
    tmp_path: Path, store: TileStore, put: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk fills up on the way, the sentence says so; with space again the same command ends the work."""
    path = draw(tmp_path / "map.tif", eight_bit()[None]).path
    first = put(path, source="plain")
    with monkeypatch.context() as full:
        fill_for(".jpg.unfinished", full)
        with pytest.raises(UserError, match="is full: nothing half-written"):
            put(path)
    assert list((store.root / "provider").rglob("*.jpg")) == []
    assert put(path).tiles_written == first.tiles_written
