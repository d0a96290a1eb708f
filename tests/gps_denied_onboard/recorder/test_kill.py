"""A recorder that is killed at any moment: what was on the disk stands, and verification says what it is."""

from __future__ import annotations

import mmap
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.verify import verify_flight

# Records 400 samples a second into a fresh flight, for ever; the newest time is also kept in a page that outlives it.
CHILD = """
import mmap, struct, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from flights import imu, recorder

file = open(sys.argv[3], "r+b")
page = mmap.mmap(file.fileno(), 16)
flight = recorder(Path(sys.argv[1]), segment_mib=1)
client = flight.client("flight")
print("up", flush=True)
count = 0
while True:
    for _ in range(4):
        now = time.monotonic_ns()
        client.record(imu(now))
        count += 1
        page[:16] = struct.pack("<QQ", now, count)
    time.sleep(0.01)
"""


def kill_one(folder: Path, after_s: float) -> float:
    """Kill a recorder; returns how many seconds of records are lost. Asserts that the rest is there and judged well."""
    folder.mkdir(parents=True)
    page_file = folder / "page"
    page_file.write_bytes(bytes(mmap.PAGESIZE))
    command = [sys.executable, "-c", CHILD, str(folder / "flights"), str(Path(__file__).parent), str(page_file)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    time.sleep(after_s)  # the moment of the kill is what is tried
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    newest_ns, count = struct.unpack("<QQ", page_file.read_bytes()[:16])
    (flight,) = (entry for entry in (folder / "flights").iterdir() if entry.is_dir())
    verdict = verify_flight(flight)
    assert (verdict.state, verdict.errors) == ("interrupted", ())
    samples = [(r.sequence, r.t_ns) for r in FlightReader(flight).records({"imu"})]
    assert [sequence for sequence, _ in samples] == list(range(len(samples)))
    assert len(samples) <= count + 1
    return (newest_ns - samples[-1][1]) / 1e9 if samples else after_s


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    """At four moments: no gap, no damage, never called clean."""
    rng = random.Random(7)
    for k in range(4):
        kill_one(tmp_path / str(k), rng.uniform(0.0, 0.9))


@pytest.mark.slow
def test_two_hundred_kills_never_cost_more_than_a_second(tmp_path: Path) -> None:
    """At 200 random moments, at most the last second is lost."""
    rng = random.Random(8)
    lost_s = [kill_one(tmp_path / str(k), rng.uniform(0.0, 2.0)) for k in range(200)]
    assert max(lost_s) <= 1.0
