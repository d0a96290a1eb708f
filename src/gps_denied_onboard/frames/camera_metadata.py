"""What EXIF and XMP say of the camera: every reading of its field of view with a doubt, and the angles recorded.

A field of view from metadata is a guess: makers fill the same tags by different rules. Each source therefore gives one
or more readings, and `combined_view` asks which of them agree. Readings are of tan(half the horizontal angle).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gps_denied_onboard.frames.sensor_sizes import sensor_size_mm
from gps_denied_onboard.frames.xmp import number, xmp_angle, xmp_number

DIAGONAL_35MM = math.hypot(36.0, 24.0)
WIDTH_35MM = 36.0
TAN_MIN, TAN_MAX = 0.05, 4.0
PIXEL_PITCH_UM = (0.7, 40.0)
SENSOR_WIDTH_MM = (2.0, 60.0)
AGREE_SIGMAS = 3.0
SIGMA_FLOOR = 0.01
ZOOM_OUTSIDE_FOCAL_LENGTH = ("dji", "hasselblad", "autel", "skydio")
"""Makers whose focal lengths are those of the whole sensor, so that DigitalZoomRatio divides the field of view. A
phone's 35 mm equivalent has the zoom in it already; Parrot's ratio is not reliable."""
_FOCAL_MM, _EQUIVALENT_MM, _ZOOM = 0x920A, 0xA405, 0xA404
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210


class ViewSource(StrEnum):
    """Where a reading of the field of view comes from."""

    CALIBRATION_PX = "calibrated focal length in pixels"
    CALIBRATION_MM = "calibrated focal length in mm"
    FOCAL_PLANE = "focal length and focal plane resolution"
    SENSOR = "focal length and the model's sensor"
    EQUIVALENT = "35 mm equivalent"


@dataclass(frozen=True, slots=True)
class ViewReading:
    """One way to read a source. `tan_half` is tan(half the horizontal angle); `sigma` relative to it."""

    source: ViewSource
    rule: str
    tan_half: float
    sigma: float

    @property
    def fov_deg(self) -> float:
        """The horizontal angle in degrees."""
        return math.degrees(2.0 * math.atan(self.tan_half))


@dataclass(frozen=True, slots=True)
class RecordedAngles:
    """Yaw, pitch, roll in degrees as recorded (aerospace order, NED); None where they are not."""

    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None

    @property
    def complete(self) -> bool:
        """Whether all three are there."""
        return None not in (self.yaw_deg, self.pitch_deg, self.roll_deg)


@dataclass(frozen=True, slots=True)
class CameraMetadata:
    """One picture's camera: `views` are all readings of its field of view, `gimbal` and `flight` the angles recorded of
    the camera's gimbal and of the aircraft. Where it is not known what a digital `zoom` means
    (`zoom_known` False) no view is claimed."""

    views: tuple[ViewReading, ...] = ()
    gimbal: RecordedAngles = field(default_factory=RecordedAngles)
    flight: RecordedAngles = field(default_factory=RecordedAngles)
    zoom: float = 1.0
    zoom_known: bool = True


@dataclass(frozen=True, slots=True)
class CombinedView:
    """The field of view by all sources: tan(half the horizontal angle) and its relative sigma; `agreeing` are the
    readings behind it, `contradicting` the sources of which no reading fits."""

    tan_half: float
    sigma: float
    agreeing: tuple[ViewReading, ...]
    contradicting: tuple[ViewReading, ...]

    @property
    def fov_deg(self) -> float:
        """The horizontal angle in degrees."""
        return math.degrees(2.0 * math.atan(self.tan_half))


def camera_metadata(
    size_px: tuple[int, int],
    original_px: tuple[int, int] | None,
    shot: Mapping[int, Any],
    xmp: Mapping[str, str],
    camera_name: str,
) -> CameraMetadata:
    """From the EXIF directory of the shot (tag number -> value) and the XMP names; `original_px` is the picture as
    taken, `camera_name` its maker and model."""
    told_zoom = number(shot.get(_ZOOM)) or 1.0  # 0: not used (EXIF)
    unused = abs(told_zoom - 1.0) < 0.01
    outside = 1.0 <= told_zoom <= 100.0 and camera_name.lower().startswith(ZOOM_OUTSIDE_FOCAL_LENGTH)
    zoom = told_zoom if outside and not unused else 1.0
    focal_mm = _positive(shot.get(_FOCAL_MM))
    sensor = sensor_size_mm(camera_name)
    readings = [
        *_calibrated(size_px, original_px, xmp),
        *_focal_plane(size_px, original_px, shot, focal_mm, zoom),
        *_by_sensor(size_px, sensor, focal_mm, zoom),
        *_equivalent(size_px, sensor, shot, zoom),
    ]
    views = tuple(one for one in readings if TAN_MIN <= one.tan_half <= TAN_MAX)
    zoom_known = unused or outside or not views
    return CameraMetadata(
        views=views if zoom_known else (),
        gimbal=_angles(xmp, "Gimbal{}Degree"),
        flight=_angles(xmp, "Flight{}Degree"),
        zoom=1.0 if unused else told_zoom,
        zoom_known=zoom_known,
    )


def combined_view(views: Sequence[ViewReading]) -> CombinedView | None:
    """The field of view that most of the sources can be read as; None without a reading.

    Each reading is tried as the middle: a source counts by its best reading's distance from there, and by a constant
    where none of its readings fits. Those that agree with the best middle are averaged by their variances, and the
    sigma grows with what is left between them.
    """
    if not views:
        return None
    sources = list(dict.fromkeys(one.source for one in views))

    def best(source: ViewSource, middle: float) -> ViewReading:
        of_source = [one for one in views if one.source is source]
        return min(of_source, key=lambda one: abs(_apart(one, middle)))

    def cost(seed: ViewReading) -> float:
        near = [best(source, math.log(seed.tan_half)) for source in sources]
        return sum(min(_apart(one, math.log(seed.tan_half), seed.sigma) ** 2, AGREE_SIGMAS**2) for one in near)

    seed = min(views, key=lambda one: (round(cost(one), 9), one.sigma))
    near = [best(source, math.log(seed.tan_half)) for source in sources]
    agreeing = [one for one in near if abs(_apart(one, math.log(seed.tan_half), seed.sigma)) <= AGREE_SIGMAS]
    weights = [one.sigma**-2 for one in agreeing]
    middle = sum(w * math.log(one.tan_half) for w, one in zip(weights, agreeing, strict=True)) / sum(weights)
    chi2 = sum(w * (math.log(one.tan_half) - middle) ** 2 for w, one in zip(weights, agreeing, strict=True))
    spread = math.sqrt(max(1.0, chi2 / max(len(agreeing) - 1, 1)))
    contradicting = tuple(one for one in near if one not in agreeing)
    # Of two sources that contradict one another nobody knows which is wrong.
    doubt = 2.0 if contradicting and len(agreeing) <= len(contradicting) else 1.0
    sigma = max(SIGMA_FLOOR, spread * doubt / math.sqrt(sum(weights)))
    if len(agreeing) == 1:
        # A source by itself may be any of its readings, as far as they are rules of one kind and no other zoom.
        near_readings = [_apart(one, middle) * one.sigma for one in views if one.source is agreeing[0].source]
        sigma = math.hypot(sigma, max((abs(d) for d in near_readings if abs(d) < 0.2), default=0.0) / 2.0)
    return CombinedView(math.exp(middle), sigma, tuple(agreeing), contradicting)


def _apart(one: ViewReading, middle: float, sigma: float = 0.0) -> float:
    return (math.log(one.tan_half) - middle) / math.hypot(one.sigma, sigma)


def _calibrated(
    size_px: tuple[int, int], original_px: tuple[int, int] | None, xmp: Mapping[str, str]
) -> list[ViewReading]:
    """The maker's calibration. In pixels it is of the picture as taken, whose width its own centre tells."""
    found = []
    focal_px = xmp_number(xmp, "CalibratedFocalLength", "CalibratedFocalLength/X")
    centre_px = xmp_number(xmp, "CalibratedOpticalCenterX", "CalibratedOpticalCenter/X")
    dewarp = xmp.get("DewarpData", "").rpartition(";")[2].split(",")
    if len(dewarp) >= 4 and focal_px is None:
        focal_px = _positive(dewarp[0])
    half_px = centre_px if centre_px else (original_px or size_px)[0] / 2.0
    known = centre_px is not None or original_px is not None
    if focal_px:
        sigma = 0.015 if known else 0.1
        found.append(ViewReading(ViewSource.CALIBRATION_PX, "of the whole picture", half_px / focal_px, sigma))
    focal_mm, principal_mm = xmp_number(xmp, "PerspectiveFocalLength"), xmp_number(xmp, "PrincipalPoint")
    if focal_mm and principal_mm:
        found.append(ViewReading(ViewSource.CALIBRATION_MM, "about its principal point", principal_mm / focal_mm, 0.02))
    return found


def _focal_plane(
    size_px: tuple[int, int],
    original_px: tuple[int, int] | None,
    shot: Mapping[int, Any],
    focal_mm: float | None,
    zoom: float,
) -> list[ViewReading]:
    """Focal plane resolution counts pixels of the picture as taken; some makers write the sensor's size there instead,
    which is told by the two numbers having the picture's shape."""
    x, y = _positive(shot.get(_PLANE_X)), _positive(shot.get(_PLANE_Y))
    unit_mm = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}.get(int(number(shot.get(_PLANE_UNIT)) or 2), 25.4)
    if not x or not focal_mm:
        return []
    shape = size_px[0] / size_px[1]
    if y and abs(x / y / shape - 1.0) < 0.02 and abs(x / y - 1.0) > 0.05:
        if SENSOR_WIDTH_MM[0] <= x <= SENSOR_WIDTH_MM[1]:
            return [ViewReading(ViewSource.FOCAL_PLANE, "the sensor's size in mm", x / 2.0 / focal_mm / zoom, 0.03)]
        return []
    pitch_um = unit_mm / x * 1e3
    if not original_px or not PIXEL_PITCH_UM[0] <= pitch_um <= PIXEL_PITCH_UM[1]:
        return []
    width_mm = original_px[0] * pitch_um * 1e-3
    if not SENSOR_WIDTH_MM[0] <= width_mm <= SENSOR_WIDTH_MM[1]:
        return []
    return [ViewReading(ViewSource.FOCAL_PLANE, "pixels on the sensor", width_mm / 2.0 / focal_mm / zoom, 0.03)]


def _by_sensor(
    size_px: tuple[int, int], sensor_mm: tuple[float, float] | None, focal_mm: float | None, zoom: float
) -> list[ViewReading]:
    """Focal length and the sensor's width; a picture narrower than the sensor keeps the height instead."""
    if not focal_mm or not sensor_mm:
        return []
    width_mm = _kept_width_mm(size_px, sensor_mm)
    return [ViewReading(ViewSource.SENSOR, "width kept", width_mm / 2.0 / focal_mm / zoom, 0.025)]


def _kept_width_mm(size_px: tuple[int, int], sensor_mm: tuple[float, float]) -> float:
    """Width in mm of a picture cut from a sensor as wide (or as high) as it can be; turned pictures stand on end."""
    long_mm, short_mm = max(sensor_mm), min(sensor_mm)
    long_px, short_px = max(size_px), min(size_px)
    long_mm = min(long_mm, short_mm * long_px / short_px)
    return long_mm if size_px[0] >= size_px[1] else long_mm * short_px / long_px


def _equivalent(
    size_px: tuple[int, int], sensor_mm: tuple[float, float] | None, shot: Mapping[int, Any], zoom: float
) -> list[ViewReading]:
    """35 mm equivalents compare diagonals (CIPA DCG-001): of the picture, or of the whole sensor of which it is a crop;
    some compare widths. Whole millimetres are rounded. Makers differ in whether digital zoom is in it."""
    equivalent_mm = _positive(shot.get(_EQUIVALENT_MM))
    if not equivalent_mm:
        return []
    rounding = 0.29 / equivalent_mm
    across = size_px[0] / math.hypot(*size_px)
    sensor = sensor_mm or ((4.0, 3.0) if max(size_px) / min(size_px) > 1.4 else None)
    rules = [("the picture's diagonal", DIAGONAL_35MM * across, 0.03), ("the width", WIDTH_35MM, 0.045)]
    if sensor is not None:
        kept = _kept_width_mm(size_px, sensor) / math.hypot(*sensor)
        rules.insert(0, ("the whole sensor's diagonal", DIAGONAL_35MM * kept, 0.03))
    return [
        ViewReading(
            ViewSource.EQUIVALENT, rule + also, width / 2.0 / equivalent_mm / factor, math.hypot(sigma, rounding)
        )
        for factor, also in ([(zoom, ", zoomed"), (1.0, ", zoom inside")] if zoom > 1.0 else [(1.0, "")])
        for rule, width, sigma in rules
    ]


def _angles(xmp: Mapping[str, str], name: str) -> RecordedAngles:
    values = [xmp_angle(xmp, name.format(axis)) for axis in ("Yaw", "Pitch", "Roll")]
    yaw, pitch, roll = (v if v is not None and abs(v) <= 360.0 else None for v in values)
    return RecordedAngles(yaw, pitch, roll)


def _positive(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and found > 0.0 else None
