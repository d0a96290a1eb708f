"""One flight as a side of a comparison: a flight's recording, or the output of a replay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import FloatArray, NavState, SourceLabel
from gps_denied_onboard.recorder.kinds import KINDS, MalformedRecordError
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_onboard.recorder.navlog import NAVSTATE_FILE
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import HeaderRecord
from gps_denied_onboard.replay.flight import is_flight
from gps_denied_onboard.untrusted.bounded import open_file
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.compare.model import PLACE_COLUMNS, FlightColumns, Side, SourceKind
from gps_denied_operator.compare.results import derived
from gps_denied_operator.evaluate.configuration import configuration_sha256
from gps_denied_operator.report.flight_report import frame_latencies_ms, truth_of
from gps_denied_operator.scoring.frames import STAGES, FrameResult
from gps_denied_operator.scoring.metrics import frame_error
from gps_denied_operator.scoring.protection import protection_level_m
from gps_denied_operator.scoring.truth import Lookup

LINES_BYTES_MAX = 8 << 30
LINE_BYTES_MAX = 64 * 1024
STATES_MAX = 5_000_000


def read_flight(path: Path, truth: Path | None) -> Side:
    """A recording of a flight or a folder that `replay` wrote. truth: as `report` takes it.

    UserError where the folder is none of them or holds no position.
    """
    if is_flight(path):
        return _recorded(path, truth)
    if (path / NAVSTATE_FILE).is_file():
        return _replayed(path, truth)
    raise UserError(
        f"{shown(path)} is neither a result of `evaluate`, nor a flight's recording, nor a replay's output: give a "
        "folder with results.json, with segments, or with navstate.jsonl. A simulated recording holds no positions: "
        "replay it."
    )


def _recorded(path: Path, truth: Path | None) -> Side:
    reader = FlightReader(path)
    meta = read_meta(path)
    header = reader.first("header")
    states = [message for message in reader.messages(("navstate",)) if isinstance(message, NavState)]
    lookup = truth_of(path, truth, reader.start_ns or 0)
    name = f"{meta.scenario}, seed {meta.seed}" if meta.seed is not None else "flight"
    flight = _columns(path, name, states, lookup, frame_latencies_ms(reader))
    tree = header.config if isinstance(header, HeaderRecord) else None
    versions = header.versions if isinstance(header, HeaderRecord) else {}
    return Side(
        path, SourceKind.FLIGHT, (flight,), "unknown", shown(versions.get("gps-denied-onboard", ""), 40), 0, tree,
        configuration_sha256(tree) if tree is not None else "", tuple(shown(p, 160) for p in reader.problems[:5]),
        lookup is not None,
    )  # fmt: skip


def _replayed(path: Path, truth: Path | None) -> Side:
    states: list[NavState] = []
    bad = 0
    with open_file(path / NAVSTATE_FILE, LINES_BYTES_MAX) as stream:
        while line := stream.readline(LINE_BYTES_MAX + 1):
            state = _state(line)
            bad += state is None
            if state is not None:
                states.append(state)
            if len(states) > STATES_MAX:
                raise UserError(f"{shown(path)} holds more than {STATES_MAX} positions; give one flight.")
    lookup = None if truth is None else truth_of(path, truth, states[0].t_ns if states else 0)
    notes = ["a replay's output does not name its configuration"]
    notes += [f"{bad} lines of {NAVSTATE_FILE} are no position, or cut off: left out"] if bad else []
    flight = _columns(path, "flight", states, lookup, {})
    return Side(path, SourceKind.FLIGHT, (flight,), notes=tuple(notes), scored=lookup is not None)


def _state(line: bytes) -> NavState | None:
    """A line of navstate.jsonl; None for what is none. What is null there was not known."""
    try:
        body: Any = orjson.loads(line)
        payload = {key: "NaN" if value is None else value for key, value in body.items()}
        t_ns = payload.pop("t_ns")
        state = KINDS["navstate"].message(t_ns, payload) if type(t_ns) is int else None
    except (orjson.JSONDecodeError, AttributeError, KeyError, MalformedRecordError):
        return None
    return state if isinstance(state, NavState) else None


def _columns(
    path: Path, name: str, states: Sequence[NavState], lookup: Lookup | None, latency_ms: dict[int, float]
) -> FlightColumns:
    """The columns of positions sent, each at its own time; UserError where there is none."""
    newest: dict[int, NavState] = {state.t_ns: state for state in states}
    if not newest:
        raise UserError(f"{shown(path)} holds no position: there is nothing to compare.")
    rows: list[list[float]] = []
    names = (
        *PLACE_COLUMNS, "t_s", "error_m", "inside_95", "nees", "hazardous", "protection_level_m",
        "ellipse_semi_major_m", "label", "latency_ms",
    )  # fmt: skip
    for t_ns in sorted(newest):
        state = newest[t_ns]
        place = None if lookup is None else lookup(state.frame_index, "", t_ns)
        latitude, longitude = (None, None) if place is None else (place.latitude_deg, place.longitude_deg)
        row = FrameResult(t_ns, state.frame_index, "", latitude, longitude, state=state)
        error, sent = frame_error(row), row.estimate
        scores = (math.nan,) * 4 if error is None else (error.distance_m, error.inside_95, error.nees, error.hazardous)
        level = protection_level_m(sent)
        rows.append([
            *(math.nan if v is None else v for v in (latitude, longitude)),
            *((math.nan, math.nan) if sent is None else (sent.latitude_deg, sent.longitude_deg)),
            t_ns / 1e9, *map(float, scores), math.nan if level is None else level,
            math.nan if sent is None else sent.ellipse_semi_major_m,
            float(sent is not None and sent.source_label is SourceLabel.SATELLITE_ANCHORED),
            latency_ms.get(t_ns, math.nan),
        ])  # fmt: skip
    table: FloatArray = np.array(rows, dtype=float)
    columns = {column: table[:, k] for k, column in enumerate(names)}
    columns |= {column: np.full(len(table), math.nan) for column in ("registered", *(f"{s}_ms" for s in STAGES))}
    return FlightColumns(name, np.array(sorted(newest), dtype=np.int64), derived(columns))
