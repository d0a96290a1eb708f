"""Types of the binding of an installed OKVIS2 (cpp/okvis2); the module is there only where CMake found the library.

Matrices are row-major, W is OKVIS2's own world: up is +z.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.messages import FloatArray, ImageArray

class Camera:
    """A camera of pictures of one size; `distortion_model` is none, brown or fisheye."""

    def __init__(
        self,
        *,
        width_px: int,
        height_px: int,
        fx_px: float,
        fy_px: float,
        cx_px: float,
        cy_px: float,
        distortion_model: str,
        distortion: Sequence[float],
    ) -> None: ...

class ImuNoise:
    """Densities per root hertz, walks per root second, spread of the biases; and gravity."""

    def __init__(
        self,
        *,
        gyro_radps_rthz: float,
        accel_mps2_rthz: float,
        gyro_walk_radps_rts: float,
        accel_walk_mps2_rts: float,
        gyro_bias_sigma_radps: float,
        accel_bias_sigma_mps2: float,
        gravity_mps2: float,
    ) -> None: ...

class Settings:
    """Numbers of OKVIS2's frontend and estimator."""

    def __init__(
        self,
        *,
        keypoints_max: int,
        keypoint_distance_px: float,
        corner_strength_min: float,
        keyframes: int,
        imu_frames: int,
        iterations_max: int,
        parallax_min_rad: float,
    ) -> None: ...

class ImuSample:
    """Specific force and angular rate in the body's axes."""

    def __init__(
        self, t_ns: int, accel_mps2: Sequence[float] | FloatArray, gyro_radps: Sequence[float] | FloatArray
    ) -> None: ...

class InitialState:
    """At the first picture, in the body's axes: boresight (9,), upward direction (3,), velocity (3,), and the standard
    deviation of the bias that the gyroscope's samples still have."""

    def __init__(
        self,
        *,
        rotation_camera_to_body: FloatArray,
        up_body: FloatArray,
        velocity_body_mps: FloatArray,
        gyro_bias_sigma_radps: float,
    ) -> None: ...

class Pose:
    """Of the camera in W: rotation (9,), position (3,)."""

    rotation_camera_to_world: Sequence[float]
    position_world_m: Sequence[float]

class FrameResult:
    """What a picture gave: `added` False: it was refused; `initialised` False: poses are the IMU's alone as yet.

    `poses`: newest first, at most three. `landmarks_world_m` (N, 3) in W with their `keypoints_px` (N, 2) in the newest
    picture.
    """

    added: bool
    initialised: bool
    poses: Sequence[Pose]
    landmarks_world_m: Sequence[Sequence[float]]
    keypoints_px: Sequence[Sequence[float]]

class Estimator:
    """OKVIS2; `vocabulary_folder` holds its small_voc.yml.gz. Pictures `grey` (H, W) are of the camera's size.

    ValueError for what it cannot work with, RuntimeError where it fails.
    """

    def __init__(self, camera: Camera, noise: ImuNoise, settings: Settings, vocabulary_folder: str) -> None: ...
    def start(
        self,
        t_ns: int,
        grey: ImageArray | npt.NDArray[np.uint8],
        initial: InitialState,
    ) -> bool:
        """Forget everything and begin at a picture; False where it shows too little."""
    def add(self, t_ns: int, grey: ImageArray | npt.NDArray[np.uint8], imu: Sequence[ImuSample]) -> FrameResult:
        """The next picture, with samples from before the last one to this one."""
