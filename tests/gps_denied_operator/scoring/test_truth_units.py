"""Units in the names of columns count, in brackets or behind the name; one that is not known is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.scoring.truth import read_truth_csv

# what -> file as it is written, time in s of its second row, altitude in m or None
TABLES: dict[str, tuple[bytes, float, float | None]] = {
    "Airdata": (b"time(millisecond),datetime(utc),latitude,longitude,height_above_takeoff(feet),altitude(feet)\n"
                b"0,2026-07-15 05:00:00,33.1,72.2,0,2591.9\n100,,33.2,72.3,1,2591.9\n", 0.1, 790.011),
    "Airdata with sea level": (b"time(millisecond),latitude,longitude,altitude_above_seaLevel(feet),altitude(feet)\n"
                               b"0,33.1,72.2,1000,1\n50,33.2,72.3,1000,1\n", 0.05, 304.8),
    "DJI record as exported": (b"OSD.flyTime [s],OSD.latitude,OSD.longitude,OSD.altitude [ft]\n"
                               b"0,33.1,72.2,10\n1.5,33.2,72.3,10\n", 1.5, 3.048),
    "ArduPilot's GPS messages": (b"TimeUS,Lat,Lng,Alt\n0,33.1,72.2,5\n2500000,33.2,72.3,5\n", 2.5, 5.0),
    "MAVLink integers": (b"time_boot_ms,lat,lon,alt(mm)\n0,331000000,722000000,5\n700,332000000,723000000,5500\n",
                         0.7, 5.5),
    "e7 by name": (b"t_s,lat_e7,lon_e7\n0,331000000,722000000\n1,332000000,723000000\n", 1.0, None),
    "microdegrees": (b"t_s,lat (microdegrees),lon (microdegrees)\n0,33100000,72200000\n1,33200000,72300000\n",
                     1.0, None),
    "seconds of arc": (b"t_s,lat [arcsec],lon [arcsec]\n0,119160,259920\n1,119520,260280\n", 1.0, None),
    "minutes of arc": (b"t_s,lat [arcmin],lon [arcmin]\n0,1986,4332\n1,1992,4338\n", 1.0, None),
    "gons": (b"t_s,lat (gon),lon (gon)\n0,36.7777778,80.2222222\n1,36.8888889,80.3333333\n", 1.0, None),
    "decimetres": (b"t_s,lat,lon,alt (decimeters)\n0,33.1,72.2,1\n1,33.2,72.3,7900\n", 1.0, 790.0),
    "radians": (b"t_s,lat [rad],lon [rad]\n0,0.5,1.2\n1,0.579449312,1.261873049\n", 1.0, None),
    "semicolons and decimal commas": (
        b"\xef\xbb\xbfTime (s);Latitude (\xc2\xb0);Longitude (\xc2\xb0);Alt (m)\r\n0,0;33,1;72,2;5\r\n"
        b"1,5;33,2;72,3;790,25\r\n", 1.5, 790.25),
    "Excel's separator line": (b"sep=;\r\nt_s;lat;lon\r\n0;33.1;72.2\r\n1;33.2;72.3\r\n", 1.0, None),
    "UTF-16": ("t_ms\tlat\tlon\n0\t33.1\t72.2\n10\t33.2\t72.3\n".encode("utf-16"), 0.01, None),
    "a degree sign of Windows": (b"t_s,lat (\xb0),lon (\xb0)\n0,33.1,72.2\n1,33.2,72.3\n", 1.0, None),
    "a comment above": (b"# made by hand\nt_s,lat,lon\n0,33.1,72.2\n1,33.2,72.3\n", 1.0, None),
    "minutes": (b"time [min],lat,lon\n0,33.1,72.2\n0.5,33.2,72.3\n", 30.0, None),
    "microseconds with the micro sign": (
        "time [\u00b5s],lat,lon\n0,33.1,72.2\n2500000,33.2,72.3\n".encode(), 2.5, None),
    "microseconds with the Greek letter": (
        "time [\u03bcs],lat,lon\n0,33.1,72.2\n2500000,33.2,72.3\n".encode(), 2.5, None),
    "hours": (b"elapsed (hrs),lat,lon\n0,33.1,72.2\n0.5,33.2,72.3\n", 1800.0, None),
    "inches": (b"t_s,lat,lon,alt(inch)\n0,33.1,72.2,1\n1,33.2,72.3,1000\n", 1.0, 25.4),
    "US survey feet": (b"t_s,lat,lon,elevation [US-ft]\n0,33.1,72.2,1\n1,33.2,72.3,3937\n", 1.0, 1200.0),
    "a unit with what it is above": (b"t_s,lat,lon,alt (ft MSL)\n0,33.1,72.2,1\n1,33.2,72.3,1000\n", 1.0, 304.8),
    "a datum in brackets is no unit": (b"t_s,lat (WGS84),lon (WGS84),alt (AMSL)\n0,33.1,72.2,1\n1,33.2,72.3,7\n",
                                       1.0, 7.0),
    "names in humps": (b"TimeS,GPSLatitude,GPSLongitude,altitudeFt\n0,33.1,72.2,1\n1,33.2,72.3,1000\n", 1.0, 304.8),
    "bars between the columns": (b"t_s|lat|lon\n0|33.1|72.2\n1|33.2|72.3\n", 1.0, None),
    "blanks between the columns": (b"t_s  lat lon alt\n0 33.1 72.2  5\n1  33.2 72.3 6\n", 1.0, 6.0),
    "Metashape's coordinate system above": (
        b'# CoordinateSystem: GEOGCS["WGS 84",DATUM["x"]]\n#t_s,X/Longitude,Y/Latitude,Z/Altitude\n0,72.2,33.1,5\n'
        b"1,72.3,33.2,6\n", 1.0, 6.0),
    "no fix at first": (b"t_s,lat,lon\n0,33.1,72.2\n0.5,0,0\n1,33.2,72.3\n", 1.0, None),
}  # fmt: skip


@pytest.mark.parametrize("what", TABLES)
def test_numbers_are_read_in_their_columns_units(what: str, tmp_path: Path) -> None:
    """Time in seconds, place in degrees, altitude in metres, whatever the table has them in."""
    data, t_s, altitude_m = TABLES[what]
    path = tmp_path / "truth.csv"
    path.write_bytes(data)
    read = read_truth_csv(path, ("name", "frame", "time"))
    assert read.times_s == pytest.approx((0.0, t_s))
    place = read.by_time[1]
    assert (place.latitude_deg, place.longitude_deg) == pytest.approx((33.2, 72.3), abs=1e-6)
    assert place.altitude_m == (None if altitude_m is None else pytest.approx(altitude_m, abs=1e-3))


DEGREES = {
    "exiftool": 'GPSLatitude,GPSLongitude\n"33 deg 30\' 0.00"" S","70 deg 15\' 0.00"" W"\n',
    "exiftool's letters apart": "GPSLatitude,GPSLatitudeRef,GPSLongitude,GPSLongitudeRef\n33.5,South,70.25,W\n",
    "signs": "lat,lon\n33°30′00″S,W70°15′\n",
    "blanks": "lat,lon\n33 30 0 S,70 15 0 W\n",
    "letters behind": "lat,lon\n33.5S,70.25 w\n",
    "signs of plus and minus": "lat,lon\n-33°30',-70.25\n",
    "exiftool's one cell": 'GPSPosition\n"33 deg 30\' 0.00"" S, 70 deg 15\' 0.00"" W"\n',
    "exiftool's one cell of numbers": "GPSPosition\n-33.5 -70.25\n",
    "one cell of a radio's log": "Alt(m),GPS\n150,-33.500000 -70.250000\n",
}


@pytest.mark.parametrize("what", DEGREES)
def test_degrees_are_read_as_people_write_them(what: str, tmp_path: Path) -> None:
    """Degrees, minutes and seconds, and letters of the hemisphere in the cell or in one of their own."""
    head, row = DEGREES[what].split("\n")[:2]
    (tmp_path / "t.csv").write_text(f"file,{head}\na.jpg,{row}\n", encoding="utf-8")
    place = read_truth_csv(tmp_path / "t.csv").by_name["a.jpg"]
    assert (place.latitude_deg, place.longitude_deg) == pytest.approx((-33.5, -70.25))


@pytest.mark.parametrize("cell", ["-33.5", "-33.5 -70.25 400", "POINT(-70.25 -33.5)", "no fix"])
def test_one_cell_that_is_no_pair_is_refused(cell: str, tmp_path: Path) -> None:
    """A column that should hold both names its line; an empty one is a row without a position."""
    path = tmp_path / "t.csv"
    path.write_text(f"file,GPS\na.jpg,\nb.jpg,-33.5 -70.25\nc.jpg,{cell}\n")
    with pytest.raises(UserError, match="line 4"):
        read_truth_csv(path)
    path.write_text("file,GPS\na.jpg,\nb.jpg,-33.5 -70.25\n")
    assert list(read_truth_csv(path).by_name) == ["b.jpg", "b"]


def test_longitudes_from_0_to_360_are_those_to_the_west(tmp_path: Path) -> None:
    """287.75 degrees east are 72.25 west."""
    path = tmp_path / "truth.csv"
    path.write_text("t_s,lat,lon\n0,33.1,287.75\n1,33.2,287.5\n")
    assert [place.longitude_deg for place in read_truth_csv(path, ("time",)).by_time] == [-72.25, -72.5]


def test_an_altitude_of_exiftool_has_its_sign(tmp_path: Path) -> None:
    """`4.5 m Below Sea Level` is below it."""
    (tmp_path / "t.csv").write_text(
        "file,lat,lon,GPSAltitude\na,1,2,4.5 m Below Sea Level\nb,1,3,9 m Above Sea Level\n"
    )
    read = read_truth_csv(tmp_path / "t.csv").by_name
    assert (read["a"].altitude_m, read["b"].altitude_m) == (-4.5, 9.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,lat,lon\na,48,5,37,2\n", "decimal commas in a table of commas"),
        ("file,lat_deg,lat_min,lon_deg,lon_min\na,48,30,37,12\n", "minutes of latitude"),
        ("file,lat,lat_ref,lon\na,48,E,37\n", "the letter 'E'"),
        ("time,lat,lon\n1700000000,48,37\n", "that of a clock"),
    ],
)
def test_what_would_be_another_place_or_time_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """Half a position, the wrong letter, a clock of 1970: refused with what to write instead."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        read_truth_csv(tmp_path / "t.csv", ("name", "frame", "time"))


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("time(fortnight),lat,lon", "fortnight"),
        ("t_s,lat,lon,alt(fathom)", "fathom"),
        ("t_s,lat(mil),lon(mil)", "mil"),
    ],
)
def test_a_unit_that_is_not_known_is_refused(header: str, unit: str, tmp_path: Path) -> None:
    """It is named, with those that are known: its numbers must not pass for seconds, metres or degrees."""
    path = tmp_path / "truth.csv"
    path.write_text(f"{header}\n" + ",".join(["1"] * (header.count(",") + 1)) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"'{unit}', a unit that is not known"):
        read_truth_csv(path)


def test_a_table_from_the_field(case_file: Callable[[str], Path]) -> None:
    """Airdata's milliseconds and feet: 100 ms is 0.1 s, 2,591.9 feet are 790 m."""
    read = read_truth_csv(case_file("12-csv-milliseconds/airdata.csv"), ("name", "frame", "time"))
    assert read.times_s[1] == pytest.approx(0.1)
    place = read.lookup()(0, "", 50_000_000_000)
    assert place is not None
    assert place.altitude_m == pytest.approx(790.0, abs=0.1)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_a_table_in_the_encoding_of_a_spreadsheet(encoding: str, tmp_path: Path) -> None:
    """UTF-16, with its mark or without, is read as UTF-8 is."""
    path = tmp_path / "t.csv"
    path.write_bytes("t_s;lat_e7;lon_e7;alt [ft]\n0;331000000;722000000;1000,5\n".encode(encoding))
    (place,) = read_truth_csv(path).by_time
    assert (place.latitude_deg, place.longitude_deg) == pytest.approx((33.1, 72.2))
    assert place.altitude_m == pytest.approx(304.9524)
