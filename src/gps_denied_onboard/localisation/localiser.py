"""One frame against the map: place, matches, pose, and the gates that let a fix out or hold it back; pure."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import image_up_yaw, log_rotation, rotation_z
from gps_denied_onboard.geometry.terrain import FlatTerrain
from gps_denied_onboard.imaging.orthorectify import Orthorectifier, Undistorter
from gps_denied_onboard.localisation.matching import Matcher
from gps_denied_onboard.localisation.matching.map_projector import PassResult
from gps_denied_onboard.localisation.place_search import GridPlace
from gps_denied_onboard.localisation.plane_pose import PoseSolution, solve_pose
from gps_denied_onboard.localisation.pose_config import GateConfig, PoseConfig
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, PlaceCandidate, PoseFix, RejectReason

Stage = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, eq=False)
class _Verified:
    place: PlaceCandidate
    result: PassResult
    solution: PoseSolution


class Localiser:
    """Frame and prior in, fix (accepted or with the reason why not) out."""

    def __init__(
        self,
        camera: CameraModel,
        place: GridPlace,
        matcher: Matcher,
        terrain: FlatTerrain,
        pose: PoseConfig,
        gates: GateConfig,
    ) -> None:
        self._camera = camera
        self._lens = Undistorter(camera)
        self._place = place
        self._matcher = matcher
        self._terrain = terrain
        self._pose = pose
        self._gates = gates

    def locate(self, frame: Frame, prior: CameraPrior, stage: Stage = lambda _name: nullcontext()) -> PoseFix:
        """Find the camera pose of `frame`. `stage(name)` wraps each stage for timing."""
        texture = float(np.std(frame.image[::8, ::8]))
        if texture < self._gates.texture_min:
            return _rejected(frame, prior, RejectReason.NO_TEXTURE, {"texture": texture})
        rectifier = Orthorectifier(frame, self._lens)
        ground_up = self._terrain.up_m(prior.position_enu_m[:2] if prior.position_known else np.zeros(2))
        footprint_m = prior.height_m * max(self._camera.width_px, self._camera.height_px) / self._camera.fx_px
        fix = _rejected(frame, prior, RejectReason.OUTSIDE_MAP, {})
        likely: PoseFix | None = None
        scaled = prior.height_sigma_m < prior.height_m
        for search_stage in self._place.search_stages(prior):
            with stage("place"):
                places = self._place.search(rectifier, prior, footprint_m, ground_up, search_stage)
            if not places:
                continue
            with stage("match"):
                verified = self._verify(rectifier, frame, prior, places)
            if not verified:
                fix = _rejected(frame, prior, RejectReason.NO_CONSISTENT_MATCH, {"place_score": places[0].score})
                continue
            best = verified[0]
            runner_up = max((v.result.support for v in verified[1:] if self._elsewhere(v, best)), default=0.0)
            with stage("match"):
                refined = self._refine(rectifier, frame, best)
            with stage("pose"):
                fix = self._decide(frame, prior, best, refined, runner_up)
            # With an unknown height the scale may lie between two searches: the next one shows which fits better.
            last = likely is not None or (fix.accepted and (fix.unique or scaled))
            if fix.accepted and (likely is None or fix.inliers > likely.inliers):
                likely = fix
            if last:
                break
        return likely or fix

    def _verify(
        self, rectifier: Orthorectifier, frame: Frame, prior: CameraPrior, places: list[PlaceCandidate]
    ) -> list[_Verified]:
        """First pass at each place, best support first; a tracked place that is clearly right ends the search."""
        out: list[_Verified] = []
        for place in places:
            pose = self._pose_at(place, prior)
            level = self._level(pose, place, self._matcher.footprint_cells[0])
            result = self._matcher.match(rectifier, frame.t_ns, pose, place, level, second_pass=False)
            if result is None:
                continue
            solution = solve_pose(result.matches, self._camera, *pose, self._metric(result))
            if solution is None:
                continue
            out.append(_Verified(place, result, solution))
            ratio = len(result.matches.quality) / max(result.matches.attempted, 1)
            clear = ratio > self._gates.clear_inlier_ratio and place.margin > self._gates.clear_margin
            if self._tracking(prior) and clear:
                break
        return sorted(out, key=lambda v: -v.result.support)

    def _elsewhere(self, one: _Verified, other: _Verified) -> bool:
        """Whether two hypotheses ended at different places, and not at the same one from different starts."""
        a, b = one.solution.position_enu_m, other.solution.position_enu_m
        height_m = b[2] - self._terrain.up_m(b[:2])
        footprint_m = height_m * max(self._camera.width_px, self._camera.height_px) / self._camera.fx_px
        return bool(np.hypot(*(a - b)[:2]) > self._place.same_place * footprint_m)

    def _refine(self, rectifier: Orthorectifier, frame: Frame, best: _Verified) -> _Verified | None:
        """Second pass under the first pass's pose, at finer cells."""
        pose = (best.solution.position_enu_m, best.solution.rotation_camera_to_enu)
        level = self._level(pose, best.place, self._matcher.footprint_cells[1])
        result = self._matcher.match(rectifier, frame.t_ns, pose, best.place, level, second_pass=True)
        if result is None:
            return None
        solution = solve_pose(result.matches, self._camera, *pose, self._metric(result))
        return None if solution is None else _Verified(best.place, result, solution)

    def _decide(
        self, frame: Frame, prior: CameraPrior, first: _Verified, refined: _Verified | None, runner_up: float
    ) -> PoseFix:
        gates = self._gates
        final = refined or first
        solution, matches = final.solution, final.result.matches
        inliers = int(np.count_nonzero(solution.inlier))
        pixel = matches.pixel_px[solution.inlier]
        size = (self._camera.width_px, self._camera.height_px)
        ratio = len(first.result.matches.quality) / max(first.result.matches.attempted, 1)
        tilt = log_rotation(_level_rotation(solution.rotation_camera_to_enu))
        numbers = {
            "inliers": float(inliers),
            "inlier_ratio": ratio,
            "second_ratio": inliers / max(matches.attempted, 1),
            "score": first.result.score,
            "spread": float(min(pixel.std(axis=0) / size)) if inliers else 0.0,
            "reprojection_m": solution.rms_m,
            "rival": runner_up / max(first.result.support, 1e-6),
            "place_score": first.place.score,
            "place_margin": first.place.margin,
            "tilt_rad": float(np.linalg.norm(tilt)),
            "refined": float(refined is not None),
        }
        tracking = self._tracking(prior)
        alone = (
            numbers["rival"] <= gates.global_support_ratio_max
            and ratio >= gates.global_inlier_ratio_min
            and numbers["second_ratio"] >= gates.global_second_ratio_min
            and inliers >= gates.global_inliers_min
        )
        unique = alone and ratio >= gates.unique_inlier_ratio_min
        rms_m_max = gates.reprojection_m_max * max(matches.map_gsd_m, gates.resolution_m_min)
        checks = (
            (refined is not None, RejectReason.NOT_REFINED),
            (inliers >= gates.inliers_min, RejectReason.FEW_INLIERS),
            (ratio >= gates.inlier_ratio_min, RejectReason.INLIER_RATIO),
            (numbers["second_ratio"] >= gates.second_ratio_min, RejectReason.SECOND_RATIO),
            (numbers["score"] >= gates.score_min, RejectReason.SCORE),
            (numbers["spread"] >= gates.spread_min, RejectReason.SPREAD),
            (solution.rms_m <= rms_m_max, RejectReason.REPROJECTION),
            (numbers["tilt_rad"] <= gates.tilt_max_rad, RejectReason.TILT),
            (_height_plausible(solution, prior, self._terrain, gates.prior_sigmas_max), RejectReason.HEIGHT),
            (tracking or alone, RejectReason.AMBIGUOUS),
            (not tracking or numbers["rival"] <= gates.rival_ratio_max, RejectReason.RIVAL),
        )
        reason = next((why for passed, why in checks if not passed), RejectReason.NONE)
        return PoseFix(
            t_ns=frame.t_ns,
            accepted=reason is RejectReason.NONE,
            reason=reason,
            position_enu_m=solution.position_enu_m,
            rotation_camera_to_enu=solution.rotation_camera_to_enu,
            covariance=solution.covariance,
            inliers=inliers,
            matches=len(matches.quality),
            reprojection_px=solution.rms_px,
            global_search=not tracking,
            gates=numbers,
            frame_index=frame.index,
            unique=unique,
        )

    def _tracking(self, prior: CameraPrior) -> bool:
        return prior.position_known and prior.horizontal_sigma_m <= self._gates.tracking_sigma_m

    def _pose_at(self, place: PlaceCandidate, prior: CameraPrior) -> tuple[FloatArray, FloatArray]:
        turn = place.yaw_rad - image_up_yaw(prior.rotation_camera_to_enu)
        up = self._terrain.up_m(np.array(place.centre_enu_m)) + place.height_m
        rotation = rotation_z(turn) @ prior.rotation_camera_to_enu
        return np.array([*place.centre_enu_m, up]), rotation

    def _level(self, pose: tuple[FloatArray, FloatArray], place: PlaceCandidate, cells: float) -> int:
        height = pose[0][2] - self._terrain.up_m(np.array(place.centre_enu_m))
        footprint = height * max(self._camera.width_px, self._camera.height_px) / self._camera.fx_px
        return self._place.pyramid_level(footprint / cells)

    def _metric(self, result: PassResult) -> PoseConfig:
        """Pose settings with the inlier radius of this pass's cell size."""
        cell_m = max(result.matches.map_gsd_m, self._pose.inlier_cell_m_min)
        return replace(self._pose, inlier_m=self._pose.inlier_m * cell_m)


def _level_rotation(rotation_camera_to_enu: FloatArray) -> FloatArray:
    """Rotation from straight down to the camera's optical axis."""
    axis = rotation_camera_to_enu[:, 2]
    down = np.array([0.0, 0.0, -1.0])
    v, c = np.cross(down, axis), float(down @ axis)
    k = np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
    return np.asarray(np.eye(3) + k + k @ k / max(1.0 + c, 1e-6))


def _height_plausible(solution: PoseSolution, prior: CameraPrior, terrain: FlatTerrain, sigmas: float) -> bool:
    if prior.height_sigma_m >= prior.height_m:
        return True
    height = float(solution.position_enu_m[2]) - terrain.up_m(solution.position_enu_m[:2])
    sigma = float(np.hypot(prior.height_sigma_m, np.sqrt(solution.covariance[2, 2])))
    return abs(height - prior.height_m) <= sigmas * sigma


def _rejected(frame: Frame, prior: CameraPrior, reason: RejectReason, gates: dict[str, float]) -> PoseFix:
    return PoseFix(
        t_ns=frame.t_ns,
        accepted=False,
        reason=reason,
        position_enu_m=np.full(3, np.nan),
        rotation_camera_to_enu=prior.rotation_camera_to_enu,
        covariance=np.eye(6) * 1e12,
        inliers=0,
        matches=0,
        reprojection_px=0.0,
        global_search=not prior.position_known,
        gates=gates,
        frame_index=frame.index,
    )
