"""The error-state Kalman filter: messages in and out, and the decision about map fixes, around the native core."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from gps_denied_onboard._native import EskfAid, EskfFilter, EskfFixMode, EskfLane, EskfSource, EskfState, eskf_layout
from gps_denied_onboard.errors import EstimatorAlreadyStartedError
from gps_denied_onboard.fusion import FusionInput
from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.fusion.consistency import PendingFix, agreeing
from gps_denied_onboard.fusion.fix_noise import FixNoise
from gps_denied_onboard.fusion.reasons import reason_of
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import quaternion_from_matrix
from gps_denied_onboard.messages import (
    SAYS_NOTHING,
    AidRecord,
    AidSource,
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    Estimate,
    ExcludedSource,
    FloatArray,
    ImuSample,
    OdometryStatus,
    OdometryStep,
    PoseFix,
    Quaternion,
    RangefinderSample,
    SubsetSolution,
    TakeoffOrigin,
)

PROVEN_FIXES = 60
"""A state that so many fixes have fitted has learned the camera's mount from them, and not from a wrong place."""
ONE_SIDED_GATE, ONE_SIDED_GATE_PROVEN = 12.0, 40.0
"""Chi-square of two degrees of freedom. One take-off place in twenty is wrong; a proven state is likelier than that."""
MAP_LANES = (EskfLane.no_map_a, EskfLane.no_map_b)
HALF = math.sqrt(0.5)
TIME_LIMIT_NS = 1 << 62


_SOURCES = {native: AidSource[name.upper()] for name, native in EskfSource.__members__.items()}


def body_to_enu(q: Quaternion) -> Quaternion:
    """Quaternion body to ENU of one body to NED: the product with the half turn about the axis (1, 1, 0)."""
    w, x, y, z = q
    return (-HALF * (x + y), HALF * (w + z), HALF * (w - z), HALF * (y - x))


_SOURCE_OF = {
    ImuSample: AidSource.IMU,
    AttitudeSample: AidSource.ATTITUDE,
    AirspeedSample: AidSource.AIRSPEED,
    BaroSample: AidSource.BARO,
    RangefinderSample: AidSource.RANGEFINDER,
    TakeoffOrigin: AidSource.ORIGIN,
    OdometryStep: AidSource.ODOMETRY,
    PoseFix: AidSource.FIX,
}


def record_of(aid: EskfAid) -> AidRecord:
    """The core's record as a message."""
    return AidRecord(
        aid.t_ns,
        _SOURCES[aid.source],
        aid.observation,
        aid.observation_variance,
        aid.innovation,
        aid.innovation_variance,
        aid.test_ratio,
        aid.accepted,
        reason_of(aid.reason),
    )


def refusal(t_ns: int, source: AidSource, reason: str) -> AidRecord:
    """Record of a message that never reached the filter."""
    return AidRecord(t_ns, source, (), (), (), (), 0.0, False, reason)


def camera_gain(state: EskfState, covariance: FloatArray) -> FloatArray:
    """(6, 6) by how much the camera's pose of `state` follows a fix of `covariance` (6, 6), both as in PoseFix."""
    body = np.zeros((6, len(state.covariance)))
    for row, name in ((0, "position"), (3, "attitude")):
        at, count = eskf_layout[name]
        body[row : row + 3, at : at + count] = np.eye(3)
    at, count = eskf_layout["mount"]
    body[3:, at : at + count] = state.rotation_body_to_enu
    pose = body @ state.covariance @ body.T
    return np.asarray(np.linalg.solve(pose + covariance, pose).T, dtype=np.float64)


class Eskf:
    """See the module; implements `Fusion`.

    `fix_factor` is what the covariance of the last fix that was fused was multiplied by.
    """

    def __init__(
        self, frame: LocalFrame, camera: CameraModel, config: FusionConfig | None = None, subsets: bool = True
    ) -> None:
        self._frame = frame
        self._config = config or FusionConfig()
        numbers = {name: float(value) for name, value in asdict(self._config).items()}
        self._core = EskfFilter(numbers, quaternion_from_matrix(camera.mount), subsets)
        self._has_subsets = subsets
        self._confirmed = 0  # fixes since the state began or was set anew
        self._origin_given = False
        self._doubted_m = 0.0
        self._fix_noise = FixNoise(self._config)
        self.fix_factor = 1.0
        self._path_m = 0.0
        self._travelled_enu_m: FloatArray | None = None
        self._remembered: deque[int] = deque(maxlen=16)
        self._held: deque[PendingFix] = deque(maxlen=self._config.fixes_looked_at)
        self._handlers: dict[type, Callable[[Any], tuple[AidRecord, ...]]] = {
            ImuSample: self._imu,
            AttitudeSample: self._attitude,
            AirspeedSample: self._airspeed,
            BaroSample: self._baro,
            RangefinderSample: self._rangefinder,
            TakeoffOrigin: self._origin,
            OdometryStep: self._odometry,
            PoseFix: self._fix,
        }

    def update(self, message: FusionInput) -> tuple[AidRecord, ...]:
        """See `Fusion.update`."""
        handler = self._handlers.get(type(message))
        if handler is None:
            return ()
        t_ns = message.t1_ns if isinstance(message, OdometryStep) else message.t_ns
        if not 0 <= t_ns < TIME_LIMIT_NS:
            return (refusal(t_ns, _SOURCE_OF[type(message)], "time stamp is not a time"),)
        return handler(message)

    def estimate(self, t_ns: int) -> Estimate | None:
        """See `Fusion.estimate`. None also when the numbers of the filter are no longer sound."""
        s = self._core.at(t_ns)
        if s is None or not s.healthy:
            return None
        covariance = s.covariance[:9, :9].copy(order="F")
        covariance[:2, :2] += self.common_m2
        return Estimate(
            t_ns=t_ns,
            position_enu_m=s.position,
            velocity_enu_mps=s.velocity,
            rotation_body_to_enu=s.rotation_body_to_enu,
            rotation_camera_to_body=s.rotation_camera_to_body,
            covariance=covariance,
            camera_covariance_rad2=s.camera_covariance,
            wind_enu_mps=s.wind,
            position_known=s.position_known,
            subsets=self.subsets(t_ns) if s.position_known and self._has_subsets else (),
            travelled_enu_m=s.travelled,
        )

    @property
    def common_m2(self) -> FloatArray:
        """(2, 2) what the position is uncertain by beside the core's covariance: see `FixNoise`."""
        if self._confirmed < PROVEN_FIXES:
            return self._fix_noise.common_m2 + self._fix_noise.aside_m2
        return self._fix_noise.common_m2

    def subsets(self, t_ns: int) -> tuple[SubsetSolution, ...]:
        """The solutions without one source; of the two without the map, the one that has gone without it for longer.

        What fixes share is in all of them: those that see the map follow it, one without began from a state that did.
        """
        older = min(MAP_LANES, key=lambda lane: self._core.lane_since_ns(lane) or 0)
        out = []
        for lane, without in ((EskfLane.no_odometry, ExcludedSource.ODOMETRY), (EskfLane.no_air, ExcludedSource.AIR),
                              (older, ExcludedSource.MAP)):  # fmt: skip
            s = self._core.lane(lane, t_ns)
            if s is not None and s.healthy and s.position_known:
                out.append(SubsetSolution(without, s.position[:2].copy(), s.covariance[:2, :2] + self.common_m2))
        return tuple(out)

    def renew_without_map(self, t_ns: int, both: bool = False) -> None:
        """Begin the solution that has gone without the map for longer anew from the state; or both of them."""
        self._core.renew(t_ns, not both)

    def doubt(self, radius_m: float) -> None:
        """The position may be wrong by so much (0: it is not in doubt): fixes elsewhere need less to be believed."""
        self._doubted_m = radius_m

    def state(self, t_ns: int) -> EskfState | None:
        """All states at `t_ns` with the covariance of the core, in the layout of `_native.eskf_layout`."""
        return self._core.at(t_ns)

    def seed(self, state: EskfState) -> bool:
        """Replace the state of its time by another estimator's and replay what came after; False when too old."""
        return self._core.seed(state)

    @property
    def rebases(self) -> int:
        """How often the clock was set anew."""
        return int(self._core.rebases())

    def set_takeoff_origin(self, origin: TakeoffOrigin) -> tuple[AidRecord, ...]:
        """Start from this position. EstimatorAlreadyStartedError when a position is known already."""
        if self._origin_given or self._core.position_known():
            raise EstimatorAlreadyStartedError("a take-off origin cannot be set after the position is known.")
        position = self._frame.enu_from_geodetic(origin.latitude_deg, origin.longitude_deg, origin.altitude_amsl_m)
        velocity = None
        if origin.velocity_ned_mps is not None:
            north, east, down = origin.velocity_ned_mps
            velocity = np.array([east, north, -down])
        record = record_of(
            self._core.origin(origin.t_ns, position, origin.sigma_horizontal_m, origin.sigma_vertical_m, velocity)
        )
        self._origin_given = record.accepted
        return (record,)

    def _origin(self, origin: TakeoffOrigin) -> tuple[AidRecord, ...]:
        try:
            return self.set_takeoff_origin(origin)
        except EstimatorAlreadyStartedError as error:
            return (refusal(origin.t_ns, AidSource.ORIGIN, str(error)),)

    def _imu(self, m: ImuSample) -> tuple[AidRecord, ...]:
        raw = self._core.imu(m.t_ns, m.accel_body_mps2, m.gyro_body_radps)
        return () if raw is None else (record_of(raw),)

    def _attitude(self, m: AttitudeSample) -> tuple[AidRecord, ...]:
        return (record_of(self._core.attitude(m.t_ns, body_to_enu(m.quaternion_body_to_ned))),)

    def _airspeed(self, m: AirspeedSample) -> tuple[AidRecord, ...]:
        return (record_of(self._core.scalar(m.t_ns, EskfSource.airspeed, m.true_airspeed_mps)),)

    def _baro(self, m: BaroSample) -> tuple[AidRecord, ...]:
        return (record_of(self._core.scalar(m.t_ns, EskfSource.baro, m.altitude_amsl_m - self._frame.altitude_m)),)

    def _rangefinder(self, m: RangefinderSample) -> tuple[AidRecord, ...]:
        return (record_of(self._core.scalar(m.t_ns, EskfSource.rangefinder, m.distance_m)),)

    def _odometry(self, step: OdometryStep) -> tuple[AidRecord, ...]:
        if step.t0_ns not in self._remembered:
            self._core.clone(step.t0_ns)
            self._remembered.append(step.t0_ns)
        self._remembered.append(step.t1_ns)
        if step.status != OdometryStatus.OK:
            self._core.clone(step.t1_ns)
            return (refusal(step.t1_ns, AidSource.ODOMETRY, f"{step.status}: {step.reason}"),)
        raw = self._core.odometry(
            step.t0_ns,
            step.t1_ns,
            step.displacement_enu_m,
            step.yaw_change_rad,
            step.yaw_prior_rad,
            step.covariance,
        )
        return (record_of(raw),)

    def _fix(self, fix: PoseFix) -> tuple[AidRecord, ...]:
        if not fix.accepted:
            if fix.reason not in SAYS_NOTHING:
                self._fix_noise.missed()
            return ()
        camera = quaternion_from_matrix(fix.rotation_camera_to_enu)
        tested = record_of(self._core.test(fix.t_ns, fix.position_enu_m, camera, fix.covariance))
        state = self._core.at(fix.t_ns)
        if state is None or not tested.innovation:
            return (tested,)
        travelled_m = self._flown_m(state)
        height_m = float(state.position[2]) - self._config.ground_up_m
        self._learn_noise(fix, tested, travelled_m, height_m)
        mode = self._decide(fix, state, tested)
        if mode is None:
            reason = f"held until other fixes agree ({tested.reason})"
            return (
                AidRecord(
                    tested.t_ns,
                    tested.source,
                    tested.observation,
                    tested.observation_variance,
                    tested.innovation,
                    tested.innovation_variance,
                    tested.test_ratio,
                    False,
                    reason if not tested.accepted else "held until other fixes agree (the state is too uncertain)",
                ),
            )
        self._held.clear()
        self._remembered.append(fix.t_ns)
        self.fix_factor = self._fix_noise.factor(travelled_m, height_m)
        record = record_of(self._core.fix(fix.t_ns, fix.position_enu_m, camera, fix.covariance * self.fix_factor, mode))
        if record.accepted:
            self._confirmed += 1
            if mode is not EskfFixMode.update:
                self._fix_noise.forget()
                self._confirmed = 1
            gain = camera_gain(state, fix.covariance * self.fix_factor)
            self._fix_noise.fused(travelled_m, fix.covariance, gain)
        return (record,)

    def _learn_noise(self, fix: PoseFix, tested: AidRecord, travelled_m: float, height_m: float) -> None:
        own = float(fix.covariance[0, 0] + fix.covariance[1, 1])
        total = sum(tested.innovation_variance[:2])
        share = own / total if total > 0.0 else 0.0
        chi2 = tested.test_ratio * self._config.gate_fix
        at = (travelled_m, height_m)
        self._fix_noise.learn(np.array(tested.innovation), np.array(tested.innovation_variance), chi2, share, *at)

    def _flown_m(self, state: EskfState) -> float:
        """Length of the path to where `state` is, from fix to fix."""
        travelled = state.travelled[:2]
        if self._travelled_enu_m is not None:
            self._path_m += float(np.linalg.norm(travelled - self._travelled_enu_m))
        self._travelled_enu_m = travelled.copy()
        return self._path_m

    def _decide(self, fix: PoseFix, state: EskfState, tested: AidRecord) -> EskfFixMode | None:
        """What to do with a fix: take it in some mode, or None to hold it."""
        config, passes = self._config, tested.accepted
        unique = fix.global_search and fix.unique
        sigma_m = math.sqrt(float(np.linalg.eigvalsh(state.covariance[:2, :2])[-1]))
        if state.position_known and passes and (unique or sigma_m <= config.wide_sigma_m):
            gate = ONE_SIDED_GATE if self._confirmed < PROVEN_FIXES else ONE_SIDED_GATE_PROVEN
            wrong = self._fix_noise.one_sided > gate and self._height_fits(fix, state)
            return EskfFixMode.relocate_early if wrong else EskfFixMode.update
        if not state.position_known and unique:
            return EskfFixMode.place
        speed_sigma = math.sqrt(float(np.linalg.eigvalsh(state.covariance[3:5, 3:5])[-1]))
        self._held.append(
            PendingFix(
                fix.t_ns,
                fix.position_enu_m,
                fix.covariance[:3, :3],
                state.travelled,
                speed_sigma,
                np.array(tested.innovation[3:6]),
                fix.covariance[3:, 3:],
            )
        )
        held = agreeing(tuple(self._held), config.drift_fraction, config.agreement_gate)
        count = len(held)
        if not state.position_known:
            return EskfFixMode.place if count >= config.agreeing_fixes_wide else None
        if passes:
            return EskfFixMode.update if count >= config.agreeing_fixes_wide else None
        # Of the same ground, or of one picture sent again and again, many fixes are no more than one.
        apart_m = float(np.linalg.norm(held[-1].travelled_enu_m - held[0].travelled_enu_m))
        enough = count >= config.agreeing_fixes_against_state and apart_m >= config.relocation_span_m
        if float(np.linalg.norm(fix.position_enu_m[:2] - state.position[:2])) <= self._doubted_m:
            enough = count >= config.agreeing_fixes_wide and apart_m >= config.doubted_span_m
        if not self._attitude_fits(tested):
            # A late picture in a turn, or a heading that is wrong: fixes of the latter go on agreeing.
            enough = enough and count >= config.fixes_looked_at
        if not enough or not self._height_fits(fix, state):
            return None
        return EskfFixMode.relocate_early if self._confirmed < PROVEN_FIXES else EskfFixMode.relocate

    def _attitude_fits(self, tested: AidRecord) -> bool:
        """Whether a fix is turned as the state is, as far as a relocation opens that."""
        config = self._config
        opened = np.array([config.reset_tilt_sigma_rad, config.reset_tilt_sigma_rad, config.reset_yaw_sigma_rad])
        variance = np.array(tested.innovation_variance[3:6]) + opened**2
        return float(np.sum(np.array(tested.innovation[3:6]) ** 2 / variance)) <= config.gate_fix

    def _height_fits(self, fix: PoseFix, state: EskfState) -> bool:
        """Whether a fix is at the height that is known from elsewhere, where the ground may lie a little wrong."""
        off_m = float(fix.position_enu_m[2] - state.position[2] - state.map_offset[2])
        variance = state.height_variance + float(fix.covariance[2, 2])
        return off_m * off_m <= self._config.relocation_height_gate * variance
