"""Source label with anchor age, and fix type and accuracy of a state by itself (AC-1.4, AC-3.5, AC-N8). Pure.

`satellite_anchored`: a map fix was accepted within the age limit and the position is known well enough.
`visual_propagated`: odometry was accepted within its age limit. `dead_reckoned`: neither; or the newest picture gave
nothing, or the next one did not come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gps_denied_onboard.geometry.geodesy import CHI2_95_2DOF, LocalFrame, error_ellipse_95
from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU, quaternion_from_matrix
from gps_denied_onboard.integrity import failsafe
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.messages import Estimate, FixType, NavState, SourceLabel

NO_POSITION_ACCURACY_M = 999.0
FRAME_PERIOD_S_MAX = 2.0
FRAMES_KEPT = 8


@dataclass(frozen=True, slots=True)
class LabelLimits:
    """Ages and the one-sigma bound (worst horizontal direction) that the labels stand for."""

    anchor_age_s_max: float = 3.0
    anchor_sigma_m_max: float = 20.0
    odometry_age_s_max: float = 2.5
    failed_s: float = 0.3
    late_frame_s: float = 0.4


@dataclass(frozen=True, slots=True)
class LabelState:
    """Times of the last accepted map fix and odometry step, of the first sample, and of the newest frame that odometry
    could not use; None: never. `frames_ns` are the times of the last frames, at most FRAMES_KEPT, newest last."""

    anchor_ns: int | None = None
    odometry_ns: int | None = None
    start_ns: int | None = None
    failed_ns: int | None = None
    frames_ns: tuple[int, ...] = ()

    def anchored(self, t_ns: int) -> LabelState:
        """After a map fix that was accepted, stamped with its frame's time; a late one never turns time back."""
        return replace(self, anchor_ns=t_ns if self.anchor_ns is None else max(t_ns, self.anchor_ns))

    def moved(self, t_ns: int) -> LabelState:
        """After an odometry step that was accepted, stamped with its second frame's time."""
        return replace(self, odometry_ns=t_ns if self.odometry_ns is None else max(t_ns, self.odometry_ns))

    def failed(self, t_ns: int) -> LabelState:
        """After an odometry step that was lost or refused, stamped with its second frame's time."""
        return replace(self, failed_ns=t_ns if self.failed_ns is None else max(t_ns, self.failed_ns))

    def saw(self, t_ns: int) -> LabelState:
        """After a frame came, whatever becomes of it."""
        return replace(self, frames_ns=(*self.frames_ns, t_ns)[-FRAMES_KEPT:])

    def started(self, t_ns: int) -> LabelState:
        """After the first sample of the flight; later calls change nothing."""
        return self if self.start_ns is not None else replace(self, start_ns=t_ns)

    def anchor_age_ms(self, t_ns: int) -> int:
        """Age of the last accepted map fix; -1 before the first."""
        return -1 if self.anchor_ns is None else max(0, (t_ns - self.anchor_ns) // 1_000_000)

    @property
    def seen_ns(self) -> int | None:
        """When anything visual was accepted last; None: never."""
        times = [t for t in (self.anchor_ns, self.odometry_ns) if t is not None]
        return max(times) if times else None

    @property
    def frame_period_s(self) -> float:
        """Time between the last two frames, FRAME_PERIOD_S_MAX at most and where there were no two."""
        if len(self.frames_ns) < 2:
            return FRAME_PERIOD_S_MAX
        return min(max((self.frames_ns[-1] - self.frames_ns[-2]) * 1e-9, 0.0), FRAME_PERIOD_S_MAX)

    def visual_outage_s(self, t_ns: int) -> float:
        """Seconds since anything visual was accepted; since the start where nothing was."""
        since_ns = self.start_ns if self.seen_ns is None else self.seen_ns
        return 0.0 if since_ns is None else max(0, t_ns - since_ns) / 1e9

    def visual_outage_frames(self, t_ns: int, limits: LabelLimits) -> int:
        """Frames since anything visual was accepted (at most FRAMES_KEPT), those counted in that should have come.

        A frame counts once its fix has had time to come: one that is still worked on is not lost yet.
        """
        if not self.frames_ns:
            return math.floor(self.visual_outage_s(t_ns) / FRAME_PERIOD_S_MAX)
        judged_ns = t_ns - round(limits.failed_s * 1e9)
        came = sum((self.seen_ns or 0) < frame_ns <= judged_ns for frame_ns in self.frames_ns)
        overdue_s = max(0, judged_ns - self.frames_ns[-1]) * 1e-9
        return came + math.floor(overdue_s / max(self.frame_period_s, 0.1))

    def in_visual_outage(self, t_ns: int, limits: LabelLimits) -> bool:
        """Whether the newest picture gave nothing (and its fix has had time to come), or the next one did not come."""
        seen_ns = self.seen_ns
        if seen_ns is None:
            return True
        if self.failed_ns is not None and self.failed_ns > seen_ns and t_ns - self.failed_ns >= limits.failed_s * 1e9:
            return True
        return bool(self.frames_ns) and t_ns - seen_ns > (self.frame_period_s + limits.late_frame_s) * 1e9

    def label(self, t_ns: int, horizontal_sigma_m: float, limits: LabelLimits, healthy: bool = True) -> SourceLabel:
        """The source label at `t_ns`; a state that is not healthy is anchored to nothing."""
        if self.in_visual_outage(t_ns, limits):
            return SourceLabel.DEAD_RECKONED
        if (
            healthy
            and self.anchor_ns is not None
            and t_ns - self.anchor_ns <= limits.anchor_age_s_max * 1e9
            and horizontal_sigma_m <= limits.anchor_sigma_m_max
        ):
            return SourceLabel.SATELLITE_ANCHORED
        if self.odometry_ns is not None and t_ns - self.odometry_ns <= limits.odometry_age_s_max * 1e9:
            return SourceLabel.VISUAL_PROPAGATED
        return SourceLabel.DEAD_RECKONED


def fix_type_and_accuracy(
    semi_major_95_m: float,
    visual_outage_s: float,
    position_known: bool,
    config: IntegrityConfig | None = None,
    healthy: bool = True,
) -> tuple[FixType, float]:
    """What the autopilot is told of a state by itself: fix type and horizontal accuracy in m."""
    known = position_known and math.isfinite(semi_major_95_m)
    sight = failsafe.FailsafeInput(0, known, known, semi_major_95_m, visual_outage_s, 0, healthy)
    fix_type = failsafe.FIX_TYPES[failsafe.wanted_level(sight, config or IntegrityConfig())]
    return fix_type, horizontal_accuracy_m(fix_type, semi_major_95_m)


def horizontal_accuracy_m(fix_type: FixType, semi_major_95_m: float) -> float:
    """One sigma along the worst direction, or what stands for no position."""
    return NO_POSITION_ACCURACY_M if fix_type is FixType.NONE else semi_major_95_m / math.sqrt(CHI2_95_2DOF)


def horizontal_sigma_m(estimate: Estimate) -> float:
    """One sigma along the worst horizontal direction."""
    return error_ellipse_95(estimate.covariance[:2, :2])[0] / math.sqrt(CHI2_95_2DOF)


def navstate_from_estimate(
    estimate: Estimate,
    label: SourceLabel,
    anchor_age_ms: int,
    frame: LocalFrame,
    frame_index: int = -1,
    visual_outage_s: float = 0.0,
    config: IntegrityConfig | None = None,
) -> NavState:
    """The estimate as it leaves the system: WGS84, NED, with fix type and accuracies.

    `visual_outage_s` is `LabelState.visual_outage_s`, for the 30 s step of the ladder.
    """
    latitude_deg, longitude_deg, altitude_m = (float(v) for v in frame.geodetic_from_enu(estimate.position_enu_m))
    major_m, minor_m, azimuth_deg = error_ellipse_95(estimate.covariance[:2, :2])
    fix_type, accuracy_m = fix_type_and_accuracy(
        major_m, visual_outage_s, estimate.position_known, config, estimate.healthy
    )
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
        protection_level_m=estimate.protection_level_m,
    )
