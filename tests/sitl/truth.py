"""Where a simulated aircraft truly is: poses as its simulator tells them, and between them."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import numpy as np

from gps_denied_onboard.geometry.rotations import exp_rotation, log_rotation
from gps_denied_onboard.messages import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """`t_ns` on the machine's monotonic clock; ENU at home; `rotation_body_to_enu` (3, 3), body FRD."""

    t_ns: int
    position_enu_m: FloatArray
    rotation_body_to_enu: FloatArray


@dataclass(slots=True)
class Track:
    """Poses in order of time; what is older than the newest `kept` is forgotten."""

    kept: int = 100_000
    poses: list[Pose] = field(default_factory=list)

    def add(self, pose: Pose) -> None:
        """A newer pose; one that is not newer is passed over."""
        if self.poses and pose.t_ns <= self.poses[-1].t_ns:
            return
        self.poses.append(pose)
        if len(self.poses) > 2 * self.kept:
            del self.poses[: self.kept]

    def at_ns(self, t_ns: int) -> Pose | None:
        """The pose at a moment, interpolated; None before the first and after the last one."""
        k = bisect.bisect(self.poses, t_ns, key=lambda pose: pose.t_ns)
        if k == 0 or k == len(self.poses):
            return None
        a, b = self.poses[k - 1], self.poses[k]
        part = (t_ns - a.t_ns) / (b.t_ns - a.t_ns)
        turn = log_rotation(a.rotation_body_to_enu.T @ b.rotation_body_to_enu)
        return Pose(
            t_ns,
            a.position_enu_m + part * (b.position_enu_m - a.position_enu_m),
            a.rotation_body_to_enu @ exp_rotation(part * turn),
        )

    def at(self, t_s: float) -> tuple[FloatArray, FloatArray]:
        """Position and rotation at a moment between the first and the last pose, as the simulated eye asks for it."""
        pose = self.at_ns(round(t_s * 1e9))
        if pose is None:
            raise ValueError(f"no pose at {t_s}")
        return np.asarray(pose.position_enu_m), np.asarray(pose.rotation_body_to_enu)
