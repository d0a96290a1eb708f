"""Records as JSON lines: cut out of a flight, or followed while it is recorded."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder.mcap_io import recording_files
from gps_denied_onboard.recorder.reader import FlightReader, FlightRecord

FOLLOW_S = 0.5


def span_ns(reader: FlightReader, from_s: float, to_s: float) -> tuple[int, int]:
    """First and last time in ns of a span in seconds after the first record; `to_s` 0: to the end."""
    start_ns = reader.start_ns or 0
    if from_s < 0.0 or to_s < 0.0 or (to_s and to_s < from_s):
        raise UserError("--from and --to are seconds after the flight's first record, --to not before --from.")
    return start_ns + round(from_s * 1e9), start_ns + round(to_s * 1e9) if to_s else 2**63 - 1


def extract_records(
    folder: Path, out: Path, kinds: Sequence[str] | None, from_s: float, to_s: float
) -> tuple[int, tuple[str, ...]]:
    """Write the records to `out` ("-": standard output); returns how many, and what could not be read."""
    reader = FlightReader(folder)
    records = reader.records(kinds, *span_ns(reader, from_s, to_s))
    count = 0
    if str(out) == "-":
        for record in records:
            sys.stdout.write(record.data.decode("utf-8", "replace") + "\n")
            count += 1
        return count, reader.problems
    if out.exists():
        raise UserError(f"{out} is there already; give --out a file that is not.")
    try:
        with out.open("xb") as stream:
            for record in records:
                stream.write(record.data + b"\n")
                count += 1
    except OSError as error:
        out.unlink(missing_ok=True)
        raise UserError(f"cannot write {out}: {error.strerror}; give another --out.") from error
    return count, reader.problems


def tail_records(root: Path, kinds: Sequence[str] | None, seconds: float, follow: bool) -> Iterator[str]:
    """The last `seconds` of the newest flight; with `follow`, on and on."""
    folder = flight_folder(root)
    shown: dict[str, int] = {}
    after_ns: int | None = None
    while True:
        reader = FlightReader(folder)
        end_ns = reader.end_ns
        if end_ns is not None:
            after_ns = max(end_ns - round(seconds * 1e9), 0) if after_ns is None else after_ns
            for record in reader.records(kinds, after_ns):
                if _is_new(record, shown):
                    yield record.data.decode("utf-8", "replace")
            after_ns = max(after_ns, end_ns - round(max(seconds, 10.0) * 1e9))
        if not follow:
            return
        time.sleep(FOLLOW_S)


def _is_new(record: FlightRecord, shown: dict[str, int]) -> bool:
    """Whether a record's number is behind all of its producer that were shown; notes it."""
    if record.sequence <= shown.get(record.producer, -1):
        return False
    shown[record.producer] = record.sequence
    return True


def flight_folder(root: Path) -> Path:
    """The folder itself where it is a flight, else the newest flight in it. UserError where there is none."""
    if recording_files(root):
        return root
    inside = sorted(entry for entry in root.glob("*") if entry.is_dir() and recording_files(entry))
    if not inside:
        raise UserError(f"{root} holds no flight; give the folder of one, or the flight root.")
    return inside[-1]
