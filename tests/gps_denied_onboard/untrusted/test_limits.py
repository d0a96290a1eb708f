"""A command that opens files of others: what it may take of memory and time, and what is told when it takes more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gps_denied_onboard.untrusted import limits as under_test

CHILD = """
import os, signal, sys, time
from gps_denied_onboard.faults import told
from gps_denied_onboard.untrusted import limits
limits.GRACE_S = 0.3
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started with
try:
    limits.run_limited(limits.Limits(300, float(sys.argv[1]), 0.0), [])
    print("begun", flush=True)
    {work}
except Exception as error:
    sentence, code = told(error, "tried")
    print(sentence, file=sys.stderr)
    sys.exit(code)
"""
SPIN = "\n    ".join(("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXCPU])", "while True: sum(range(100_000))"))


def tried(work: str, time_s: float = 60.0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `work` under limits of 300 MB and `time_s`."""
    command = [sys.executable, "-c", CHILD.replace("{work}", work), str(time_s)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


def test_what_stays_below_is_left_alone() -> None:
    """Output and exit code are the command's own."""
    done = tried("print('done'); sys.exit(7)")
    assert (done.returncode, done.stdout, done.stderr) == (7, "begun\ndone\n", "")


@pytest.mark.parametrize("work", ["held = b'x' * (400 << 20)", "import numpy; held = numpy.ones(400 << 17)"])
def test_memory_beyond_the_limit_is_told(work: str) -> None:
    """A command that takes more than it may ends by a sentence that names the limit and how to raise it."""
    done = tried(work)
    assert done.returncode == under_test.MEMORY_CODE
    assert "300 MB" in done.stderr
    assert under_test.MEMORY_VARIABLE in done.stderr


def test_memory_that_opencv_lacks_is_told_alike() -> None:
    """OpenCV has an error of its own for it."""
    done = tried("import cv2, numpy; cv2.resize(numpy.zeros((100, 100), numpy.uint8), (40_000, 40_000))")
    assert done.returncode == under_test.MEMORY_CODE
    assert "300 MB" in done.stderr


def test_the_user_may_raise_the_limit() -> None:
    """The variable that the sentence names is obeyed."""
    assert tried("held = b'x' * (400 << 20)", GPS_DENIED_MEMORY_MB="1000").returncode == 0


def test_a_limit_that_is_no_number_is_refused() -> None:
    """It is a mistake and no missing limit."""
    for wrong in ("much", "nan", "-1", "1e30"):
        done = tried("pass", GPS_DENIED_MEMORY_MB=wrong)
        assert done.returncode == 2
        assert "begun" not in done.stdout


def test_time_beyond_the_limit_is_told_though_nothing_listens() -> None:
    """What spins and hears no interrupt is ended all the same, and its parent says so."""
    done = tried(SPIN, time_s=0.5)
    assert done.returncode == under_test.TIME_CODE
    assert under_test.TIME_VARIABLE in done.stderr


def test_time_beyond_the_limit_lets_the_command_clean_up() -> None:
    """It is interrupted first, as by ctrl-C."""
    work = "\n    ".join(("try: time.sleep(60)", "finally: print('cleaned')"))
    done = tried(work, time_s=0.5)
    assert done.returncode == under_test.TIME_CODE
    assert "cleaned" in done.stdout


def test_time_counts_where_interrupts_are_ignored() -> None:
    """Behind nohup or in a script's background ctrl-C is ignored, the limit of time is not."""
    lines = ("signal.signal(signal.SIGINT, signal.SIG_IGN)", "try: time.sleep(60)", "finally: print('cleaned')")
    done = tried("\n    ".join(lines), time_s=0.5)
    assert done.returncode == under_test.TIME_CODE
    assert "cleaned" in done.stdout


def test_a_library_that_ends_the_process_is_told() -> None:
    """A crash in a library is a sentence of the parent's."""
    done = tried("os.abort()")
    assert done.returncode == 99
    assert "signal 6" in done.stderr


def test_more_input_has_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files and folders among the arguments count, those behind an equals sign as well, and no link's target."""
    folder = tmp_path / "maps"
    folder.mkdir()
    (folder / "a").write_bytes(bytes(2_000_000))
    (folder / "b").write_bytes(bytes(1_000_000))
    (folder / "c").symlink_to(folder / "a")
    monkeypatch.chdir(tmp_path)
    count = under_test._input_mb(["import", "maps", f"--truth={folder / 'b'}", "--zoom", "18", "\0", "x" * 5000])
    assert count == pytest.approx(4.0, abs=0.001)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_parent_reaches_the_child(number: signal.Signals) -> None:
    """Who ends the command by its number ends all of it, and it may clean up first where it listens."""
    work = "\n    ".join((
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))",
        "try:", "    print(os.getpid(), flush=True)",
        "    while True: time.sleep(0.05)",  # a signal just before a long sleep would be heard after it
        "except KeyboardInterrupt: sys.exit(5)",
    ))  # fmt: skip
    command = [sys.executable, "-c", CHILD.replace("{work}", work), "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        child = int(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(20) == 5
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
