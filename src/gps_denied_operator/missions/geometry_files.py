"""Lines drawn as a route: GeoJSON, GPX, KML and KMZ (also those of DJI's waypoint missions, WPML)."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree.ElementTree import Element

from gps_denied_operator.missions.errors import FlightMalformedError, FlightOutsideLimitsError
from gps_denied_operator.missions.plan_content import NamedPath, PlanRoute, Points, joined, position

KMZ_PREFERRED = ("wpmz/waylines.wpml", "doc.kml")  # what a DJI aircraft executes; what Google Earth writes


def read_geojson(plan: dict[str, Any], name: str) -> PlanRoute:
    """The lines of a GeoJSON, each a path; its points where it has no line."""
    crs = plan.get("crs")
    if crs is not None and not any(known in str(crs)[:500] for known in ("CRS84", "EPSG::4326", "EPSG:4326")):
        raise FlightMalformedError(f"{name} is in another CRS ({str(crs)[:80]}); save it in WGS84 (EPSG:4326).")
    paths: list[NamedPath] = []
    single: Points = []
    others: Counter[str] = Counter()
    for geometry, title in _geometries(plan):
        kind, coordinates = geometry.get("type"), geometry.get("coordinates")
        title = title or f"line {len(paths) + 1}"
        if kind == "LineString":
            paths.append(NamedPath(title, _pairs(coordinates, name)))
        elif kind == "MultiLineString" and isinstance(coordinates, list):
            paths += [NamedPath(title, _pairs(part, name)) for part in coordinates]
        elif kind == "Point":
            single += _pairs([coordinates], name)
        elif kind == "MultiPoint":
            single += _pairs(coordinates, name)
        else:
            others[str(kind)[:20]] += 1
    return _lines_or_points(paths, single, others, name)


def _lines_or_points(paths: list[NamedPath], single: Points, others: Counter[str], name: str) -> PlanRoute:
    if not any(path.points_deg for path in paths) and not single and others:
        kinds = ", ".join(sorted(others))
        raise FlightMalformedError(f"{name} holds {kinds} and no LineString: give the route as one.")
    left = [f"{count} {kind}" for kind, count in others.items()]
    lines = [path for path in paths if path.points_deg]
    if lines and single:
        left.append(f"{len(single)} single points")
    notes = [f"not part of the route: {', '.join(left)}."] if left else []
    if not lines and len(single) > 1:
        notes.append(f"{name} holds no line: its {len(single)} points are flown in the order of the file.")
    return joined(lines or [NamedPath(name, single)], notes, name)


def _geometries(node: Any, depth: int = 0, title: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    if not isinstance(node, dict) or depth > 8:
        return
    inside = {"FeatureCollection": "features", "GeometryCollection": "geometries"}.get(str(node.get("type")))
    if node.get("type") == "Feature":
        properties = node.get("properties")
        told = properties.get("name", "") if isinstance(properties, dict) else ""
        yield from _geometries(node.get("geometry"), depth + 1, str(told)[:40])
    elif inside is None:
        yield node, title
    elif isinstance(node.get(inside), list):
        for part in node[inside]:
            yield from _geometries(part, depth + 1, title)


def _pairs(coordinates: Any, name: str) -> Points:
    """Points of GeoJSON's (longitude, latitude[, altitude])."""
    if not isinstance(coordinates, list):
        raise FlightMalformedError(f"{name} has a geometry without coordinates; save it again.")
    points: Points = []
    for number, pair in enumerate(coordinates, 1):
        if not isinstance(pair, list) or len(pair) < 2:
            raise FlightMalformedError(f"{name}: position {number} is no pair of numbers; save it again.")
        points += position(pair[1], pair[0], f"{name}: position {number}")
    return points


def kml_of_kmz(data: bytes, name: str, bytes_max: int) -> tuple[bytes, list[str]]:
    """The KML (or WPML) in a KMZ that holds the route, and the names of others that it holds.

    FlightMalformedError where it holds none, or more than a plan can be.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            lower = {key.lower().removeprefix("/"): key for key in entries}
            found = [lower[key] for key in KMZ_PREFERRED if key in lower]
            found += [key for key in entries if key.lower().endswith(".kml") and key not in found]
            if not found:
                raise FlightMalformedError(f"{name} is a zip archive without a .kml in it: give a plan or a KMZ.")
            if entries[found[0]].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise zipfile.BadZipFile("it is packed in another way than KMZ are")  # others are unpacked unbounded
            if entries[found[0]].file_size > bytes_max:
                raise FlightOutsideLimitsError(f"{name}: {found[0][:60]} in it is larger than {bytes_max / 1e6:g} MB.")
            with archive.open(found[0]) as stream:
                return stream.read(bytes_max + 1), [] if found[0].lower().endswith(".wpml") else found[1:]
    except (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, OSError, EOFError, ValueError) as error:
        raise FlightMalformedError(
            f"{name} is a zip archive (KMZ?) that cannot be opened ({error}): unpack it and give the .kml in it."
        ) from None


def read_kml(root: Element, name: str) -> PlanRoute:
    """The lines and tracks of a KML, each a path; its points where it has neither. Of DJI's WPML each wayline."""
    waylines = _waylines(root, name)
    if waylines:
        return joined(waylines, [], name)
    paths: list[NamedPath] = []
    single: Points = []
    others: Counter[str] = Counter()
    titles = _titles(root)
    edges = {ring for area in root.iter() if local_name(area.tag) == "Polygon" for ring in area.iter()}
    for element in root.iter():
        tag = local_name(element.tag)
        title = titles.get(element) or f"line {len(paths) + 1}"
        if tag in {"LineString", "Point"} or (tag == "LinearRing" and element not in edges):
            text = next((child.text for child in element if local_name(child.tag) == "coordinates"), None) or ""
            points = _kml_points(_kml_tuples(text, name), ",", name)
            if tag != "Point":
                paths.append(NamedPath(title, points))
            else:
                single += points
        elif tag == "Track":
            found = [child.text or "" for child in element if local_name(child.tag) == "coord"]
            paths.append(NamedPath(title, _kml_points([text for text in found if text.strip()], None, name)))
        elif tag in {"Polygon", "NetworkLink", "GroundOverlay", "Model"}:
            others[tag] += 1
    return _lines_or_points(paths, single, others, name)


def read_gpx(root: Element, name: str) -> PlanRoute:
    """The tracks and routes of a GPX, each a path; its waypoints where it has neither."""
    paths: list[NamedPath] = []
    single: Points = []
    for element in root:
        tag = local_name(element.tag)
        title = next((child.text for child in element if local_name(child.tag) == "name"), None) or ""
        title = title.strip()[:40] or f"line {len(paths) + 1}"
        if tag == "wpt":
            single += _gpx_points([element], name)
        elif tag == "rte":
            paths.append(NamedPath(title, _gpx_points(element, name, "rtept")))
        elif tag == "trk":
            parts = [part for part in element if local_name(part.tag) == "trkseg"]
            paths += [NamedPath(title, _gpx_points(part, name, "trkpt")) for part in parts]
    return _lines_or_points(paths, single, Counter(), name)


def _gpx_points(elements: Iterable[Element], name: str, wanted: str = "wpt") -> Points:
    points: Points = []
    for element in elements:
        if local_name(element.tag) != wanted:
            continue
        told = element.get("lat", ""), element.get("lon", "")
        try:
            latitude_deg, longitude_deg = (float(text) for text in told)
        except ValueError:
            raise FlightMalformedError(
                f"{name}: a {wanted} at '{told[0][:20]}', '{told[1][:20]}' is no position; save it again."
            ) from None
        points += position(latitude_deg, longitude_deg, f"{name}: a {wanted}")
        if wanted == "rtept":  # Garmin keeps the way between two points of a route in their extensions
            points += _gpx_points(element.iter(), name, "rpt")
    return points


def _waylines(root: Element, name: str) -> list[NamedPath]:
    """Waypoints that bear a number (wpml:index), in its order, by their folder: each is a wayline of its own."""
    paths: list[NamedPath] = []
    for folder in (element for element in root.iter() if local_name(element.tag) == "Folder"):
        numbered: list[tuple[int, Points]] = []
        for mark in (child for child in folder if local_name(child.tag) == "Placemark"):
            parts = {local_name(part.tag): part for part in mark}
            if "index" not in parts or "Point" not in parts or not (parts["index"].text or "").strip().isdecimal():
                continue
            text = next((part.text for part in parts["Point"] if local_name(part.tag) == "coordinates"), None) or ""
            points = _kml_points(_kml_tuples(text, name)[:1], ",", name)
            numbered.append((int((parts["index"].text or "").strip()[:9]), points))
        if numbered:
            ordered = [point for _, points in sorted(numbered, key=lambda one: one[0]) for point in points]
            paths.append(NamedPath(f"wayline {len(paths) + 1}", ordered))
    return paths


def _kml_tuples(text: str, name: str) -> list[str]:
    """Texts "longitude,latitude[,altitude]" of a coordinates element, as people and programs really write them.

    Blanks divide positions. Some write blanks behind each comma, some a comma behind each position, and some commas
    alone; what cannot be told apart is refused, never cut.
    """
    tuples = [token.strip(",") for token in text.split()]
    if all(token.count(",") in (1, 2) for token in tuples):
        return tuples
    joined_up = ",".join(part.strip() for part in text.split(",")).split()
    out: list[str] = []
    for token in joined_up:
        numbers = [number for number in token.split(",") if number]
        size = next((size for size in (len(numbers), 3, 2) if size in (1, 2, 3) and len(numbers) % size == 0), 0)
        if not size:
            raise FlightMalformedError(
                f"{name}: '{token[:40]}' holds {len(numbers)} numbers, no longitude,latitude[,altitude]; decimals are "
                "written with a point, positions are divided by blanks. Save it again."
            )
        out += [",".join(numbers[k : k + size]) for k in range(0, len(numbers), size)]
    return out


def _titles(root: Element) -> dict[Element, str]:
    """Each geometry's placemark's name."""
    titles: dict[Element, str] = {}
    waiting = [(root, "")]
    while waiting:
        element, title = waiting.pop()
        if local_name(element.tag) == "Placemark":
            title = next((child.text for child in element if local_name(child.tag) == "name"), None) or ""
            title = title.strip()[:40]
        titles[element] = title
        waiting += [(child, title) for child in element]
    return titles


def _kml_points(texts: list[str], separator: str | None, name: str) -> Points:
    points: Points = []
    for text in texts:
        parts = text.split(separator)
        try:
            longitude_deg, latitude_deg = float(parts[0]), float(parts[1])
        except (ValueError, IndexError):
            raise FlightMalformedError(
                f"{name}: '{text[:40]}' is no longitude,latitude: cut off? Save it again."
            ) from None
        points += position(latitude_deg, longitude_deg, f"{name}: '{text[:40]}'")
    return points


def local_name(tag: Any) -> str:
    """The name of an element without its namespace."""
    return str(tag).rpartition("}")[2]
