"""An IMU that comes over MSP in whole degrees a second is believed less than a real one."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest

from gps_denied_onboard.config import Config, StrategyNames
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import AidRecord, AttitudeSample, ImuSample
from gps_denied_onboard.runtime_root.build import World, build_pipeline
from gps_denied_onboard.runtime_root.strategies import load_composition

STEP_NS = 20_000_000
CAMERA = CameraModel(640, 480, 600.0, 600.0, 319.5, 239.5)


@pytest.mark.parametrize(("autopilot", "taken"), [("ardupilot", False), ("inav", True)])
def test_a_turn_that_the_gyroscope_missed(autopilot: str, taken: bool) -> None:
    """Two degrees in half a second: iNav's rates, rounded and asked for, can miss that, an ArduPilot's cannot."""
    config = Config(strategies=StrategyNames(fusion="eskf", autopilot=autopilot))
    world = World(LocalFrame(48.5, 37.2, 100.0), 100.0, 5.0, CAMERA)
    pipeline = build_pipeline(config, world, None, load_composition(), lambda _: nullcontext())
    for k in range(500):
        pipeline.on_telemetry(ImuSample(k * STEP_NS, (0.0, 0.0, -9.80665), (0.0, 0.0, 0.0)))
        if k < 475:
            pipeline.on_telemetry(_heading(k * STEP_NS, 0.0))
    records = [r for r in pipeline.on_telemetry(_heading(500 * STEP_NS, 2.0)) if isinstance(r, AidRecord)]
    assert [(r.source, r.accepted) for r in records] == [("attitude", taken)]


def _heading(t_ns: int, yaw_deg: float) -> AttitudeSample:
    half = math.radians(yaw_deg) / 2.0
    return AttitudeSample(t_ns, (math.cos(half), 0.0, 0.0, math.sin(half)))
