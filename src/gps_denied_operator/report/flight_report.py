"""The report after a flight: what was recorded, over the map, scored where the truth is known."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import FloatArray, NavState
from gps_denied_onboard.recorder.config import PictureKeeping
from gps_denied_onboard.recorder.mcap_io import RecordingReader, recording_files
from gps_denied_onboard.recorder.meta import RecordingMeta, read_meta, tiles_inside
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import HeaderRecord, MovedRecord
from gps_denied_onboard.recorder.verify import STATES, Verdict, verify_flight
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.report.chapters import summary
from gps_denied_operator.report.html import render
from gps_denied_operator.report.illustrate import illustrated
from gps_denied_operator.report.model import FlightPart, Report
from gps_denied_operator.report.pictures import background
from gps_denied_operator.report.recorded import read_recorded
from gps_denied_operator.report.refusals import limits_of
from gps_denied_operator.report.verdict import BAD, recording_level, recording_sentence, worst
from gps_denied_operator.report.verdict import verdict as judged
from gps_denied_operator.scoring.frames import FrameResult, RunFacts
from gps_denied_operator.scoring.metrics import figures
from gps_denied_operator.scoring.truth import Lookup, read_truth_csv, truth_of_samples

MAP_MARGIN_M = 350.0
MAP_WIDTH_PX = 1600
MOSAIC_BYTES = 64 * 1024 * 1024
FRAME_NS_MAX = 10_000_000_000
"""A picture whose motion was never taken over has no latency; nothing honest takes longer than this."""


@dataclasses.dataclass(frozen=True, slots=True)
class FlightReport:
    """A finished page and what it says in figures; of several flights `flight_id` names all, `state` is the worst."""

    page: str
    figures: Mapping[str, Any]
    flight_id: str
    state: str
    moments: int
    map_shown: bool
    sentence: str


def report_flights(
    folders: Sequence[Path],
    truth: Path | None,
    tiles: Path | None,
    progress: Callable[[int], None] = lambda _done: None,
    route_deg: FloatArray | None = None,
) -> FlightReport:
    """Make the report of recorded flights, all in one page.

    truth: a simulated recording that holds it, or a CSV with `t_s` in seconds after the flight's first record; None:
    that of the recording itself, where it has one. tiles: a folder of <z>/<x>/<y>.jpg; None: the map that the flight
    was flown with, where it is on this machine. route_deg: (N, 2) latitude and longitude of the planned route.
    UserError where a recording is empty, or truth and flight do not meet.
    """
    flights = [_one(folder, truth, tiles, route_deg, progress) for folder in folders]
    scored = all(flight.scored for flight in flights)
    parts = [flight.part for flight in flights]
    first = parts[0]
    of_all = first.figures if len(parts) == 1 else figures([part.rows for part in parts], flights[0].facts)
    sentence = "\n".join(
        flight.sentence if len(flights) == 1 else f"{flight.part.title}: {flight.sentence}" for flight in flights
    )
    if scored and of_all["with_estimate"]:
        sentence = f"{judged(of_all)[1]} {sentence}"
    title = f"Flight {first.title}" if len(flights) == 1 else f"{len(flights)} flights"
    level = "" if scored else worst([flight.level for flight in flights])
    facts = first.facts if len(flights) == 1 else ()
    page = render(Report(title, of_all, parts, facts, sentence, seeing=False, judged=scored, level=level))
    moments, shown = sum(len(part.rows) for part in parts), any(part.background is not None for part in parts)
    ids, state = ", ".join(part.title for part in parts), max((flight.state for flight in flights), key=STATES.index)
    return FlightReport(page, of_all, ids, state, moments, shown, sentence)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    part: FlightPart
    facts: RunFacts
    state: str
    level: str
    sentence: str
    scored: bool


def _one(
    folder: Path, truth: Path | None, tiles: Path | None, route: FloatArray | None, progress: Callable[[int], None]
) -> _Flight:
    reader = FlightReader(folder)
    meta = read_meta(folder)
    recorded = read_recorded(reader, meta, route, progress)
    rows = recorded.rows
    if not rows:
        raise UserError(f"{folder} holds no record: there is nothing to report; `operator-tool fdr verify` says why.")
    header, checked = reader.first("header"), verify_flight(folder)
    rows = _with_latencies(rows, frame_latencies_ms(reader))
    lookup = truth_of(folder, truth, reader.start_ns or 0)
    if lookup is not None:
        rows = _scored(rows, lookup, truth or folder)
    local = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
    mosaic = _mosaic(folder, meta, tiles, truth)
    picture = None if mosaic is None else background(mosaic, rows, MAP_MARGIN_M, MAP_WIDTH_PX)
    rows = illustrated(rows, (folder, truth), meta, local, mosaic)
    versions = header.versions if isinstance(header, HeaderRecord) else {}
    facts = RunFacts(math.nan, math.nan, str(versions.get("gps-denied-onboard", "-")), 0)
    name = checked.flight_id or folder.name
    part = FlightPart(
        name, rows, figures([rows], facts), local, picture,
        _note(lookup is not None, picture is not None, recorded.placed), recorded.story,
        limits_of(header.config if isinstance(header, HeaderRecord) else {}), _told(checked, header),
    )  # fmt: skip
    told, level = recording_sentence(checked), recording_level(checked)
    if not recorded.placed:
        told, level = f"No position was ever sent. {told}", BAD
    story_level, of_story = summary(recorded.story)
    sentence = f"{of_story} {told}" if recorded.placed else f"{told} {of_story}"
    return _Flight(part, facts, checked.state, worst([level, story_level]), sentence, lookup is not None)


def _moment(utc: str) -> str:
    """A moment in ISO 8601 to the second, as the page writes moments; what is none as it is."""
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(utc).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return utc


def _told(checked: Verdict, header: object) -> list[tuple[str, str]]:
    told = [
        ("recording", checked.state), ("key", checked.fingerprint or "-"), ("records", str(checked.records)),
        ("lost and told", str(checked.lost)),
    ]  # fmt: skip
    if isinstance(header, HeaderRecord):
        told += [("flown", _moment(header.utc)), ("image", header.image)]
        recorder = header.config.get("recorder")
        keeping = recorder.get("pictures", PictureKeeping.NONE) if isinstance(recorder, dict) else PictureKeeping.NONE
        told += [("pictures kept", shown(keeping, 20))] if keeping != PictureKeeping.NONE else []
    return told


def frame_latencies_ms(reader: FlightReader) -> dict[int, float]:
    """By the t_ns of a position: how long before it, in ms, the newest picture in it was taken.

    The recorder keeps inputs and outputs in the order in which they were taken, so the first position after a
    picture's motion was taken over is the first that holds it.
    """
    out: dict[int, float] = {}
    frame_ns: int | None = None
    for message in reader.messages(("moved", "navstate")):
        if isinstance(message, MovedRecord):
            frame_ns = message.t_ns
        elif isinstance(message, NavState) and frame_ns is not None:
            if 0 <= message.t_ns - frame_ns <= FRAME_NS_MAX:
                out[message.t_ns] = (message.t_ns - frame_ns) / 1e6
            frame_ns = None
    return out


def _with_latencies(rows: list[FrameResult], latency_ms: Mapping[int, float]) -> list[FrameResult]:
    return [
        dataclasses.replace(row, latency_ms=latency_ms[row.t_ns]) if row.t_ns in latency_ms else row for row in rows
    ]


def truth_of(folder: Path, truth: Path | None, start_ns: int) -> Lookup | None:
    """Where the flight of `folder` truly was, by `truth` as `report_flights` takes it; a CSV counts from `start_ns`.

    None where nobody knows; UserError for a truth that is none.
    """
    if truth is None or truth.is_dir():
        source = truth or folder
        if not recording_files(source):
            raise UserError(f"--truth {source} is not a recording; give a simulated one, or a CSV with t_s.")
        samples = list(RecordingReader(source).truth())
        if not samples and truth is not None:
            raise UserError(f"--truth {source} holds no true positions: only simulations do; give a CSV with t_s.")
        return truth_of_samples(samples) if samples else None
    table = read_truth_csv(truth, ("time", "frame", "name"))
    if table.key != "time":
        raise UserError(f"--truth {truth} does not go by time: add a column t_s, seconds after the first record.")
    by_time = table.lookup()
    return lambda index, name, t_ns: by_time(index, name, t_ns - start_ns)


def _scored(rows: list[FrameResult], lookup: Lookup, source: Path) -> list[FrameResult]:
    out = []
    for row in rows:
        place = lookup(row.index, row.name, row.t_ns)
        if place is not None:
            row = dataclasses.replace(
                row,
                truth_latitude_deg=place.latitude_deg,
                truth_longitude_deg=place.longitude_deg,
                truth_altitude_m=place.altitude_m,
            )
        out.append(row)
    if not any(row.scored for row in out):
        raise UserError(f"{source} has no true position at any time of this flight: it is the truth of another one.")
    return out


def _mosaic(folder: Path, meta: RecordingMeta, tiles: Path | None, truth: Path | None) -> MapMosaic | None:
    """The map behind the track: the one that was given, or the plain tiles that the recording brings.

    No place is taken from a recording's header: whoever made it could name any folder of this machine.
    """
    from gps_denied_onboard.tiles.sources import DirectoryTileSource

    if tiles is not None:
        return MapMosaic(DirectoryTileSource(tiles, None), cache_bytes=MOSAIC_BYTES)
    for recording in (folder, truth):
        beside = None if recording is None else tiles_inside(recording, meta)
        if beside is not None and beside.is_dir():
            return MapMosaic(DirectoryTileSource(beside, meta.tiles_zoom), cache_bytes=MOSAIC_BYTES)
    return None


def _note(scored: bool, mapped: bool, placed: bool) -> str:
    said = ["Moments at which a position was sent." if placed else "No position was sent: what else was recorded."]
    said.append("Scored by truth." if scored else "Nothing is scored: no truth was given.")
    if not mapped:
        said.append("The map that it was flown with is not on this machine, or was not named; give --tiles.")
    said.append("Latency: from a picture's own time to the first position that holds it.")
    return " ".join(said)
