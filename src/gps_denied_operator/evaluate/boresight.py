"""What is constant over a set of photographs, found from their own matches with the map: boresight, view, headings.

Some pictures, spread over the set, are searched for one by one. At the places found they are laid on the map again and
matched with a wide tolerance: what tells the tilt lies at the pictures' edges, and a narrow one keeps the tilt that the
match started with. Nothing here knows a true position.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import exp_rotation, image_up_yaw, rotation_z, wrap_angle
from gps_denied_onboard.imaging.orthorectify import Orthorectifier, Undistorter
from gps_denied_onboard.localisation.localiser import Localiser
from gps_denied_onboard.localisation.matching import Matcher
from gps_denied_onboard.localisation.place_search import GridPlace
from gps_denied_onboard.localisation.plane_pose import PoseSolution, solve_pose
from gps_denied_onboard.localisation.pose_config import PoseConfig
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, Matches, PlaceCandidate, PoseFix
from gps_denied_operator.evaluate.photo_attitude import AttitudeSource, PhotoAttitudes
from gps_denied_operator.evaluate.picture_fusion import boresight_of

TRIES_MAX = 24
HOPELESS_TRIES = 8
FIXES_WANTED = 12
FIXES_MIN = 4
ROUNDS_MAX = 5
SETTLED_RAD = math.radians(0.15)
SEARCH_TILT_SIGMA_RAD = math.radians(4.0)
TILT_NOISE_RAD = math.radians(2.0)
"""Of one picture's perspective: houses and trees are no plane. A set of few pictures does not show its own."""
TILT_MAX_RAD = math.radians(25.0)
WIDE = 4.0
"""Times the inlier radius of the flight's own matching."""
WIDE_REACH_CELLS = 12
HELD_TILT_RAD = 1e-3
TURNED_TRIES = 4
TURNED_ALIKE_RAD = math.radians(12.0)
UNKNOWN_YAW_DEG = 500.0
WRONG_MAX = 0.01
DECIDED = 4.0
"""Log-likelihood ratio of a camera that leans with the aircraft against one that is kept level."""


@dataclass(frozen=True, slots=True)
class Boresight:
    """The camera against the told attitudes: `tilt_rad` about the camera's x and y, `yaw_rad` about ENU up, with
    one-sigma doubts; `attitudes` are those it belongs to, `scale` is heights found over heights told (NaN: none told),
    with its scatter over the pictures. `fixes` is how many pictures tell it."""

    attitudes: PhotoAttitudes
    tilt_rad: tuple[float, float]
    tilt_sigma_rad: float
    yaw_rad: float
    yaw_sigma_rad: float
    yaw_scatter_rad: float
    scale: float
    scale_sigma: float
    fixes: int
    notes: tuple[str, ...] = ()

    @property
    def roll_deg(self) -> float:
        """About the body's forward axis, right side down."""
        return -math.degrees(self.tilt_rad[1])

    @property
    def pitch_deg(self) -> float:
        """About the body's right axis: positive looks forward of the vertical."""
        return math.degrees(self.tilt_rad[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A picture that was found: its telling (told heights in m, NaN where none), and where."""

    frame: Frame
    rectifier: Orthorectifier
    height_told_m: float
    position_enu_m: FloatArray
    rotation: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Laid:
    """A found picture's matches, laid under `pose`."""

    one: _Found
    pose: tuple[FloatArray, FloatArray]
    matches: Matches


@dataclass(frozen=True, slots=True, eq=False)
class BoresightFinder:
    """Finds what is constant over a set. `heights` gives (height, sigma) in m of a frame; sigma >= height: not told."""

    camera: CameraModel
    localiser: Localiser
    place: GridPlace
    matcher: Matcher
    pose: PoseConfig
    heights: Callable[[int], tuple[float, float]]

    def find(self, frames: Mapping[int, Callable[[], Frame | None]], attitudes: PhotoAttitudes) -> Boresight | None:
        """From loaders of the frames by index in time order; None where too few of them are found on the map."""
        found = self._search(frames, attitudes)
        turned = None
        if len(found) < FIXES_MIN:
            turned = self._turned(frames, attitudes)
            found = self._search(frames, turned) if turned is not None else []
        if len(found) < FIXES_MIN:
            return None
        constant = self._chosen(found, turned or attitudes)
        if constant is None or turned is None:
            return constant
        return replace(constant, notes=(*turned.notes[len(attitudes.notes) :], *constant.notes))

    def _chosen(self, found: Sequence[_Found], attitudes: PhotoAttitudes) -> Boresight | None:
        """The boresight, of flight angles as those of a camera that leans with the aircraft, or that is kept level."""
        if attitudes.source is not AttitudeSource.FLIGHT:
            return self._settled(found, attitudes)
        level = attitudes.levelled()
        laid = self._laid(found, level, *self._constant(found, level)[:2])
        if len(laid) < FIXES_MIN:
            return None
        evidence = self._cost(laid, level) - self._cost(laid, attitudes)
        if evidence > DECIDED:
            return self._settled(found, attitudes)
        told = self._settled(found, level, laid)
        if told is None or evidence < -DECIDED:
            note = "The pictures do not lean with the aircraft, a gimbal holds the camera: only headings are used."
            return None if told is None else replace(told, notes=(note,))
        # Nobody knows: level, with the doubt that the aircraft leant.
        doubt = math.hypot(level.tilt_sigma_deg, _leaning_deg(attitudes))
        return replace(told, attitudes=attitudes.levelled(doubt))

    def _turned(
        self, frames: Mapping[int, Callable[[], Frame | None]], attitudes: PhotoAttitudes
    ) -> PhotoAttitudes | None:
        """The attitudes turned as a few pictures, searched for with any heading, show with one voice; else None."""
        unknown = replace(attitudes, yaw_sigma_deg=UNKNOWN_YAW_DEG)
        found = self._search(frames, unknown, TURNED_TRIES)
        if len(found) < 2:
            return None
        _, yaw, apart = self._constant(found, attitudes)
        off_deg = -math.degrees(yaw)
        if float(np.abs(apart[:, 2]).max()) > TURNED_ALIKE_RAD or abs(off_deg) < 2.0 * attitudes.yaw_sigma_deg:
            return None
        by_frame = {k: replace(one, yaw_deg=(one.yaw_deg + off_deg) % 360.0) for k, one in attitudes.by_frame.items()}
        upside_down = " (upside down)" if abs(off_deg) > 150.0 else ""
        note = f"The pictures' tops point {off_deg:.0f} degrees from the heading told{upside_down}; it is corrected."
        level = {k: replace(one, pitch_deg=0.0, roll_deg=0.0) for k, one in by_frame.items()}
        return replace(attitudes, by_frame=level, notes=(*attitudes.notes, note))

    def _search(
        self,
        frames: Mapping[int, Callable[[], Frame | None]],
        attitudes: PhotoAttitudes,
        tries_max: int = TRIES_MAX,
    ) -> list[_Found]:
        found: list[_Found] = []
        lens = Undistorter(self.camera)
        order = list(frames)
        for tried, k in enumerate(spread_order(len(order))[:tries_max]):
            if len(found) >= FIXES_WANTED or (tried >= HOPELESS_TRIES and not found):
                break
            index = order[k]
            frame = frames[index]()
            attitude = attitudes.by_frame.get(index)
            if frame is None or attitude is None:
                continue
            height_m, sigma_m = self.heights(index)
            prior = CameraPrior(
                t_ns=frame.t_ns,
                position_enu_m=np.array([0.0, 0.0, height_m]),
                covariance_enu_m2=np.diag([1e8, 1e8, sigma_m**2]),
                rotation_camera_to_enu=attitude.rotation_body_to_enu @ self.camera.mount,
                tilt_sigma_rad=SEARCH_TILT_SIGMA_RAD,
                yaw_sigma_rad=math.radians(attitudes.yaw_sigma_deg),
                height_m=height_m,
                height_sigma_m=sigma_m,
                position_known=False,
            )
            fix = self.localiser.locate(frame, prior)
            if _usable(fix):
                rectifier = Orthorectifier(frame, lens)
                known_m = height_m if sigma_m < height_m else math.nan
                found.append(_Found(frame, rectifier, known_m, fix.position_enu_m, fix.rotation_camera_to_enu))
        return found

    def _settled(
        self, found: Sequence[_Found], attitudes: PhotoAttitudes, first: Sequence[_Laid] = ()
    ) -> Boresight | None:
        """Rounds of laying the pictures under the tilt found so far, until it stands; `first` is the first of them."""
        tilt, yaw, _ = self._constant(found, attitudes)
        again = list(found)
        for number in range(ROUNDS_MAX):
            laid = first if number == 0 and first else self._laid(found, attitudes, tilt, yaw)
            again = [turned for one in laid if (turned := self._solved(one)) is not None]
            if len(again) < FIXES_MIN:
                return None
            start = tilt
            tilt, yaw, _ = self._constant(again, attitudes)
            if float(np.linalg.norm(tilt - start)) < SETTLED_RAD:
                break
        if float(np.linalg.norm(tilt)) > TILT_MAX_RAD:
            return None
        return self._summary(again, attitudes)

    def _constant(self, found: Sequence[_Found], attitudes: PhotoAttitudes) -> tuple[FloatArray, float, FloatArray]:
        """Tilt (2,) about the camera's x and y, yaw, and (N, 3) what each picture's tilts and yaw differ from them."""
        apart = []
        for one in found:
            yaw, tilt = boresight_of(self._told(attitudes, one), one.rotation)
            apart.append((*tilt[:2], yaw))
        each = np.array(apart)
        yaw = math.atan2(float(np.sin(each[:, 2]).mean()), float(np.cos(each[:, 2]).mean()))
        each[:, 2] = [wrap_angle(float(angle) - yaw) for angle in each[:, 2]]
        middle = _robust_mean(each)
        return middle[:2], wrap_angle(yaw + float(middle[2])), each - middle

    def _told(self, attitudes: PhotoAttitudes, one: _Found) -> FloatArray:
        """Camera to ENU by the told attitude."""
        return np.asarray(attitudes.by_frame[one.frame.index].rotation_body_to_enu @ self.camera.mount)

    def _under(
        self, attitudes: PhotoAttitudes, one: _Found, tilt: FloatArray, yaw: float
    ) -> tuple[FloatArray, FloatArray]:
        """Pose (position, rotation) under attitude and boresight, over the ground that the picture was found on."""
        rotation = rotation_z(yaw) @ self._told(attitudes, one) @ exp_rotation(np.array([*tilt, 0.0]))
        height_m = float(one.position_enu_m[2])
        ray = rotation[:, 2]
        return np.array([*(_centre(one) - ray[:2] / -ray[2] * height_m), height_m]), rotation

    def _laid(self, found: Sequence[_Found], attitudes: PhotoAttitudes, tilt: FloatArray, yaw: float) -> list[_Laid]:
        """Matches of each picture, laid under attitude and boresight."""
        out = []
        longer = max(self.camera.width_px, self.camera.height_px)
        for one in found:
            pose = self._under(attitudes, one, tilt, yaw)
            centre, height_m = _centre(one), float(one.position_enu_m[2])
            place = PlaceCandidate((float(centre[0]), float(centre[1])), image_up_yaw(pose[1]), height_m, 1.0, 1.0)
            level = self.place.pyramid_level(height_m * longer / self.camera.fx_px / self.matcher.footprint_cells[1])
            result = self.matcher.match(one.rectifier, one.frame.t_ns, pose, place, level, second_pass=True)
            if result is not None:
                out.append(_Laid(one, pose, result.matches))
        return out

    def _solve(
        self, laid: _Laid, pose: tuple[FloatArray, FloatArray], tilt_sigma_rad: float
    ) -> tuple[PoseSolution | None, float]:
        """Pose from a picture's matches and the radius in m inside which they count."""
        inlier_m = WIDE * self.pose.inlier_m * max(laid.matches.map_gsd_m, self.pose.inlier_cell_m_min)
        config = replace(self.pose, inlier_m=inlier_m, tilt_prior_sigma_rad=tilt_sigma_rad)
        return solve_pose(laid.matches, self.camera, *pose, config), inlier_m

    def _solved(self, laid: _Laid) -> _Found | None:
        solution, _ = self._solve(laid, laid.pose, self.pose.tilt_prior_sigma_rad)
        if solution is None:
            return None
        return replace(laid.one, position_enu_m=solution.position_enu_m, rotation=solution.rotation_camera_to_enu)

    def _cost(self, laid: Sequence[_Laid], attitudes: PhotoAttitudes) -> float:
        """Minus the log-likelihood of matches under attitudes and the one boresight that fits them best: truncated
        squares, divided as the pose's covariance is by the matches that share an error."""
        solved = [turned for one in laid if (turned := self._solved(one)) is not None]
        tilt, yaw, _ = self._constant(solved, attitudes)
        cost = 0.0
        for one in laid:
            solution, inlier_m = self._solve(one, self._under(attitudes, one.one, tilt, yaw), HELD_TILT_RAD)
            inliers = 0 if solution is None else int(np.count_nonzero(solution.inlier))
            inside = 0.0 if solution is None else inliers * solution.rms_m**2
            outside = (len(one.matches.quality) - inliers) * inlier_m**2
            cost += (inside + outside) / (2.0 * (inlier_m / 2.5) ** 2) / self.pose.correlation_length
        return cost

    def _summary(self, again: Sequence[_Found], attitudes: PhotoAttitudes) -> Boresight:
        tilt, yaw, apart = self._constant(again, attitudes)
        count = len(again)
        scatter = 1.4826 * np.median(np.abs(apart), axis=0)
        noise = math.hypot(max(float(scatter[:2].max()), 0.5 * TILT_NOISE_RAD), TILT_NOISE_RAD / math.sqrt(count))
        yaw_scatter = max(float(scatter[2]), math.radians(0.5))
        scales = np.array([float(one.position_enu_m[2]) / one.height_told_m for one in again])
        known = scales[np.isfinite(scales)]
        scale = float(np.median(known)) if len(known) else math.nan
        scale_sigma = math.nan
        if len(known):
            scale_sigma = 1.4826 * float(np.median(np.abs(known - scale))) / math.sqrt(len(known))
        return Boresight(
            attitudes=attitudes,
            tilt_rad=(float(tilt[0]), float(tilt[1])),
            tilt_sigma_rad=math.hypot(noise / math.sqrt(count), SETTLED_RAD),
            yaw_rad=yaw,
            yaw_sigma_rad=max(yaw_scatter / math.sqrt(count), math.radians(0.5)),
            yaw_scatter_rad=yaw_scatter,
            scale=scale,
            scale_sigma=scale_sigma,
            fixes=count,
        )


def spread_order(count: int) -> list[int]:
    """0 .. count - 1 so that any first few of them are spread over the whole."""
    bits = max(1, (count - 1).bit_length())
    reverse = (int(f"{k:0{bits}b}"[::-1], 2) for k in range(1 << bits))
    return [index for index in reverse if index < count]


def _usable(fix: PoseFix) -> bool:
    """Whether a place is good enough to be one of several: robust means bear one that is wrong, flights do not."""
    if not np.isfinite(fix.position_enu_m).all():
        return False
    return fix.wrong_probability <= WRONG_MAX or (fix.accepted and fix.unique)


def _centre(one: _Found) -> FloatArray:
    """(2,) the ground point, east and north, that the picture has in its middle, over flat ground."""
    ray = one.rotation[:, 2]
    return np.asarray(one.position_enu_m[:2] + ray[:2] / max(-float(ray[2]), 0.2) * float(one.position_enu_m[2]))


def _leaning_deg(attitudes: PhotoAttitudes) -> float:
    """How far pitch and roll scatter about their means."""
    leans = np.array([(one.pitch_deg, one.roll_deg) for one in attitudes.by_frame.values()])
    return float(np.sqrt(np.mean((leans - leans.mean(axis=0)) ** 2)))


def _robust_mean(values: FloatArray) -> FloatArray:
    """Mean of the rows that lie within three scatters of the median."""
    middle = np.median(values, axis=0)
    scatter = np.maximum(1.4826 * np.median(np.abs(values - middle), axis=0), math.radians(0.5))
    keep = (np.abs(values - middle) < 3.0 * scatter).all(axis=1)
    return np.asarray(values[keep].mean(axis=0) if keep.any() else middle)
