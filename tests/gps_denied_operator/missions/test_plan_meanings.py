"""Each item of a plan by its meaning: what is flown to, what is looked at, what only marks; nothing left out unsaid."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import all as mavlink

from gps_denied_operator.missions.commands import CommandMeaning, meaning
from gps_denied_operator.missions.errors import FlightMalformedError
from gps_denied_operator.missions.plan_files import parse_route
from gps_denied_operator.missions.route import ResolvedFlight, resolve

from .plans import ROUTE, geojson, kml, qgc_plan

HOME, NEAR, FAR = (48.5, 37.25), (48.52, 37.25), (48.9, 37.9)
APPROACH, LAND = (48.505, 37.251), (48.5005, 37.2505)
RING = [(48.515, 37.27), (48.515, 37.271), (48.516, 37.271)]


def wpl(*items: tuple[int, int, float | str, float | str], tail: str = "\t1") -> bytes:
    lines = [
        f"{k}\t0\t{frame}\t{command}\t0\t0\t0\t0\t{lat}\t{lon}\t100{tail}"
        for k, (command, frame, lat, lon) in enumerate(items)
    ]
    return "\r\n".join(["QGC WPL 110", *lines, ""]).encode()


def plan(*items: dict[str, Any], **beside: Any) -> bytes:
    way = [{"type": "SimpleItem", "command": 16, "frame": 3, "params": [0, 0, 0, None, *NEAR, 100]}]
    mission = {"plannedHomePosition": [*HOME, 150], "items": [*way, *items], "version": 2}
    return json.dumps({"fileType": "Plan", "version": 1, "mission": mission, **beside}).encode()


def named(place: tuple[float, float]) -> dict[str, float]:
    return {"latitude": place[0], "longitude": place[1]}


def complex_item(kind: str, **keys: Any) -> dict[str, Any]:
    return {"type": "ComplexItem", "complexItemType": kind, **keys}


def inav(*items: str, head: str = "") -> bytes:
    return f'<?xml version="1.0"?><MISSION><VERSION value="2.3"/>{head}{"".join(items)}</MISSION>'.encode()


def inav_item(action: str, place: tuple[float, float], flag: int = 0) -> str:
    return f'<MISSIONITEM no="1" action="{action}" lat="{place[0]}" lon="{place[1]}" alt="50" flag="{flag}"/>'


def two_lines() -> bytes:
    lines = "".join(
        f"<Placemark><name>{name}</name><LineString><coordinates>{' '.join(f'{b},{a},0' for a, b in way)}"
        "</coordinates></LineString></Placemark>"
        for name, way in (("north", [HOME, NEAR]), ("south", [APPROACH, LAND]))
    )
    return f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{lines}</Document></kml>'.encode()


def wpml(*waylines: list[tuple[int, tuple[float, float]]]) -> bytes:
    """DJI's waylines.wpml: numbered points in a folder for each wayline, each with a point that is looked at."""
    folders = "".join(
        "<Folder>" + "".join(
            f"<Placemark><Point><coordinates>{b},{a}</coordinates></Point><wpml:index>{k}</wpml:index>"
            "<wpml:waypointHeadingParam><wpml:waypointPoiPoint>9.0,9.0,0</wpml:waypointPoiPoint>"
            "</wpml:waypointHeadingParam></Placemark>"
            for k, (a, b) in wayline
        ) + "</Folder>"
        for wayline in waylines
    )  # fmt: skip
    return f'<kml xmlns:wpml="http://www.dji.com/wpmz/1.0.2"><Document>{folders}</Document></kml>'.encode()


def kmz(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, data in files.items():
            archive.writestr(path.replace("__", "/").replace("_dot_", "."), data)
    return made.getvalue()


OLD_SURVEY = {"id": 2, "type": "survey", "version": 3, "polygon": [list(p) for p in RING], "grid": {"angle": 0}}
OLD_MISSION = json.dumps({
    "MAV_AUTOPILOT": 3, "version": "1.0", "groundStation": "QGroundControl", "complexItems": [OLD_SURVEY],
    "plannedHomePosition": {"type": "missionItem", "command": 16, "frame": 0, "coordinate": [*HOME, 0]},
    "items": [{"type": "missionItem", "id": k, "command": 16, "frame": 3, "coordinate": [*p, 50], "param1": 0}
              for k, p in ((1, NEAR), (3, LAND))],
}).encode()  # fmt: skip
MISSION_2 = json.dumps({
    "fileType": "Mission", "version": 2, "plannedHomePosition": [*HOME, 0],
    "items": [{"type": "SimpleItem", "command": 16, "frame": 3, "coordinate": [*NEAR, 50], "params": [0, 0, 0, 0]}],
}).encode()  # fmt: skip
DRAWN = {"VisualTransectPoints": [list(p) for p in RING[:2]], "Items": [], "version": 1}

# what -> file, positions in the order of flight, a word of the notes ("" where nothing is to be said)
KINDS: dict[str, tuple[bytes, list[tuple[float, float]], str]] = {
    "fixed-wing landing": (
        plan(complex_item("fwLandingPattern", landingApproachCoordinate=[*APPROACH, 40], landCoordinate=[*LAND, 0])),
        [HOME, NEAR, APPROACH, LAND], ""),
    "old VTOL landing": (
        plan(complex_item("vtolLandingPattern", loiterCoordinate=[*APPROACH, 40], landCoordinate=[*LAND, 0])),
        [HOME, NEAR, APPROACH, LAND], ""),
    "a landing whose places have names": (
        plan(complex_item("fwLandingPattern", landingApproachCoordinate=named(APPROACH), landCoordinate=named(LAND))),
        [HOME, NEAR, APPROACH, LAND], ""),
    "a structure scan whose places have names": (
        plan(complex_item("StructureScan", polygon=[named(p) for p in RING])), [HOME, NEAR, *RING, RING[0]], "edge"),
    "structure scan": (
        plan(complex_item("StructureScan", polygon=RING, version=2)), [HOME, NEAR, *RING, RING[0]], "edge"),
    "survey before QGC 3.4": (
        plan(complex_item("survey", polygon=RING, grid={"angle": 2}, version=3)), [HOME, NEAR, *RING, RING[0]], "edge"),
    "survey with drawn transects": (
        plan(complex_item("survey", polygon=RING, TransectStyleComplexItem=DRAWN)), [HOME, NEAR, *RING[:2]], "drawn"),
    "corridor": (
        plan(complex_item("CorridorScan", polyline=RING, CorridorWidth=50)), [HOME, NEAR, *RING], "50 m wide"),
    "a kind of tomorrow with a polygon": (
        plan(complex_item("ringScan", polygon=RING)), [HOME, NEAR, *RING, RING[0]], "ringScan"),
    "mission file of version 1": (OLD_MISSION, [HOME, NEAR, *RING, RING[0], LAND], "edge"),
    "mission file of version 2": (MISSION_2, [HOME, NEAR], ""),
    "three regions of interest": (
        wpl((16, 0, *HOME), (16, 3, *NEAR), (80, 3, *FAR), (195, 0, *FAR), (201, 3, *FAR)), [HOME, NEAR], "looked at"),
    "region of interest in another country": (
        wpl((16, 0, *HOME), (16, 3, *NEAR), (201, 3, 10.0, 10.0)), [HOME, NEAR], "looked at"),
    "start of a landing": (wpl((16, 0, *HOME), (16, 3, *NEAR), (189, 3, *FAR)), [HOME, NEAR], "marker"),
    "start of a way back": (wpl((16, 0, *HOME), (16, 3, *NEAR), (188, 3, *FAR)), [HOME, NEAR], "marker"),
    "payload place": (wpl((16, 0, *HOME), (94, 3, *NEAR)), [HOME, NEAR], ""),
    "arc": (wpl((16, 0, *HOME), (36, 3, *NEAR)), [HOME, NEAR], ""),
    "navigation command of tomorrow": (wpl((16, 0, *HOME), (86, 3, *NEAR)), [HOME, NEAR], "not known"),
    "command of tomorrow": (wpl((16, 0, *HOME), (16, 3, *NEAR), (60001, 3, *FAR)), [HOME, NEAR], "not known"),
    "rally point": (wpl((16, 0, *HOME), (16, 3, *NEAR), (5100, 3, *FAR)), [HOME, NEAR], "rally point"),
    "fence": (wpl((16, 0, *HOME), (16, 3, *NEAR), (5001, 3, *FAR)), [HOME, NEAR], "geofence"),
    "home set on the way": (
        wpl((16, 0, *HOME), (16, 3, *NEAR), (179, 0, *LAND), (20, 0, 0, 0)), [HOME, NEAR, LAND], ""),
    "rally points of a plan": (plan(rallyPoints={"points": [[*FAR, 50]], "version": 2}), [HOME, NEAR], "rally point"),
    "fence of a plan": (
        plan(geoFence={"polygons": [{"polygon": RING, "inclusion": True}], "circles": []}), [HOME, NEAR], "geofence"),
    "altitude over terrain": (wpl((16, 0, *HOME), (16, 10, *NEAR), (16, 11, *LAND)), [HOME, NEAR, LAND], ""),
    "decimal commas": (wpl((16, 0, "48,5", "37,25"), (16, 3, "48,52", "37,25")), [HOME, NEAR], ""),
    "decimals in the command": (b"QGC WPL 110\n0 0 3.000000 16.000000 0 0 0 0 48.5 37.25 9 1\n"
                                b"1 0 3.0 16.0 0 0 0 0 48.52 37.25 9 1\n", [HOME, NEAR], ""),
    "iNav": (inav(inav_item("WAYPOINT", HOME), inav_item("SET_POI", FAR), inav_item("RTH", (0, 0)),
                  inav_item("LAND", NEAR, 165)), [HOME, NEAR], "looked at"),
    "iNav with a home": (inav(inav_item("POSHOLD_TIME", NEAR), head=f'<mwp home-x="{HOME[1]}" home-y="{HOME[0]}"/>'),
                         [HOME, NEAR], ""),
    "iNav fly-by-home": (inav(inav_item("WAYPOINT", HOME), inav_item("WAYPOINT", FAR, 72),
                              inav_item("WAYPOINT", NEAR, 165)), [HOME, NEAR], ""),
    "iNav with several missions": (
        inav(inav_item("WAYPOINT", HOME), inav_item("WAYPOINT", NEAR, 165), inav_item("WAYPOINT", APPROACH),
             inav_item("WAYPOINT", LAND, 165)), [HOME, NEAR, APPROACH, LAND], "2 separate paths"),
    "two lines of a KML": (two_lines(), [HOME, NEAR, APPROACH, LAND], "2 separate paths"),
    "blanks behind commas": (kml([HOME, NEAR]).replace(b",", b", "), [HOME, NEAR], ""),
    "a comma behind each position": (kml([HOME, NEAR]).replace(b",300", b","), [HOME, NEAR], ""),
    "commas alone": (kml([HOME, NEAR]).replace(b"300\n", b"300,"), [HOME, NEAR], ""),
    "KMZ": (kmz(files__a_dot_png=b"x", doc_dot_kml=kml([HOME, NEAR])), [HOME, NEAR], ""),
    "KMZ of a DJI mission": (
        kmz(wpmz__template_dot_kml=kml([FAR, NEAR]), wpmz__waylines_dot_wpml=kml([HOME, NEAR])), [HOME, NEAR], ""),
    "items of a survey of 2016": (
        plan(complex_item("survey", polygon=RING, items=[
            {"type": "SimpleItem", "command": 16, "frame": 3, "coordinate": [*LAND, 50]}])), [HOME, NEAR, LAND], ""),
    "a jump": (wpl((16, 0, *HOME), (16, 3, *NEAR), (177, 0, 0, 0)), [HOME, NEAR], "1 jumps"),
    "take-off in the frame of commands": (wpl((16, 0, *HOME), (22, 2, 0, 0), (16, 3, *NEAR)), [HOME, NEAR], ""),
    "take-off at NaN": (wpl((16, 0, *HOME), (22, 3, "nan", "nan"), (16, 3, *NEAR)), [HOME, NEAR], ""),
    "whole numbers of MAVLink": (wpl((16, 0, 485000000, 372500000), (16, 6, *NEAR)), [HOME, NEAR], "1e-7"),
    "commas between the columns": (wpl((16, 0, *HOME), (16, 3, *NEAR)).replace(b"\t", b","), [HOME, NEAR], ""),
    "longitudes from 0 to 360": (
        wpl((16, 0, 48.5, 322.75), (16, 3, 48.52, 322.75)), [(48.5, -37.25), (48.52, -37.25)], ""),
    "longitudes from 0 to 360 in a KML": (
        kml([(48.5, 322.75), (48.52, 322.75)]), [(48.5, -37.25), (48.52, -37.25)], ""),
    "a comment that is not UTF-8": (
        wpl((16, 0, *HOME), (16, 3, *NEAR)).replace(b"110", b"110\r\n# \xfcber"), [HOME, NEAR], ""),
    "a pause in a track of a KML": (
        b'<kml xmlns:gx="g"><gx:Track><gx:coord>37.25 48.5 9</gx:coord><gx:coord/><gx:coord>37.25 48.52 9</gx:coord>'
        b"</gx:Track></kml>", [HOME, NEAR], ""),
    "GPX with a track and a route": (
        b'<gpx xmlns="http://www.topografix.com/GPX/1/1"><wpt lat="1" lon="1"/><rte><name>R</name>'
        b'<rtept lat="48.505" lon="37.251"/><rtept lat="48.5005" lon="37.2505"/></rte><trk><trkseg>'
        b'<trkpt lat="48.5" lon="37.25"><ele>9</ele></trkpt><trkpt lat="48.52" lon="37.25"/></trkseg></trk></gpx>',
        [APPROACH, LAND, HOME, NEAR], "2 separate paths"),
    "GPX with Garmin's way between two points": (
        b'<gpx xmlns:x="g"><rte><rtept lat="48.5" lon="37.25"><extensions><x:RoutePointExtension>'
        b'<x:rpt lat="48.505" lon="37.251"/></x:RoutePointExtension></extensions></rtept>'
        b'<rtept lat="48.52" lon="37.25"/></rte><trk></trk></gpx>', [HOME, APPROACH, NEAR], ""),
    "a part of a KML by itself": (
        b"<Placemark><LineString><coordinates>37.25,48.5 37.25,48.52</coordinates></LineString></Placemark>",
        [HOME, NEAR], ""),
    "WPML with waypoints out of order": (wpml([(1, NEAR), (0, HOME)]), [HOME, NEAR], ""),
    "WPML with two waylines": (
        wpml([(0, HOME), (1, NEAR)], [(0, APPROACH), (1, LAND)]), [HOME, NEAR, APPROACH, LAND], "2 separate paths"),
    "GPX of points alone": (
        b'<gpx><wpt lat="48.5" lon="37.25"/><wpt lat="48.52" lon="37.25"/></gpx>', [HOME, NEAR], "order of the file"),
    "points beside a line": (
        geojson([HOME, NEAR]).replace(b'"features": [', b'"features": [{"type": "Feature", "properties": null, '
        b'"geometry": {"type": "Point", "coordinates": [37.9, 48.9]}}, '), [HOME, NEAR], "1 single points"),
}  # fmt: skip


@pytest.mark.parametrize("what", KINDS)
def test_an_item_is_taken_by_its_meaning(what: str) -> None:
    """Positions flown are exactly those; what is no way, or was taken for one, is told."""
    data, expected, said = KINDS[what]
    found = parse_route(data, "a.plan")
    assert found.points_deg == expected
    assert bool(found.notes) == bool(said), found.notes
    assert said in " ".join(found.notes)


def test_every_position_command_of_mavlink_has_a_meaning() -> None:
    """No command that MAVLink gives a location is unknown here, or called one without a position."""
    located = [number for number, entry in mavlink.enums["MAV_CMD"].items() if getattr(entry, "has_location", False)]
    local = {23, 24}  # refused: metres of a local frame
    odd = {n for n in located if meaning(n) in {CommandMeaning.UNKNOWN, CommandMeaning.NONE}} - local
    assert len(located) > 40
    assert not odd
    known = [n for n, e in mavlink.enums["MAV_CMD"].items() if not getattr(e, "has_location", False) and n < 43000]
    assert not [n for n in known if meaning(n) is CommandMeaning.UNKNOWN]


@pytest.mark.parametrize("place", [(0.0, 37.25), (51.478, 0.0), (-0.001, 0.0)])
def test_the_equator_and_greenwich_are_places(place: tuple[float, float]) -> None:
    """One zero is a coordinate; only two of them are a position that is left to the aircraft."""
    assert parse_route(wpl((16, 3, *HOME), (16, 3, *place), (16, 3, 0.0, 0.0)), "a.waypoints").points_deg == [
        HOME,
        place,
    ]


def test_separate_paths_are_not_joined_by_a_leg(tmp_path: Path) -> None:
    """The way from one path's end to the next one's start is not counted; --path takes one of them."""
    file = tmp_path / "two.kml"
    file.write_bytes(two_lines())
    both, south = resolve(file), resolve(file, path="south")
    assert both.path_sizes == (2, 2)
    assert both.length_m == pytest.approx(resolve(file, path="1").length_m + south.length_m)
    assert south.route_deg.tolist() == [list(APPROACH), list(LAND)]
    assert "left out" in south.notes[0]
    with pytest.raises(FlightMalformedError, match="1 'north', 2 'south'"):
        resolve(file, path="west")


def test_a_rally_point_off_the_map_is_told_with_its_distance(tmp_path: Path) -> None:
    """A place that the aircraft may be sent to without a map there is said, one inside the box is not."""
    file = tmp_path / "r.waypoints"
    file.write_bytes(wpl((16, 0, *HOME), (16, 3, *NEAR), (5100, 3, *FAR)))
    (_, told) = resolve(file).notes
    assert "km from the nearest waypoint" in told
    file.write_bytes(wpl((16, 0, *HOME), (16, 3, *NEAR), (5100, 3, *LAND)))
    assert len(resolve(file).notes) == 1


CIRCLES = {"type": "SimpleItem", "command": 18, "frame": 3, "params": [2, 0, -5000, 0, *LAND, 50]}


@pytest.mark.parametrize(
    ("data", "buffer_m", "said"),
    [
        (plan(CIRCLES), 2000, "5.0 km"),
        (plan(CIRCLES), 5000, ""),
        (plan({"type": "SimpleItem", "command": 36, "frame": 3, "params": [180, 0, 0, 0, 48.62, 37.25, 9]}), 2000,
         "5.6 km"),
        (plan(complex_item("CorridorScan", polyline=RING, CorridorWidth=6000)), 2000, "--buffer 3000"),
        (plan(complex_item("StructureScan", polygon=RING, CameraCalc={"DistanceToSurface": 700})), 500, "0.7 km"),
        (plan(complex_item("survey", polygon=RING, TransectStyleComplexItem={"TurnAroundDistance": 600})), 500,
         "0.6 km"),
    ],
)  # fmt: skip
def test_what_is_flown_beside_the_map_is_told(data: bytes, buffer_m: float, said: str, tmp_path: Path) -> None:
    """Circles, arcs and corridors that lead farther off the straight way than the map reaches are told with metres."""
    (tmp_path / "a.plan").write_bytes(data)
    told = " ".join(note for note in resolve(tmp_path / "a.plan", buffer_m=buffer_m).notes if "straight way" in note)
    assert said in told
    assert bool(said) == bool(told)


def test_advice_for_a_complex_item_without_a_shape_can_be_followed() -> None:
    """What has neither waypoints nor geometry is refused with something that works."""
    with pytest.raises(FlightMalformedError, match="save it as waypoints"):
        parse_route(plan(complex_item("newKind")), "a.plan")


CASES: dict[str, tuple[int, float, tuple[float, float, float, float]]] = {
    "01-qgc-landing-pattern/fwland.plan": (6, 10_405.4, (37.2228, 48.4820, 37.3272, 48.5380)),
    "01-qgc-landing-pattern/vtolland.plan": (6, 10_405.4, (37.2228, 48.4820, 37.3272, 48.5380)),
    "02-qgc-structure-scan/structure.plan": (8, 8500.0, (37.2228, 48.4820, 37.3272, 48.5380)),
    "03-do-set-roi/mp_roi.waypoints": (3, 5917.6, (37.2228, 48.4820, 37.3272, 48.5380)),
    "03-do-set-roi/roi201.plan": (4, 5917.6, (37.2228, 48.4820, 37.3272, 48.5380)),
    "05-payload-place/payload.waypoints": (3, 29_500.0, (37.2228, 48.4820, 37.6272, 48.6180)),
    "05-payload-place/payload.plan": (4, 29_500.0, (37.2228, 48.4820, 37.6272, 48.6180)),
}


@pytest.mark.parametrize("case", CASES)
def test_plans_from_the_field(case: str, case_file: Any) -> None:
    """Files of public reports give the way that is flown."""
    waypoints, length_m, box = CASES[case]
    flight: ResolvedFlight = resolve(case_file(case))
    assert len(flight.route_deg) == waypoints
    assert flight.length_m == pytest.approx(length_m, rel=0.01)
    assert flight.bbox == pytest.approx(box, abs=2e-3)


@pytest.mark.parametrize("coordinates", [b"37,25,48,5,100 37,26,48,6,100", b"37.25,48.5,1,37.26,48.6"])
def test_kml_numbers_that_cannot_be_told_apart_are_refused(coordinates: bytes) -> None:
    """Decimal commas and tuples of five numbers are never cut to their first two."""
    data = b"<kml><LineString><coordinates>" + coordinates + b"</coordinates></LineString></kml>"
    with pytest.raises(FlightMalformedError, match="5 numbers"):
        parse_route(data, "a.kml")


def test_the_plan_of_the_other_tests_says_nothing() -> None:
    """A plan of waypoints alone, with a servo command, has no note."""
    assert parse_route(qgc_plan(ROUTE), "a").notes == ()


def test_a_ring_by_itself_is_a_way_and_the_edge_of_an_area_is_none() -> None:
    """A LinearRing that bounds no polygon is a line that closes; that of a polygon stays the polygon's."""
    ring = f"<LinearRing><coordinates>{' '.join(f'{b},{a}' for a, b in [*RING, RING[0]])}</coordinates></LinearRing>"
    area = f"<Polygon><outerBoundaryIs>{ring}</outerBoundaryIs></Polygon>"
    form = '<kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><name>round</name>{}</Placemark></kml>'
    assert parse_route(form.format(ring).encode(), "a.kml").points_deg == [*RING, RING[0]]
    with pytest.raises(FlightMalformedError, match="holds Polygon"):
        parse_route(form.format(area).encode(), "a.kml")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_the_encoding_that_windows_saves_is_read(encoding: str) -> None:
    """A waypoint list, a plan and a KML that were saved anew in UTF-16 or with a mark hold the same route."""
    for text in (wpl((0, 16, *HOME), (3, 16, *NEAR)), plan(), kml(ROUTE)):
        assert parse_route(text.decode().encode(encoding), "a").points_deg == parse_route(text, "a").points_deg


def test_other_files_in_a_kmz_are_named() -> None:
    """Of a KMZ the main document is read; what else it holds is told."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("doc.kml", kml(ROUTE))
        archive.writestr("files/second.kml", kml(ROUTE))
    route = parse_route(packed.getvalue(), "a.kmz")
    assert route.points_deg == parse_route(kml(ROUTE), "a.kml").points_deg
    assert "files/second.kml" in route.notes[0]


def test_what_is_left_out_of_a_mission_is_told() -> None:
    """A command that is no number, and an item that is flown wherever the aircraft then is."""
    route = parse_route(
        plan({"type": "SimpleItem", "command": "16", "frame": 3, "params": [0, 0, 0, 0, *FAR, 1]},
             {"type": "SimpleItem", "command": 19, "frame": 3, "params": [0, 0, 0, 0, 0, 0, 1]}), "a.plan",
    )  # fmt: skip
    assert route.points_deg == [HOME, NEAR]
    assert any("item 2 has a command that is no number (16)" in note for note in route.notes)
    assert any("1 items without a position" in note for note in route.notes)
