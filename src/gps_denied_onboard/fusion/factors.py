"""Factors of the smoother that gtsam does not have, each with its derivatives.

Variables of keyframe k: pose X (body in ENU), velocity V (ENU), IMU bias B, and S (16,), the slow errors:
wind (2), autopilot attitude error (3, ENU), baro bias, airspeed scale, map offset (3), odometry scale, mount (3: the
camera's rotation to the body is exp(mount) times the nominal one), gust (2). gtsam perturbs a pose on the right:
rotation first, then translation, both in body axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gtsam
import numpy as np

from gps_denied_onboard._native import eskf_core_size, eskf_layout
from gps_denied_onboard.geometry.geodesy import EARTH_RADIUS_M
from gps_denied_onboard.geometry.rotations import exp_rotation, image_up_yaw, log_rotation, rotation_z, skew, wrap_angle
from gps_denied_onboard.messages import FloatArray

WIND, AUTOPILOT, BARO, AIRSPEED, MAP, ODOMETRY, MOUNT, GUST = (
    slice(0, 2), slice(2, 5), 5, 6, slice(7, 10), 10, slice(11, 14), slice(14, 16),
)  # fmt: skip
SLOW_BLOCKS = ("wind", "autopilot_bias", "baro_bias", "airspeed_scale", "map_offset", "odometry_scale", "mount", "gust")
BIAS_STATES = sum(eskf_layout[name][1] for name in SLOW_BLOCKS)


@dataclass(frozen=True, slots=True, eq=False)
class KeyframeMeasurements:
    """What the autopilot measured at a keyframe; None: nothing. Sigmas are of these numbers."""

    rotation_body_to_enu: FloatArray | None
    attitude_sigma_rad: float
    baro_up_m: float | None
    baro_sigma_m: float
    airspeed_mps: float | None
    airspeed_sigma_mps: float
    sideslip_sigma_mps: float


def dense_prior(keys: list[int], pose: Any, rest: FloatArray, covariance: FloatArray) -> Any:
    """Gaussian on X, V, B, S together: `rest` (25,) is V, B (accel, gyro), S.

    `covariance` (31, 31) is in gtsam's order, the pose in body axes.
    """
    model = gtsam.noiseModel.Gaussian.Covariance(covariance)

    def error(_: Any, values: Any, jacobians: Any) -> FloatArray:
        x = values.atPose3(keys[0])
        now = np.concatenate(
            [values.atVector(keys[1]), values.atConstantBias(keys[2]).vector(), values.atVector(keys[3])]
        )
        if jacobians is not None:
            eye = np.eye(eskf_core_size)
            for i, (a, b) in enumerate(((0, 6), (6, 9), (9, 15), (15, 31))):
                jacobians[i] = np.asfortranarray(eye[:, a:b])
        return np.concatenate([pose.localCoordinates(x), now - rest])

    return gtsam.CustomFactor(model, keys, error)


def keyframe_factor(keys: list[int], decay: FloatArray, sigma: FloatArray, sensed: KeyframeMeasurements) -> Any:
    """Keys X1, V1, S0, S1: the slow errors' step (`decay`, `sigma` (16,)) and the autopilot's sensors at 1."""
    sigmas = list(sigma)
    if sensed.rotation_body_to_enu is not None:
        sigmas += [sensed.attitude_sigma_rad] * 3
    if sensed.baro_up_m is not None:
        sigmas.append(sensed.baro_sigma_m)
    if sensed.airspeed_mps is not None:
        sigmas += [sensed.airspeed_sigma_mps, sensed.sideslip_sigma_mps]
    rows = len(sigmas)
    model = gtsam.noiseModel.Diagonal.Sigmas(np.array(sigmas))

    def error(_: Any, values: Any, jacobians: Any) -> FloatArray:
        pose, v = values.atPose3(keys[0]), values.atVector(keys[1])
        s0, s1 = values.atVector(keys[2]), values.atVector(keys[3])
        r, p = pose.rotation().matrix(), pose.translation()
        e = np.empty(rows)
        jx, jv = np.zeros((rows, 6), order="F"), np.zeros((rows, 3), order="F")
        j0, j1 = np.zeros((rows, BIAS_STATES), order="F"), np.zeros((rows, BIAS_STATES), order="F")
        e[:BIAS_STATES] = s1 - decay * s0
        j0[range(BIAS_STATES), range(BIAS_STATES)] = -decay
        j1[range(BIAS_STATES), range(BIAS_STATES)] = 1.0
        at = BIAS_STATES
        if sensed.rotation_body_to_enu is not None:
            e[at : at + 3] = log_rotation(sensed.rotation_body_to_enu @ r.T) - s1[AUTOPILOT]
            jx[at : at + 3, :3] = -r
            j1[at : at + 3, AUTOPILOT] = -np.eye(3)
            at += 3
        if sensed.baro_up_m is not None:
            e[at] = p[2] + (p[0] ** 2 + p[1] ** 2) / (2.0 * EARTH_RADIUS_M) + s1[BARO] - sensed.baro_up_m
            jx[at, 3:] = np.array([p[0] / EARTH_RADIUS_M, p[1] / EARTH_RADIUS_M, 1.0]) @ r
            j1[at, BARO] = 1.0
            at += 1
        if sensed.airspeed_mps is not None:
            _air(e, at, r, v, s1, sensed.airspeed_mps, (jx, jv, j1))
        if jacobians is not None:
            jacobians[0], jacobians[1], jacobians[2], jacobians[3] = jx, jv, j0, j1
        return e

    return gtsam.CustomFactor(model, keys, error)


def _air(
    e: FloatArray,
    at: int,
    r: FloatArray,
    v: FloatArray,
    s: FloatArray,
    measured_mps: float,
    jacobians: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    """Airspeed and no sideslip, in rows `at` and `at` + 1."""
    jx, jv, js = jacobians
    air = v - np.array([*(s[WIND] + s[GUST]), 0.0])
    speed = max(float(np.linalg.norm(air)), 1.0)
    ahead, right = air / speed, r[:, 1]
    scale = 1.0 + s[AIRSPEED]
    e[at] = scale * speed - measured_mps
    e[at + 1] = right @ air
    jv[at], jv[at + 1] = scale * ahead, right
    js[at, WIND], js[at + 1, WIND] = -scale * ahead[:2], -right[:2]
    js[at, GUST], js[at + 1, GUST] = js[at, WIND], js[at + 1, WIND]
    js[at, AIRSPEED] = speed
    jx[at + 1, :3] = np.cross([0.0, 1.0, 0.0], r.T @ air)


def _camera(pose: Any, slow: FloatArray, nominal: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Camera to ENU, and the ENU rotation per body rotation and per mount change."""
    r = pose.rotation().matrix()
    m = slow[MOUNT]
    return r @ exp_rotation(m) @ nominal, r, r @ (np.eye(3) + 0.5 * skew(m))


def fix_factor(keys: list[int], position: FloatArray, rotation: FloatArray, nominal: FloatArray, model: Any) -> Any:
    """Keys X, S: a map fix of the camera's pose, position then attitude."""

    def error(_: Any, values: Any, jacobians: Any) -> FloatArray:
        pose, slow = values.atPose3(keys[0]), values.atVector(keys[1])
        camera, by_body, by_mount = _camera(pose, slow, nominal)
        if jacobians is not None:
            jx, js = np.zeros((6, 6), order="F"), np.zeros((6, BIAS_STATES), order="F")
            jx[:3, 3:] = pose.rotation().matrix()
            js[:3, MAP] = np.eye(3)
            jx[3:, :3] = by_body
            js[3:, MOUNT] = by_mount
            jacobians[0], jacobians[1] = jx, js
        off = pose.translation() + slow[MAP] - position
        return np.concatenate([off, log_rotation(camera @ rotation.T)])

    return gtsam.CustomFactor(model, keys, error)


def _yaw(camera: FloatArray) -> tuple[float, FloatArray]:
    """Yaw of the image's upward axis and its gradient by the camera's rotation in ENU."""
    u = -camera[:, 1]
    flat = max(u[0] ** 2 + u[1] ** 2, 1e-6)
    return image_up_yaw(camera), np.array([-u[2] * u[0] / flat, -u[2] * u[1] / flat, 1.0])


def odometry_factor(
    keys: list[int], displacement: FloatArray, yaw_change: float, yaw_prior: float, nominal: FloatArray, model: Any
) -> Any:
    """Keys X0, X1, S1: displacement between two frames, turned by the yaw error of its prior, and yaw change."""

    def error(_: Any, values: Any, jacobians: Any) -> FloatArray:
        pose0, pose1, slow = values.atPose3(keys[0]), values.atPose3(keys[1]), values.atVector(keys[2])
        camera0, body0, mount0 = _camera(pose0, slow, nominal)
        camera1, body1, mount1 = _camera(pose1, slow, nominal)
        yaw0, gradient0 = _yaw(camera0)
        yaw1, gradient1 = _yaw(camera1)
        turned = rotation_z(wrap_angle(yaw0 - yaw_prior)) @ displacement
        scale = 1.0 + slow[ODOMETRY]
        between = pose1.translation() - pose0.translation()
        # The scale is on the side of the state: on the noisy side it would shrink to make the noise small.
        off = scale * between - turned
        if jacobians is not None:
            sideways = np.array([-turned[1], turned[0], 0.0])
            j0, j1 = np.zeros((4, 6), order="F"), np.zeros((4, 6), order="F")
            js = np.zeros((4, BIAS_STATES), order="F")
            j0[:3, 3:], j1[:3, 3:] = -scale * body0, scale * body1
            j0[:3, :3] = -np.outer(sideways, gradient0 @ body0)
            js[:3, MOUNT] = -np.outer(sideways, gradient0 @ mount0)
            js[:3, ODOMETRY] = between
            j0[3, :3], j1[3, :3] = -gradient0 @ body0, gradient1 @ body1
            js[3, MOUNT] = gradient1 @ mount1 - gradient0 @ mount0
            jacobians[0], jacobians[1], jacobians[2] = j0, j1, js
        return np.array([*off, math.remainder(yaw1 - yaw0 - yaw_change, 2.0 * math.pi)])

    return gtsam.CustomFactor(model, keys, error)
