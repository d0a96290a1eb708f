"""What a photograph says of itself is read right, and lies and nonsense come out as None."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from gps_denied_onboard.frames.camera_metadata import combined_view
from gps_denied_onboard.frames.photo_info import PhotoInfo, photo_info, read_photo_info
from gps_denied_onboard.frames.xmp import parse_xmp

SIZE = (1600, 1200)
ORIGINAL = {0xA002: 4000, 0xA003: 3000}
GPS: dict[int, Any] = {1: "N", 2: (33.0, 38.0, 30.0), 3: "W", 4: (72.0, 30.0, 0.0), 5: b"\x00", 6: 512.5}


def info(
    shot: dict[int, Any] | None = None, gps: dict[int, Any] | None = None, xmp: dict[str, str] | None = None
) -> PhotoInfo:
    return photo_info(Path("a.jpg"), SIZE, {271: "Maker", 272: "Model"}, shot or {}, gps or {}, xmp or {})


def test_position_is_signed_decimal_degrees() -> None:
    """Degrees, minutes and seconds with their letters become signed degrees; altitude keeps its sign."""
    found = info(gps=GPS)
    assert found.latitude_deg == pytest.approx(33.0 + 38.0 / 60.0 + 30.0 / 3600.0)
    assert found.longitude_deg == pytest.approx(-72.5)
    assert found.altitude_amsl_m == 512.5
    assert info(gps={**GPS, 5: b"\x01", 6: 100.0}).altitude_amsl_m == -100.0
    assert info(gps={**GPS, 1: b"S\x00"}).latitude_deg == pytest.approx(-33.641666666)


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {2: (33.0, 38.0, 30.0)},
        {**GPS, 2: (IFDRational(0, 0), 38.0, 30.0)},
        {**GPS, 2: (math.nan, 0.0, 0.0)},
        {**GPS, 2: (95.0, 0.0, 0.0)},
        {**GPS, 4: (190.0, 0.0, 0.0)},
        {**GPS, 2: "north"},
        {**GPS, 2: 33.5},
        {**GPS, 2: (1.0, 2.0, 3.0, 4.0)},
        {**GPS, 2: ()},
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
    ],
)
def test_positions_that_cannot_be_are_none(gps: dict[int, Any]) -> None:
    """Half a position, numbers that are none, places off the earth and (0, 0) give no position at all."""
    found = info(gps=gps)
    assert (found.latitude_deg, found.longitude_deg) == (None, None)
    assert not found.has_position


def test_position_from_xmp_when_exif_has_none() -> None:
    """The maker's XMP position serves where EXIF is silent, with the maker's own spelling."""
    found = info(xmp={"GpsLatitude": "33.5", "GpsLongtitude": "-72.25", "AbsoluteAltitude": "+81.25"})
    assert (found.latitude_deg, found.longitude_deg, found.altitude_amsl_m) == (33.5, -72.25, 81.25)


def test_time_has_fractions() -> None:
    """The exposure's time is to the fraction that the camera gives; nonsense is None."""
    whole = info({0x9003: "2016:11:22 16:33:42"})
    assert whole.taken_s == 1479832422.0
    assert not whole.taken_subsecond
    fraction = info({0x9003: "2016:11:22 16:33:42\0", 0x9291: "651714"})
    assert fraction.taken_s == pytest.approx(1479832422.651714)
    assert fraction.taken_subsecond
    for bad in ("0000:00:00 00:00:00", "    :  :     :  :  ", "", 5, None):
        assert info({0x9003: bad}).taken_s is None
    assert info(gps={29: "2016:11:22", 7: (16.0, 33.0, 41.5)}).gps_time_s == 1479832421.5
    assert info(gps={29: "2016:11:22", 7: (16.0, IFDRational(0, 0), 1.0)}).gps_time_s is None


@pytest.mark.parametrize(
    ("shot", "xmp", "expected"),
    [
        ({0xA405: 28}, {}, 2 * math.degrees(math.atan(0.8 * 43.2666 / 2 / 28))),
        ({0xA405: 0}, {}, None),
        ({0x920A: 4.5, 0xA20E: 16393.44, 0xA210: 2}, {}, None),
        ({0x920A: 4.5, 0xA20E: 16393.44, 0xA210: 2, **ORIGINAL}, {}, 2 * math.degrees(math.atan(6.1976 / 2 / 4.5))),
        ({0x920A: 4.5, 0xA20E: 645.41, 0xA210: 4, **ORIGINAL}, {}, 2 * math.degrees(math.atan(6.1976 / 2 / 4.5))),
        ({0x920A: 4.5, 0xA20E: IFDRational(0, 0), **ORIGINAL}, {}, None),
        ({}, {"PerspectiveFocalLength": "4.812", "PrincipalPoint": "3.042,2.28"}, 64.60),
        ({0xA405: 28}, {"PerspectiveFocalLength": "4.812", "PrincipalPoint": "3.042,2.28"}, 64.74),
        ({}, {"CalibratedFocalLength": "3666.6", "CalibratedOpticalCenterX": "2736.0"}, 73.46),
        ({0xA405: 1}, {}, None),
    ],
)
def test_field_of_view_comes_from_what_the_picture_tells(
    shot: dict[int, Any], xmp: dict[str, str], expected: float | None
) -> None:
    """Calibration, 35 mm equivalent or sensor width, by their doubts; pixel densities only with the original's size."""
    view = combined_view(info(shot, xmp=xmp).camera.views)
    assert (view and view.fov_deg) == (None if expected is None else pytest.approx(expected, abs=0.02))


def test_original_size_must_have_the_pictures_shape() -> None:
    """The size as taken is kept for reduced pictures, and dropped for cropped ones."""
    assert info(ORIGINAL).original_width_px == 4000
    assert info({0xA002: 4000, 0xA003: 2250}).original_width_px is None


@pytest.mark.parametrize(
    ("xmp", "expected"),
    [
        ({"Yaw": "209.8", "Pitch": "3.9", "Roll": "-2.5"}, (209.8, 3.9, -2.5)),
        ({"GimbalYawDegree": "+30.0", "GimbalPitchDegree": "-90.0", "GimbalRollDegree": "0.0"}, (30.0, 0.0, 0.0)),
        ({"GimbalYawDegree": "-150.0", "GimbalPitchDegree": "-80.0", "GimbalRollDegree": "+0.0"}, (210.0, 10.0, 0.0)),
        ({"GimbalYawDegree": "30.0", "GimbalPitchDegree": "-90.0", "GimbalRollDegree": "180.0"}, (210.0, 0.0, 0.0)),
        ({"GimbalYawDegree": "30.0", "GimbalPitchDegree": "-10.0", "GimbalRollDegree": "0"}, (None, None, None)),
        ({"Yaw": "12.5"}, (12.5, None, None)),
        ({"Yaw": "nan"}, (None, None, None)),
        ({"Yaw": "1e9", "Pitch": "0", "Roll": "0"}, (None, None, None)),
    ],
)
def test_attitude_in_both_conventions(xmp: dict[str, str], expected: tuple[float | None, ...]) -> None:
    """A gimbal's pitch of -90 and Pix4D's pitch of 0 both look straight down; yaw is where the picture's top points."""
    found = info(xmp=xmp)
    for value, wanted in zip((found.yaw_deg, found.pitch_deg, found.roll_deg), expected, strict=True):
        assert value == (None if wanted is None else pytest.approx(wanted, abs=1e-6))


def test_relative_altitude_has_sign_and_unit() -> None:
    """Numbers are read with their sign, a unit behind them, and as rationals."""
    assert info(xmp={"RelativeAltitude": "+120.40"}).relative_altitude_m == 120.4
    assert info(xmp={"RelativeAltitude": "-3.5 m"}).relative_altitude_m == -3.5
    assert info(xmp={"RelativeAltitude": "241/2"}).relative_altitude_m == 120.5
    assert info(xmp={"RelativeAltitude": "1/0"}).relative_altitude_m is None


def test_xmp_is_read_from_attributes_and_elements() -> None:
    """Both ways of writing a property count, namespaces aside; the first one wins."""
    packet = (
        b'<?xpacket begin="\xef\xbb\xbf"?><x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:r="http://r" xmlns:d="http://d">'
        b'<r:RDF><r:Description d:GimbalYawDegree="+30.5"><d:RelativeAltitude> +12.5 </d:RelativeAltitude>'
        b"</r:Description><r:Description d:GimbalYawDegree='9'/></r:RDF></x:xmpmeta><?xpacket end='w'?>   \0"
    )
    assert parse_xmp(packet) == {"GimbalYawDegree": "+30.5", "RelativeAltitude": "+12.5"}


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x00\xff",
        b"<a><b></a>",
        b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a d="&c;">&c;</a>',
        b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<a>" * 100_000,
        b"<a b='" + b"x" * (5 << 20) + b"'/>",
    ],
)
def test_hostile_xmp_is_nothing(packet: bytes) -> None:
    """Broken, nested without end, oversized and entity-defining packets give no properties and do no harm."""
    assert parse_xmp(packet) == {}


def test_a_picture_with_broken_exif_still_reads(tmp_path: Path) -> None:
    """Nonsense in place of EXIF costs the metadata, not the picture."""
    path = tmp_path / "a.jpg"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path)
    data = path.read_bytes()
    exif = b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    found = read_photo_info(path)
    assert (found.width_px, found.height_px, found.taken_s, found.has_position) == (64, 64, None, False)
