"""Recorders that are killed at a moment of the test's choice, many at the same time."""

from __future__ import annotations

import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.verify import verify_flight

from .nursery import CLOSED, CLOSING


@dataclass(frozen=True, slots=True)
class Killed:
    """A flight whose recorder was killed: `count` records were made, the newest `newest_ns`; how far closing was."""

    folder: Path
    newest_ns: int
    count: int
    stage: int


@contextmanager
def nursery() -> Iterator[subprocess.Popen[str]]:
    """The process that forks recorders."""
    command = [sys.executable, str(Path(__file__).parent / "nursery.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        try:
            yield process
        finally:
            process.kill()


def kill_at(
    process: subprocess.Popen[str], folder: Path, moments_s: Sequence[float], what: str, close_after_s: float
) -> list[Killed]:
    """Start a recorder for each moment, all at once, and kill each at its moment after it began to record."""
    assert process.stdin is not None
    assert process.stdout is not None
    handles, pages = [], []
    for number in range(len(moments_s)):
        page_file = folder / f"{number}.page"
        page_file.write_bytes(bytes(mmap.PAGESIZE))
        with page_file.open("r+b") as file:
            pages.append(mmap.mmap(file.fileno(), mmap.PAGESIZE))
        print(folder / str(number), page_file, what, close_after_s, sep="\t", file=process.stdin, flush=True)
        handles.append(os.pidfd_open(int(process.stdout.readline())))
    began_s = [0.0] * len(pages)
    left = set(range(len(pages)))
    while left:
        time.sleep(0.002)  # the moments are what is tried
        for number in tuple(left):
            if not began_s[number] and any(pages[number][16:24]):
                began_s[number] = time.monotonic()
            if began_s[number] and time.monotonic() - began_s[number] >= moments_s[number]:
                signal.pidfd_send_signal(handles[number], signal.SIGKILL)
                select.select([handles[number]], [], [])
                os.close(handles[number])
                left.remove(number)
    return [_killed(folder / str(number), page) for number, page in enumerate(pages)]


def _killed(root: Path, page: mmap.mmap) -> Killed:
    (flight,) = (entry for entry in root.iterdir() if entry.is_dir())
    newest_ns, count, stage = struct.unpack("<QQQ", page[:24])
    page.close()
    return Killed(flight, newest_ns, count, stage)


def check(killed: Killed) -> list[int]:
    """Assert that verification tells what happened, and that no record is missing before the end; returns the times
    of the records of the flight's producer."""
    verdict = verify_flight(killed.folder)
    assert verdict.errors == ()
    if killed.stage < CLOSING:
        assert verdict.state == "interrupted"
    elif killed.stage == CLOSED:
        assert verdict.state == "clean"
    else:
        assert verdict.state in ("clean", "interrupted")
    found = [r for r in FlightReader(killed.folder).records() if r.producer == "flight"]
    assert [record.sequence for record in found] == list(range(len(found)))
    made = [record for record in found if record.kind != "position"]
    assert len(made) <= killed.count + 1
    assert verdict.state == "interrupted" or len(made) == killed.count
    return [record.t_ns for record in made]
