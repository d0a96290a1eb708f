"""What an evaluation leaves behind: results.json, frames.csv, report.html; made in memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_operator.report.html import render
from gps_denied_operator.report.model import Report
from gps_denied_operator.scoring.frames import STAGES, FrameResult
from gps_denied_operator.scoring.metrics import fix_error_m, frame_error
from gps_denied_operator.scoring.protection import protection_level_m

COLUMNS = (
    "flight", "t_s", "index", "name", "truth_latitude_deg", "truth_longitude_deg", "truth_altitude_m", "latitude_deg",
    "longitude_deg", "altitude_amsl_m", "source_label", "anchor_age_ms", "error_m", "error_east_m", "error_north_m",
    "inside_95", "nees", "ellipse_semi_major_m", "ellipse_semi_minor_m", "ellipse_azimuth_deg",
    "protection_level_m", "hazardous", "map_fix",
    "map_fix_reason", "inliers", "matches", "reprojection_px", "fix_error_m", "odometry", "odometry_reason",
    "latency_ms", *(f"{stage}_ms" for stage in STAGES),
)  # fmt: skip


def result_files(report: Report, more: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of an evaluation by name. `more` goes into results.json beside the figures."""
    flights = [{"title": part.title, "note": part.note, **part.key, **part.figures} for part in report.flights]
    results = {**report.figures, **more, "flights": flights}
    return {
        "results.json": orjson.dumps(results, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
        "frames.csv": frames_csv([(part.title, part.rows, part.local) for part in report.flights]),
        "report.html": render(report).encode("utf-8"),
    }


def frames_csv(flights: Sequence[tuple[str, Sequence[FrameResult], LocalFrame | None]]) -> bytes:
    """One line a frame, times last; empty where there is nothing. Each flight comes with the frame of its fixes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for title, rows, local in flights:
        for row in rows:
            writer.writerow([_shown(value) for value in (title, *_values(row, local))])
    return text.getvalue().encode("utf-8", "surrogateescape")


def _values(row: FrameResult, local: LocalFrame | None) -> list[Any]:
    state, fix, step, error = row.estimate, row.fix, row.step, frame_error(row)
    values: list[Any] = [row.t_ns / 1e9, row.index, row.name]
    values += [row.truth_latitude_deg, row.truth_longitude_deg, row.truth_altitude_m]
    values += [state.latitude_deg, state.longitude_deg, state.altitude_amsl_m] if state else [None] * 3
    values += [state.source_label.value, state.last_satellite_anchor_age_ms] if state else [None] * 2
    values += [error.distance_m, error.east_m, error.north_m] if error else [None] * 3
    values += [int(error.inside_95), error.nees] if error else [None] * 2
    values += [state.ellipse_semi_major_m, state.ellipse_semi_minor_m] if state else [None] * 2
    values += [state.ellipse_azimuth_deg, protection_level_m(state)] if state else [None] * 2
    values += [int(error.hazardous)] if error else [None]
    values += ["accepted" if fix.accepted else "rejected", fix.reason] if fix else [None] * 2
    values += [fix.inliers, fix.matches, fix.reprojection_px] if fix else [None] * 3
    values += [fix_error_m(row, local)]
    values += [step.status, step.reason] if step else [None] * 2
    return [*values, row.latency_ms, *(row.stage_ms.get(stage) for stage in STAGES)]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    text = str(value)
    # A spreadsheet runs a cell that starts like a formula; file names and reasons come from anywhere.
    return "'" + text if isinstance(value, str) and text[:1] in "=+-@\t\r" and text else text
