"""A flight's story in sentences that somebody who was not there understands; pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from gps_denied_onboard.messages import AidRecord, GpsHealth, PositionSource
from gps_denied_operator.report.story import APART_M, HEALTHS, LEVELS, SOURCES, Distance, Span, Story
from gps_denied_operator.report.verdict import BAD, GOOD, NONE, WARN

REASONS = {
    "jump": "its position jumped further than its own velocity explains",
    "creep": "its position moves faster than its own velocity says",
    "drift": "it drifted away from our position over some seconds",
    "position": "its position contradicts ours, sample after sample",
    "velocity": "its velocity contradicts ours",
    "time jump": "its time jumped",
    "time runs back": "its time ran back",
    "receiver says spoofing": "the receiver itself reports spoofing",
    "jamming": "the receiver itself reports jamming",
    "no fix": "it had no fix",
    "few satellites": "it used too few satellites",
    "poor accuracy": "its own accuracy was poor",
    "silent": "nothing was heard of it",
    "malformed": "it sent what is no number",
}
"""Reasons of the GPS monitor (integrity.gps_health) in words."""
LEVEL_WORDS = (
    "the autopilot was sent a 3D fix",
    "uncertain by more than the limit: the autopilot was sent a 2D fix only",
    "too uncertain, or blind for too long: the autopilot was sent “no fix”",
    "no position was known: the autopilot was sent “no fix”",
)
GIVEN_BACK = (
    "It had been left on our position's word alone, and our own position was in doubt; no satellite fix was asked."
)
COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")


@dataclass(frozen=True, slots=True)
class Chapter:
    """Something that happened at `t_ns` (until `end_ns`): `level` is a colour of report.verdict."""

    t_ns: int
    end_ns: int
    level: str
    title: str
    text: str


def chapters(story: Story) -> list[Chapter]:
    """What happened, in the order of time."""
    found = [*_healths(story), *_sources(story), *_refusals(story), *_levels(story)]
    return sorted(found, key=lambda chapter: chapter.t_ns)


def summary(story: Story) -> tuple[str, str]:
    """Level and one or two sentences for the head of the page."""
    forged = [span for span in story.health if HEALTHS[span.value] is GpsHealth.SPOOFED]
    if not forged:
        poor = [span for span in story.health if HEALTHS[span.value] is GpsHealth.DEGRADED]
        if not poor:
            return _unsuspected(story)
        seconds = sum(span.end_ns - span.start_ns for span in poor) / 1e9
        first = poor[0]
        return WARN, f"The GPS was not usable for {_long(seconds)}, first at {story.at(first.start_ns)}: {_why(first)}."
    said = []
    for span in forged[:2]:
        apart = _apart(story, span)
        far = "" if apart is None else f", {apart[0]:,.0f} m off"
        said.append(f"from {story.at(span.start_ns)} to {story.at(span.end_ns)}{far}")
    more = f", and {len(forged) - 2} times more" if len(forged) > 2 else ""
    return WARN, f"GPS forged {', and '.join(said)}{more}. {_answer(story, forged[0])}"


def _unsuspected(story: Story) -> tuple[str, str]:
    if not story.health:
        return NONE, "The recording holds inputs only: nothing was decided by it."
    if not (story.receiver or story.distances):
        return NONE, "The aircraft's GPS was not heard."
    if all(HEALTHS[span.value] is GpsHealth.UNKNOWN for span in story.health):
        return NONE, "Whether the aircraft's GPS was good cannot be told: our own position was never sure enough."
    return GOOD, "The aircraft's GPS was never found false."


def _answer(story: Story, forged: Span) -> str:
    """What was done about it: left how soon, back when."""
    followed = [span for span in story.source if SOURCES[span.value] is PositionSource.GPS]
    used = [span for span in followed if span.start_ns <= forged.start_ns <= span.end_ns + 1_000_000_000]
    back = next((span for span in followed if span.start_ns > forged.start_ns), None)
    left = "It was not in use then."
    if used:
        after_s = max((used[-1].end_ns - forged.start_ns) / 1e9, 0.0)
        left = f"It was left {_after(after_s)} that was seen."
    if back is None:
        return f"{left} It was not taken back."
    if _was_given_back(story, back):
        return f"{left} It was given back at {story.at(back.start_ns)}: our own position was in doubt."
    return f"{left} It was taken back at {story.at(back.start_ns)}."


def _healths(story: Story) -> Iterable[Chapter]:
    for span in story.health:
        health = HEALTHS[span.value]
        if health is GpsHealth.SPOOFED:
            yield Chapter(span.start_ns, span.end_ns, BAD, "GPS forged", _forged(story, span))
        elif health is GpsHealth.DEGRADED:
            text = f"For {_seconds(span)}: {_why(span)}."
            yield Chapter(span.start_ns, span.end_ns, WARN, "GPS not usable", text)


def _forged(story: Story, span: Span) -> str:
    said = [f"For {_seconds(span)}, until {story.at(span.end_ns)}."]
    apart = _apart(story, span)
    if apart is None:
        said.append("Our own position was not known then: how far it was off cannot be told.")
    else:
        middle, most, bearing_deg = apart
        towards = COMPASS[round(bearing_deg / 45.0) % 8]
        said.append(
            f"The receiver put the aircraft {middle:,.0f} m to the {towards} ({bearing_deg:.0f}°) of our position "
            f"(median; {most:,.0f} m at most)."
        )
    said.append(f"Seen because {_why(span)}.")
    began = _began(story, span)
    if began is not None and span.start_ns - began > 200_000_000:
        ahead_s = (span.start_ns - began) / 1e9
        said.append(f"It had been more than {APART_M:g} m from our position for {ahead_s:.1f} s by then.")
    ended = max((d.t_ns for d in _within(story, span) if d.ratio > 1.0), default=None)
    if ended is not None and span.end_ns - ended > 200_000_000 and span.end_ns < story.end_ns:
        said.append(f"It last contradicted our position at {story.at(ended)}, and was called good when nothing spoke "
                    f"against it for {(span.end_ns - ended) / 1e9:.1f} s.")  # fmt: skip
    return " ".join(said)


def _began(story: Story, span: Span) -> int | None:
    """When the receiver began to lie far from our position, without a break up to the verdict."""
    began = None
    for distance in reversed([d for d in story.distances if d.t_ns < span.start_ns]):
        if distance.metres <= APART_M:
            break
        began = distance.t_ns
    return began


def _apart(story: Story, span: Span) -> tuple[float, float, float] | None:
    """Median and largest distance in m of a span, and the bearing of the median offset in degrees."""
    inside = [d for d in _within(story, span) if d.ratio > 1.0] or _within(story, span)
    if not inside:
        return None
    east, north = (statistics.median(values) for values in zip(*((d.east_m, d.north_m) for d in inside), strict=True))
    metres = [d.metres for d in inside]
    return statistics.median(metres), max(metres), math.degrees(math.atan2(east, north)) % 360.0


def _within(story: Story, span: Span) -> list[Distance]:
    return [d for d in story.distances if span.start_ns <= d.t_ns < span.end_ns]


def _sources(story: Story) -> Iterable[Chapter]:
    for before, span in zip(story.source, story.source[1:], strict=False):
        if SOURCES[span.value] is PositionSource.COMPANION:
            cause = max((h for h in story.health if h.start_ns <= span.start_ns), key=lambda h: h.start_ns)
            after_s = (span.start_ns - cause.start_ns) / 1e9
            text = (
                f"The autopilot was told to take the companion's position instead, {_after(after_s)} the verdict was "
                f"“{HEALTHS[cause.value].value}”. The GPS had been in use for {_seconds(before)}."
            )
            yield Chapter(span.start_ns, span.end_ns, WARN, "GPS left", text)
        elif _was_given_back(story, span):
            yield Chapter(span.start_ns, span.end_ns, WARN, "GPS given back", GIVEN_BACK)
        else:
            yield Chapter(span.start_ns, span.end_ns, GOOD, _taken(story, span), _why_back(story, span))


def _was_given_back(story: Story, span: Span) -> bool:
    """Whether the GPS came into use at a span's start because our own state was in doubt, not by the gate."""
    taken = [a for a in story.gate if a.accepted]
    before = [a for a in (*taken, *story.given_back) if a.t_ns <= span.start_ns]
    return bool(before) and max(before, key=lambda a: a.t_ns) in story.given_back


def _taken(story: Story, span: Span) -> str:
    first = next(s for s in story.source if SOURCES[s.value] is PositionSource.GPS)
    return "GPS taken into use" if first is span else "GPS taken back"


def _why_back(story: Story, span: Span) -> str:
    said = []
    good = [h for h in story.health if h.start_ns <= span.start_ns < h.end_ns]
    if good and HEALTHS[good[0].value] is GpsHealth.STABLE_NON_SPOOFED:
        waited_s = (span.start_ns - good[0].start_ns) / 1e9
        said.append(f"Nothing had spoken against it for {waited_s:.1f} s (since {story.at(good[0].start_ns)})")
    accepted = [a for a in story.gate if a.accepted and a.t_ns <= span.start_ns]
    if accepted:
        said.append(_of_gate(story, accepted[-1]))
    return ", and ".join(said) + "." if said else "The record of the gate's decision is not in the recording."


def _of_gate(story: Story, record: AidRecord) -> str:
    apart = f"{math.hypot(*record.innovation[:2]):.1f} m from" if len(record.innovation) >= 2 else "near"
    return f"at {story.at(record.t_ns)} it lay {apart} a satellite fix (test ratio {record.test_ratio:.2g}, limit 1)"


def _refusals(story: Story) -> Iterable[Chapter]:
    for record in story.gate:
        if not record.accepted:
            ratio = f", test ratio {record.test_ratio:.1f}, limit 1" if math.isfinite(record.test_ratio) else ""
            text = f"It seemed good again, but was not taken back: {record.reason}{ratio}. The wait began anew."
            yield Chapter(record.t_ns, record.t_ns, WARN, "GPS refused by the gate", text)


def _levels(story: Story) -> Iterable[Chapter]:
    worst = 0
    for before, span in zip(story.failsafe, story.failsafe[1:], strict=False):
        if span.value > before.value or (before.start_ns > story.start_ns and span.value == 0 and worst):
            level = (GOOD, WARN, BAD, BAD)[span.value]
            title = f"Failsafe level: {LEVELS[span.value].replace('_', ' ').lower()}"
            text = f"{LEVEL_WORDS[span.value][0].upper()}{LEVEL_WORDS[span.value][1:]}, for {_seconds(span)}."
            yield Chapter(span.start_ns, span.end_ns, level, title, text)
        worst = max(worst, span.value)


def _why(span: Span) -> str:
    words = [REASONS.get(word, word) for word in filter(None, span.why.split(", "))]
    return ("; ".join(words[:-1]) + " and " if len(words) > 1 else "") + words[-1] if words else "no reason is recorded"


def _after(seconds: float) -> str:
    return "as soon as" if seconds < 0.05 else f"{seconds:.1f} s after"


def _seconds(span: Span) -> str:
    return _long((span.end_ns - span.start_ns) / 1e9)


def _long(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120.0 else f"{int(seconds) // 60} min {seconds % 60:.0f} s"
