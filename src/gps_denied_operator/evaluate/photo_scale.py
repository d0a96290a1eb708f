"""Whether the height or the field of view that was told is wrong: by the pictures that were found on the map.

Height and field of view together say how wide a picture is on the ground. The width that was found, without them where
nothing is found with them, says how wrong they are.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gps_denied_onboard.config import Config
from gps_denied_onboard.frames.photo_info import PhotoInfo
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import Frame
from gps_denied_onboard.replay.recording import FrameTrace
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_operator.evaluate.photo_options import PhotoOptions

if TYPE_CHECKING:
    from gps_denied_onboard.messages import PoseFix

FRAMES_TRIED = 3
FIXES_MIN = 3
"""Fewer pictures that were found tell nothing."""
RATIO_MIN = 1.15
"""Widths nearer to each other than this are no reason."""


def scale_hint(
    frames: Iterable[Frame], infos: Sequence[PhotoInfo], mosaic: MapMosaic, options: PhotoOptions, config: Config
) -> str:
    """A sentence that names what was told wrongly; "" where nothing was told, or it is not that.

    Tries a few pictures without height and field of view, which searches the whole map at any scale.
    """
    from gps_denied_operator.evaluate.photos import run_photos

    told_m = _told_m(infos, options)
    if told_m is None:
        return ""
    free = dataclasses.replace(options, height_m=None, fov_known=False)
    without = [dataclasses.replace(info, relative_altitude_m=None, altitude_amsl_m=None) for info in infos]
    traces: list[FrameTrace] = []
    run_photos(itertools.islice(frames, FRAMES_TRIED), without, mosaic, free, traces.append, config)
    heights = [_height_m(trace.fix) for trace in traces if trace.fix is not None and trace.fix.accepted]
    if not heights:
        return ""
    return _sentence(told_m, float(np.median(heights)), options.camera, "without them pictures are found on the map")


def found_otherwise(
    fixes: Iterable[PoseFix | None], used: CameraModel, infos: Sequence[PhotoInfo], options: PhotoOptions
) -> str:
    """A sentence where the pictures that were found are of another width than was told; "" where they agree, or
    nothing was told. used: the camera that they were found with; options: as told."""
    told_m = _told_m(infos, options)
    heights = [_height_m(fix) for fix in fixes if fix is not None and fix.accepted]
    if told_m is None or len(heights) < FIXES_MIN:
        return ""
    wider = math.tan(used.fov_horizontal_rad / 2.0) / math.tan(options.camera.fov_horizontal_rad / 2.0)
    return _sentence(told_m, wider * float(np.median(heights)), options.camera, "the pictures that were found are")


def _told_m(infos: Sequence[PhotoInfo], options: PhotoOptions) -> float | None:
    heights_m = [info.relative_altitude_m for info in infos if info.relative_altitude_m]
    return options.height_m if options.height_m is not None else float(np.median(heights_m)) if heights_m else None


def _sentence(told_m: float, found_m: float, camera: CameraModel, found: str) -> str:
    """found_m: the height at which the camera sees the width that was found."""
    per_height = 2.0 * math.tan(camera.fov_horizontal_rad / 2.0)
    if 1.0 / RATIO_MIN < found_m / told_m < RATIO_MIN:
        return ""
    fov_deg = math.degrees(camera.fov_horizontal_rad)
    right_deg = math.degrees(2.0 * math.atan(per_height / 2.0 * found_m / told_m))
    return (
        f"The height or the field of view is wrong: {told_m:.0f} m and {fov_deg:.0f} degrees make a picture "
        f"{per_height * told_m:.0f} m wide on the ground, but {found} "
        f"{per_height * found_m:.0f} m wide. Give --height {found_m:.0f} if the field of view is right, or --fov "
        f"{right_deg:.0f} if the height is, or --height none."
    )


def _height_m(fix: PoseFix) -> float:
    """Height of a fix above the ground, which lies at 0 in the frame of photographs."""
    return float(fix.position_enu_m[2])
