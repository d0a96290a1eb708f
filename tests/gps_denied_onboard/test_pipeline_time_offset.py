"""A camera whose time stamps are wrong: found in flight, told, and corrected before it makes positions wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gps_denied_onboard.config import Config
from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.fusion.time_offset import TimeOffsetEstimator
from gps_denied_onboard.geometry.terrain import FlatTerrain
from gps_denied_onboard.integrity.monitor import Integrity
from gps_denied_onboard.integrity.source_label import LabelLimits
from gps_denied_onboard.localisation.belief import PlaceBelief
from gps_denied_onboard.messages import AidRecord, Alert, Frame, OdometryStep, Output, PoseFix
from gps_denied_onboard.odometry.planar import PlanarOdometry
from gps_denied_onboard.pipeline import Pipeline
from gps_denied_onboard.pipeline_parts import PipelineParts

from .fusion.synthetic import CAMERA, FRAME, SECOND_NS, Plan, make_flight

LATE_NS = 200_000_000
DELAY_NS = 400_000_000


@pytest.mark.slow
def test_pictures_that_are_stamped_too_late_are_moved_back() -> None:
    """Stamps that are 0.2 s late are told once they are known, and positions are within what they claim again."""
    config, flight = Config(), make_flight(Plan(seed=0, duration_s=180.0, imu_hz=50.0))
    limits = LabelLimits()
    pipeline = Pipeline(PipelineParts(
        FRAME, FlatTerrain(FRAME, FRAME.altitude_m, 5.0), PlanarOdometry(CAMERA, config.odometry), None,
        Eskf(FRAME, CAMERA), limits, Integrity(FRAME, limits, config.integrity, 1.5),
        TimeOffsetEstimator(config.fusion.gyro_noise_radps_rthz), config.pipeline,
        PlaceBelief(config.belief, config.gates.wrong_probability_max),
    ))  # fmt: skip
    told: list[Output] = []
    squares: list[float] = []
    fixes = [message for _, message in flight.messages if isinstance(message, PoseFix)]
    waiting: list[PoseFix] = []
    for arrival_ns, message in flight.messages:
        while fixes and fixes[0].t_ns + LATE_NS <= arrival_ns:
            fix = fixes.pop(0)
            job = pipeline.begin(Frame(fix.t_ns + LATE_NS, fix.frame_index, np.zeros((0, 0), np.uint8), ""))
            assert job is not None
            told += pipeline.on_odometry(job, None)
            waiting.append(dataclasses.replace(fix, t_ns=job.frame.t_ns))
        while waiting and waiting[0].t_ns + DELAY_NS <= arrival_ns:
            told += pipeline.on_fix(waiting.pop(0))
            state = pipeline.state_at(arrival_ns)
            assert state is not None
            row = flight.row(arrival_ns)
            said = FRAME.enu_from_geodetic(state.latitude_deg, state.longitude_deg, state.altitude_amsl_m)
            error = said[:2] - flight.position[row, :2]
            covariance = np.array(state.covariance_enu_m2).reshape(3, 3)[:2, :2]
            squares.append(float(error @ np.linalg.solve(covariance, error)))
        if not isinstance(message, PoseFix | OdometryStep):
            told += pipeline.on_telemetry(message)
    alerts = [output.text for output in told if isinstance(output, Alert) and "clock" in output.text]
    assert alerts
    assert "add that to time_offset_s" in alerts[0]
    found = [output for output in told if isinstance(output, AidRecord) and output.source == "camera_clock"]
    assert abs(found[-1].observation[0] + LATE_NS / SECOND_NS) < 0.03
    assert np.mean(np.array(squares[-80:]) <= 5.991) >= 0.9
