"""Along a planned route: where the map is, how fine map and camera see the ground, and how wide; drawn as SVG; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gps_denied_operator.missions.route_axis import RouteAxis, ticks
from gps_denied_operator.missions.route_map import RouteMap, RoutePoint
from gps_denied_operator.report.html import drawn_for_both

HEIGHT, TOP, FOOT = 250.0, 46.0, 208.0
NAME_HIGH = 28.0
"""Height that a name needs between two lines."""
COVERED, GAP, OLD = "#2f7fc1", "#c00026", "#e08a00"


def stretches(points: Sequence[RoutePoint]) -> Iterator[tuple[bool, list[RoutePoint]]]:
    """Runs of a route with and without map, each up to the first point of the next one on the same path."""
    run: list[RoutePoint] = []
    for point in points:
        if run and point.path != run[0].path:
            yield run[0].missing, run
            run = []
        elif run and point.missing is not run[0].missing:
            yield run[0].missing, [*run, point]
            run = []
        run.append(point)
    if run:
        yield run[0].missing, run


def route_section(under: RouteMap, map_gsd_m: float) -> str:
    """The section of the page. map_gsd_m: metres a pixel of the map in the middle of the box."""
    seen = under.footprint
    middle_deg = math.radians(sum(p.latitude_deg for p in under.points) / len(under.points))
    map_gsd = [map_gsd_m * math.cos(math.radians(p.latitude_deg)) / math.cos(middle_deg) for p in under.points]
    if seen is None:
        said = "Give --height and a --config with a camera to see its footprint and ground resolution."
    else:
        said = (
            f"From {seen.height_m:.0f} m above flat ground the camera sees {seen.across_m:,.0f} × {seen.along_m:,.0f} "
            f"m at {seen.gsd_m:.2f} m a pixel; the blue band on the map is its width."
        )
    gaps = [points for missing, points in stretches(under.points) if missing]
    rows = "".join(
        f"<tr><td class='r'>{run[0].distance_m / 1000.0:.2f}</td><td class='r'>{run[-1].distance_m / 1000.0:.2f}</td>"
        f"<td class='r'>{(run[-1].distance_m - run[0].distance_m) / 1000.0:.2f}</td>"
        f"<td>{run[0].latitude_deg:.5f}, {run[0].longitude_deg:.5f}</td></tr>"
        for run in gaps[:20]
    )
    head = "<th class='r'>from, km</th><th class='r'>to, km</th><th class='r'>length, km</th><th>begins at</th>"
    more = f"<p class='note'>{len(gaps) - 20} gaps more.</p>" if len(gaps) > 20 else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}" if gaps else ""
    return (
        f'<section><h2>Along the route</h2><p class="note">{said}</p>'
        + drawn_for_both(lambda wide: _chart(under, map_gsd, wide))
        + (f'<div class="scroll" tabindex="0"><h3>Without map</h3>{table}</div>' if gaps else "")
        + "</section>"
    )


def _chart(under: RouteMap, map_gsd: Sequence[float], wide: float) -> str:
    axis = RouteAxis(wide, max(under.length_m / 1000.0, 1e-3))
    left, right, x = axis.left, axis.right, axis.x
    seen = under.footprint
    most = max(max(map_gsd), seen.gsd_m if seen else 0.0) * 1.25

    def y(gsd_m: float) -> float:
        return FOOT - gsd_m / most * (FOOT - TOP - 12.0)

    strip = "".join(
        f'<rect x="{x(run[0].distance_m):.1f}" y="{TOP - 30}" height="18" '
        f'width="{max(x(run[-1].distance_m) - x(run[0].distance_m), 1.0):.1f}" fill="{GAP if missing else COVERED}"/>'
        for missing, run in stretches(under.points)
    )
    stored = " ".join(f"{x(p.distance_m):.1f},{y(v):.1f}" for p, v in zip(under.points, map_gsd, strict=True))
    lines = f'<polyline points="{stored}" fill="none" stroke="{COVERED}" stroke-width="2.5"/>'
    labels = f'<text x="{right - 4}" y="{y(map_gsd[-1]) - 8:.1f}" text-anchor="end">map, m a pixel</text>'
    if seen is not None:
        lines += (
            f'<path d="M{left},{y(seen.gsd_m):.1f} H{right}" stroke="{OLD}" stroke-width="2.5" stroke-dasharray="8 5"/>'
        )
        between = 0.0 < y(seen.gsd_m) - y(map_gsd[0]) < NAME_HIGH  # no room for a name below the map's line
        labels += f'<text x="{left + 8}" y="{y(seen.gsd_m) + (18.0 if between else -8.0):.1f}">camera, m a pixel</text>'
    return (
        f'<svg class="plot" viewBox="0 0 {wide:g} {HEIGHT:g}" role="img" aria-label="map and ground '
        'resolution along the route: metres a pixel over kilometres">'
        f'<text x="{left - axis.beside}" y="{TOP - 16}" text-anchor="end">map</text>{strip}'
        + axis.lines([(v, y(v)) for v in ticks(most, 4)], FOOT)
        + f'<path d="M{left},{FOOT} H{right}" class="axis"/>{lines}{labels}'
        + axis.names("ground resolution, m a pixel", HEIGHT, TOP, FOOT)
        + "</svg>"
    )
