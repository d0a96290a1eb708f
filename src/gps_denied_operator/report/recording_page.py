"""A flight as one HTML file, in the look of the evaluation's report: what was sent, what was fused, no truth."""

from __future__ import annotations

import base64
import dataclasses
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import AidRecord, NavState, OdometryStep, PoseFix
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import HeaderRecord, MovedRecord, ThumbnailRecord
from gps_denied_onboard.recorder.verify import CLEAN, DAMAGED, Verdict, verify_flight
from gps_denied_operator.report.html import render, write_page
from gps_denied_operator.report.model import FlightPart, Report
from gps_denied_operator.report.verdict import BAD, GOOD, WARN
from gps_denied_operator.scoring.frames import FrameResult, RunFacts
from gps_denied_operator.scoring.metrics import figures

ROWS_MAX = 20_000
THUMBNAILS_MAX = 40
KINDS = ("navstate", "fix", "moved", "aid", "spoofing_gate", "thumbnail")


def plot_flight(folder: Path, out: Path, progress: Callable[[int], None] = lambda _done: None) -> int:
    """Write the page of a flight; returns how many moments it shows. UserError when there is no position in it."""
    rows = flight_rows(FlightReader(folder), progress)
    if not rows:
        raise UserError(f"{folder} holds no position: there is nothing to draw.")
    meta = read_meta(folder)
    verdict = verify_flight(folder)
    header = FlightReader(folder).first("header")
    local = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
    of_flight = figures([rows], RunFacts(math.nan, math.nan, _version(header), 0))
    told = verdict.flight_id or folder.name
    part = FlightPart(told, rows, of_flight, local, note="Moments of the flight as it was recorded; nothing is scored.")
    facts = [("recording", verdict.state), ("key", verdict.fingerprint), ("records", str(verdict.records))]
    sentence, level = recording_sentence(verdict), recording_level(verdict)
    report = Report(f"Flight {told}", of_flight, [part], facts, sentence, seeing=False, judged=False, level=level)
    write_page(render(report), out)
    return len(rows)


def recording_level(verdict: Verdict) -> str:
    """The colour of a recording's sentence."""
    return {CLEAN: GOOD, DAMAGED: BAD}.get(verdict.state, WARN)


def flight_rows(reader: FlightReader, progress: Callable[[int], None]) -> list[FrameResult]:
    """Moments at which a position was sent, at most ROWS_MAX, each with what was fused since the one before."""
    states: list[NavState] = []
    rest: list[Any] = []
    for count, message in enumerate(reader.messages(KINDS)):
        (states if isinstance(message, NavState) else rest).append(message)
        if count % 1000 == 0:
            progress(count)
    states.sort(key=lambda state: state.t_ns)
    states = states[:: -(-len(states) // ROWS_MAX) or 1]
    return _filled(states, rest)


def _filled(states: list[NavState], rest: Iterable[Any]) -> list[FrameResult]:
    times = [state.t_ns for state in states]
    fixes: dict[int, PoseFix] = {}
    steps: dict[int, OdometryStep] = {}
    thumbnails: dict[int, bytes] = {}
    aids: dict[int, list[AidRecord]] = {}
    for message in rest:
        place = min(bisect_left(times, message.t_ns), len(times) - 1)
        if isinstance(message, PoseFix):
            fixes[place] = message
        elif isinstance(message, MovedRecord) and message.step is not None:
            steps[place] = message.step
        elif isinstance(message, ThumbnailRecord) and len(thumbnails) < THUMBNAILS_MAX:
            thumbnails[place] = base64.b64decode(message.jpeg)
        elif isinstance(message, AidRecord):
            aids.setdefault(place, []).append(message)
    return [
        FrameResult(
            state.t_ns,
            place,
            f"{(state.t_ns - times[0]) / 1e9:.1f} s",
            state=state,
            fix=fixes.get(place),
            step=steps.get(place),
            aids=tuple(aids.get(place, ())),
            frame_jpeg=thumbnails.get(place),
        )
        for place, state in enumerate(states)
    ]


def _version(header: object) -> str:
    versions = header.versions if isinstance(header, HeaderRecord) else {}
    return str(versions.get("gps-denied-onboard", "-"))


def recording_sentence(verdict: Verdict) -> str:
    """What is known about a recording itself, in a sentence or two."""
    told = dataclasses.asdict(verdict)
    more = "; ".join([*told["errors"][:3], *told["notes"][:3]])
    lost = f"{verdict.records} records, {verdict.lost} lost in flight and told."
    return f"The recording is {verdict.state}: {lost} {more}".strip()
