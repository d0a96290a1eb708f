"""The belief over places: where the aircraft may be beside where the state has it, and what frames together say. Pure.

A frame that is not sure enough by itself leaves a hypothesis: its place, with the log odds that it is right. Odometry
moves a hypothesis, and blurs it; the next frames are looked for there, in a small window. A frame that is found there
adds its log-likelihood ratio, one that is not takes some away. Hypotheses weigh against one another by Bayes' rule, and
a fix leaves when, all frames counted, it is sure enough. A hypothesis may come from a search of everywhere (a kidnapped
start, a wrong take-off place), from a search around the state (a lost segment), from a fix that came too late for the
filter, or from the operator: the computation is one (hypotheses with weights: Bar-Shalom, Li and Kirubarajan 2001, 11).

Frames are no independent witnesses. Of the same ground they count in part; and what a wrong place shows it goes on
showing along rows and streets, so that of each further frame only counts what no wrong place of the fit has shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gps_denied_onboard.localisation.belief_config import BeliefConfig
from gps_denied_onboard.localisation.evidence import LOG_RATIO_MAX, wrong_probability
from gps_denied_onboard.messages import SAYS_NOTHING, CameraPrior, FloatArray, PoseFix, RejectReason

WAITING_MAX = 64
POSITION_SIGMAS = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """How far a frame's moment is along the way: `travelled_en_m` (2,), the integral of the velocity, `flown_m` its
    length, with the velocity's uncertainty; `footprint_m` is about the length of ground that a frame shows."""

    travelled_en_m: FloatArray
    flown_m: float
    speed_sigma_mps: float
    footprint_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """A place: `position_en_m` (2,) and `variance_m2` of each axis at `t_ns`, where `motion` was (None: not known).

    `log_odds` are against no known place being right. `frames` spoke for it; `unaided`: it was found without the
    state's help; `told`: somebody said so, no frame did.
    """

    number: int
    t_ns: int
    position_en_m: FloatArray
    variance_m2: float
    motion: Motion | None
    log_odds: float
    frames: int = 1
    unaided: bool = True
    told: bool = False

    def at(self, t_ns: int, motion: Motion | None, config: BeliefConfig) -> tuple[FloatArray, float]:
        """Position (2,) and variance of each axis at another time."""
        age_s = abs(t_ns - self.t_ns) * 1e-9
        if motion is None or self.motion is None:
            return self.position_en_m, self.variance_m2 + (config.told_speed_mps * age_s) ** 2
        moved = motion.travelled_en_m - self.motion.travelled_en_m
        speed_mps = config.told_speed_mps if self.told else motion.speed_sigma_mps
        drift_m = config.drift_fraction * float(np.linalg.norm(moved))
        return self.position_en_m + moved, self.variance_m2 + (speed_mps * age_s) ** 2 + drift_m**2


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """Where a frame was looked for: around the hypothesis of this number (None: as the state says)."""

    motion: Motion | None
    number: int | None
    where: CameraPrior


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A fix by all frames together, and the `motion` of its frame (None: not known). `of_state`: it was looked for
    where the state says. `frames` of them decided (0: it is as it came)."""

    fix: PoseFix
    motion: Motion | None
    of_state: bool
    frames: int = 0


class PlaceBelief:
    """See the module. Frames are handed out by `look`, and come back, in any order and however late, by `judged`."""

    def __init__(self, config: BeliefConfig, wrong_probability_max: float) -> None:
        self._config = config
        self._wrong_max = wrong_probability_max
        self._places: tuple[Hypothesis, ...] = ()
        self._hint: Hypothesis | None = None
        self._looks: dict[int, _Look] = {}
        self._numbers = 0
        self._turn = 0
        self._far = False

    @property
    def places(self) -> tuple[Hypothesis, ...]:
        """The hypotheses, the most likely first; the operator's is not among them."""
        return self._places

    def tell(self, t_ns: int, position_en_m: FloatArray, sigma_m: float, motion: Motion | None) -> None:
        """A place that somebody told: frames are looked for there while the state is less sure, until one is found."""
        self._hint = self._new(t_ns, position_en_m, sigma_m**2, motion, 0.0, told=True)

    def settled(self) -> None:
        """A fix was fused: the state is where a frame was found, and nothing else is asked for."""
        self._places, self._hint = (), None

    def look(
        self, prior: CameraPrior, motion: Motion | None, elsewhere_m: float, elsewhere_probability: float = 0.0
    ) -> CameraPrior:
        """Where to look for the next frame. `elsewhere_m` is how far from the state the aircraft may be (0: no doubt),
        and with which probability it is not where the state says.

        In turn: where the state says; as far around as it may be wrong, as near by a frame is found that a search of
        everywhere would hold ambiguous; and at the likeliest place that a frame has left.
        """
        self._turn += 1
        t_ns = prior.t_ns
        self._places = tuple(one for one in self._places if t_ns - one.t_ns <= self._config.age_s_max * 1e9)
        chosen = self._to_look_at(prior, motion)
        # With no position a look at a place costs little beside a search of everywhere.
        of_place = self._turn % 3 != 0 if not prior.position_known else self._turn % 2 == 0
        if chosen is not None and of_place:
            where = self._prior_at(chosen, prior, motion, 1.0 / (1.0 + math.exp(-chosen.log_odds)))
        else:
            chosen, where = None, self._told(self._doubted(prior, elsewhere_m, elsewhere_probability), motion)
        self._looks[t_ns] = _Look(motion, None if chosen is None else chosen.number, where)
        while len(self._looks) > WAITING_MAX:
            del self._looks[next(iter(self._looks))]
        return where

    def judged(self, fix: PoseFix) -> Judged:
        """A frame's fix, accepted or not, by what it and the frames before it say together."""
        look = self._looks.pop(fix.t_ns, None)
        if look is None:
            return Judged(fix, None, True)
        untouched = Judged(fix, look.motion, look.number is None)
        if fix.reason in SAYS_NOTHING:
            return untouched
        ratio, log_prior = (fix.gates.get(name, math.nan) for name in ("log_ratio", "log_prior"))
        if not _is_evidence(fix, ratio, log_prior):
            self._missed(look, None)
            return untouched
        before = self._same_place(fix, look.motion)
        spoken = self._spoken(fix, look, before, ratio, log_prior)
        self._missed(look, spoken)
        self._keep(spoken)
        return self._weighed(untouched, spoken)

    def _weighed(self, judged: Judged, spoken: Hypothesis) -> Judged:
        """The fix against the other places that are known; one that stands by itself only against those of several
        frames."""
        fix = judged.fix
        others = [one for one in self._places if one.number != spoken.number and self._elsewhere(one, spoken)]
        if fix.accepted:
            own = math.log((1.0 - fix.wrong_probability) / max(fix.wrong_probability, math.exp(-LOG_RATIO_MAX)))
            wrong = wrong_probability(max(own, spoken.log_odds), [one.log_odds for one in others if one.frames > 1])
            if wrong <= self._wrong_max:
                if judged.of_state or fix.global_search or not spoken.unaided:
                    return judged
                return replace(judged, fix=replace(fix, global_search=True))  # the state had no part in it
            refused = replace(fix, accepted=False, unique=False, reason=RejectReason.UNSURE, wrong_probability=wrong)
            return replace(judged, fix=refused, frames=spoken.frames)
        rival = fix.gates.get("rival_log_odds", -math.inf)
        refined = fix.gates.get("refined") == 1.0
        if fix.reason is not RejectReason.UNSURE or not refined or spoken.frames < 2 or math.isnan(rival):
            return judged
        wrong = wrong_probability(spoken.log_odds, [rival, *(one.log_odds for one in others)])
        if wrong > self._wrong_max:
            return judged
        sure = replace(
            fix,
            accepted=True,
            reason=RejectReason.NONE,
            unique=True,
            global_search=fix.global_search or spoken.unaided,
            wrong_probability=wrong,
        )
        return replace(judged, fix=sure, frames=spoken.frames)

    def _elsewhere(self, one: Hypothesis, spoken: Hypothesis) -> bool:
        """Whether a place is another one than that of a frame, and not the same ground seen under another tilt."""
        position, _ = one.at(spoken.t_ns, spoken.motion, self._config)
        off_m = float(np.linalg.norm(position - spoken.position_en_m))
        return spoken.motion is None or off_m > self._config.independent_share * spoken.motion.footprint_m

    def _spoken(
        self, fix: PoseFix, look: _Look, before: Hypothesis | None, ratio: float, log_prior: float
    ) -> Hypothesis:
        """The hypothesis of a fix's place, a new one or that of `before` with this frame added."""
        position, variance = fix.position_enu_m[:2].copy(), _variance_m2(fix)
        if before is None:
            return self._new(fix.t_ns, position, variance, look.motion, log_prior + ratio, unaided=fix.global_search)
        config = self._config
        gain = min(max(ratio - fix.gates["alike_log_ratio"], -config.loss_max), config.gain_max)
        log_odds = before.log_odds + self._weight(before, look.motion) * gain
        return replace(
            before,
            t_ns=fix.t_ns,
            position_en_m=position,
            variance_m2=variance,  # what frames of one ground are off by is common: it does not average out
            motion=look.motion,
            log_odds=min(max(log_odds, -LOG_RATIO_MAX), LOG_RATIO_MAX),
            frames=before.frames + (gain > 0.0),
        )

    def _weight(self, before: Hypothesis, motion: Motion | None) -> float:
        """Of a further frame: in part where it shows the same ground."""
        if motion is None or before.motion is None:
            return 0.0
        apart_m = abs(motion.flown_m - before.motion.flown_m)
        return min(1.0, apart_m / max(self._config.independent_share * motion.footprint_m, 1.0))

    def _same_place(self, fix: PoseFix, motion: Motion | None) -> Hypothesis | None:
        """The hypothesis that a fix fits, moved to its time; None also where nothing tells how far it moved."""
        best, best_ratio = None, self._config.gate
        for one in self._places:
            if motion is None or one.motion is None:
                continue
            position, variance = one.at(fix.t_ns, motion, self._config)
            off = fix.position_enu_m[:2] - position
            ratio = float(off @ off) / (variance + _variance_m2(fix))
            if ratio <= best_ratio:
                best, best_ratio = one, ratio
        return best

    def _missed(self, look: _Look, spoken: Hypothesis | None) -> None:
        """A frame that was looked for at a place, and was not found there, speaks against it."""
        self._places = tuple(
            one
            if (spoken is not None and spoken.number == one.number) or not self._covers(look, one)
            else replace(one, log_odds=one.log_odds - self._config.missed_log_odds * self._weight(one, look.motion))
            for one in self._places
        )

    def _covers(self, look: _Look, one: Hypothesis) -> bool:
        """Whether a frame would have been found at a place."""
        position, _ = one.at(look.where.t_ns, look.motion, self._config)
        off_m = float(np.linalg.norm(position - look.where.position_enu_m[:2]))
        return not look.where.position_known or off_m <= POSITION_SIGMAS * look.where.horizontal_sigma_m

    def _keep(self, spoken: Hypothesis) -> None:
        kept = [one for one in self._places if one.number != spoken.number] + [spoken]
        likely = [one for one in kept if one.log_odds >= self._config.opens_at_log_odds]
        self._places = tuple(sorted(likely, key=lambda one: -one.log_odds)[: self._config.kept])

    def _new(
        self,
        t_ns: int,
        position_en_m: FloatArray,
        variance_m2: float,
        motion: Motion | None,
        log_odds: float,
        unaided: bool = True,
        told: bool = False,
    ) -> Hypothesis:
        self._numbers += 1
        return Hypothesis(self._numbers, t_ns, position_en_m, variance_m2, motion, log_odds, unaided=unaided, told=told)

    def _to_look_at(self, prior: CameraPrior, motion: Motion | None) -> Hypothesis | None:
        """The likeliest place that a search around the state would not see, and whose way from there is known."""
        for one in self._places:
            if one.log_odds < self._config.opens_at_log_odds or motion is None or one.motion is None:
                continue
            position, _ = one.at(prior.t_ns, motion, self._config)
            off_m = float(np.linalg.norm(position - prior.position_enu_m[:2]))
            if not prior.position_known or off_m > POSITION_SIGMAS * prior.horizontal_sigma_m + motion.footprint_m:
                return one
        return None

    def _doubted(self, prior: CameraPrior, elsewhere_m: float, elsewhere_probability: float) -> CameraPrior:
        """Where the state is, and each other time as far around as it may be wrong."""
        self._far = not self._far
        if not self._far or elsewhere_m <= prior.horizontal_sigma_m:
            return prior
        covariance = prior.covariance_enu_m2.copy()
        covariance[0, 0] += elsewhere_m**2
        covariance[1, 1] += elsewhere_m**2
        return replace(
            prior,
            covariance_enu_m2=covariance,
            state_covariance_en_m2=prior.covariance_enu_m2[:2, :2],
            state_probability=1.0 - elsewhere_probability,
        )

    def _told(self, prior: CameraPrior, motion: Motion | None) -> CameraPrior:
        """The prior, or the place that was told, where the state is less sure than that."""
        hint = self._hint
        if hint is None or prior.t_ns - hint.t_ns > self._config.age_s_max * 1e9:
            return prior
        _, variance = hint.at(prior.t_ns, motion, self._config)
        if prior.position_known and prior.horizontal_sigma_m <= math.sqrt(variance):
            return prior
        return self._prior_at(hint, prior, motion, 1.0)

    def _prior_at(
        self, place: Hypothesis, prior: CameraPrior, motion: Motion | None, probability: float
    ) -> CameraPrior:
        position, variance = place.at(prior.t_ns, motion, self._config)
        covariance = prior.covariance_enu_m2.copy()
        covariance[:2, :] = covariance[:, :2] = 0.0
        covariance[0, 0] = covariance[1, 1] = variance
        return replace(
            prior,
            position_enu_m=np.array([*position, prior.position_enu_m[2]]),
            covariance_enu_m2=covariance,
            position_known=True,
            place_probability=probability,
            state_covariance_en_m2=None,
        )


def _is_evidence(fix: PoseFix, ratio: float, log_prior: float) -> bool:
    """Whether a fix has a place and says how likely it is; one of `learned`, or of a damaged recording, does not."""
    alike = fix.gates.get("alike_log_ratio", math.nan)
    numbers = [ratio, log_prior, alike, *fix.position_enu_m, *fix.covariance[:2, :2].ravel()]
    return bool(np.isfinite(numbers).all()) and (not fix.accepted or 0.0 <= fix.wrong_probability < 1.0)


def _variance_m2(fix: PoseFix) -> float:
    """Of each axis of a fix's position, the larger one."""
    return float(np.linalg.eigvalsh(fix.covariance[:2, :2])[-1])
