"""The provisioned cache of a flight: verified before anything else is started, or the flight does not start."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.provisioning.cache_manifest import CacheBody
from gps_denied_onboard.provisioning.companion_memory import memory_of, remember
from gps_denied_onboard.provisioning.manifest import MANIFEST_FILE
from gps_denied_onboard.provisioning.overview_build import OVERVIEW_FOLDER
from gps_denied_onboard.provisioning.provision import CALIBRATION_FOLDER, MODELS_FOLDER, TERRAIN_FOLDER
from gps_denied_onboard.provisioning.trusted_keys import read_trusted_keys
from gps_denied_onboard.provisioning.verify import CacheNotTrustedError, Expected, read_artefact, verify_cache
from gps_denied_onboard.runtime_root.strategies import Composition
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_onboard.tiles.overview import Overview, OverviewHeader
from gps_denied_onboard.tiles.sources import StoreTileSource
from gps_denied_onboard.tiles.terrain_file import TerrainFileError, read_terrain
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.folders import inside


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The configuration with what the cache brings, the map (the signed tiles and nothing else of the store), and the
    heights of the ground, None where the cache holds none."""

    config: Config
    mosaic: MapMosaic
    terrain: TerrainGrid | None


def open_provisioned(
    config: Config, composition: Composition, stack: ExitStack, *, flying: bool = False, remembering: bool = True
) -> Provisioned | None:
    """The cache that `mission.manifest` names, verified; None where none is named. What it opens, `stack` closes.

    flying: it must be made for this companion, for no other mission than the configuration names, and not be older than
    one that was verified here before; its counter is remembered, but by a mere check (`remembering` false). A replay
    reads whatever was signed.
    CacheNotTrustedError with every fault; UserError where the configuration does not fit the cache.
    """
    mission = config.mission
    if not mission.manifest:
        return None
    manifest = Path(mission.manifest)
    if manifest.name != MANIFEST_FILE:
        raise UserError(f"mission.manifest is {manifest}: give the {MANIFEST_FILE} of a provisioned cache.")
    if not mission.trusted_keys:
        raise UserError("mission.manifest needs mission.trusted_keys: the folder of the keys that it may be signed by.")
    if not (config.map.use_store and config.map.directory):
        raise UserError("mission.manifest needs map.use_store = true and map.directory: the store that it covers.")
    from gps_denied_onboard.tiles.store import TileStore

    trusted = read_trusted_keys(Path(mission.trusted_keys))
    store = stack.enter_context(TileStore.open(Path(config.map.directory)))
    cache = manifest.parent
    expected = Expected(composition.sha256)
    if flying:
        memory = memory_of(store.root)
        expected = Expected(composition.sha256, memory.companion_id, memory.counter, mission.mission_id)
    body = verify_cache(cache, trusted, store, expected)
    unfit = list(_unfit(config, body, cache))
    if unfit:
        raise CacheNotTrustedError(cache, unfit)
    if flying and remembering:
        remember(store.root, body.counter)
    headers = [OverviewHeader(body.zoom, s.column, s.row, s.sha256) for s in body.squares]
    squares = {(s.column, s.row): s.sha256 for s in body.squares}
    source = StoreTileSource(store, body.source, body.zoom, squares)
    digests = {artefact.path.removeprefix(f"{OVERVIEW_FOLDER}/"): artefact.sha256 for artefact in body.artefacts}
    overview = Overview(cache / OVERVIEW_FOLDER, headers, digests)
    mosaic = MapMosaic(source, config.map.cache_mb * 1024 * 1024, body.downgraded, overview)
    return Provisioned(_with_cache(config, body, cache), mosaic, signed_terrain(body, cache))


def _unfit(config: Config, body: CacheBody, cache: Path) -> list[str]:
    """In what the configuration contradicts a verified cache."""
    out = []
    if (config.map.source, config.map.zoom) != (body.source, body.zoom):
        out.append(
            f"it is for map '{body.source}' at zoom {body.zoom}, the configuration flies '{config.map.source}' at zoom "
            f"{config.map.zoom}"
        )
    latitude_deg, longitude_deg = config.mission.origin_latitude_deg, config.mission.origin_longitude_deg
    west, south, east, north = body.bbox_deg
    if math.isfinite(latitude_deg) and not (west <= longitude_deg <= east and south <= latitude_deg <= north):
        turned = west <= latitude_deg <= east and south <= longitude_deg <= north
        swapped = ": latitude and longitude are swapped" if turned else ""
        at = f"{latitude_deg}, {longitude_deg}"
        out.append(f"the configuration's origin {at} lies outside of the mission's box{swapped}")
    if config.camera is not None and config.camera != _camera(body, cache):
        out.append("the configuration's [camera] is not the calibration that was provisioned")
    names = (OverviewHeader(body.zoom, s.column, s.row, s.sha256).file_name for s in body.squares)
    listed = {artefact.path for artefact in body.artefacts_of(OVERVIEW_FOLDER)}
    if {f"{OVERVIEW_FOLDER}/{name}" for name in names} != listed:
        out.append("its coarse map levels are not those of its tiles")
    if config.strategies.matching == "learned" and not body.artefacts_of(MODELS_FOLDER):
        out.append("it holds no models for the learned matcher, which the configuration flies")
    return out


def _with_cache(config: Config, body: CacheBody, cache: Path) -> Config:
    mission, inference = config.mission, config.inference
    if not math.isfinite(mission.origin_latitude_deg) or not math.isfinite(mission.origin_longitude_deg):
        mission = replace(
            mission, origin_latitude_deg=body.origin_latitude_deg, origin_longitude_deg=body.origin_longitude_deg
        )
    models = body.artefacts_of(MODELS_FOLDER)
    if models:
        listed = next((a for a in models if a.path.endswith(f"/{MANIFEST_FILE}")), None)
        if listed is None:
            raise CacheNotTrustedError(cache, ["it holds models without their manifest"])
        folder = str((cache / listed.path).parent)
        inference = replace(inference, models_directory=folder, manifest="", manifest_sha256=listed.sha256)
    return replace(config, mission=mission, inference=inference, camera=config.camera or _camera(body, cache))


def signed_terrain(body: CacheBody, cache: Path) -> TerrainGrid | None:
    """The heights of a verified cache, mapped and compared as they are mapped; None where it holds none.

    CacheNotTrustedError where the file was exchanged since it was verified, or is none.
    """
    found = body.artefacts_of(TERRAIN_FOLDER)
    if not found:
        return None
    if len(found) > 1:
        raise CacheNotTrustedError(cache, [f"it holds {len(found)} files of heights, not one"])
    try:
        return read_terrain(inside(cache, *found[0].path.split("/")), found[0].sha256)
    except (TerrainFileError, UntrustedError) as error:
        raise CacheNotTrustedError(cache, [str(error)]) from None


def _camera(body: CacheBody, cache: Path) -> CameraModel:
    found = body.artefacts_of(CALIBRATION_FOLDER)
    if len(found) != 1:
        raise CacheNotTrustedError(cache, [f"it holds {len(found)} camera calibrations, not one"])
    tree = orjson.loads(read_artefact(cache, found[0]))
    rows = tree.pop("rotation_camera_to_body")
    return CameraModel(
        **tree | {"distortion": tuple(tree["distortion"]), "rotation_camera_to_body": tuple(map(tuple, rows))}
    )
