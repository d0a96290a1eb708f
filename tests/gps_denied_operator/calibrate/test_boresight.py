"""The camera's mount from a flight: a tilt that was put in is found, and refused where the flight cannot tell it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.config import load_config
from gps_denied_onboard.geometry.camera import NADIR_CAMERA_TO_BODY
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import (
    ROTATION_NED_TO_ENU,
    exp_rotation,
    log_rotation,
    quaternion_from_matrix,
)
from gps_denied_onboard.messages import AttitudeSample, FloatArray, GpsSample, PoseFix, RejectReason
from gps_denied_operator.calibrate.boresight import Look, calibrate_mount, looks_of_flight, mount_toml
from gps_denied_operator.calibrate.errors import CalibrationRefusedError

LOCAL = LocalFrame(48.4, 37.1, 140.0)
NOMINAL = np.array(NADIR_CAMERA_TO_BODY)
TURN_DEG = np.array([3.0, -2.0, 1.0])
SECOND_NS = 1_000_000_000
HEIGHT_M = 700.0


def flight(
    seconds: int = 160, *, turning: bool = True, map_offset_m: float = 0.0, attitude_deg: float = 0.4, seed: int = 0,
    turn_deg: FloatArray = TURN_DEG, gps: dict[str, Any] | None = None,
) -> list[Look]:  # fmt: skip
    """Looks of a flight in legs at right angles. A fix's tilt and place are drawn from one covariance in which they
    are alike; the autopilot's attitude wanders by `attitude_deg` over tens of seconds."""
    rng = np.random.default_rng(seed)
    mount = exp_rotation(np.radians(turn_deg)) @ NOMINAL
    fixes, attitudes, samples = [], [], []
    wander = np.zeros(3)
    for k in range(5 * seconds):
        t_ns = SECOND_NS * 10 + k * SECOND_NS // 5
        leg = (k // 200) % 4 if turning else 0
        heading = leg * math.pi / 2.0
        position = np.array([15.0 * math.sin(heading) * k / 5.0, 15.0 * math.cos(heading) * k / 5.0, HEIGHT_M])
        tilt = np.radians(rng.normal(0.0, 2.0, 2))
        body_ned = exp_rotation(np.array([0.0, 0.0, heading])) @ exp_rotation(np.array([*tilt, 0.0]))
        wander = 0.99 * wander + rng.normal(0.0, math.radians(attitude_deg) * math.sqrt(1 - 0.99**2), 3)
        told = body_ned @ exp_rotation(wander)
        attitudes.append(AttitudeSample(t_ns, quaternion_from_matrix(told)))
        if k % 5 == 0:
            fixes.append(_fix(t_ns + 1, position, ROTATION_NED_TO_ENU @ body_ned @ mount, map_offset_m, rng))
        if k % 2 == 0:
            latitude, longitude, altitude = LOCAL.geodetic_from_enu(position + rng.normal(0.0, 0.8, 3))
            claims: dict[str, Any] = {"fix_type": 3, "satellites": 14, "horizontal_accuracy_m": 0.9} | (gps or {})
            place = (float(latitude), float(longitude), float(altitude))
            samples.append(GpsSample(t_ns, *place, (0.0, 0.0, 0.0), **claims))
    return looks_of_flight(fixes, attitudes, samples, [], LOCAL, NOMINAL)


def _fix(
    t_ns: int, position: FloatArray, rotation: FloatArray, map_offset_m: float, rng: np.random.Generator
) -> PoseFix:
    sigma_tilt, sigma_m = math.radians(1.5), 1.0
    link = np.zeros((6, 6))  # tilt (north up) displaces east, and so on: what a picture over flat ground leaves open
    link[0, 4], link[1, 3] = -HEIGHT_M, HEIGHT_M
    mix = np.eye(6) + link
    own = np.diag([sigma_m**2] * 3 + [sigma_tilt**2, sigma_tilt**2, math.radians(0.3) ** 2])
    covariance = mix @ own @ mix.T
    error = rng.multivariate_normal(np.zeros(6), covariance)
    seen = position + np.array([map_offset_m, 0.0, 0.0]) - error[:3]
    turned = exp_rotation(-error[3:]) @ rotation
    return PoseFix(t_ns, True, RejectReason.NONE, seen, turned, covariance, 60, 80, 1.0, False)


def test_the_tilt_is_found_and_its_uncertainty_holds() -> None:
    """Over two flights the error is within what is claimed: three sigma always, and less than 0.4 degrees."""
    for seed in range(2):
        found = calibrate_mount(flight(seed=seed), NOMINAL)
        off = np.abs(found.turn_deg - TURN_DEG[:2])
        assert (off < 3.0 * found.sigma_deg).all()
        assert off.max() < 0.4
        assert found.sigma_deg.max() < 0.3


def test_what_may_be_the_compass_is_not_put_into_the_mount() -> None:
    """The turn about down is told, and the mount keeps its nominal one."""
    found = calibrate_mount(flight(), NOMINAL)
    assert found.heading_deg == pytest.approx(TURN_DEG[2], abs=0.4)
    assert log_rotation(found.rotation_camera_to_body @ NOMINAL.T)[2] == pytest.approx(0.0, abs=1e-9)


def test_gps_is_what_tells_tilt_from_displacement() -> None:
    """One picture's rotation, conditioned on the GPS position, is known several times better than without."""
    looks = flight(150)
    scatter = np.degrees(np.std([look.turn_rad for look in looks], axis=0))
    assert scatter[:2].max() < 1.0  # 1.5 degrees in the fixes alone


def test_a_map_offset_averages_out_over_the_headings() -> None:
    """Five metres of offset are 0.4 degrees on one leg, and nothing over four."""
    found = calibrate_mount(flight(map_offset_m=5.0, attitude_deg=0.1), NOMINAL)
    assert np.abs(found.turn_deg - TURN_DEG[:2]).max() < 0.25


def test_the_answer_is_what_a_configuration_takes(tmp_path: Path) -> None:
    """The rotation goes through the file unchanged."""
    found = calibrate_mount(flight(), NOMINAL)
    path = tmp_path / "mount.toml"
    numbers = "width_px = 640\nheight_px = 480\nfx_px = 600.0\nfy_px = 600.0\ncx_px = 320.0\ncy_px = 240.0\n"
    path.write_text(mount_toml(found) + numbers)
    read = load_config(path).camera
    assert read is not None
    assert np.allclose(read.mount, found.rotation_camera_to_body, atol=1e-7)


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        (lambda: flight(20), "20 map fixes|19 map fixes"),
        (lambda: flight(60), "span"),
        (lambda: flight(turning=False), "one way only"),
        (lambda: flight(gps={"horizontal_accuracy_m": 30.0}), "0 map fixes"),
        (lambda: flight(gps={"interference": 2}), "0 map fixes"),
        (lambda: flight(gps={"fix_type": 2}), "0 map fixes"),
        (lambda: flight(attitude_deg=9.0), "Single pictures differ|is known to"),
        (lambda: flight(turn_deg=np.array([0.0, 0.0, 90.0])), "nearest quarter turn"),
    ],
    ids=["short", "brief", "straight", "inaccurate", "spoofed", "2D", "loose", "turned"],
)
def test_a_flight_that_cannot_tell_the_mount_is_refused(looks: Any, said: str) -> None:
    """Each kind of too little is told with what to do, and its exit code."""
    with pytest.raises(CalibrationRefusedError, match=said) as caught:
        calibrate_mount(looks(), NOMINAL)
    assert caught.value.exit_code == 70


def test_rejected_fixes_say_nothing() -> None:
    """A fix that the pipeline did not accept takes no part."""
    looks = looks_of_flight([replace(_fix(SECOND_NS, np.zeros(3), NOMINAL, 0.0, np.random.default_rng(0)),
                                     accepted=False)], [], [], [], LOCAL, NOMINAL)  # fmt: skip
    assert looks == []


@pytest.mark.slow
def test_the_tilt_of_a_simulated_aircraft_is_found(tmp_path: Path) -> None:
    """A flight of the simulator, recorded by the product, gives the true tilt to what is claimed and to a degree, as
    the autopilot's level is off by up to 0.75; the two minutes and a half in which its GPS is forged by hundreds of
    metres take no part."""
    from gps_denied_onboard.config import Config
    from gps_denied_onboard.replay.recording import replay_recording
    from gps_denied_operator.calibrate.flight_matches import read_looks
    from gps_denied_sim.recording import FlyRequest, make_recording
    from gps_denied_sim.render.sim_camera import make_camera

    request = FlyRequest(6, 5.0, "spoof-jump", width_px=684, height_px=456, buffer_m=250.0)
    make_recording(request, tmp_path / "simulated", lambda *_: None)
    replay_recording(tmp_path / "simulated", Config(), tmp_path / "flown", record=True)
    looks, camera = read_looks(tmp_path / "flown", lambda _count: None)
    assert not [look for look in looks if 62 * SECOND_NS < look.t_ns - looks[0].t_ns < 220 * SECOND_NS]
    found = calibrate_mount(looks, camera.mount)
    true, known = make_camera(6, 684, 456)
    turn_deg = np.degrees(log_rotation(true.rotation_camera_to_body @ known.mount.T))[:2]
    assert np.abs(turn_deg).max() > 2.5
    assert (np.abs(found.turn_deg - turn_deg) < 3.0 * found.sigma_deg).all()
    assert np.abs(found.turn_deg - turn_deg).max() < 1.0


def drifting(looks: list[Look], over_flight_deg: float, *, step: bool = False) -> list[Look]:
    """The same looks with a tilt that changes evenly over the flight, or at once in its middle."""
    span = looks[-1].t_ns - looks[0].t_ns
    out = []
    for look in looks:
        share = (look.t_ns - looks[0].t_ns) / span - 0.5
        moved = math.radians(over_flight_deg) * (math.copysign(0.5, share) if step else share)
        out.append(replace(look, turn_rad=look.turn_rad + np.array([moved, 0.0, 0.0])))
    return out


@pytest.mark.parametrize("step", [False, True], ids=["slides", "slips once"])
def test_a_mount_that_moves_is_refused(step: bool) -> None:
    """Three degrees of change over a flight are no mount."""
    looks = drifting(flight(400, attitude_deg=0.1), 3.0, step=step)
    with pytest.raises(CalibrationRefusedError, match="slips in its mount"):
        calibrate_mount(looks, NOMINAL)


def test_a_small_drift_makes_the_answer_less_sure() -> None:
    """Under a degree the mount is given, with a sigma that holds at both ends of the flight."""
    looks = flight(400, attitude_deg=0.1)
    still, moved = calibrate_mount(looks, NOMINAL), calibrate_mount(drifting(looks, 0.8), NOMINAL)
    assert moved.sigma_deg[0] > 1.5 * still.sigma_deg[0]
    assert moved.sigma_deg[0] > 0.2
    assert moved.sigma_deg[1] == pytest.approx(still.sigma_deg[1], rel=0.3)
