"""The fixed-lag smoother with the filter beside it.

The filter sees everything, makes every decision about a measurement, and is the answer whenever the smoother is not
sound. The smoother takes what the filter accepted, at its own keyframe; its newest keyframe, with its covariance,
re-seeds a second filter that only propagates with the autopilot's sensors: that one is asked for estimates.

What the filter learns of noises (the IMU's, gusts, the autopilot's attitude, fixes) is in the smoother's factors of the
time in which it holds; what it knows of sideslip in turns is not.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from gps_denied_onboard.fusion import FusionInput
from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.fusion.eskf import Eskf, refusal
from gps_denied_onboard.fusion.factors import KeyframeMeasurements
from gps_denied_onboard.fusion.reasons import FilterReason
from gps_denied_onboard.fusion.samples import Samples
from gps_denied_onboard.fusion.smoother import SmootherError, Window
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import (
    ROTATION_NED_TO_ENU,
    exp_rotation,
    log_rotation,
    matrix_from_quaternion,
)
from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    Estimate,
    FloatArray,
    ImuSample,
    OdometryStep,
    PoseFix,
)

GAP_S = 5.0  # a window that got no keyframe for so long starts again from the filter
RETRY_S = 10.0  # after a failure
AUTOPILOT_SAMPLES = (ImuSample, AttitudeSample, AirspeedSample, BaroSample)


class Isam2:
    """See the module; implements `Fusion`."""

    def __init__(self, frame: LocalFrame, camera: CameraModel, config: FusionConfig | None = None) -> None:
        self._config = config or FusionConfig()
        self._frame = frame
        self._filter = Eskf(frame, camera, self._config)
        self._output = Eskf(frame, camera, self._config, subsets=False)
        self._samples = {kind: Samples(self._config.history_s + GAP_S) for kind in AUTOPILOT_SAMPLES}
        self._window: Window | None = None
        self._not_before_ns = 0
        self._rebases = 0

    @property
    def active(self) -> bool:
        """True while the smoother answers, False while the filter does."""
        return self._window is not None

    @property
    def slots(self) -> int:
        """`Window.slots`; 0 while the filter answers."""
        return 0 if self._window is None else self._window.slots

    def update(self, message: FusionInput) -> tuple[AidRecord, ...]:
        """See `Fusion.update`. A start or failure of the smoother adds a record of source "isam2"."""
        records = self._filter.update(message)
        if not isinstance(message, OdometryStep | PoseFix):
            self._output.update(message)
            if isinstance(message, AUTOPILOT_SAMPLES) and (not records or records[0].accepted):
                self._samples[type(message)].add(message)
            if self._filter.rebases != self._rebases:
                self._rebases = self._filter.rebases
                for samples in self._samples.values():
                    samples.clear()
                return (*records, *self.fall_back(message.t_ns, "the clock was set anew"))
            return records
        try:
            return (*records, *self._smooth(message, records))
        except SmootherError as error:
            t_ns = message.t1_ns if isinstance(message, OdometryStep) else message.t_ns
            return (*records, *self.fall_back(t_ns, str(error)))

    def fall_back(self, t_ns: int, reason: str) -> tuple[AidRecord, ...]:
        """Let the filter answer from now on; the smoother starts again from it after some seconds.

        Also for the caller: a step that took too long is a reason that only somebody with a clock can know.
        """
        if self._window is None:
            return ()
        self._window = None
        self._not_before_ns = t_ns + round(RETRY_S * 1e9)
        return (refusal(t_ns, AidSource.ISAM2, f"handed over to eskf: {reason}"),)

    def estimate(self, t_ns: int) -> Estimate | None:
        """See `Fusion.estimate`."""
        if self._window is not None:
            smoothed = self._output.estimate(t_ns)
            if smoothed is not None:
                covariance = smoothed.covariance.copy(order="F")
                covariance[:2, :2] += self._filter.common_m2
                return replace(smoothed, covariance=covariance, subsets=self._filter.subsets(t_ns))
        return self._filter.estimate(t_ns)

    def renew_without_map(self, t_ns: int, both: bool = False) -> None:
        """As `Eskf.renew_without_map`."""
        self._filter.renew_without_map(t_ns, both)

    def doubt(self, radius_m: float) -> None:
        """As `Eskf.doubt`."""
        self._filter.doubt(radius_m)

    def _smooth(self, message: OdometryStep | PoseFix, records: tuple[AidRecord, ...]) -> tuple[AidRecord, ...]:
        accepted = bool(records) and records[0].accepted
        is_step = isinstance(message, OdometryStep)
        t_ns = message.t1_ns if isinstance(message, OdometryStep) else message.t_ns
        reset = accepted and not is_step and records[0].reason != FilterReason.FUSED
        window = self._window
        if window is None or reset or t_ns - window.newest_ns > GAP_S * 1e9:
            started = window is None
            if not accepted or t_ns < self._not_before_ns or not self._start(t_ns):
                return () if started else self.fall_back(t_ns, "too long without a frame")
            return (AidRecord(t_ns, AidSource.ISAM2, (), (), (), (), 0.0, True, "smoother started"),) if started else ()
        step = message if isinstance(message, OdometryStep) and accepted else None
        ends_at_new = t_ns > window.newest_ns and (is_step or accepted)
        if ends_at_new:
            self._add_keyframe(window, t_ns, step)
        if not accepted:
            return ()
        if isinstance(message, OdometryStep):
            added = ends_at_new or window.add_odometry(message)
        else:
            added = window.add_fix(replace(message, covariance=message.covariance * self._filter.fix_factor))
        if added or is_step:
            self._publish(window)
        return ()

    def _start(self, t_ns: int) -> bool:
        """Begin a window at `t_ns` with the filter's state; False when the filter does not know that moment."""
        self._window = None
        state = self._filter.state(t_ns)
        if state is None or not state.healthy or not state.position_known:
            return False
        c = self._config
        window = Window(c, t_ns, state, c.smoother_keyframes, c.smoother_rebuild_keyframes)
        self._publish(window)
        self._window = window
        return True

    def _add_keyframe(self, window: Window, t_ns: int, step: OdometryStep | None) -> None:
        imu = self._samples[ImuSample]
        between = [s for s in imu.between(window.newest_ns, t_ns) if isinstance(s, ImuSample)]
        after = imu.next_after(t_ns)
        learned = self._filter.state(t_ns)
        if learned is not None:
            window.learned = learned
        after = after if isinstance(after, ImuSample) else None
        window.add_keyframe(t_ns, between, after, self._keyframe_measurements(t_ns), step)

    def _keyframe_measurements(self, t_ns: int) -> KeyframeMeasurements:
        """The autopilot's sensors at a keyframe."""
        c = self._config
        attitude = self._samples[AttitudeSample].last_until(t_ns)
        baro = self._samples[BaroSample].last_until(t_ns)
        speeds = [s.true_airspeed_mps for s in self._samples[AirspeedSample].between(t_ns - 1_000_000_000, t_ns)
                  if isinstance(s, AirspeedSample)]  # fmt: skip
        root = math.sqrt(max(len(speeds), 1))
        baro_up_m = None
        if isinstance(baro, BaroSample) and t_ns - baro.t_ns < 500_000_000:
            baro_up_m = baro.altitude_amsl_m - self._frame.altitude_m
        return KeyframeMeasurements(
            rotation_body_to_enu=self._attitude_at(attitude, t_ns) if isinstance(attitude, AttitudeSample) else None,
            attitude_sigma_rad=c.attitude_noise_rad,
            baro_up_m=baro_up_m,
            baro_sigma_m=c.baro_noise_m,
            airspeed_mps=float(np.mean(speeds)) if speeds else None,
            airspeed_sigma_mps=c.airspeed_noise_mps / root,
            sideslip_sigma_mps=c.sideslip_noise_mps / root,
        )

    def _attitude_at(self, sample: AttitudeSample, t_ns: int) -> FloatArray | None:
        """The autopilot's attitude carried from its sample to `t_ns` by the filter's rotation between the two."""
        then, now = self._filter.state(sample.t_ns), self._filter.state(t_ns)
        if then is None or now is None or t_ns - sample.t_ns > 500_000_000:
            return None
        measured = ROTATION_NED_TO_ENU @ matrix_from_quaternion(sample.quaternion_body_to_ned)
        off = exp_rotation(log_rotation(measured @ then.rotation_body_to_enu.T))
        rotation: FloatArray = off @ now.rotation_body_to_enu
        return rotation

    def _publish(self, window: Window) -> None:
        """Compare the newest keyframe with the filter and re-seed the output. SmootherError when it cannot be right."""
        state = window.solution()
        own = self._filter.state(window.newest_ns)
        if own is not None:
            apart = own.position[:2] - state.position[:2]
            spread = state.covariance[:2, :2] + own.covariance[:2, :2]
            if float(apart @ apart) > 36.0 * float(np.linalg.eigvalsh(spread)[-1]) + 25.0:
                raise SmootherError("disagrees with the filter")
        if not self._output.seed(state):
            raise SmootherError("its newest keyframe is older than the history")
