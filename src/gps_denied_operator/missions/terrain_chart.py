"""The ground along a planned route as a section of the page: profile, flight, camera, warnings; SVG; pure."""

from __future__ import annotations

import html
import math
from itertools import groupby

from gps_denied_operator.missions.route_axis import RouteAxis, ticks
from gps_denied_operator.missions.route_chart import COVERED, GAP, OLD
from gps_denied_operator.missions.terrain_profile import ProfilePoint, TerrainProfile
from gps_denied_operator.report.html import drawn_for_both

HEIGHT, TOP, FOOT = 280.0, 24.0, 238.0
GROUND = "#7a5c3a"
ROWS_MAX = 20


def terrain_section(profile: TerrainProfile | None, length_m: float) -> str:
    """The section; a hint where there are no heights. length_m: of the route."""
    if profile is None:
        return (
            '<section><h2>Ground</h2><p class="note">No heights of this area are imported: the flight takes the ground '
            "as flat. Put some in with <code>operator-tool terrain import</code>.</p></section>"
        )
    rows = "".join(
        f"<tr><td class='r'>{one.from_m / 1000.0:.2f}</td><td class='r'>{one.to_m / 1000.0:.2f}</td>"
        f"<td>{html.escape(one.told)}</td></tr>"
        for one in profile.stretches[:ROWS_MAX]
    )
    head = "<th class='r'>from, km</th><th class='r'>to, km</th><th>what</th>"
    more = len(profile.stretches) - ROWS_MAX
    note = f"<p class='note'>{more} more.</p>" if more > 0 else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}" if rows else ""
    return (
        f'<section><h2>Ground</h2><p class="note">{html.escape(_said(profile))}</p>'
        + drawn_for_both(lambda wide: _chart(profile, length_m, wide))
        + (f'<div class="scroll" tabindex="0"><h3>Look at these</h3>{table}</div>' if table else "")
        + "</section>"
    )


def _said(profile: TerrainProfile) -> str:
    told = f"Of {profile.heights.told}. Ground along the route: {_range(profile, 'ground_m', 'm', 0)}."
    if math.isnan(profile.altitude_m):
        return f"{told} Give --height to see the height above it."
    told += (
        f" Flown level at {profile.altitude_m:.0f} m above mean sea level, the aircraft is "
        f"{_range(profile, 'height_m', 'm', 0)} above ground"
    )
    if profile.range_of("gsd_m")[0] is None:
        return f"{told}. Give a --config with a camera to see its ground resolution and overlap."
    return (
        f"{told}; the camera sees {_range(profile, 'gsd_m', 'm a pixel', 2)}, and "
        f"{_percent(profile)} of a frame are in the next one."
    )


def _range(profile: TerrainProfile, name: str, unit: str, digits: int) -> str:
    low, high = profile.range_of(name)
    return "not known" if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f} {unit}"


def _percent(profile: TerrainProfile) -> str:
    low, high = profile.range_of("overlap")
    return "" if low is None or high is None else f"{100.0 * low:.0f} to {100.0 * high:.0f} %"


def _chart(profile: TerrainProfile, length_m: float, wide: float) -> str:
    axis = RouteAxis(wide, max(length_m / 1000.0, 1e-3))
    left, right, x = axis.left, axis.right, axis.x
    known = [p.ground_m for p in profile.points if math.isfinite(p.ground_m)]
    flown = [] if math.isnan(profile.altitude_m) else [profile.altitude_m]
    low, high = min([*known, *flown], default=0.0), max([*known, *flown], default=1.0)
    spread = max(high - low, 20.0)
    bottom, top = low - 0.15 * spread, high + 0.15 * spread

    def y(altitude_m: float) -> float:
        return FOOT - (altitude_m - bottom) / (top - bottom) * (FOOT - TOP)

    def area(run: list[ProfilePoint]) -> str:
        line = " ".join(f"L{x(p.distance_m):.1f},{y(p.ground_m):.1f}" for p in run)
        return f'<path d="M{x(run[0].distance_m):.1f},{FOOT} {line} L{x(run[-1].distance_m):.1f},{FOOT} Z" ' \
               f'fill="{GROUND}" fill-opacity=".55" stroke="{GROUND}" stroke-width="1.5"/>'  # fmt: skip

    drawn = "".join(
        area(list(run))
        for (there, _), run in groupby(profile.points, key=lambda p: (math.isfinite(p.ground_m), p.path))
        if there
    )
    marks = "".join(
        f'<rect x="{x(one.from_m):.1f}" y="{TOP - 16}" height="10" width="{max(x(one.to_m) - x(one.from_m), 2.0):.1f}" '
        f'fill="{GAP if one.worst <= 0.0 else OLD}"><title>{html.escape(one.told)}</title></rect>'
        for one in profile.stretches
    )
    flight = (
        f'<path d="M{left},{y(flown[0]):.1f} H{right}" stroke="{COVERED}" stroke-width="2.5"/>'
        f'<text x="{right - 4}" y="{y(flown[0]) - 8:.1f}" text-anchor="end">flown, level</text>'
        if flown
        else ""
    )
    step_m = ticks(top - bottom, 4)[1]
    levels = [(math.ceil(bottom / step_m) + k) * step_m for k in range(8)]
    return (
        f'<svg class="plot" viewBox="0 0 {wide:g} {HEIGHT:g}" role="img" aria-label="ground along the '
        'route: metres above mean sea level over kilometres">'
        + axis.lines([(v, y(v)) for v in levels if bottom <= v <= top], FOOT)
        + f'{drawn}{flight}{marks}<path d="M{left},{FOOT} H{right}" class="axis"/>'
        + axis.names("m above sea level", HEIGHT, TOP, FOOT)
        + "</svg>"
    )
