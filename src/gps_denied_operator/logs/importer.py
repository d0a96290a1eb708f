"""A log with its pictures as a recording like any other: replay, report and evaluation take it.

The log's GPS goes in twice and is an input nowhere: as the truth to score by, and as the receiver that is watched. The
navigation is told a position once, as in flight: where it starts.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import mercator_px_from_geodetic, mercator_resolution_m
from gps_denied_onboard.live.ground_hold import AIRSPEED_MPS
from gps_denied_onboard.messages import (
    AttitudeSample,
    FixType,
    GpsSample,
    ImuSample,
    TakeoffOrigin,
    Telemetry,
    TruthSample,
)
from gps_denied_onboard.recorder.kinds import KIND_OF_CLASS
from gps_denied_onboard.recorder.mcap_io import JUMP_AHEAD_NS, RecordingWriter
from gps_denied_onboard.recorder.meta import FRAMES_FOLDER, RecordingMeta, iso_from_unix_ns, write_meta
from gps_denied_onboard.recorder.output_folder import OutputFolder
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.tiles.files import mask_path
from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_operator.logs.flight_log import FlightLog
from gps_denied_operator.logs.import_page import import_page
from gps_denied_operator.logs.open_log import open_log
from gps_denied_operator.logs.picture_files import FOV_ASSUMED_DEG, Pictures, take_photos, take_video
from gps_denied_operator.logs.picture_times import AlignedBy
from gps_denied_operator.logs.receiver_delay import ReceiverDelay, receiver_delay
from gps_denied_operator.tiles.direct import open_tile_source

PAGE_FILE = "import.html"
TILES_FOLDER, TILES_SOURCE = "tiles", "map"
MAP_BUFFER_M = 1500.0
TILES_MAX = 200_000
GROUND_SIGMA_M = 20.0
GROUND_SPEED_MPS, STILL_SAMPLES = 1.0, 25
ATTITUDE_AGE_NS = 300_000_000
LEAD_NS = 20_000_000_000
"""So much of the log comes before the first picture."""
NOMINAL_SIZE_PX = (1368, 912)
PRODUCER = "import-log"


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import. `rate_hz` is of a video's frames; `fov_deg` None: as the pictures say. `ground_m` is the ground's
    altitude above mean sea level under the flight; None: where the aircraft stood."""

    log: Path
    out: Path
    video: Path | None = None
    photos: Path | None = None
    maps: tuple[Path, ...] = ()
    rate_hz: float = 1.0
    fov_deg: float | None = None
    ground_m: float | None = None

    def __post_init__(self) -> None:
        if self.video is not None and self.photos is not None:
            raise UserError("give --video or --photos, not both: a recording has one camera.")
        if not 0.1 <= self.rate_hz <= 10.0:
            raise UserError(f"--rate must be 0.1 to 10 pictures a second, got {self.rate_hz:g}.")
        if self.fov_deg is not None and not 1.0 <= self.fov_deg <= 170.0:
            raise UserError(f"--fov must be 1 to 170 degrees, got {self.fov_deg:g}.")


def import_log(request: ImportRequest) -> dict[str, Any]:
    """Write the recording; returns what `--json` prints. UserError where nothing of the log can be used."""
    log = longest_piece(open_log(request.log))
    with OutputFolder(request.out, "recording") as folder:
        frames = folder / FRAMES_FOLDER
        frames.mkdir()
        whole, pictures = log, _pictures(request, log, frames)
        log = _cut(log, pictures)
        notes = [*log.notes, *([] if pictures is None else (*pictures.alignment.notes, *pictures.notes))]
        log = from_its_start(log, notes)
        delay = receiver_delay(log)
        notes.append(_of_delay(delay))
        truth = truth_of(log, 0.0 if delay is None else delay.delay_s)
        messages = with_start(log, truth, notes)
        notes += missing(log, truth)
        if not any(isinstance(m, AttitudeSample) for m in messages):
            notes.append("it holds no attitude: the navigation cannot use its pictures.")
        origin = truth[len(truth) // 2] if truth else None
        if origin is None:
            raise UserError(
                f"{log.path} holds no GPS fix: where on earth it was flown nothing tells. {' '.join(notes)}"
            )
        tiles = _write_tiles(request.maps, truth, folder, notes)
        records = () if pictures is None else pictures.frames
        with RecordingWriter(folder, PRODUCER) as writer:
            writer.write_all([*messages, *records])
            writer.write_all(truth)
        camera = CameraModel.from_fov(*NOMINAL_SIZE_PX, FOV_ASSUMED_DEG) if pictures is None else pictures.camera
        write_meta(folder, _meta(log, camera, origin, _ground_m(request, whole, notes), tiles))
        told = _told(request, log, pictures, truth, notes)
        (folder / PAGE_FILE).write_text(import_page(told, truth, log), encoding="utf-8")
    return told


def longest_piece(log: FlightLog) -> FlightLog:
    """The longest part of a log with one steady clock and no long silence, its times as they were."""
    times = [m.t_ns for m in log.messages]
    silent = [b for a, b in itertools.pairwise(times) if b - a > JUMP_AHEAD_NS - 1_000_000_000]
    edges = sorted({times[0], *silent, *(b for b in log.breaks_ns if times[0] < b <= times[-1])})
    if len(edges) == 1:
        return log
    pieces = [
        (bisect_left(times, a), bisect_left(times, b)) for a, b in zip(edges, [*edges[1:], times[-1] + 1], strict=True)
    ]
    first, end = max(pieces, key=lambda p: p[1] - p[0])
    begin_ns, end_ns = times[first], times[end - 1]
    note = (
        f"of its {len(pieces)} parts the longest was taken, {begin_ns / 1e9:.1f} to {end_ns / 1e9:.1f} s of "
        f"{log.duration_ns / 1e9:.1f} s; cut the log to import another one."
    )
    return replace(log, messages=log.messages[first:end], notes=(*log.notes, note),
                   camera_ns=tuple(t for t in log.camera_ns if begin_ns <= t <= end_ns))  # fmt: skip


def _pictures(request: ImportRequest, log: FlightLog, frames: Path) -> Pictures | None:
    if request.photos is not None:
        return take_photos(log, request.photos, frames, request.fov_deg)
    if request.video is not None:
        return take_video(log, request.video, frames, request.rate_hz, request.fov_deg)
    return None


def _cut(log: FlightLog, pictures: Pictures | None) -> FlightLog:
    """Without what lies long before the first picture and after the last one: there the navigation sees nothing."""
    if pictures is None or not pictures.frames:
        return log
    begin_ns = pictures.frames[0].t_ns - LEAD_NS
    end_ns = pictures.frames[-1].t_ns + LEAD_NS
    return replace(log, messages=tuple(m for m in log.messages if begin_ns <= m.t_ns <= end_ns))


def from_its_start(log: FlightLog, notes: list[str]) -> FlightLog:
    """From when an aircraft that stood on the ground runs as fast as one that flies: in flight the companion is held
    back until then (`GroundHold`), and what an autopilot tells before it has aligned itself means nothing."""
    began_ns = _runs_ns(log)
    if began_ns is None:
        return log
    notes.append(f"it stood on the ground: the navigation begins at {began_ns / 1e9:.1f} s, as it takes off.")
    return replace(log, messages=tuple(m for m in log.messages if m.t_ns >= began_ns))


def _runs_ns(log: FlightLog) -> int | None:
    """When the receiver of an aircraft that stood tells the speed of one that flies; None where it did not stand."""
    still = 0
    for m in log.messages:
        if not isinstance(m, GpsSample) or m.fix_type < FixType.FIX_3D:
            continue
        speed_mps = math.hypot(*m.velocity_ned_mps[:2])
        if speed_mps >= AIRSPEED_MPS:
            return m.t_ns if still >= STILL_SAMPLES else None
        still += speed_mps < GROUND_SPEED_MPS
    return None


def _of_delay(delay: ReceiverDelay | None) -> str:
    if delay is None:
        return "how late its receiver is nothing tells: the truth is late by as much, usually 0.1 to 0.2 s."
    return (
        f"its receiver is late by {delay.delay_s:.2f} s (sigma {delay.sigma_s:.2f} s), by what the accelerometers "
        "felt: the truth is set back by that."
    )


def truth_of(log: FlightLog, late_s: float = 0.0) -> list[TruthSample]:
    """The receiver's good fixes, each `late_s` before it came, as truth, with the autopilot's attitude of that moment
    (the nearest one)."""
    attitudes = [m for m in log.messages if isinstance(m, AttitudeSample)]
    times = [m.t_ns for m in attitudes]
    out = []
    for m in log.messages:
        if not isinstance(m, GpsSample) or m.fix_type < FixType.FIX_3D or m.satellites < 5:
            continue
        t_ns = m.t_ns - round(late_s * 1e9)
        if t_ns < 0:
            continue
        k = bisect_left(times, t_ns)
        near = min(attitudes[max(k - 1, 0) : k + 1], key=lambda a: abs(a.t_ns - t_ns), default=None)
        level = (1.0, 0.0, 0.0, 0.0)
        turned = near.quaternion_body_to_ned if near is not None and abs(near.t_ns - t_ns) < ATTITUDE_AGE_NS else level
        out.append(TruthSample(t_ns, m.latitude_deg, m.longitude_deg, m.altitude_amsl_m, m.velocity_ned_mps, turned))
    return out


def with_start(log: FlightLog, truth: Sequence[TruthSample], notes: list[str]) -> list[Telemetry]:
    """The messages with the one position that the navigation is told, at the first good fix of what was kept."""
    messages = list(log.messages)
    if not truth:
        return messages
    first = truth[0]
    own = log.own_origin
    if own is not None and abs(own.t_ns - first.t_ns) < 1_000_000_000:
        origin = own
    else:
        origin = TakeoffOrigin(first.t_ns, first.latitude_deg, first.longitude_deg, first.altitude_amsl_m, 5.0, 5.0,
                               first.velocity_ned_mps)  # fmt: skip
    notes.append(f"the navigation is told where it starts, once, at {origin.t_ns / 1e9:.1f} s: 5 m sigma.")
    messages.insert(bisect_right([m.t_ns for m in messages], origin.t_ns), origin)
    return messages


def missing(log: FlightLog, truth: Sequence[TruthSample]) -> list[str]:
    """Sentences about sensors that the log does not hold."""
    counts = Counter(KIND_OF_CLASS[type(m)].name for m in log.messages)
    out = [f"it holds no {name}." for name in ("imu", "airspeed", "baro", "rangefinder") if not counts[name]]
    imu_hz = log.rate_hz(ImuSample)
    if 0.0 < imu_hz < 20.0:
        out.append(f"its IMU comes {imu_hz:.0f} times a second: too seldom to carry a position; attitude and air do.")
    if not truth:
        out.append("its GPS never had a fix: there is no truth to score by.")
    return out


def _ground_m(request: ImportRequest, log: FlightLog, notes: list[str]) -> float:
    """The ground's altitude as told, else where the receiver stood still, else the lowest that it was."""
    if request.ground_m is not None:
        return request.ground_m
    fixes = [m for m in log.messages if isinstance(m, GpsSample) and m.fix_type >= FixType.FIX_3D]
    still = [m.altitude_amsl_m for m in fixes if math.hypot(*m.velocity_ned_mps[:2]) < GROUND_SPEED_MPS]
    if len(still) >= STILL_SAMPLES:
        notes.append(
            f"the ground is taken at {np.median(still):.0f} m above sea level, where it stood; else give --ground."
        )
        return float(np.median(still))
    lowest = min((m.altitude_amsl_m for m in fixes), default=0.0)
    notes.append(
        f"it never stood on the ground: that is taken at its lowest altitude, {lowest:.0f} m, surely too high; "
        "give --ground, metres above sea level, or the pictures' scale is wrong."
    )
    return lowest


def _meta(log: FlightLog, camera: CameraModel, origin: TruthSample, ground_m: float, zoom: int | None) -> RecordingMeta:
    utc = None if log.unix_ns_at_zero is None else iso_from_unix_ns(log.unix_ns_at_zero)
    return RecordingMeta(
        camera=camera,
        origin_latitude_deg=round(origin.latitude_deg, 5),
        origin_longitude_deg=round(origin.longitude_deg, 5),
        origin_altitude_m=round(min(max(ground_m, -1000.0), 9000.0), 1),
        ground_sigma_m=GROUND_SIGMA_M,
        utc_at_zero=utc,
        scenario=f"imported: {log.kind.value}",
        tiles_directory=None if zoom is None else TILES_FOLDER,
        tiles_source="" if zoom is None else TILES_SOURCE,
        tiles_zoom=zoom,
    )


def _write_tiles(maps: Sequence[Path], truth: Sequence[TruthSample], folder: Path, notes: list[str]) -> int | None:
    """The maps' tiles around the track as the recording's own; their zoom, None without a map."""
    if not maps:
        return None
    source = open_tile_source(maps)
    zoom = source.zoom
    latitudes, longitudes = [t.latitude_deg for t in truth], [t.longitude_deg for t in truth]
    buffer_px = MAP_BUFFER_M / mercator_resolution_m(float(np.mean(latitudes)), zoom)
    px = mercator_px_from_geodetic(latitudes, longitudes, zoom)
    low, high = (px.min(axis=0) - buffer_px) // TILE_PX, (px.max(axis=0) + buffer_px) // TILE_PX + 1
    x0, y0, x1, y1 = source.bounds_tiles()
    columns = range(max(int(low[0]), x0), min(int(high[0]), x1))
    rows = range(max(int(low[1]), y0), min(int(high[1]), y1))
    if len(columns) * len(rows) > TILES_MAX:
        raise UserError(f"the map around the track has more than {TILES_MAX} tiles at zoom {zoom}; give a coarser one.")
    written = 0
    for x in columns:
        for y in rows:
            tile = source.read_tile(x, y)
            if tile is None:
                continue
            path = folder / TILES_FOLDER / TILES_SOURCE / str(zoom) / str(x) / f"{y}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(codec.encode_jpeg(tile[0]))
            mask = codec.encode_mask(tile[1])
            if mask is not None:
                mask_path(path).write_bytes(mask)
            written += 1
    if not written:
        notes.append("no map that was given lies under the flight: there are no tiles in the recording.")
        return None
    return zoom


def _told(
    request: ImportRequest, log: FlightLog, pictures: Pictures | None, truth: Sequence[TruthSample], notes: list[str]
) -> dict[str, Any]:
    counts = Counter(KIND_OF_CLASS[type(m)].name for m in log.messages)
    span_s = (log.messages[-1].t_ns - log.messages[0].t_ns) / 1e9
    alignment = None if pictures is None else pictures.alignment
    known = alignment is not None and alignment.by is not AlignedBy.NOTHING
    return {
        "outcome": "success",
        "recording": str(request.out),
        "log": str(request.log),
        "format": log.kind.value,
        "duration_s": round(span_s, 3),
        "messages": dict(sorted(counts.items())),
        "truth": len(truth),
        "frames": 0 if pictures is None else len(pictures.frames),
        "aligned_by": AlignedBy.NOTHING.value if alignment is None else alignment.by.value,
        "offset_s": alignment.offset_s if alignment is not None and known else None,
        "offset_sigma_s": round(alignment.sigma_s, 4) if alignment is not None and known else None,
        "notes": list(dict.fromkeys(notes)),
        "page": str(request.out / PAGE_FILE),
    }
