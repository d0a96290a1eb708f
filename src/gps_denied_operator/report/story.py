"""What happened in a flight, from its records: when the GPS was not good, by how much, who was followed and why; pure.

Times are `t_ns` of the flight's clock; `Story.at` writes them in UTC where the recording knows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.failsafe import LEVEL_NAMES, FailsafeLevel
from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    Alert,
    FixType,
    FloatArray,
    GpsHealth,
    GpsSample,
    NavState,
    PositionSource,
)

SILENCE_NS = round(IntegrityConfig().silence_s * 1e9)
APART_M = IntegrityConfig().wrong_m_min
"""A receiver that is nearer to our position than this is never called wrong."""
UTC_NS_MIN = 1_577_836_800_000_000_000
"""2020-01-01: a clock that says less was never set."""
CLOCK_STEP_NS = 1_000_000_000

LEVELS = tuple(LEVEL_NAMES[level] for level in FailsafeLevel)
"""The failsafe ladder's reasons by level, best first (integrity.failsafe)."""
HEALTHS = tuple(GpsHealth)
SOURCES = tuple(PositionSource)
NOT_MEASUREMENTS = frozenset(
    {
        AidSource.FAILSAFE,
        AidSource.POSITION_SOURCE,
        AidSource.ISAM2,
        AidSource.GPS,
        AidSource.GPS_GATE,
        AidSource.STATE_HEALTH,
        AidSource.CAMERA_CLOCK,
        AidSource.BELIEF,
        AidSource.FRAME,
        AidSource.CLONE,
        "eskf",  # of old recordings
    }
)
"""Sources of AidRecord that tell of a decision, or are only watched: nothing of them was ever fused."""


@dataclass(frozen=True, slots=True)
class Span:
    """`value` holds from `start_ns` to `end_ns`; `why` is what the records say about its beginning."""

    start_ns: int
    end_ns: int
    value: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Distance:
    """The receiver's claim against our position: east and north in m, claim minus ours; `ratio` of its gates."""

    t_ns: int
    east_m: float
    north_m: float
    ratio: float
    health: int

    @property
    def metres(self) -> float:
        """Horizontal distance."""
        return math.hypot(self.east_m, self.north_m)


@dataclass(frozen=True, slots=True, eq=False)
class Story:
    """See the module. Values of `health` index HEALTHS, of `source` SOURCES, of `failsafe` LEVELS; all three are empty
    where the recording holds no decision at all: nothing flew by it.

    `gate` holds what the gate decided by satellite fixes, `given_back` when the GPS got its place back without one.
    `utc_ns_at_zero`: UTC since 1970 at t_ns 0, None where nothing knew it; `utc_from` says which clock did. `states`
    tells that positions were sent. `route_deg` (N, 2) is the planned route, None without one.
    """

    start_ns: int
    end_ns: int
    utc_ns_at_zero: int | None
    utc_from: str
    health: tuple[Span, ...]
    source: tuple[Span, ...]
    failsafe: tuple[Span, ...]
    alerts: tuple[Alert, ...]
    receiver: tuple[GpsSample, ...]
    distances: tuple[Distance, ...]
    gate: tuple[AidRecord, ...]
    given_back: tuple[AidRecord, ...] = ()
    route_deg: FloatArray | None = None
    utc_note: str = ""

    def at(self, t_ns: int) -> str:
        """A moment in words: UTC, else seconds since the first record."""
        if self.utc_ns_at_zero is None:
            return f"{(t_ns - self.start_ns) / 1e9:.1f} s"
        moment = datetime.fromtimestamp((self.utc_ns_at_zero + t_ns) // 1_000_000 / 1e3, UTC)
        return f"{moment:%H:%M:%S}.{moment.microsecond // 100_000} UTC"


def story_of(
    messages: Iterable[Any],
    span_ns: tuple[int, int],
    utc: tuple[int | None, str, str] = (None, "", ""),
    route_deg: FloatArray | None = None,
) -> Story:
    """Sort what was recorded (NavState, AidRecord, Alert, GpsSample; anything else is left out) into a story.

    span_ns: first and last moment of the flight. Decisions come from the records of the integrity monitor; positions
    stand in where a recording holds none of these.
    """
    states: list[NavState] = []
    aids: list[AidRecord] = []
    alerts: list[Alert] = []
    receiver: list[GpsSample] = []
    kinds: dict[type, list[Any]] = {NavState: states, AidRecord: aids, Alert: alerts, GpsSample: receiver}
    for message in messages:
        if type(message) in kinds:
            kinds[type(message)].append(message)
    for told in kinds.values():
        told.sort(key=lambda message: message.t_ns)
    of_gps = [aid for aid in aids if aid.source == AidSource.GPS]
    decided = bool(states or aids or alerts)
    return Story(
        *span_ns,
        utc[0],
        utc[1],
        _health(of_gps, states, span_ns) if decided else (),
        _source(aids, states, span_ns) if decided else (),
        _failsafe(aids, states, span_ns) if decided else (),
        tuple(alerts),
        tuple(receiver),
        tuple(_distances(of_gps)),
        tuple(aid for aid in aids if aid.source == AidSource.GPS_GATE),
        tuple(aid for aid in aids if aid.source == AidSource.POSITION_SOURCE and aid.accepted),
        route_deg,
        utc[2],
    )


def utc_of(clocks: Sequence[tuple[int, int]], receiver: Iterable[GpsSample], told_ns: int | None) -> tuple[
    int | None, str, str
]:  # fmt: skip
    """UTC at t_ns 0, whose clock says so, and a note where that clock was set in flight.

    clocks: (t_ns, utc_ns) of the companion's clock; told_ns: what the recording itself says. The receiver's time comes
    last: a forger may have made it.
    """
    offsets = sorted(utc_ns - t_ns for t_ns, utc_ns in clocks if utc_ns >= UTC_NS_MIN)
    if told_ns is not None and told_ns >= UTC_NS_MIN:
        return told_ns, "the recording", ""
    if offsets:
        apart_s = (offsets[-1] - offsets[0]) / 1e9
        note = f"The companion's clock was set by {apart_s:.1f} s in flight." if apart_s * 1e9 > CLOCK_STEP_NS else ""
        return offsets[len(offsets) // 2], "the companion's clock", note
    claimed = sorted(s.utc_ns - s.t_ns for s in receiver if s.utc_ns >= UTC_NS_MIN)
    if claimed:
        return claimed[len(claimed) // 2], "the GPS receiver's claim", "No other clock knew the time."
    return None, "", ""


def is_measurement(aid: AidRecord) -> bool:
    """Whether a record is of something that the fusion could take in."""
    return aid.source not in NOT_MEASUREMENTS


def _spans(events: Iterable[tuple[int, int, str]], span_ns: tuple[int, int], before: int | None) -> tuple[Span, ...]:
    """Spans of equal values from (t_ns, value, why); `before` holds from the start on, None: the first value does."""
    start_ns, end_ns = span_ns
    out: list[Span] = [] if before is None else [Span(start_ns, end_ns, before)]
    for t_ns, value, why in events:
        if out and out[-1].value == value:
            continue
        if out:
            out[-1] = Span(out[-1].start_ns, t_ns, out[-1].value, out[-1].why)
        out.append(Span(t_ns if out or before is not None else start_ns, end_ns, value, why))
    return tuple(span for span in out if span.end_ns > span.start_ns or len(out) == 1)


def _health(of_gps: Sequence[AidRecord], states: Sequence[NavState], span_ns: tuple[int, int]) -> tuple[Span, ...]:
    unknown = HEALTHS.index(GpsHealth.UNKNOWN)
    if not of_gps:
        return _spans(((s.t_ns, HEALTHS.index(s.gps_health), "") for s in states), span_ns, unknown)
    events: list[tuple[int, int, str]] = []
    for aid, following in zip(of_gps, [*of_gps[1:], None], strict=True):
        value, why = health_of(aid)
        events.append((aid.t_ns, value, why))
        next_ns = span_ns[1] if following is None else following.t_ns
        if next_ns - aid.t_ns > 2 * SILENCE_NS:
            events.append((aid.t_ns + SILENCE_NS, HEALTHS.index(GpsHealth.DEGRADED), "silent"))
    return _spans(events, span_ns, unknown)


def health_of(aid: AidRecord) -> tuple[int, str]:
    """Verdict (index of HEALTHS) and reason of a record of the receiver."""
    word, _, why = aid.reason.partition(": ")
    return (HEALTHS.index(GpsHealth(word)), why) if word in set(HEALTHS) else (HEALTHS.index(GpsHealth.UNKNOWN), word)


def _source(aids: Sequence[AidRecord], states: Sequence[NavState], span_ns: tuple[int, int]) -> tuple[Span, ...]:
    companion, gps = SOURCES.index(PositionSource.COMPANION), SOURCES.index(PositionSource.GPS)
    if len(states) > 1:
        return _spans(((s.t_ns, SOURCES.index(s.position_source), "") for s in states), span_ns, companion)
    told = (a for a in aids if a.source == AidSource.POSITION_SOURCE)
    events = [(a.t_ns, gps if a.accepted else companion, a.reason) for a in told]
    events += [(a.t_ns, gps, a.reason) for a in aids if a.source == AidSource.GPS_GATE and a.accepted]
    return _spans(sorted(events), span_ns, companion)


def _failsafe(aids: Sequence[AidRecord], states: Sequence[NavState], span_ns: tuple[int, int]) -> tuple[Span, ...]:
    told = (a for a in aids if a.source == AidSource.FAILSAFE and a.reason in LEVELS)
    events = [(a.t_ns, LEVELS.index(a.reason), "") for a in told]
    if not events:
        events = [(s.t_ns, min(max(FixType.FIX_3D - s.fix_type, 0), 2), "") for s in states]
    return _spans(events, span_ns, FailsafeLevel.NO_POSITION)


def _distances(of_gps: Sequence[AidRecord]) -> Iterable[Distance]:
    for aid in of_gps:
        if len(aid.innovation) >= 2 and all(math.isfinite(v) for v in aid.innovation[:2]):
            yield Distance(aid.t_ns, aid.innovation[0], aid.innovation[1], aid.test_ratio, health_of(aid)[0])
