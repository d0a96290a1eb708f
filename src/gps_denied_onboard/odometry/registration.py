"""Two pictures registered: candidates by tracks, features or whole-picture search, each solved and judged; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from gps_denied_onboard.imaging.orientation import MaskArray
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.odometry.alignment import (
    Agreement,
    check_motion,
    fine_agreement,
    search_motion,
    shifted_homography,
)
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.picture import Picture
from gps_denied_onboard.odometry.plane_motion import (
    MotionPrior,
    Solution,
    seed_motion,
    solve_motion,
    tilt_vector,
    turn_about_up,
)
from gps_denied_onboard.odometry.tracking import move_pixels, track
from gps_denied_onboard.odometry.wide_baseline import match_features, robust_homography

PointPairs: TypeAlias = tuple[FloatArray, FloatArray]
"""Pixels (N, 2) in the one reduced picture and (N, 2) in the other."""

YAW_KNOWN_RAD = 0.5
YAW_BIN_RAD = math.radians(6.0)
STILL_PX = 1.0
"""Flow of reduced pixels under which a track stands still."""
STANDING_SHARE_MIN = 0.6
STRUCTURED_MIN = 0.5
"""A picture stands still when so much of it has structure, and so much of that has not moved."""
MERGED_SHARE = 0.35
"""A rival that ends within this share of its first distance has become the same motion."""
TILT_LIMIT_RAD = math.radians(30.0)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A motion that tracks agree on; `fault` says why it must not be used. Pixels are of the reduced pictures."""

    solution: Solution
    pixel0_px: FloatArray
    pixel1_px: FloatArray
    agreement: Agreement
    method: str
    fault: str

    @property
    def inlier(self) -> MaskArray:
        """(N,) tracks that the motion explains."""
        return np.asarray(self.solution.weight > 0.1)

    @property
    def inliers(self) -> int:
        """How many these are."""
        return int(np.count_nonzero(self.inlier))


class Registration:
    """One pair of pictures with what is known of the motion between them."""

    def __init__(
        self, first: Picture, second: Picture, prior: MotionPrior, yaw_sigma_rad: float, config: OdometryConfig
    ) -> None:
        self.first = first
        self.second = second
        self._prior = prior
        self._yaw_sigma_rad = yaw_sigma_rad
        self._config = config
        self._overlay = False

    @property
    def yaw_known(self) -> bool:
        """Whether what is told of the pictures' turn is a help."""
        return self._yaw_sigma_rad < YAW_KNOWN_RAD

    def by_tracks(
        self, guess: FloatArray, method: str = "tracks", rival: bool = False, tracks: PointPairs | None = None
    ) -> Candidate | None:
        """Corners followed along a guessed homography; None when too few are found again. `tracks`: they were."""
        p0, p1 = self._moving(*(tracks or track(self.first, self.second, guess, self._config)))
        candidate = self._solve(p0, p1, method, rival)
        if candidate is None or candidate.fault or rival:
            return candidate
        expected = move_pixels(self.second.camera, self.first.corners, candidate.solution.motion.homography)
        w, h = self.second.camera.width_px, self.second.camera.height_px
        seen = int(np.count_nonzero(np.all((expected > 8) & (expected < (w - 9, h - 9)), axis=1)))
        if candidate.inliers < self._config.found_again_min * seen:
            return replace(candidate, fault=f"only {candidate.inliers} of {seen} corners in view are found again")
        return candidate

    def by_features(self, features: PointPairs | None = None) -> Candidate | None:
        """SIFT features, then corners along the motion that they show; the features alone where that is less.
        `features`: they were matched."""
        p0, p1 = self._moving(*(features or match_features(self.first, self.second)))
        coarse = self._solve(p0, p1, "features")
        if coarse is None:
            return None
        fine = self.by_tracks(coarse.solution.motion.homography, "features")
        if fine is None or fine.fault:
            return coarse
        return fine if coarse.fault or fine.inliers > 0.5 * coarse.inliers else coarse

    def by_search(self) -> Iterator[Candidate]:
        """Corners along the coarse motions that the orientation fields show, best first."""
        reach = max(3.0 * self._yaw_sigma_rad, YAW_BIN_RAD) if self.yaw_known else math.pi
        bins = math.ceil(2.0 * reach / YAW_BIN_RAD) | 1
        yaws = np.linspace(-reach, reach, bins, endpoint=reach < math.pi)
        r0, r1 = self._prior.rotation0, self._prior.rotation1
        for found in search_motion(self.first, self.second, r0, r1, yaws):
            candidate = self.by_tracks(found.motion.homography, "correlation")
            if candidate is None:
                continue
            # Once more from the first solution: the coarse one is off by up to half a bin.
            again = self.by_tracks(candidate.solution.motion.homography, "correlation")
            yield again if again is not None and again.inliers > candidate.inliers else candidate

    def _solve(self, p0: FloatArray, p1: FloatArray, method: str, rival: bool = False) -> Candidate | None:
        """Seed, refine and judge; None when there are too few tracks to try."""
        config, camera, focal = self._config, self.first.camera, self.first.focal_px
        if len(p0) < config.inliers_min:
            return None
        x0, x1 = camera.undistort(p0), camera.undistort(p1)
        selected = self._seed(x0, x1)
        if np.count_nonzero(selected) < config.inliers_min:
            return None
        start = seed_motion(self._prior, x0[selected], x1[selected])
        floor, independent = config.pixel_sigma_floor_px, config.independent_tracks
        solution = solve_motion(start, self._prior, x0, x1, focal, selected, floor, independent)
        agreement = check_motion(self.first, self.second, solution.motion.homography)
        candidate = Candidate(solution, p0, p1, agreement, method, self._judge(solution, p0, agreement))
        if not candidate.fault and np.median(np.hypot(*(p1 - p0)[candidate.inlier].T)) < STILL_PX:
            return self._standing(candidate)
        if not candidate.fault and agreement.rival > config.ambiguity_ratio_max and not rival:
            return self._against_rival(candidate)
        return candidate

    def _seed(self, x0: FloatArray, x1: FloatArray) -> MaskArray:
        """(N,) tracks of the motion that most agree on; a moving ground goes before a standing overlay."""
        config, focal = self._config, self.first.focal_px
        selected = robust_homography(x0, x1, focal, config.seed_threshold_px)
        rest = ~selected
        still = np.hypot(*(x1 - x0).T) * focal < STILL_PX
        if np.count_nonzero(selected & still) < 0.5 * np.count_nonzero(selected):
            return selected
        if np.count_nonzero(rest) < config.inliers_min:
            return selected
        second = np.zeros(len(x0), dtype=np.bool_)
        second[rest] = robust_homography(x0[rest], x1[rest], focal, config.seed_threshold_px)
        enough = max(config.inliers_min, 0.3 * np.count_nonzero(selected))
        return second if np.count_nonzero(second & ~still) >= enough else selected

    def _moving(self, p0: FloatArray, p1: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The tracks (N, 2), (N, 2) without those of an overlay, once there is known to be one."""
        if not self._overlay:
            return p0, p1
        moving = np.hypot(*(p1 - p0).T) > STILL_PX
        return p0[moving], p1[moving]

    def _standing(self, candidate: Candidate) -> Candidate:
        """A picture that does not move: true only where the ground between the letters of an overlay stands too."""
        fine = fine_agreement(self.first, self.second, candidate.solution.motion.homography)
        if fine.structured > STRUCTURED_MIN and fine.share > STANDING_SHARE_MIN:
            return candidate
        self._overlay = True
        return replace(candidate, fault="only what is burnt into the picture agrees, the ground does not")

    def _against_rival(self, candidate: Candidate) -> Candidate:
        """The better of a motion and its rival in a repeated pattern, by the pictures' detail; else a fault."""
        here, shift = candidate.solution.motion.homography, candidate.agreement.rival_shift
        other = self.by_tracks(shifted_homography(self.first, here, shift), candidate.method, rival=True)
        if other is None or other.fault:
            return candidate
        there = other.solution.motion.homography
        value = fine_agreement(self.first, self.second, here).value
        rival = fine_agreement(self.first, self.second, there).value
        small = self.first.small[1].width_px / self.first.camera.width_px
        if self._distance_px(here, there) * small < MERGED_SHARE * math.hypot(*shift):
            return candidate if value >= rival or candidate.inliers > other.inliers else other
        lead = self._config.detail_lead_min
        if value > rival + lead:
            return candidate
        if rival > value + lead and other.inliers > 0.5 * candidate.inliers:
            return other
        return replace(candidate, fault=f"repeated pattern: two motions fit ({value:.2f}, {rival:.2f})")

    def _distance_px(self, a: FloatArray, b: FloatArray) -> float:
        """Median distance between where two homographies put the picture's points."""
        w, h = self.first.camera.width_px, self.first.camera.height_px
        points = np.stack(np.meshgrid(np.linspace(0, w, 5), np.linspace(0, h, 5)), axis=-1).reshape(-1, 2)
        moved = [move_pixels(self.first.camera, points, m) for m in (a, b)]
        return float(np.median(np.hypot(*(moved[0] - moved[1]).T)))

    def _judge(self, solution: Solution, p0: FloatArray, agreement: Agreement) -> str:
        """Why the motion must not be used, or an empty string."""
        config, inlier = self._config, solution.weight > 0.1
        count = int(np.count_nonzero(inlier))
        if count < config.inliers_min:
            return f"only {count} tracks agree"
        if count < config.inlier_ratio_min * len(p0):
            return f"only {count} of {len(p0)} tracks agree"
        if solution.sigma_px > config.seed_threshold_px:
            return f"tracks scatter by {solution.sigma_px:.1f} px"
        spread = math.sqrt(max(float(np.linalg.eigvalsh(np.cov(p0[inlier].T))[0]), 0.0))
        if spread < config.spread_min * self.first.camera.width_px:
            return "tracks that agree lie on a line or a spot"
        if agreement.value < config.agreement_min:
            return f"pictures do not agree under the motion of the tracks ({agreement.value:.2f})"
        return self._implausible(solution)

    def _implausible(self, solution: Solution) -> str:
        motion, prior = solution.motion, self._prior
        relative = motion.rotation1 @ (motion.rotation0 @ prior.rotation0.T @ prior.rotation1).T
        tilt = float(np.linalg.norm(tilt_vector(relative)))
        if tilt > min(5.0 * prior.relative_tilt_sigma + math.radians(3.0), TILT_LIMIT_RAD):
            return f"motion needs a tilt of {math.degrees(tilt):.0f} degrees that the attitude does not show"
        common = float(np.linalg.norm(tilt_vector(motion.rotation0 @ prior.rotation0.T)))
        if common > 3.0 * prior.tilt_sigma + math.radians(3.0):
            return f"motion needs both pictures tilted by {math.degrees(common):.0f} degrees against the attitude"
        if not 0.4 < 1.0 + motion.translation[2] < 2.5:
            return f"motion changes the height {1.0 + motion.translation[2]:.1f}-fold"
        yaw = abs(turn_about_up(relative))
        if self.yaw_known and yaw > 4.0 * self._yaw_sigma_rad + YAW_BIN_RAD:
            return f"motion needs a turn of {math.degrees(yaw):.0f} degrees that the attitude does not show"
        return ""
