"""The outputs of a flight as JSON lines: `navstate.jsonl` (positions), `decisions.jsonl` (what was fused, what not)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import orjson

from gps_denied_onboard.messages import (
    AidRecord,
    Alert,
    InferenceRecord,
    NavState,
    OdometryStep,
    Output,
    PoseFix,
    ThermalSample,
)

NAVSTATE_FILE = "navstate.jsonl"
DECISIONS_FILE = "decisions.jsonl"
_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY

DECISION_KINDS: dict[type[Output], str] = {
    AidRecord: "aid",
    PoseFix: "fix",
    OdometryStep: "odometry",
    Alert: "alert",
    ThermalSample: "thermal",
    InferenceRecord: "inference",
}


def navstate_line(state: NavState) -> bytes:
    """One JSON object and a newline: the fields of NavState under their names; NaN becomes null."""
    return orjson.dumps(state, option=_OPTIONS)


def decision_line(record: AidRecord | PoseFix | OdometryStep | Alert | ThermalSample | InferenceRecord) -> bytes:
    """One JSON object and a newline: `kind`, then the record's fields under their names; NaN becomes null."""
    body: dict[str, Any] = {"kind": DECISION_KINDS[type(record)]}
    for field in dataclasses.fields(record):
        body[field.name] = getattr(record, field.name)
    return orjson.dumps(body, option=_OPTIONS)


class NavLog:
    """Writes both files into an existing folder; the same bytes for the same messages. A context manager.

    An OSError (a full disk) passes through. `flush` hands everything to the operating system.
    """

    def __init__(self, directory: Path) -> None:
        self._states: IO[bytes] = (directory / NAVSTATE_FILE).open("wb", buffering=1 << 16)
        try:
            self._decisions: IO[bytes] = (directory / DECISIONS_FILE).open("wb", buffering=1 << 16)
        except OSError:
            self._states.close()
            raise

    def write(self, message: Output) -> None:
        """Append one message to the file of its kind."""
        if isinstance(message, NavState):
            self._states.write(navstate_line(message))
        else:
            self._decisions.write(decision_line(message))

    def flush(self) -> None:
        self._states.flush()
        self._decisions.flush()

    def close(self) -> None:
        """Close both files; a second call does nothing."""
        try:
            self._states.close()
        finally:
            self._decisions.close()

    def __enter__(self) -> NavLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
