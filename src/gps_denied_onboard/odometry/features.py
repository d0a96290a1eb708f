"""Odometry `features`: the camera's displacement from the pictures alone, for autopilots without trustworthy attitude.

Of the priors only the first one's yaw (to say where north is), height (for the scale) and, over heights on board, place
are used. Rotation and the ground's plane come from the pictures: see two_view.py. Which way is up follows from the
plane: the picture shows its ground's slope and the camera's tilt as one.
"""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import image_up_yaw, nadir_camera_to_enu, shortest_turn, wrap_angle
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, OdometryStep
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.hills import ground_normal, with_hills
from gps_denied_onboard.odometry.picture import Picture
from gps_denied_onboard.odometry.plane_motion import MotionPrior
from gps_denied_onboard.odometry.registration import Candidate, PointPairs, Registration
from gps_denied_onboard.odometry.steps import lost_step, registered_step
from gps_denied_onboard.odometry.tracking import track
from gps_denied_onboard.odometry.two_view import POINTS_MIN, two_view
from gps_denied_onboard.odometry.wide_baseline import match_features

TURNS = 6
LEAN_SIGMAS = 3.0
"""A plane that lies further from below the aircraft than this many `level_sigma_deg` is not the ground's."""


class FeaturesOdometry:
    """Camera motion between two frames from their correspondences; a further strategy beside `planar`.

    Corners are followed along the last motion where there is one, else features are matched over any baseline.
    Same inputs in the same order give the same outputs.
    """

    def __init__(self, camera: CameraModel, config: OdometryConfig, terrain: Terrain | None = None) -> None:
        """`terrain` None: level ground."""
        self._camera = camera
        self._terrain = terrain
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
            pair = self._pair(first, second, prior0, tracks)
            failed = None if pair is None else pair.by_tracks(guess, tracks=tracks)
            if pair is not None and failed is not None and not failed.fault:
                return self._registered(pair, prior0, yaw_rad, failed)
        features = match_features(first, second)
        pair = self._pair(first, second, prior0, features)
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

    def _pair(self, first: Picture, second: Picture, prior0: CameraPrior, points: PointPairs) -> Registration | None:
        """The pair with what its own correspondences say of rotation and plane, instead of an attitude; None where
        they say nothing."""
        if len(points[0]) < POINTS_MIN:
            return None
        x0, x1 = (first.camera.undistort(p) for p in points)
        view = two_view(x0, x1, first.focal_px, self._config.feature_sigma_px, self._down)
        if view is None:
            return None
        level = math.radians(self._config.level_sigma_deg)
        normal, up = self._down, np.array([0.0, 0.0, 1.0])
        if view.normal is not None and float(view.normal @ self._down) > math.cos(LEAN_SIGMAS * level):
            normal, up = view.normal, ground_normal(self._terrain, prior0)
        rotation0 = over_plane(normal, image_up_yaw(prior0.rotation_camera_to_enu), up)
        relief = max(self._config.relief_fraction, view.relief)
        prior = MotionPrior(
            rotation0, rotation0 @ view.rotation.T, level, level, math.radians(self._config.slope_sigma_deg), relief
        )
        return Registration(first, second, with_hills(prior, self._terrain, prior0), math.pi, self._config)


def over_plane(normal: FloatArray, yaw_rad: float, up: FloatArray) -> FloatArray:
    """(3, 3) camera to ENU of a camera that sees a plane along `normal` (3,), its image's top at `yaw_rad`; `up` (3,)
    is the plane's own upward direction in ENU."""
    level = np.array([0.0, 0.0, 1.0])
    onto, seen = shortest_turn(level, up), shortest_turn(normal, level)
    turn_rad = yaw_rad
    for _ in range(TURNS):  # about the plane's normal, until the image's top points where it should
        rotation = onto @ nadir_camera_to_enu(turn_rad) @ seen
        turn_rad += wrap_angle(yaw_rad - image_up_yaw(rotation))
    return np.asarray(rotation)
