"""Odometry `planar`: the ground's movement through two pictures, attitude and height give the camera's displacement."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import image_up_yaw, rotation_z
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, OdometryStep
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.hills import with_hills
from gps_denied_onboard.odometry.picture import Picture
from gps_denied_onboard.odometry.plane_motion import MotionPrior, PlaneMotion
from gps_denied_onboard.odometry.registration import YAW_KNOWN_RAD, Candidate, Registration
from gps_denied_onboard.odometry.steps import lost_step, registered_step
from gps_denied_onboard.odometry.uncertainty import yaw_change

SHIFT_LIMIT = 2.0
"""Displacement over height beyond which a prior's position is no guess for the tracks."""


class PlanarOdometry:
    """Camera motion between two frames over plane ground.

    `step` is called with successive frames; what was prepared of the last one is kept, and its motion is the first
    guess of the next. Same inputs in the same order give the same outputs.
    """

    def __init__(self, camera: CameraModel, config: OdometryConfig, terrain: Terrain | None = None) -> None:
        """`terrain` None: level ground."""
        self._camera = camera
        self._terrain = terrain
        self._config = config
        self._last: Picture | None = None
        self._motion: tuple[FloatArray, float] | None = None

    def step(self, previous: Frame, prior0: CameraPrior, current: Frame, prior1: CameraPrior) -> OdometryStep:
        """Motion from `previous` to `current`; raises UserError when a frame has not the calibration's size."""
        first = self._last if self._last is not None and self._last.frame is previous else None
        first = first or Picture(previous, self._camera, self._config)
        second = Picture(current, self._camera, self._config)
        self._last = second
        fault = first.fault or second.fault
        if fault:
            self._motion = None
            return lost_step(first, second, prior0, fault)
        prior = with_hills(self._motion_prior(prior0, prior1), self._terrain, prior0)
        yaw_sigma_rad = max(prior0.yaw_sigma_rad, prior1.yaw_sigma_rad)
        pair = Registration(first, second, prior, yaw_sigma_rad, self._config)
        best = self._best(pair, self._guesses(first, second, prior0, prior1))
        if best is None or best.fault:
            self._motion = None
            reason = best.fault if best else "too few tracks: no common ground"
            return lost_step(first, second, prior0, reason, best)
        self._keep_motion(pair, prior, best)
        return registered_step(pair, prior0, image_up_yaw(prior.rotation0), best, self._config)

    def _motion_prior(self, prior0: CameraPrior, prior1: CameraPrior) -> MotionPrior:
        tilt = max(prior0.tilt_sigma_rad, 1e-3)
        relative = min(math.radians(self._config.relative_tilt_sigma_deg), math.hypot(tilt, prior1.tilt_sigma_rad))
        return MotionPrior(
            prior0.rotation_camera_to_enu,
            prior1.rotation_camera_to_enu,
            max(relative, 1e-4),
            tilt,
            math.radians(self._config.slope_sigma_deg),
            self._config.relief_fraction,
        )

    def _best(self, pair: Registration, guesses: list[PlaneMotion]) -> Candidate | None:
        """Cheapest way first; the first candidate without fault wins, else the one with most tracks tells the fault."""
        failed: list[Candidate] = []
        for motion in guesses:
            candidate = pair.by_tracks(motion.homography)
            if candidate is not None and not candidate.fault:
                return candidate
            failed += [candidate] if candidate else []
        for found in self._without_guess(pair):
            if not found.fault:
                return found
            failed.append(found)
        return max(failed, key=lambda c: c.inliers, default=None)

    def _without_guess(self, pair: Registration) -> Iterator[Candidate]:
        """By the pictures as a whole and by features, the cheaper first: that is the former where the turn is known,
        with its few headings, and the latter where it is not."""
        if pair.yaw_known:
            yield from pair.by_search()
        features = pair.by_features()
        if features is not None:
            yield features
        if not pair.yaw_known:
            yield from pair.by_search()

    def _guesses(self, first: Picture, second: Picture, prior0: CameraPrior, prior1: CameraPrior) -> list[PlaneMotion]:
        """Motions to start the tracks from, likeliest first: the last motion continued, the priors', no motion."""
        r0, r1 = prior0.rotation_camera_to_enu, prior1.rotation_camera_to_enu
        found: list[PlaneMotion] = []
        if self._motion is not None:
            velocity_camera, yaw_rate = self._motion
            dt = (second.t_ns - first.t_ns) * 1e-9
            turn = rotation_z(yaw_rate * dt) @ r0 if prior1.yaw_sigma_rad > YAW_KNOWN_RAD else r1
            found.append(PlaneMotion(r0 @ velocity_camera * dt, r0, turn, np.zeros(2)))
        if prior0.position_known and prior1.position_known:
            shift = (prior1.position_enu_m - prior0.position_enu_m) / max(prior0.height_m, 1.0)
            if 1e-6 < float(np.linalg.norm(shift)) < SHIFT_LIMIT:
                found.append(PlaneMotion(shift, r0, r1, np.zeros(2)))
        return found or [PlaneMotion(np.zeros(3), r0, r1, np.zeros(2))]

    def _keep_motion(self, pair: Registration, prior: MotionPrior, best: Candidate) -> None:
        """The next pair's first guess."""
        motion = best.solution.motion
        dt = (pair.second.t_ns - pair.first.t_ns) * 1e-9
        if dt > 0.0:
            self._motion = (prior.rotation0.T @ motion.translation / dt, yaw_change(motion) / dt)
