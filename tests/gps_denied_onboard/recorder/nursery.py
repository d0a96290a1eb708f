"""A process that forks recorders which are there to be killed; the libraries are loaded once, for all of them.

A line in: flight root, page file, what to record, after how many seconds to close. A line out: the child's pid.
What to record: "imu", "bulk" (segments fill within a second), or the folder of a flight whose records are repeated.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from flights import bulk, imu  # type: ignore[import-not-found]  # as a program this file is in no package

from gps_denied_onboard.recorder import mcap_io, writer  # noqa: F401
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, open_flight
from gps_denied_onboard.recorder.kinds import KINDS
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_onboard.recorder.reader import FlightReader

RECORDING, CLOSING, CLOSED = 1, 2, 3
OWN = ("header", "footer", "clock", "overrun", "segment_rollover")


def messages(what: str) -> Iterator[Any]:
    """What is recorded, at 400 a second; a flight is repeated at four times its own speed."""
    if what in ("imu", "bulk"):
        make = imu if what == "imu" else bulk
        for n in count():
            if n % 4 == 0:
                time.sleep(0.01)
            yield make(time.monotonic_ns())
        return
    reader = FlightReader(Path(what))
    last_ns: int | None = None
    for message in list(reader.messages([name for name in KINDS if name not in OWN])):
        last_ns = message.t_ns if last_ns is None else last_ns
        if message.t_ns - last_ns > 20_000_000:
            time.sleep((message.t_ns - last_ns) / 4e9)
            last_ns = message.t_ns
        yield message


def record(root: Path, page: mmap.mmap, what: str, close_after_s: float) -> None:
    """Record until it is time to close; what was recorded last stands in the page, which outlives the process."""
    from flights import ABOARD, META

    meta, config = META, RecorderConfig(directory=str(root), segment_mib=1)
    if what not in ("imu", "bulk"):
        header = FlightReader(Path(what)).first("header")
        assert header is not None
        meta = read_meta(Path(what))
        aboard = BuildInfo({}, "test", "", header.config, {})
    else:
        aboard = ABOARD
    flight = open_flight(config, meta, aboard)
    client = flight.client("flight")
    end_ns = time.monotonic_ns() + round(close_after_s * 1e9)
    for number, message in enumerate(messages(what)):
        client.record(message)
        page[:24] = struct.pack("<QQQ", time.monotonic_ns(), number + 1, RECORDING)
        if time.monotonic_ns() > end_ns:
            break
    page[16:24] = struct.pack("<Q", CLOSING)
    flight.close(flight.flight_id, clean=True)
    page[16:24] = struct.pack("<Q", CLOSED)
    signal.pause()


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("up", flush=True)
    for line in sys.stdin:
        root, page_file, what, close_after_s = line.rstrip("\n").split("\t")
        pid = os.fork()
        if pid == 0:
            with open(page_file, "r+b") as file:
                record(Path(root), mmap.mmap(file.fileno(), mmap.PAGESIZE), what, float(close_after_s))
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
