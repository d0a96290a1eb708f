"""One frame against the map: place, matches, pose, and the gates that let a fix out or hold it back; pure."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.rotations import image_up_yaw, log_rotation, rotation_z, shortest_turn
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.imaging.orthorectify import Orthorectifier, Undistorter
from gps_denied_onboard.localisation.acceptance import is_unique, refused_by
from gps_denied_onboard.localisation.evidence import (
    first_features,
    prior_density,
    prior_features,
    second_features,
    wrong_probability,
)
from gps_denied_onboard.localisation.matching import Matcher
from gps_denied_onboard.localisation.matching.map_projector import PassResult
from gps_denied_onboard.localisation.place_search import GridPlace
from gps_denied_onboard.localisation.plane_pose import PoseSolution, solve_pose
from gps_denied_onboard.localisation.pose_config import PoseConfig
from gps_denied_onboard.messages import CameraPrior, FloatArray, Frame, PlaceCandidate, PoseFix, RejectReason

PRIOR_DENSITY_MIN = 1e-3
"""Of a place far from a state that is in doubt: how likely that state is wrong is itself only guessed."""

Stage = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, eq=False)
class _Verified:
    """A place that was looked at, its `rank` among the proposed ones; `features` of the first pass, and their
    log-likelihood ratio (NaN where no model judges it)."""

    place: PlaceCandidate
    rank: int
    result: PassResult
    solution: PoseSolution
    features: dict[str, float]
    log_ratio: float


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """A place that was looked at in both passes: its `rank` among the proposed ones, the last solution, features."""

    rank: int
    solution: PoseSolution
    features: dict[str, float]


class Localiser:
    """Frame and prior in, fix (accepted or with the reason why not) out."""

    def __init__(
        self,
        camera: CameraModel,
        place: GridPlace,
        matcher: Matcher,
        terrain: Terrain,
        pose: PoseConfig,
    ) -> None:
        self._camera = camera
        self._lens = Undistorter(camera)
        self._place = place
        self._matcher = matcher
        self._terrain = terrain
        self._pose = pose
        self._gates = matcher.gates
        self._evidence = matcher.evidence
        self._on_flat: Localiser | None = None
        if terrain.flat is not None:
            self._on_flat = copy.copy(self)
            self._on_flat._terrain = terrain.flat

    def locate(self, frame: Frame, prior: CameraPrior, stage: Stage = lambda _name: nullcontext()) -> PoseFix:
        """Find the camera pose of `frame`. `stage(name)` wraps each stage for timing. `map_cells` in the fix's gates is
        how many of the map's own cells the frame's longer side has."""
        if prior.ground_flat and self._on_flat is not None:
            return self._on_flat.locate(frame, prior, stage)
        fix = self._located(frame, prior, stage)
        cells = self._place.cells(self._footprint_m(prior.height_m))
        return replace(fix, gates={**fix.gates, "map_cells": cells})

    def _located(self, frame: Frame, prior: CameraPrior, stage: Stage) -> PoseFix:
        texture = float(np.std(frame.image[::8, ::8]))
        if texture < self._gates.texture_min:
            return _rejected(frame, prior, RejectReason.NO_TEXTURE, {"texture": texture})
        rectifier = Orthorectifier(frame, self._lens, self._terrain)
        ground_up = self._terrain.up_m(prior.position_enu_m[:2] if prior.position_known else np.zeros(2))
        footprint_m = self._footprint_m(prior.height_m)
        fix = _rejected(frame, prior, RejectReason.OUTSIDE_MAP, {})
        likely: PoseFix | None = None
        scaled = prior.height_sigma_m < prior.height_m
        for search_stage in self._place.search_stages(prior, footprint_m):
            with stage("place"):
                places = self._place.search(rectifier, prior, footprint_m, ground_up, search_stage)
            if not places:
                continue
            with stage("match"):
                verified = self._verify(rectifier, frame, prior, places)
            if not verified:
                fix = _rejected(frame, prior, RejectReason.NO_CONSISTENT_MATCH, {"place_score": places[0].score})
                continue
            best, others = verified[0], [v for v in verified[1:] if self._elsewhere(v, verified[0])]
            tried = self._place.tried(prior, footprint_m, search_stage)
            right_among = self._gates.right_among_tracked if self._tracking(prior) else self._gates.right_among
            right_among *= prior.place_probability * self._place.covered(prior, footprint_m, search_stage)
            log_prior = {id(v): self._log_prior(v, len(places), tried, right_among, prior) for v in (best, *others)}
            with stage("match"):
                worth = self._worth_refining(best, log_prior[id(best)])
                refined = self._refine(rectifier, frame, best) if worth else None
            with stage("pose"):
                fix = self._decide(frame, prior, best, refined, others, log_prior)
            if refined is not None and self._promising(fix):
                with stage("match"):
                    again = self._refine(rectifier, frame, refined)
                if again is not None and len(again.result.matches.quality) > len(refined.result.matches.quality):
                    with stage("pose"):
                        fix = self._decide(frame, prior, best, again, others, log_prior)
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
        """First pass at each place, the most likely first; one that is clearly right ends the search."""
        out: list[_Verified] = []
        for rank, (place, following) in enumerate(zip(places, [*places[1:], None], strict=True)):
            verified = self._first_pass(rectifier, frame, prior, place, rank)
            if verified is None:
                continue
            out.append(verified)
            if self._clear(verified, following, prior):
                break
        if self._evidence is None:
            return sorted(out, key=lambda v: -v.result.support)
        return sorted(out, key=lambda v: -v.log_ratio)

    def _clear(self, verified: _Verified, following: PlaceCandidate | None, prior: CameraPrior) -> bool:
        """Whether no place that the search put behind this one needs a look."""
        if self._evidence is not None:
            ahead = following is None or verified.place.score > self._gates.clear_margin * following.score
            return ahead and verified.log_ratio > self._gates.clear_log_ratio
        result = verified.result
        ratio = len(result.matches.quality) / max(result.matches.attempted, 1)
        clear = ratio > self._gates.clear_inlier_ratio and verified.place.margin > self._gates.clear_margin
        return clear and self._tracking(prior)

    def _log_prior(
        self, verified: _Verified, proposed: int, tried: float, right_among: float, prior: CameraPrior
    ) -> float:
        """Log odds of a proposed place before it is looked at; 0 without a model of the evidence. In a wide search
        around a state that is in doubt none is likelier than one that a search of the state's own place proposes."""
        if self._evidence is None:
            return 0.0
        alike = self._evidence.prior_log_odds(right_among, verified.rank, proposed, tried)
        if prior.state_covariance_en_m2 is None:
            return alike
        place_sigma_m = math.hypot(
            self._place.same_place * self._footprint_m(prior.height_m), prior.tilt_sigma_rad * prior.height_m
        )
        off = np.array(verified.place.centre_enu_m) - prior.position_enu_m[:2]
        likelier = math.log(max(prior_density(off, prior, place_sigma_m), PRIOR_DENSITY_MIN))
        most = prior.state_probability * self._gates.right_among_tracked
        return min(alike + likelier, max(alike, math.log(most / (1.0 - most)) if most > 0.0 else alike))

    def _worth_refining(self, best: _Verified, log_prior: float) -> bool:
        """Whether the second pass could still make the place sure enough."""
        if self._evidence is None:
            return True
        ceiling = log_prior + self._evidence.both.ceiling(best.features)
        return wrong_probability(ceiling) <= self._gates.wrong_probability_max

    def _promising(self, fix: PoseFix) -> bool:
        """Whether a refused fix may become sure enough when the second pass is repeated under its own pose."""
        return self._gates.wrong_probability_max < fix.wrong_probability < self._gates.promising_probability_max

    def _first_pass(
        self, rectifier: Orthorectifier, frame: Frame, prior: CameraPrior, place: PlaceCandidate, rank: int
    ) -> _Verified | None:
        """The first pass, and once more under the pose that it gave where the matcher wants that: the search's steps of
        heading and height are coarse, and at a right place the patches then agree better and hardly move, at a wrong
        one they do not."""
        pose = self._pose_at(place, prior)
        level = self._level(pose, place, second_pass=False)
        best: tuple[PassResult, PoseSolution] | None = None
        for again in (False, True):
            if again and (best is None or len(best[0].matches.quality) < self._matcher.repeat_agreeing_min):
                break
            matched = self._matched(rectifier, frame.t_ns, pose, place, level, second_pass=False)
            if matched is None:
                break
            result, solution = matched
            if best is None or len(result.matches.quality) >= len(best[0].matches.quality):
                best = matched
            pose = (solution.position_enu_m, solution.rotation_camera_to_enu)
        return None if best is None else self._judged(place, rank, *best, prior)

    def _matched(
        self,
        rectifier: Orthorectifier,
        t_ns: int,
        pose: tuple[FloatArray, FloatArray],
        place: PlaceCandidate,
        level: int,
        second_pass: bool,
    ) -> tuple[PassResult, PoseSolution] | None:
        """Matches under a pose, and the pose that follows from them; None where there is none."""
        result = self._matcher.match(rectifier, t_ns, pose, place, level, second_pass)
        solution = None if result is None else solve_pose(result.matches, self._camera, *pose, self._metric(result))
        return None if result is None or solution is None else (result, solution)

    def _judged(
        self, place: PlaceCandidate, rank: int, result: PassResult, solution: PoseSolution, prior: CameraPrior
    ) -> _Verified:
        height_m = self._above_ground_m(solution)
        features = first_features(result) | prior_features(place, solution, height_m, prior)
        ratio = math.nan if self._evidence is None else self._evidence.first.log_ratio(features)
        return _Verified(place, rank, result, solution, features, ratio)

    def examine(self, frame: Frame, prior: CameraPrior, places_max: int) -> list[Examined]:
        """Every place that the first search proposes, up to `places_max`, looked at in both passes: for the fit."""
        rectifier = Orthorectifier(frame, self._lens, self._terrain)
        ground_up = self._terrain.up_m(prior.position_enu_m[:2] if prior.position_known else np.zeros(2))
        footprint_m = self._footprint_m(prior.height_m)
        out = []
        places = self._place.search(
            rectifier, prior, footprint_m, ground_up, self._place.search_stages(prior, footprint_m)[0]
        )
        for rank, place in enumerate(places[:places_max]):
            first = self._first_pass(rectifier, frame, prior, place, rank)
            if first is None:
                continue
            second = self._refine(rectifier, frame, first)
            features = first.features | (self._second_features(second, prior) if second is not None else {})
            out.append(Examined(rank, (second or first).solution, features))
        return out

    def _second_features(self, second: _Verified, prior: CameraPrior) -> dict[str, float]:
        size_px = (self._camera.width_px, self._camera.height_px)
        agreement = prior_features(second.place, second.solution, self._above_ground_m(second.solution), prior)
        told = second_features(second.result, second.solution, size_px)
        return told | {f"second_{name}": agreement[name] for name in ("tilt_off_rad", "height_sigmas")}

    def _above_ground_m(self, solution: PoseSolution) -> float:
        return float(solution.position_enu_m[2]) - self._terrain.up_m(solution.position_enu_m[:2])

    def _footprint_m(self, height_m: float) -> float:
        """Length on the ground of the frame's longer side, seen straight down from a height."""
        return height_m * max(self._camera.width_px, self._camera.height_px) / self._camera.fx_px

    def _elsewhere(self, one: _Verified, other: _Verified) -> bool:
        """Whether two hypotheses ended at different places, and not at the same one from different starts."""
        a, b = one.solution.position_enu_m, other.solution.position_enu_m
        footprint_m = self._footprint_m(self._above_ground_m(other.solution))
        return bool(np.hypot(*(a - b)[:2]) > self._place.same_place * footprint_m)

    def _refine(self, rectifier: Orthorectifier, frame: Frame, best: _Verified) -> _Verified | None:
        """Second pass under the first pass's pose, at finer cells."""
        pose = (best.solution.position_enu_m, best.solution.rotation_camera_to_enu)
        level = self._level(pose, best.place, second_pass=True)
        matched = self._matched(rectifier, frame.t_ns, pose, best.place, level, second_pass=True)
        return None if matched is None else replace(best, result=matched[0], solution=matched[1])

    def _decide(
        self,
        frame: Frame,
        prior: CameraPrior,
        first: _Verified,
        refined: _Verified | None,
        others: list[_Verified],
        log_prior: dict[int, float],
    ) -> PoseFix:
        final = refined or first
        solution, matches = final.solution, final.result.matches
        inliers = int(np.count_nonzero(solution.inlier))
        down = np.array([0.0, 0.0, -1.0])
        tilt = log_rotation(shortest_turn(down, solution.rotation_camera_to_enu[:, 2]))
        numbers = {
            **first.features,
            "inliers": float(inliers),
            "inlier_ratio": first.features["agreeing_ratio"],
            "reprojection_m": solution.rms_m,
            "rival": max((v.result.support for v in others), default=0.0) / max(first.result.support, 1e-6),
            "place_score": first.place.score,
            "place_margin": first.place.margin,
            "tilt_rad": float(np.linalg.norm(tilt)),
            "refined": float(refined is not None),
        }
        if refined is not None:
            numbers |= self._second_features(refined, prior)
        wrong = self._wrong(numbers, first, refined, others, log_prior)
        tracking = self._tracking(prior)
        plausible = self._height_plausible(solution, prior)
        reason = RejectReason.NONE
        if refined is None:
            reason = RejectReason.NOT_REFINED if self._evidence is None else RejectReason.UNSURE
        elif numbers["tilt_rad"] > self._gates.tilt_max_rad and not self._banked(numbers, prior):
            reason = RejectReason.TILT
        elif not plausible:
            reason = RejectReason.HEIGHT
        elif self._evidence is not None:
            reason = RejectReason.UNSURE if wrong > self._gates.wrong_probability_max else RejectReason.NONE
        else:
            reason = refused_by(self._gates, numbers, matches.map_gsd_m, tracking)
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
            unique=is_unique(self._gates, numbers) if self._evidence is None else reason is RejectReason.NONE,
            wrong_probability=wrong,
        )

    def _wrong(
        self,
        numbers: dict[str, float],
        first: _Verified,
        refined: _Verified | None,
        others: list[_Verified],
        log_prior: dict[int, float],
    ) -> float:
        """Probability that the place is the wrong one; adds to `numbers` what it follows from. NaN: nobody knows."""
        if self._evidence is None:
            return math.nan
        both = self._evidence.both
        # Without the second pass a place is no surer than the second pass could have made it.
        ratio = min(first.log_ratio, both.ceiling(first.features)) if refined is None else both.log_ratio(numbers)
        numbers |= {"log_ratio": ratio, "log_prior": log_prior[id(first)], "alike_log_ratio": self._evidence.alike}
        rivals = [v.log_ratio + log_prior[id(v)] for v in others]
        if rivals:
            numbers["rival_log_odds"] = max(rivals)
        return wrong_probability(ratio + log_prior[id(first)], rivals)

    def _tracking(self, prior: CameraPrior) -> bool:
        return prior.position_known and prior.horizontal_sigma_m <= self._gates.tracking_sigma_m

    def _pose_at(self, place: PlaceCandidate, prior: CameraPrior) -> tuple[FloatArray, FloatArray]:
        turn = place.yaw_rad - image_up_yaw(prior.rotation_camera_to_enu)
        up = self._terrain.up_m(np.array(place.centre_enu_m)) + place.height_m
        rotation = rotation_z(turn) @ prior.rotation_camera_to_enu
        return np.array([*place.centre_enu_m, up]), rotation

    def _level(self, pose: tuple[FloatArray, FloatArray], place: PlaceCandidate, second_pass: bool) -> int:
        height_m = pose[0][2] - self._terrain.up_m(np.array(place.centre_enu_m))
        return self._place.pyramid_level(self._footprint_m(height_m) / self._matcher.footprint_cells[second_pass])

    def _metric(self, result: PassResult) -> PoseConfig:
        """Pose settings with the inlier radius of this pass's cell size, and how wrong the heights on board may be."""
        cell_m = max(result.matches.map_gsd_m, self._pose.inlier_cell_m_min)
        pose = replace(self._pose, inlier_m=self._pose.inlier_m * cell_m)
        if self._terrain.flat is None:
            return pose
        ground_sigma_m = self._terrain.sigma_m(np.array(result.matches.place.centre_enu_m), 0.0)
        return replace(
            pose,
            slope_sigma_rad=math.hypot(pose.slope_sigma_rad, self._terrain.slope_sigma_rad),
            relief_sigma_m=math.hypot(pose.relief_sigma_m, ground_sigma_m),
        )

    def _banked(self, numbers: dict[str, float], prior: CameraPrior) -> bool:
        """Whether the camera is known to lean as far as it was found to."""
        return numbers["second_tilt_off_rad"] <= self._gates.prior_sigmas_max * prior.tilt_sigma_rad

    def _height_plausible(self, solution: PoseSolution, prior: CameraPrior) -> bool:
        if prior.height_sigma_m >= prior.height_m:
            return True
        sigma = float(np.hypot(prior.height_sigma_m, np.sqrt(solution.covariance[2, 2])))
        return abs(self._above_ground_m(solution) - prior.height_m) <= self._gates.prior_sigmas_max * sigma


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
