"""A flight from a file: same route in every format, the box around it, and an exit code for each bad one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gps_denied_operator.missions.errors import FlightResolutionError
from gps_denied_operator.missions.plan_files import parse_route
from gps_denied_operator.missions.route import LATITUDE_DEG_MAX, resolve, resolved

from .plans import FORMATS, ROUTE, geojson, kml, qgc_plan, waypoint_list

HOSTILE_XML = b'<?xml version="1.0"?><!DOCTYPE kml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><kml>&b;</kml>'
LONG = [(10.0, 10.0), (10.0, 56.0)]
DATE_LINE = [(10.0, 179.9), (10.0, -179.9)]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_route_from_every_format_is_the_same_flight(kind: str, tmp_path: Path) -> None:
    """Route, origin, box and flight id do not depend on the format; the mission is named after the file."""
    path = tmp_path / f"north ridge.{kind}"
    path.write_bytes(FORMATS[kind]())
    flight = resolve(path)
    assert flight.route_deg.tolist() == [list(point) for point in ROUTE]
    assert (flight.takeoff_latitude_deg, flight.takeoff_longitude_deg) == ROUTE[0]
    assert flight.mission_id == "north-ridge"
    assert flight.flight_id == resolved(ROUTE, "", mission_id="x", buffer_m=10.0).flight_id
    assert flight.flight_id != resolved(ROUTE[::-1], "", mission_id="x", buffer_m=10.0).flight_id
    assert flight.bbox == pytest.approx((37.1 - 0.0271, 48.42 - 0.0180, 37.2 + 0.0272, 48.47 + 0.0180), abs=3e-4)


def test_the_home_position_of_a_plan_is_where_it_starts() -> None:
    """A planned home is the first point; a take-off item left to the aircraft (0, 0) adds none."""
    plan = parse_route(qgc_plan([(0.0, 0.0), *ROUTE], home=[48.4, 37.0, 140.0]), "a")
    assert plan.points_deg == [(48.4, 37.0), *ROUTE]


places = st.tuples(st.floats(-70.0, 70.0), st.floats(-170.0, 170.0))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(places, st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.floats(1.0, 20_000.0), st.floats(0.0, 360.0))
def test_the_box_holds_everything_within_the_buffer(
    start: tuple[float, float], north: float, east: float, buffer_m: float, azimuth_deg: float
) -> None:
    """A point at the buffer's distance from any point of the geodesic route lies in the box."""
    geod = pyproj.Geod(ellps="WGS84")
    end = (start[0] + north + 0.01, start[1] + east)
    box = resolved([start, end], "route", mission_id="x", buffer_m=buffer_m).bbox
    on_way = [(start[1], start[0]), *geod.npts(start[1], start[0], end[1], end[0], 7), (end[1], end[0])]
    for longitude, latitude in on_way:
        lon, lat, _ = geod.fwd(longitude, latitude, azimuth_deg, buffer_m * 0.999)
        assert box[0] <= lon <= box[2]
        assert box[1] <= lat <= box[3]


def test_the_box_follows_the_great_circle_of_a_long_leg() -> None:
    """Between two waypoints of one latitude the way goes 24 km further north, and the box with it."""
    north_deg = resolved([(60.0, 10.0), (60.0, 25.0)], "route", mission_id="x", buffer_m=100.0).bbox[3]
    (_, middle_deg), *_ = pyproj.Geod(ellps="WGS84").npts(10.0, 60.0, 25.0, 60.0, 1)
    assert middle_deg > 60.1
    assert middle_deg < north_deg < middle_deg + 0.002


BAD: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "one point": (lambda: geojson(ROUTE[:1]), 94, "needs two"),
    "no point": (lambda: qgc_plan([]), 94, "no position"),
    "zero length": (lambda: kml([ROUTE[0], ROUTE[0]]), 94, "no length"),
    "5,000 km": (lambda: waypoint_list(LONG), 95, "5,0.. km long"),
    "antimeridian": (lambda: qgc_plan(DATE_LINE), 95, "180th meridian"),
    "buffer over antimeridian": (lambda: kml([(10.0, 179.9), (10.01, 179.99)]), 95, "180th meridian"),
    "pole": (lambda: geojson([(88.0, 10.0), (88.1, 10.0)]), 95, "beyond 85 degrees"),
    "buffer at the pole": (lambda: geojson([(84.99, 10.0), (84.98, 10.0)]), 95, "85 degrees"),
    "UTM metres": (lambda: geojson([(5365000.0, 359000.0), (5366000.0, 359500.0)]), 93, "EPSG:4326"),
    "named CRS": (lambda: geojson(crs={"type": "name", "properties": {"name": "EPSG:32637"}}), 93, "another CRS"),
    "local frame": (lambda: qgc_plan(frame=1), 93, "metres of a local frame"),
    "local frame of a list": (lambda: waypoint_list(frame=7), 93, "metres of a local frame"),
    "unknown frame": (lambda: waypoint_list(frame=77), 93, "not known"),
    "cut off plan": (lambda: qgc_plan()[:-40], 93, "cut off"),
    "cut off KML": (lambda: kml()[:-40], 93, "cut off"),
    "cut off list": (lambda: waypoint_list()[:-20], 93, "12"),
    "entities": (lambda: HOSTILE_XML, 93, "entities"),
    "other XML": (lambda: b"<svg><path/></svg>", 93, "neither KML"),
    "zip": (lambda: b"PK\x03\x04rest", 93, "unpack"),
    "empty": (lambda: b" \n", 93, "empty"),
    "deep": (lambda: b'{"type":' + b"[" * 100_000, 93, "broken"),
    "polygon": (lambda: geojson().replace(b"LineString", b"Polygon"), 93, "no LineString"),
    "other JSON": (lambda: b'{"a": 1}', 93, "neither"),
    "survey without waypoints": (
        lambda: b'{"fileType":"Plan","mission":{"items":[{"type":"ComplexItem","complexItemType":"survey"}]}}',
        93,
        "survey without",
    ),
    "text in a position": (lambda: geojson().replace(b"48.42", b'"48.42"'), 93, "no number"),
    "huge": (lambda: b"{" + b" " * 20_000_001, 95, "larger"),
    "too many": (lambda: kml([(48.0, 37.0), (48.1, 37.0)] * 10_001), 95, "thin it out"),
    "photograph": (lambda: b"\xff\xd8\xff\xe0" * 100, 93, "no plan"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_plan_has_its_exit_code_and_says_what_to_do(what: str, tmp_path: Path) -> None:
    """Each kind of bad plan is refused with the code of its kind."""
    make, code, said = BAD[what]
    path = tmp_path / "bad.plan"
    path.write_bytes(make())
    with pytest.raises(FlightResolutionError, match=said) as caught:
        resolve(path)
    assert caught.value.exit_code == code
    assert "bad.plan" in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    """A file that is not there is 90, a folder is no plan; neither given nor both is refused."""
    for path, code in ((tmp_path / "none.kml", 90), (tmp_path, 93)):
        with pytest.raises(FlightResolutionError) as caught:
            resolve(path)
        assert caught.value.exit_code == code
    with pytest.raises(FlightResolutionError, match="one of the two"):
        resolve()


numbers = st.one_of(st.floats(allow_nan=False), st.integers(), st.none(), st.text(max_size=3), st.booleans())
items = st.fixed_dictionaries(
    {"command": st.sampled_from([16, 22, 20, None]), "frame": st.sampled_from([0, 3, 1, "3", None])},
    optional={
        "type": st.sampled_from(["SimpleItem", "ComplexItem", 3]),
        "params": st.lists(numbers, max_size=8),
        "coordinate": st.lists(numbers, max_size=3),
        "TransectStyleComplexItem": st.one_of(numbers, st.fixed_dictionaries({"Items": st.lists(numbers, max_size=2)})),
    },
)
geometries = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(["LineString", "Point", "MultiLineString", "x"]), "coordinates": (
        st.recursive(numbers, lambda inner: st.lists(inner, max_size=3), max_leaves=8))}),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("Feature"), "geometry": inner}),
        st.fixed_dictionaries({"type": st.just("FeatureCollection"), "features": st.lists(inner, max_size=3)})),
    max_leaves=4,
)  # fmt: skip
trees = st.one_of(
    st.fixed_dictionaries({"fileType": st.just("Plan"), "mission": st.one_of(numbers, st.fixed_dictionaries(
        {"items": st.lists(st.one_of(items, numbers), max_size=3), "plannedHomePosition": st.lists(numbers)}))}),
    geometries,
)  # fmt: skip
flipped = st.tuples(st.sampled_from(sorted(FORMATS)), st.integers(0, 400), st.binary(max_size=4))


anything = st.one_of(trees.map(lambda tree: json.dumps(tree).encode()), st.binary(max_size=60), flipped)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(anything)
def test_whatever_is_read_is_a_flight_or_a_known_refusal(content: bytes | tuple[str, int, bytes]) -> None:
    """Odd trees, random bytes and plans with bytes exchanged never end in another error or in a flight off the map."""
    check_reading(content)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(anything)
def test_whatever_is_read_in_many_tries(content: bytes | tuple[str, int, bytes]) -> None:
    """The same, with many new examples at each run."""
    check_reading(content)


def check_reading(content: bytes | tuple[str, int, bytes]) -> None:
    if isinstance(content, tuple):
        kind, place, piece = content
        whole = FORMATS[kind]()
        content = whole[:place] + piece + whole[place + len(piece) :]
    try:
        flight = resolved(parse_route(content, "plan").points_deg, "plan", mission_id="m", buffer_m=100.0)
    except FlightResolutionError:  # any other error fails the test
        return
    west, south, east, north = flight.bbox
    assert -180.0 <= west < east <= 180.0
    assert -LATITUDE_DEG_MAX <= south < north <= LATITUDE_DEG_MAX
    assert np.isfinite(flight.route_deg).all()
