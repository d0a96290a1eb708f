"""A flight's story as the numbers and words that its page draws; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gps_denied_onboard.messages import Alert, FixType, GpsHealth
from gps_denied_operator.report.chapters import Chapter, chapters, summary
from gps_denied_operator.report.story import HEALTHS, Span, Story
from gps_denied_operator.report.verdict import BAD, WARN

POINTS_MAX = 4000
ALERTS_MAX = 2000
CHAPTERS_MAX = 120

PlaneXy = Callable[[float | None, float | None], tuple[float | None, float | None]]


def story_payload(story: Story, start_ns: int, xy: PlaneXy) -> dict[str, Any]:
    """Everything of a story in seconds after `start_ns`, the page's own zero, and metres of its plane."""

    def seconds(t_ns: int) -> float:
        return round((t_ns - start_ns) / 1e9, 2)

    def spans(of: Sequence[Span]) -> list[list[float]]:
        return [[seconds(span.start_ns), seconds(span.end_ns), span.value] for span in of]

    told = chapters(story)
    return {
        "sentence": summary(story)[1],
        "utc_ms": None if story.utc_ns_at_zero is None else round((story.utc_ns_at_zero + start_ns) / 1e6),
        "utc_from": " ".join(filter(None, (story.utc_from and f"UTC by {story.utc_from}.", story.utc_note))),
        "span": [seconds(story.start_ns), seconds(story.end_ns)],
        "health": spans(story.health),
        "source": spans(story.source),
        "failsafe": spans(story.failsafe),
        "chapters": [
            [seconds(c.t_ns), seconds(c.end_ns), c.level, story.at(c.t_ns), c.title, c.text] for c in _gravest(told)
        ],
        "chapterCount": len(told),
        "alerts": [
            [seconds(a.t_ns), min(max(a.severity, 0), 7), story.at(a.t_ns), a.text] for a in _alerts(story.alerts)
        ],
        "alertCount": len(story.alerts),
        "apart": _apart(story, seconds),
        "receiver": _receiver(story, seconds, xy),
        "route": _route(story, xy),
    }


def _gravest(found: list[Chapter]) -> list[Chapter]:
    """All, or the gravest of too many, in the order of time: a health that flaps must not bury the forgery."""
    if len(found) <= CHAPTERS_MAX:
        return found
    kept = sorted(found, key=lambda c: (c.level != BAD, c.level != WARN, c.t_ns))[:CHAPTERS_MAX]
    return sorted(kept, key=lambda c: c.t_ns)


def _alerts(alerts: Sequence[Alert]) -> Sequence[Alert]:
    """All, or the most severe ones of too many, in the order of time."""
    if len(alerts) <= ALERTS_MAX:
        return alerts
    return sorted(sorted(alerts, key=lambda a: a.severity)[:ALERTS_MAX], key=lambda a: a.t_ns)


def _apart(story: Story, seconds: Callable[[int], float]) -> dict[str, list[Any]]:
    stride = -(-len(story.distances) // POINTS_MAX) or 1
    kept = [d for k, d in enumerate(story.distances) if k % stride == 0]
    return {
        "t": [seconds(d.t_ns) for d in kept],
        "d": [round(d.metres, 2) for d in kept],
        "h": [d.health for d in kept],
    }


def _receiver(story: Story, seconds: Callable[[int], float], xy: PlaneXy) -> list[list[Any]]:
    """[t, x, y, health] of the receiver's own track, fixes only, thinned."""
    fixes = [
        s for s in story.receiver if s.fix_type >= FixType.FIX_2D and (s.latitude_deg, s.longitude_deg) != (0.0, 0.0)
    ]
    stride = -(-len(fixes) // POINTS_MAX) or 1
    out: list[list[Any]] = []
    spans, place = story.health, 0
    for sample in fixes[::stride]:
        while place + 1 < len(spans) and spans[place + 1].start_ns <= sample.t_ns:
            place += 1
        value = spans[place].value if spans else HEALTHS.index(GpsHealth.UNKNOWN)
        x, y = xy(sample.latitude_deg, sample.longitude_deg)
        if x is not None:
            out.append([seconds(sample.t_ns), x, y, value])
    return out


def _route(story: Story, xy: PlaneXy) -> list[list[float | None]]:
    return [] if story.route_deg is None else [list(xy(float(lat), float(lon))) for lat, lon in story.route_deg]
