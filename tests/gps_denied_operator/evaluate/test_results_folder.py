"""The results folder: whole files or none, one run at a time, nothing of others touched."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.evaluate.results_folder import RECORDINGS, ResultsFolder

FILES = {"report.html": b"<p>", "results.json": b"{}", "frames.csv": b"a\n"}


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_second_run_replaces_the_results_and_keeps_recordings(tmp_path: Path) -> None:
    """The same folder can be used again: result files are replaced, finished recordings stay."""
    out = tmp_path / "a" / "out"
    with ResultsFolder(out) as folder:
        (folder.path / RECORDINGS / "one").mkdir(parents=True)
        folder.publish(FILES)
    with ResultsFolder(out) as folder:
        assert (folder.path / RECORDINGS / "one").is_dir()
        folder.publish({**FILES, "results.json": b"[]"})
    assert (out / "results.json").read_bytes() == b"[]"
    assert names(out) == {".gps-denied-output.json", RECORDINGS, *FILES}


def test_a_failed_run_leaves_what_was_there(tmp_path: Path) -> None:
    """After an error the folder holds the earlier results, or nothing at all where there were none."""
    with ResultsFolder(tmp_path / "old") as folder:
        folder.publish(FILES)
    for out in (tmp_path / "old", tmp_path / "new"):
        with pytest.raises(UserError, match="wrong"), ResultsFolder(out):
            raise UserError("wrong")
    assert names(tmp_path) == {"old"}
    assert (tmp_path / "old" / "report.html").read_bytes() == b"<p>"


def test_foreign_folders_are_refused(tmp_path: Path) -> None:
    """A folder with other things in it, or a file, is refused and not touched."""
    (tmp_path / "mine.txt").write_text("x")
    for out in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UserError, match="--out"), ResultsFolder(out):
            pass
    assert names(tmp_path) == {"mine.txt"}


def test_two_runs_on_one_folder(tmp_path: Path) -> None:
    """While one run has the folder, another is told to wait."""
    with ResultsFolder(tmp_path / "out") as first:
        with pytest.raises(UserError, match="another run is writing"), ResultsFolder(tmp_path / "out"):
            pass
        first.publish(FILES)
    assert (tmp_path / "out" / "results.json").read_bytes() == b"{}"


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    """An OSError for a full disk becomes a sentence, and no partial file stays."""
    with pytest.raises(UserError, match="is full"), ResultsFolder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == set()
