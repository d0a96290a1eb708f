"""What is wrong with a configuration's values by themselves: nothing is opened, nothing is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.autopilot.transport import opener
from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import check_latitude_longitude
from gps_denied_onboard.recorder.meta import unix_ns_from_iso

CENTRE_SHARE = 0.25
"""A lens's centre lies near the picture's; further off than this share of its size, numbers are swapped or missing."""


def value_problems(config: Config) -> Iterator[str]:
    """What is wrong with values by themselves: addresses, times, coordinates, camera, a map folder that is none."""
    for address in filter(None, (config.autopilot.address, config.gcs.address)):
        yield from refusal_of(partial(opener, address))
    mission, frames = config.mission, config.frames
    if mission.utc_at_zero:
        try:
            unix_ns_from_iso(mission.utc_at_zero)
        except ValueError:
            yield f"mission.utc_at_zero must be a time like 2025-07-01T06:00:00Z, got '{mission.utc_at_zero}'."
    origin = (mission.origin_latitude_deg, mission.origin_longitude_deg)
    if not all(map(np.isnan, origin)):
        yield from refusal_of(
            lambda: check_latitude_longitude(*origin, "mission.origin_latitude_deg, origin_longitude_deg")
        )
    if not -500.0 <= mission.ground_altitude_amsl_m <= 9000.0:
        yield f"mission.ground_altitude_amsl_m is in metres, -500 to 9000, got {mission.ground_altitude_amsl_m}."
    if config.map.directory and not Path(config.map.directory).is_dir():
        yield f"map.directory {config.map.directory} is not a folder; give the folder that holds the tiles."
    if not 0.0 <= frames.exposure_delay_s <= 2.0:
        yield f"frames.exposure_delay_s is in seconds, 0 to 2, got {frames.exposure_delay_s}."
    if not 0.0 < frames.rate_hz <= 100.0:
        yield f"frames.rate_hz must be more than 0 and at most 100, got {frames.rate_hz}."
    if frames.width_px < 0 or frames.height_px < 0:
        yield "frames.width_px and frames.height_px must not be negative; 0: as calibrated."
    if mission.ground_sigma_m <= 0.0:
        yield f"mission.ground_sigma_m must be positive, got {mission.ground_sigma_m}."
    if config.camera is not None:
        yield from camera_problems(config.camera)


def camera_problems(camera: CameraModel) -> Iterator[str]:
    """What of a calibration cannot be one of this picture size, or no mount."""
    for name, centre, size in (("cx_px", camera.cx_px, camera.width_px), ("cy_px", camera.cy_px, camera.height_px)):
        if abs(centre - (size - 1) / 2.0) > CENTRE_SHARE * size:
            yield (
                f"camera.{name} is {centre:g} in a picture of {camera.width_px}x{camera.height_px}: the lens's centre "
                "lies near the picture's; correct the calibration (pixels of this picture size, cx and cy not swapped)."
            )
    mount = np.array(camera.rotation_camera_to_body, dtype=float)
    turned = mount.shape == (3, 3) and np.allclose(mount @ mount.T, np.eye(3), atol=1e-3)
    if not turned or np.linalg.det(mount) < 0.0:
        yield (
            "camera.rotation_camera_to_body is no rotation: give three rows of three numbers, the camera's axes in the "
            "body's, right-handed."
        )


def refusal_of(step: Callable[[], Any]) -> list[str]:
    """What a step refuses, in its own words."""
    try:
        step()
    except UserError as error:
        return [str(error)]
    return []
