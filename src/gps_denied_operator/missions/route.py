"""A flight as the cache sees it: where it starts, which way it goes, which box of the map it needs."""

from __future__ import annotations

import hashlib
import math
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_operator.missions.errors import (
    FlightEmptyRouteError,
    FlightMalformedError,
    FlightOutsideLimitsError,
)

if TYPE_CHECKING:
    import pyproj

    from gps_denied_operator.missions.api import FlightsApi
    from gps_denied_operator.missions.plan_content import PlanRoute

BUFFER_M = 2000.0
BUFFER_M_MAX = 50_000.0
ROUTE_M_MIN = 1.0
ROUTE_M_MAX = 1_000_000.0  # eight hours at 60 km/h are 480 km
LATITUDE_DEG_MAX = 85.0  # the tile grid ends just above
LEG_M = 10_000.0  # legs are cut into pieces of this length, so that the box holds the geodesic between two waypoints
RADIUS_M_MIN = 6_335_000.0  # the smallest radius of curvature of WGS84: angles of a distance are never too small
PLACES = 9  # decimals of a degree that are kept: a tenth of a millimetre


@dataclass(frozen=True, slots=True, eq=False)
class ResolvedFlight:
    """A flight that was read from `source` (a file's name or an address).

    route_deg: (N, 2) latitude and longitude in degrees, WGS84, as flown; the first is the take-off origin.
    bbox: (west, south, east, north) in degrees: everything nearer to the route than `buffer_m`.
    path_sizes: points of each separate path of a file that holds several, () where the route is one.
    notes: what of the file is no part of the route, and what was taken for what, for the operator.
    flight_id: a UUID; of a file, it is made from the route, so that the same route is the same flight.
    """

    mission_id: str
    flight_id: str
    takeoff_latitude_deg: float
    takeoff_longitude_deg: float
    route_deg: FloatArray
    bbox: tuple[float, float, float, float]
    buffer_m: float
    source: str
    path_sizes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def paths_deg(self) -> list[FloatArray]:
        """The route cut into the paths that are flown one by one, each (n, 2); mostly it is one."""
        ends = np.cumsum(self.path_sizes or (len(self.route_deg),))
        return list(np.split(self.route_deg, ends[:-1]))

    @property
    def length_m(self) -> float:
        """Length of the paths along geodesics; the ways between separate paths are not counted."""
        return sum(route_length_m(path) for path in self.paths_deg)


def resolve(
    flight_file: Path | None = None,
    flight_id: str = "",
    *,
    buffer_m: float = BUFFER_M,
    api: FlightsApi | None = None,
    path: str = "",
) -> ResolvedFlight:
    """Read a flight from a plan file, or by its id from the flights API; exactly one of the two.

    path: number or name of the one path that is flown, of a file that holds several.
    Raises FlightResolutionError, whose class says why (`exit_code` 90 to 95), with what to do.
    """
    if not (math.isfinite(buffer_m) and 0.0 <= buffer_m <= BUFFER_M_MAX):
        raise FlightOutsideLimitsError(f"--buffer {buffer_m:g} m: give 0 to {BUFFER_M_MAX:g} m.")
    if (flight_file is None) == (not flight_id):
        raise FlightMalformedError("Give --flight-file or --flight-id, one of the two.")
    if flight_file is not None:
        from gps_denied_operator.missions.plan_files import read_plan

        plan = _chosen(read_plan(flight_file), path, flight_file.name)
        sizes = tuple(len(one.points_deg) for one in plan.paths)
        flight = resolved(
            plan.points_deg, flight_file.name, mission_id=flight_file.stem, buffer_m=buffer_m, path_sizes=sizes
        )
        off = (*_off_the_map(plan.alternates_deg, flight), *_wider_than_the_map(plan.reaches_m, buffer_m))
        return replace(flight, notes=(*plan.notes, *off))
    if api is None:
        raise FlightMalformedError("--flight-id needs the address of the flights API: give --provider.")
    found = api.flight(flight_id)
    return resolved(
        found.route_deg, found.source, mission_id=found.mission_id, flight_id=found.flight_id, buffer_m=buffer_m
    )


def _chosen(plan: PlanRoute, path: str, source: str) -> PlanRoute:
    """The plan, or its one path that was asked for."""
    if not path:
        return plan
    for number, one in enumerate(plan.paths, 1):
        if path in (str(number), one.name):
            others = len(plan.paths) - 1
            told = (f"path {number} '{one.name}' was chosen; {others} others of {source} are left out.",)
            return replace(plan, paths=(one,), notes=told + plan.notes[1:] if others else plan.notes)
    known = ", ".join(f"{number} '{one.name}'" for number, one in enumerate(plan.paths, 1))
    raise FlightMalformedError(f"{source} has no path '{path}'; it has: {known}.")


def _off_the_map(alternates_deg: Sequence[tuple[str, float, float]], flight: ResolvedFlight) -> list[str]:
    """What to know of places that the aircraft may be sent to, and for which no map is asked."""
    west, south, east, north = flight.bbox
    told = []
    for what, latitude_deg, longitude_deg in alternates_deg:
        if not (south <= latitude_deg <= north and west <= longitude_deg <= east):
            _, _, off_m = geod().inv(
                np.full(len(flight.route_deg), longitude_deg), np.full(len(flight.route_deg), latitude_deg),
                flight.route_deg[:, 1], flight.route_deg[:, 0],
            )  # fmt: skip
            told.append(
                f"{what} at {latitude_deg:.5f}, {longitude_deg:.5f} lies outside of the map's box, "
                f"{float(np.min(off_m)) / 1000.0:.1f} km from the nearest waypoint: give a larger --buffer, or move it."
            )
    return told


def _wider_than_the_map(reaches_m: Sequence[tuple[str, float]], buffer_m: float) -> list[str]:
    """What to know of circles, arcs and corridors that lead out of the map around the straight way."""
    wide = [reach for reach in reaches_m if reach[1] > buffer_m]
    if not wide:
        return []
    what, most_m = max(wide, key=lambda reach: reach[1])
    more = f" ({len(wide) - 1} more do so)" if len(wide) > 1 else ""
    return [
        f"{what} leads {most_m / 1000.0:.1f} km off the straight way, the map reaches {buffer_m / 1000.0:g} km{more}: "
        f"give --buffer {min(math.ceil(most_m / 100.0) * 100.0, BUFFER_M_MAX):.0f} or more."
    ]


def resolved(
    route_deg: Sequence[tuple[float, float]],
    source: str,
    *,
    mission_id: str,
    flight_id: str = "",
    buffer_m: float,
    path_sizes: tuple[int, ...] = (),
) -> ResolvedFlight:
    """Check a route and give it its box. FlightResolutionError where no cache can be built for it; pure."""
    route = _checked(route_deg, source, path_sizes)
    box = _box(route, buffer_m, source)
    digest = hashlib.sha256(np.ascontiguousarray(route, dtype="<f8").tobytes()).hexdigest()
    return ResolvedFlight(
        mission_id=_name(mission_id) or f"route-{digest[:8]}",
        flight_id=flight_id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"route:{digest}")),
        takeoff_latitude_deg=float(route[0, 0]),
        takeoff_longitude_deg=float(route[0, 1]),
        route_deg=route,
        bbox=box,
        buffer_m=float(buffer_m),
        source=source,
        path_sizes=path_sizes if len(path_sizes) > 1 else (),
    )


def route_length_m(route_deg: FloatArray) -> float:
    """Length in metres of a route (N, 2) of latitude and longitude along geodesics of WGS84."""
    return float(geod().line_length(route_deg[:, 1], route_deg[:, 0]))


def _checked(route_deg: Sequence[tuple[float, float]], source: str, path_sizes: tuple[int, ...] = ()) -> FloatArray:
    if len(route_deg) < 2:
        count = "only one position" if len(route_deg) else "no position"
        raise FlightEmptyRouteError(f"{source} holds {count}: a route needs two; add waypoints to the plan.")
    route = np.round(np.array(route_deg, dtype=float), PLACES)
    if not np.isfinite(route).all():
        raise FlightMalformedError(f"{source} holds a position that is no number; save the plan again.")
    if np.abs(route[:, 0]).max() > 90.0 or np.abs(route[:, 1]).max() > 180.0:
        raise FlightMalformedError(
            f"{source} holds coordinates that are no degrees of latitude and longitude; save it in WGS84 (EPSG:4326)."
        )
    if np.abs(route[:, 0]).max() > LATITUDE_DEG_MAX:
        raise FlightOutsideLimitsError(
            f"{source} goes to latitude {route[np.abs(route[:, 0]).argmax(), 0]:.3f}: there is no map beyond "
            f"{LATITUDE_DEG_MAX:g} degrees; are latitude and longitude swapped? Else plan another route."
        )
    if np.abs(np.diff(route[:, 1])).max() > 180.0:
        raise _antimeridian(source)
    ends = np.cumsum(path_sizes or (len(route),))
    length_m = sum(route_length_m(path) for path in np.split(route, ends[:-1]))
    if length_m < ROUTE_M_MIN:
        raise FlightEmptyRouteError(f"All positions of {source} are one place: the route has no length; add waypoints.")
    if length_m > ROUTE_M_MAX:
        raise FlightOutsideLimitsError(
            f"{source} is {length_m / 1000.0:,.0f} km long, at most {ROUTE_M_MAX / 1000.0:g} km are possible: "
            "split the flight, or correct a waypoint (or the home position) that lies far off."
        )
    return route


def _box(route: FloatArray, buffer_m: float, source: str) -> tuple[float, float, float, float]:
    """(west, south, east, north) of all that lies within `buffer_m` of the geodesics of the route."""
    dense = _densified(route)
    angle = buffer_m / RADIUS_M_MIN
    latitude = np.radians(dense[:, 0])
    if np.abs(dense[:, 0]).max() + math.degrees(angle) > LATITUDE_DEG_MAX:
        raise FlightOutsideLimitsError(
            f"{source} with {buffer_m:g} m around it goes beyond {LATITUDE_DEG_MAX:g} degrees of latitude, where the "
            "map ends; plan another route."
        )
    around = np.degrees(np.arcsin(np.sin(angle) / np.cos(latitude)))
    west, east = float((dense[:, 1] - around).min()), float((dense[:, 1] + around).max())
    if west < -180.0 or east > 180.0:
        raise _antimeridian(source)
    south, north = (float(end) for end in (dense[:, 0].min(), dense[:, 0].max()))
    down = (math.floor, math.floor, math.ceil, math.ceil)
    edges = (west, south - math.degrees(angle), east, north + math.degrees(angle))
    box = [side(edge * 10**PLACES) / 10**PLACES for side, edge in zip(down, edges, strict=True)]
    return box[0], box[1], box[2], box[3]


def _densified(route: FloatArray) -> FloatArray:
    """The route with points at most LEG_M apart, (M, 2)."""
    pieces = [route]
    _, _, lengths_m = geod().inv(route[:-1, 1], route[:-1, 0], route[1:, 1], route[1:, 0])
    for place in np.flatnonzero(np.asarray(lengths_m) > LEG_M):
        (lat0, lon0), (lat1, lon1) = route[place], route[place + 1]
        between = geod().npts(lon0, lat0, lon1, lat1, int(lengths_m[place] // LEG_M))
        pieces.append(np.array(between, dtype=float)[:, ::-1])
    return np.concatenate(pieces)


@lru_cache(maxsize=1)
def geod() -> pyproj.Geod:
    """The ellipsoid on which all routes are measured: WGS84."""
    import pyproj

    return pyproj.Geod(ellps="WGS84")


def _antimeridian(source: str) -> FlightOutsideLimitsError:
    return FlightOutsideLimitsError(
        f"{source} crosses the 180th meridian, with what lies around it: one cache cannot; "
        "plan a flight on one side of it."
    )


def _name(text: str) -> str:
    """A name that can be a folder and part of a command: letters, digits, dot, dash, underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:64]
