"""Odometry `okvis2`: an installed OKVIS2 follows the camera by pictures and IMU together; see cpp/okvis2.

OKVIS2 has the shape of the motion. Its own scale and its own vertical are weak in steady flight high over the ground,
where a turn about a horizontal axis and a way along the ground move a picture nearly alike: the scale is that of the
height over the ground, by the landmarks that the picture shows, and which way is down is the priors'. At a
start it takes over the motion of `planar`, because it can only start at rest, and the gyroscope's bias,
which it would need minutes to find.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import image_up_yaw, log_rotation, rotation_z, wrap_angle
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, ImuSample, OdometryStatus, OdometryStep
from gps_denied_onboard.odometry import ImuNoise
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.odometry.hills import known_heights
from gps_denied_onboard.odometry.inertial import GyroBias, ImuBuffer, Preintegrated, preintegrate
from gps_denied_onboard.odometry.picture import Picture
from gps_denied_onboard.odometry.planar import PlanarOdometry
from gps_denied_onboard.odometry.steps import lost_step

if TYPE_CHECKING:
    from gps_denied_onboard import _okvis2

NOISE_FACTOR = 4.0
"""The IMU's noise is told this many times as strong: within a second, bias and vibration are not white."""
LANDMARKS_MIN = 20
"""Landmarks of a picture, under which it tells neither the height nor the motion."""
PARALLAX_MIN_RAD = 0.02
"""Parallax of a landmark, under which its distance means little."""
RESIDUAL_MAX_PX = 5.0
"""A landmark with a greater reprojection error is none of the picture's."""
INITIALISATION_MAX = 8
"""Pictures within which it has to have landmarks after a start."""
SCALE_MAX = 1.3
"""The height's scale over OKVIS2's own, or the reverse, beyond which it has diverged."""
ROTATION_MISMATCH_MAX_RAD = 0.03
"""A turn between two pictures that is so far from the gyroscope's means that it has diverged."""
RESTART_BIAS_RATIO = 0.4
"""It starts anew where the gyroscope's bias is known so many times better than when it started."""
RESTART_BORESIGHT_RAD = 0.01
"""It starts anew where the state has found the mount to be so far from where it was when it started."""
SYSTEMATIC_FRACTION = 0.025
"""Of a displacement, by which many steps are wrong in the same sense: measured at 300 and 700 m."""
SCALE_ERROR_FRACTION = 0.3
"""So much more of it for each unit by which the logarithm of the scale is off."""
RESTART_AFTER_PICTURES = 600
"""Pictures after which it starts anew: it forgets none of its keyframes."""
REVISIONS_KEPT = 40
PRIOR_REVISIONS = 8
"""So many revisions of PRIOR_REVISION_PX are counted with those that were seen."""
PRIOR_REVISION_PX = 0.5
REVISION_SHARE = 0.5
"""Of a step's variance that shows as the revision of it by the next picture; the rest stays in both."""


@dataclass(frozen=True, slots=True, eq=False)
class _RelativeMotion:
    """A step as OKVIS2 has it: displacement (3,) over height along the first camera's yaw, turn in rad."""

    relative: FloatArray
    turn_rad: float

    @property
    def vector(self) -> FloatArray:
        return np.append(self.relative, self.turn_rad)


@dataclass(frozen=True, slots=True, eq=False)
class _Observations:
    """Landmarks (N, 3) of a picture, in OKVIS2's world in m, and their reprojection errors (N,)."""

    landmarks_world_m: FloatArray
    residual_px: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Scale:
    """Metres of one of OKVIS2's own, and the variance of its logarithm."""

    factor: float
    variance: float


class Okvis2Odometry:
    """Camera motion by OKVIS2. It starts anew, and is lost for some pictures, where it had lost the ground or where its
    scale or its turn goes apart from what height and gyroscope say.

    Its RANSAC takes its seed from the clock: two runs do not give the same bytes.
    """

    def __init__(self, camera: CameraModel, config: OdometryConfig, terrain: Terrain | None = None) -> None:
        """`terrain` None: level ground. UserError where the configuration does not name OKVIS2's vocabulary."""
        if not config.okvis2_vocabulary:
            raise UserError(
                "odometry 'okvis2' needs odometry.okvis2_vocabulary: the folder that holds OKVIS2's small_voc.yml.gz."
            )
        self._camera = camera
        self._config = config
        self._terrain = terrain
        self._planar = PlanarOdometry(camera, config, terrain)
        self._imu = ImuBuffer()
        self._noise: ImuNoise | None = None
        self._bias: GyroBias | None = None
        self._estimator: _okvis2.Estimator | None = None
        self._followed: Frame | None = None
        self._pictures = 0
        self._initialised = False
        self._started_sigma_radps = 0.0
        self._mount = camera.mount
        self._last: Picture | None = None
        self._last_motion: _RelativeMotion | None = None
        self._revisions: deque[FloatArray] = deque(maxlen=REVISIONS_KEPT)

    def on_imu_noise(self, noise: ImuNoise) -> None:
        """See `InertialOdometry`."""
        self._noise = noise
        self._bias = GyroBias(noise.gyro_bias_sigma_radps)

    def on_imu(self, sample: ImuSample) -> None:
        """See `InertialOdometry`."""
        self._imu.add(sample)

    def step(self, previous: Frame, prior0: CameraPrior, current: Frame, prior1: CameraPrior) -> OdometryStep:
        """See `Odometry.step`. UserError where no noise of the IMU was given, or the vocabulary named is not there."""
        first = self._last if self._last is not None and self._last.frame is previous else None
        first = first or Picture(previous, self._camera, self._config)
        second = Picture(current, self._camera, self._config)
        self._last = second
        samples = self._imu.between(first.t_ns, second.t_ns)
        if samples:
            self._watch_bias(samples, prior0, prior1, (first.t_ns, second.t_ns))
        reason = first.fault or second.fault or ("" if samples else "the IMU's samples leave a hole")
        if not reason and (self._followed is not previous or self._outdated(prior0)):
            reason = self._start(first, prior0, current, prior1, samples)
        if reason:
            return self._lost(first, second, prior0, reason)
        try:
            return self._follow(first, second, prior0, samples)
        except RuntimeError as error:  # its own assertions
            return self._lost(first, second, prior0, f"OKVIS2 failed: {str(error)[:80]}")

    def _outdated(self, prior: CameraPrior) -> bool:
        """Whether a new start is worth the pictures that it costs."""
        mount_off_rad = float(np.linalg.norm(log_rotation(self._mount.T @ self._mount_by(prior))))
        bias_sigma_radps = self._gyro_bias().sigma_radps
        return (
            self._pictures >= RESTART_AFTER_PICTURES
            or mount_off_rad > RESTART_BORESIGHT_RAD
            or bias_sigma_radps < RESTART_BIAS_RATIO * self._started_sigma_radps
        )

    def _watch_bias(
        self, samples: Sequence[ImuSample], prior0: CameraPrior, prior1: CameraPrior, span_ns: tuple[int, int]
    ) -> None:
        turn = preintegrate(samples, *span_ns, np.zeros(3))
        seconds, sigma_rad = (span_ns[1] - span_ns[0]) * 1e-9, max(prior0.tilt_sigma_rad, prior1.tilt_sigma_rad)
        self._gyro_bias().watch(turn, self._body_to_enu(prior0), self._body_to_enu(prior1), seconds, sigma_rad)

    def _mount_by(self, prior: CameraPrior) -> FloatArray:
        """(3, 3) camera to body: the state finds by how many degrees the calibration has it wrong."""
        told = prior.rotation_camera_to_body
        return self._camera.mount if told is None else told

    def _body_to_enu(self, prior: CameraPrior) -> FloatArray:
        return prior.rotation_camera_to_enu @ self._mount_by(prior).T

    def _gyro_bias(self) -> GyroBias:
        if self._bias is None:
            raise UserError("odometry 'okvis2' was given no noise of the IMU: on_imu_noise comes before all samples.")
        return self._bias

    def _start(
        self, first: Picture, prior0: CameraPrior, current: Frame, prior1: CameraPrior, samples: Sequence[ImuSample]
    ) -> str:
        """Begin at the first picture; why it cannot, or an empty string."""
        self._followed, self._last_motion, self._pictures, self._initialised = None, None, 0, False
        begun = self._planar.step(first.frame, prior0, current, prior1)
        if begun.status is not OdometryStatus.OK:
            return f"cannot begin: {begun.reason}"
        bias, noise = self._gyro_bias(), self._noise
        assert noise is not None
        self._started_sigma_radps = bias.sigma_radps
        moved = preintegrate(samples, begun.t0_ns, begun.t1_ns, bias.bias_radps)
        body_to_enu, dt = self._body_to_enu(prior0), (begun.t1_ns - begun.t0_ns) * 1e-9
        fallen = np.array([0.0, 0.0, -0.5 * noise.gravity_mps2 * dt**2])
        velocity = body_to_enu.T @ (begun.displacement_enu_m - fallen) / dt - moved.position_m / dt
        up = body_to_enu.T @ (0.0, 0.0, 1.0)
        self._estimator = self._estimator or self._make_estimator(first.camera, noise)
        from gps_denied_onboard import _okvis2

        self._mount = self._mount_by(prior0)
        initial = _okvis2.InitialState(
            rotation_camera_to_body=self._mount.ravel(),
            up_body=up,
            velocity_body_mps=velocity,
            gyro_bias_sigma_radps=bias.sigma_radps,
        )
        begins = self._estimator.start(first.t_ns, first.grey, initial)
        return "" if begins else "cannot begin: too few features"

    def _make_estimator(self, camera: CameraModel, noise: ImuNoise) -> _okvis2.Estimator:
        """OKVIS2 for pictures of this camera."""
        from gps_denied_onboard import _okvis2  # only where CMake found the library

        try:
            return _okvis2.Estimator(
                _okvis2.Camera(
                    width_px=camera.width_px,
                    height_px=camera.height_px,
                    fx_px=camera.fx_px,
                    fy_px=camera.fy_px,
                    cx_px=camera.cx_px,
                    cy_px=camera.cy_px,
                    distortion_model=camera.distortion_model,
                    distortion=camera.distortion,
                ),
                _okvis2.ImuNoise(
                    gyro_radps_rthz=noise.gyro_noise_radps_rthz * NOISE_FACTOR,
                    accel_mps2_rthz=noise.accel_noise_mps2_rthz * NOISE_FACTOR,
                    gyro_walk_radps_rts=noise.gyro_bias_walk_radps_rts,
                    accel_walk_mps2_rts=noise.accel_bias_walk_mps2_rts,
                    gyro_bias_sigma_radps=noise.gyro_bias_sigma_radps,
                    accel_bias_sigma_mps2=noise.accel_bias_sigma_mps2,
                    gravity_mps2=noise.gravity_mps2,
                ),
                _okvis2.Settings(
                    keypoints_max=700,
                    keypoint_distance_px=30.0,
                    corner_strength_min=30.0,
                    keyframes=5,
                    imu_frames=3,
                    iterations_max=10,
                    parallax_min_rad=PARALLAX_MIN_RAD,
                ),
                self._config.okvis2_vocabulary,
            )
        except (RuntimeError, ValueError) as error:
            folder = self._config.okvis2_vocabulary
            raise UserError(f"OKVIS2 cannot begin with odometry.okvis2_vocabulary '{folder}': {error}") from error

    def _follow(
        self, first: Picture, second: Picture, prior0: CameraPrior, samples: Sequence[ImuSample]
    ) -> OdometryStep:
        """The step to the second picture from the first one, which OKVIS2 has."""
        from gps_denied_onboard import _okvis2

        bias = self._gyro_bias().bias_radps  # the newest: its own estimate hardly moves within a flight
        told = [_okvis2.ImuSample(s.t_ns, s.accel_body_mps2, np.subtract(s.gyro_body_radps, bias)) for s in samples]
        assert self._estimator is not None
        result = self._estimator.add(second.t_ns, second.grey, told)
        if not result.added or len(result.poses) < 2:
            return self._lost(first, second, prior0, "the IMU's samples leave a hole")
        self._pictures += 1
        seen = _observations(result, second)
        if not result.initialised or len(seen.landmarks_world_m) < LANDMARKS_MIN:
            if not self._initialised and self._pictures < INITIALISATION_MAX:
                self._followed = second.frame
                return lost_step(first, second, prior0, "starting: it has no landmarks yet")
            return self._lost(first, second, prior0, "too few landmarks in the picture")
        newest = result.poses[:3]
        if off := self._diverged(newest, preintegrate(samples, first.t_ns, second.t_ns, bias)):
            return self._lost(first, second, prior0, f"diverged: {off}")
        scale = self._scale(seen, newest[1], prior0)
        if not 1.0 / SCALE_MAX < scale.factor < SCALE_MAX:
            return self._lost(first, second, prior0, f"diverged: its scale is off by a factor {scale.factor:.2f}")
        self._followed, self._initialised = second.frame, True
        own_height_m = prior0.height_m / scale.factor
        level = prior0.rotation_camera_to_enu @ _rotation(newest[1]).T
        motion = _motion(level, newest[1], newest[0], own_height_m)
        if self._last_motion is not None and len(newest) > 2:
            self._revisions.append(_motion(level, newest[2], newest[1], own_height_m).vector - self._last_motion.vector)
        self._last_motion = motion
        return self._registered_step(first, second, prior0, motion, scale, seen)

    def _diverged(self, newest: Sequence[_okvis2.Pose], moved: Preintegrated) -> str:
        """How its last turn goes against the gyroscope's, or an empty string."""
        poses = np.array([[*pose.position_world_m, *pose.rotation_camera_to_world] for pose in newest])
        if not np.isfinite(poses).all():
            return "its poses are not finite"
        mount = self._mount
        turn = mount @ _rotation(newest[1]).T @ _rotation(newest[0]) @ mount.T
        off_rad = float(np.linalg.norm(log_rotation(moved.rotation.T @ turn)))
        return (
            f"its turn is {math.degrees(off_rad):.1f} degrees off the gyroscope's"
            if off_rad > ROTATION_MISMATCH_MAX_RAD
            else ""
        )

    def _scale(self, seen: _Observations, pose: _okvis2.Pose, prior0: CameraPrior) -> _Scale:
        """By the landmarks, over the heights on board where these are known."""
        rays = (seen.landmarks_world_m - pose.position_world_m) @ (prior0.rotation_camera_to_enu @ _rotation(pose).T).T
        below = -rays[:, 2]
        own_height_m = float(np.median(below))
        if own_height_m <= 0.0:
            return _Scale(math.inf, 0.0)
        ratios = prior0.height_m / np.maximum(below, 0.1 * own_height_m)
        terrain = known_heights(self._terrain, prior0)
        if terrain is not None:
            place, level = prior0.position_enu_m[:2], terrain.up_m(prior0.position_enu_m[:2])
            for _ in range(3):
                ups = np.nan_to_num(terrain.ups_m(place + float(np.median(ratios)) * rays[:, :2]) - level)
                ratios = (prior0.height_m - ups) / np.maximum(below, 0.1 * own_height_m)
        factor = float(np.median(ratios))
        rough = 1.4826 * float(np.median(np.abs(ratios - factor))) / factor
        aside = float(np.linalg.norm(np.mean(rays[:, :2], axis=0))) / own_height_m
        slope = math.radians(self._config.slope_sigma_deg) * aside
        return _Scale(factor, rough**2 / min(len(ratios), self._config.independent_tracks) + slope**2)

    def _registered_step(
        self,
        first: Picture,
        second: Picture,
        prior0: CameraPrior,
        motion: _RelativeMotion,
        scale: _Scale,
        seen: _Observations,
    ) -> OdometryStep:
        yaw_rad, height_m = image_up_yaw(prior0.rotation_camera_to_enu), prior0.height_m
        to_enu = rotation_z(yaw_rad)
        displacement = to_enu @ motion.relative * height_m
        scale_variance = (prior0.height_sigma_m / height_m) ** 2 + self._config.focal_sigma_fraction**2 + scale.variance
        turned = np.eye(4)
        turned[:3, :3] = to_enu * height_m
        covariance = turned @ self._relative_covariance(first.focal_px, (second.t_ns - first.t_ns) * 1e-9) @ turned.T
        covariance[:3, :3] += np.outer(displacement, displacement) * scale_variance
        wrong = SYSTEMATIC_FRACTION**2 + (SCALE_ERROR_FRACTION * math.log(scale.factor)) ** 2
        level_m2 = float(displacement[:2] @ displacement[:2])
        covariance[:3, :3] += level_m2 * np.diag([wrong, wrong, prior0.tilt_sigma_rad**2])
        return OdometryStep(
            t0_ns=first.t_ns,
            t1_ns=second.t_ns,
            status=OdometryStatus.OK,
            reason="",
            displacement_enu_m=displacement,
            yaw_change_rad=motion.turn_rad,
            yaw_prior_rad=yaw_rad,
            covariance=0.5 * (covariance + covariance.T),
            scale_change=1.0 + float(motion.relative[2]),
            tracks=len(seen.landmarks_world_m),
            inliers=int((seen.residual_px < self._config.seed_threshold_px).sum()),
            residual_px=float(np.median(seen.residual_px)) * first.reduction,
            height_m=height_m,
            height_sigma_m=prior0.height_sigma_m,
            method="okvis2",
        )

    def _relative_covariance(self, focal_px: float, seconds: float) -> FloatArray:
        """(4, 4) of displacement over height along the first camera's yaw, and turn.

        OKVIS2 gives none: from how far it revised its last steps, and from what the gyroscope's bias may still be,
        which a picture hardly tells from a way along the ground.
        """
        supposed = np.eye(4) * (PRIOR_REVISION_PX / focal_px) ** 2
        seen = np.array(self._revisions).reshape(-1, 4)
        mean = (PRIOR_REVISIONS * supposed + seen.T @ seen) / (PRIOR_REVISIONS + len(seen)) / REVISION_SHARE
        turned = (self._gyro_bias().sigma_radps * seconds) ** 2
        return np.asarray(mean + np.diag([turned, turned, 0.0, turned]))

    def _lost(self, first: Picture, second: Picture, prior0: CameraPrior, reason: str) -> OdometryStep:
        self._followed = None
        return lost_step(first, second, prior0, reason)


def _observations(result: _okvis2.FrameResult, picture: Picture) -> _Observations:
    points, pixel_px = np.array(result.landmarks_world_m).reshape(-1, 3), np.array(result.keypoints_px).reshape(-1, 2)
    camera = (points - result.poses[0].position_world_m) @ _rotation(result.poses[0])
    before = camera[:, 2] > 0.0
    where = picture.camera.distort(camera[before, :2] / camera[before, 2:])
    residual = np.linalg.norm(where - pixel_px[before], axis=1)
    good = residual < RESIDUAL_MAX_PX
    return _Observations(points[before][good], residual[good])


def _rotation(pose: _okvis2.Pose) -> FloatArray:
    return np.array(pose.rotation_camera_to_world).reshape(3, 3)


def _motion(level: FloatArray, pose0: _okvis2.Pose, pose1: _okvis2.Pose, height_m: float) -> _RelativeMotion:
    """From one pose to another; `level` (3, 3) takes OKVIS2's world into ENU, `height_m` is in its own metres."""
    yaw0, yaw1 = image_up_yaw(level @ _rotation(pose0)), image_up_yaw(level @ _rotation(pose1))
    moved = level @ np.subtract(pose1.position_world_m, pose0.position_world_m)
    return _RelativeMotion(rotation_z(-yaw0) @ moved / height_m, wrap_angle(yaw1 - yaw0))
