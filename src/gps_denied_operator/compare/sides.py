"""What a path of the command `compare` is: a result of an evaluation, or one flight."""

from __future__ import annotations

from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.compare.flights import read_flight
from gps_denied_operator.compare.model import Side
from gps_denied_operator.compare.results import read_side
from gps_denied_operator.evaluate.results_folder import RESULTS_FILE


def read_any(path: Path, truth: Path | None) -> Side:
    """A side of a comparison. truth: of flights alone. UserError where the path is nothing that can be compared."""
    if not path.exists():
        raise UserError(f"{shown(path)} does not exist; give the folder of a result, of a flight, or of a replay.")
    if path.is_file() or (path / RESULTS_FILE).is_file():
        if truth is not None:
            raise UserError("--truth goes with two flights: a result is scored already.")
        return read_side(path)
    return read_flight(path, truth)
