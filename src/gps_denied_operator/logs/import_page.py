"""The preview of an imported log: track, sensors, how the pictures were placed, and what is missing."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gps_denied_onboard.messages import TruthSample
from gps_denied_onboard.recorder.kinds import KIND_OF_CLASS
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.logs.flight_log import FlightLog
from gps_denied_operator.report.html import cards, plain_page
from gps_denied_operator.report.track import track_svg

POINTS_MAX = 4000
TEXTS_MAX = 60


def import_page(told: Mapping[str, Any], truth: Sequence[TruthSample], log: FlightLog) -> str:
    """The page as text."""
    sigma = told["offset_sigma_s"]
    offset = "none" if told["offset_s"] is None else f"{told['offset_s']:+.2f}"
    rows = [
        ("length", f"{told['duration_s'] / 60.0:.1f}", "min", html.escape(told["format"])),
        ("pictures", str(told["frames"]), "", html.escape(told["aligned_by"]) if told["frames"] else "none were given"),
        ("offset", offset, "" if told["offset_s"] is None else "s", "" if sigma is None else f"± {sigma:.3f} s (1σ)"),
        ("truth", f"{told['truth']:,}", "", "fixes of the log's GPS"),
    ]
    stride = max(1, len(truth) // POINTS_MAX)
    track = [(t.t_ns / 1e9, t.latitude_deg, t.longitude_deg) for t in truth[::stride]]
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in told["notes"])
    body = (
        cards(rows)
        + f"<section><h2>Track</h2>{track_svg(track)}</section>"
        + f"<section class='two'>{_sensors(log)}<div><h2>Noted</h2><ul>{notes}</ul></div></section>"
        + _texts(log)
    )
    level = "good" if told["frames"] else "warn"
    said = f"{told['frames']} pictures and {sum(told['messages'].values()):,} samples of sensors are in the recording."
    return plain_page("Imported log", "recording", [("log", shown(told["log"], 120))], level, said, body)


def _sensors(log: FlightLog) -> str:
    """Each sensor: how many samples, how often, and its longest silence."""
    rows = []
    for kind in sorted({type(m) for m in log.messages}, key=lambda k: KIND_OF_CLASS[k].name):
        times = np.array([m.t_ns for m in log.messages if type(m) is kind]) / 1e9
        gap = float(np.max(np.diff(times))) if len(times) > 1 else 0.0
        rows.append(
            f"<tr><td>{KIND_OF_CLASS[kind].name}</td><td class='r'>{len(times):,}</td>"
            f"<td class='r'>{log.rate_hz(kind):.1f}</td><td class='r'>{gap:.2f}</td></tr>"
        )
    head = "<tr><th>sensor</th><th class='r'>samples</th><th class='r'>Hz</th><th class='r'>longest gap, s</th></tr>"
    return f"<div><h2>Sensors</h2><table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div>"


def _texts(log: FlightLog) -> str:
    if not log.texts:
        return ""
    rows = "".join(
        f"<tr><td class='r'>{line.t_ns / 1e9:.1f}</td><td>{html.escape(line.text)}</td></tr>"
        for line in log.texts[:TEXTS_MAX]
    )
    return (
        "<section><h2>What the autopilot said</h2><div class='scroll'><table><thead><tr><th class='r'>s</th>"
        f"<th>text</th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )
