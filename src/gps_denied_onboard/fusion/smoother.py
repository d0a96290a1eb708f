"""Fixed-lag smoother over keyframes: gtsam's iSAM2 with QR, kept bounded.

gtsam's incremental smoother keeps empty slots of what it has marginalised; here free slots are used again and the
whole is rebuilt from the factors of the window every so many keyframes, so that time and memory stay flat. Any failure
raises SmootherError: the caller hands over to the filter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gtsam
import numpy as np

from gps_denied_onboard._native import EskfState, eskf_core_size, eskf_layout
from gps_denied_onboard.fusion import factors
from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.geometry.rotations import exp_rotation, quaternion_from_matrix
from gps_denied_onboard.messages import FloatArray, ImuSample, OdometryStep, PoseFix

BIAS_STATES = factors.BIAS_STATES
# Where gtsam's tangent (rotation, translation, velocity, accel bias, gyro bias, slow) lies in the filter's core.
FROM_CORE = [
    index
    for name in ("attitude", "position", "velocity", "accel_bias", "gyro_bias", *factors.SLOW_BLOCKS)
    for index in range(eskf_layout[name][0], sum(eskf_layout[name]))
]
CORE = eskf_core_size


class SmootherError(RuntimeError):
    """The smoother's solution cannot be used; the message says why."""


@dataclass(slots=True, eq=False)
class Keyframe:
    """A moment of the window: its number and time."""

    number: int
    t_ns: int


def _keys(number: int) -> list[int]:
    return [gtsam.symbol(letter, number) for letter in "xvbs"]


class Window:
    """The last `keyframes_in_lag` keyframes. Started from a state of the filter with its full covariance.

    `learned` is the filter's state that has what it learned of noises, for the next keyframe.
    """

    def __init__(self, config: FusionConfig, t_ns: int, state: EskfState, lag: int, rebuild: int) -> None:
        self._config = config
        self._rebuild = rebuild
        self._lag = lag
        self._nominal: FloatArray = state.rotation_camera_to_body
        self._smoother = self._new_smoother()
        self.learned = state
        self.keyframes = [Keyframe(0, t_ns)]
        self._pose = gtsam.Pose3(gtsam.Rot3(state.rotation_body_to_enu), state.position)
        self._velocity: FloatArray = np.array(state.velocity)
        self._bias = gtsam.imuBias.ConstantBias(state.accel_bias, state.gyro_bias)
        self._slow = np.concatenate(
            [
                state.wind,
                state.autopilot_bias,
                [state.baro_bias, state.airspeed_scale],
                state.map_offset,
                [state.odometry_scale],
                np.zeros(3),
                state.gust,
            ]
        )
        keys = _keys(0)
        rest = np.concatenate([self._velocity, self._bias.vector(), self._slow])
        to_body = self._to_body(np.asarray(state.rotation_body_to_enu).T)
        prior = (to_body @ state.covariance[np.ix_(FROM_CORE, FROM_CORE)] @ to_body.T) + np.eye(CORE) * 1e-14
        graph = gtsam.NonlinearFactorGraph()
        graph.add(factors.dense_prior(keys, self._pose, rest, 0.5 * (prior + prior.T)))
        self._update(graph, self._values(keys), dict.fromkeys(keys, 0.0))

    def _new_smoother(self) -> Any:
        parameters = gtsam.ISAM2Params()
        parameters.setFactorization("QR")
        parameters.setRelinearizeThreshold(0.02)
        parameters.relinearizeSkip = 1
        parameters.findUnusedFactorSlots = True
        # Time is the number of the keyframe: the lag counts keyframes, whatever the frame rate.
        return gtsam.IncrementalFixedLagSmoother(float(self._lag), parameters)

    def _imu_parameters(self) -> Any:
        c = self._config
        p = gtsam.PreintegrationCombinedParams.MakeSharedU(c.gravity_mps2)
        eye = np.eye(3)
        p.setAccelerometerCovariance(eye * c.accel_noise_mps2_rthz**2 + np.diag(self.learned.accel_noise))
        p.setGyroscopeCovariance(eye * c.gyro_noise_radps_rthz**2 + np.diag(self.learned.gyro_noise))
        p.setIntegrationCovariance(eye * 1e-6)
        p.setBiasAccCovariance(eye * c.accel_bias_walk_mps2_rts**2)
        p.setBiasOmegaCovariance(eye * c.gyro_bias_walk_radps_rts**2)
        return p

    @staticmethod
    def _to_body(rotation_enu_to_body: FloatArray) -> FloatArray:
        """Square, of the core: turns rotation and translation errors of ENU into body axes."""
        out = np.eye(CORE)
        out[0:3, 0:3] = rotation_enu_to_body
        out[3:6, 3:6] = rotation_enu_to_body
        return out

    def _values(self, keys: list[int]) -> Any:
        values = gtsam.Values()
        values.insert(keys[0], self._pose)
        values.insert(keys[1], self._velocity)
        values.insert(keys[2], self._bias)
        values.insert(keys[3], self._slow)
        return values

    def _update(self, graph: Any, values: Any, stamps: dict[int, float]) -> None:
        try:
            self._smoother.update(graph, values, stamps)
            self._read()
        except (RuntimeError, IndexError, ValueError) as error:
            raise SmootherError(str(error).strip().split("\n")[0][:120]) from error

    def _read(self) -> None:
        """Take the newest keyframe's values out of the smoother."""
        keys = _keys(self.keyframes[-1].number)
        s = self._smoother
        self._pose = s.calculateEstimatePose3(keys[0])
        self._velocity = np.asarray(s.calculateEstimateVector(keys[1]))
        self._bias = s.calculateEstimateConstantBias(keys[2])
        self._slow = np.asarray(s.calculateEstimateVector(keys[3]))

    @property
    def slots(self) -> int:
        """Factors that the smoother holds room for: what must stay bounded over hours."""
        return int(self._smoother.getFactors().size())

    @property
    def newest_ns(self) -> int:
        """Time of the newest keyframe."""
        return self.keyframes[-1].t_ns

    def find(self, t_ns: int) -> Keyframe | None:
        """The keyframe of exactly this time, while it is in the window."""
        return next((k for k in reversed(self.keyframes) if k.t_ns == t_ns), None)

    def add_keyframe(
        self,
        t_ns: int,
        imu: list[ImuSample],
        after: ImuSample | None,
        sensed: factors.KeyframeMeasurements,
        step: OdometryStep | None = None,
    ) -> None:
        """Append a keyframe after the newest: `imu` are the samples since then, `after` the one that reaches over.

        `step` ends at it and is added with it, in one update, if its first keyframe is in the window.
        """
        last = self.keyframes[-1]
        pim = gtsam.PreintegratedCombinedMeasurements(self._imu_parameters(), self._bias)
        at = last.t_ns
        for sample in imu:
            self._integrate(pim, sample, sample.t_ns - at)
            at = sample.t_ns
        tail = after if after is not None else imu[-1] if imu else None
        if tail is not None:
            self._integrate(pim, tail, t_ns - at)
        dt_s = (t_ns - last.t_ns) * 1e-9
        decay, sigma = self._bias_step(dt_s)
        predicted = pim.predict(gtsam.NavState(self._pose, self._velocity), self._bias)
        old, new = _keys(last.number), _keys(last.number + 1)
        graph = gtsam.NonlinearFactorGraph()
        graph.add(gtsam.CombinedImuFactor(old[0], old[1], new[0], new[1], old[2], new[2], pim))
        graph.add(factors.keyframe_factor([new[0], new[1], old[3], new[3]], decay, sigma, sensed))
        first = None if step is None else self.find(step.t0_ns)
        if step is not None and first is not None:
            graph.add(self._odometry_factor(step, old=first.number, new=last.number + 1))
        self._pose, self._velocity = predicted.pose(), np.asarray(predicted.velocity())
        self._slow = decay * self._slow
        self.keyframes.append(Keyframe(last.number + 1, t_ns))
        self._update(graph, self._values(new), {key: float(last.number + 1) for key in new})
        del self.keyframes[: -self._lag]
        if (last.number + 1) % self._rebuild == 0:
            self._start_again()

    @staticmethod
    def _integrate(pim: Any, sample: ImuSample, dt_ns: int) -> None:
        if dt_ns > 0:
            pim.integrateMeasurement(np.array(sample.accel_body_mps2), np.array(sample.gyro_body_radps), dt_ns * 1e-9)

    def _bias_step(self, dt_s: float) -> tuple[FloatArray, FloatArray]:
        """Decay (16,) and noise (16,) of the slow errors over `dt_s`."""
        c = self._config
        decay, sigma = np.ones(BIAS_STATES), np.full(BIAS_STATES, c.mount_walk_rad_rts * math.sqrt(dt_s))
        gusts, autopilot = math.sqrt(self.learned.gust_scale), math.sqrt(self.learned.autopilot_scale)
        sigma[factors.WIND] = c.wind_walk_mps_rts * gusts * math.sqrt(dt_s)
        for where, spread, time_s in (
            (slice(2, 4), c.autopilot_tilt_sigma_rad * autopilot, c.autopilot_tilt_time_s),
            (slice(4, 5), c.autopilot_yaw_sigma_rad * autopilot, c.autopilot_yaw_time_s),
            (slice(5, 6), c.baro_bias_sigma_m, c.baro_bias_time_s),
            (slice(6, 7), c.airspeed_scale_sigma, c.airspeed_scale_time_s),
            (slice(7, 9), c.map_sigma_m, c.map_time_s),
            (slice(9, 10), c.map_vertical_sigma_m, c.map_vertical_time_s),
            (slice(10, 11), c.odometry_scale_sigma, c.odometry_scale_time_s),
            (factors.GUST, c.gust_sigma_mps * gusts, c.gust_time_s),
        ):
            decay[where] = math.exp(-dt_s / time_s)
            sigma[where] = spread * math.sqrt(1.0 - math.exp(-2.0 * dt_s / time_s))
        return decay, sigma

    def add_odometry(self, step: OdometryStep) -> bool:
        """Add the step between two keyframes of the window; False when one of them is not there."""
        first, second = self.find(step.t0_ns), self.find(step.t1_ns)
        if first is None or second is None:
            return False
        self._add(self._odometry_factor(step, first.number, second.number))
        return True

    def _odometry_factor(self, step: OdometryStep, old: int, new: int) -> Any:
        """Factor of a step between the keyframes of these numbers."""
        c = self._config
        floor = np.diag([c.odometry_floor_m**2] * 2 + [c.odometry_up_floor_m**2, c.odometry_yaw_floor_rad**2])
        model = self._robust(step.covariance * c.odometry_sigma_scale**2 + floor)
        keys = [_keys(old)[0], _keys(new)[0], _keys(new)[3]]
        return factors.odometry_factor(
            keys, step.displacement_enu_m, step.yaw_change_rad, step.yaw_prior_rad, self._nominal, model
        )

    def add_fix(self, fix: PoseFix) -> bool:
        """Add a map fix at its own keyframe; False when that is not in the window."""
        keyframe = self.find(fix.t_ns)
        if keyframe is None:
            return False
        c = self._config
        floor = np.diag([c.fix_floor_m**2] * 3 + [c.fix_floor_rad**2] * 3)
        model = self._robust(fix.covariance * c.fix_sigma_scale**2 + floor)
        keys = [_keys(keyframe.number)[0], _keys(keyframe.number)[3]]
        self._add(factors.fix_factor(keys, fix.position_enu_m, fix.rotation_camera_to_enu, self._nominal, model))
        return True

    def _add(self, factor: Any) -> None:
        graph = gtsam.NonlinearFactorGraph()
        graph.add(factor)
        self._update(graph, gtsam.Values(), {})

    @staticmethod
    def _robust(covariance: FloatArray) -> Any:
        """Huber beyond four sigma of the whole measurement."""
        gaussian = gtsam.noiseModel.Gaussian.Covariance(0.5 * (covariance + covariance.T))
        return gtsam.noiseModel.Robust.Create(gtsam.noiseModel.mEstimator.Huber.Create(4.0), gaussian)

    def _start_again(self) -> None:
        """A new smoother from the factors and values of the window: nothing of the past is carried along."""
        old = self._smoother
        stamps = {int(key): float(at) for key, at in old.timestamps().items()}
        graph, values = gtsam.NonlinearFactorGraph(), old.getLinearizationPoint()
        held = old.getFactors()
        for i in range(held.size()):
            if held.exists(i):
                graph.add(held.at(i))
        self._smoother = self._new_smoother()
        self._update(graph, values, stamps)

    def solution(self) -> EskfState:
        """Newest keyframe's state with its covariance, as the filter has it. SmootherError when not sound."""
        keys = _keys(self.keyframes[-1].number)
        try:
            joint = self._smoother.getISAM2().jointMarginalCovariance(keys)
            marginal = np.block([[joint.at(a, b) for b in keys] for a in keys])
        except (RuntimeError, IndexError, ValueError) as error:
            raise SmootherError(str(error).strip().split("\n")[0][:120]) from error
        rotation = self._pose.rotation().matrix()
        turn = self._to_body(rotation)
        covariance = np.empty((CORE, CORE))
        covariance[np.ix_(FROM_CORE, FROM_CORE)] = turn @ marginal @ turn.T
        covariance = 0.5 * (covariance + covariance.T)
        if not np.all(np.isfinite(covariance)) or np.linalg.eigvalsh(covariance)[0] < -1e-12:
            raise SmootherError("covariance is not positive definite")
        slow = self._slow
        state = EskfState()
        state.t_ns = self.newest_ns
        state.position = np.asarray(self._pose.translation())
        state.velocity = self._velocity
        state.attitude = quaternion_from_matrix(rotation)
        state.mount = quaternion_from_matrix(exp_rotation(slow[factors.MOUNT]) @ self._nominal)
        state.gyro_bias = np.asarray(self._bias.gyroscope())
        state.accel_bias = np.asarray(self._bias.accelerometer())
        state.wind = slow[factors.WIND]
        state.autopilot_bias = slow[factors.AUTOPILOT]
        state.baro_bias = float(slow[factors.BARO])
        state.airspeed_scale = float(slow[factors.AIRSPEED])
        state.map_offset = slow[factors.MAP]
        state.odometry_scale = float(slow[factors.ODOMETRY])
        state.gust = slow[factors.GUST]
        state.covariance = covariance
        if not state.healthy or not np.all(np.isfinite(slow)) or not np.all(np.isfinite(self._bias.vector())):
            raise SmootherError("state is not sound")
        return state
