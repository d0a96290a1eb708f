"""What a photograph says of itself: time, place, attitude and camera, from EXIF and XMP.

Every number is checked; what is absent or cannot be is None. Metadata is anyone's word: it is parsed without
following entities, and no more than MAX_XMP_BYTES of it (frames/xmp.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.frames.camera_metadata import CameraMetadata, camera_metadata
from gps_denied_onboard.frames.xmp import number, parse_xmp, xmp_angle, xmp_number
from gps_denied_onboard.geometry.geodesy import signed_longitude
from gps_denied_onboard.geometry.rotations import rotation_zyx
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.picture import open_picture, stored_size

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PhotoInfo:
    """Metadata of one picture; None where it does not say.

    `width_px`, `height_px` are of the file as stored (the orientation flag is ignored: it means nothing when looking
    down). `original_width_px` and `original_height_px` are of the picture as it was taken: files are often reduced
    afterwards, and pixel-based metadata means the original. `taken_s` is the camera's own clock in seconds since 1970
    (no time zone known), `taken_subsecond` whether it has fractions, `utc_offset_s` that clock's offset from UTC where
    it is told; `gps_time_s` the receiver's UTC. Altitude is above mean sea level: where the picture says that its
    altitude is above the ellipsoid it is `altitude_ellipsoid_m` instead. `relative_altitude_m`: above the ground where
    that is told, else above the take-off point. `remarks`: what was not used, and why. `yaw_deg`,
    `pitch_deg`, `roll_deg`: attitude (ZYX, NED) of a FRD body that carries the camera looking straight down with the
    picture's top towards the nose; yaw is the azimuth of the picture's top. `course_deg`: direction of motion.
    """

    path: Path
    width_px: int
    height_px: int
    original_width_px: int | None = None
    original_height_px: int | None = None
    taken_s: float | None = None
    taken_subsecond: bool = False
    gps_time_s: float | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    altitude_amsl_m: float | None = None
    relative_altitude_m: float | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None
    course_deg: float | None = None
    camera_name: str = ""
    altitude_ellipsoid_m: float | None = None
    utc_offset_s: float | None = None
    remarks: tuple[str, ...] = ()
    camera: CameraMetadata = field(default_factory=CameraMetadata)

    @property
    def has_position(self) -> bool:
        """Whether latitude and longitude are known."""
        return self.latitude_deg is not None


def read_photo_info(path: Path) -> PhotoInfo:
    """Metadata of the picture `path`, without decoding it. OSError or ValueError when it is no readable picture."""
    try:
        with open_picture(path) as image:
            width_px, height_px = stored_size(image)
            try:
                exif = image.getexif()
                main, shot, gps = dict(exif), dict(exif.get_ifd(_EXIF_IFD)), dict(exif.get_ifd(_GPS_IFD))
            except Exception:  # broken EXIF raises anything: struct.error, KeyError, SyntaxError
                main, shot, gps = {}, {}, {}
            xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or main.get(700) or b""
    except UntrustedError as error:
        raise OSError(str(error)) from error
    return photo_info(path, (width_px, height_px), main, shot, gps, parse_xmp(xmp))


def photo_info(
    path: Path,
    size_px: tuple[int, int],
    main: Mapping[int, Any],
    shot: Mapping[int, Any],
    gps: Mapping[int, Any],
    xmp: Mapping[str, str],
) -> PhotoInfo:
    """Assemble the metadata from the EXIF directories (tag number -> value as Pillow gives it) and the XMP names."""
    original = original_size(size_px, shot, xmp)
    latitude, longitude, unsure = position(gps, xmp)
    datum = map_datum(gps)
    if datum:
        latitude = longitude = None
    yaw, pitch, roll = attitude(xmp)
    taken_s, subsecond = taken(shot)
    height_m = altitude(gps, xmp)
    ellipsoidal = above_ellipsoid(gps, xmp, shot)
    name = " ".join(str(main[tag]).strip("\0 ")[:60] for tag in (271, 272) if tag in main)
    camera = camera_metadata(size_px, original, shot, xmp, name)
    remarks = zoom_remarks(camera)
    if unsure and not datum:
        remarks += (unsure,)
    if datum:
        remarks += (f"the position is in the datum '{datum}', not WGS 84: it is not used; convert it first",)
    return PhotoInfo(
        path=path,
        width_px=size_px[0],
        height_px=size_px[1],
        original_width_px=original[0] if original else None,
        original_height_px=original[1] if original else None,
        taken_s=taken_s,
        taken_subsecond=subsecond,
        gps_time_s=gps_time(gps),
        latitude_deg=latitude,
        longitude_deg=longitude,
        altitude_amsl_m=None if ellipsoidal else height_m,
        altitude_ellipsoid_m=height_m if ellipsoidal else None,
        relative_altitude_m=xmp_number(xmp, "AboveGroundAltitude", "RelativeAltitude", "AboveHomeAltitude"),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        course_deg=_within(number(gps.get(15)), 0.0, 360.0),
        utc_offset_s=utc_offset(shot),
        remarks=remarks,
        camera_name=name,
        camera=camera,
    )


def _within(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and low <= value <= high else None


# --- parts ------------------------------------------------------------------------------------------------------------


def position(gps: Mapping[int, Any], xmp: Mapping[str, str]) -> tuple[float | None, float | None, str]:
    """Latitude and longitude in degrees, both or neither, and a remark; (0, 0) is a receiver without a fix.

    Where EXIF leaves its letter of the hemisphere out, the sign of the maker's own position decides; where it has whole
    seconds only, thirty metres, the maker's own digits count.
    """
    told = [(_degrees(gps.get(2)), _letter(gps.get(1))), (_degrees(gps.get(4)), _letter(gps.get(3)))]
    own = (
        xmp_number(xmp, "GpsLatitude", "Latitude"),
        xmp_number(xmp, "GpsLongitude", "GpsLongtitude", "Longitude"),
    )
    signed = False
    if any(value is None for value, _ in told):
        told = [(value, "") for value in own] if None not in own else [
            _xmp_degrees(xmp, "GPSLatitude"), _xmp_degrees(xmp, "GPSLongitude")
        ]  # fmt: skip
        signed = None not in own
    elif None not in own and _whole_seconds(gps.get(2)) and _whole_seconds(gps.get(4)):
        finer = [(math.copysign(b or 0.0, a or 0.0), letter) for (a, letter), b in zip(told, own, strict=True)]
        if all(abs((a or 0.0) - b) < SECOND_DEG for (a, _), (b, _) in zip(told, finer, strict=True)):
            told = [*finer]
    values, unsigned = [], False
    for (value, letter), hint in zip(told, own, strict=True):
        if value is not None and not letter and not signed and value > 0.0:
            unsigned |= hint is None
            value = math.copysign(value, hint) if hint else value
        values.append(-abs(value) if value is not None and letter in {"S", "W"} else value)
    latitude = _within(values[0], -90.0, 90.0)
    longitude = _within(None if values[1] is None else signed_longitude(values[1]), -180.0, 180.0)
    if latitude is None or longitude is None or (latitude == 0.0 and longitude == 0.0):
        return None, None, ""
    return latitude, longitude, NO_HEMISPHERE if unsigned else ""


SECOND_DEG = 1.0 / 3600.0
NO_HEMISPHERE = "the position names no hemisphere (GPSLatitudeRef, GPSLongitudeRef): it is taken as north and east"


def _xmp_degrees(xmp: Mapping[str, str], name: str) -> tuple[float | None, str]:
    """Degrees and letter of XMP's own form "DDD,MM,SSk" or "DDD,MM.mmk", where k is N, S, E or W (XMP part 2,
    GPSCoordinate), or of a decimal number with the letter behind it or in a property of its own."""
    text = xmp.get(name, "").strip()
    plain = re.fullmatch(r"([+-]?\d{1,3}(?:\.\d{1,18})?)\s*([NSEW]?)", text)
    if plain is not None:
        return float(plain[1]), plain[2] or _letter(xmp.get(f"{name}Ref"))
    match = re.fullmatch(r"(\d{1,3}),(\d{1,2}(?:\.\d{1,12})?)(?:,(\d{1,2}(?:\.\d{1,12})?))?\s*([NSEW]?)", text)
    if match is None:
        return None, ""
    value = float(match[1]) + float(match[2]) / 60.0 + float(match[3] or 0.0) / 3600.0
    return value, match[4] or _letter(xmp.get(f"{name}Ref"))


def map_datum(gps: Mapping[int, Any]) -> str:
    """The datum of the position where it is told and is another than WGS 84, as TOKYO or GCJ-02; else ""."""
    told = gps.get(18, "")
    text = (told.decode("ascii", "replace") if isinstance(told, bytes) else str(told)).strip("\0 ")[:20]
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    return "" if not plain or plain.startswith(("wgs84", "wgs1984", "worldgeodetic", "unknown", "epsg4326")) else text


def _degrees(triple: Any) -> float | None:
    try:
        parts = [number(part) for part in triple]
    except TypeError:
        return None
    if not 1 <= len(parts) <= 3 or any(part is None for part in parts):
        return None
    return sum((part or 0.0) / 60.0**k for k, part in enumerate(parts))


def _whole_seconds(triple: Any) -> bool:
    """Whether degrees, minutes and seconds have no fraction: thirty metres."""
    try:
        return all(number(part) is not None and float(part).is_integer() for part in triple)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return False


def _letter(reference: Any) -> str:
    """N, S, E or W of a reference tag, which some write out, or ""."""
    text = reference.decode("ascii", "replace") if isinstance(reference, bytes) else str(reference or "")
    letter = text.strip("\0 ").upper()[:1]
    return letter if letter in {"N", "S", "E", "W"} else ""


def altitude(gps: Mapping[int, Any], xmp: Mapping[str, str]) -> float | None:
    """Metres above mean sea level, -1000 to 20000."""
    value = _exif_altitude(gps, xmp)
    if value is None:
        value = xmp_number(xmp, "AbsoluteAltitude", "GPSAltitude")
    elif _altitude_reference(gps) in (1, 3):
        value = -abs(value)
    return _within(value, -1000.0, 20000.0)


def _exif_altitude(gps: Mapping[int, Any], xmp: Mapping[str, str]) -> float | None:
    """The number in EXIF; a bare zero beside an altitude of the maker's own is no altitude."""
    value = number(gps.get(6))
    return None if value == 0.0 and xmp_number(xmp, "AbsoluteAltitude") else value


def _altitude_reference(gps: Mapping[int, Any]) -> int:
    """GPSAltitudeRef: 0 above, 1 below (sea level before EXIF 3, the ellipsoid since), 2 above, 3 below sea level."""
    told = gps.get(5, 0)
    if isinstance(told, bytes):
        return told[0] if told else 0
    return int(number(told) or 0)


def above_ellipsoid(gps: Mapping[int, Any], xmp: Mapping[str, str], shot: Mapping[int, Any]) -> bool:
    """Whether the altitude is told to be above the ellipsoid: by EXIF 3, by DJI's RTK, by Skydio's own tag."""
    if _exif_altitude(gps, xmp) is None:
        return "CameraOrientationNED/Yaw" in xmp  # Skydio's AbsoluteAltitude
    version = shot.get(0x9000, b"")
    told = version.decode("ascii", "replace") if isinstance(version, bytes) else str(version)
    if told[:2].isdigit() and int(told[:2]) >= 3 and 5 in gps:
        return _altitude_reference(gps) in (0, 1)
    return bool(xmp_number(xmp, "RtkFlag"))


def utc_offset(shot: Mapping[int, Any]) -> float | None:
    """Seconds that the camera's clock is ahead of UTC (OffsetTimeOriginal, OffsetTime), -14 to 14 hours."""
    for tag in (0x9011, 0x9010, 0x9012):
        match = re.match(r"\s*([+-])(\d\d):?(\d\d)", str(shot.get(tag, "")))
        if match:
            seconds = int(match[2]) * 3600.0 + int(match[3]) * 60.0
            return _within(-seconds if match[1] == "-" else seconds, -50400.0, 50400.0)
    return None


def zoom_remarks(camera: CameraMetadata) -> tuple[str, ...]:
    """What became of a digital zoom."""
    told = f"a digital zoom of {camera.zoom:g}"
    if not camera.zoom_known:
        return (f"{told}: it is not known whether the focal length has it in it; give the field of view",)
    return (f"{told} divides the field of view",) if camera.zoom > 1.0 and camera.views else ()


_STAMP = re.compile(r"\s*(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T]+(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?")
"""EXIF's form of a moment, and that of ISO 8601 and of programs that write fractions into it."""


def taken(shot: Mapping[int, Any]) -> tuple[float | None, bool]:
    """(seconds since 1970 on the camera's clock, whether fractions are known) of the moment of exposure."""
    for stamp, fraction in ((0x9003, 0x9291), (0x9004, 0x9292)):
        match = _STAMP.match(str(shot.get(stamp, "")).strip("\0 "))
        if match is None:
            continue
        try:
            moment = datetime.strptime(" ".join(match.groups()[:6]), "%Y %m %d %H %M %S").replace(tzinfo=UTC)
        except ValueError:
            continue
        digits = re.sub(r"\D.*", "", str(shot.get(fraction, "")).strip("\0 "))[:9] or match[7] or ""
        return (moment - _EPOCH).total_seconds() + (float(f"0.{digits}") if digits else 0.0), bool(digits)
    return None, False


def gps_time(gps: Mapping[int, Any]) -> float | None:
    """UTC seconds since 1970 of the receiver's fix."""
    try:
        day = datetime.strptime(re.sub(r"[-/.]", ":", str(gps[29]).strip("\0 ")), "%Y:%m:%d").replace(tzinfo=UTC)
        hours, minutes, seconds = (float(part) for part in gps[7])
        return (day - _EPOCH + timedelta(hours=hours, minutes=minutes, seconds=seconds)).total_seconds()
    except (KeyError, ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None


def original_size(size_px: tuple[int, int], shot: Mapping[int, Any], xmp: Mapping[str, str]) -> tuple[int, int] | None:
    """Pixels of the picture as taken; None when nothing says so or it has another shape than the file."""
    width, height = number(shot.get(0xA002)), number(shot.get(0xA003))
    if width is None or height is None:
        width, height = xmp_number(xmp, "PixelXDimension"), xmp_number(xmp, "PixelYDimension")
    if not width or not height or min(width, height) < 32.0:
        return None
    if abs(width / height / (size_px[0] / size_px[1]) - 1.0) > 0.02:
        return None
    return round(width), round(height)


def attitude(xmp: Mapping[str, str]) -> tuple[float | None, float | None, float | None]:
    """Yaw, pitch, roll in degrees of the body that PhotoInfo describes; pitch and roll may be unknown with yaw known.

    Two conventions are in use: a gimbal's, where pitch -90 looks down (DJI, Skydio's CameraOrientationNED, Parrot,
    Yuneec, newer Autel, Google's Pose), and Pix4D's, where pitch 0 looks down (Pix4D, senseFly, Sequoia, older Autel).
    senseFly's roll has the other sign (OpenDroneMap, photo.py). A gimbal that tells three zeros tells nothing.
    """
    for names in ATTITUDES:
        yaw, pitch, roll = (_within(xmp_angle(xmp, name), -360.0, 360.0) for name in names)
        if yaw is None:
            continue
        if pitch is None or roll is None:
            return yaw % 360.0, None, None
        if pitch < -45.0:
            return body_from_gimbal(yaw, pitch, roll)
        if names[0] == "Yaw" and abs(pitch) <= 45.0 and abs(roll) <= 60.0:
            return yaw % 360.0, pitch, -roll if "senseFly/Roll" in xmp else roll
    return None, None, None


ATTITUDES = (
    *(tuple(f"CameraOrientationNED/{axis}" for axis in ("Yaw", "Pitch", "Roll")),),
    *(tuple(f"{first}{axis}{last}" for axis in ("Yaw", "Pitch", "Roll"))
      for first, last in (("Gimbal", "Degree"), ("Camera", "Degree"), ("Gimbal", ""))),
    ("PoseHeadingDegrees", "PosePitchDegrees", "PoseRollDegrees"),
    ("Yaw", "Pitch", "Roll"),
)  # fmt: skip


def body_from_gimbal(yaw_deg: float, pitch_deg: float, roll_deg: float) -> tuple[float, float, float]:
    """Yaw, pitch, roll in degrees of the downward body of a gimbal's camera, by those of the gimbal, whose x is the
    optical axis and whose z the picture's down."""
    gimbal = rotation_zyx(math.radians(yaw_deg), math.radians(pitch_deg), math.radians(roll_deg))
    body = np.stack([-gimbal[:, 2], gimbal[:, 1], gimbal[:, 0]], axis=1)
    yaw = math.degrees(math.atan2(body[1, 0], body[0, 0])) % 360.0
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, -float(body[2, 0])))))
    roll = math.degrees(math.atan2(body[2, 1], body[2, 2]))
    return yaw, pitch, roll
