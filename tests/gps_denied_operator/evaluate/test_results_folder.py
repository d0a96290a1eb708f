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


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (b'{"evaluation": "flights", "configuration_sha256": "bbbb"}', "another configuration"),
        (b'{"evaluation": "campaign", "configuration_sha256": "aaaa"}', "a result of `evaluate campaign`"),
        (b'{"error_m": 1}', "does not name its configuration"),
        (b"{", "does not name its configuration"),
    ],
)
def test_a_result_of_another_configuration_is_kept(tmp_path: Path, held: bytes, said: str) -> None:
    """It is refused with what to do, stays as it is, and goes only when that is asked for."""
    with ResultsFolder(tmp_path / "out") as folder:
        folder.publish({**FILES, "results.json": held})
    with pytest.raises(UserError, match=f"{said}.* --replace"), ResultsFolder(tmp_path / "out") as folder:
        folder.keep_others("flights", "aaaa", False)
    assert (tmp_path / "out" / "results.json").read_bytes() == held
    with ResultsFolder(tmp_path / "out") as folder:
        folder.keep_others("flights", "aaaa", True)


def test_a_result_of_the_same_configuration_is_replaced(tmp_path: Path) -> None:
    """The same evaluation with the same configuration runs again into its folder, as does the first one."""
    for _ in range(2):
        with ResultsFolder(tmp_path / "out") as folder:
            folder.keep_others("flights", "aaaa", False)
            folder.publish({"results.json": b'{"evaluation": "flights", "configuration_sha256": "aaaa"}'})


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    """An OSError for a full disk becomes a sentence, and no partial file stays."""
    with pytest.raises(UserError, match="is full"), ResultsFolder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == set()
