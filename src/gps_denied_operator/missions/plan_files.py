"""Plan files: QGroundControl .plan, waypoint lists (QGC WPL, Mission Planner), GeoJSON, KML.

The format is told by the content, not by the name. A plan's home position, where it gives one, is the first waypoint:
it is item 0 of what an autopilot gets. 0, 0 is "where the aircraft is" to an autopilot, hence no position.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.json import read_json
from gps_denied_operator.missions.errors import (
    FlightAccessError,
    FlightMalformedError,
    FlightNotFoundError,
    FlightOutsideLimitsError,
)

FILE_BYTES_MAX = 20_000_000
POINTS_MAX = 20_000
ELEMENTS_MAX = 500_000
GLOBAL_FRAMES = {0, 3, 5, 6, 10, 11}  # MAV_FRAME: latitude, longitude and some altitude
LOCAL_FRAMES = {1, 4, 7, 8, 9, 12, 20, 21}
# MAV_CMD that put the aircraft somewhere: waypoints, loiters, land, take-off, spline, the same for VTOL, ...
POSITION_COMMANDS = {16, 17, 18, 19, 21, 22, 31, 82, 84, 85, 189, 201}
FORMATS = "a QGroundControl .plan, a waypoint file (QGC WPL), GeoJSON or KML"
Points = list[tuple[float, float]]


def read_plan(path: Path) -> Points:
    """Return the (latitude, longitude) of a plan file in the order of flight. FlightResolutionError says why not."""
    try:
        if path.is_dir():
            raise FlightMalformedError(f"{path} is a folder; give a plan file: {FORMATS}.")
        data = read_file(path, FILE_BYTES_MAX)
    except FileNotFoundError:
        raise FlightNotFoundError(f"{path} does not exist; give the path of a plan: {FORMATS}.") from None
    except PermissionError:
        raise FlightAccessError(f"{path} may not be read; give this user the right to read it.") from None
    except UntrustedError as error:
        raise FlightOutsideLimitsError(f"{error} A larger one is no plan; give {FORMATS}.") from error
    except (OSError, ValueError) as error:
        raise FlightMalformedError(f"{path} cannot be read ({error}); copy the plan again.") from error
    return parse_plan(data, path.name)


def parse_plan(data: bytes, name: str) -> Points:
    """The same of a file's bytes; `name` is for messages."""
    if len(data) > FILE_BYTES_MAX:
        raise FlightOutsideLimitsError(f"{name} is larger than {FILE_BYTES_MAX / 1e6:g} MB: that is no flight plan.")
    if data[:4] == b"PK\x03\x04":
        raise FlightMalformedError(f"{name} is a zip archive (KMZ?): unpack it and give the .kml in it.")
    content = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not content:
        raise FlightMalformedError(f"{name} is empty; save the plan again.")
    if content.startswith(b"QGC WPL"):
        points = _waypoint_list(content, name)
    elif content.startswith(b"{"):
        points = _json(content, name)
    elif content.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        points = _kml(content, name)
    else:
        raise FlightMalformedError(f"{name} is no plan that is known here; give {FORMATS}.")
    if len(points) > POINTS_MAX:
        raise FlightOutsideLimitsError(f"{name} holds {len(points)} positions, at most {POINTS_MAX}: thin it out.")
    return points


def _json(content: bytes, name: str) -> Points:
    try:
        plan = read_json(content, name, FILE_BYTES_MAX)
    except UntrustedError as error:
        raise FlightMalformedError(f"{name} is broken or cut off ({error}); save the plan again.") from None
    if plan.get("fileType") == "Plan" or "mission" in plan:
        return _qgc_plan(plan, name)
    if "type" in plan:
        return _geojson(plan, name)
    raise FlightMalformedError(f"{name} is JSON, but neither a .plan nor GeoJSON; give {FORMATS}.")


def _qgc_plan(plan: dict[str, Any], name: str) -> Points:
    mission = plan.get("mission")
    if not isinstance(mission, dict) or not isinstance(mission.get("items"), list):
        raise FlightMalformedError(f"{name} has no mission in it; save it in QGroundControl with a mission.")
    points: Points = []
    home = mission.get("plannedHomePosition")
    if isinstance(home, list) and len(home) >= 2:
        points += _position(home[0], home[1], f"{name}: the home position")
    for number, item in enumerate(mission["items"], 1):
        for simple in _simple_items(item):
            points += _plan_item(simple, f"{name}: item {number}")
    return points


def _simple_items(item: Any) -> Iterator[dict[str, Any]]:
    """An item, or those that a survey, corridor or structure scan was expanded into."""
    if not isinstance(item, dict):
        return
    inside = item.get("TransectStyleComplexItem")
    if isinstance(inside, dict) and isinstance(inside.get("Items"), list):
        yield from (simple for simple in inside["Items"] if isinstance(simple, dict))
    else:
        yield item


def _plan_item(item: dict[str, Any], where: str) -> Points:
    if item.get("type", "SimpleItem") != "SimpleItem":
        kind = str(item.get("complexItemType", "complex item"))[:40]
        raise FlightMalformedError(
            f"{where} is a {kind} without its waypoints; save the plan in QGroundControl, or give simple waypoints."
        )
    command = item.get("command")
    if not isinstance(command, int | float) or command not in POSITION_COMMANDS:
        return []
    _check_frame(item.get("frame"), where)
    parameters = item.get("params")
    if isinstance(parameters, list) and len(parameters) >= 6:
        return _position(parameters[4], parameters[5], where)
    coordinate = item.get("coordinate")  # plans of QGroundControl before 4
    if isinstance(coordinate, list) and len(coordinate) >= 2:
        return _position(coordinate[0], coordinate[1], where)
    raise FlightMalformedError(f"{where} has no position; save the plan again.")


def _check_frame(frame: Any, where: str) -> None:
    if isinstance(frame, list | dict):
        raise FlightMalformedError(f"{where} has a frame that is no number; save the plan again.")
    if frame in LOCAL_FRAMES:
        raise FlightMalformedError(
            f"{where} is in metres of a local frame ({frame}), not in latitude and longitude; plan in a global frame."
        )
    if frame not in GLOBAL_FRAMES:
        raise FlightMalformedError(f"{where} has the frame {str(frame)[:20]}, which is not known; save the plan again.")


def _position(latitude: Any, longitude: Any, where: str) -> Points:
    """The position, or nothing where it is left to the aircraft. Everything else is refused."""
    if latitude is None and longitude is None:
        return []
    both = [latitude, longitude]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in both):
        raise FlightMalformedError(f"{where} has a position that is no number; save the plan again.")
    try:
        point = (float(latitude), float(longitude))
    except OverflowError:
        point = (math.inf, math.inf)
    if not (abs(point[0]) <= 90.0 and abs(point[1]) <= 180.0):
        raise FlightMalformedError(
            f"{where} is at {str(latitude)[:20]}, {str(longitude)[:20]}: no latitude and longitude in degrees; "
            "save the plan in WGS84 (EPSG:4326), latitude and longitude not swapped."
        )
    return [] if point == (0.0, 0.0) else [point]


def _waypoint_list(content: bytes, name: str) -> Points:
    """QGC WPL: index, current, frame, command, four parameters, latitude, longitude, altitude, continue."""
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise FlightMalformedError(f"{name} is not a text file; save the waypoints again.") from None
    if lines[0].split()[2:] not in (["110"], ["120"]):
        raise FlightMalformedError(f"{name} begins with '{lines[0][:40]}'; versions 110 and 120 are read, save it so.")
    points: Points = []
    for number, line in enumerate(lines[1:], 2):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        where = f"{name}, line {number}"
        if len(parts) != 12:
            raise FlightMalformedError(f"{where} has {len(parts)} columns, not 12: cut off? Save the waypoints again.")
        try:
            frame, command = int(parts[2]), int(parts[3])
            latitude_deg, longitude_deg = float(parts[8]), float(parts[9])
        except ValueError:
            raise FlightMalformedError(f"{where} holds what is no number; save the waypoints again.") from None
        if command in POSITION_COMMANDS:
            _check_frame(frame, where)
            points += _position(latitude_deg, longitude_deg, where)
    return points


def _geojson(plan: dict[str, Any], name: str) -> Points:
    """The lines of a GeoJSON, in order; its points where it has no line."""
    crs = plan.get("crs")
    if crs is not None and not any(known in str(crs)[:500] for known in ("CRS84", "EPSG::4326", "EPSG:4326")):
        raise FlightMalformedError(f"{name} is in another CRS ({str(crs)[:80]}); save it in WGS84 (EPSG:4326).")
    lines: Points = []
    single: Points = []
    others: set[str] = set()
    for geometry in _geometries(plan):
        kind, coordinates = geometry.get("type"), geometry.get("coordinates")
        if kind == "LineString":
            lines += _pairs(coordinates, name)
        elif kind == "MultiLineString" and isinstance(coordinates, list):
            for part in coordinates:
                lines += _pairs(part, name)
        elif kind == "Point":
            single += _pairs([coordinates], name)
        elif kind == "MultiPoint":
            single += _pairs(coordinates, name)
        else:
            others.add(str(kind)[:20])
    if not lines and not single and others:
        kinds = ", ".join(sorted(others))
        raise FlightMalformedError(f"{name} holds {kinds} and no LineString: give the route as one.")
    return lines or single


def _geometries(node: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    if not isinstance(node, dict) or depth > 8:
        return
    inside = {"FeatureCollection": "features", "GeometryCollection": "geometries"}.get(str(node.get("type")))
    if node.get("type") == "Feature":
        yield from _geometries(node.get("geometry"), depth + 1)
    elif inside is None:
        yield node
    elif isinstance(node.get(inside), list):
        for part in node[inside]:
            yield from _geometries(part, depth + 1)


def _pairs(coordinates: Any, name: str) -> Points:
    """Points of GeoJSON's (longitude, latitude[, altitude])."""
    if not isinstance(coordinates, list):
        raise FlightMalformedError(f"{name} has a geometry without coordinates; save it again.")
    points: Points = []
    for number, pair in enumerate(coordinates, 1):
        if not isinstance(pair, list) or len(pair) < 2:
            raise FlightMalformedError(f"{name}: position {number} is no pair of numbers; save it again.")
        points += _position(pair[1], pair[0], f"{name}: position {number}")
    return points


def _kml(content: bytes, name: str) -> Points:
    """The lines and tracks of a KML, in order; its points where it has neither."""
    import defusedxml
    import defusedxml.ElementTree

    if max(content.count(b"<"), content.count(b"=")) > ELEMENTS_MAX:
        raise FlightOutsideLimitsError(f"{name} has more than {ELEMENTS_MAX} elements or attributes: thin it out.")
    try:
        root: Element = defusedxml.ElementTree.fromstring(content, forbid_dtd=True)
    except defusedxml.DefusedXmlException:
        raise FlightMalformedError(f"{name} declares entities or a DTD, which no plan needs: it is not read.") from None
    except (SyntaxError, ValueError, LookupError) as error:  # ParseError is a SyntaxError
        raise FlightMalformedError(f"{name} is broken or cut off ({error}); save it as KML again.") from None
    if _local(root.tag) != "kml":
        raise FlightMalformedError(f"{name} is XML, but not KML ('{_local(root.tag)[:40]}'); give {FORMATS}.")
    lines: Points = []
    single: Points = []
    for element in root.iter():
        tag = _local(element.tag)
        if tag in {"LineString", "Point"}:
            text = next((child.text for child in element if _local(child.tag) == "coordinates"), None) or ""
            (lines if tag == "LineString" else single).extend(_kml_points(text.split(), ",", name))
        elif tag == "Track":
            found = [child.text or "" for child in element if _local(child.tag) == "coord"]
            lines += _kml_points(found, None, name)
    return lines or single


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
        points += _position(latitude_deg, longitude_deg, f"{name}: '{text[:40]}'")
    return points


def _local(tag: Any) -> str:
    return str(tag).rpartition("}")[2]
