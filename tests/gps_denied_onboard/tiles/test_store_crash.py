"""A process that is killed at any moment of a write leaves both row and files of a tile, or neither."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec, files
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.store import TileStore

from ...full_disk import fill_for

VALID = np.tri(256, dtype=bool)
KEY = TileKey("provider", 18, 9, 9)


def tile(y: int, seed: int, *, whole: bool = True) -> NewTile:
    grey = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    made = NewTile(replace(KEY, y=y), codec.encode_jpeg(grey), 0.5)
    return made if whole else replace(made, mask=codec.encode_mask(VALID), valid_fraction=float(VALID.mean()))


def killed_at(step: int | None, work: Callable[[], None]) -> bool:
    """Run work in a child that kills itself before its step-th touch of a tile file; return whether it did."""
    child = os.fork()
    if child == 0:
        seen = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event in {"open", "os.rename", "os.remove", "os.link"} and "/18/9" in str(arguments[0]):
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(count)
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}
    return status == signal.SIGKILL


def held(root: Path, url: str) -> dict[int, str]:
    """Return the digests of what a freshly opened store holds, and check that it and the folder agree about it."""
    with TileStore.open(root, url) as store:
        records = store.query_tiles("provider", 18, 9, 0, 10, 100)
        wanted = set()
        for record in records:
            store.read(record)
            image = store.image_path(record.key)
            wanted |= {image, files.sidecar_path(image)}
            wanted |= {files.mask_path(image)} if record.mask_sha256 else set()
            assert files.sidecar_path(image).read_bytes() == files.sidecar_text(
                image, record.content_sha256, record.mask_sha256
            )
        assert {path for path in root.rglob("*") if "/18/9/" in str(path)} == wanted
        return {record.key.y: record.content_sha256.hex()[:8] for record in records}


def digest(made: NewTile) -> str:
    return hashlib.sha256(made.jpeg).hexdigest()[:8]


@pytest.mark.slow
def test_killed_insert_leaves_all_or_nothing(tmp_path: Path, database_url: str) -> None:
    """Killed before each touch of a file in turn, an insert of two tiles leaves neither; unharmed, it leaves both."""
    new = [tile(3, 3), tile(4, 4, whole=False)]
    before = {9: digest(tile(9, 1))}
    with TileStore.open(tmp_path, database_url) as store:
        store.insert([tile(9, 1)])

    def work() -> None:
        with TileStore.open(tmp_path, database_url) as store:
            store.insert(new)

    step, outcomes = 1, []
    while killed_at(step, work):
        outcomes.append(held(tmp_path, database_url))
        step += 1
    # Writing, waiting for and renaming five files, and their folder: 16 touches at least.
    assert step > 16
    assert outcomes == [before] * (step - 1)
    assert held(tmp_path, database_url) == before | {3: digest(new[0]), 4: digest(new[1])}


@pytest.mark.slow
def test_killed_replacement_leaves_the_old_or_the_new(tmp_path: Path, database_url: str) -> None:
    """Killed before each touch of a file in turn, a replacement leaves the old tile, or after the commit the new."""
    old, new = tile(9, 1), tile(9, 2, whole=False)
    with TileStore.open(tmp_path, database_url) as store:
        store.insert([old])

    def work() -> None:
        with TileStore.open(tmp_path, database_url) as store:
            record = store.get(KEY)
            assert record is not None
            store.replace(record, new)

    step, outcomes = 1, []
    while killed_at(step, work):
        outcomes.append(held(tmp_path, database_url)[9])
        step += 1
        if outcomes[-1] == digest(new):
            break
    assert step > 12
    assert outcomes == [digest(old)] * (len(outcomes) - 1) + [digest(new)]


def test_full_disk_leaves_nothing_half_written(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk is full while the last file of a batch is written, no tile of it stays; the sentence says so."""
    with TileStore.open(tmp_path, database_url) as store:
        store.insert([tile(9, 1)])
        with monkeypatch.context() as full:
            fill_for("/.4.jpg.sha256.unfinished", full)
            with pytest.raises(UserError, match=r"is full: nothing half-written"):
                store.insert([tile(3, 3), tile(4, 4)])
    assert held(tmp_path, database_url) == {9: digest(tile(9, 1))}


def test_a_second_writer_is_told_who_writes(tmp_path: Path, database_url: str) -> None:
    """While one process holds the right to write, another is refused with the first one's number and task."""
    with TileStore.open(tmp_path, database_url) as first, TileStore.open(tmp_path, database_url) as second:
        with (
            first.writing("import of north.tif"),
            pytest.raises(UserError, match=rf"process {os.getpid()} \(import of north.tif\)"),
            second.writing("import of south.tif", timeout_s=0.0),
        ):
            pass
        second.insert([tile(1, 1)])
