"""What was read of a plan file: the paths flown, places that may be flown to, and what was left out, in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gps_denied_onboard.geometry.geodesy import EARTH_RADIUS_M, signed_longitude
from gps_denied_operator.missions.commands import (
    ARC,
    JUMPS,
    MISSION_FRAME,
    NAV_LAST,
    RADIUS_PARAMETER,
    CommandMeaning,
    meaning,
)
from gps_denied_operator.missions.errors import FlightMalformedError
from gps_denied_operator.scoring.units import E7_MIN

Points = list[tuple[float, float]]
GLOBAL_FRAMES = {0, 3, 5, 6, 10, 11}  # MAV_FRAME: latitude, longitude and altitude AMSL, above home or above terrain
LOCAL_FRAMES = {1, 4, 7, 8, 9, 12, 20, 21}
NOTES_MAX = 40
COUNTED = {
    CommandMeaning.LOOKED_AT: "regions of interest (looked at, not flown to)",
    CommandMeaning.MARKER: "markers",
    CommandMeaning.FENCE: "positions of a geofence",
}
_OFTEN_WITHOUT_PLACE = {17, 21, 22, 84, 85}  # stay, land and take off where the aircraft is
SAME_PLACE_DEG = 1e-5  # about a metre: a path that begins where the one before it ended goes on


@dataclass(frozen=True, slots=True)
class NamedPath:
    """One path of a file that may hold several; (latitude, longitude) in degrees, WGS84, in the order of flight."""

    name: str
    points_deg: Points


@dataclass(frozen=True, slots=True)
class PlanRoute:
    """A plan: its paths, the places that the aircraft may be sent to beside them, and notes for the operator.

    reaches_m: what is flown beside the straight legs, as circles and arcs, and how far off them it leads in metres.
    """

    paths: tuple[NamedPath, ...]
    alternates_deg: tuple[tuple[str, float, float], ...] = ()
    notes: tuple[str, ...] = ()
    reaches_m: tuple[tuple[str, float], ...] = ()

    @property
    def points_deg(self) -> Points:
        """All positions in the order of the file."""
        return [point for path in self.paths for point in path.points_deg]


@dataclass(slots=True)
class RouteBuilder:
    """Takes a mission's items one after another, each by its command's meaning, and keeps count of the others."""

    points: Points = field(default_factory=list)
    alternates: list[tuple[str, float, float]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    reaches: list[tuple[str, float]] = field(default_factory=list)
    _new_home: Points = field(default_factory=list)

    def command(
        self, command: Any, frame: Any, latitude: Any, longitude: Any, where: str, parameters: Sequence[Any] = ()
    ) -> None:
        """Take one item. FlightMalformedError where it is flown to and has no position that can be."""
        if isinstance(command, float) and command.is_integer():
            command = int(command)
        if not isinstance(command, int) or isinstance(command, bool):
            if command is not None:
                self.notes.append(f"{where} has a command that is no number ({str(command)[:20]}) and was left out.")
            return
        means = meaning(command)
        if command in (23, 24):  # NAV_LAND_LOCAL, NAV_TAKEOFF_LOCAL
            check_frame(1, where)
        if command in JUMPS:
            self.counts["jumps (the way back and its repeats)"] += 1
        if means is CommandMeaning.RETURN:
            self.points += self._new_home
        latitude, longitude = self._from_e7(latitude, longitude)
        if means is CommandMeaning.FLOWN:
            place: Points = []
            if frame != MISSION_FRAME or latitude or longitude:
                check_frame(frame, where)
                place = position(latitude, longitude, where)
            self._reach(command, parameters, place, where)
            self.points += place
            if not place and command not in _OFTEN_WITHOUT_PLACE:
                self.counts["items without a position (flown wherever the aircraft then is)"] += 1
        elif means not in {CommandMeaning.NONE, CommandMeaning.RETURN}:
            self._not_flown(command, means, frame, latitude, longitude, where)

    def _from_e7(self, latitude: Any, longitude: Any) -> tuple[Any, Any]:
        both = [latitude, longitude]
        if not all(isinstance(v, int | float) and not isinstance(v, bool) and v == v // 1 for v in both):
            return latitude, longitude
        if not E7_MIN < max(map(abs, both)) <= 1.8e9:
            return latitude, longitude
        told = "positions are whole numbers in 1e-7 degrees, as in MAVLink's messages: they were read so."
        if told not in self.notes:
            self.notes.append(told)
        return latitude * 1e-7, longitude * 1e-7

    def _reach(self, command: int, parameters: Sequence[Any], place: Points, where: str) -> None:
        """How far a circle or an arc leads off the straight way."""
        told = [length_m(value) for value in parameters]
        if command in RADIUS_PARAMETER and len(told) > RADIUS_PARAMETER[command]:
            self.reaches.append((f"{where}: a circle", told[RADIUS_PARAMETER[command]]))
        elif command == ARC and told and place and self.points:
            (lat0, lon0), (lat1, lon1) = self.points[-1], place[0]
            chord_deg = math.hypot(lat1 - lat0, (lon1 - lon0) * math.cos(math.radians(lat0)))
            chord_m = math.radians(chord_deg) * EARTH_RADIUS_M
            turned = math.radians(min(told[0], 350.0))
            self.reaches.append((f"{where}: an arc", chord_m / 2.0 * math.tan(turned / 4.0)))

    def _not_flown(
        self, command: int, means: CommandMeaning, frame: Any, latitude: Any, longitude: Any, where: str
    ) -> None:
        if isinstance(frame, list | dict) or frame not in GLOBAL_FRAMES:
            place: Points = []
        else:
            try:
                place = position(latitude, longitude, where)
            except FlightMalformedError:
                place = []
        if not place:
            return
        (at,) = place
        told = f"{where} (command {command})"
        if means is CommandMeaning.UNKNOWN and command <= NAV_LAST:
            self.points.append(at)
            self.notes.append(f"{told} is not known here; as a navigation command it is taken as flown to.")
        elif means is CommandMeaning.UNKNOWN:
            self.alternates.append((f"{told}, not known here and not taken as flown to,", *at))
            self.notes.append(f"{told} is not known here: its position is not part of the route.")
        elif means is CommandMeaning.HOME:
            self._new_home = [at]
            self.alternates.append((f"the home position that {where} sets", *at))
        elif means is CommandMeaning.RALLY:
            self.alternates.append(("a rally point", *at))
            self.counts["rally points"] += 1
        else:
            self.counts[COUNTED[means]] += 1

    def route(self, name: str) -> PlanRoute:
        """Return what was taken; what is no part of the way flown stands in its notes."""
        notes = shortened(self.notes)
        if self.counts:
            told = ", ".join(f"{count} {what}" for what, count in self.counts.items())
            notes.append(f"not part of the route: {told}.")
        reaches = tuple(reach for reach in self.reaches if reach[1] > 0.0)
        return PlanRoute((NamedPath(name, self.points),), tuple(self.alternates), tuple(notes), reaches)


def length_m(value: Any) -> float:
    """A length or angle of a plan, without its sign; 0 where it is none."""
    plain = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
    return abs(float(value)) if plain else 0.0


def joined(paths: list[NamedPath], notes: list[str], name: str) -> PlanRoute:
    """Return paths of a file: those that go on where another ended are one; several that do not are told."""
    whole: list[NamedPath] = []
    for path in paths:
        if not path.points_deg:
            continue
        before = whole[-1].points_deg[-1] if whole else None
        if before is not None and math.dist(before, path.points_deg[0]) <= SAME_PLACE_DEG:
            whole[-1] = NamedPath(whole[-1].name, whole[-1].points_deg + path.points_deg[1:])
        else:
            whole.append(path)
    if len(whole) > 1:
        names = ", ".join(f"{number}: '{p.name}' ({len(p.points_deg)})" for number, p in enumerate(whole[:8], 1))
        more = f" and {len(whole) - 8} more" if len(whole) > 8 else ""
        notes = [
            f"{name} holds {len(whole)} separate paths (points): {names}{more}. The map is for all of them, the ways "
            "between them are not counted; give one with --path NUMBER or NAME.",
            *notes,
        ]
    return PlanRoute(tuple(whole), (), tuple(shortened(notes)))


def shortened(notes: list[str]) -> list[str]:
    """The first of many notes, and how many more there are."""
    more = len(notes) - NOTES_MAX
    return [*notes[:NOTES_MAX], f"and {more} more of these."] if more > 0 else list(notes)


def check_frame(frame: Any, where: str) -> None:
    """FlightMalformedError where a frame is not one of latitude and longitude."""
    if isinstance(frame, list | dict):
        raise FlightMalformedError(f"{where} has a frame that is no number; save the plan again.")
    if frame in LOCAL_FRAMES:
        raise FlightMalformedError(
            f"{where} is in metres of a local frame ({frame}), not in latitude and longitude; plan in a global frame."
        )
    if frame not in GLOBAL_FRAMES:
        raise FlightMalformedError(f"{where} has the frame {str(frame)[:20]}, which is not known; save the plan again.")


def position(latitude: Any, longitude: Any, where: str) -> Points:
    """The position, or nothing where it is left to the aircraft (0, none or NaN). Everything else is refused."""
    if latitude is None and longitude is None:
        return []
    both = [latitude, longitude]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in both):
        raise FlightMalformedError(f"{where} has a position that is no number; save the plan again.")
    try:
        point = (float(latitude), signed_longitude(float(longitude)))
    except OverflowError:
        point = (math.inf, math.inf)
    if all(map(math.isnan, point)):
        return []
    if not (abs(point[0]) <= 90.0 and abs(point[1]) <= 180.0):
        raise FlightMalformedError(
            f"{where} is at {str(latitude)[:20]}, {str(longitude)[:20]}: no latitude and longitude in degrees; "
            "save the plan in WGS84 (EPSG:4326), latitude and longitude not swapped."
        )
    return [] if point == (0.0, 0.0) else [point]
