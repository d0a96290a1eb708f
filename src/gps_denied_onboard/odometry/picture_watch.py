"""Which pictures are used: those that are new and in order; what is told of the others. Pure."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    Alert,
    AttitudeSample,
    CameraPrior,
    Estimate,
    Frame,
    OdometryStep,
    PoseFix,
    Severity,
)
from gps_denied_onboard.odometry.picture_delay import DELAY_STEP_S, PictureDelay
from gps_denied_onboard.odometry.picture_lag import FIX_DOUBT_M, LagEvidence, lag_of_relocation
from gps_denied_onboard.odometry.picture_novelty import NotNew, PictureMotion, PictureNovelty
from gps_denied_onboard.odometry.picture_order import PictureOrder

CLOCK_SET_BACK_NS = 5_000_000_000
GOOD_AGAIN = 5
"""So many new pictures in a row, and the fault is over."""

LAG_HELD_S = 60.0
"""A lag that nothing has spoken for so long is let go."""
REFUTED, CONFIRMED = 0.95, 0.05
"""Probability that pictures are in time: from the first on their lag is refuted, below the second it stands."""
HARMLESS_M = 5.0
"""A lag within which the aircraft does not come farther than this is no worse than a fix's own error."""
LAGS_KEPT = 64
FIXES_BEYOND = 3
"""So many fixes in a row farther off than any lag would put them: what told of a lag was the state's own error."""
STEADY_STEPS = 3
"""So many steps in a row as long as the aircraft's, and pictures are not merely the wrong way round."""
FIXES_PUT_RIGHT = 3
"""So many fixes of pictures in time, fused, and the state has forgotten those of late ones."""

Told = AidRecord | Alert


class PictureWatch:
    """`on_frame` for every picture, then `on_step` for the odometry's step to it: whether it is to be used.

    `take` gives the records and alerts that tell of those that are not. `doubt_s`: the largest lag, one way or the
    other, that pictures in use may have, or that fixes may have put into the state: until turns have shown pictures in
    time, and fixes after that were used.
    """

    def __init__(self, focal_px: float, size_px: tuple[int, int]) -> None:
        self._novelty = PictureNovelty(focal_px, size_px)
        self._order = PictureOrder()
        self._delay = PictureDelay()
        self._last_ns: int | None = None
        self._told: NotNew | None = None
        self._refused = self._good = 0
        self._waiting: list[Told] = []
        self._lags: deque[tuple[int, float]] = deque(maxlen=LAGS_KEPT)
        self._beyond = 0
        self._evidence = LagEvidence()
        self.doubt_s = 0.0
        self._refuted, self._used = False, 0

    def on_attitude(self, sample: AttitudeSample) -> None:
        """The autopilot's attitude, in the order of time."""
        self._delay.on_attitude(sample)

    def on_frame(self, frame: Frame, estimate: Estimate | None, prior: CameraPrior | None) -> bool:
        """Whether a picture is new, before anything is made of it; else it waits in `take`, why."""
        last_ns, self._last_ns = self._last_ns, frame.t_ns
        if last_ns is not None and last_ns - CLOCK_SET_BACK_NS < frame.t_ns <= last_ns:
            self._last_ns = last_ns
            return self._refuse(frame.t_ns, frame.index, NotNew.STAMP)
        reason = self._novelty.judge(frame, _motion(estimate, prior))
        return self._accept(frame.t_ns) if reason is None else self._refuse(frame.t_ns, frame.index, reason)

    def on_step(self, frame: Frame, step: OdometryStep, estimate: Estimate | None) -> bool:
        """Whether the picture shows the moment that its stamp says."""
        velocity = None if estimate is None else estimate.velocity_enu_mps
        sigma = math.inf if estimate is None else _velocity_sigma_mps(estimate)
        late = self._order.judge(step, velocity, sigma)
        if self._order.changed:
            self._delay.forget()
        delay_s = self._delay.judge(step)
        if late and self._delay.contradicts(-self._order.lag_s):
            self._order.forget()
        if self._order.lag_s != 0.0 and (self._order.held_s(step.t1_ns) > LAG_HELD_S or self._costs_more(estimate)):
            self._doubt(abs(self._order.lag_s))
            self._forget()
        if self._order.lag_s > 0.0 and self._order.steady >= STEADY_STEPS:  # none is newer: those before were late
            self._doubt(self._order.lag_s)
            self._forget()
        if delay_s > 0.0 and self._order.lag_s == 0.0:
            self._order.assume(step.t1_ns, -delay_s, DELAY_STEP_S)  # so that their end leaves none
        self._refuted = self._refuted or self._delay.contradicts(self.doubt_s)
        lag_s = -delay_s or self._order.lag_s
        if _harmless(lag_s, estimate):
            lag_s = self._order.disorder_s
        if _harmless(lag_s, estimate):
            return True
        self._lags.append((frame.t_ns, lag_s))
        return self._refuse(frame.t_ns, frame.index, NotNew.ORDER, f"{lag_s:+.1f} s")

    def on_fix(self, fix: PoseFix, estimate: Estimate | None) -> bool:
        """Whether a map fix may be fused: not that of a picture out of order, unless fixes lie where pictures in time
        would have them.

        Such fixes are the proof: they are off along the track by the lag's way, or the lag was the odometry's error.
        One alone may lie anywhere between. Fixes that are farther off than that show a state that is wrong; by its
        velocity the lag was told.
        """
        lag_s = next((lag_s for t_ns, lag_s in self._lags if t_ns == fix.t_ns), 0.0)
        if fix.accepted and estimate is not None and estimate.position_known:
            self._delay.on_fix(fix, estimate)
            lag_s = lag_s or -self._delay.delay_s
        if lag_s == 0.0:
            self._beyond = 0 if fix.accepted else self._beyond
            return True
        if not fix.accepted or estimate is None or not estimate.position_known:
            return False
        sigma_m = _horizontal_sigma_m(estimate)
        off_m = (fix.position_enu_m - estimate.position_enu_m)[:2]
        limit_m = _way_m(lag_s, estimate) + 2.0 * math.hypot(sigma_m, FIX_DOUBT_M)
        self._beyond = self._beyond + 1 if float(np.hypot(*off_m)) > limit_m else 0
        self._evidence.judge(fix, estimate, sigma_m, lag_s)
        if self._evidence.in_time < REFUTED and self._beyond < FIXES_BEYOND:
            if self._evidence.in_time < CONFIRMED:
                self._order.hold(fix.t_ns)
            innovation = tuple(off_m.tolist())
            why = f"not used: picture {NotNew.ORDER.value}, {lag_s:+.1f} s"
            self._waiting.append(AidRecord(fix.t_ns, AidSource.FIX, (), (), innovation, (), 0.0, False, why))
            return False
        if self._evidence.in_time < REFUTED:
            self._doubt(abs(lag_s))
        self._forget()
        return True

    def on_relocation(self, before: Estimate, after: Estimate) -> None:
        """The state before and after fixes moved it: back along its track, it may be pictures that are late."""
        if (lag_s := lag_of_relocation(before, after)) > 0.0:
            self._doubt(lag_s)
            self._delay.forget()

    def on_used(self) -> None:
        """A fix was fused."""
        self._used += self._refuted
        if self._used >= FIXES_PUT_RIGHT:
            self._doubt(0.0)

    def _doubt(self, lag_s: float) -> None:
        """No less than before; 0.0: none any more."""
        self.doubt_s = max(self.doubt_s, lag_s) if lag_s > 0.0 else 0.0
        self._refuted, self._used = False, 0

    def _forget(self) -> None:
        """Pictures are used from here on, those that wait for their fix included."""
        self._order.forget()
        self._delay.forget()
        self._evidence.forget()
        self._lags.clear()
        self._beyond = 0

    def _costs_more(self, estimate: Estimate | None) -> bool:
        """Whether the state has become wider than the lag would put it wrong: late fixes would help it."""
        if estimate is None or not estimate.position_known:
            return False
        return _horizontal_sigma_m(estimate) > max(_way_m(self._order.lag_s, estimate), HARMLESS_M)

    def take(self) -> list[Told]:
        """What has been found since the last call."""
        out, self._waiting = self._waiting, []
        return out

    def _accept(self, t_ns: int) -> bool:
        self._good += 1
        if self._told is not None and self._good >= GOOD_AGAIN:
            self._waiting.append(Alert(t_ns, Severity.NOTICE, f"pictures are new again; {self._refused} were not used"))
            self._told, self._refused = None, 0
        return True

    def _refuse(self, t_ns: int, index: int, reason: NotNew, detail: str = "") -> bool:
        self._good = 0
        self._refused += 1
        why = f"not used: {reason.value}" + (f", {detail}" if detail else "")
        self._waiting.append(AidRecord(t_ns, AidSource.FRAME, (float(index),), (), (), (), 0.0, False, why))
        if reason is not self._told:
            self._told = reason
            self._waiting.append(Alert(t_ns, Severity.WARNING, f"picture {why}"))
        return False


def _motion(estimate: Estimate | None, prior: CameraPrior | None) -> PictureMotion | None:
    if estimate is None or prior is None:
        return None
    return PictureMotion(
        prior.t_ns,
        estimate.velocity_enu_mps,
        _velocity_sigma_mps(estimate),
        prior.rotation_camera_to_enu,
        prior.height_m,
        prior.height_sigma_m,
    )


def _harmless(lag_s: float, estimate: Estimate | None) -> bool:
    """Whether the aircraft does not come far in a lag."""
    return lag_s == 0.0 or (estimate is not None and _way_m(lag_s, estimate) < HARMLESS_M)


def _way_m(lag_s: float, estimate: Estimate) -> float:
    """How far the aircraft comes in a lag."""
    return abs(lag_s) * float(np.hypot(*estimate.velocity_enu_mps[:2]))


def _horizontal_sigma_m(estimate: Estimate) -> float:
    """Standard deviation of the position along its worst horizontal direction."""
    return math.sqrt(max(float(np.linalg.eigvalsh(estimate.covariance[:2, :2])[-1]), 0.0))


def _velocity_sigma_mps(estimate: Estimate) -> float:
    return math.sqrt(max(float(np.linalg.eigvalsh(estimate.covariance[3:5, 3:5])[-1]), 0.0))
