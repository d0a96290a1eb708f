"""At a start, rows and files are made to agree, strangers are left alone, and halves of two stores are not joined."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec, files
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore

GREY = np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)
VALID = np.tri(256, dtype=bool)


def filled(root: Path, url: str) -> None:
    """Make a store of six tiles, y 0 to 5; the odd ones have a mask."""
    with TileStore.open(root, url) as store:
        store.insert([
            NewTile(
                TileKey("provider", 18, 2, y), codec.encode_jpeg(GREY), 0.5,
                codec.encode_mask(VALID) if y % 2 else None,
                float(VALID.mean()) if y % 2 else 1.0,
            )
            for y in range(6)
        ])  # fmt: skip


def rows(root: Path, url: str) -> list[int]:
    with TileStore.open(root, url) as store:
        return [record.key.y for record in store.query_tiles("provider", 18, 0, 0, 10, 10)]


def test_orphans_are_removed_with_a_log_line_each(
    tmp_path: Path, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows whose image or mask is gone and files that no row knows are removed; other people's files stay."""
    filled(tmp_path, database_url)
    folder = tmp_path / "provider" / "18" / "2"
    (folder / "0.jpg").unlink()
    (folder / "1.mask.png").unlink()
    (folder / "77.jpg").write_bytes(b"from a crash")
    (folder / ".8.jpg.unfinished").write_bytes(b"from a crash")
    (folder / "notes.txt").write_text("mine")
    (tmp_path / "provider" / "18" / "5").mkdir()
    (tmp_path / "provider" / "18" / "5" / "6.jpg.sha256").write_bytes(b"from a crash")
    with caplog.at_level(logging.WARNING):
        assert rows(tmp_path, database_url) == [2, 3, 4, 5]
    left = {file.name for file in folder.iterdir()}
    assert left == {"notes.txt", *(f"{y}.jpg" for y in range(2, 6)), *(f"{y}.jpg.sha256" for y in range(2, 6)),
                    "3.mask.png", "5.mask.png"}  # fmt: skip
    assert sum("row without its files" in line for line in caplog.messages) == 2
    assert sum("file without a row" in line for line in caplog.messages) == 6
    caplog.clear()
    assert rows(tmp_path, database_url) == [2, 3, 4, 5]
    assert caplog.messages == []


def test_lost_sidecar_is_written_again(tmp_path: Path, database_url: str) -> None:
    """A sidecar that is gone comes back where the image is the stored one; where it is not, the tile goes."""
    filled(tmp_path, database_url)
    folder = tmp_path / "provider" / "18" / "2"
    before = (folder / "3.jpg.sha256").read_bytes()
    (folder / "3.jpg.sha256").unlink()
    (folder / "4.jpg.sha256").unlink()
    (folder / "4.jpg").write_bytes(codec.encode_jpeg(GREY[::-1]))
    assert rows(tmp_path, database_url) == [0, 1, 2, 3, 5]
    assert (folder / "3.jpg.sha256").read_bytes() == before
    assert not (folder / "4.jpg").exists()


def test_folder_without_its_database_keeps_its_tiles(tmp_path: Path, database_url: str) -> None:
    """A folder of tiles opened with an empty database is refused, not emptied; so is a plain folder of tiles."""
    image = files.image_path(tmp_path, TileKey("provider", 18, 2, 3))
    jpeg = codec.encode_jpeg(GREY)
    files.write_files(files.tile_files(image, jpeg, None, (hashlib.sha256(jpeg).digest(), None)))
    with pytest.raises(UserError, match="their database is not here"):
        TileStore.open(tmp_path, database_url)
    (tmp_path / ".store-id").write_text("0d3f5f0e-7a52-4c0e-8a3c-0f4f3c1b2a10\n")
    with pytest.raises(UserError, match="their database is not here"):
        TileStore.open(tmp_path, database_url)
    assert image.exists()


def test_database_of_another_folder_keeps_its_rows(tmp_path: Path, database_url: str) -> None:
    """A database that is opened with another folder, empty or not, is refused and keeps its rows."""
    filled(tmp_path / "mine", database_url)
    for name in ("empty", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / ".store-id").write_text("0d3f5f0e-7a52-4c0e-8a3c-0f4f3c1b2a10\n")
    for name in ("empty", "other"):
        with pytest.raises(UserError, match="belongs to a tile store in another folder"):
            TileStore.open(tmp_path / name, database_url)
    assert rows(tmp_path / "mine", database_url) == [0, 1, 2, 3, 4, 5]


def test_moved_folder_is_still_the_store(tmp_path: Path, database_url: str) -> None:
    """A store's folder may be moved, as long as its database is given with it."""
    filled(tmp_path / "here", database_url)
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert rows(tmp_path / "there", database_url) == [0, 1, 2, 3, 4, 5]


def test_a_start_beside_a_writer_removes_nothing(tmp_path: Path, database_url: str) -> None:
    """While another process writes, its files have no rows yet: a start leaves them alone."""
    filled(tmp_path, database_url)
    pending = tmp_path / "provider" / "18" / "2" / "9.jpg"
    with TileStore.open(tmp_path, database_url) as store, store.writing("import"):
        pending.write_bytes(b"not committed yet")
        assert rows(tmp_path, database_url) == [0, 1, 2, 3, 4, 5]
        assert pending.exists()
    assert rows(tmp_path, database_url) == [0, 1, 2, 3, 4, 5]
    assert not pending.exists()
