"""Everything in a configuration that `run` would refuse, found without starting anything: no link, no camera.

`value_problems` looks at the values alone, `flight_problems` also at what they name: map, cache, keys, models, video.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
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
from gps_denied_onboard.runtime_root.strategies import Composition, resolve

CHOICES = ("odometry", "place", "matching", "pose", "fusion", "autopilot")
CENTRE_SHARE = 0.25
"""A lens's centre lies near the picture's; further off than this share of its size, numbers are swapped or missing."""


def value_problems(config: Config) -> Iterator[str]:
    """What is wrong with values by themselves: addresses, times, coordinates, camera, a map folder that is none."""
    for address in filter(None, (config.autopilot.address, config.gcs.address)):
        yield from _said(partial(opener, address))
    mission, frames = config.mission, config.frames
    if mission.utc_at_zero:
        try:
            unix_ns_from_iso(mission.utc_at_zero)
        except ValueError:
            yield f"mission.utc_at_zero must be a time like 2025-07-01T06:00:00Z, got '{mission.utc_at_zero}'."
    origin = (mission.origin_latitude_deg, mission.origin_longitude_deg)
    if not all(map(np.isnan, origin)):
        yield from _said(lambda: check_latitude_longitude(*origin, "mission.origin_latitude_deg, origin_longitude_deg"))
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


def flight_problems(config: Config, composition: Composition) -> list[str]:
    """Everything that keeps `run` from starting with this configuration, one sentence each.

    Not looked at: whether a camera device gives pictures, and whether the autopilot answers.
    """
    from gps_denied_onboard.live.service import missing_for_flight
    from gps_denied_onboard.runtime_root.matchers import CLASSIC, open_models

    out = list(value_problems(config))
    for choice in CHOICES:
        out += _said(partial(resolve, choice, getattr(config.strategies, choice), composition))
    out += missing_for_flight(config)
    if config.strategies.matching != CLASSIC:
        out += _said(lambda: resolve("inference", config.strategies.inference, composition))
        if not config.mission.manifest:  # else the models are those of the cache
            out += _said(lambda: open_models(config))
    out += _link_problems(config, composition)
    out += _said(lambda: _check_source(config))
    out += _map_problems(config, composition)
    return list(dict.fromkeys(out))


def replay_problems(config: Config, composition: Composition) -> list[str]:
    """What is wrong for a replay, which takes camera, map, origin and link from its recording."""
    from gps_denied_onboard.runtime_root.matchers import CLASSIC, open_models

    out = list(value_problems(config))
    for choice in CHOICES:
        out += _said(partial(resolve, choice, getattr(config.strategies, choice), composition))
    if config.strategies.matching != CLASSIC:
        out += _said(lambda: resolve("inference", config.strategies.inference, composition))
        out += _said(lambda: open_models(config))
    return out


def _said(step: Callable[[], Any]) -> list[str]:
    """What a step refuses, in its own words."""
    try:
        step()
    except UserError as error:
        return [str(error)]
    return []


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


def _link_problems(config: Config, composition: Composition) -> list[str]:
    """Keys, ids and what the link's strategy refuses; nothing is opened before the first poll."""
    from gps_denied_onboard.live.links import build_links

    out = []
    for keys in (config.autopilot, config.gcs):
        out += _said(partial(_check_key, keys.signing_key, keys.signing_state))
    addresses = [config.autopilot.address, *([config.gcs.address] if config.gcs.address else [])]
    if all(address and not _said(partial(opener, address)) for address in addresses):
        out += _said(lambda: build_links(config, composition).close())
    return out


def _check_key(key_file: str, state_file: str) -> None:
    from gps_denied_onboard.autopilot.mavlink.signing import open_signing

    signing = open_signing(key_file, state_file)
    if signing is not None:
        signing.forget()


def _check_source(config: Config) -> None:
    """Whether the pictures' source is there; a video has the calibration's size. A device is not opened."""
    from gps_denied_onboard.frames.video import VideoSource
    from gps_denied_onboard.live.frame_reader import VIDEO_PREFIX

    source = config.frames.source
    if source.startswith(VIDEO_PREFIX):
        size_px = VideoSource(Path(source.removeprefix(VIDEO_PREFIX))).size_px
        camera = config.camera
        if camera is not None and size_px != (camera.width_px, camera.height_px):
            raise UserError(
                f"frames.source '{source}' gives {size_px[0]}x{size_px[1]} px, the camera calibration is for "
                f"{camera.width_px}x{camera.height_px}. Give the calibration of this camera mode."
            )
        return
    device = Path(f"/dev/video{source}") if source.isascii() and source.isdigit() else Path(source)
    if not source or ("://" not in source and "!" not in source and not device.exists()):
        raise UserError(
            f"frames.source '{source}' is not there ({device}): plug the camera in, or give its device, a stream's "
            f"address or {VIDEO_PREFIX}FILE."
        )
    if "://" not in source and "!" not in source and not os.access(device, os.R_OK):
        raise UserError(f"frames.source '{source}': this user may not read {device}; add it to the group video.")


def _map_problems(config: Config, composition: Composition) -> list[str]:
    """The provisioned cache, verified as `run` does, or else the map, and whether it reaches the flight's origin."""
    from gps_denied_onboard.live.candidate_worker import build_candidate_writer
    from gps_denied_onboard.runtime_root.build import World, check_map_reaches, open_map
    from gps_denied_onboard.runtime_root.provisioned_cache import open_provisioned

    if not (config.map.directory and Path(config.map.directory).is_dir()):
        return []
    with ExitStack() as stack:
        try:
            provisioned = open_provisioned(config, composition, stack)
            mosaic = open_map(config, stack) if provisioned is None else provisioned.mosaic
        except UserError as error:
            return [str(error)]
        mission = (config if provisioned is None else provisioned.config).mission
        camera = (config if provisioned is None else provisioned.config).camera
        if camera is None or _said(lambda: check_latitude_longitude(
            mission.origin_latitude_deg, mission.origin_longitude_deg, "origin")):  # fmt: skip
            return []
        from gps_denied_onboard.geometry.geodesy import LocalFrame
        from gps_denied_onboard.tiles.grid import flight_uuid

        local = LocalFrame(mission.origin_latitude_deg, mission.origin_longitude_deg, mission.ground_altitude_amsl_m)
        world = World(local, mission.ground_altitude_amsl_m, mission.ground_sigma_m, camera)
        zero: int | None = None
        if mission.utc_at_zero and not list(value_problems(replace(config, camera=None))):
            zero = unix_ns_from_iso(mission.utc_at_zero)
        return [
            *_said(lambda: check_map_reaches(mosaic, world)),
            *_said(lambda: build_candidate_writer(config, world, flight_uuid("check"), zero, stack, None)),
        ]
