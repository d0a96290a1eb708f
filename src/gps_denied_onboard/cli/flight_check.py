"""Everything in a configuration that `run` would refuse, found without starting anything: no link, no camera.

`flight_findings` looks at the values and at what they name: map, cache, keys, models, video. What `run` would take and
regret is told apart.
"""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from gps_denied_onboard.autopilot.transport import opener
from gps_denied_onboard.config import Config, MissionConfig
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import check_latitude_longitude
from gps_denied_onboard.geometry.grid_heights import grid_heights_amsl_m
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.recorder.meta import unix_ns_from_iso
from gps_denied_onboard.runtime_root.strategies import Composition, resolve
from gps_denied_onboard.runtime_root.value_check import refusal_of, value_problems

APART_SIGMAS = 2.0
CHOICES = ("odometry", "place", "matching", "pose", "fusion", "autopilot")


@dataclass(frozen=True, slots=True)
class Findings:
    """What keeps `run` from starting, and what it would start with and regret; one sentence each."""

    problems: list[str]
    regrets: list[str]


def flight_findings(config: Config, composition: Composition) -> Findings:
    """Everything that keeps `run` from starting with this configuration, and what it would regret.

    Not looked at: whether a camera device gives pictures, and whether the autopilot answers.
    """
    from gps_denied_onboard.live.service import missing_for_flight

    out = list(value_problems(config))
    for choice in CHOICES:
        out += refusal_of(partial(resolve, choice, getattr(config.strategies, choice), composition))
    out += missing_for_flight(config)
    out += _model_problems(config, composition, opened=not config.mission.manifest)  # else they are those of the cache
    out += _link_problems(config, composition)
    out += refusal_of(lambda: _check_source(config))
    regrets: list[str] = []
    out += _map_problems(config, composition, regrets)
    return Findings(list(dict.fromkeys(out)), regrets)


def replay_problems(config: Config, composition: Composition) -> list[str]:
    """What is wrong for a replay, which takes camera, map, origin and link from its recording."""
    out = list(value_problems(config))
    for choice in CHOICES:
        out += refusal_of(partial(resolve, choice, getattr(config.strategies, choice), composition))
    return [*out, *_model_problems(config, composition, opened=True)]


def _model_problems(config: Config, composition: Composition, *, opened: bool) -> list[str]:
    """What the matcher's models lack: a runtime for them and, where they are to be `opened`, files as listed."""
    from gps_denied_onboard.runtime_root.matchers import model_shapes, open_models

    if refusal_of(partial(resolve, "matching", config.strategies.matching, composition)):
        return []  # told as a choice
    if not model_shapes(config, composition):
        return []
    out = refusal_of(lambda: resolve("inference", config.strategies.inference, composition))
    return [*out, *(refusal_of(lambda: open_models(config)) if opened else [])]


def _link_problems(config: Config, composition: Composition) -> list[str]:
    """Keys, ids and what the link's strategy refuses; nothing is opened before the first poll."""
    from gps_denied_onboard.live.links import build_links

    out = []
    for keys in (config.autopilot, config.gcs):
        out += refusal_of(partial(_check_key, keys.signing_key, keys.signing_state))
    addresses = [config.autopilot.address, *([config.gcs.address] if config.gcs.address else [])]
    if all(address and not refusal_of(partial(opener, address)) for address in addresses):
        out += refusal_of(lambda: build_links(config, composition).close())
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


def _map_problems(config: Config, composition: Composition, regrets: list[str]) -> list[str]:
    """The provisioned cache, verified as `run` does, or else the map, and whether it reaches the flight's origin.

    regrets: gets how the configured ground differs from that of the cache."""
    from gps_denied_onboard.live.candidate_worker import build_candidate_writer
    from gps_denied_onboard.runtime_root.build import World, check_map_reaches, open_map
    from gps_denied_onboard.runtime_root.provisioned_cache import open_provisioned

    if not (config.map.directory and Path(config.map.directory).is_dir()):
        return []
    with ExitStack() as stack:
        try:
            provisioned = open_provisioned(config, composition, stack, flying=True, remembering=False)
            mosaic = open_map(config, stack) if provisioned is None else provisioned.mosaic
        except UserError as error:
            return [str(error)]
        mission = (config if provisioned is None else provisioned.config).mission
        camera = (config if provisioned is None else provisioned.config).camera
        if camera is None or refusal_of(lambda: check_latitude_longitude(
            mission.origin_latitude_deg, mission.origin_longitude_deg, "origin")):  # fmt: skip
            return []
        from gps_denied_onboard.geometry.geodesy import LocalFrame
        from gps_denied_onboard.tiles.grid import flight_uuid

        local = LocalFrame(mission.origin_latitude_deg, mission.origin_longitude_deg, mission.ground_altitude_amsl_m)
        terrain = None if provisioned is None else provisioned.terrain
        world = World(local, mission.ground_altitude_amsl_m, mission.ground_sigma_m, camera, terrain)
        if terrain is not None:
            regrets += ground_regrets(mission, terrain)
        zero: int | None = None
        if mission.utc_at_zero and not list(value_problems(replace(config, camera=None))):
            zero = unix_ns_from_iso(mission.utc_at_zero)
        return [
            *refusal_of(lambda: check_map_reaches(mosaic, world)),
            *refusal_of(lambda: build_candidate_writer(config, world, flight_uuid("check"), zero, stack, None)),
        ]


def ground_regrets(mission: MissionConfig, terrain: TerrainGrid) -> list[str]:
    """How the configured altitude of the ground differs from the heights under the origin; nothing where it fits."""
    place = (np.array(mission.origin_latitude_deg), np.array(mission.origin_longitude_deg))
    height_m = float(grid_heights_amsl_m(terrain, *place))
    if not math.isfinite(height_m):
        return [
            "the cache's heights have a hole at the origin, or do not reach it, so that the ground altitude cannot be "
            "checked: import heights of the place and build the cache again."
        ]
    asked_m = mission.ground_altitude_amsl_m
    sigma_m = math.hypot(terrain.sigma_m, mission.ground_sigma_m)
    if abs(height_m - asked_m) <= APART_SIGMAS * sigma_m:
        return []
    return [
        f"mission.ground_altitude_amsl_m is {asked_m:.1f} m, the cache's heights say {height_m:.1f} m at the origin "
        f"(sigma {terrain.sigma_m:.1f} m): check both; above mean sea level, in metres, is meant."
    ]
