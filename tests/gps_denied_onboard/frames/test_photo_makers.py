"""Attitude, altitude and zoom by each maker's convention; the values are those of public pictures and reports."""

from __future__ import annotations

import io
import math
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from gps_denied_onboard.frames.camera_metadata import combined_view
from gps_denied_onboard.frames.folder import FolderSource, in_time_order, read_image
from gps_denied_onboard.frames.photo_info import PhotoInfo, photo_info, read_photo_info
from gps_denied_onboard.frames.xmp import parse_xmp, xmp_number

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
SKYDIO = "https://www.skydio.com/drone-skydio/1.0/"


def packet(body: str = "", attributes: str = "", **spaces: str) -> bytes:
    declared = " ".join(f'xmlns:{name.replace("_", "-")}="{uri}"' for name, uri in spaces.items())
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}><rdf:Description rdf:about="" {declared} {attributes}>'
        f"{body}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def struct(name: str, roll: float, pitch: float, yaw: float, form: str = "resource") -> str:
    fields = [("Roll", roll), ("Pitch", pitch), ("Yaw", yaw)]
    inside = "".join(f"<s:{axis}>{value}</s:{axis}>" for axis, value in fields)
    if form == "attributes":
        return f"<s:{name} " + " ".join(f's:{axis}="{value}"' for axis, value in fields) + "/>"
    if form == "description":
        return f"<s:{name}><rdf:Description>{inside}</rdf:Description></s:{name}>"
    return f'<s:{name} rdf:parseType="Resource">{inside}</s:{name}>'


def skydio(form: str, order: str) -> bytes:
    made = {
        "v": struct("VehicleOrientationNED", 1.2, -3.1, 200.0, form),
        "f": struct("CameraOrientationFLU", 0.1, 89.0, 160.0, form),
        "n": struct("CameraOrientationNED", 0.0, -90.0, -70.0, form),
    }
    return packet("".join(made[letter] for letter in order), s=SKYDIO)


def camera(uri: str, yaw: object, pitch: object, roll: object, more: str = "", **spaces: str) -> bytes:
    return packet(more, f'c:Yaw="{yaw}" c:Pitch="{pitch}" c:Roll="{roll}"', c=uri, **spaces)


PIX4D, SENSEFLY = "http://pix4d.com/camera/1.0/", "http://ns.sensefly.com/Camera/1.0/"
DLS = "<d:Yaw>-2.7427</d:Yaw><d:Pitch>-0.0356</d:Pitch><d:Roll>-0.0053</d:Roll>"
NOTHING = (None, None, None)

# maker -> packet, (yaw, pitch, roll) of the body that looks down with its nose at the picture's top
ATTITUDES: dict[str, tuple[bytes, tuple[float | None, float | None, float | None]]] = {
    **{f"Skydio, {form}, {order}": (skydio(form, order), (290.0, 0.0, 0.0))
       for form in ("resource", "attributes", "description") for order in ("vfn", "nfv", "fnv")},
    "Skydio without the NED structure": (skydio("resource", "vf"), NOTHING),
    "MicaSense: the light sensor's radians": (packet(DLS, d="http://micasense.com/DLS/1.0/"), NOTHING),
    "MicaSense: light sensor before the camera": (
        camera(PIX4D, 12.0, 1.0, 2.0, DLS, d="http://micasense.com/DLS/1.0/"), (12.0, 1.0, 2.0)),
    "MicaSense: irradiance in degrees": (packet(attributes='c:IrradianceYaw="100" c:IrradiancePitch="2"', c=PIX4D),
                                         NOTHING),
    "PIX4D": (camera(PIX4D, 209.8, 3.9, -2.5), (209.8, 3.9, -2.5)),
    "radians with their unit": (camera(PIX4D, "1.5707963 rad", "0.0 rad", "0.1 rad"),
                                (90.0, 0.0, math.degrees(0.1))),
    "senseFly: roll of the other sign": (camera(SENSEFLY, 100.0, 2.0, 5.0), (100.0, 2.0, -5.0)),
    "Autel XL715: PIX4D's names, a gimbal's pitch": (camera(PIX4D, 30.0, -90.0, 0.0), (30.0, 0.0, 0.0)),
    "Autel": (packet(attributes='a:GimbalYawDegree="30" a:GimbalPitchDegree="-85" a:GimbalRollDegree="0"',
                     a="http://www.autelrobotics.com/drone/1.0/"), (30.0, 5.0, 0.0)),
    "Parrot Anafi": (packet("<p:CameraYawDegree>176.310745</p:CameraYawDegree><p:CameraPitchDegree>-78.362686"
                            "</p:CameraPitchDegree><p:CameraRollDegree>0</p:CameraRollDegree>"
                            "<p:DroneYawDegree>90</p:DroneYawDegree>", p="http://www.parrot.com/drone-parrot/1.0/"),
                     (176.310745, 11.637314, 0.0)),
    "Yuneec": (packet(attributes='y:DroneYaw="96.7" y:GimbalYaw="73.23" y:GimbalPitch="-90" y:GimbalRoll="0"',
                      y="http://www.yuneec.com/drone-yuneec/1.0/"), (73.23, 0.0, 0.0)),
    "Google's sphere": (packet(attributes='g:PoseHeadingDegrees="45" g:PosePitchDegrees="-90" g:PoseRollDegrees="0"',
                               g="http://ns.google.com/photos/1.0/panorama/"), (45.0, 0.0, 0.0)),
    "DJI H30T: roll of 180": (packet(attributes='j:GimbalYawDegree="30" j:GimbalPitchDegree="-90" '
                                     'j:GimbalRollDegree="+180" j:FlightYawDegree="-150"',
                                     j="http://www.dji.com/drone-dji/1.0/"), (210.0, 0.0, 0.0)),
    "DJI Mini 2: zeros for not known": (packet(attributes='j:GimbalYawDegree="+0.00" j:GimbalPitchDegree="+0.00" '
                                               'j:GimbalRollDegree="+0.00" j:FlightYawDegree="+179.90"',
                                               j="http://www.dji.com/drone-dji/1.0/"), NOTHING),
}  # fmt: skip


def info(
    shot: dict[int, Any] | None = None, gps: dict[int, Any] | None = None, xmp: bytes = b"", maker: str = "DJI"
) -> PhotoInfo:
    return photo_info(Path("a.jpg"), (4000, 3000), {271: maker}, shot or {}, gps or {}, parse_xmp(xmp))


@pytest.mark.parametrize("what", ATTITUDES)
def test_attitude_is_the_cameras_in_the_makers_convention(what: str) -> None:
    """Never a yaw of one structure or sensor beside another's; unknown where the camera's own is not told."""
    xmp, expected = ATTITUDES[what]
    found = info(xmp=xmp)
    for value, wanted in zip((found.yaw_deg, found.pitch_deg, found.roll_deg), expected, strict=True):
        assert value == (None if wanted is None else pytest.approx(wanted, abs=1e-5))


def dji(**names: str) -> bytes:
    told = " ".join(f'j:{name}="{value}"' for name, value in names.items())
    return packet(attributes=told, j="http://www.dji.com/drone-dji/1.0/")


# what -> EXIF, GPS tags, XMP; above mean sea level, above the ellipsoid, above ground or take-off
ALTITUDES: dict[str, tuple[dict[int, Any], dict[int, Any], bytes, tuple[float | None, float | None, float | None]]] = {
    "sea level": ({}, {5: b"\0", 6: 790.0}, b"", (790.0, None, None)),
    "a bare zero beside the maker's own": (
        {}, {5: b"\0", 6: 0.0}, dji(AbsoluteAltitude="+231.5", RelativeAltitude="+80"), (231.5, None, 80.0)),
    "zero alone": ({}, {5: b"\0", 6: 0.0}, b"", (0.0, None, None)),
    "below sea level": ({}, {5: b"\1", 6: 120.0}, b"", (-120.0, None, None)),
    "below sea level, with a sign too": ({}, {5: 1, 6: -120.0}, b"", (-120.0, None, None)),
    "EXIF 3, ellipsoid": ({0x9000: b"0300"}, {5: 0, 6: 790.0}, b"", (None, 790.0, None)),
    "EXIF 3, sea level": ({0x9000: b"0300"}, {5: b"\2", 6: 790.0}, b"", (790.0, None, None)),
    "EXIF 3, below sea level": ({0x9000: b"0300"}, {5: b"\3", 6: 3.0}, b"", (-3.0, None, None)),
    "DJI with RTK": ({}, {5: b"\0", 6: 317.5}, dji(RtkFlag="50", RelativeAltitude="+109.4"), (None, 317.5, 109.4)),
    "DJI, RTK without a fix": ({}, {5: b"\0", 6: 317.5}, dji(RtkFlag="0"), (317.5, None, None)),
    "above ground beside above take-off": ({}, {}, dji(RelativeAltitude="+80", AboveGroundAltitude="95.5"),
                                           (None, None, 95.5)),
    "Skydio's own tags": ({}, {}, packet(struct("CameraOrientationNED", 0, -90, 0)
                                         + "<s:AbsoluteAltitude>41.2</s:AbsoluteAltitude>", s=SKYDIO),
                          (None, 41.2, None)),
    "Yuneec": ({}, {}, packet(attributes='y:GPSAltitude="537.78" y:AboveHomeAltitude="34.4"',
                              y="http://www.yuneec.com/drone-yuneec/1.0/"), (537.78, None, 34.4)),
}  # fmt: skip


@pytest.mark.parametrize("what", ALTITUDES)
def test_altitude_is_kept_by_what_it_is_above(what: str) -> None:
    """An altitude above the ellipsoid never passes for one above the sea."""
    shot, gps, xmp, expected = ALTITUDES[what]
    found = info(shot, gps, xmp)
    assert (found.altitude_amsl_m, found.altitude_ellipsoid_m, found.relative_altitude_m) == expected


WIDE = 2 * math.degrees(math.atan(0.8 * 43.2666 / 2 / 30))
NARROW = 2 * math.degrees(math.atan(0.8 * 43.2666 / 2 / 60))
ZOOMS: dict[str, tuple[str, float | None, float | None]] = {
    "DJI": ("DJI", 2.0, NARROW),
    "DJI with blanks": ("DJI\0\0", 2.0, NARROW),
    "Autel": ("Autel Robotics", 2.0, NARROW),
    "none": ("DJI", 1.0, WIDE),
    "zero: not used": ("DJI", 0.0, WIDE),
    "absent": ("DJI", None, WIDE),
    "a phone, whose focal length has it in it": ("Apple", 2.0, None),
    "Parrot, whose ratio is not reliable": ("Parrot", 1.4, None),
    "nonsense": ("DJI", 1e6, None),
}


@pytest.mark.parametrize("what", ZOOMS)
def test_digital_zoom_counts_where_it_is_known_how(what: str) -> None:
    """It divides the field of view of makers whose focal length leaves it out; elsewhere the angle is not claimed."""
    maker, ratio, expected = ZOOMS[what]
    found = info({0xA405: 30} | ({} if ratio is None else {0xA404: ratio}), maker=maker)
    view = combined_view(found.camera.views)
    assert (view and view.fov_deg) == (None if expected is None else pytest.approx(expected, abs=0.01))
    assert bool(found.remarks) == (ratio not in (None, 0.0, 1.0))


@pytest.mark.parametrize(
    ("told", "used"),
    [("WGS-84", True), ("WGS84\0", True), ("", True), (b"wgs 84", True), ("TOKYO", False), ("GCJ-02", False)],
)
def test_a_position_in_another_datum_is_not_used(told: object, used: bool) -> None:
    """Tokyo's datum and China's are hundreds of metres off: such a position is no truth."""
    gps = {1: "N", 2: (35.0, 0.0, 0.0), 3: "E", 4: (139.0, 0.0, 0.0), 18: told}
    found = info(gps=gps)
    assert found.has_position is used
    assert ("not WGS 84" in " ".join(found.remarks)) is not used


SOUTH_WEST = {2: (33.0, 30.0, 0.0), 4: (70.0, 15.0, 0.0)}
# what -> GPS tags, XMP, latitude and longitude, whether it is told that no hemisphere is named
HEMISPHERES: dict[str, tuple[dict[int, Any], bytes, tuple[float, float], bool]] = {
    "letters": ({**SOUTH_WEST, 1: "S", 3: "W"}, b"", (-33.5, -70.25), False),
    "written out": ({**SOUTH_WEST, 1: "South", 3: b"west\0"}, b"", (-33.5, -70.25), False),
    "a sign and a letter": ({2: (-33.0, -30.0, 0.0), 4: (-70.25,), 1: "S", 3: "W"}, b"", (-33.5, -70.25), False),
    "a sign and no letter": ({2: (-33.5,), 4: (-70.25,)}, b"", (-33.5, -70.25), False),
    "a longitude from 0 to 360": ({1: "S", 2: (33.5,), 3: "E", 4: (289.75,)}, b"", (-33.5, -70.25), False),
    "no letter": (SOUTH_WEST, b"", (33.5, 70.25), True),
    "no letter, the maker's own with a sign": (
        SOUTH_WEST, dji(GpsLatitude="-33.50001", GpsLongitude="-70.24999"), (-33.50001, -70.24999), False),
    "whole seconds, the maker's own with more digits": (
        {2: (33, 30, 0), 4: (70, 15, 0), 1: "S", 3: "W"}, dji(GpsLatitude="-33.50012", GpsLongitude="-70.24988"),
        (-33.50012, -70.24988), False),
    "whole seconds, the maker's own elsewhere": (
        {2: (33, 30, 0), 4: (70, 15, 0), 1: "S", 3: "W"}, dji(GpsLatitude="-33.6", GpsLongitude="-70.24988"),
        (-33.5, -70.25), False),
    "XMP with letters of their own": (
        {}, packet("<e:GPSLatitude>60.5</e:GPSLatitude><e:GPSLatitudeRef>N</e:GPSLatitudeRef>"
                   "<e:GPSLongitude>68</e:GPSLongitude><e:GPSLongitudeRef>W</e:GPSLongitudeRef>",
                   e="http://ns.adobe.com/exif/1.0/"), (60.5, -68.0), False),
    "XMP's own form": (
        {}, packet(attributes='e:GPSLatitude="33,30.0S" e:GPSLongitude="70,15,0W"', e="http://ns.adobe.com/exif/1.0/"),
        (-33.5, -70.25), False),
}  # fmt: skip


@pytest.mark.parametrize("what", HEMISPHERES)
def test_the_hemisphere_is_the_one_told(what: str) -> None:
    """By letter, by sign or by the maker's own position; where nothing tells it, that is said."""
    gps, xmp, expected, unsure = HEMISPHERES[what]
    found = info(gps=gps, xmp=xmp)
    assert (found.latitude_deg, found.longitude_deg) == expected
    assert ("hemisphere" in " ".join(found.remarks)) is unsure


@pytest.mark.parametrize(
    ("told", "fraction", "expected"),
    [
        ("2018:01:20 11:46:00", "25", (1516448760.25, True)),
        ("2018-01-20T11:46:00Z", "", (1516448760.0, False)),
        ("2018:01:20 11:46:00.125", "", (1516448760.125, True)),
        ("2018/01/20 11:46:00", "", (1516448760.0, False)),
        ("0000:00:00 00:00:00", "", (None, False)),
        ("20 January", "", (None, False)),
    ],
)
def test_the_moment_is_read_in_the_forms_that_programs_write(
    told: str, fraction: str, expected: tuple[float | None, bool]
) -> None:
    """EXIF's form, ISO 8601, fractions inside the stamp; a clock that was never set is no time."""
    found = info({0x9003: told, 0x9291: fraction})
    assert (found.taken_s, found.taken_subsecond) == expected


def test_clocks_of_several_zones_are_put_on_one() -> None:
    """A flight over a change of the clock keeps its order where the pictures tell their offset from UTC."""
    noon = datetime(2026, 7, 15, 12, tzinfo=UTC).timestamp()
    photos = [PhotoInfo(Path(f"{k}.jpg"), 64, 64, taken_s=t, utc_offset_s=z) for k, (t, z) in enumerate(
        [(noon, 3600.0), (noon + 10.0, 3600.0), (noon - 3580.0, 0.0)])]  # fmt: skip
    order, times = in_time_order(photos)
    assert order == [0, 1, 2]
    assert times is not None
    assert [t - times[0] for t in times] == [0.0, 10.0, 20.0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF of 16 bits"])
def test_pixels_are_read_as_stored_whatever_the_flag(form: str, orientation: int, tmp_path: Path) -> None:
    """The orientation flag turns no pixel and no size: a camera's matrix belongs to the sensor."""
    picture = Image.new("I;16" if "16" in form else "RGB", (64, 48))
    picture.paste(60000 if "16" in form else (255, 255, 255), (0, 0, 16, 12))
    exif = Image.Exif()
    exif[0x112] = orientation
    made = io.BytesIO()
    told: dict[str, Any] = {"tiffinfo": {0x112: orientation}} if "TIFF" in form else {"exif": exif, "quality": 95}
    picture.save(made, form.split()[0], **told)
    (tmp_path / "a.jpg").write_bytes(made.getvalue())
    assert FolderSource(tmp_path).size_px == (64, 48)
    info = read_photo_info(tmp_path / "a.jpg")
    assert (info.width_px, info.height_px) == (64, 48)
    grey = read_image(tmp_path / "a.jpg", grey=True)
    assert grey.shape == (48, 64)
    assert grey[:12, :16].mean() > 200 > 60 > grey[24:, 32:].mean()


@pytest.mark.parametrize(
    ("text", "value"),
    [("-89,90", -89.9), ("+120,5 m", 120.5), ("-0,5°", -0.5), ("12, 5", 12.0), ("1.5,2", 1.5), ("1,2,3", 1.0)],
)
def test_a_decimal_comma_is_one_where_it_can_be_nothing_else(text: str, value: float) -> None:
    """Programs of some countries write it into XMP; lists of numbers stay lists."""
    assert xmp_number({"a": text}, "a") == pytest.approx(value)


def test_a_position_in_xmps_own_form() -> None:
    """Degrees and minutes with a letter behind, as XMP writes them where EXIF was lost."""
    for latitude, longitude in (("48,30.0N", "37,15.0E"), ("48,30,0N", "37,15,0E"), ("48,29,60.0N", "37,14.99999999E")):
        info = photo_info(Path("p.jpg"), (640, 480), {}, {}, {}, {"GPSLatitude": latitude, "GPSLongitude": longitude})
        assert (info.latitude_deg, info.longitude_deg) == pytest.approx((48.5, 37.25), abs=1e-6)
    info = photo_info(Path("p.jpg"), (640, 480), {}, {}, {}, {"GPSLatitude": "33,0.0S", "GPSLongitude": "70,30.0W"})
    assert (info.latitude_deg, info.longitude_deg) == (-33.0, -70.5)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_white_as_the_lowest_value_is_no_negative(dtype: str, tmp_path: Path) -> None:
    """A TIFF photograph with MINISWHITE is bright where its values are low, in 8 and in 16 bits."""
    top = np.iinfo(dtype).max
    ramp = np.tile(np.linspace(0, top, 64).astype(dtype), (64, 1))
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": dtype, "photometric": "MINISWHITE"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a picture without a place
        with rasterio.open(tmp_path / "a.tif", "w", **profile) as dataset:
            dataset.write(ramp[None])
    grey = read_image(tmp_path / "a.tif", grey=True).astype(float)
    assert grey[:, 0].mean() > 240 > 15 > grey[:, -1].mean()
