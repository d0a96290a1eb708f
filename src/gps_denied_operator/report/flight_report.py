"""The report after a flight: what was recorded, over the map, scored where the truth is known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import NavState
from gps_denied_onboard.recorder.mcap_io import RecordingReader, recording_files
from gps_denied_onboard.recorder.meta import RecordingMeta, read_meta, tiles_inside
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import HeaderRecord, MovedRecord
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_operator.report.html import render
from gps_denied_operator.report.model import FlightPart, MapPicture, Report
from gps_denied_operator.report.pictures import background
from gps_denied_operator.report.recording_page import flight_rows, recording_level, recording_sentence
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
    """A finished page and what it says in figures."""

    page: str
    figures: Mapping[str, Any]
    flight_id: str
    state: str
    moments: int
    map_shown: bool
    sentence: str


def report_flight(
    folder: Path, truth: Path | None, tiles: Path | None, progress: Callable[[int], None] = lambda _done: None
) -> FlightReport:
    """Make the report of a recorded flight.

    truth: a simulated recording that holds it, or a CSV with `t_s` in seconds after the flight's first record; None:
    that of the recording itself, where it has one. tiles: a folder of <z>/<x>/<y>.jpg; None: the map that the flight
    was flown with, where it is on this machine. UserError where there is no position, or truth and flight do not meet.
    """
    reader = FlightReader(folder)
    rows = flight_rows(reader, progress)
    if not rows:
        raise UserError(f"{folder} holds no position: there is nothing to report.")
    meta, header, checked = read_meta(folder), reader.first("header"), verify_flight(folder)
    rows = _with_latencies(rows, frame_latencies_ms(reader))
    lookup = _truth(folder, truth, reader.start_ns or 0)
    if lookup is not None:
        rows = _scored(rows, lookup, truth or folder)
    picture = _map_picture(folder, meta, rows, tiles, truth)
    versions = header.versions if isinstance(header, HeaderRecord) else {}
    facts = RunFacts(math.nan, math.nan, str(versions.get("gps-denied-onboard", "-")), 0)
    of_flight = figures([rows], facts)
    local = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
    name = checked.flight_id or folder.name
    part = FlightPart(name, rows, of_flight, local, picture, _note(lookup is not None, picture is not None))
    sentence = recording_sentence(checked)
    if lookup is not None:
        sentence = f"{judged(of_flight)[1]} {sentence}"
    told = [
        ("recording", checked.state), ("key", checked.fingerprint or "-"), ("records", str(checked.records)),
        ("lost and told", str(checked.lost)),
    ]  # fmt: skip
    if isinstance(header, HeaderRecord):
        told += [("flown", header.utc), ("image", header.image)]
    scored, level = lookup is not None, "" if lookup is not None else recording_level(checked)
    page = render(Report(f"Flight {name}", of_flight, [part], told, sentence, seeing=False, judged=scored, level=level))
    return FlightReport(page, of_flight, name, checked.state, len(rows), picture is not None, sentence)


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


def _truth(folder: Path, truth: Path | None, start_ns: int) -> Lookup | None:
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


def _map_picture(
    folder: Path, meta: RecordingMeta, rows: list[FrameResult], tiles: Path | None, truth: Path | None
) -> MapPicture | None:
    """The map behind the track: the one that was given, or the plain tiles that the recording brings."""
    mosaic = _mosaic(folder, meta, tiles, truth)
    return None if mosaic is None else background(mosaic, rows, MAP_MARGIN_M, MAP_WIDTH_PX)


def _mosaic(folder: Path, meta: RecordingMeta, tiles: Path | None, truth: Path | None) -> MapMosaic | None:
    """No place is taken from a recording's header: whoever made it could name any folder of this machine."""
    from gps_denied_onboard.tiles.sources import DirectoryTileSource

    if tiles is not None:
        return MapMosaic(DirectoryTileSource(tiles, None), cache_bytes=MOSAIC_BYTES)
    for recording in (folder, truth):
        beside = None if recording is None else tiles_inside(recording, meta)
        if beside is not None and beside.is_dir():
            return MapMosaic(DirectoryTileSource(beside, meta.tiles_zoom), cache_bytes=MOSAIC_BYTES)
    return None


def _note(scored: bool, mapped: bool) -> str:
    said = ["Moments at which a position was sent."]
    said.append("Scored by truth." if scored else "Nothing is scored: no truth was given.")
    if not mapped:
        said.append("The map that it was flown with is not on this machine, or was not named; give --tiles.")
    said.append("Latency: from a picture's own time to the first position that holds it.")
    return " ".join(said)
