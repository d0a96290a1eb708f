"""Plans of QGroundControl of all ages: .plan, the .mission JSON before it, and their complex items.

A complex item is flown along its stored waypoints where it has some (TransectStyleComplexItem.Items, 3.4 and later),
else along its own geometry: the transects that QGroundControl drew, the polygon's edge, the corridor's line, the
approach and touch-down of a landing pattern. QGroundControl stores no waypoints for landings and structure scans.
Formats: QGroundControl developer guide, "Plan File Format", and the JSON keys of its MissionManager.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gps_denied_operator.missions.errors import FlightMalformedError
from gps_denied_operator.missions.plan_content import PlanRoute, Points, RouteBuilder, length_m, position

APPROACH = ("landingApproachCoordinate", "finalApproachCoordinate", "loiterCoordinate")
LANDING = ("landCoordinate", "landingCoordinate")
AREAS = ("polygon", "Polygon")
LINES = ("polyline", "Polyline", "path", "points")
PLACES = ("coordinate", "center", "centre", "takeoffCoordinate", "launchCoordinate")


def read_qgc_plan(plan: dict[str, Any], name: str) -> PlanRoute:
    """Read a .plan, or a .mission of version 1 or 2. FlightMalformedError with what to do."""
    mission = plan.get("mission", plan)
    if not isinstance(mission, dict) or not isinstance(mission.get("items"), list):
        raise FlightMalformedError(f"{name} has no mission in it; save it in QGroundControl with a mission.")
    built = RouteBuilder()
    home = mission.get("plannedHomePosition")
    pair = _pair(home.get("coordinate", home) if isinstance(home, dict) else home)
    if pair is not None:
        built.points += position(*pair, f"{name}: the home position")
    for number, item in enumerate(_in_order(mission), 1):
        if isinstance(item, dict):
            _take(item, built, f"{name}: item {number}")
        else:
            built.notes.append(f"{name}: item {number} is no mission item and was left out.")
    _safety(plan, built)
    return built.route(name)


def _in_order(mission: dict[str, Any]) -> Iterator[Any]:
    """The items; complex ones of version 1 stand apart and are put in by their number."""
    apart = [item for item in mission.get("complexItems") or [] if isinstance(item, dict)]
    if not isinstance(mission.get("complexItems") or [], list) or not apart:
        yield from mission["items"]
        return
    waiting = sorted(apart, key=_number)
    for item in mission["items"]:
        while waiting and isinstance(item, dict) and _number(waiting[0]) < _number(item):
            yield {**waiting.pop(0), "type": "ComplexItem"}
        yield item
    yield from ({**item, "type": "ComplexItem"} for item in waiting)


def _number(item: dict[str, Any]) -> float:
    number = item.get("id", item.get("doJumpId", 0))
    return float(number) if isinstance(number, int | float) and not isinstance(number, bool) else 0.0


def _take(item: dict[str, Any], built: RouteBuilder, where: str) -> None:
    transect = item.get("TransectStyleComplexItem")
    # "items": of surveys of 2016, "Items": of surveys between them and the style with a table of its own
    for stored in (transect.get("Items") if isinstance(transect, dict) else None, item.get("Items"), item.get("items")):
        before = len(built.points)
        for simple in stored if isinstance(stored, list) else []:
            if isinstance(simple, dict):
                _simple(simple, built, where)
        if len(built.points) > before:
            return
    if item.get("type", "SimpleItem") in ("SimpleItem", "missionItem", "simpleItem"):
        _simple(item, built, where)
    else:
        _complex(item, transect if isinstance(transect, dict) else {}, built, where)


def _simple(item: dict[str, Any], built: RouteBuilder, where: str) -> None:
    parameters, coordinate = item.get("params"), item.get("coordinate")  # coordinate: before QGroundControl 4
    latitude = longitude = None
    told = True
    if isinstance(parameters, list) and len(parameters) >= 6:
        latitude, longitude = parameters[4], parameters[5]
    elif (pair := _pair(coordinate)) is not None:
        latitude, longitude = pair
    else:
        told = False
    before = len(built.points)
    if not isinstance(parameters, list):
        parameters = [item.get(f"param{k}") for k in range(1, 5)]
    built.command(item.get("command"), item.get("frame"), latitude, longitude, where, parameters)
    if not told and len(built.points) == before and item.get("command") in (16, 17, 18, 19, 21, 31, 82, 94):
        raise FlightMalformedError(f"{where} has no position; save the plan again.")


def _complex(item: dict[str, Any], transect: dict[str, Any], built: RouteBuilder, where: str) -> None:
    kind = str(item.get("complexItemType", item.get("type", "complex item")))[:40]
    if kind == "MissionSettings":  # camera and speed at the start, no place
        return
    points, said = _geometry(item, transect, where)
    if not points:
        raise FlightMalformedError(
            f"{where} is a {kind} without its waypoints and without a shape that is known here; replace it in "
            "QGroundControl by simple waypoints around its place, or read the mission back from the autopilot and "
            "save it as waypoints (QGC WPL) in Mission Planner."
        )
    built.points += points
    for key, half in (("CorridorWidth", 0.5), ("corridorWidth", 0.5), ("loiterRadius", 1.0)):
        built.reaches.append((f"{where}: its {key}", length_m(item.get(key)) * half))
    built.reaches.append((f"{where}: its TurnAroundDistance", length_m(transect.get("TurnAroundDistance"))))
    camera = item.get("CameraCalc")
    if kind.startswith("StructureScan") and isinstance(camera, dict):  # flown around it, at this distance
        built.reaches.append((f"{where}: its DistanceToSurface", length_m(camera.get("DistanceToSurface"))))
    if said:
        built.notes.append(f"{where} is a {kind} without stored waypoints: {said}.")


def _geometry(item: dict[str, Any], transect: dict[str, Any], where: str) -> tuple[Points, str]:
    """The way along a complex item's own geometry, and what was taken for it, in words ("": nothing to say)."""
    landing = [_place(item, APPROACH, where), _place(item, LANDING, where)]
    if any(landing):
        return [point for place in landing for point in place], ""
    drawn = _places(transect.get("VisualTransectPoints"), where)
    if drawn:
        return drawn, "the way is the transects that were drawn"
    for key in LINES:
        line = _places(item.get(key), where)
        if line:
            width = item.get("CorridorWidth", item.get("corridorWidth"))
            wide = f", flown {width:g} m wide" if isinstance(width, int | float) else ""
            return line, f"the way is its line{wide}"
    for key in AREAS:
        area = _places(item.get(key), where)
        if area:
            return [*area, area[0]], "the way is the edge of its polygon"
    place = _place(item, PLACES, where)
    return place, "the way is its one position" if place else ""


def _place(item: dict[str, Any], keys: tuple[str, ...], where: str) -> Points:
    found = (_pair(item.get(key)) for key in keys)
    pair = next((pair for pair in found if pair is not None), None)
    return [] if pair is None else position(*pair, where)


def _pair(place: Any) -> tuple[Any, Any] | None:
    """Latitude and longitude of [latitude, longitude, ...] or {"latitude": ..., "longitude": ...}; None of others."""
    if isinstance(place, dict):
        place = [place.get("latitude", place.get("lat")), place.get("longitude", place.get("lon"))]
    usable = isinstance(place, list) and len(place) >= 2
    return (place[0], place[1]) if usable else None


def _places(found: Any, where: str) -> Points:
    """Positions of a list of pairs or of {"coordinate": pair}."""
    points: Points = []
    for place in found if isinstance(found, list) else []:
        pair = _pair(place.get("coordinate", place) if isinstance(place, dict) else place)
        if pair is not None:
            points += position(*pair, where)
    return points


def _safety(plan: dict[str, Any], built: RouteBuilder) -> None:
    """Rally points may be flown to; a geofence is no way. Both stand beside the mission."""
    rally, fence = plan.get("rallyPoints"), plan.get("geoFence")
    points = _places(rally.get("points"), "a rally point") if isinstance(rally, dict) else []
    for point in points:
        built.command(5100, 3, *point, "a rally point")
    if isinstance(fence, dict):
        parts = [part for key in ("polygons", "circles", "polygon") for part in fence.get(key) or [] if part]
        if parts:
            built.counts["parts of a geofence"] += len(parts)
        for place in _place(fence, ("breachReturn",), "the fence's return point"):
            built.alternates.append(("the fence's return point", *place))
