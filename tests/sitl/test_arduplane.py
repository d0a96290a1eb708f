"""A real ArduPlane flies its mission on our positions alone, and is not led astray by a forged receiver.

Needs ARDUPLANE_SITL, the path of an ArduPlane simulator (`arduplane` of a build for the board `sitl`).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from gps_denied_onboard.messages import FloatArray

from .arduplane import ArduPlane, binary_from_environment
from .camera import ROOT, Camera
from .claims import claims
from .companion import Companion, measured_delay_s, mission_lines, write_config
from .mission import off_track_m, round_trip
from .scene import Scene

BINARY = "ARDUPLANE_SITL"
MINUTES = "GPS_DENIED_SITL_MINUTES"
OUT = "GPS_DENIED_SITL_OUT"
MAP = "GPS_DENIED_SITL_MAP"
SHIPPED = ROOT / "_docs" / "autopilot" / "arduplane.param"

HEIGHT_M = 400.0
CORNERS_EN_M: FloatArray = np.array([[1500.0, -200.0], [1500.0, 1000.0], [-300.0, 1000.0], [-300.0, -200.0]])
SCENE = Scene(11, 48.3, 37.2, 120.0, (-300.0, -200.0), (1500.0, 1000.0), HEIGHT_M)
MAP_AROUND_M = 600.0
WIND = {"SIM_WIND_SPD": 5.0, "SIM_WIND_DIR": 240.0, "SIM_WIND_TURB": 1.0}
ON_GPS_S = 60.0
ANSWERS_S = 2.0
"""An answer with a parameter's old value may come after the word of its change."""
FORGED_NORTH_M = 500.0
FORGED_S = 75.0
FORCE_ARM = 21196
"""Second argument of MAV_CMD_COMPONENT_ARM_DISARM that passes over the checks, by its definition."""
OURS, REAL = 0, 1
"""GPS_PRIMARY: as the shipped parameter file has it."""

NEEDS_ARDUPLANE = [
    pytest.mark.slow,
    pytest.mark.skipif(
        binary_from_environment(BINARY) is None, reason=f"{BINARY} does not name an ArduPlane simulator"
    ),
]
pytestmark = NEEDS_ARDUPLANE


@dataclass
class Flight:
    """What runs together, and when each part of the flight began (monotonic ns)."""

    plane: ArduPlane
    companion: Companion
    recordings: Path
    camera: Camera
    began: dict[str, int] = field(default_factory=dict)

    def mark(self, what: str) -> None:
        self.began[what] = time.monotonic_ns()

    def positions_en_m(self, since: str, until: str) -> FloatArray:
        """(N, 2) where the aircraft truly was."""
        low, high = self.began[since], self.began[until]
        return np.array([p.position_enu_m[:2] for p in self.plane.track.poses if low <= p.t_ns < high])

    def heard(self, kind: str, since: str, until: str) -> list[tuple[int, Any]]:
        return [(t, m) for t, m in self.plane.heard[kind] if self.began[since] <= t < self.began[until]]

    def fly(self, seconds: float) -> None:
        """Let it fly on; fails as soon as the companion has ended."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            assert self.companion.runs, "the companion has ended in flight"
            time.sleep(0.5)


@pytest.fixture
def flight(tmp_path: Path) -> Iterator[Flight]:
    """Simulator, camera and companion, with the shipped parameters loaded and the companion's position taken."""
    with flying(tmp_path) as made:
        yield made


@contextmanager
def flying(
    tmp_path: Path,
    wind: Mapping[str, float] = WIND,
    takeoff_off_en_m: tuple[float, float] = (0.0, 0.0),
    ground_off_m: float = 0.0,
) -> Iterator[Flight]:
    """The parts of a flight together; the companion is told a take-off place and a ground that are off by so much."""
    binary = binary_from_environment(BINARY)
    assert binary is not None
    map_folder = Path(os.environ.get(MAP, tmp_path / "map"))
    SCENE.write_map(map_folder, MAP_AROUND_M)
    camera = Camera(SCENE, tmp_path / "camera.log")
    plane = ArduPlane(binary, tmp_path / "plane", SCENE.frame(), 90.0, camera.tell)
    companion = None
    try:
        plane.watch()
        plane.load(SHIPPED)
        for name, value in wind.items():
            plane.set_parameter(name, value)
        plane.restart()
        link = f'[autopilot]\naddress = "udpin:127.0.0.1:{plane.companion_port}"\n'
        delay_s = measured_delay_s(camera.url)
        latitude, longitude, _ = SCENE.frame().geodetic_from_enu(np.array([*takeoff_off_en_m, 0.0]))
        ground_m, ground_sigma_m = SCENE.ground_level()
        mission = mission_lines(float(latitude), float(longitude), ground_m + ground_off_m, ground_sigma_m)
        frames = f'source = "{camera.url}"\nexposure_delay_s = {delay_s:.4f}\n'
        config = write_config(
            tmp_path / "flight.toml", SCENE.camera()[1], map_folder, f"{mission}takeoff_known = true\n", frames, link
        )
        companion = Companion(config, tmp_path / "flight.log")
        yield Flight(plane, companion, tmp_path / "flights", camera)
    finally:
        if companion is not None:
            companion.end()
        plane.close()
        camera.close()


def take_off(flight: Flight, forced: bool = False) -> None:
    """Armed on all of its checks (or `forced`), by the mission's own take-off, to the mission's height."""
    plane = flight.plane
    plane.upload(round_trip(SCENE.frame(), CORNERS_EN_M, HEIGHT_M))
    plane.command(mavlink.MAV_CMD_COMPONENT_ARM_DISARM, 1, FORCE_ARM if forced else 0, timeout_s=120.0)
    plane.command(mavlink.MAV_CMD_DO_SET_MODE, mavlink.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED, 10)  # AUTO
    end_s = time.monotonic() + 240.0
    while plane.track.poses[-1].position_enu_m[2] < HEIGHT_M - 10.0:
        assert time.monotonic() < end_s, f"not at its height: {plane.track.poses[-1].position_enu_m}"
        time.sleep(0.5)


def follows(plane: ArduPlane, wanted: int, within_s: float) -> float:
    """Wait until the autopilot follows this receiver; returns after how many seconds."""
    began_s = time.monotonic()
    while plane.parameter("GPS_PRIMARY") != wanted:
        assert time.monotonic() < began_s + within_s, f"the autopilot does not follow GPS {wanted + 1}"
    return time.monotonic() - began_s


def spread(values: FloatArray) -> dict[str, float]:
    """Median, 95th percentile and maximum, in decimetres."""
    return {
        "median": round(float(np.median(values)), 1),
        "p95": round(float(np.percentile(values, 95)), 1),
        "max": round(float(values.max()), 1),
        "samples": len(values),
    }


def receiver_errors_m(flight: Flight, kind: str, since: str, until: str) -> FloatArray:
    """(N,) horizontal distance of what a message says from where the aircraft truly was then."""
    home, out = SCENE.frame(), []
    for t_ns, m in flight.heard(kind, since, until):
        pose = flight.plane.track.at_ns(t_ns)
        if pose is not None:
            said = home.enu_from_geodetic(m.lat / 1e7, m.lon / 1e7, SCENE.home_altitude_m)
            out.append(math.hypot(*(np.asarray(said)[:2] - pose.position_enu_m[:2])))
    return np.array(out)


def our_claims(flight: Flight, since: str, until: str) -> dict[str, Any]:
    """Our recorded positions from the truth, along and across the track, and how many had it in their 95 % ellipse."""
    told = claims(flight.recordings, flight.plane.track, SCENE.frame(), flight.began[since], flight.began[until])
    return {
        "off_m": spread(told.off_m),
        "along_m": spread(np.abs(told.along_m)),
        "across_m": spread(np.abs(told.across_m)),
        "sigma_m": spread(told.sigma_m),
        "in_95_percent": round(100.0 * float(told.inside.mean()), 1),
        "hazardous": int(told.hazardous.sum()),
    }


def clock_lost_s(flight: Flight, since: str, until: str) -> float:
    """By how much the simulator's clock fell behind ours."""
    behind_ns = [t - m.time_boot_ms * 1_000_000 for t, m in flight.heard("GLOBAL_POSITION_INT", since, until)]
    return round(float(min(behind_ns[-20:]) - min(behind_ns[:20])) / 1e9, 3)


def figures(flight: Flight) -> dict[str, Any]:
    """Distances from the mission's legs, and how far positions were off, in metres."""
    parts = {"on_gps": ("at_height", "jammed"), "denied": ("jammed", "forged"), "forged": ("forged", "ended")}
    return {
        "denied_s": round((flight.began["forged"] - flight.began["jammed"]) / 1e9),
        **{
            f"off_track_{name}_m": spread(off_track_m(CORNERS_EN_M, flight.positions_en_m(*part)))
            for name, part in parts.items()
        },
        "ours_denied": our_claims(flight, "jammed", "forged"),
        "ours_forged": our_claims(flight, "forged", "ended"),
        "echo_off_m": spread(receiver_errors_m(flight, "GPS_RAW_INT", "jammed", "ended")),
        "autopilot_off_m": spread(receiver_errors_m(flight, "GLOBAL_POSITION_INT", "jammed", "ended")),
        "clock_lost_s": clock_lost_s(flight, "jammed", "ended"),
    }


def tell(found: dict[str, Any]) -> None:
    line = json.dumps(found)
    print(line)
    if out := os.environ.get(OUT):
        Path(out).write_text(line + "\n")


def test_a_jammed_and_then_forged_receiver_leads_it_nowhere(flight: Flight) -> None:
    """Ten minutes of AUTO on our output alone stay on the legs; a receiver that is back 500 m off is not followed."""
    plane = flight.plane
    minutes = float(os.environ.get(MINUTES, "10"))
    take_off(flight)
    flight.mark("at_height")
    flight.fly(ON_GPS_S)
    follows(plane, REAL, 120.0)
    plane.set_parameter("SIM_GPS1_JAM", 1)
    flight.mark("jammed")
    left_after_s = follows(plane, OURS, 20.0)
    flight.fly(ANSWERS_S)
    flight.mark("taken")
    flight.fly(60.0 * minutes)
    plane.set_parameter("SIM_GPS1_GLTCH_X", FORGED_NORTH_M / 111_200.0)
    plane.set_parameter("SIM_GPS1_JAM", 0)
    flight.mark("forged")
    flight.fly(FORGED_S)
    flight.mark("ended")
    flight.companion.end()
    found = {"left_after_s": round(left_after_s, 1), **figures(flight)}
    tell(found)
    told = [m for _, m in flight.heard("PARAM_VALUE", "taken", "ended") if m.param_id == "GPS_PRIMARY"]
    assert {m.param_value for m in told} <= {float(OURS)}
    assert plane.parameter("GPS_PRIMARY") == OURS
    real = receiver_errors_m(flight, "GPS2_RAW", "forged", "ended")
    assert np.median(real[len(real) // 2 :]) > 0.9 * FORGED_NORTH_M  # it was forged indeed
    assert found["off_track_denied_m"]["p95"] < 60.0
    assert found["off_track_denied_m"]["max"] < 200.0
    assert found["off_track_forged_m"]["max"] < 200.0
