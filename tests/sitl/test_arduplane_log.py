"""A real ArduPlane flight as its owner has it afterwards: logs and pictures; a replay is as good as the flight was.

Needs ARDUPLANE_SITL, as test_arduplane.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pymavlink.DFReader import DFReader_binary
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from gps_denied_onboard.config import load_config
from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU, matrix_from_quaternion
from gps_denied_onboard.messages import NavState, Output
from gps_denied_onboard.pipeline_parts import PipelineObserver
from gps_denied_onboard.replay.recording import replay_recording
from gps_denied_operator.logs.importer import ImportRequest, import_log
from gps_denied_operator.logs.open_log import open_log
from gps_denied_sim.recording import TILE_SOURCE

from .camera import Drawing
from .claims import Claims, claims, claims_of
from .companion import camera_lines
from .test_arduplane import MAP, MINUTES, NEEDS_ARDUPLANE, SCENE, WIND, Flight, flying, spread, take_off, tell
from .truth import Pose, Track

CAMERA = {"CAM1_TYPE": 1.0}
"""A camera that the autopilot itself triggers."""
PICTURES_HZ = 1.0
TELEMETRY_HZ = {"RAW_IMU": 50.0, "ATTITUDE": 25.0, "VFR_HUD": 10.0, "SCALED_PRESSURE": 10.0, "SYSTEM_TIME": 1.0}
SETTLING_S = 20.0
"""The replay starts with the first picture: as long is not scored of both."""
WORSE_SHARE = 1.1
INSIDE_PERCENT = 93.0
WRITING_S = 3.0
"""The autopilot writes its log from a buffer."""

pytestmark = NEEDS_ARDUPLANE


class _Positions(PipelineObserver):
    """Every position of a replay."""

    def __init__(self) -> None:
        self.states: list[NavState] = []

    def on_output(self, told: Output) -> None:
        if isinstance(told, NavState):
            self.states.append(told)


def of_the_simulator(log: Path) -> tuple[Track, list[int]]:
    """The aircraft's true track and when its pictures were taken, ns of the dataflash log's own clock."""
    home, track, taken = SCENE.frame(), Track(kept=1_000_000), []
    reader = DFReader_binary(str(log))
    while (m := reader.recv_match(type=["SIM", "CAM"])) is not None:
        if m.get_type() == "CAM":
            taken.append(m.TimeUS * 1000)
            continue
        position = np.asarray(home.enu_from_geodetic(m.Lat, m.Lng, m.Alt), dtype=float)
        rotation = ROTATION_NED_TO_ENU @ matrix_from_quaternion((m.Q1, m.Q2, m.Q3, m.Q4))
        track.add(Pose(m.TimeUS * 1000, position, rotation))
    reader.close()
    return track, taken


def draw(track: Track, taken_ns: Sequence[int], folder: Path) -> None:
    """What the camera saw at each of its moments, as numbered pictures without a time."""
    drawing = Drawing(SCENE, kept=1_000_000)
    for pose in track.poses:
        drawing.track.add(pose)
    folder.mkdir()
    for index, t_ns in enumerate(taken_ns):
        jpeg = drawing.picture(t_ns, index)
        assert jpeg is not None, f"no pose is known for picture {index}"
        (folder / f"{index:05d}.jpg").write_bytes(jpeg)


def shifted(track: Track, by_ns: int) -> Track:
    """The same track on another clock."""
    out = Track(kept=1_000_000)
    for pose in track.poses:
        out.add(Pose(pose.t_ns + by_ns, pose.position_enu_m, pose.rotation_body_to_enu))
    return out


def replayed(log: Path, photos: Path, out: Path, map_folder: Path, track: Track, taken_ns: Sequence[int]) -> Claims:
    """Import a log with its pictures, replay it, and hold its positions against the true track."""
    camera_ns = open_log(log).camera_ns
    assert len(camera_ns) == len(taken_ns)
    shift_ns = round(float(np.median(np.array(camera_ns) - np.array(taken_ns))))
    told = import_log(ImportRequest(log, out, photos=photos, maps=(map_folder,), ground_m=SCENE.ground_level()[0]))
    print(json.dumps({key: told[key] for key in ("format", "frames", "aligned_by", "offset_sigma_s", "notes")}))
    assert told["frames"] == len(taken_ns)
    config = out.with_suffix(".toml")
    config.write_text(camera_lines(SCENE.camera()[1]))
    seen = _Positions()
    replay_recording(out, load_config(config), None, None, (seen,))
    begin_ns = taken_ns[0] + shift_ns + round(SETTLING_S * 1e9)
    end_ns = taken_ns[-1] + shift_ns
    states = [state for state in seen.states if begin_ns <= state.t_ns <= end_ns]
    return claims_of(states, shifted(track, shift_ns), SCENE.frame())


def figures(found: Claims) -> dict[str, Any]:
    return {
        "off_m": spread(found.off_m),
        "median_off_m": round(float(np.median(found.off_m)), 3),
        "sigma_m": spread(found.sigma_m),
        "in_95_percent": round(100.0 * float(found.inside.mean()), 1),
        "hazardous": int(found.hazardous.sum()),
    }


def fly(flight: Flight, telemetry: Path) -> dict[str, Any]:
    """Up, and around with a picture a second; what the companion claimed live."""
    plane = flight.plane
    plane.keep_telemetry(telemetry, TELEMETRY_HZ)
    take_off(flight)
    plane.command(mavlink.MAV_CMD_IMAGE_START_CAPTURE, 0, 1.0 / PICTURES_HZ, 0)
    flight.fly(SETTLING_S)
    flight.mark("at_height")
    flight.fly(60.0 * float(os.environ.get(MINUTES, "3")))
    flight.mark("ended")
    plane.command(mavlink.MAV_CMD_IMAGE_STOP_CAPTURE, 0)
    flight.fly(WRITING_S)
    flight.companion.end()
    began = flight.began
    return figures(claims(flight.recordings, plane.track, SCENE.frame(), began["at_height"], began["ended"]))


def test_a_replay_of_the_logs_is_as_good_as_the_flight(tmp_path: Path) -> None:
    """The .bin with its pictures: the median error is within a tenth of the flight's; the .tlog alone with them: honest
    at its rates, which are less than the companion's own.

    The first receiver in both is what the companion fed: it must not be taken for the truth.
    """
    with flying(tmp_path, {**WIND, **CAMERA}) as flight:
        live = fly(flight, tmp_path / "flight.tlog")
    log = max((tmp_path / "plane" / "logs").glob("*.BIN"), key=lambda path: path.stat().st_size)
    track, taken_ns = of_the_simulator(log)
    draw(track, taken_ns, tmp_path / "photos")
    map_folder = Path(os.environ.get(MAP, tmp_path / "map"))
    found: dict[str, Any] = {"live": live}
    for name, path in (("bin", log), ("tlog", tmp_path / "flight.tlog")):
        copy = tmp_path / f"flown-{name}{path.suffix.lower()}"
        copy.write_bytes(path.read_bytes())
        found[name] = figures(
            replayed(copy, tmp_path / "photos", tmp_path / name, map_folder / TILE_SOURCE, track, taken_ns)
        )
        assert any("second one was taken" in note for note in open_log(copy).notes)
    tell(found)
    assert found["bin"]["median_off_m"] <= WORSE_SHARE * live["median_off_m"]
    for name in ("bin", "tlog"):
        assert found[name]["hazardous"] == 0
        assert found[name]["in_95_percent"] >= INSIDE_PERCENT
