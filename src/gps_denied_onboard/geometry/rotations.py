"""Rotations as (3, 3) matrices, unit quaternions (w, x, y, z) and rotation vectors; pure numpy.

Formulas: Sola, "Quaternion kinematics for the error-state Kalman filter" (2017), sections 2 and 4.
"""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.messages import FloatArray, Quaternion

ROTATION_NED_TO_ENU: FloatArray = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
"""Symmetric: it also turns ENU into NED."""


def skew(v: FloatArray) -> FloatArray:
    """Cross-product matrix (3, 3) of `v` (3,)."""
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


def exp_rotation(v: FloatArray) -> FloatArray:
    """Rotation matrix (3, 3) of the rotation vector `v` (3,), rad (Rodrigues)."""
    angle = float(np.linalg.norm(v))
    k = skew(np.asarray(v, dtype=float))
    if angle < 1e-8:
        return np.eye(3) + k + 0.5 * k @ k
    return np.eye(3) + math.sin(angle) / angle * k + (1.0 - math.cos(angle)) / angle**2 * k @ k


def log_rotation(r: FloatArray) -> FloatArray:
    """Rotation vector (3,) of a rotation matrix, rad, angle in 0..pi."""
    w, x, y, z = quaternion_from_matrix(r)
    norm = math.sqrt(x * x + y * y + z * z)
    if norm < 1e-12:
        return np.array([2.0 * x, 2.0 * y, 2.0 * z])
    return np.array([x, y, z]) * (2.0 * math.atan2(norm, w) / norm)


def matrix_from_quaternion(q: Quaternion) -> FloatArray:
    """Rotation matrix (3, 3) of a quaternion (w, x, y, z), normalised first."""
    w, x, y, z = np.asarray(q, dtype=float) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_matrix(r: FloatArray) -> Quaternion:
    """Unit quaternion (w >= 0) of a rotation matrix; Shepperd's choice of the largest component."""
    trace = float(r[0, 0] + r[1, 1] + r[2, 2])
    d = [trace, float(r[0, 0]), float(r[1, 1]), float(r[2, 2])]
    i = int(np.argmax(d))
    if i == 0:
        q = [1.0 + trace, r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]
    elif i == 1:
        q = [r[2, 1] - r[1, 2], 1.0 + r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]]
    elif i == 2:
        q = [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], 1.0 - r[0, 0] + r[1, 1] - r[2, 2], r[1, 2] + r[2, 1]]
    else:
        q = [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], 1.0 - r[0, 0] - r[1, 1] + r[2, 2]]
    n = math.sqrt(sum(float(c) ** 2 for c in q))
    sign = -1.0 if q[0] < 0 else 1.0
    w, x, y, z = (sign * float(c) / n for c in q)
    return (w, x, y, z)


def shortest_turn(start: FloatArray, end: FloatArray) -> FloatArray:
    """Rotation (3, 3) that takes the unit vector `start` (3,) to `end` by the shortest way."""
    k, c = skew(np.cross(start, end)), float(start @ end)
    return np.asarray(np.eye(3) + k + k @ k / max(1.0 + c, 1e-6))


def rotation_z(angle_rad: float) -> FloatArray:
    """Rotation by `angle_rad` about the third axis, counter-clockwise seen from its tip."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def rotation_zyx(yaw_rad: float, pitch_rad: float, roll_rad: float) -> FloatArray:
    """Body to NED (3, 3) of aerospace angles: yaw, then pitch, then roll."""
    (cy, sy), (cp, sp), (cr, sr) = ((math.cos(a), math.sin(a)) for a in (yaw_rad, pitch_rad, roll_rad))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def quaternion_zyx(yaw_rad: float, pitch_rad: float, roll_rad: float) -> Quaternion:
    """Body to NED (w, x, y, z) of aerospace angles as `rotation_zyx`; NaN where one of them is not finite."""
    if not all(math.isfinite(angle) for angle in (yaw_rad, pitch_rad, roll_rad)):
        return (math.nan, math.nan, math.nan, math.nan)
    cr, sr, cp, sp, cy, sy = (f(a / 2.0) for a in (roll_rad, pitch_rad, yaw_rad) for f in (math.cos, math.sin))
    return (
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    )


def wrap_angle(angle_rad: float) -> float:
    """The same angle in -pi..pi."""
    return math.remainder(angle_rad, 2.0 * math.pi)


def image_up_yaw(rotation_camera_to_enu: FloatArray) -> float:
    """Direction of the image's upward axis (-y) on the ground, rad from east, counter-clockwise."""
    up = -rotation_camera_to_enu[:, 1]
    return math.atan2(float(up[1]), float(up[0]))


def nadir_camera_to_enu(yaw_rad: float) -> FloatArray:
    """Camera looking straight down with its image's upward axis at `yaw_rad` from east, counter-clockwise."""
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[s, -c, 0.0], [-c, -s, 0.0], [0.0, 0.0, -1.0]])
