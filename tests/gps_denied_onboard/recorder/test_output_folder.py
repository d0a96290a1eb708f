"""Output folders appear whole or not at all, and nothing of the user's is touched."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder import output_folder
from gps_denied_onboard.recorder.output_folder import MARKER_FILE, OutputFolder

SRC = Path(output_folder.__file__).parents[2]


def put(target: Path, text: str, kind: str = "replay") -> None:
    with OutputFolder(target, kind) as folder:
        (folder / "navstate.jsonl").write_text(text)


def fail(target: Path, error: BaseException) -> None:
    with OutputFolder(target, "replay") as folder:
        (folder / "a.txt").write_text("x")
        raise error


def beside(target: Path) -> set[str]:
    return {entry.name for entry in target.parent.iterdir()}


def test_it_appears_at_the_end(tmp_path: Path) -> None:
    """Nothing stands under the name while the run goes on; afterwards all of it, and nothing else."""
    out = tmp_path / "deep" / "out"
    with OutputFolder(out, "replay") as folder:
        (folder / "a.txt").write_text("x")
        assert not out.exists()
    assert {entry.name for entry in out.iterdir()} == {"a.txt", MARKER_FILE}
    assert beside(out) == {"out"}


def test_a_failed_run_leaves_nothing(tmp_path: Path) -> None:
    """An error inside leaves neither the folder nor a temporary one, and is passed on."""
    out = tmp_path / "out"
    with pytest.raises(RuntimeError, match="bug"):
        fail(out, RuntimeError("bug"))
    assert beside(out) == set()


def test_an_own_output_is_replaced(tmp_path: Path) -> None:
    """A second run over a finished output of the same kind replaces it; a failing one leaves the old as it was."""
    out = tmp_path / "out"
    put(out, "first")
    put(out, "second")
    assert (out / "navstate.jsonl").read_text() == "second"
    with pytest.raises(KeyboardInterrupt):
        fail(out, KeyboardInterrupt())
    assert (out / "navstate.jsonl").read_text() == "second"
    assert beside(out) == {"out"}


def test_replacing_works_without_an_exchange_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On filesystems that cannot swap two names the output is replaced all the same."""
    out = tmp_path / "out"
    put(out, "first")
    monkeypatch.setattr(output_folder, "_RENAME_EXCHANGE", 1 << 30)  # the kernel answers EINVAL
    put(out, "second")
    assert (out / "navstate.jsonl").read_text() == "second"
    assert beside(out) == {"out"}


@pytest.mark.parametrize("prepared", ["foreign", "other kind", "added", "file", "dangling", "below a file"])
def test_what_is_not_ours_is_refused(prepared: str, tmp_path: Path) -> None:
    """Folders with other contents, other kinds of output, additions of the user's and files are left as they are."""
    out = tmp_path / "out"
    if prepared == "foreign":
        out.mkdir()
        (out / "thesis.tex").write_text("years")
    elif prepared == "other kind":
        put(out, "x", kind="recording")
    elif prepared == "added":
        put(out, "x")
        (out / "notes.txt").write_text("mine")
    elif prepared == "file":
        out.write_text("x")
    elif prepared == "dangling":
        out.symlink_to(tmp_path / "nowhere")
    else:
        out.write_text("x")
        out = out / "deeper"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="--out"):
        put(out, "new")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    """A folder that the user made for it is filled."""
    out = tmp_path / "out"
    out.mkdir()
    put(out, "x")
    assert (out / "navstate.jsonl").read_text() == "x"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told(code: int, tmp_path: Path) -> None:
    """A disk that fills up in the middle becomes a sentence, and nothing half-written stays."""
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"disk of .* is full"):
        fail(out, OSError(code, os.strerror(code)))
    assert beside(out) == set()


def test_a_really_full_disk_is_told(tmp_path: Path) -> None:
    """The kernel's own ENOSPC, from a device that is always full, becomes the same sentence."""
    out = tmp_path / "out"
    with (
        pytest.raises(UserError, match="is full"),
        OutputFolder(out, "replay"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert beside(out) == set()


def hold(target: str, taken: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event) -> None:
    with OutputFolder(Path(target), "replay") as folder:
        (folder / "navstate.jsonl").write_text("first")
        taken.set()
        done.wait(30.0)


def test_two_runs_on_one_folder(tmp_path: Path) -> None:
    """While another process writes it, a run is told which one has it; the first one's output is whole."""
    out = tmp_path / "out"
    context = multiprocessing.get_context("fork")
    taken, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(str(out), taken, done))
    other.start()
    assert taken.wait(30.0)
    with pytest.raises(UserError, match=f"another run is writing .*process {other.pid} on "):
        put(out, "second")
    done.set()
    other.join()
    assert (out / "navstate.jsonl").read_text() == "first"
    assert beside(out) == {"out"}


def test_a_killed_run_leaves_no_lock_and_its_rest_is_cleared(tmp_path: Path) -> None:
    """After SIGKILL the next run goes ahead and clears what the killed one left."""
    out = tmp_path / "out"
    program = (
        "import os, pathlib\n"
        "from gps_denied_onboard.recorder.output_folder import OutputFolder\n"
        f"folder = OutputFolder(pathlib.Path({str(out)!r}), 'replay').__enter__()\n"
        "(folder / 'half').write_text('x')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(SRC)}, check=False).returncode == -9
    assert any(name.endswith(".partial") for name in beside(out))
    put(out, "x")
    assert beside(out) == {"out"}


def test_a_neighbour_with_a_longer_name_is_left_alone(tmp_path: Path) -> None:
    """Clearing up for `out` does not touch what a run is writing for `out.b`."""
    with OutputFolder(tmp_path / "out.b", "replay") as folder:
        (folder / "navstate.jsonl").write_text("theirs")
        put(tmp_path / "out", "ours")
    assert (tmp_path / "out.b" / "navstate.jsonl").read_text() == "theirs"
