"""Every record that crosses packages: frozen, with units and frames in the names.

Frames: WGS84 geodetic outside; inside a local ENU tangent plane at the mission origin; body FRD; camera OpenCV
(x right, y down, z forward). Quaternions are (w, x, y, z). Time is `t_ns`, nanoseconds on one monotonic clock, at the
moment of measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Vector2: TypeAlias = tuple[float, float]
Vector3: TypeAlias = tuple[float, float, float]
Quaternion: TypeAlias = tuple[float, float, float, float]
FloatArray: TypeAlias = npt.NDArray[np.float64]
ImageArray: TypeAlias = npt.NDArray[np.uint8]


class SourceLabel(StrEnum):
    """Where an estimate came from, best first."""

    SATELLITE_ANCHORED = "satellite_anchored"
    VISUAL_PROPAGATED = "visual_propagated"
    DEAD_RECKONED = "dead_reckoned"


class GpsHealth(StrEnum):
    """What the autopilot's own GPS is worth by our state: see integrity/gps_health.py."""

    UNKNOWN = "UNKNOWN"
    STABLE_NON_SPOOFED = "STABLE_NON_SPOOFED"
    DEGRADED = "DEGRADED"
    SPOOFED = "SPOOFED"


class PositionSource(StrEnum):
    """Whom the autopilot should follow: us, or its own GPS after the spoofing gate has let it through."""

    COMPANION = "companion"
    GPS = "gps"


class RejectReason(StrEnum):
    """Why a picture gave no fix; NONE for one that is accepted."""

    NONE = ""
    NO_TEXTURE = "no_texture"
    OUTSIDE_MAP = "outside_map"
    NO_CONSISTENT_MATCH = "no_consistent_match"
    NOT_REFINED = "not_refined"
    FEW_INLIERS = "few_inliers"
    INLIER_RATIO = "inlier_ratio"
    SECOND_RATIO = "second_ratio"
    SCORE = "score"
    SPREAD = "spread"
    REPROJECTION = "reprojection"
    TILT = "tilt"
    HEIGHT = "height"
    AMBIGUOUS = "ambiguous"
    UNSURE = "unsure"
    RIVAL = "rival"


SAYS_NOTHING = frozenset({RejectReason.NO_TEXTURE, RejectReason.OUTSIDE_MAP})
"""Reasons of a picture that speaks neither for nor against any place or ground."""


class ThermalState(StrEnum):
    """Whether the companion computer holds itself back for heat. UNKNOWN counts as not throttled."""

    UNKNOWN = "UNKNOWN"
    NORMAL = "NORMAL"
    THROTTLED = "THROTTLED"


class FixType(IntEnum):
    """What the autopilot is told of a position, numbered as in MAVLink's GPS_FIX_TYPE."""

    NONE = 1
    FIX_2D = 2
    FIX_3D = 3


class Severity(IntEnum):
    """MAV_SEVERITY."""

    EMERGENCY = 0
    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class OdometryStatus(StrEnum):
    """Whether a step could be measured."""

    OK = "ok"
    LOST = "lost"


class AidSource(StrEnum):
    """What an `AidRecord` is of: a measurement of the filter, or a decision of a monitor."""

    IMU = "imu"
    ORIGIN = "origin"
    BARO = "baro"
    AIRSPEED = "airspeed"
    RANGEFINDER = "rangefinder"
    ATTITUDE = "attitude"
    CLONE = "clone"
    ODOMETRY = "odometry"
    FIX = "fix"
    BELIEF = "belief"
    FRAME = "frame"
    CAMERA_CLOCK = "camera_clock"
    ISAM2 = "isam2"
    GPS = "gps"
    GPS_GATE = "gps_gate"
    POSITION_SOURCE = "position_source"
    FAILSAFE = "failsafe"
    STATE_HEALTH = "state_health"


class ExcludedSource(StrEnum):
    """What a subset solution does without."""

    ODOMETRY = "odometry"
    AIR = "air"
    MAP = "map"


# --- inputs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture: `image` is (H, W) grey or (H, W, 3) BGR; `index` is its number in the source, gaps allowed."""

    t_ns: int
    index: int
    image: ImageArray
    name: str = ""


@dataclass(frozen=True, slots=True)
class ImuSample:
    """Specific force and angular rate, body FRD, as the autopilot's IMU reports them (biased, noisy)."""

    t_ns: int
    accel_body_mps2: Vector3
    gyro_body_radps: Vector3


@dataclass(frozen=True, slots=True)
class AttitudeSample:
    """The autopilot's own attitude estimate."""

    t_ns: int
    quaternion_body_to_ned: Quaternion


@dataclass(frozen=True, slots=True)
class AirspeedSample:
    t_ns: int
    true_airspeed_mps: float


@dataclass(frozen=True, slots=True)
class BaroSample:
    """Barometric altitude above mean sea level, after the autopilot's own ground calibration."""

    t_ns: int
    altitude_amsl_m: float


@dataclass(frozen=True, slots=True)
class RangefinderSample:
    """Distance to the ground along body z (down)."""

    t_ns: int
    distance_m: float


@dataclass(frozen=True, slots=True)
class GpsSample:
    """What the autopilot's GPS claims; watched, never trusted.

    `utc_ns` is the time since 1970 that the receiver claims for `t_ns`, 0 where it is not told. `interference` is the
    receiver's own word: 0 nothing, 1 jamming, 2 spoofing, 3 both.
    """

    t_ns: int
    latitude_deg: float
    longitude_deg: float
    altitude_amsl_m: float
    velocity_ned_mps: Vector3
    fix_type: int
    satellites: int
    horizontal_accuracy_m: float
    utc_ns: int = 0
    interference: int = 0


@dataclass(frozen=True, slots=True)
class TakeoffOrigin:
    """Where the estimate starts: the last trusted autopilot state, or the operator's origin."""

    t_ns: int
    latitude_deg: float
    longitude_deg: float
    altitude_amsl_m: float
    sigma_horizontal_m: float
    sigma_vertical_m: float
    velocity_ned_mps: Vector3 | None = None


@dataclass(frozen=True, slots=True)
class RelocHint:
    """The operator's word: the aircraft is about here. The ids are the sender's in MAVLink, 0 where there are none."""

    t_ns: int
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    system_id: int = 0
    component_id: int = 0


@dataclass(frozen=True, slots=True)
class ThermalSample:
    """The companion computer's thermal state from `t_ns` on. `hottest_c` is the hottest sensor, NaN where none is read;
    `source` is who says so, `detail` what of it is hot or missing."""

    t_ns: int
    state: ThermalState
    hottest_c: float
    source: str
    detail: str


@dataclass(frozen=True, slots=True)
class TruthSample:
    """True state, known in simulation only; no part of the navigation may read it."""

    t_ns: int
    latitude_deg: float
    longitude_deg: float
    altitude_amsl_m: float
    velocity_ned_mps: Vector3
    quaternion_body_to_ned: Quaternion


# --- between the parts ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class CameraPrior:
    """What is known of the camera at a frame's time before that frame is looked at.

    `covariance_enu_m2` (3, 3) is of the camera's position; `rotation_camera_to_enu` (3, 3); tilt sigma is of each of
    the two tilt angles, yaw sigma of the rotation about the vertical (pi or more: unknown). `height_m` is above the
    ground under the camera; `height_sigma_m` >= `height_m` means that the scale is unknown. `position_known` is False
    for a kidnapped start: then `position_enu_m` means nothing. `place_probability` is that the aircraft is there at
    all, where a frame has said so and not the state. Where the state is in doubt, it has `state_probability` of being
    right with `state_covariance_en_m2` (2, 2), else the aircraft is as far around as the covariance says.
    `ground_flat`: the ground counts as flat. `rotation_camera_to_body` (3, 3): the state's mount; None: calibration's.
    """

    t_ns: int
    position_enu_m: FloatArray
    covariance_enu_m2: FloatArray
    rotation_camera_to_enu: FloatArray
    tilt_sigma_rad: float
    yaw_sigma_rad: float
    height_m: float
    height_sigma_m: float
    position_known: bool = True
    place_probability: float = 1.0
    state_covariance_en_m2: FloatArray | None = None
    state_probability: float = 1.0
    ground_flat: bool = False
    rotation_camera_to_body: FloatArray | None = None

    @property
    def horizontal_sigma_m(self) -> float:
        """Standard deviation along the worst horizontal direction."""
        return float(np.sqrt(np.linalg.eigvalsh(self.covariance_enu_m2[:2, :2])[-1]))


@dataclass(frozen=True, slots=True, eq=False)
class OdometryStep:
    """Camera motion from the frame at `t0_ns` to the frame at `t1_ns`.

    `displacement_enu_m` (3,) holds if the first frame's yaw was the one of the prior that was used
    (`yaw_prior_rad`, about ENU up, counter-clockwise): a yaw error e of that prior turns it by e. `yaw_change_rad` is
    the rotation about ENU up between the frames. `covariance` (4, 4) is of (displacement east, north, up, yaw change),
    without the error of `yaw_prior_rad`. `height_m` is the height above ground that scaled it;
    `height_sigma_m` is already inside the covariance. `reason` says why a step is lost.
    """

    t0_ns: int
    t1_ns: int
    status: OdometryStatus
    reason: str
    displacement_enu_m: FloatArray
    yaw_change_rad: float
    yaw_prior_rad: float
    covariance: FloatArray
    scale_change: float
    tracks: int
    inliers: int
    residual_px: float
    height_m: float
    height_sigma_m: float
    method: str = "tracks"


@dataclass(frozen=True, slots=True)
class PlaceCandidate:
    """One place where the frame could be: the ground point under the frame's centre pixel, yaw and height."""

    centre_enu_m: Vector2
    yaw_rad: float
    height_m: float
    score: float
    margin: float


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Correspondences of one frame with the map: `pixel_px` (N, 2), `ground_enu_m` (N, 3), `quality` (N,) in 0..1.

    `attempted` counts the template positions that were tried, `map_gsd_m` the size of a map cell in the
    finest correlation. `place` is the candidate that they belong to.
    """

    t_ns: int
    pixel_px: FloatArray
    ground_enu_m: FloatArray
    quality: FloatArray
    attempted: int
    map_gsd_m: float
    place: PlaceCandidate


@dataclass(frozen=True, slots=True, eq=False)
class PoseFix:
    """An absolute camera pose from one frame and the map, or the reason why there is none.

    `covariance` (6, 6): position ENU in m, then rotation vector in ENU in rad (left perturbation: R_true =
    exp(e) R). It holds the picture's information only, no attitude prior. `gates` are the numbers behind the decision.
    `global_search` tells that the place was found without the state's help, `unique` that the place stands on its own:
    no other fix has to agree with it. `wrong_probability` is that of it being the wrong place, by all that the picture
    shows; NaN where nobody knows.
    """

    t_ns: int
    accepted: bool
    reason: RejectReason
    position_enu_m: FloatArray
    rotation_camera_to_enu: FloatArray
    covariance: FloatArray
    inliers: int
    matches: int
    reprojection_px: float
    global_search: bool
    gates: dict[str, float] = field(default_factory=dict)
    frame_index: int = -1
    unique: bool = False
    wrong_probability: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class SubsetSolution:
    """The position without one source: (2,) east and north in m, covariance (2, 2)."""

    without: ExcludedSource
    position_en_m: FloatArray
    covariance_m2: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The state at `t_ns`, inside: `covariance` (9, 9) of position ENU m, velocity ENU m/s, body attitude (rotation
    vector in ENU, left perturbation, rad). `rotation_camera_to_body` holds the estimated mount,
    `camera_covariance_rad2` (3, 3) the camera's attitude covariance in ENU, body and mount together.

    `subsets` are the solutions without one source; `travelled_enu_m` (3,) is the way flown by the filter's own count,
    which no fix moves, None where nothing tells it. The last three are set by `StateMonitor.protect`: the radius that
    the true position leaves with at most the integrity risk (NaN: not known), whether the state's claims hold, and
    whether it rests on map fixes."""

    t_ns: int
    position_enu_m: FloatArray
    velocity_enu_mps: FloatArray
    rotation_body_to_enu: FloatArray
    rotation_camera_to_body: FloatArray
    covariance: FloatArray
    camera_covariance_rad2: FloatArray
    wind_enu_mps: FloatArray
    position_known: bool
    subsets: tuple[SubsetSolution, ...] = ()
    travelled_enu_m: FloatArray | None = None
    protection_level_m: float = math.nan
    healthy: bool = True
    anchored: bool = True


# --- outputs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AidRecord:
    """One measurement and what was done with it (after PX4's estimator_aid_source).

    `source` is an AidSource, or what a recording of another version calls it.
    """

    t_ns: int
    source: str
    observation: tuple[float, ...]
    observation_variance: tuple[float, ...]
    innovation: tuple[float, ...]
    innovation_variance: tuple[float, ...]
    test_ratio: float
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class NavState:
    """The honest position at `t_ns`, as it leaves the system.

    `covariance_enu_m2` is the row-major (3, 3) position covariance. The 95 % ellipse is horizontal;
    `ellipse_azimuth_deg` is its major axis from north, clockwise. `last_satellite_anchor_age_ms` is -1 before any.
    `protection_level_m` is the radius that the true position leaves with at most the integrity risk (NaN: not known).
    `fix_type` is what the autopilot is told. `position_source` is whom the autopilot should
    follow now; nothing of its GPS is ever in this position.
    """

    t_ns: int
    latitude_deg: float
    longitude_deg: float
    altitude_amsl_m: float
    velocity_ned_mps: Vector3
    quaternion_body_to_ned: Quaternion
    covariance_enu_m2: tuple[float, ...]
    ellipse_semi_major_m: float
    ellipse_semi_minor_m: float
    ellipse_azimuth_deg: float
    horizontal_accuracy_m: float
    vertical_accuracy_m: float
    speed_accuracy_mps: float
    source_label: SourceLabel
    last_satellite_anchor_age_ms: int
    fix_type: FixType
    frame_index: int = -1
    gps_health: GpsHealth = GpsHealth.UNKNOWN
    position_source: PositionSource = PositionSource.COMPANION
    protection_level_m: float = math.nan


@dataclass(frozen=True, slots=True)
class Alert:
    """A line for the ground station and the recorder; `severity` is a Severity.

    `always`: no rate limit may hold it back.
    """

    t_ns: int
    severity: int
    text: str
    always: bool = False


@dataclass(frozen=True, slots=True)
class InferenceRecord:
    """On what a model runs since `t_ns`. `fallback`: not on the first choice, and `reason` says why."""

    t_ns: int
    model: str
    runtime: str
    provider: str
    fallback: bool
    reason: str


Telemetry: TypeAlias = (
    ImuSample | AttitudeSample | AirspeedSample | BaroSample | RangefinderSample | GpsSample | TakeoffOrigin | RelocHint
)
Output: TypeAlias = NavState | AidRecord | PoseFix | OdometryStep | Alert | ThermalSample | InferenceRecord
