"""What the estimation over photographs may know, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.camera_metadata import CameraMetadata
from gps_denied_onboard.frames.photo_info import PhotoInfo
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_operator.evaluate.boresight import Boresight
from gps_denied_operator.evaluate.photo_attitude import PhotoAttitudes
from gps_denied_operator.scoring.metrics import offset_m
from gps_denied_operator.scoring.truth import TruePlace

ASSUMED_FOV_HORIZONTAL_DEG = 65.0
"""Where nobody tells the field of view: height then only means scale, and position does not depend on it."""


@dataclass(frozen=True, slots=True)
class PositionPrior:
    """Where to look for one frame: never a measurement, its errors are independent from frame to frame by design."""

    latitude_deg: float
    longitude_deg: float
    sigma_m: float


@dataclass(frozen=True, slots=True)
class PhotoOptions:
    """Options of `evaluate photos` for the estimation.

    `local` is the frame of all ENU positions, its origin in the middle of the map at altitude 0. `camera` fits the
    frames' size; `fov_known` is False where its angle is only assumed, `fov_sigma` its relative doubt. `heading_deg` is
    the azimuth of the first frame's top; `height_m` the height above the ground of all frames. `priors` is empty with
    `--prior none`. `attitudes` are the pictures' own, `boresight` what the set showed against them.
    """

    local: LocalFrame
    camera: CameraModel
    fov_known: bool
    heading_deg: float | None = None
    height_m: float | None = None
    priors: Mapping[int, PositionPrior] = field(default_factory=dict)
    fov_sigma: float = 0.0
    attitudes: PhotoAttitudes | None = None
    boresight: Boresight | None = None


def camera_for(
    size_px: tuple[int, int], fov_told_deg: float | None, fov_exif_deg: float | None
) -> tuple[CameraModel, bool]:
    """The camera and whether its field of view is known: told, else by the pictures, else assumed."""
    fov = fov_told_deg if fov_told_deg is not None else fov_exif_deg
    return CameraModel.from_fov(*size_px, ASSUMED_FOV_HORIZONTAL_DEG if fov is None else fov), fov is not None


def without_position(photos: Sequence[PhotoInfo], *, heading: bool, height: bool) -> tuple[PhotoInfo, ...]:
    """The pictures' metadata with everything taken out that tells where they are, and what was not asked for.

    `heading` keeps yaw, pitch and roll; the course, which comes from the receiver, goes always. `height` keeps the
    height above the ground or take-off, and the altitude.
    """
    return tuple(
        replace(
            photo,
            latitude_deg=None,
            longitude_deg=None,
            gps_time_s=None,
            course_deg=None,
            altitude_amsl_m=photo.altitude_amsl_m if height else None,
            relative_altitude_m=photo.relative_altitude_m if height else None,
            yaw_deg=photo.yaw_deg if heading else None,
            pitch_deg=photo.pitch_deg if heading else None,
            roll_deg=photo.roll_deg if heading else None,
            camera=CameraMetadata(),
        )
        for photo in photos
    )


def displaced(places: Mapping[int, TruePlace], sigma_m: float, seed: int) -> dict[int, PositionPrior]:
    """Positions moved by a random offset of `sigma_m` in east and north; each frame's follows from seed and index."""
    priors = {}
    for index, place in places.items():
        east, north = np.random.default_rng((seed, index)).normal(0.0, sigma_m, 2)
        frame = LocalFrame(place.latitude_deg, place.longitude_deg, 0.0)
        latitude, longitude, _ = frame.geodetic_from_enu(np.array([east, north, 0.0]))
        priors[index] = PositionPrior(float(latitude), float(longitude), sigma_m)
    return priors


def parse_choice(option: str, told: str, low: float, high: float, words: Sequence[str]) -> float | str:
    """One of `words`, or a number from low to high. UserError naming the option."""
    if told.strip().lower() in words:
        return told.strip().lower()
    try:
        value = float(told)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        allowed = f"{', '.join(words)} or a number {low:g} to {high:g}"
        raise UserError(f"{option} '{told[:40]}' is not understood; give {allowed}.")
    return value


def refuse_swapped(places: Sequence[TruePlace], box_deg: tuple[float, float, float, float]) -> None:
    """UserError where latitude and longitude of the truth lie on the map only when they change places.

    `box_deg` is the map's south, west, north, east.
    """
    south, west, north, east = box_deg
    right = sum(south <= p.latitude_deg <= north and west <= p.longitude_deg <= east for p in places)
    swapped = sum(south <= p.longitude_deg <= north and west <= p.latitude_deg <= east for p in places)
    if swapped and not right:
        raise UserError(
            "latitude and longitude of the truth look swapped: only the other way round they lie on the map; correct "
            "the header of the truth."
        )


def distance_to_box_m(place: TruePlace, box_deg: tuple[float, float, float, float]) -> float:
    """Distance of a place to a box given by south, west, north, east; 0 inside."""
    south, west, north, east = box_deg
    nearest = (min(max(place.latitude_deg, south), north), min(max(place.longitude_deg, west), east))
    return math.hypot(*offset_m((place.latitude_deg, place.longitude_deg), nearest))
