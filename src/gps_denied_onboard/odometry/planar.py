"""Odometry `planar`: the ground's movement through two pictures, attitude and height give the camera's displacement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.camera import CameraModel
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, OdometryStep
from gps_denied_onboard.odometry.alignment import Agreement, check_motion, search_motion
from gps_denied_onboard.odometry.picture import Picture
from gps_denied_onboard.odometry.plane_motion import MotionPrior, PlaneMotion, Solution, seed_motion, solve_motion
from gps_denied_onboard.odometry.settings import OdometryConfig
from gps_denied_onboard.odometry.tracking import track
from gps_denied_onboard.odometry.uncertainty import step_covariance
from gps_denied_onboard.odometry.wide_baseline import match_features, robust_homography
from gps_denied_onboard.rotations import image_up_yaw, rotation_z, wrap_angle

YAW_KNOWN_RAD = 0.5
YAW_BIN_RAD = math.radians(6.0)
GUESSES_TRIED = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    """A motion that tracks agree on; `fault` says why it must not be used."""

    solution: Solution
    x0: FloatArray
    agreement: Agreement
    method: str
    fault: str

    @property
    def inliers(self) -> int:
        return int(np.count_nonzero(self.solution.weight > 0.1))


class PlanarOdometry:
    """Camera motion between two frames over plane ground.

    `step` is called with successive frames; what was prepared of the last one is kept, and its motion is the first
    guess of the next. Same inputs in the same order give the same outputs.
    """

    def __init__(self, camera: CameraModel, config: OdometryConfig) -> None:
        self._camera = camera
        self._config = config
        self._last: Picture | None = None
        self._motion: tuple[FloatArray, float] | None = None

    def step(self, previous: Frame, prior0: CameraPrior, current: Frame, prior1: CameraPrior) -> OdometryStep:
        """Motion from `previous` to `current`; raises UserError when a frame has not the calibration's size."""
        first = self._last if self._last is not None and self._last.frame is previous else None
        first = first or Picture(previous, self._camera, self._config)
        second = Picture(current, self._camera, self._config)
        self._last = second
        fault = first.fault or second.fault or self._bare(first) or self._bare(second)
        if fault:
            self._motion = None
            return _lost(first, second, prior0, fault)
        prior = self._motion_prior(prior0, prior1)
        result = self._best(first, second, prior0, prior1, prior)
        if result is None or result.fault:
            self._motion = None
            return _lost(first, second, prior0, result.fault if result else "too few tracks", result)
        return self._registered(first, second, prior0, prior, result)

    def _bare(self, picture: Picture) -> str:
        if len(picture.corners) < self._config.inliers_min:
            return "picture has no texture (blurred, cloud or water)"
        return ""

    def _motion_prior(self, prior0: CameraPrior, prior1: CameraPrior) -> MotionPrior:
        tilt = max(prior0.tilt_sigma_rad, 1e-3)
        relative = min(math.radians(self._config.relative_tilt_sigma_deg), math.hypot(tilt, prior1.tilt_sigma_rad))
        return MotionPrior(
            prior0.rotation_camera_to_enu,
            prior1.rotation_camera_to_enu,
            max(relative, 1e-4),
            tilt,
            math.radians(self._config.slope_sigma_deg),
        )

    def _best(
        self, first: Picture, second: Picture, prior0: CameraPrior, prior1: CameraPrior, prior: MotionPrior
    ) -> _Result | None:
        """Cheapest guess first; the first result without fault wins, else the fault of the best one."""
        failed: list[_Result] = []
        for motion in self._guesses(first, second, prior0, prior1):
            result = self._by_tracks(first, second, prior, motion.homography, "tracks")
            if result is not None and not result.fault:
                return result
            failed += [result] if result else []
        for result in self._by_search(first, second, prior, max(prior0.yaw_sigma_rad, prior1.yaw_sigma_rad)):
            if not result.fault:
                return result
            failed.append(result)
        result = self._by_features(first, second, prior)
        if result is not None and not result.fault:
            return result
        failed += [result] if result else []
        return max(failed, key=lambda r: r.inliers, default=None)

    def _guesses(
        self, first: Picture, second: Picture, prior0: CameraPrior, prior1: CameraPrior
    ) -> list[PlaneMotion]:
        """Motions to start the tracks from, likeliest first: the last motion continued, the priors, no motion."""
        r0, r1 = prior0.rotation_camera_to_enu, prior1.rotation_camera_to_enu
        found: list[PlaneMotion] = []
        if self._motion is not None:
            velocity_camera, yaw_rate = self._motion
            dt = (second.t_ns - first.t_ns) * 1e-9
            turn = rotation_z(yaw_rate * dt) @ r0 if prior1.yaw_sigma_rad > YAW_KNOWN_RAD else r1
            found.append(PlaneMotion(r0 @ velocity_camera * dt, r0, turn, np.zeros(2)))
        if prior0.position_known and prior1.position_known:
            shift = (prior1.position_enu_m - prior0.position_enu_m) / max(prior0.height_m, 1.0)
            if float(np.linalg.norm(shift)) < 2.0 and float(np.linalg.norm(shift)) > 1e-6:
                found.append(PlaneMotion(shift, r0, r1, np.zeros(2)))
        if not found:
            found.append(PlaneMotion(np.zeros(3), r0, r1, np.zeros(2)))
        return found[:GUESSES_TRIED]

    def _by_tracks(
        self, first: Picture, second: Picture, prior: MotionPrior, guess: FloatArray, method: str
    ) -> _Result | None:
        p0, p1 = track(first, second, guess, self._config)
        return self._solve(first, second, prior, p0, p1, method)

    def _by_search(self, first: Picture, second: Picture, prior: MotionPrior, yaw_sigma_rad: float) -> list[_Result]:
        """Results from the coarse motions that the orientation fields show."""
        reach = math.pi if yaw_sigma_rad > YAW_KNOWN_RAD else max(3.0 * yaw_sigma_rad, YAW_BIN_RAD)
        bins = math.ceil(2.0 * reach / YAW_BIN_RAD)
        yaws = np.linspace(-reach, reach, bins, endpoint=reach < math.pi)
        results = []
        for found in search_motion(first, second, prior.rotation0, prior.rotation1, yaws, np.array([1.0])):
            result = self._by_tracks(first, second, prior, found.motion.homography, "correlation")
            if result is None:
                continue
            # Once more from the first solution: the coarse one is off by up to half a bin.
            again = self._by_tracks(first, second, prior, result.solution.motion.homography, "correlation")
            results.append(again if again is not None and again.inliers > result.inliers else result)
            if not results[-1].fault:
                break
        return results

    def _by_features(self, first: Picture, second: Picture, prior: MotionPrior) -> _Result | None:
        p0, p1 = match_features(first, second)
        coarse = self._solve(first, second, prior, p0, p1, "features")
        if coarse is None:
            return None
        fine = self._by_tracks(first, second, prior, coarse.solution.motion.homography, "features")
        return fine if fine is not None and (coarse.fault or not fine.fault) else coarse

    def _solve(
        self, first: Picture, second: Picture, prior: MotionPrior, p0: FloatArray, p1: FloatArray, method: str
    ) -> _Result | None:
        """Seed, refine and judge; None when there are too few tracks to try."""
        config, camera, focal = self._config, first.camera, first.focal_px
        if len(p0) < config.inliers_min:
            return None
        x0, x1 = camera.undistort(p0), camera.undistort(p1)
        _, selected = robust_homography(x0, x1, focal, config.seed_threshold_px)
        if np.count_nonzero(selected) < config.inliers_min:
            return None
        start = seed_motion(prior, x0[selected], x1[selected])
        floor = config.pixel_sigma_floor_px
        solution = solve_motion(start, prior, x0, x1, focal, selected, floor, config.independent_tracks)
        agreement = check_motion(first, second, solution.motion.homography)
        fault = self._judge(first, solution, p0, agreement)
        return _Result(solution, x0, agreement, method, fault)

    def _judge(
        self, first: Picture, solution: Solution, p0: FloatArray, agreement: Agreement
    ) -> str:
        """Why the motion must not be used, or an empty string."""
        config = self._config
        inlier = solution.weight > 0.1
        count = int(np.count_nonzero(inlier))
        if count < config.inliers_min:
            return f"only {count} tracks agree"
        if count < config.inlier_ratio_min * len(p0):
            return f"only {count} of {len(p0)} tracks agree"
        if solution.sigma_px > config.seed_threshold_px:
            return f"tracks scatter by {solution.sigma_px:.1f} px"
        spread = np.linalg.eigvalsh(np.cov(p0[inlier].T))[0] / (first.camera.width_px**2)
        if math.sqrt(max(float(spread), 0.0)) < config.spread_min:
            return "tracks that agree lie on a line or a spot"
        if agreement.value < config.agreement_min:
            return f"pictures do not agree under the motion of the tracks ({agreement.value:.2f})"
        if agreement.rival > config.ambiguity_ratio_max:
            return f"repeated pattern: another motion fits as well ({agreement.rival:.2f})"
        return ""

    def _registered(
        self, first: Picture, second: Picture, prior0: CameraPrior, prior: MotionPrior, result: _Result
    ) -> OdometryStep:
        motion, solution = result.solution.motion, result.solution
        dt = (second.t_ns - first.t_ns) * 1e-9
        yaw0 = image_up_yaw(prior.rotation0)
        yaw_change = wrap_angle(image_up_yaw(motion.rotation1) - image_up_yaw(motion.rotation0))
        if dt > 0.0:
            self._motion = (prior.rotation0.T @ motion.translation / dt, yaw_change / dt)
        inlier = solution.weight > 0.1
        return OdometryStep(
            t0_ns=first.t_ns,
            t1_ns=second.t_ns,
            status="ok",
            reason="",
            displacement_enu_m=motion.translation * prior0.height_m,
            yaw_change_rad=yaw_change,
            yaw_prior_rad=yaw0,
            covariance=step_covariance(solution, prior0, self._config),
            scale_change=1.0 + float(motion.translation[2]),
            tracks=len(result.x0),
            inliers=result.inliers,
            residual_px=float(solution.residual_px[inlier].mean()) * first.reduction,
            height_m=prior0.height_m,
            height_sigma_m=prior0.height_sigma_m,
            method=result.method,
        )


def _lost(
    first: Picture, second: Picture, prior0: CameraPrior, reason: str, result: _Result | None = None
) -> OdometryStep:
    return OdometryStep(
        t0_ns=first.t_ns,
        t1_ns=second.t_ns,
        status="lost",
        reason=reason,
        displacement_enu_m=np.zeros(3),
        yaw_change_rad=0.0,
        yaw_prior_rad=image_up_yaw(prior0.rotation_camera_to_enu),
        covariance=np.diag([1e12, 1e12, 1e12, 1e2]),
        scale_change=1.0,
        tracks=len(result.x0) if result else 0,
        inliers=result.inliers if result else 0,
        residual_px=0.0,
        height_m=prior0.height_m,
        height_sigma_m=prior0.height_sigma_m,
        method=result.method if result else "tracks",
    )
