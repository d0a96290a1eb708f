"""Odometry `features`: the camera's displacement from the pictures alone, for autopilots without trustworthy attitude.

Of the priors only the first one's yaw (to say where north is) and height (for the scale) are used. Rotation, tilt and
the ground's plane come from the pictures: see two_view.py.
"""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import image_up_yaw, nadir_camera_to_enu, rotation_z, shortest_turn
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, OdometryStep
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.picture import Picture
from gps_denied_onboard.odometry.plane_motion import MotionPrior
from gps_denied_onboard.odometry.registration import Candidate, PointPairs, Registration
from gps_denied_onboard.odometry.steps import lost_step, registered_step
from gps_denied_onboard.odometry.tracking import track
from gps_denied_onboard.odometry.two_view import POINTS_MIN, two_view
from gps_denied_onboard.odometry.wide_baseline import match_features

LEAN_SIGMAS = 3.0
"""A plane that lies further from below the aircraft than this many `level_sigma_deg` is not the ground's."""


class FeaturesOdometry:
    """Camera motion between two frames from their correspondences; a further strategy beside `planar`.

    Corners are followed along the last motion where there is one, else features are matched over any baseline.
    Same inputs in the same order give the same outputs.
    """

    def __init__(self, camera: CameraModel, config: OdometryConfig, terrain: Terrain | None = None) -> None:  # noqa: ARG002
        """Of `terrain` nothing is used: the pictures show the ground's plane."""
        self._camera = camera
        self._config = config
        self._down: FloatArray = camera.mount.T @ np.array([0.0, 0.0, 1.0])
        self._last: Picture | None = None
        self._homography: FloatArray | None = None

    def step(self, previous: Frame, prior0: CameraPrior, current: Frame, prior1: CameraPrior) -> OdometryStep:  # noqa: ARG002
        """See `Odometry.step`; of `prior1` nothing is used."""
        first = self._last if self._last is not None and self._last.frame is previous else None
        first = first or Picture(previous, self._camera, self._config)
        second = Picture(current, self._camera, self._config)
        self._last = second
        guess, self._homography = self._homography, None
        fault = first.fault or second.fault
        if fault:
            return lost_step(first, second, prior0, fault)
        yaw_rad = image_up_yaw(prior0.rotation_camera_to_enu)
        failed: Candidate | None = None
        if guess is not None:
            tracks = track(first, second, guess, self._config)
            pair = self._pair(first, second, yaw_rad, tracks)
            failed = None if pair is None else pair.by_tracks(guess, tracks=tracks)
            if pair is not None and failed is not None and not failed.fault:
                return self._registered(pair, prior0, yaw_rad, failed)
        features = match_features(first, second)
        pair = self._pair(first, second, yaw_rad, features)
        best = None if pair is None else pair.by_features(features)
        if pair is not None and best is not None and not best.fault:
            return self._registered(pair, prior0, yaw_rad, best)
        told = best or failed
        return lost_step(
            first, second, prior0, told.fault if told else "too few features in common: no common ground", told
        )

    def _registered(self, pair: Registration, prior0: CameraPrior, yaw_rad: float, best: Candidate) -> OdometryStep:
        self._homography = best.solution.motion.homography
        return registered_step(pair, prior0, yaw_rad, best, self._config)

    def _pair(self, first: Picture, second: Picture, yaw_rad: float, points: PointPairs) -> Registration | None:
        """The pair with what its own correspondences say of rotation and plane, instead of an attitude; None where
        they say nothing."""
        if len(points[0]) < POINTS_MIN:
            return None
        x0, x1 = (first.camera.undistort(p) for p in points)
        view = two_view(x0, x1, first.focal_px, self._config.feature_sigma_px, self._down)
        if view is None:
            return None
        level = math.radians(self._config.level_sigma_deg)
        normal = self._down
        if view.normal is not None and float(view.normal @ self._down) > math.cos(LEAN_SIGMAS * level):
            normal = view.normal
        rotation0 = over_plane(normal, yaw_rad)
        relief = max(self._config.relief_fraction, view.relief)
        prior = MotionPrior(
            rotation0, rotation0 @ view.rotation.T, level, level, math.radians(self._config.slope_sigma_deg), relief
        )
        return Registration(first, second, prior, math.pi, self._config)


def over_plane(normal: FloatArray, yaw_rad: float) -> FloatArray:
    """(3, 3) camera to ENU of a camera that sees level ground along `normal` (3,), its image's top at `yaw_rad`."""
    rotation = nadir_camera_to_enu(yaw_rad) @ shortest_turn(normal, np.array([0.0, 0.0, 1.0]))
    return np.asarray(rotation_z(yaw_rad - image_up_yaw(rotation)) @ rotation)
