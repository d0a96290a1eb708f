"""Target for atheris: any bytes as a flight's segment. Run by test_hostile_files, or by hand with a corpus folder."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gps_denied_onboard.recorder"]):
    from gps_denied_onboard.errors import UserError
    from gps_denied_onboard.recorder.mcap_io import RecordingReader
    from gps_denied_onboard.recorder.reader import FlightReader
    from gps_denied_onboard.recorder.verify import verify_flight

FOLDER = Path(tempfile.mkdtemp(prefix="gps-denied-fuzz-"))


def one(data: bytes) -> None:
    """Read it in every way that there is."""
    (FOLDER / "segment-000000.mcap").write_bytes(data)
    try:
        list(FlightReader(FOLDER).records())
        list(RecordingReader(FOLDER).events())
        verify_flight(FOLDER)
    except UserError:
        pass


atheris.Setup(sys.argv, one)
atheris.Fuzz()
