"""A report as the numbers that its page draws: columns, rounded, thinned where there are many frames; pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gps_denied_onboard.geometry.geodesy import MERCATOR_HALF_M, TILE_SIZE_PX, mercator_px_from_geodetic
from gps_denied_onboard.messages import AidRecord, AidSource, FixType, OdometryStatus, SourceLabel
from gps_denied_operator.report.model import FlightPart, Report
from gps_denied_operator.report.refusals import DEFAULT_LIMITS, evidence, refusal
from gps_denied_operator.report.story import is_measurement
from gps_denied_operator.report.story_payload import story_payload
from gps_denied_operator.report.verdict import cards, criteria
from gps_denied_operator.scoring.frames import STAGES, FrameResult
from gps_denied_operator.scoring.metrics import FrameError, frame_error
from gps_denied_operator.scoring.protection import protection_level_m

ROWS_MAX = 24_000
AIDS_MAX = 40_000
QUANTILES = 200
TOGETHER_DEG = 0.5
"""Flights whose middles are nearer than this are drawn in one plane, each with the others behind it."""
LABELS = tuple(SourceLabel)


def payload(report: Report) -> dict[str, Any]:
    """Everything that the page needs, as JSON types; no NaN."""
    number = max(len(report.flights), 1)
    errors = [[frame_error(row) for row in flight.rows] for flight in report.flights]
    planes, together = _planes(report.flights)
    return {
        "judged": report.judged,
        "together": together,
        "cards": cards(report.figures),
        "criteria": [
            {"name": c.name, "value": c.value, "must": c.must, "aim": c.aim, "level": c.level, "status": c.status}
            for c in criteria(report.figures, report.seeing)
        ],
        "cdf": _quantiles([error for part in report.flights for error in _scored(part.rows)]),
        "flights": [
            _flight(part, of_part, plane, ROWS_MAX // number, AIDS_MAX // number)
            for part, of_part, plane in zip(report.flights, errors, planes, strict=True)
        ],
        "definitions": DEFINITIONS,
    }


class _Plane:
    """Mercator metres about a centre, scaled to true metres there: the plane that the page draws in."""

    def __init__(self, latitude_deg: float, longitude_deg: float) -> None:
        self._unit_m = 2.0 * MERCATOR_HALF_M / TILE_SIZE_PX * math.cos(math.radians(latitude_deg))
        self._centre = mercator_px_from_geodetic(latitude_deg, longitude_deg, 0.0)

    def xy(self, latitude_deg: float | None, longitude_deg: float | None) -> tuple[float | None, float | None]:
        if latitude_deg is None or longitude_deg is None or not math.isfinite(latitude_deg + longitude_deg):
            return None, None
        x, y = (mercator_px_from_geodetic(latitude_deg, longitude_deg, 0.0) - self._centre) * self._unit_m
        return round(float(x), 2), round(float(-y), 2)


def _flight(
    part: FlightPart, errors: Sequence[FrameError | None], plane: _Plane, rows_max: int, aids_max: int
) -> dict[str, Any]:
    chosen = thinned(part.rows, errors, rows_max)
    rows = [part.rows[i] for i in chosen]
    start_ns = part.rows[0].t_ns if part.rows else 0
    seconds = [round((row.t_ns - start_ns) / 1e9, 2) for row in rows]
    count = sum(row.fix is not None and row.fix.accepted for row in part.rows)
    tried = sum(row.fix is not None for row in part.rows)
    thin = f"{len(rows)} of {len(part.rows)} frames are drawn; the figures are of all."
    return {
        "title": part.title,
        "note": " ".join(filter(None, (part.note, thin if len(rows) < len(part.rows) else ""))),
        "facts": [list(fact) for fact in part.facts],
        "figures": dict(part.figures),
        "story": None if part.story is None else story_payload(part.story, start_ns, plane.xy),
        "t": seconds,
        "gap": _gap(seconds),
        "name": [row.name for row in rows],
        **_positions(rows, plane, above_ground=part.above_ground),
        "aboveGround": part.above_ground,
        **_quality(rows, [errors[i] for i in chosen]),
        "fixes": _fixes(rows, part, plane),
        "fixCount": [count, tried - count],
        "odometry": [0 if row.step is None else 1 if row.step.status == OdometryStatus.OK else 2 for row in rows],
        "lost": {
            str(i): row.step.reason
            for i, row in enumerate(rows)
            if row.step is not None and row.step.status != OdometryStatus.OK
        },
        "latency": [_round(row.latency_ms, 1) for row in rows],
        "stages": {stage: _box([r.stage_ms[stage] for r in part.rows if stage in r.stage_ms]) for stage in STAGES},
        "aids": _aids((a for row in part.rows for a in row.aids if is_measurement(a)), start_ns, aids_max),
        "share": _label_shares(part.rows),
        "cdf": _quantiles(_scored(part.rows)),
        "worst": _worst(rows, part.limits),
        "map": _map(part, plane),
    }


def thinned(rows: Sequence[FrameResult], errors: Sequence[FrameError | None], limit: int) -> list[int]:
    """Numbers of the rows to draw: all, or every k-th with the largest errors, pictures and changes of label."""
    if len(rows) <= limit:
        return list(range(len(rows)))
    kept = set(range(0, len(rows), -(-2 * len(rows) // limit)))
    kept |= {i for i, row in enumerate(rows) if row.frame_jpeg is not None or row.map_jpeg is not None}
    sized = sorted((-error.distance_m, i) for i, error in enumerate(errors) if error is not None)
    kept |= {i for _, i in sized[: limit // 4]}
    labels = [None if row.estimate is None else row.estimate.source_label for row in rows]
    changes = [i for i in range(1, len(rows)) if labels[i] != labels[i - 1]]
    kept |= {j for i in changes[: limit // 8] for j in (i - 1, i)}
    return sorted(kept)


def _gap(seconds: Sequence[float]) -> float:
    """Longest pause in s across which a line is still drawn."""
    steps = np.diff(seconds)
    return round(float(max(np.median(steps) * 12.0, 5.0)), 2) if len(steps) else 5.0


def _planes(parts: Sequence[FlightPart]) -> tuple[list[_Plane], bool]:
    """The plane of each flight; one for all, and True, where they were flown near each other."""
    middles = [_middle(part) for part in parts]
    if len(parts) > 1 and all(math.dist(middle, middles[0]) < TOGETHER_DEG for middle in middles):
        return [_Plane(*middles[0])] * len(parts), True
    return [_Plane(*middle) for middle in middles], False


def _middle(part: FlightPart) -> tuple[float, float]:
    places = [(r.truth_latitude_deg, r.truth_longitude_deg) for r in part.rows if r.scored]
    places += [(s.latitude_deg, s.longitude_deg) for r in part.rows if (s := r.estimate) is not None]
    if not places and part.background is not None:
        box = part.background
        places = [((box.north_deg + box.south_deg) / 2.0, (box.east_deg + box.west_deg) / 2.0)]
    if not places and part.story is not None:
        places = [(s.latitude_deg, s.longitude_deg) for s in part.story.receiver if s.fix_type >= FixType.FIX_2D]
    if not places and part.local is not None:
        latitude, longitude, _ = part.local.geodetic_from_enu(np.zeros(3))
        places = [(float(latitude), float(longitude))]
    latitude, longitude = np.median(np.array(places or [(0.0, 0.0)], dtype=float), axis=0)
    return float(latitude), float(longitude)


def _positions(rows: Sequence[FrameResult], plane: _Plane, *, above_ground: bool) -> dict[str, list[float | None]]:
    columns: dict[str, list[float | None]] = {key: [] for key in ("x", "y", "z", "zs", "tx", "ty", "tz")}
    for row in rows:
        state = row.estimate
        at = (None, None) if state is None else (state.latitude_deg, state.longitude_deg)
        height = None if state is None else state.altitude_amsl_m
        spread = None if state is None else 2.0 * math.sqrt(max(state.covariance_enu_m2[8], 0.0))
        x, y = plane.xy(*at)
        tx, ty = plane.xy(row.truth_latitude_deg, row.truth_longitude_deg)
        new = (
            x,
            y,
            _round(height, 1),
            _round(spread, 1),
            tx,
            ty,
            None if above_ground else _round(row.truth_altitude_m, 1),
        )
        for column, value in zip(columns.values(), new, strict=True):
            column.append(value)
    return columns


def _quality(rows: Sequence[FrameResult], errors: Sequence[FrameError | None]) -> dict[str, list[Any]]:
    states = [row.estimate for row in rows]
    return {
        "label": [None if s is None else LABELS.index(s.source_label) for s in states],
        "major": [None if s is None else _round(s.ellipse_semi_major_m, 2) for s in states],
        "minor": [None if s is None else _round(s.ellipse_semi_minor_m, 2) for s in states],
        "azimuth": [None if s is None else _round(s.ellipse_azimuth_deg, 0) for s in states],
        "hazard": [None if e is None else int(e.hazardous) for e in errors],
        "protection": [_round(protection_level_m(s), 1) for s in states],
        "age": [None if s is None else s.last_satellite_anchor_age_ms for s in states],
        "err": [None if e is None else _round(e.distance_m, 2) for e in errors],
        "inside": [None if e is None else int(e.inside_95) for e in errors],
        "nees": [None if e is None else _round(e.nees, 2) for e in errors],
    }


def _fixes(rows: Sequence[FrameResult], part: FlightPart, plane: _Plane) -> list[list[Any]]:
    """[row, taken, x, y, why not, inliers, matches, reprojection px, evidence] of each map fix."""
    fused = {aid.t_ns: aid for row in part.rows for aid in row.aids if aid.source == AidSource.FIX}
    fixes: list[list[Any]] = []
    for i, row in enumerate(rows):
        fix = row.fix
        if fix is None:
            continue
        x = y = None
        if part.local is not None and np.isfinite(fix.position_enu_m).all() and np.abs(fix.position_enu_m).max() < 1e6:
            latitude, longitude, _ = part.local.geodetic_from_enu(fix.position_enu_m)
            x, y = plane.xy(float(latitude), float(longitude))
        why_not = refusal(fix, fused.get(fix.t_ns), part.limits)
        pixel = _round(fix.reprojection_px, 2)
        taken = int(fix.accepted and not why_not)
        fixes.append([i, taken, x, y, why_not, fix.inliers, fix.matches, pixel, evidence(fix)])
    return fixes


def _aids(records: Iterable[AidRecord], start_ns: int, limit: int) -> dict[str, dict[str, Any]]:
    """Each source's time, test ratio, innovation in sigmas (the largest component) and decision; rejected ones stay.

    `count`, `rejected` and `rms` (of all innovations, 1 for honest variances) are of all records.
    """
    by_source: dict[str, list[AidRecord]] = {}
    for record in records:
        by_source.setdefault(record.source, []).append(record)
    share = limit // max(len(by_source), 1)
    columns: dict[str, dict[str, Any]] = {}
    for source, all_of_it in sorted(by_source.items()):
        stride = -(-len(all_of_it) // max(share, 1))
        kept = [r for k, r in enumerate(all_of_it) if k % stride == 0 or not r.accepted][: 2 * share]
        columns[source] = {
            "t": [round((r.t_ns - start_ns) / 1e9, 2) for r in kept],
            "r": [_round(r.test_ratio, 3) for r in kept],
            "s": [_sigmas(r) for r in kept],
            "ok": [int(r.accepted) for r in kept],
            "count": len(all_of_it),
            "rejected": sum(not r.accepted for r in all_of_it),
            "rms": _rms(all_of_it),
        }
    return columns


def _rms(records: Sequence[AidRecord]) -> float | None:
    """Root mean square of the accepted innovations in their own sigmas."""
    squares = [
        v * v / s
        for record in records
        if record.accepted
        for v, s in zip(record.innovation, record.innovation_variance, strict=False)
        if s > 0.0 and math.isfinite(v) and math.isfinite(s)
    ]
    return round(math.sqrt(sum(squares) / len(squares)), 2) if squares else None


def _sigmas(record: AidRecord) -> float | None:
    pairs = zip(record.innovation, record.innovation_variance, strict=False)
    scaled = [v / math.sqrt(s) for v, s in pairs if s > 0.0 and math.isfinite(v) and math.isfinite(s)]
    return round(float(max(scaled, key=lambda v: abs(v))), 2) if scaled else None


def _box(values: Sequence[float]) -> list[float] | None:
    if not values:
        return None
    return [round(float(v), 2) for v in np.percentile(values, [5, 25, 50, 75, 95])]


def _label_shares(rows: Sequence[FrameResult]) -> list[int]:
    counts = [sum(r.estimate is not None and r.estimate.source_label is label for r in rows) for label in LABELS]
    return [*counts, len(rows) - sum(counts)]


def _scored(rows: Sequence[FrameResult]) -> list[float]:
    """Error of every scored frame, infinite for a miss."""
    errors = [frame_error(row) for row in rows if row.scored]
    return [math.inf if error is None else error.distance_m for error in errors]


def _quantiles(errors: Sequence[float]) -> list[float | None]:
    """Error that k / QUANTILES of the scored frames stay below; None where that many have no estimate."""
    if not errors:
        return [None] * (QUANTILES + 1)
    ordered = sorted(errors)
    place = [min(max(math.ceil(k / QUANTILES * len(ordered)) - 1, 0), len(ordered) - 1) for k in range(QUANTILES + 1)]
    return [_round(ordered[i], 3) for i in place]


def _worst(rows: Sequence[FrameResult], limits: Mapping[str, float]) -> list[dict[str, Any]]:
    shown = [i for i, row in enumerate(rows) if row.frame_jpeg is not None or row.map_jpeg is not None]
    errors = {i: frame_error(rows[i]) for i in shown}
    shown.sort(key=lambda i: (-(e.distance_m if (e := errors[i]) is not None else math.inf), i))
    return [
        {
            "i": i,
            "frame": data_uri(rows[i].frame_jpeg),
            "map": data_uri(rows[i].map_jpeg),
            "place": "map at the fix" if rows[i].fix is not None else "map at the estimate",
            "why": why(rows[i], limits),
        }
        for i in shown
    ]


def why(row: FrameResult, limits: Mapping[str, float] = DEFAULT_LIMITS) -> str:
    """What the navigation itself said about a frame."""
    said = []
    if row.fix is None:
        said.append("no map fix tried")
    elif row.fix.accepted:
        said.append(f"map fix accepted, {row.fix.inliers} of {row.fix.matches} matches fit")
    else:
        said.append(f"map fix refused, {refusal(row.fix, None, limits)}")
    if row.step is not None and row.step.status != OdometryStatus.OK:
        said.append(f"odometry lost, {row.step.reason}")
    return "; ".join(said)


def _map(part: FlightPart, plane: _Plane) -> dict[str, Any] | None:
    box = part.background
    if box is None:
        return None
    x0, y0 = plane.xy(box.south_deg, box.west_deg)
    x1, y1 = plane.xy(box.north_deg, box.east_deg)
    return {"jpeg": data_uri(box.jpeg), "x0": x0, "y0": y0, "x1": x1, "y1": y1}


def data_uri(jpeg: bytes | None) -> str | None:
    """The JPEG as a data URI."""
    return None if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _round(value: float | None, digits: int) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits)


DEFINITIONS = [
    ("scored", "Frames with a true position. A scored frame without an estimate counts as a miss."),
    (
        "estimate",
        "The position sent for the frame's own time, with the frame's own measurements in it; one that is sent as "
        "“no fix” is none.",
    ),
    ("error", "Horizontal geodesic distance between the estimate and truth."),
    (
        "label",
        "Satellite anchored: a recent accepted map fix stands behind the position; visual propagated: carried on by "
        "frame-to-frame motion; dead reckoned: by inertial sensors and air data alone.",
    ),
    ("false anchor", "A frame labelled satellite anchored that is more than 50 m off."),
    ("inside 95 %", "Share of estimates whose error lies inside the 95 % ellipse that was sent with them."),
    (
        "protection level",
        "The radius that the true position leaves with at most 1e-4 an hour, 1e-3 under the faults watched for.",
    ),
    (
        "hazardous",
        "A position sent as a 2D or 3D fix whose error is beyond the protection level, or beyond 3.5 times the 95 % "
        "ellipse.",
    ),
    (
        "NEES",
        "Normalised estimation error squared of the horizontal position; its mean is 2 for an honest covariance, and "
        "larger where the ellipses are too small.",
    ),
    (
        "odometry drift",
        "Summed odometry displacement against truth over unbroken windows of 500 m (100 m at the end of a segment), "
        "as a share of the true distance.",
    ),
    (
        "measurements",
        "What the fusion could take in. The aircraft's GPS is watched, never fused, and has a chart of its own; "
        "decisions (failsafe, which position source, smoother) are no measurements.",
    ),
    ("test ratio", "Squared innovation over its gate; above 1 the measurement is rejected."),
    (
        "GPS health",
        "What the aircraft's own GPS is worth by our position: unknown, stable and not spoofed, degraded (it says so "
        "itself, or is silent), spoofed (it contradicts our position or itself).",
    ),
    ("position source", "Which position the autopilot is told to use: the companion's or that of its own GPS."),
    (
        "failsafe level",
        "3D fix; 2D fix where the 95 % ellipse is beyond its limit; no fix where it is beyond the next one or nothing "
        "was seen for long; no position where none is known.",
    ),
    ("latency", "From the moment the frame is there to the position message; stages are timed on their own."),
]
