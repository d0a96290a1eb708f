"""The same route in every format that is read."""

from __future__ import annotations

import json
from collections.abc import Sequence

ROUTE = [(48.42, 37.1), (48.45, 37.2), (48.47, 37.15)]
Route = Sequence[tuple[float, float]]


def qgc_plan(route: Route = ROUTE, home: object = None, frame: int = 3) -> bytes:
    items = [
        {"type": "SimpleItem", "command": 16, "frame": frame, "params": [0, 0, 0, None, latitude, longitude, 300]}
        for latitude, longitude in route
    ]
    gear = {"type": "SimpleItem", "command": 206, "frame": 2, "params": [25, 0, 1, 0, 0, 0, 0]}
    return json.dumps(
        {"fileType": "Plan", "version": 1, "mission": {"plannedHomePosition": home, "items": [*items, gear]}}
    ).encode()


def waypoint_list(route: Route = ROUTE, frame: int = 3) -> bytes:
    lines = [
        f"{number}\t0\t{frame}\t16\t0\t0\t0\t0\t{latitude!r}\t{longitude!r}\t300\t1"
        for number, (latitude, longitude) in enumerate(route)
    ]
    return "\r\n".join(["QGC WPL 110", *lines, ""]).encode()


def geojson(route: Route = ROUTE, **more: object) -> bytes:
    line = {"type": "LineString", "coordinates": [[longitude, latitude, 300] for latitude, longitude in route]}
    feature = {"type": "Feature", "properties": {}, "geometry": line}
    return json.dumps({"type": "FeatureCollection", "features": [feature], **more}).encode()


def kml(route: Route = ROUTE) -> bytes:
    text = "\n".join(f"{longitude!r},{latitude!r},300" for latitude, longitude in route)
    line = f"<LineString><coordinates>\n{text}\n</coordinates></LineString>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
        f"<Placemark>{line}</Placemark></Document></kml>"
    ).encode()


FORMATS = {"plan": qgc_plan, "waypoints": waypoint_list, "geojson": geojson, "kml": kml}
