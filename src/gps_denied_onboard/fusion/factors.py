"""Factors of the smoother that gtsam does not have; their errors and derivatives are in cpp/smoother/factors.cpp.

Variables of keyframe k: pose X (body in ENU), velocity V (ENU), IMU bias B, and S (16,), the slow errors:
wind (2), autopilot attitude error (3, ENU), baro bias, airspeed scale, map offset (3), odometry scale, mount (3: the
camera's rotation to the body is exp(mount) times the nominal one), gust (2). gtsam perturbs a pose on the right:
rotation first, then translation, both in body axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gtsam
import numpy as np

from gps_denied_onboard._native import eskf_core_size, eskf_layout, fix_error, keyframe_error, odometry_error
from gps_denied_onboard.geometry.geodesy import EARTH_RADIUS_M
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
    model = gtsam.noiseModel.Diagonal.Sigmas(np.array(sigmas))

    attitude, baro_up_m, airspeed_mps = sensed.rotation_body_to_enu, sensed.baro_up_m, sensed.airspeed_mps

    def error(_: Any, values: Any, jacobians: Any) -> FloatArray:
        pose, v = values.atPose3(keys[0]), values.atVector(keys[1])
        s0, s1 = values.atVector(keys[2]), values.atVector(keys[3])
        linear = keyframe_error(
            *_parts(pose), v, s0, s1, decay, attitude, baro_up_m, airspeed_mps, earth_radius_m=EARTH_RADIUS_M
        )
        return _hand_over(linear, jacobians)

    return gtsam.CustomFactor(model, keys, error)


def _parts(pose: Any) -> tuple[FloatArray, FloatArray]:
    """Body to ENU (3, 3) and position (3,) of a gtsam pose."""
    return pose.rotation().matrix(), pose.translation()


def _hand_over(linear: tuple[FloatArray, ...], jacobians: Any) -> FloatArray:
    """The error; its derivatives go to gtsam where it asks for them."""
    if jacobians is not None:
        for i, by in enumerate(linear[1:]):
            jacobians[i] = by
    return linear[0]


def fix_factor(keys: list[int], position: FloatArray, rotation: FloatArray, nominal: FloatArray, model: Any) -> Any:
    """Keys X, S: a map fix of the camera's pose, position then attitude."""

    def error(_: Any, values: Any, jacobians: Any) -> FloatArray:
        pose, slow = values.atPose3(keys[0]), values.atVector(keys[1])
        return _hand_over(fix_error(*_parts(pose), slow, position, rotation, nominal), jacobians)

    return gtsam.CustomFactor(model, keys, error)


def odometry_factor(
    keys: list[int], displacement: FloatArray, yaw_change: float, yaw_prior: float, nominal: FloatArray, model: Any
) -> Any:
    """Keys X0, X1, S1: displacement between two frames, turned by the yaw error of its prior, and yaw change."""

    def error(_: Any, values: Any, jacobians: Any) -> FloatArray:
        pose0, pose1, slow = values.atPose3(keys[0]), values.atPose3(keys[1]), values.atVector(keys[2])
        parts = (*_parts(pose0), *_parts(pose1))
        return _hand_over(odometry_error(*parts, slow, displacement, yaw_change, yaw_prior, nominal), jacobians)

    return gtsam.CustomFactor(model, keys, error)
