"""A start looks only where something changed, and misses nothing of what a crash leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gps_denied_onboard.tiles import reconcile_checkpoint
from gps_denied_onboard.tiles.store import TileStore

from .made_tiles import tile


def aged(root: Path) -> None:
    """Put all folders' times of change a while back, as they are when the next start comes later."""
    for folder in root.rglob("*"):
        if folder.is_dir():
            os.utime(folder, (1_700_000_000, 1_700_000_000))


def test_only_changed_folders_are_looked_at(tmp_path: Path, database_url: str) -> None:
    """After a note, the folder with a file more, the one that went and the new one are those that changed."""
    with TileStore.open(tmp_path, database_url) as store:
        store.insert([tile(x, 1) for x in (1, 2, 3)])
    aged(tmp_path)
    reconcile_checkpoint.remember(tmp_path, reconcile_checkpoint.folder_times(tmp_path))
    assert reconcile_checkpoint.changed_folders(tmp_path) == []
    base = tmp_path / "provider" / "18"
    (base / "2" / "9.jpg").write_bytes(b"left by a crash")
    for file in (base / "3").iterdir():
        file.unlink()
    (base / "3").rmdir()
    (base / "7").mkdir()
    assert reconcile_checkpoint.changed_folders(tmp_path) == [base / "2", base / "3", base / "7"]
    with TileStore.open(tmp_path, database_url) as store:
        assert [r.key.x for r in store.query_tiles("provider", 18, 0, 0, 99, 99)] == [1, 2]
        assert not (base / "2" / "9.jpg").exists()


def test_a_change_within_the_clocks_step_is_looked_at_again(tmp_path: Path, database_url: str) -> None:
    """Folders that changed just before the note are not trusted; without a note nothing is."""
    assert reconcile_checkpoint.changed_folders(tmp_path) is None
    with TileStore.open(tmp_path, database_url) as store:
        store.insert([tile(1, 1)])
        reconcile_checkpoint.remember(tmp_path, reconcile_checkpoint.folder_times(tmp_path))
        assert reconcile_checkpoint.changed_folders(tmp_path) == [tmp_path / "provider" / "18" / "1"]


def test_what_another_crashed_with_is_not_vouched_for(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that was open while another process died, and wrote there later, leaves the folder to the next start."""
    monkeypatch.setattr(reconcile_checkpoint, "CLOCK_STEP_NS", 0)
    with TileStore.open(tmp_path, database_url) as store:
        store.insert([tile(x, 1) for x in (1, 2, 3)])
    base = tmp_path / "provider" / "18"
    with TileStore.open(tmp_path, database_url) as store:
        (base / "2" / "9.jpg").write_bytes(b"left by another's crash")
        store.insert([tile(1, 5), tile(2, 5)])
    assert reconcile_checkpoint.changed_folders(tmp_path) == [base / "2"]
    with TileStore.open(tmp_path, database_url) as store:
        assert not (base / "2" / "9.jpg").exists()
        assert len(store.query_tiles("provider", 18, 0, 0, 99, 99)) == 5
