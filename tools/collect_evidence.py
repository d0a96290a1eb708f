"""Right and wrong places with their features, for tools/fit_evidence.py: one line of JSON a place.

    .venv/bin/python tools/collect_evidence.py --shared ../shared/data --recordings build/recordings \\
        --out build/evidence.jsonl

Every set of photographs is searched on its own map, where it has one, and on those of the other sets and of two
recordings, where no place is right; every recording of the simulator (`gps-denied-sim fly`) on its own tiles, on those
of the next one and on the map of a set. Heading and height are told with errors of 5 degrees and 8 %, with no position,
and for some with one that is 30 m off.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import orjson

from gps_denied_onboard.config import Config, StrategyNames
from gps_denied_onboard.frames.folder import FolderSource
from gps_denied_onboard.frames.photo_info import PhotoInfo
from gps_denied_onboard.frames.recording import RecordingFrames
from gps_denied_onboard.frames.video import VideoSource
from gps_denied_onboard.geometry.camera import NADIR_CAMERA_TO_BODY, CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import (
    ROTATION_NED_TO_ENU,
    exp_rotation,
    matrix_from_quaternion,
    nadir_camera_to_enu,
    rotation_z,
)
from gps_denied_onboard.geometry.terrain import FlatTerrain
from gps_denied_onboard.inference.config import InferenceConfig
from gps_denied_onboard.localisation.localiser import Examined, Localiser
from gps_denied_onboard.localisation.matching.map_projector import MapProjector
from gps_denied_onboard.localisation.place_search import GridPlace
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame
from gps_denied_onboard.provisioning.model_folder import write_manifest
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import read_meta, tiles_inside
from gps_denied_onboard.runtime_root.matchers import build_matcher
from gps_denied_onboard.runtime_root.strategies import load_composition
from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_onboard.tiles.sources import DirectoryTileSource
from gps_denied_operator.evaluate.photo_fov import view_of_photos
from gps_denied_operator.evaluate.photo_options import camera_for
from gps_denied_operator.evaluate.photos_run import map_box_deg
from gps_denied_operator.tiles.direct import open_tile_source

YAW_SIGMA_RAD, HEIGHT_SIGMA, TILT_SIGMA_RAD, POSITION_SIGMA_M = math.radians(5.0), 0.08, 0.06, 30.0
UNKNOWN_YAW_RAD = 9.0
PLACES = 3

PHOTOS: dict[str, tuple[str, str, float | None, int]] = {
    "fengyuan": ("fengyuan/photos", "fengyuan/map.tif", 69.0, 1),
    "deervision": ("deervision/photos", "deervision/map.tif", 45.4, 2),
    "islamabad": ("islamabad/flight.mp4", "islamabad/ortho.tif", 65.0, 6),
    "chia": ("chia", "", None, 1),
    "garfield": ("garfield", "", None, 1),
    "caliterra": ("caliterra", "", None, 3),
    "seneca": ("seneca", "", None, 6),
}
"""Pictures, map, horizontal field of view where the metadata's is wrong (see the sets' README), and of how many
pictures one is taken."""
RIGHT_WITHIN = 0.15
"""Part of the frame's ground length: nearer than this to the truth is right (the camera's tilt moves the ground under
the picture's middle). From where on a place is wrong is the fit's to say."""


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """A frame with what is true of it; `position_enu_m` None: nothing on this map is."""

    frame: Frame
    latitude_deg: float
    longitude_deg: float
    height_m: float
    rotation_camera_to_enu: FloatArray


def told_yaw_deg(info: PhotoInfo) -> float:
    """Azimuth of the picture's top by its metadata: its own, else the gimbal's, else the aircraft's; 0 where none says
    anything."""
    return info.yaw_deg or info.camera.gimbal.yaw_deg or info.camera.flight.yaw_deg or 0.0


def looks_of_photos(shared: Path, name: str) -> tuple[CameraModel, list[Appearance]]:
    """The pictures of a real set."""
    pictures, _, fov_deg, every = PHOTOS[name]
    if pictures.endswith(".mp4"):
        video = VideoSource(shared / pictures)
        told = [row.split(",") for row in (shared / name / "truth.csv").read_text().splitlines()[1:]]
        rows = {int(row[0]): row for row in told}
        wanted = set(sorted(rows)[::every])
        camera = CameraModel.from_fov(*video.size_px, fov_deg or 65.0)
        looks = []
        for frame in video:
            if frame.index in wanted:
                row = rows[frame.index]
                yaw = math.radians(90.0 - float(row[6]))
                height_m = float(row[7]) * camera.fx_px
                looks.append(Appearance(frame, float(row[4]), float(row[5]), height_m, nadir_camera_to_enu(yaw)))
        return camera, looks
    source = FolderSource(shared / pictures)
    view, _, _ = view_of_photos(source.photos)
    camera, _ = camera_for(source.size_px, fov_deg, None if view is None else view.fov_deg)
    looks = []
    for frame in source:
        info = source.photos[frame.index]
        if frame.index % every == 0:
            yaw = math.radians(90.0 - told_yaw_deg(info))
            height = info.relative_altitude_m if (info.relative_altitude_m or 0.0) > 20.0 else 110.0
            latitude, longitude = info.latitude_deg or 0.0, info.longitude_deg or 0.0
            looks.append(Appearance(frame, latitude, longitude, height or 110.0, nadir_camera_to_enu(yaw)))
    return camera, looks


def looks_of_recording(folder: Path) -> tuple[CameraModel, list[Appearance]]:
    """The pictures of a simulated flight."""
    meta, reader = read_meta(folder), RecordingReader(folder)
    truth = {sample.t_ns: sample for sample in reader.truth()}
    times = np.array(sorted(truth))
    looks = []
    for frame in RecordingFrames(folder, list(reader.frames()), grey=True):
        sample = truth[int(times[np.abs(times - frame.t_ns).argmin()])]
        body_to_enu = ROTATION_NED_TO_ENU @ matrix_from_quaternion(sample.quaternion_body_to_ned)
        rotation = body_to_enu @ np.array(NADIR_CAMERA_TO_BODY)
        height_m = sample.altitude_amsl_m - meta.origin_altitude_m
        if height_m > 100.0:
            looks.append(Appearance(frame, sample.latitude_deg, sample.longitude_deg, height_m, rotation))
    return meta.camera, looks


def prior_of(
    look: Appearance, local: LocalFrame, near: bool, rng: np.random.Generator, yaw_sigma_rad: float = YAW_SIGMA_RAD
) -> CameraPrior:
    """What a flight would know; a yaw sigma of pi or more: not the heading."""
    height_m = look.height_m * math.exp(HEIGHT_SIGMA * rng.standard_normal())
    turn = rotation_z(YAW_SIGMA_RAD * rng.standard_normal())
    tilt = exp_rotation(np.array([*(0.5 * TILT_SIGMA_RAD * rng.standard_normal(2)), 0.0]))
    position = local.enu_from_geodetic(look.latitude_deg, look.longitude_deg, 0.0) if near else np.zeros(3)
    position = np.array([*(position[:2] + near * POSITION_SIGMA_M * rng.standard_normal(2)), height_m])
    covariance = np.diag([POSITION_SIGMA_M**2] * 2 + [(HEIGHT_SIGMA * height_m) ** 2])
    rotation = turn @ tilt @ look.rotation_camera_to_enu
    return CameraPrior(
        look.frame.t_ns, position, covariance, rotation, TILT_SIGMA_RAD, yaw_sigma_rad, height_m,
        HEIGHT_SIGMA * height_m, near,
    )  # fmt: skip


def lines(
    name: str,
    on: str,
    camera: CameraModel,
    looks: list[Appearance],
    mosaic: MapMosaic,
    own: bool,
    config: Config,
    yaw_sigma_rad: float = YAW_SIGMA_RAD,
) -> Iterator[bytes]:
    """What was found of a set on a map."""
    box = map_box_deg(mosaic)
    local = LocalFrame((box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0, 0.0)
    terrain = FlatTerrain(local, 0.0, 2.0)
    with ExitStack() as closing:
        matcher = build_matcher(config, MapProjector(mosaic, local, terrain, camera), load_composition(), closing)
        place = GridPlace(mosaic, local, config.place)
        localiser = Localiser(camera, place, matcher.matcher, terrain, config.pose)
        rng = np.random.default_rng(len(name) * 1000 + len(on))
        for k, look in enumerate(looks):
            if not own:
                latitude, longitude = rng.uniform(box[:2], box[2:])
                look = replace(look, latitude_deg=float(latitude), longitude_deg=float(longitude))
            for near in (False, True) if k % (4 if own else 2) == 0 else (False,):
                prior = prior_of(look, local, near, rng, yaw_sigma_rad)
                truth = local.enu_from_geodetic(look.latitude_deg, look.longitude_deg, 0.0)[:2]
                length_m = look.height_m * camera.width_px / camera.fx_px
                for one in localiser.examine(look.frame, prior, PLACES):
                    off = math.dist(one.solution.position_enu_m[:2], truth) / length_m if own else math.inf
                    yield line(name, on, look.frame.index, near, one, off, prior)


def few(looks: list[Appearance], most: int) -> list[Appearance]:
    """At most so many of them, evenly over the set."""
    return looks[:: max(1, math.ceil(len(looks) / max(most, 1)))]


def map_of_photos(shared: Path, name: str) -> MapMosaic:
    """The map of a set's place."""
    return MapMosaic(open_tile_source((shared / PHOTOS[name][1],)), cache_bytes=128 << 20)


def map_of_recording(folder: Path) -> MapMosaic:
    """The tiles that a simulated flight had."""
    meta = read_meta(folder)
    source = DirectoryTileSource(tiles_inside(folder, meta) or folder, meta.tiles_zoom)
    return MapMosaic(source, cache_bytes=128 << 20)


def pairs_in(path: Path) -> set[tuple[str, str]]:
    """Set and map of what a collection that was cut short has already."""
    if not path.exists():
        return set()
    return {(told["set"], told["map"]) for told in map(orjson.loads, path.read_bytes().splitlines())}


def line(name: str, on: str, index: int, near: bool, one: Examined, off: float, prior: CameraPrior) -> bytes:
    """One place as a line."""
    log_height = math.log(max(float(one.solution.position_enu_m[2]), 1.0) / prior.height_m)
    told = {
        "set": name, "map": on, "frame": index, "near": near, "rank": one.rank,
        "off": off if math.isfinite(off) else -1.0, "right": off < RIGHT_WITHIN, "features": one.features,
        "log_height": log_height,
    }  # fmt: skip
    return orjson.dumps(told) + b"\n"


def main() -> None:
    """Collect from all sets, or from those that --only names; what --out holds of a set on a map is kept."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--shared", type=Path, required=True)
    options.add_argument("--recordings", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--only", default="")
    options.add_argument("--matching", default="classic")
    options.add_argument("--frames", type=int, default=12, help="of a set on a map of another place, at most")
    options.add_argument("--own-frames", type=int, default=60, help="of a set on its own map, at most")
    options.add_argument("--heading", choices=("told", "none"), default="told")
    told = options.parse_args()
    yaw_sigma_rad = UNKNOWN_YAW_RAD if told.heading == "none" else YAW_SIGMA_RAD
    cv2.setNumThreads(1)
    config = Config(strategies=StrategyNames(matching=told.matching))
    if told.matching == "learned":
        manifest, _ = write_manifest(told.shared / "models", told.out.parent / "models.json")
        inference = InferenceConfig(str(told.shared / "models"), str(manifest))
        config = Config(strategies=config.strategies, inference=inference)
    flights = sorted(p.parent for p in told.recordings.glob("*/recording.json"))
    maps = {name: partial(map_of_photos, told.shared, name) for name, entry in PHOTOS.items() if entry[1]}
    simulated = {folder.name: partial(map_of_recording, folder) for folder in flights}
    further = dict(list(simulated.items())[:: max(1, (len(flights) + 1) // 2)])
    sets = {name: (partial(looks_of_photos, told.shared, name), maps | further) for name in PHOTOS}
    for k, folder in enumerate(flights):
        searched = (folder.name, list(simulated)[(k + 1) % len(flights)], list(maps)[k % len(maps)])
        chosen = {name: opened for name, opened in (simulated | maps).items() if name in searched}
        sets[folder.name] = (partial(looks_of_recording, folder), chosen)
    done = pairs_in(told.out)
    with told.out.open("ab") as out:
        for name, (opened_looks, chosen) in sets.items():
            left = [on for on in chosen if (name, on) not in done]
            if not left or (told.only and name not in told.only.split(",")):
                continue
            camera, looks = opened_looks()
            for on in left:
                own = on == name
                some = few(looks, told.own_frames if own else told.frames)
                out.write(b"".join(lines(name, on, camera, some, chosen[on](), own, config, yaw_sigma_rad)))
                out.flush()


if __name__ == "__main__":
    main()
