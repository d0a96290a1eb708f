"""The page and the JSON of `evaluate gps`: of each log its receiver's track, and when each verdict changed and why."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from gps_denied_onboard.messages import GpsHealth
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.evaluate.gps_log import GpsLogResult, VerdictChange
from gps_denied_operator.missions.route_axis import ticks
from gps_denied_operator.report.html import PHONE_PX, cards, drawn_for_both, plain_page
from gps_denied_operator.report.track import track_svg

COLOURS = {
    GpsHealth.UNKNOWN: "var(--soft)",
    GpsHealth.STABLE_NON_SPOOFED: "var(--good)",
    GpsHealth.DEGRADED: "var(--reckoned)",
    GpsHealth.SPOOFED: "var(--bad)",
}
ROWS_MAX = 400


def results_of(results: Sequence[GpsLogResult]) -> dict[str, Any]:
    """The figures: `logs` as the command promises them, and the alarms an hour over all of them."""
    watched_h = sum(r.watched_s for r in results) / 3600.0
    alarms = sum(r.alarms for r in results)
    return {
        "logs": [_row(result) for result in results],
        "watched_h": round(watched_h, 4),
        "alarms": alarms,
        "alarms_per_h": round(alarms / watched_h, 3) if watched_h else None,
    }


def _row(result: GpsLogResult) -> dict[str, Any]:
    row = asdict(result)
    row.pop("track")
    for name in ("duration_s", "spoofed_s", "degraded_s", "watched_s", "slowest_drift_mps"):
        row[name] = None if row[name] is None else round(row[name], 3)
    row["verdicts"] = [
        {"t_s": round(c.t_s, 3), "verdict": c.verdict.value, "reason": c.reason} for c in result.verdicts
    ]
    return row


def gps_page(results: Sequence[GpsLogResult], command: str) -> str:
    """One page for all logs."""
    figures = results_of(results)
    hours, alarms = figures["watched_h"], figures["alarms"]
    rate = "" if figures["alarms_per_h"] is None else f", {figures['alarms_per_h']:.3g} an hour"
    level = "good" if not alarms else "warn"
    counted = f"{alarms} alarm{'' if alarms == 1 else 's'}", f"{len(results)} log{'' if len(results) == 1 else 's'}"
    said = f"{counted[0]} in {hours:.2f} hours of {counted[1]}{rate}."
    body = "".join(_section(result) for result in results) + (
        "<p class='note'>An alarm is a receiver that had been good and was called spoofed, or degraded for two "
        "seconds. Whether it is a false one only those who flew can say.</p>"
    )
    return plain_page("GPS of logs", "evaluation", [("command", command)], level, said, body)


def _section(result: GpsLogResult) -> str:
    rows = [
        ("length", f"{result.duration_s / 60.0:.1f}", "min", f"watched for {result.watched_s / 60.0:.1f} min"),
        ("GPS samples", f"{result.gps_samples:,}", "", f"compared with {html.escape(result.compared_with)}"),
        ("alarms", str(result.alarms), "", ""),
        ("spoofed", f"{result.spoofed_s:.0f}", "s", ""),
        ("degraded", f"{result.degraded_s:.0f}", "s", ""),
        ("slowest drift seen", *_slowest(result)),
    ]
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in result.notes)
    name = html.escape(shown(Path(result.log).name, 120))
    return (
        f"<section><h2>{name}</h2>{cards(rows)}{notes}{timeline(result.verdicts, result.duration_s)}"
        f"{track_svg(result.track)}{_table(result.verdicts)}</section>"
    )


def _slowest(result: GpsLogResult) -> tuple[str, str, str]:
    """Value, unit and words of what this log's sensors cannot see."""
    if result.slowest_drift_mps is None:
        return "none", "", "a receiver whose position and velocity drift together is not seen at any speed"
    return (
        f"{result.slowest_drift_mps:.1f}",
        "m/s",
        "slower, or setting in over a minute, with an agreeing velocity: not seen",
    )


def timeline(changes: Sequence[VerdictChange], duration_s: float) -> str:
    """The verdicts as a coloured band over the log's time."""
    keys = "".join(
        f'<span><i class="key" style="background:{colour}"></i> {verdict.value}</span>'
        for verdict, colour in COLOURS.items()
    )
    return f'<div class="bar"><div class="tools">{keys}</div></div>' + drawn_for_both(
        partial(_band, changes, duration_s)
    )


def _band(changes: Sequence[VerdictChange], duration_s: float, wide: float) -> str:
    left, right, foot, high = 62.0, wide - 16.0, 32.0, 74.0
    unit, name = (60.0, "min") if duration_s > 180.0 else (1.0, "s")
    span = max(duration_s, 1e-3)
    parts = []
    for k, change in enumerate(changes):
        end_s = changes[k + 1].t_s if k + 1 < len(changes) else duration_s
        x, width = left + change.t_s / span * (right - left), max((end_s - change.t_s) / span * (right - left), 0.6)
        parts.append(
            f'<rect x="{x:.2f}" y="6" width="{width:.2f}" height="{foot - 6}" style="fill: {COLOURS[change.verdict]}">'
            f"<title>{change.t_s:.1f} s: {change.verdict.value} {html.escape(change.reason)}</title></rect>"
        )
    marks = "".join(
        f'<path d="M{x:.1f},{foot} v5" class="axis"/><text x="{x:.1f}" y="{foot + 20}" text-anchor="middle" '
        f'class="soft">{v:g}</text>'
        for v in ticks(span / unit, 4 if wide <= PHONE_PX else 8)
        for x in [left + v * unit / span * (right - left)]
    )
    return (
        f'<svg viewBox="0 0 {wide:g} {high:g}" class="plot" role="img" aria-label="verdicts over the log">'
        f'<text x="{left - 8}" y="24" text-anchor="end">verdict</text>{"".join(parts)}{marks}'
        f'<text x="{(left + right) / 2}" y="{high - 5}" text-anchor="middle">time since the log began, {name}</text>'
        "</svg>"
    )


def _table(changes: Sequence[VerdictChange]) -> str:
    rows = "".join(
        f'<tr><td class="r">{c.t_s:.1f}</td><td>{c.verdict.value}</td><td>{html.escape(c.reason)}</td></tr>'
        for c in changes[:ROWS_MAX]
    )
    left = f'<p class="note">{len(changes) - ROWS_MAX} more are in the JSON.</p>' if len(changes) > ROWS_MAX else ""
    head = '<tr><th class="r">from, s</th><th>verdict</th><th>why</th></tr>'
    return f"<div class='scroll'><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>{left}"
