"""How far the ground's heights that a flight assumes can be believed: told by its own fixes; pure.

A fix on ground that is assumed wrongly is wrong itself: a slope of the ground looks like a tilt of the camera and turns
it about the ground that it sees, a hill looks like another height. Against the autopilot's attitude and the barometer
that shows, and where it has not shown yet, the sigma of the heights tells what there may be.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gps_denied_onboard.geometry.raster_terrain import ERROR_LENGTH_M
from gps_denied_onboard.geometry.rotations import log_rotation
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.integrity.source_label import horizontal_sigma_m
from gps_denied_onboard.messages import (
    SAYS_NOTHING,
    Alert,
    CameraPrior,
    Estimate,
    FloatArray,
    OdometryStatus,
    OdometryStep,
    PoseFix,
    RejectReason,
    Severity,
    TakeoffOrigin,
)

HILL_LENGTH_M = 350.0
"""Ground that is as high or low as a sigma says is as steep as the sigma over this (simulated hills: 300 to 500)."""
LEVEL_SLOPE_RAD = 0.035
"""What every fix has in its covariance: `PoseConfig.slope_sigma_rad`."""
LEVEL_SIGMA_M = LEVEL_SLOPE_RAD * HILL_LENGTH_M
"""Ground that is known so well is no reason to doubt a fix more than its own covariance does."""
PLAIN_SIGMAS = 3.0
"""A fix whose disagreement is beyond this counts as disturbed by the ground so much."""
SEEN_MIN, SEEN_SIGMAS = 3, 2.2
"""When so many fixes and more disagree by this, root mean square, the ground counts as so uneven."""
UNEVEN_SIGMAS = 1.5
"""From here on times the ground's sigma the operator is told that it is too small."""
SURE_PROBABILITY = 1e-4
"""A fix that is refused for its height alone tells of the ground where its place is this surely not a wrong one."""
REMEMBERED_M = 1500.0
"""What was seen of the ground is forgotten on a way like this: hills do not end where one was flown over."""
TOLD_WORTH = 2.0
"""The sigma that was told counts as so many places where the ground was seen, `HILL_LENGTH_M` apart."""
CURVED_SHARE = 0.15
"""Of the ground's sigma: how far a fix on curved ground is off, beside being turned and at a wrong height."""
STEP_SHARE = 2.0
"""Of the ground's sigma over the height: the share of its way by which a step over hills is off."""
LEVEL_FIX_SIGMA_M = 6.0
"""How well a fix tells the way to the ground, where that is hilly."""
ALIKE_WAY_M_MIN = 5.0
"""Fixes nearer together count as if they were so far apart."""
LOOKED_AT, WRONG_SIGMAS = 8, 3.0
"""Heights on board are wrong when so many fixes in turn are off by this, root mean square."""
UNDER_SIGMAS = 4.0
"""An aircraft this far under the ground is above it, and the ground is wrong."""
FAILED_BEFORE_PROBE, PROBES_WANTED = 4, 3
"""After so many frames that were not found, each other one is looked for on flat ground; when so many are found there,
and none on the heights on board meanwhile, nor nearly, these are wrong."""
NEARLY_PROBABILITY = 0.01
"""A frame that is refused on the heights on board, its place wrong with no more than this, was nearly found on them."""
FAILED_BEFORE_OPEN = 3
"""After so many good pictures that were not found, each other one is looked for at other heights, too."""
OPEN_PROBABILITY = 0.5
"""That it is the height which is wrong then, and not the place."""
PROMISING_PROBABILITY, PROMISING_SHARE = 0.1, 0.04
"""A place at another height that is wrong with less than this is looked for again there, its height known so well."""
OPEN_SHARE, OPEN_GROWTH, OPEN_SHARE_MAX = 0.12, 1.3, 0.33
"""Of the height above ground: its sigma in the first such search, by how much more in each next one, and the most."""
OPEN_OFTEN = 4
"""So many such searches in vain follow on one another, then each so many rest longer: it may be the place after all."""
LEVEL_WAY_M = 250.0
"""Heights that stay the same over such a way are another level of the ground, no hill: that would show its slope."""
LEVEL_OVER_RELIEF = 4.0
"""How many times what hills may be left a level must be off to count as one."""


@dataclass(frozen=True, slots=True)
class _Off:
    """A disagreement, and its square over its variance."""

    off: float
    square: float


def _plainly_seen(offs: Sequence[_Off]) -> float:
    """The mean square of disagreements that are more than chance; 0 of others."""
    if len(offs) < SEEN_MIN or float(np.mean([off.square for off in offs])) < SEEN_SIGMAS**2:
        return 0.0
    return float(np.mean([off.off**2 for off in offs]))


class GroundWatch:
    """State of one flight: what its fixes told of the ground, and whether its heights on board are believed."""

    def __init__(self, terrain: Terrain) -> None:
        self._terrain = terrain
        self.believed = terrain.flat is not None
        self._seen_height_m2 = self._seen_slope_rad2 = 0.0
        self._places = self._relief_sum_m2 = 0.0
        self._last_m: FloatArray | None = None
        self._way_m: float | None = None
        self._off: deque[_Off] = deque(maxlen=LOOKED_AT)
        self._heights: deque[_Off] = deque(maxlen=LOOKED_AT)
        self._tilts: deque[_Off] = deque(maxlen=LOOKED_AT)
        self._failed = self._found_flat = self._unfound = self._opened = self._rest = 0
        self._flat_frames: deque[int] = deque(maxlen=64)
        self._opened_frames: deque[int] = deque(maxlen=64)
        self._promising_height_m: float | None = None
        self._height_told_m: FloatArray | None = None
        self._level_off_m = 0.0
        self._profile: deque[tuple[float, FloatArray]] = deque(maxlen=64)
        self._is_open = self._told_uneven = self._level_known = False
        self._in_hole = False
        self._told: list[Alert] = []
        self._offered: tuple[int, float] | None = None
        self._level: tuple[float, FloatArray] | None = None

    @property
    def has_heights(self) -> bool:
        """Whether there are heights on board, believed or not."""
        return self._terrain.flat is not None

    @property
    def level(self) -> Terrain:
        """The flat model of the ground."""
        return self._terrain.flat or self._terrain

    @property
    def ground(self) -> Terrain:
        """The ground that counts now."""
        return self._terrain if self.believed else self.level

    def take(self) -> list[Alert]:
        """What there is to tell since the last time."""
        told, self._told = self._told, []
        return told

    def on_origin(self, origin: TakeoffOrigin, position_enu_m: FloatArray) -> None:
        """Where the flight starts: not under the ground."""
        self._not_under(origin.t_ns, position_enu_m, origin.sigma_horizontal_m, origin.sigma_vertical_m)

    def looks_flat(self, t_ns: int, estimate: Estimate | None) -> bool:
        """Whether the frame of `t_ns` is to be found on flat ground, where there are heights on board."""
        if self.believed and estimate is not None and estimate.position_known:
            sigma_m = horizontal_sigma_m(estimate)
            vertical_m = math.sqrt(max(float(estimate.covariance[2, 2]), 0.0))
            self._not_under(t_ns, estimate.position_enu_m, sigma_m, vertical_m)
            self._look_for_hole(t_ns, estimate.position_enu_m)
        probe = self._failed >= FAILED_BEFORE_PROBE and self._failed % 2 == 0
        flat = not self.believed or probe
        if flat:
            self._flat_frames.append(t_ns)
        return flat

    def opened(self, prior: CameraPrior, estimate: Estimate | None) -> CameraPrior:
        """The prior of a frame's search; with the height open where good pictures are not found for a while, as the
        ground may lie elsewhere than it is told. Then the place counts as known as the fusion's own `estimate` claims:
        a map that is silent under a wrong height says nothing of it, and further around it would take too long. None:
        this frame is not looked for where the state is."""
        was_open, self._is_open = self._is_open, False
        if estimate is None or not prior.position_known:
            return prior
        height_m, self._promising_height_m = self._promising_height_m, None
        if height_m is None:
            if self._unfound < FAILED_BEFORE_OPEN or was_open or self._height_told(estimate):
                return prior
            if self._rest > 0:
                self._rest -= 1
                return prior
        self._is_open = True
        self._opened_frames.append(prior.t_ns)
        place = replace(prior, covariance_enu_m2=estimate.covariance[:3, :3], place_probability=OPEN_PROBABILITY)
        if height_m is not None:
            sigma_m = max(prior.height_sigma_m, PROMISING_SHARE * height_m)
            return replace(place, height_m=height_m, height_sigma_m=sigma_m)
        share = min(OPEN_SHARE * OPEN_GROWTH**self._opened, OPEN_SHARE_MAX)
        self._opened += 1
        self._rest = self._opened // OPEN_OFTEN
        return replace(place, height_sigma_m=max(prior.height_sigma_m, share * prior.height_m))

    def _height_told(self, estimate: Estimate) -> bool:
        """Whether a fix on the way that is remembered has told the height."""
        if self._height_told_m is None or estimate.travelled_enu_m is None:
            return False
        return float(np.linalg.norm(estimate.travelled_enu_m - self._height_told_m)) < REMEMBERED_M

    def on_fix(self, fix: PoseFix, estimate: Estimate | None) -> PoseFix:
        """The fix with what the ground may do to it in its covariance, and at the height that it has over the level
        found in flight. `estimate` is of its time, without the fix."""
        flat = not self.has_heights or fix.t_ns in self._flat_frames
        self._count(fix, flat)
        opened = fix.t_ns in self._opened_frames
        elsewhere = fix.reason is RejectReason.HEIGHT and fix.wrong_probability <= SURE_PROBABILITY
        if elsewhere or (opened and not fix.accepted and fix.wrong_probability <= PROMISING_PROBABILITY):
            self._promising_height_m = self._above_ground_m(fix, flat)
        if flat and self._level_off_m:
            fix = replace(fix, position_enu_m=fix.position_enu_m - np.array([0.0, 0.0, self._level_off_m]))
        sure = fix.accepted or elsewhere
        if not sure or estimate is None or not estimate.position_known or estimate.travelled_enu_m is None:
            return self._honest(fix, flat, 0.0, 0.0) if fix.accepted else fix  # pictures alone do not contradict
        self._forget(estimate.travelled_enu_m)
        height, tilt = self._disagreement(fix, estimate, flat)
        self._offered = (fix.t_ns, height.off)
        if not flat:
            self._off.append(height)
            self._judge(fix.t_ns)
        for off, seen in ((height, self._heights), (tilt, self._tilts)):
            seen.append(off)
        self._seen_height_m2 = max(self._seen_height_m2, _plainly_seen(self._heights))
        self._seen_slope_rad2 = max(self._seen_slope_rad2, _plainly_seen(self._tilts))
        if opened and height.square > PLAIN_SIGMAS**2:
            self._seen_height_m2 = max(self._seen_height_m2, height.off**2)
        if flat:
            self._learn_relief(height.off, tilt.off)
            self._look_for_level(fix, estimate.travelled_enu_m, height.off)
            self._tell_uneven(fix)
        if not fix.accepted:
            return fix
        self._height_told_m = estimate.travelled_enu_m.copy()
        own = [off.off**2 if off.square > PLAIN_SIGMAS**2 else 0.0 for off in (height, tilt)]
        return self._honest(fix, flat, max(own[0], self._seen_height_m2), max(own[1], self._seen_slope_rad2))

    def _disagreement(self, fix: PoseFix, estimate: Estimate, flat: bool) -> tuple[_Off, _Off]:
        """How far a fix is off in height (m) and in tilt (rad, mean of two axes), with what is known to be wrong."""
        camera = estimate.rotation_body_to_enu @ estimate.rotation_camera_to_body
        tilt = log_rotation(fix.rotation_camera_to_enu @ camera.T)[:2]
        ground_sigma_m = self._sigma_m(fix.position_enu_m, flat)
        height_m2 = float(estimate.covariance[2, 2] + fix.covariance[2, 2]) + ground_sigma_m**2
        tilt_rad2 = float(np.trace((estimate.camera_covariance_rad2 + fix.covariance[3:, 3:])[:2, :2])) / 2.0
        tilt_rad2 += (ground_sigma_m / HILL_LENGTH_M) ** 2
        height_off_m, tilt_off_rad = float(fix.position_enu_m[2] - estimate.position_enu_m[2]), math.hypot(*tilt)
        tilt_off_rad /= math.sqrt(2.0)
        return _Off(height_off_m, height_off_m**2 / height_m2), _Off(tilt_off_rad, tilt_off_rad**2 / tilt_rad2)

    def on_step(self, step: OdometryStep, estimate: Estimate | None) -> OdometryStep:
        """The step with what hills that nobody knows may do to it: in turn they are alike, and add up."""
        if step.status is not OdometryStatus.OK or estimate is None or not estimate.position_known:
            return step
        relief_m = self.relief_sigma_m(estimate.position_enu_m)
        if relief_m == 0.0:
            return step
        way_m = float(np.linalg.norm(step.displacement_enu_m))
        sigma_m = STEP_SHARE * relief_m / max(step.height_m, relief_m) * way_m
        return replace(step, covariance=step.covariance + np.diag([sigma_m**2] * 3 + [0.0]))

    def on_used(self, fix: PoseFix) -> None:
        """The fusion took this fix, which `on_fix` had just now: over hills its height is the way to the ground."""
        if self._offered is not None and self._offered[0] == fix.t_ns and self._last_m is not None:
            self._level = (self._offered[1], self._last_m)

    def off_level(self, estimate: Estimate) -> tuple[float, float] | None:
        """How much more is under the aircraft than the flat model says, by the last fix, and one sigma of it; None over
        level or known ground."""
        position = estimate.position_enu_m
        if self.believed or not estimate.position_known:
            return None
        ground_m = max(self._sigma_m(position, True), math.sqrt(self._seen_height_m2))
        if self.relief_sigma_m(position) == 0.0 and self._told_m(position) <= LEVEL_SIGMA_M:
            return (self._level_off_m, ground_m) if self._level_off_m else None
        if self._level is None or estimate.travelled_enu_m is None:
            return self._level_off_m, ground_m
        way_m = float(np.linalg.norm(estimate.travelled_enu_m - self._level[1]))
        return self._level_off_m + self._level[0], min(
            math.hypot(LEVEL_FIX_SIGMA_M, ground_m / HILL_LENGTH_M * way_m), ground_m
        )

    def relief_sigma_m(self, position_enu_m: FloatArray) -> float:
        """How wrong the heights around a place may be beyond what any flight bears; 0 over level or known ground."""
        here = position_enu_m[:2]
        ground_m = self._terrain.sigma_m(here, 0.0) if self.believed else self._sigma_m(position_enu_m, True)
        height_m2 = max(ground_m**2, self._seen_height_m2)
        return math.sqrt(max(height_m2 - LEVEL_SIGMA_M**2, 0.0))

    def _honest(self, fix: PoseFix, flat: bool, seen_height_m2: float, seen_slope_rad2: float) -> PoseFix:
        """The fix, turned about the ground that it sees by slopes that nobody knows, and higher or lower by hills."""
        told_m2 = self._sigma_m(fix.position_enu_m, flat) ** 2
        more_height_m2 = max(told_m2 - LEVEL_SIGMA_M**2, seen_height_m2 - LEVEL_SIGMA_M**2, 0.0)
        relief_m2 = max(told_m2, self._relief_m2(seen_height_m2, math.sqrt(told_m2)))
        curved_m2 = CURVED_SHARE**2 * max(relief_m2 - LEVEL_SIGMA_M**2, 0.0)
        more_slope_rad2 = max(relief_m2 / HILL_LENGTH_M**2, seen_slope_rad2) - LEVEL_SLOPE_RAD**2
        if not flat:
            more_slope_rad2 = max(more_slope_rad2, 0.0) + self._terrain.slope_sigma_rad**2 * self._shared()
        if more_height_m2 == 0.0 and more_slope_rad2 <= 0.0:
            return fix
        height_m = self._above_ground_m(fix, flat) + (self._level_off_m if flat else 0.0)
        axis = fix.rotation_camera_to_enu[:, 2]
        ray = axis / max(-float(axis[2]), 0.2) * height_m
        turn = np.zeros((6, 2))
        for k in range(2):
            turn[:3, k] = np.cross(np.eye(3)[k], -ray)
            turn[3:, k] = np.eye(3)[k]
        covariance = fix.covariance + turn @ turn.T * max(more_slope_rad2, 0.0)
        covariance[:3, :3] += np.diag([curved_m2, curved_m2, more_height_m2])
        return replace(fix, covariance=covariance)

    def _above_ground_m(self, fix: PoseFix, flat: bool) -> float:
        """How high a fix is above the ground on which it was found, at least 1 m."""
        ground = self.level if flat else self._terrain
        return max(float(fix.position_enu_m[2]) - ground.up_m(fix.position_enu_m[:2]), 1.0)

    def _sigma_m(self, position_enu_m: FloatArray, flat: bool) -> float:
        """One sigma of the ground under a camera that a fix does not have in its covariance: one on heights has it."""
        if not flat and self._terrain.knows(position_enu_m[:2]):
            return 0.0
        told_m = self._told_m(position_enu_m)
        learned_m2 = (TOLD_WORTH * told_m**2 + self._relief_sum_m2) / (TOLD_WORTH + self._places)
        return min(told_m, max(math.sqrt(learned_m2), LEVEL_SIGMA_M))

    def _told_m(self, position_enu_m: FloatArray) -> float:
        """One sigma of the flat ground as the flight was told it."""
        return self.level.sigma_m(position_enu_m[:2], 0.0)

    def _learn_relief(self, height_off_m: float, tilt_off_rad: float) -> None:
        """Ground that fixes of the flat model find at one height and level on their way is less uneven than was told:
        the mean of an inverse gamma distribution of its variance (Gelman et al., "Bayesian Data Analysis", 2.6). The
        errors of the fixes themselves are counted with it."""
        places = min((self._way_m or 0.0) / HILL_LENGTH_M, 1.0)
        self._places += places
        self._relief_sum_m2 += places * max(height_off_m**2, (tilt_off_rad * HILL_LENGTH_M) ** 2)

    def _forget(self, travelled_enu_m: FloatArray) -> None:
        if self._last_m is not None:
            self._way_m = float(np.linalg.norm(travelled_enu_m - self._last_m))
            kept = math.exp(-self._way_m / REMEMBERED_M)
            self._seen_height_m2 *= kept
            self._seen_slope_rad2 *= kept
            self._places *= kept
            self._relief_sum_m2 *= kept
        self._last_m = travelled_enu_m.copy()

    def _look_for_level(self, fix: PoseFix, travelled_enu_m: FloatArray, off_m: float) -> None:
        """Take another level for the ground where fixes are off by the same height from the flight's first one on; what
        comes later is a hill."""
        self._profile.append((off_m, travelled_enu_m.copy()))
        while float(np.linalg.norm(travelled_enu_m - self._profile[0][1])) > 2.0 * LEVEL_WAY_M:
            self._profile.popleft()
            self._level_known = True
        way_m, level_m, relief_m = self._level_seen()
        sigma_m = math.hypot(LEVEL_SIGMA_M, self._told_m(fix.position_enu_m))
        if (
            self._level_known
            or way_m < LEVEL_WAY_M
            or abs(level_m) < max(LEVEL_OVER_RELIEF * relief_m, PLAIN_SIGMAS * sigma_m)
        ):
            return
        self._level_off_m += level_m
        self._seen_height_m2, self._level = relief_m**2, None
        self._places = self._relief_sum_m2 = 0.0
        for seen in (self._heights, self._profile):
            seen.clear()
        side = "lower" if self._level_off_m > 0.0 else "higher"
        text = f"the ground lies {abs(self._level_off_m):.0f} m {side} than told, or the barometer is off by that"
        self._told.append(Alert(fix.t_ns, Severity.WARNING, text, always=True))

    def _tell_uneven(self, fix: PoseFix) -> None:
        """Tell once that fixes show more hills than the sigma of the ground says."""
        told_m = self._told_m(fix.position_enu_m)
        seen_m2 = self._relief_m2(self._seen_height_m2, told_m), self._seen_slope_rad2 * HILL_LENGTH_M**2
        relief_m = math.sqrt(max(seen_m2))
        if self._told_uneven or self._level_seen()[0] < LEVEL_WAY_M:  # a level, on a short way
            return
        if relief_m > UNEVEN_SIGMAS * max(told_m, LEVEL_SIGMA_M):
            self._told_uneven = True
            text = f"the ground is more uneven than told: {relief_m:.0f} m; positions are less sure from here"
            self._told.append(Alert(fix.t_ns, Severity.WARNING, text, always=True))

    def _level_seen(self) -> tuple[float, float, float]:
        """Over which way fixes were off in height, by how much, and how high hills may be that differ so little."""
        if len(self._profile) < SEEN_MIN:
            return 0.0, 0.0, math.inf
        offs_m = np.array([off for off, _ in self._profile])
        way_m = float(np.linalg.norm(self._profile[-1][1] - self._profile[0][1]))
        spread_m = max(float(offs_m.std()), LEVEL_FIX_SIGMA_M / math.sqrt(len(offs_m)))
        return way_m, float(np.median(offs_m)), spread_m * max(HILL_LENGTH_M / max(way_m, 1.0), 1.0)

    def _shared(self) -> float:
        """By how many of its variances an error that is alike along the way is to count more in a fix, so that this one
        and those before it tell as much together as the error lets them: of a first-order Gauss-Markov error."""
        if self._way_m is None:
            return 0.0
        alike = math.exp(-max(self._way_m, ALIKE_WAY_M_MIN) / ERROR_LENGTH_M)
        return (1.0 + alike) / (1.0 - alike) - 1.0

    def _relief_m2(self, seen_height_m2: float, told_m: float) -> float:
        """The part of heights that were seen which hills may be: less where fixes are plainly off all alike, by more
        than the sigma that was told."""
        _, level_m, relief_m = self._level_seen()
        is_level = abs(level_m) > max(LEVEL_OVER_RELIEF * relief_m, PLAIN_SIGMAS * math.hypot(LEVEL_SIGMA_M, told_m))
        return min(seen_height_m2, relief_m**2) if is_level else seen_height_m2

    def _count(self, fix: PoseFix, flat: bool) -> None:
        """How many frames in turn were not found, and on which ground others were."""
        if fix.reason in SAYS_NOTHING:
            return
        self._unfound = 0 if fix.accepted else self._unfound + 1
        if fix.accepted:
            self._opened = self._rest = 0
        if not self.believed:
            return
        if not fix.accepted:
            self._failed += 1
            if not flat and fix.wrong_probability <= NEARLY_PROBABILITY:
                self._found_flat = 0
        elif not flat:
            self._failed = self._found_flat = 0
        else:
            self._failed += 1
            self._found_flat += 1
            if self._found_flat >= PROBES_WANTED:
                self._disbelieve(fix.t_ns, "frames are found on flat ground only")

    def _judge(self, t_ns: int) -> None:
        if len(self._off) < LOOKED_AT:
            return
        if float(np.mean([off.square for off in self._off])) > WRONG_SIGMAS**2:
            off_m = float(np.median([off.off for off in self._off]))
            self._disbelieve(t_ns, f"fixes and barometer disagree with them by {off_m:+.0f} m")

    def _not_under(self, t_ns: int, position_enu_m: FloatArray, sigma_m: float, vertical_sigma_m: float) -> None:
        if not self.believed:
            return
        ground_m = self._terrain.up_m(position_enu_m[:2])
        allowed_m = UNDER_SIGMAS * math.hypot(self._terrain.sigma_m(position_enu_m[:2], sigma_m), vertical_sigma_m)
        if float(position_enu_m[2]) < ground_m - allowed_m:
            self._disbelieve(
                t_ns, f"the aircraft would be {ground_m - float(position_enu_m[2]):.0f} m under the ground"
            )

    def _look_for_hole(self, t_ns: int, position_enu_m: FloatArray) -> None:
        hole = not self._terrain.knows(position_enu_m[:2])
        if hole and not self._in_hole:
            self._told.append(Alert(t_ns, Severity.NOTICE, "no heights on board here: the ground counts as flat"))
        self._in_hole = hole

    def _disbelieve(self, t_ns: int, why: str) -> None:
        if self.believed:
            self.believed = False
            text = f"heights on board are wrong, the ground counts as flat: {why}"
            self._told.append(Alert(t_ns, Severity.WARNING, text, always=True))
