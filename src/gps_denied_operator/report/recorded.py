"""What a flight's recording holds, as rows of a report and as its story."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    Alert,
    FloatArray,
    GpsSample,
    NavState,
    OdometryStep,
    PoseFix,
    RejectReason,
)
from gps_denied_onboard.recorder.meta import RecordingMeta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import ClockRecord, MovedRecord, ThumbnailRecord
from gps_denied_operator.report.story import Story, story_of, utc_of
from gps_denied_operator.scoring.frames import FrameResult

ROWS_MAX = 20_000
THUMBNAILS_MAX = 40
KINDS = ("navstate", "fix", "moved", "aid", "spoofing_gate", "thumbnail", "alert", "gps", "clock")
STEP_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """`rows`: moments at which a position was sent, each with what was fused since the one before; where none ever was,
    one moment a picture or a second. `placed` tells which of the two."""

    rows: list[FrameResult]
    placed: bool
    story: Story


def read_recorded(
    reader: FlightReader, meta: RecordingMeta, route_deg: FloatArray | None, progress: Callable[[int], None]
) -> Recorded:
    """Read a recording once, whatever is missing from it; an empty one has no rows."""
    states: list[NavState] = []
    told: list[Any] = []
    rest: list[Any] = []
    clocks: list[tuple[int, int]] = []
    for count, message in enumerate(reader.messages(KINDS)):
        if isinstance(message, NavState):
            states.append(message)
        elif isinstance(message, ClockRecord):
            clocks.append((message.t_ns, message.utc_ns))
        elif isinstance(message, Alert | GpsSample):
            told.append(message)
        else:
            rest.append(message)
        if count % 1000 == 0:
            progress(count)
    states.sort(key=lambda state: state.t_ns)
    # Header and footer may stand at another clock's times: the flight is from the first of these to the last.
    times = [message.t_ns for messages in (states, told, rest) for message in messages]
    span_ns = (min(times), max(times)) if times else (reader.start_ns or 0, reader.end_ns or 0)
    receiver = [message for message in told if isinstance(message, GpsSample)]
    utc = utc_of(clocks, receiver, meta.unix_ns_at_zero)
    story = story_of([*states, *told, *(m for m in rest if isinstance(m, AidRecord))], span_ns, utc, route_deg)
    kept = states[:: -(-len(states) // ROWS_MAX) or 1]
    rows = [FrameResult(s.t_ns, i, f"{(s.t_ns - span_ns[0]) / 1e9:.1f} s", state=s) for i, s in enumerate(kept)]
    return Recorded(_filled(rows or _bare(rest, span_ns), rest), bool(rows), story)


def _bare(rest: Iterable[Any], span_ns: tuple[int, int]) -> list[FrameResult]:
    """Moments of a flight without a position."""
    start_ns, end_ns = span_ns
    frames = sorted({message.t_ns for message in rest if isinstance(message, MovedRecord)})
    step_ns = max(STEP_NS, (end_ns - start_ns) // ROWS_MAX)
    ticks = np.arange(start_ns, end_ns + 1, step_ns).tolist() if end_ns > start_ns else []
    times = sorted({*frames[:: -(-len(frames) // ROWS_MAX) or 1], *ticks})
    return [FrameResult(int(t), i, f"{(t - start_ns) / 1e9:.1f} s") for i, t in enumerate(times)]


def _filled(rows: Sequence[FrameResult], rest: Iterable[Any]) -> list[FrameResult]:
    if not rows:
        return []
    times = [row.t_ns for row in rows]
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
            picture = _jpeg(message.jpeg)
            if picture is not None:
                thumbnails[place] = picture
        elif isinstance(message, AidRecord):
            aids.setdefault(place, []).append(message)
            if message.source == AidSource.BELIEF and place in fixes:  # frames together decided otherwise than this one
                reason = RejectReason.NONE if message.accepted else RejectReason.UNSURE
                fixes[place] = replace(fixes[place], accepted=message.accepted, reason=reason)
    return [
        FrameResult(
            row.t_ns, row.index, row.name, state=row.state, fix=fixes.get(place), step=steps.get(place),
            aids=tuple(aids.get(place, ())), frame_jpeg=thumbnails.get(place),
        )
        for place, row in enumerate(rows)
    ]  # fmt: skip


def _jpeg(text: str) -> bytes | None:
    """The picture of a thumbnail; None where the text is none."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if data[:2] == b"\xff\xd8" else None
