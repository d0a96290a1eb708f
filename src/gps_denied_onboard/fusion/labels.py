"""Source label with anchor age, and the ladder of fix type and accuracy (AC-1.4, AC-N8). Pure.

`satellite_anchored`: a map fix was accepted within the age limit and the position is known well enough.
`visual_propagated`: odometry was accepted within its age limit. `dead_reckoned`: neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gps_denied_onboard.geo import LocalFrame, error_ellipse_95
from gps_denied_onboard.messages import Estimate, NavState, SourceLabel
from gps_denied_onboard.rotations import ROTATION_NED_TO_ENU, quaternion_from_matrix

NO_POSITION_ACCURACY_M = 999.0
DEGRADED_95_M = 100.0
FAILSAFE_95_M = 500.0
FAILSAFE_BLACKOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class LabelLimits:
    """Ages and the one-sigma bound (worst horizontal direction) that the labels stand for."""

    anchor_age_s_max: float = 3.0
    anchor_sigma_m_max: float = 20.0
    odometry_age_s_max: float = 2.5


@dataclass(frozen=True, slots=True)
class LabelState:
    """Times of the last accepted map fix, odometry step and of the first sample; None: never."""

    anchor_ns: int | None = None
    odometry_ns: int | None = None
    start_ns: int | None = None

    def anchored(self, t_ns: int) -> LabelState:
        """After a map fix that was accepted, stamped with its frame's time; a late one never turns time back."""
        return replace(self, anchor_ns=t_ns if self.anchor_ns is None else max(t_ns, self.anchor_ns))

    def moved(self, t_ns: int) -> LabelState:
        """After an odometry step that was accepted, stamped with its second frame's time."""
        return replace(self, odometry_ns=t_ns if self.odometry_ns is None else max(t_ns, self.odometry_ns))

    def started(self, t_ns: int) -> LabelState:
        """After the first sample of the flight; later calls change nothing."""
        return self if self.start_ns is not None else replace(self, start_ns=t_ns)

    def anchor_age_ms(self, t_ns: int) -> int:
        """Age of the last accepted map fix; -1 before the first."""
        return -1 if self.anchor_ns is None else max(0, (t_ns - self.anchor_ns) // 1_000_000)

    def blind_s(self, t_ns: int) -> float:
        """Seconds since anything visual was accepted; since the start where nothing was."""
        times = [t for t in (self.anchor_ns, self.odometry_ns) if t is not None]
        if not times:
            return 0.0 if self.start_ns is None else max(0, t_ns - self.start_ns) * 1e-9
        return max(0, t_ns - max(times)) * 1e-9

    def label(self, t_ns: int, horizontal_sigma_m: float, limits: LabelLimits) -> SourceLabel:
        """The source label at `t_ns`."""
        if (
            self.anchor_ns is not None
            and t_ns - self.anchor_ns <= limits.anchor_age_s_max * 1e9
            and horizontal_sigma_m <= limits.anchor_sigma_m_max
        ):
            return SourceLabel.SATELLITE_ANCHORED
        if self.odometry_ns is not None and t_ns - self.odometry_ns <= limits.odometry_age_s_max * 1e9:
            return SourceLabel.VISUAL_PROPAGATED
        return SourceLabel.DEAD_RECKONED


def fix_type_and_accuracy(semi_major_95_m: float, blind_s: float, position_known: bool) -> tuple[int, float]:
    """What the autopilot is told: (fix type, horizontal accuracy in m, one sigma or the 999 of the failsafe).

    95 % ellipse over 100 m: 2D; over 500 m, nothing visual for more than 30 s, or no position at all: no fix, 999 m.
    """
    if not position_known or not math.isfinite(semi_major_95_m):
        return 1, NO_POSITION_ACCURACY_M
    if semi_major_95_m > FAILSAFE_95_M or blind_s > FAILSAFE_BLACKOUT_S:
        return 1, NO_POSITION_ACCURACY_M
    accuracy_m = semi_major_95_m / math.sqrt(5.991)
    return (2 if semi_major_95_m > DEGRADED_95_M else 3), accuracy_m


def horizontal_sigma_m(estimate: Estimate) -> float:
    """One sigma along the worst horizontal direction."""
    return error_ellipse_95(estimate.covariance[:2, :2])[0] / math.sqrt(5.991)


def navstate_from_estimate(
    estimate: Estimate,
    label: SourceLabel,
    anchor_age_ms: int,
    frame: LocalFrame,
    frame_index: int = -1,
    blind_s: float = 0.0,
) -> NavState:
    """The estimate as it leaves the system: WGS84, NED, with fix type and accuracies.

    `blind_s` is `LabelState.blind_s`, for the 30 s step of the ladder.
    """
    latitude_deg, longitude_deg, altitude_m = (float(v) for v in frame.geodetic_from_enu(estimate.position_enu_m))
    major_m, minor_m, azimuth_deg = error_ellipse_95(estimate.covariance[:2, :2])
    fix_type, accuracy_m = fix_type_and_accuracy(major_m, blind_s, estimate.position_known)
    velocity = ROTATION_NED_TO_ENU.T @ estimate.velocity_enu_mps
    speed_variance = float(np.linalg.eigvalsh(estimate.covariance[3:5, 3:5])[-1])
    return NavState(
        t_ns=estimate.t_ns,
        latitude_deg=latitude_deg,
        longitude_deg=longitude_deg,
        altitude_amsl_m=altitude_m,
        velocity_ned_mps=(float(velocity[0]), float(velocity[1]), float(velocity[2])),
        quaternion_body_to_ned=quaternion_from_matrix(ROTATION_NED_TO_ENU.T @ estimate.rotation_body_to_enu),
        covariance_enu_m2=tuple(float(v) for v in estimate.covariance[:3, :3].ravel()),
        ellipse_semi_major_m=major_m,
        ellipse_semi_minor_m=minor_m,
        ellipse_azimuth_deg=azimuth_deg,
        horizontal_accuracy_m=accuracy_m,
        vertical_accuracy_m=math.sqrt(max(float(estimate.covariance[2, 2]), 0.0)),
        speed_accuracy_mps=math.sqrt(max(speed_variance, 0.0)),
        source_label=label,
        last_satellite_anchor_age_ms=anchor_age_ms,
        fix_type=fix_type,
        frame_index=frame_index,
    )
