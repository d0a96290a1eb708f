"""Waypoint lists: QGC WPL (QGroundControl, Mission Planner, APM Planner, MAVProxy) and iNav's mission XML (MWP)."""

from __future__ import annotations

import contextlib
from typing import Any
from xml.etree.ElementTree import Element

from gps_denied_operator.missions.errors import FlightMalformedError
from gps_denied_operator.missions.plan_content import NamedPath, PlanRoute, Points, RouteBuilder, joined, position

INAV_END_OF_MISSION = 0xA5  # flag of the last item of a mission; a file may hold several
INAV_FLY_BY_HOME = 0x48  # flag: the position is the home position, wherever that is when it is flown
INAV_FLOWN = {"WAYPOINT", "POSHOLD_UNLIM", "POSHOLD_TIME", "LAND"}
INAV_WITHOUT_PLACE = {"RTH", "JUMP", "SET_HEAD"}


def read_waypoint_list(content: bytes, name: str) -> PlanRoute:
    """QGC WPL: index, current, frame, command, four parameters, latitude, longitude, altitude, continue."""
    lines = content.decode("utf-8", "replace").splitlines()  # all but comments is ASCII, in any encoding
    if lines[0].split()[2:] not in (["110"], ["120"]):
        raise FlightMalformedError(f"{name} begins with '{lines[0][:40]}'; versions 110 and 120 are read, save it so.")
    built = RouteBuilder()
    for number, line in enumerate(lines[1:], 2):
        parts = line.split()
        if len(parts) == 1 and parts[0].count(",") in (10, 11):  # saved by a program for tables
            parts = parts[0].split(",")
        if not parts or parts[0].startswith(("#", "//")):
            continue
        where = f"{name}, line {number}"
        if len(parts) not in (11, 12):  # some writers leave the last column out
            raise FlightMalformedError(f"{where} has {len(parts)} columns, not 12: cut off? Save the waypoints again.")
        if len(parts) == 11 and line is lines[-1]:
            raise FlightMalformedError(f"{where} has 11 columns, not 12: cut off? Save the waypoints again.")
        try:
            frame, command = _whole(parts[2]), _whole(parts[3])
            # A ground station in a country that writes decimals with a comma writes them into the file.
            *parameters, latitude_deg, longitude_deg = (float(part.replace(",", ".")) for part in parts[4:10])
        except ValueError:
            raise FlightMalformedError(f"{where} holds what is no number; save the waypoints again.") from None
        built.command(command, frame, latitude_deg, longitude_deg, where, parameters)
    return built.route(name)


def _whole(text: str) -> int:
    value = float(text.replace(",", "."))
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


def read_inav_mission(root: Element, name: str) -> PlanRoute:
    """The mission XML of iNav Configurator, mwp and MultiWii; home of the file's settings is the first position.

    A file may hold several missions, of which the pilot chooses one before the flight: each is a path.
    """
    missions: list[Points] = [[]]
    homes: list[Points] = [[]]
    notes: list[str] = []
    looked = 0
    for number, element in enumerate(root.iter(), 1):
        tag = str(element.tag).rpartition("}")[2].lower()
        values = {key.lower(): text.strip() for key, text in element.attrib.items()}
        if tag in {"mwp", "meta"} and "home-x" in values:
            homes[-1] = _inav_position(values, "home-y", "home-x", f"{name}: the home position")
        if tag != "missionitem":
            continue
        action, where = values.get("action", "").upper(), f"{name}: item {values.get('no', number)}"
        flag = 0
        with contextlib.suppress(ValueError):
            flag = int(values.get("flag", "0"), 0)
        if action in INAV_FLOWN and flag != INAV_FLY_BY_HOME:
            missions[-1] += _inav_position(values, "lat", "lon", where)
        elif action == "SET_POI":
            looked += 1
        elif action not in INAV_FLOWN | INAV_WITHOUT_PLACE:
            place = _inav_position(values, "lat", "lon", where)
            missions[-1] += place
            if place:
                notes.append(f"{where} ({action[:20] or 'no action'}) is not known here; it is taken as flown to.")
        if flag == INAV_END_OF_MISSION:
            missions.append([])
            homes.append([])
    if looked:
        notes.append(f"not part of the route: {looked} points of interest (looked at, not flown to).")
    numbered = [
        NamedPath(f"mission {number}" if len(missions) > 2 else name, home + points)
        for number, (home, points) in enumerate(zip(homes, missions, strict=True), 1)
        if points
    ]
    return joined(numbered, notes, name)


def _inav_position(values: dict[str, Any], latitude: str, longitude: str, where: str) -> Points:
    try:
        pair = [float(values[key].replace(",", ".")) for key in (latitude, longitude)]
    except (KeyError, ValueError):
        raise FlightMalformedError(f"{where} has a position that is no number; save the mission again.") from None
    if max(map(abs, pair)) > 1000.0:  # as iNav keeps it: degrees times ten million
        pair = [value / 1e7 for value in pair]
    return position(pair[0], pair[1], where)
