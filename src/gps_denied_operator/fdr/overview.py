"""What a flight is, at a glance."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder.chain import fingerprint
from gps_denied_onboard.recorder.mcap_io import recording_files
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import HeaderRecord


def flights(root: Path) -> list[dict[str, Any]]:
    """One row a flight, oldest first. UserError when there is no such folder."""
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; give the flight root, as recorder.directory names it.")
    return [_row(entry) for entry in sorted(root.iterdir()) if entry.is_dir() and recording_files(entry)]


def summary(folder: Path) -> dict[str, Any]:
    """A flight's header, footer and counts. Reads all of it."""
    reader = FlightReader(folder)
    counts = Counter(record.kind for record in reader.records())
    header = reader.first("header")
    told: dict[str, Any] = {
        **_row(folder),
        "utc": "",
        "image": "",
        "resumed_from": "",
        "fingerprint": "",
        "versions": {},
        "segments": len(reader.segments),
        "records": dict(sorted(counts.items())),
        "problems": list(reader.problems),
    }
    if isinstance(header, HeaderRecord):
        told |= {
            "utc": header.utc,
            "image": header.image,
            "resumed_from": header.resumed_from,
            "fingerprint": fingerprint(header.public_key),
            "versions": header.versions,
            "config": header.config,
        }
    return told


def _row(folder: Path) -> dict[str, Any]:
    reader = FlightReader(folder)
    start_ns, end_ns = reader.start_ns, reader.end_ns
    header = reader.first("header")
    footer = reader.footer()
    end = "no footer: power cut or killed"
    if footer is not None:
        end = "clean shutdown" if footer.clean_shutdown else "ended by an error"
    elif not isinstance(header, HeaderRecord):
        end = "a simulation"
    return {
        "flight_id": header.flight_id if isinstance(header, HeaderRecord) else folder.name,
        "seconds": 0.0 if start_ns is None or end_ns is None else round((end_ns - start_ns) / 1e9, 3),
        "bytes": sum(segment.size for segment in reader.segments),
        "end": end,
    }
