"""`vision`: state from pictures alone, for photographs that come without an inertial sensor.

An extended Kalman filter over camera position, yaw and the camera's mean tilt. Odometry moves it, map fixes correct it.
Each picture's own tilt scatters about the mean, so what a fix gains from perspective is shared over the flight. The
map's own offset, which fixes share, is added to what leaves: no number of fixes averages it away.

Where an AttitudeSample comes for each picture, yaw and tilt of the state are those of the camera against that attitude:
its boresight, which is constant, and the scatter is the attitude's own error. Where a BaroSample comes for each, only
its differences are used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.fusion import FusionInput
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import (
    ROTATION_NED_TO_ENU,
    exp_rotation,
    image_up_yaw,
    log_rotation,
    matrix_from_quaternion,
    nadir_camera_to_enu,
    rotation_z,
    wrap_angle,
)
from gps_denied_onboard.messages import (
    AidRecord,
    AttitudeSample,
    BaroSample,
    Estimate,
    FloatArray,
    OdometryStatus,
    OdometryStep,
    PoseFix,
)

SIZE = 6
POSITION = slice(0, 3)
YAW = 3
TILT = slice(4, 6)
SAMPLES_KEPT = 4
STEP_WRONG, LIKELIER = 0.01, 10.0
"""How often odometry between pictures that are far apart takes a wrong step for a right one, and how much less likely
wrong a fix has to be to be believed instead of it."""
CLIMB_SIGMA = 0.02
"""Of a climb between two pictures, relative to it."""
LEARNING_FIXES = 8.0
FACTOR_MAX = 100.0
"""Fixes over which it is learned how much more their heights scatter than they say, and the most, in variance: ground
that rises and falls from picture to picture, trees and houses."""


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """Start values and noise. `yaw_sigma_rad` of pi or more and `height_sigma_m` >= `height_m` mean unknown.

    `yaw_rad` and `mean_tilt_rad` (about the camera's x and y) are against the told attitudes where there are any, and
    `tilt_scatter_rad` and `yaw_scatter_rad` are their errors from picture to picture.
    """

    height_m: float
    height_sigma_m: float
    yaw_rad: float = 0.0
    yaw_sigma_rad: float = 9.0
    mean_tilt_sigma_rad: float = 0.05
    tilt_scatter_rad: float = 0.035
    mean_tilt_rad: tuple[float, float] = (0.0, 0.0)
    yaw_scatter_rad: float = 0.0
    speed_sigma_mps: float = 8.0
    turn_sigma_rad_rts: float = 0.5
    drift_fraction: float = 0.02
    map_sigma_m: float = 1.0
    common_tilt_rad: float = math.radians(1.0)
    """What perspective tells wrong of all pictures alike (ground that rises one way, the lens, patches compared under
    the tilt found so far): one flight's boresight came out 0.1 to 2.2 degrees off with its map as it is, made coarser,
    or built over. Added to what leaves; no number of pictures averages it away."""
    gate_fix: float = 25.0
    relocate_after: int = 4
    unknown_sigma_m: float = 20_000.0


class VisionFusion:
    """See the module; implements `Fusion`. Time only moves with odometry steps and fixes."""

    def __init__(self, camera: CameraModel, config: VisionConfig, start_ns: int) -> None:
        self._mount = camera.mount
        self._config = config
        self._x = np.array([0.0, 0.0, config.height_m, config.yaw_rad, *config.mean_tilt_rad])
        self._p = np.diag(
            [
                config.unknown_sigma_m**2,
                config.unknown_sigma_m**2,
                config.height_sigma_m**2,
                config.yaw_sigma_rad**2,
                config.mean_tilt_sigma_rad**2,
                config.mean_tilt_sigma_rad**2,
            ]
        )
        self._t_ns = start_ns
        self._velocity = np.zeros(2)
        self._known = False
        self._refused = 0
        self._steps = 0
        self._height_factor = 1.0
        self._before: tuple[int, FloatArray, FloatArray] | None = None
        self._attitudes: dict[int, FloatArray] = {}
        self._altitudes: dict[int, float] = {}

    @property
    def mean_tilt_rad(self) -> tuple[float, float]:
        """The tilt found so far about the camera's x and y; with attitudes told it is the boresight's."""
        return float(self._x[4]), float(self._x[5])

    def update(self, message: FusionInput) -> tuple[AidRecord, ...]:
        """See `Fusion.update`: takes OdometryStep, PoseFix and attitudes of pictures, ignores the rest."""
        if isinstance(message, AttitudeSample):
            self._attitudes[message.t_ns] = (
                ROTATION_NED_TO_ENU @ matrix_from_quaternion(message.quaternion_body_to_ned) @ self._mount
            )
            for t_ns in list(self._attitudes)[:-SAMPLES_KEPT]:
                del self._attitudes[t_ns]
        if isinstance(message, BaroSample):
            self._altitudes[message.t_ns] = message.altitude_amsl_m
            for t_ns in list(self._altitudes)[:-SAMPLES_KEPT]:
                del self._altitudes[t_ns]
        if isinstance(message, OdometryStep):
            return (self._odometry(message),)
        if isinstance(message, PoseFix):
            return self._fix(message)
        return ()

    def doubt(self, radius_m: float) -> None:
        """See `Fusion.doubt`. Photographs have no sensors beside them that a place could be held against."""

    def renew_without_map(self, t_ns: int, both: bool = False) -> None:
        """See `Fusion.renew_without_map`: there are no subset solutions of pictures alone."""

    def estimate(self, t_ns: int) -> Estimate | None:
        """See `Fusion.estimate`. After the last picture the uncertainty grows with time; one picture is remembered."""
        x, p = self._x, self._p
        if self._before is not None and t_ns <= self._before[0]:
            x, p = self._before[1], self._before[2]
        elif t_ns > self._t_ns:
            x, p = self._coasted(t_ns)
        rotation = self._rotation(t_ns, x)
        covariance = np.zeros((9, 9))
        covariance[:3, :3] = p[POSITION, POSITION] + np.eye(3) * self._config.map_sigma_m**2
        covariance[:2, :2] += np.eye(2) * (self._config.common_tilt_rad * float(x[2])) ** 2
        covariance[3:6, 3:6] = np.eye(3) * self._config.speed_sigma_mps**2
        tilt = float(np.linalg.eigvalsh(p[TILT, TILT])[-1]) + self._config.tilt_scatter_rad**2
        attitude = np.diag([tilt, tilt, float(p[YAW, YAW]) + self._config.yaw_scatter_rad**2])
        covariance[6:, 6:] = attitude
        velocity = np.array([self._velocity[0], self._velocity[1], 0.0])
        return Estimate(
            t_ns, x[POSITION], velocity, rotation @ self._mount.T, self._mount, covariance, attitude, np.zeros(2),
            self._known,
        )  # fmt: skip

    def _told(self, t_ns: int) -> FloatArray | None:
        """Camera to ENU by the attitude that was told for `t_ns`, or last before it; None where none is told."""
        before = [told for told in self._attitudes if told <= t_ns]
        return self._attitudes[max(before)] if before else None

    def _rotation(self, t_ns: int, x: FloatArray) -> FloatArray:
        """Camera to ENU by a state."""
        tilt = exp_rotation(np.array([x[4], x[5], 0.0]))
        told = self._told(t_ns)
        if told is None:
            return nadir_camera_to_enu(float(x[YAW])) @ tilt
        return rotation_z(float(x[YAW])) @ told @ tilt

    def _coasted(self, t_ns: int) -> tuple[FloatArray, FloatArray]:
        """State and covariance at a later time, with no picture in between."""
        dt_s = (t_ns - self._t_ns) * 1e-9
        x, p = self._x.copy(), self._p.copy()
        speed = float(np.hypot(*self._velocity))
        p[:2, :2] += np.eye(2) * ((speed + self._config.speed_sigma_mps) * dt_s) ** 2
        if not self._altitudes:
            p[2, 2] += dt_s * 4.0
        if not self._attitudes:
            p[YAW, YAW] += self._config.turn_sigma_rad_rts**2 * dt_s
        return x, p

    def _odometry(self, step: OdometryStep) -> AidRecord:
        if step.status != OdometryStatus.OK or not np.isfinite(step.covariance).all() or step.t1_ns <= self._t_ns:
            if step.t1_ns > self._t_ns:
                x, p = self._coasted(step.t1_ns)
                x[2] = max(float(x[2]) + (self._climb(step) or 0.0), 1.0)
                self._move(step.t1_ns, x, p)
            return AidRecord(step.t1_ns, "odometry", (), (), (), (), 0.0, False, step.reason or "lost")
        x, p = self._x.copy(), self._p
        told = self._told(step.t0_ns)
        turn = float(x[YAW]) + (0.0 if told is None else image_up_yaw(told)) - step.yaw_prior_rad
        # The prior's yaw is that of the image's top; the displacement turns with the error of it.
        self._steps += 1
        c, s = math.cos(turn), math.sin(turn)
        scale = float(x[2]) / step.height_m if step.height_m > 0 else 1.0
        d = step.displacement_enu_m * scale
        climb = self._climb(step)
        moved = np.array([c * d[0] - s * d[1], s * d[0] + c * d[1], d[2] if climb is None else climb])
        f = np.eye(SIZE)
        f[0, YAW], f[1, YAW] = -moved[1], moved[0]
        f[:3, 2] += moved / max(float(x[2]), 1.0)
        q = np.zeros((SIZE, SIZE))
        noise = self._without_height(step) * scale**2
        turned = np.eye(4)
        turned[:2, :2] = [[c, -s], [s, c]]
        noise = turned @ noise @ turned.T
        if climb is not None:
            noise[2, :] = noise[:, 2] = 0.0
            noise[2, 2] = 0.3**2 + (CLIMB_SIGMA * climb) ** 2
        q[:3, :3] = noise[:3, :3] + np.eye(3) * (self._config.drift_fraction * np.linalg.norm(moved)) ** 2
        x[POSITION] += moved
        if told is None:
            q[YAW, YAW] = noise[3, 3]
            x[YAW] = wrap_angle(float(x[YAW]) + step.yaw_change_rad)
        dt_s = (step.t1_ns - step.t0_ns) * 1e-9
        self._velocity = moved[:2] / max(dt_s, 1e-3)
        self._move(step.t1_ns, x, f @ p @ f.T + q)
        observation = tuple(float(v) for v in (*moved, step.yaw_change_rad))
        variance = tuple(float(v) for v in np.diag(noise))
        return AidRecord(step.t1_ns, "odometry", observation, variance, (), (), 0.0, True, "")

    def _climb(self, step: OdometryStep) -> float | None:
        """Height gained over a step by the altitudes told; None where they are not."""
        before, after = self._altitudes.get(step.t0_ns), self._altitudes.get(step.t1_ns)
        return None if before is None or after is None else after - before

    def _without_height(self, step: OdometryStep) -> FloatArray:
        """The step's covariance less what the height's error put in: the height is a state here."""
        share = np.zeros(4)
        share[:3] = step.displacement_enu_m * step.height_sigma_m / max(step.height_m, 1.0)
        left = step.covariance - np.outer(share, share)
        values, vectors = np.linalg.eigh(left)
        return np.asarray((vectors * np.maximum(values, 1e-6)) @ vectors.T)

    def _move(self, t_ns: int, x: FloatArray, p: FloatArray) -> None:
        self._before = (self._t_ns, self._x, self._p)
        self._t_ns, self._x, self._p = t_ns, x, 0.5 * (p + p.T)

    def _fix(self, fix: PoseFix) -> tuple[AidRecord, ...]:
        if not fix.accepted:
            self._refuse()
            return ()
        z, noise = self._measurement(fix)
        innovation = z - self._x
        innovation[YAW] = wrap_angle(float(innovation[YAW]))
        if self._known:
            self._learn_height_noise(float(innovation[2]), float(noise[2, 2]))
        noise[2, :] *= math.sqrt(self._height_factor)
        noise[:, 2] *= math.sqrt(self._height_factor)
        spread = self._p + noise
        ratio = float(innovation @ np.linalg.solve(spread, innovation)) / self._config.gate_fix
        unique = fix.unique
        accepted = ratio <= 1.0 and (unique or not fix.global_search) if self._known else unique
        if not accepted and unique and (self._refused >= self._config.relocate_after or self._likelier(fix)):
            self._known, accepted = False, True
        if accepted:
            self._apply(fix, z, noise, innovation)
        else:
            self._refuse()
        record = AidRecord(
            fix.t_ns,
            "fix",
            tuple(float(v) for v in z),
            tuple(float(v) for v in np.diag(noise)),
            tuple(float(v) for v in innovation),
            tuple(float(v) for v in np.diag(spread)),
            ratio,
            accepted,
            "" if accepted else "innovation",
        )
        return (record,)

    def _learn_height_noise(self, off_m: float, claimed_m2: float) -> None:
        """From how far a fix lies above or below the state and the variance that it claims, as far as that weighs."""
        known_m2 = float(self._p[2, 2])
        shown = min(max((off_m**2 - known_m2) / claimed_m2, 1.0), FACTOR_MAX)
        self._height_factor += claimed_m2 / (claimed_m2 + known_m2) / LEARNING_FIXES * (shown - self._height_factor)

    def _likelier(self, fix: PoseFix) -> bool:
        """Whether a fix that the state refuses is less likely wrong than the odometry that brought the state there."""
        return self._steps > 0 and fix.wrong_probability * LIKELIER <= 1.0 - (1.0 - STEP_WRONG) ** self._steps

    def _apply(self, fix: PoseFix, z: FloatArray, noise: FloatArray, innovation: FloatArray) -> None:
        if fix.t_ns > self._t_ns:
            self._move(fix.t_ns, *self._coasted(fix.t_ns))
        if not self._known:
            # Nothing but the mean tilt is known from before.
            self._p[:4, :] = self._p[:, :4] = 0.0
            self._p[range(4), range(4)] = 1e6
            self._x[:4] = z[:4]
            innovation = z - self._x
            self._known = True
        gain = np.linalg.solve(self._p + noise, self._p).T
        self._x = self._x + gain @ innovation
        self._x[YAW] = wrap_angle(float(self._x[YAW]))
        rest = np.eye(SIZE) - gain
        p = rest @ self._p @ rest.T + gain @ noise @ gain.T
        self._p = 0.5 * (p + p.T)
        self._refused = 0
        self._steps = 0

    def _measurement(self, fix: PoseFix) -> tuple[FloatArray, FloatArray]:
        """Fix as (position, yaw, tilt) and its covariance; the picture's own tilt scatters about the mean."""
        told = self._told(fix.t_ns)
        if told is None:
            yaw = image_up_yaw(fix.rotation_camera_to_enu)
            tilt = log_rotation(nadir_camera_to_enu(yaw).T @ fix.rotation_camera_to_enu)
        else:
            yaw, tilt = boresight_of(told, fix.rotation_camera_to_enu)
        j = np.zeros((SIZE, 6))
        j[:3, :3] = np.eye(3)
        j[YAW, 5] = 1.0
        j[TILT, 3:] = fix.rotation_camera_to_enu.T[:2, :]
        noise = j @ fix.covariance @ j.T
        noise[TILT, TILT] += np.eye(2) * self._config.tilt_scatter_rad**2
        noise[YAW, YAW] += 0.003**2 + self._config.yaw_scatter_rad**2
        return np.array([*fix.position_enu_m, yaw, tilt[0], tilt[1]]), noise

    def _refuse(self) -> None:
        """A picture that was not found: doubt grows, so that the search widens."""
        self._refused += 1
        if self._known and self._refused > 2:
            self._p[:2, :2] *= 1.5**2


def boresight_of(told_camera_to_enu: FloatArray, rotation_camera_to_enu: FloatArray) -> tuple[float, FloatArray]:
    """Yaw about ENU up and tilt (3,) about the camera's x and y (its z is 0) that take a told rotation to a found one:
    found = rotation_z(yaw) @ told @ exp(tilt)."""
    yaw = wrap_angle(image_up_yaw(rotation_camera_to_enu) - image_up_yaw(told_camera_to_enu))
    tilt = np.zeros(3)
    for _ in range(4):
        tilt = log_rotation((rotation_z(yaw) @ told_camera_to_enu).T @ rotation_camera_to_enu)
        # The camera's z points down: turning about it is turning back about up.
        yaw = wrap_angle(yaw - float(tilt[2]))
    return yaw, tilt * (1.0, 1.0, 0.0)
