"""A real ArduPlane flight as its owner has it afterwards: logs and pictures; a replay is as good as the flight was.

Needs ARDUPLANE_SITL, as test_arduplane.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pymavlink.DFReader import DFReader_binary
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from gps_denied_onboard.config import load_config
from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU, matrix_from_quaternion
from gps_denied_onboard.messages import FixType, FloatArray, NavState, Output
from gps_denied_onboard.pipeline_parts import PipelineObserver
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.replay.recording import replay_recording
from gps_denied_operator.logs.importer import ImportRequest, import_log
from gps_denied_operator.logs.open_log import open_log
from gps_denied_sim.recording import TILE_SOURCE

from .camera import Drawing
from .claims import Claims, claims_of
from .companion import camera_lines
from .test_arduplane import MAP, MINUTES, NEEDS_ARDUPLANE, SCENE, WIND, Flight, flying, spread, take_off, tell
from .truth import Pose, Track

CAMERA = {"CAM1_TYPE": 1.0, "LOG_DISARMED": 1.0}
"""A camera that the autopilot itself triggers, and a log that begins before its first picture."""
PICTURES_HZ = 1.0
TELEMETRY_HZ = {"RAW_IMU": 50.0, "ATTITUDE": 25.0, "VFR_HUD": 10.0, "SCALED_PRESSURE": 10.0, "SYSTEM_TIME": 1.0}
SETTLING_S = 20.0
WORSE_SHARE = 1.1
BLOCK_S = 75.0
"""Errors that are so far apart in time are taken for independent: a leg. What is left of the camera's mount is alike
from one turn to the next."""
NEAR_NS = 60_000_000
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
    """What the camera saw at each of its moments, as numbered pictures without a time; on the ground it is dark."""
    drawing = Drawing(SCENE, kept=1_000_000)
    for pose in track.poses:
        drawing.track.add(pose)
    folder.mkdir()
    for index, t_ns in enumerate(taken_ns):
        assert track.at_ns(t_ns) is not None, f"no pose is known for picture {index}"
        (folder / f"{index:05d}.jpg").write_bytes(drawing.picture(t_ns, index) or drawing.dark)


def replayed(log: Path, photos: Path, out: Path, map_folder: Path, taken_ns: Sequence[int]) -> list[NavState]:
    """Every position of a replay of an imported log with its pictures, on the clock of the moments `taken_ns`."""
    told = import_log(ImportRequest(log, out, photos=photos, maps=(map_folder,), ground_m=SCENE.ground_level()[0]))
    print(json.dumps({key: told[key] for key in ("format", "frames", "aligned_by", "offset_sigma_s", "notes")}))
    assert told["frames"] == len(taken_ns)
    config = out.with_suffix(".toml")
    config.write_text(camera_lines(SCENE.camera()[1]))
    seen = _Positions()
    replay_recording(out, load_config(config), None, None, (seen,))
    shift_ns = round(float(np.median(np.array(open_log(log).camera_ns) - np.array(taken_ns))))
    return [replace(state, t_ns=state.t_ns - shift_ns) for state in seen.states]


def figures(found: Claims) -> dict[str, Any]:
    return {
        "off_m": spread(found.off_m),
        "median_off_m": round(float(np.median(found.off_m)), 3),
        "along_m": round(float(np.median(found.along_m)), 2),
        "across_m": round(float(np.median(found.across_m)), 2),
        "sigma_m": spread(found.sigma_m),
        "in_95_percent": round(100.0 * float(found.inside.mean()), 1),
        "hazardous": int(found.hazardous.sum()),
    }


def fly(flight: Flight, telemetry: Path) -> list[NavState]:
    """Up, and around, with a picture a second from before the start on; what the companion claimed live at its height,
    on the monotonic clock."""
    plane = flight.plane
    plane.keep_telemetry(telemetry, TELEMETRY_HZ)
    plane.command(mavlink.MAV_CMD_IMAGE_START_CAPTURE, 0, 1.0 / PICTURES_HZ, 0)
    take_off(flight)
    flight.fly(SETTLING_S)
    flight.mark("at_height")
    flight.fly(60.0 * float(os.environ.get(MINUTES, "10")))
    flight.mark("ended")
    plane.command(mavlink.MAV_CMD_IMAGE_STOP_CAPTURE, 0)
    flight.fly(WRITING_S)
    flight.companion.end()
    folder = next(path for path in flight.recordings.iterdir() if path.is_dir())
    began = flight.began
    return list(FlightReader(folder).messages({"navstate"}, began["at_height"], began["ended"]))


def paired(
    live: Sequence[NavState], replay: Sequence[NavState], shift_ns: int
) -> tuple[list[NavState], list[NavState]]:
    """The positions of flight and replay, whose clock is behind by `shift_ns`, that are of the same moments."""
    theirs = [state for state in replay if state.fix_type >= FixType.FIX_2D]
    times = np.array([state.t_ns for state in theirs]) + shift_ns
    out: tuple[list[NavState], list[NavState]] = ([], [])
    for state in (state for state in live if state.fix_type >= FixType.FIX_2D):
        k = int(np.argmin(np.abs(times - state.t_ns)))
        if abs(int(times[k]) - state.t_ns) <= NEAR_NS:
            out[0].append(state)
            out[1].append(theirs[k])
    return out


def ratio(live_m: FloatArray, replay_m: FloatArray, blocks: int) -> tuple[float, float, float]:
    """Median error of the replay over that of the flight, and its 95 % interval: whole blocks of time, of both the same
    ones, are drawn again and again."""
    rng = np.random.default_rng(1)
    cuts = np.array_split(np.arange(len(live_m)), blocks)
    drawn = []
    for _ in range(2000):
        at = np.concatenate([cuts[k] for k in rng.integers(0, blocks, blocks)])
        drawn.append(float(np.median(replay_m[at]) / np.median(live_m[at])))
    low, high = np.percentile(drawn, (2.5, 97.5))
    return round(float(np.median(replay_m) / np.median(live_m)), 3), round(float(low), 3), round(float(high), 3)


def test_a_replay_of_the_logs_is_as_good_as_the_flight(tmp_path: Path) -> None:
    """The .bin with its pictures, and the .tlog alone with them: the median error over the same moments is not shown to
    be worse than the flight's by more than a tenth, and the truth is where both say.

    Errors stay alike for a leg, so ten minutes tell the ratio to a fifth or so: what is held against a tenth is the
    lower end of its 95 % interval, and `tell` shows it whole; GPS_DENIED_SITL_MINUTES makes it narrower. Both have
    pictures from before the start on. The first receiver in both logs is what the companion fed: it must not be
    taken for the truth.
    """
    with flying(tmp_path, {**WIND, **CAMERA}) as flight:
        live = fly(flight, tmp_path / "flight.tlog")
        heard_ns = [t_ns for t_ns, _ in flight.plane.heard["CAMERA_FEEDBACK"]]
    log = max((tmp_path / "plane" / "logs").glob("*.BIN"), key=lambda path: path.stat().st_size)
    track, taken_ns = of_the_simulator(log)
    draw(track, taken_ns, tmp_path / "photos")
    shift_ns = round(float(np.median(np.array(heard_ns[-len(taken_ns) :]) - np.array(taken_ns))))
    map_folder = Path(os.environ.get(MAP, tmp_path / "map")) / TILE_SOURCE
    home, flown = SCENE.frame(), flight.plane.track
    found: dict[str, Any] = {"live": figures(claims_of(live, flown, home))}
    for name, path in (("bin", log), ("tlog", tmp_path / "flight.tlog")):
        copy, photos = tmp_path / f"flown-{name}{path.suffix.lower()}", tmp_path / "photos"
        copy.write_bytes(path.read_bytes())
        of_live, of_replay = paired(live, replayed(copy, photos, tmp_path / name, map_folder, taken_ns), shift_ns)
        ours, theirs = claims_of(of_live, flown, home), claims_of(of_replay, track, home)
        blocks = round((live[-1].t_ns - live[0].t_ns) / 1e9 / BLOCK_S)
        found[name] = {**figures(theirs), "ratio": ratio(ours.off_m, theirs.off_m, blocks)}
        assert any("second one was taken" in note for note in open_log(copy).notes)
    tell(found)
    for name in ("bin", "tlog"):
        assert found[name]["ratio"][1] <= WORSE_SHARE
        assert found[name]["hazardous"] == 0
        assert found[name]["in_95_percent"] >= INSIDE_PERCENT
