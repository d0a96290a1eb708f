"""The page of `plan show`: route, box, tiles and freshness as one HTML file, drawn without a script."""

from __future__ import annotations

import base64
import html
import itertools
import math
from collections.abc import Iterable, Sequence

from gps_denied_onboard.tiles.freshness import Sector
from gps_denied_operator.missions.needs import Cell, Needs
from gps_denied_operator.missions.route_chart import route_section, stretches
from gps_denied_operator.missions.route_map import RouteMap
from gps_denied_operator.missions.terrain_chart import terrain_section
from gps_denied_operator.missions.terrain_profile import TerrainProfile
from gps_denied_operator.report.html import cards, plain_page

WIDTH_PX, HEIGHT_MAX_PX, HEIGHT_MIN_PX, EDGE_PX = 1000.0, 640.0, 240.0, 56.0
NAME_PX = 90.0
"""Room that the name of the take-off needs beside it."""
CLASS_NAMES = {"active_conflict": "active conflict", "stable_rear": "stable rear"}
CLASS_FILL = {"active_conflict": "#ffd9b8", "stable_rear": "#e3eefa"}


def plan_page(needs: Needs, under: RouteMap, ground: TerrainProfile | None = None) -> str:
    """The page as text. under: what of the stored map lies under the route; ground: its heights, if any."""
    flight = needs.flight
    level, sentence = _verdict(needs, under, ground)
    facts = [
        ("mission", flight.mission_id), ("flight", flight.flight_id), ("read from", flight.source),
        ("take-off", f"{flight.takeoff_latitude_deg:.6f}, {flight.takeoff_longitude_deg:.6f}"),
        ("store", needs.store or "none yet"),
    ]  # fmt: skip
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in flight.notes)
    body = "\n".join([
        _cards(needs) + notes,
        '<section><div class="bar"><h2>Route, box and stored map</h2>' + _legend(needs, under) + "</div>",
        _drawing(needs, under) + _note(under) + "</section>",
        route_section(under, needs.chosen.ground_resolution_m_px),
        terrain_section(ground, under.length_m),
        '<section class="two">' + _zooms(needs) + _freshness(needs) + "</section>",
        "<section><h2>Download it</h2><p><code>" + html.escape(_command(needs)) + "</code></p></section>",
    ])  # fmt: skip
    return plain_page(f"Flight plan {flight.mission_id}", "plan", facts, level, sentence, body)


def _verdict(needs: Needs, under: RouteMap, ground: TerrainProfile | None) -> tuple[str, str]:
    chosen = needs.chosen
    size = _bytes(chosen.bytes_estimate)
    told = f"{chosen.tiles:,} tiles at zoom {chosen.zoom}, about {size}; {needs.missing:,} are not in the store."
    have_m = under.length_m - under.missing_m
    told += f" {have_m / 1000.0:.1f} of {under.length_m / 1000.0:.1f} km of the route have map."
    if not chosen.taken:
        return "bad", f"{told} {chosen.ground_resolution_m_px:.2f} m a pixel is too coarse: take a higher zoom."
    if chosen.bytes_estimate > needs.budget_bytes:
        return "bad", f"{told} That is more than the budget of {_bytes(needs.budget_bytes)}: fly a smaller box."
    if ground is not None and ground.hits_the_ground:
        return "bad", f"{told} Flown level, the route leads into the ground: plan it higher."
    if needs.store and under.missing_m > 0.0:
        return "warn", f"{told} Red on the drawing: no map there yet."
    old = needs.stored.get("downgraded", 0)
    if old:
        return "warn", f"{told} {old:,} of those in the store are old and make the position less sure."
    if ground is not None and ground.stretches:
        return "warn", f"{told} {len(ground.stretches)} stretches of the route need a look at the ground."
    return "good", told


def _cards(needs: Needs) -> str:
    flight, chosen = needs.flight, needs.chosen
    west, south, east, north = flight.bbox
    middle = math.cos(math.radians((south + north) / 2.0))
    high, wide = (north - south) * 111.2, (east - west) * 111.3 * middle
    size, unit = _bytes(chosen.bytes_estimate).split(" ")
    source = "mean of the store" if needs.tile_bytes_measured else "typical"
    rows = [
        ("route", f"{flight.length_m / 1000.0:.1f}", "km", f"{len(flight.route_deg)} waypoints"),
        ("box", f"{wide:.1f} × {high:.1f}", "km", f"route and {flight.buffer_m / 1000.0:g} km around it"),
        ("tiles", f"{chosen.tiles:,}", "", f"zoom {chosen.zoom}, {chosen.ground_resolution_m_px:.2f} m a pixel"),
        ("size, about", size, unit, f"{source}: {needs.tile_bytes / 1e3:.0f} kB a tile"),
        ("in the store", f"{sum(needs.stored.values()):,}", "tiles", _bytes(needs.stored_bytes)),
        ("to fetch", f"{needs.missing:,}", "tiles", f"about {_bytes(round(needs.missing * needs.tile_bytes))}"),
    ]  # fmt: skip
    return cards(rows)


class _Plane:
    """Degrees to pixels of the drawing: Web-Mercator, as tiles are, true to shape in the middle of the box."""

    def __init__(self, bbox: tuple[float, float, float, float]) -> None:
        self.west, self.south, self.east, self.north = bbox
        wide, high = self.east - self.west, _mercator_deg(self.north) - _mercator_deg(self.south)
        self.px_per_deg = min((WIDTH_PX - 2 * EDGE_PX) / wide, (HEIGHT_MAX_PX - 2 * EDGE_PX) / high)
        self.px_per_km = self.px_per_deg / (111.32 * math.cos(math.radians((self.south + self.north) / 2.0)))
        self.left = (WIDTH_PX - wide * self.px_per_deg) / 2.0
        self.height_px = max(high * self.px_per_deg + 2 * EDGE_PX, HEIGHT_MIN_PX)
        self.top = (self.height_px - high * self.px_per_deg) / 2.0

    def x(self, longitude_deg: float) -> float:
        return self.left + (longitude_deg - self.west) * self.px_per_deg

    def y(self, latitude_deg: float) -> float:
        return self.top + (_mercator_deg(self.north) - _mercator_deg(latitude_deg)) * self.px_per_deg


def _mercator_deg(latitude_deg: float) -> float:
    return math.degrees(math.asinh(math.tan(math.radians(latitude_deg))))


def _drawing(needs: Needs, under: RouteMap) -> str:
    plane = _Plane(needs.flight.bbox)
    x0, y0, x1, y1 = (plane.x(plane.west), plane.y(plane.north), plane.x(plane.east), plane.y(plane.south))
    frame = f'x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}"'
    return "".join([
        f'<svg id="plan" class="paper" viewBox="0 0 {WIDTH_PX:g} {plane.height_px:.0f}" role="img" '
        'aria-label="route over the stored map">',
        f"<defs><clipPath id='box'><rect {frame}/></clipPath></defs><g clip-path='url(#box)'>",
        *(_cell(cell, plane, picture=under.picture is not None) for cell in needs.cells),
        _stored_picture(under, plane),
        *(_old(cell, plane) for cell in needs.cells if under.picture is not None),
        *(_sector(sector, plane) for sector in needs.sectors),
        "</g>",
        f'<rect {frame} fill="none" stroke="#0b1116" stroke-width="1.6"/>',
        *_edges(plane),
        *_route(under, plane),
        *_waypoints(needs.flight.route_deg.tolist(), plane),
        _scale(plane),
        "</svg>",
    ])  # fmt: skip


def _stored_picture(under: RouteMap, plane: _Plane) -> str:
    if under.picture is None:
        return ""
    west, south, east, north = under.edges_deg
    x, y = plane.x(west), plane.y(north)
    data = base64.b64encode(under.picture).decode("ascii")
    return (
        f'<image x="{x:.1f}" y="{y:.1f}" width="{plane.x(east) - x:.1f}" height="{plane.y(south) - y:.1f}" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
    )


def _old(cell: Cell, plane: _Plane) -> str:
    """Old tiles, marked over the picture without hiding it."""
    if cell.downgraded * 2 < max(cell.stored, 1):
        return ""
    x, y = plane.x(cell.west_deg), plane.y(cell.north_deg)
    wide, high = plane.x(cell.east_deg) - x, plane.y(cell.south_deg) - y
    place = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"'
    return f'<rect {place} fill="#e08a00" fill-opacity=".28"/>'


def _route(under: RouteMap, plane: _Plane) -> Iterable[str]:
    """The footprint's width, then the route: blue over stored map, red and dashed where there is none."""
    if under.footprint is not None:
        wide = under.footprint.across_m / 1000.0 * plane.px_per_km
        for _, on_path in itertools.groupby(under.points, key=lambda p: p.path):
            places = [(p.latitude_deg, p.longitude_deg) for p in on_path]
            yield _line(places, plane, "#005fb8", f'stroke-width="{wide:.2f}" stroke-opacity=".22"', halo=False)
    for missing, points in stretches(under.points):
        look = 'stroke-dasharray="9 5"' if missing else ""
        places = [(p.latitude_deg, p.longitude_deg) for p in points]
        yield _line(places, plane, "#c00026" if missing else "#005fb8", look)


def _line(places: Sequence[tuple[float, float]], plane: _Plane, colour: str, look: str = "", halo: bool = True) -> str:
    points = " ".join(f"{plane.x(lon):.1f},{plane.y(lat):.1f}" for lat, lon in places)
    width = "" if "stroke-width" in look else 'stroke-width="3.4"'
    drawn = f'<polyline points="{points}" fill="none" stroke="{colour}" {width} stroke-linejoin="round" {look}/>'
    under = f'<polyline points="{points}" fill="none" stroke="#fff" stroke-width="7.5" stroke-linejoin="round"/>'
    return under + drawn if halo else drawn


def _cell(cell: Cell, plane: _Plane, picture: bool) -> str:
    """A block of tiles: its class of land, and over it, in proportion, what the store holds, unless its own picture
    comes over it."""
    x, y = plane.x(cell.west_deg), plane.y(cell.north_deg)
    wide, high = plane.x(cell.east_deg) - x, plane.y(cell.south_deg) - y
    place = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"'
    out = f'<rect {place} fill="{CLASS_FILL.get(cell.sector_class, "#eee")}" stroke="#c3ccd5" stroke-width=".4"/>'
    if cell.stored and not picture:
        colour = "#b86b00" if cell.downgraded * 2 >= cell.stored else "#0b6b33"
        out += f'<rect {place} fill="{colour}" fill-opacity="{0.15 + 0.6 * min(cell.stored / cell.tiles, 1.0):.2f}"/>'
    return out


def _sector(sector: Sector, plane: _Plane) -> str:
    polygons = sector.polygon["coordinates"]
    rings = polygons if sector.polygon["type"] == "Polygon" else [ring for polygon in polygons for ring in polygon]
    paths = " ".join(
        "M" + " L".join(f"{plane.x(point[0]):.1f},{plane.y(point[1]):.1f}" for point in ring) + " Z" for ring in rings
    )
    name = html.escape(sector.name)
    look = 'fill="none" stroke="#6b2d00" stroke-width="1.6" stroke-dasharray="7 4"'
    return f'<path d="{paths}" {look}><title>{name}</title></path>'


def _waypoints(route: Sequence[Sequence[float]], plane: _Plane) -> Iterable[str]:
    for number, (latitude, longitude) in enumerate(route if len(route) <= 60 else [route[0], route[-1]]):
        x, y = plane.x(longitude), plane.y(latitude)
        if number == 0:
            place = f'x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12"'
            yield f'<rect class="at" {place} fill="#0b1116" stroke="#fff"/>'
            beside = x + 10 if x - plane.x(plane.west) < NAME_PX else x - 10
            yield _text("take-off", beside, y + 20, anchor="start" if beside > x else "end", weight=700)
        else:
            place = f'cx="{x:.1f}" cy="{y:.1f}" r="4.6"'
            yield f'<circle class="at" {place} fill="#fff" stroke="#005fb8" stroke-width="2.4"/>'
            if len(route) <= 60:
                yield _text(str(number), x + 8, y - 7)


def _edges(plane: _Plane) -> Iterable[str]:
    middle_x = (plane.x(plane.west) + plane.x(plane.east)) / 2.0
    middle_y = (plane.y(plane.north) + plane.y(plane.south)) / 2.0
    yield _text(f"{plane.north:.4f}°", middle_x, plane.y(plane.north) - 8, anchor="middle")
    yield _text(f"{plane.south:.4f}°", middle_x, plane.y(plane.south) + 19, anchor="middle", look="below")
    for edge, turn in ((plane.west, -9.0), (plane.east, 17.0)):
        x = plane.x(edge) + turn
        yield (f'<text x="{x:.1f}" y="{middle_y:.1f}" transform="rotate(-90 {x:.1f} {middle_y:.1f})" '
               f'text-anchor="middle" font-size="16" fill="#0b1116">{edge:.4f}°</text>')  # fmt: skip


def _scale(plane: _Plane) -> str:
    px_per_km = plane.px_per_km
    length_km = max((km for km in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if km * px_per_km <= 220), default=0.1)
    x, y = 12.0, plane.height_px - 16.0
    name = f"{length_km:g} km" if length_km >= 1 else f"{length_km * 1000:g} m"
    line = f'<path d="M{x},{y - 6} v6 h{length_km * px_per_km:.1f} v-6" fill="none" stroke="#0b1116" stroke-width="2"/>'
    return line + _text(name, x + 5, y - 6) + _text("N ↑", WIDTH_PX - 12, 36, anchor="end", weight=700)


def _text(said: str, x: float, y: float, anchor: str = "start", weight: int = 500, look: str = "") -> str:
    return (
        f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="16" font-weight="{weight}" '
        f'fill="#0b1116" stroke="#fff" stroke-width="3.5" paint-order="stroke">{html.escape(said)}</text>'
    )


def _note(under: RouteMap) -> str:
    if under.picture is None:
        return ""
    some = "" if under.whole else " Of a large box the map nearest to the route is shown."
    return f'<p class="note">Grey picture: the stored map itself, {under.picture_tiles:,} tiles.{some}</p>'


def _legend(needs: Needs, under: RouteMap) -> str:
    keys = [(CLASS_FILL.get(c, "#eee"), CLASS_NAMES.get(c, c)) for c in needs.class_shares]
    keys += [("#005fb8", "route with map"), ("#c00026", "route without map")]
    if needs.stored and under.picture is None:
        keys += [("#0b6b33", "in the store"), ("#b86b00", "in the store, old")]
    elif needs.stored.get("downgraded"):
        keys += [("#e08a00", "old map")]
    made = "".join(
        f'<span><i class="key" style="background:{colour};border:1px solid var(--key)"></i> {html.escape(name)}</span>'
        for colour, name in keys
    )
    return f'<div class="tools">{made}</div>'


def _zooms(needs: Needs) -> str:
    rows = []
    for need in needs.zooms:
        mark = "<b>" if need.zoom == needs.chosen.zoom else ""
        end = "</b>" if mark else ""
        tag = '<span class="tag good">taken</span>' if need.taken else '<span class="tag bad">too coarse</span>'
        if need.bytes_estimate > needs.budget_bytes:
            tag = '<span class="tag bad">over budget</span>'
        resolution = f"{need.ground_resolution_m_px:.2f} m"
        values = (str(need.zoom), f"{need.tiles:,}", resolution, _bytes(need.bytes_estimate))
        cells = "".join(f'<td class="r">{mark}{value}{end}</td>' for value in values)
        rows.append(f"<tr>{cells}<td>{tag}</td></tr>")
    head = "".join(f'<th class="r">{name}</th>' for name in ("zoom", "tiles", "a pixel", "size, about")) + "<th></th>"
    return f"<div><h2>By zoom</h2><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _freshness(needs: Needs) -> str:
    rules = {"active_conflict": "older tiles are refused", "stable_rear": "older tiles are kept, downgraded"}
    rows = "".join(
        f"<tr><td>{html.escape(CLASS_NAMES.get(c, c))}</td><td class='r'><b>{100 * share:.1f} %</b></td>"
        f"<td class='r'>{needs.age_days_max[c]:g} days</td><td>{rules.get(c, '')}</td></tr>"
        for c, share in needs.class_shares.items()
    )
    names = "; ".join(f"{s.name} ({CLASS_NAMES.get(s.sector_class, s.sector_class)})" for s in needs.sectors)
    stored = ", ".join(f"{count:,} {label}" for label, count in needs.stored.items()) or "nothing of this box"
    return (
        "<div><h2>Freshness</h2><table><thead><tr><th>land</th><th class='r'>of the box</th>"
        f"<th class='r'>at most</th><th></th></tr></thead><tbody>{rows}</tbody></table>"
        f'<p class="note">Sectors: {html.escape(names or "none in this box")}. '
        f"In the store: {html.escape(stored)}.</p></div>"
    )


def _command(needs: Needs) -> str:
    box = ",".join(f"{edge:.6f}" for edge in needs.flight.bbox)
    return (
        f"operator-tool tiles download --provider https://HOST --bbox={box} --zoom {needs.chosen.zoom} "
        f"--source {needs.source} --mission {needs.flight.mission_id}"
    )


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.{1 if count < 100 * size else 0}f} {unit}"
    return f"{count} B"
