"""A comparison as a page with both tracks, as files in a folder, and as a table on stdout."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.recorder.output_folder import OutputFolder
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.compare.bootstrap import Difference
from gps_denied_operator.compare.judge import Comparison, shown_difference
from gps_denied_operator.compare.model import FlightColumns, Side
from gps_denied_operator.evaluate.configuration import SHORT
from gps_denied_operator.report.html import PHONE_PX, drawn_for_both, plain_page
from gps_denied_operator.report.verdict import BAD, GOOD, NONE

KIND = "comparison"
PAGE_FILE, JSON_FILE = "report.html", "comparison.json"
FLIGHTS_SHOWN = 12
POINTS_A_PIXEL = 1.5
BAR_PX = 24.0
"""Height of the scale bar's room below the tracks."""
HEADINGS = ("A", "B", "difference", "95 % of noise")
KEYS_SHOWN = 60
METRES_A_DEGREE = 111_320.0
A_COLOUR, B_COLOUR, TRUTH_COLOUR = "var(--anchored)", "var(--propagated)", "var(--soft)"
STYLE = {"better": "green", "worse": "bold red", "same": "dim", "not judged": "dim"}


def sentence(found: Comparison) -> tuple[str, str]:
    """Level and the one sentence of a comparison."""
    flights = "one flight" if len(found.pairs) == 1 else f"{len(found.pairs)} flights"
    if found.worse:
        more = f" It is better in {', '.join(found.better)}." if found.better else ""
        return BAD, f"B is worse over {flights}: {', '.join(found.worse)}.{more}"
    if found.better:
        return GOOD, f"B is better over {flights}: {', '.join(found.better)}; nothing is worse beyond noise."
    if all(found.figures[name].low is None for name in found.same):
        return NONE, f"Whether B is better or worse cannot be told from {flights}: how large the noise is is not known."
    return NONE, f"B is the same as A over {flights}: no figure differs beyond noise."


def write_comparison(found: Comparison, out: Path) -> None:
    """The page and the object into a folder that appears whole. UserError where it holds something else."""
    with OutputFolder(out, KIND) as folder:
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        (folder / JSON_FILE).write_bytes(orjson.dumps(found.told(), option=options))
        (folder / PAGE_FILE).write_text(comparison_page(found), encoding="utf-8")


def print_comparison(found: Comparison, out: Path | None) -> None:
    """The figures as a table on stdout, for people."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 110
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("figure", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for name, difference in found.figures.items():
        where = _list_of(found, name)
        cells = [Text(cell) for cell in (name, *_cells(difference))]
        table.add_row(*cells, Text(where, style=STYLE[where]))
    console.print(table)
    for note in found.notes:
        console.print(Text(f"note: {note}"))
    console.print(Text(sentence(found)[1], style=STYLE["worse"] if found.worse else ""))
    if out is not None:
        console.print(Text(f"report: {out / PAGE_FILE}"))


def comparison_page(found: Comparison) -> str:
    """The page: figures with their noise, what was configured differently, both tracks of each flight."""
    level, said = sentence(found)
    facts = [*_facts("A", found.a), *_facts("B", found.b), ("drawn again", f"{found.units} × {found.unit}")]
    body = (
        _figures(found)
        + _configurations(found)
        + (f"<section><h2>Notes</h2><ul>{_items(found.notes)}</ul></section>" if found.notes else "")
        + _tracks(found.pairs)
    )
    return plain_page("B against A", "comparison", facts, level, said, body)


def _facts(name: str, side: Side) -> list[tuple[str, str]]:
    made = [shown(side.path, 120), f"commit {side.commit}"]
    made += [f"version {side.version}"] if side.version else []
    made += [f"configuration {side.configuration_sha256[:SHORT]}"] if side.configuration_sha256 else []
    return [(name, ", ".join(made))]


def _items(lines: Iterable[str]) -> str:
    return "".join(f"<li>{html.escape(line)}</li>" for line in lines)


def _list_of(found: Comparison, name: str) -> str:
    for where, names in (("better", found.better), ("worse", found.worse), ("same", found.same)):
        if name in names:
            return where
    return "not judged"


def _cells(difference: Difference) -> tuple[str, str, str, str]:
    told = shown_difference(difference)
    interval = told["interval_95"]
    between = "not known" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}"
    return _number(told["a"]), _number(told["b"]), _number(told["difference"]), between


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def _figures(found: Comparison) -> str:
    rows = []
    for name, difference in found.figures.items():
        where = _list_of(found, name)
        level = {"better": "good", "worse": "bad"}.get(where, "")
        cells = "".join(
            f"<td class='r' data-name='{heading}'>{html.escape(cell)}</td>"
            for heading, cell in zip(HEADINGS, _cells(difference), strict=True)
        )
        rows.append(f"<tr><td>{html.escape(name)}</td>{cells}<td class='{level}' data-name='judged'>{where}</td></tr>")
    head = "".join(f"<th class='r'>{heading}</th>" for heading in HEADINGS)
    return (
        "<section><h2>Figures</h2><p class='note'>Difference: B minus A over the same flights and frames. Noise: the "
        "interval that 95 % of other such flights would give. Better and worse is what stays beyond noise when all "
        "figures are looked at together; times and memory depend on the machine and are not judged.</p>"
        f"<table class='stacked'><thead><tr><th>figure</th>{head}<th></th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )


def _configurations(found: Comparison) -> str:
    told = found.configuration_differences()
    if found.a.configuration is None or found.b.configuration is None:
        said = "<p class='note'>One side does not name its configuration.</p>"
    elif not told:
        said = "<p class='note'>The same in both.</p>"
    else:
        rows = "".join(
            f"<tr><td>{html.escape(shown(key, 100))}</td><td data-name='A'>{_value(a)}</td>"
            f"<td data-name='B'>{_value(b)}</td></tr>"
            for key, a, b in told[:KEYS_SHOWN]
        )
        more = f"<p class='note'>and {len(told) - KEYS_SHOWN} more</p>" if len(told) > KEYS_SHOWN else ""
        head = "<tr><th>key</th><th>A</th><th>B</th></tr>"
        said = (
            f"<div class='scroll'><table class='stacked'><thead>{head}</thead><tbody>{rows}</tbody></table></div>{more}"
        )
    return f"<section><h2>Configuration</h2>{said}</section>"


def _value(value: Any) -> str:
    return html.escape(shown(value, 100))


# --- tracks -----------------------------------------------------------------------------------------------------------


def _tracks(pairs: Sequence[tuple[FlightColumns, FlightColumns]]) -> str:
    framed = [(one, other) for one, other in pairs if len(one.index) and len(other.index)]
    if not framed:
        return ""
    framed.sort(key=lambda pair: -_most_apart(pair))
    key = "".join(
        f"<span><i class='key' style='background:{colour}'></i> {name}</span> "
        for name, colour in (("A", A_COLOUR), ("B", B_COLOUR), ("truth", TRUTH_COLOUR))
    )
    hidden = len(framed) - FLIGHTS_SHOWN
    more = f" The {hidden} others differ less." if hidden > 0 else ""
    parts = "".join(
        f"<h3>{html.escape(shown(one.key, 120))}</h3>{drawn_for_both(partial(_drawings, one, other))}"
        for one, other in framed[:FLIGHTS_SHOWN]
    )
    return f"<section><h2>Tracks</h2><p class='note'>{key}The most different first.{more}</p>{parts}</section>"


def _most_apart(pair: tuple[FlightColumns, FlightColumns]) -> float:
    errors = [np.nan_to_num(flight.columns["error_m"]).mean() for flight in pair]
    apart = np.nan_to_num(pair[1].columns.get("apart_m", np.zeros(1)))
    return float(abs(errors[1] - errors[0]) + apart.mean())


def _drawings(one: FlightColumns, other: FlightColumns, wide: float) -> str:
    return _map(one, other, wide) + _errors(one, other, wide)


def _map(one: FlightColumns, other: FlightColumns, wide: float) -> str:
    high = 320.0 if wide <= PHONE_PX else 460.0
    truth = (one.columns["truth_latitude_deg"], one.columns["truth_longitude_deg"])
    lines = [(truth, TRUTH_COLOUR, 5.0)]
    for flight, colour in ((one, A_COLOUR), (other, B_COLOUR)):
        lines.append(((flight.columns["latitude_deg"], flight.columns["longitude_deg"]), colour, 2.0))
    latitude, longitude = (np.concatenate([line[0][k] for line in lines]) for k in (0, 1))
    known = np.isfinite(latitude) & np.isfinite(longitude)
    if not known.any():
        return "<p class='note'>No position in either.</p>"
    # The middle 99.8 %: one wild position must not shrink all others to a point.
    south, north = np.percentile(latitude[known], [0.1, 99.9])
    west, east = np.percentile(longitude[known], [0.1, 99.9])
    stretch = math.cos(math.radians((south + north) / 2.0))
    span_m = METRES_A_DEGREE * np.array([(east - west) * stretch, north - south])
    pixels_a_metre = min((wide - 40.0) / max(span_m[0], 1.0), (high - BAR_PX - 40.0) / max(span_m[1], 1.0))
    left, foot = (wide - span_m[0] * pixels_a_metre) / 2.0, (high - BAR_PX + span_m[1] * pixels_a_metre) / 2.0
    drawn = ""
    for (lat, lon), colour, width in lines:
        x = left + (lon - west) * stretch * METRES_A_DEGREE * pixels_a_metre
        y = foot - (lat - south) * METRES_A_DEGREE * pixels_a_metre
        drawn += _line(x, y, colour, width, wide)
    bar_m = 10.0 ** math.floor(math.log10(max(0.3 * wide / pixels_a_metre, 1e-3)))
    scale = f'<path d="M20,{high - 8:.0f} h{bar_m * pixels_a_metre:.1f}" class="axis" stroke-width="2"/>'
    label = f'<text x="24" y="{high - 14:.0f}" class="soft">{bar_m:g} m</text>'
    aria = 'role="img" aria-label="tracks of A and B and the truth, north up"'
    return f'<svg class="plot north" viewBox="0 0 {wide:g} {high:g}" {aria}>{drawn}{scale}{label}</svg>'


def _errors(one: FlightColumns, other: FlightColumns, wide: float) -> str:
    """Errors over time where truth is known, else how far A and B are apart."""
    scored = np.isfinite(one.columns["error_m"]).any() or np.isfinite(other.columns["error_m"]).any()
    if scored:
        lines = [(one.columns["error_m"], A_COLOUR), (other.columns["error_m"], B_COLOUR)]
    else:
        lines = [(other.columns["apart_m"], B_COLOUR)]
    values = np.concatenate([line for line, _ in lines])
    if not np.isfinite(values).any():
        return ""
    small = wide <= PHONE_PX
    high, foot, left, edge = 200.0, 40.0, 50.0 if small else 84.0, 12 if small else 20
    most = max(float(np.nanpercentile(values, 99.5)) * 1.1, 0.1)
    t_s = one.t_s - one.t_s[0]
    x = left + t_s / max(float(t_s[-1]), 1e-9) * (wide - left - 12.0)
    drawn = "".join(
        _line(x, high - foot - np.minimum(line, most) / most * (high - foot - 12.0), colour, 1.6, wide)
        for line, colour in lines
    )
    name = "error, m" if scored else "A to B, m"
    return (
        f'<svg class="plot" viewBox="0 0 {wide:g} {high:g}" role="img" aria-label="{name} over time in seconds">'
        f'<path d="M{left},{high - foot} H{wide - 12.0}" class="axis"/>{drawn}'
        f'<text x="{left - 8}" y="20" text-anchor="end" class="soft">{most:.3g}</text>'
        f'<text x="{left - 8}" y="{high - foot}" text-anchor="end" class="soft">0</text>'
        f'<text x="{edge}" y="{(high - foot) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 {edge} {(high - foot) / 2})">'
        f'{name}</text><text x="{(left + wide) / 2}" y="{high - 8}" text-anchor="middle">time, s '
        f"(0 to {float(t_s[-1]):.0f})</text></svg>"
    )


def _line(x: FloatArray, y: FloatArray, colour: str, width: float, wide: float) -> str:
    """A line through the points, thinned, broken where there is none."""
    step = max(1, math.ceil(len(x) / (POINTS_A_PIXEL * wide)))
    parts: list[str] = []
    pen_up = True
    for a, b in zip(x[::step].tolist(), y[::step].tolist(), strict=True):
        if not (math.isfinite(a) and math.isfinite(b)):
            pen_up = True
            continue
        parts.append(f"{'M' if pen_up else 'L'}{min(max(a, -9e3), 9e3):.1f},{min(max(b, -9e3), 9e3):.1f}")
        pen_up = False
    return f'<path d="{"".join(parts)}" fill="none" style="stroke: {colour}" stroke-width="{width:g}"/>'
