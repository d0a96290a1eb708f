"""A recording's folder that leads elsewhere: nothing but the recording is copied out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gps_denied_operator.fdr.recover import _is_plain, _no_links


def test_links_pipes_and_devices_are_not_copied(tmp_path: Path) -> None:
    """What a stranger put among the snapshots as links to this machine's own files stays out of the copy."""
    folder = tmp_path / "snapshots"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"a")
    (folder / "secret.jpg").symlink_to(tmp_path / "secret")
    (folder / "home").symlink_to(tmp_path)
    (tmp_path / "secret").write_text("secret")
    os.mkfifo(folder / "pipe.jpg")
    names = [entry.name for entry in folder.iterdir()]
    assert sorted(_no_links(str(folder), names)) == ["home", "pipe.jpg", "secret.jpg"]


@pytest.mark.parametrize("target", ["/etc/hostname", "nowhere"])
def test_a_linked_description_is_no_part_of_a_recording(tmp_path: Path, target: str) -> None:
    """The description beside the segments is copied where it is a file of the folder itself."""
    (tmp_path / "recording.json").symlink_to(target)
    assert not _is_plain(tmp_path / "recording.json")
    (tmp_path / "recording.json").unlink()
    (tmp_path / "recording.json").write_text("{}")
    assert _is_plain(tmp_path / "recording.json")
