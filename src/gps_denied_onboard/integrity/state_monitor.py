"""The state's own health over a flight: what the fusion did goes in; a covariance that fits, a protection level and
a verdict come out. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from gps_denied_onboard.fusion.reasons import FilterReason
from gps_denied_onboard.geometry.geodesy import CHI2_95_2DOF
from gps_denied_onboard.integrity import silence
from gps_denied_onboard.integrity.consistency import InnovationWindow
from gps_denied_onboard.integrity.separation import CERTAIN_RATIO, Separation, covering, protection_level_m, separations
from gps_denied_onboard.integrity.state_health_config import StateHealthConfig
from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    Estimate,
    ExcludedSource,
    FloatArray,
    OdometryStep,
    PoseFix,
    RejectReason,
)

WRONG_TOLD = 0.05
"""A 95 % ellipse leaves out what is rarer than this."""
RESETS = (FilterReason.RELOCATED, FilterReason.POSITION_STARTS)


class StateMonitor:
    """See the module. `reason` says why the state is unhealthy; it is empty while it is healthy."""

    def __init__(self, config: StateHealthConfig) -> None:
        self._config = config
        self._fixes = InnovationWindow(config.window, config.counted_max)
        self._steps = InnovationWindow(config.window, config.counted_max)
        self.silence = silence.started(config)
        self._contested_since_m: float | None = None
        self._contest_fits = 0
        self._contest_factor = 1.0
        self._fits = 0
        self._sound = False
        self._gps_apart_m: FloatArray | None = None
        self.reason = ""
        self._told = ""
        self.drop_rival = False
        self.camera_clock_sigma_s = config.camera_clock_sigma_s
        self.picture_lag_s = 0.0  # that pictures may have, one way or the other, until turns have shown there is none

    @property
    def healthy(self) -> bool:
        """Whether what the state claims of itself can be believed."""
        return not self.reason

    @property
    def anchored(self) -> bool:
        """Whether the state rests on map fixes that fitted it, since it began or was set anew."""
        return self._fits >= 2 and self._contested_since_m is None

    def on_records(self, records: Iterable[AidRecord]) -> None:
        """What the fusion did with fixes and odometry."""
        for record in records:
            if record.source == AidSource.FIX:
                self._on_fix_record(record)
            elif record.source == AidSource.ODOMETRY:
                self._steps.add(record)

    def _on_fix_record(self, record: AidRecord) -> None:
        if record.accepted and record.reason in RESETS:
            self._fixes.clear()
            self._steps.clear()
            self.silence = silence.relocated(self.silence, self._config)
            self._fits = 1
            self._gps_apart_m = None
            if record.reason == FilterReason.RELOCATED:
                self._contested_since_m, self._contest_fits = math.nan, 0
                # An aircraft does not jump: against a state that fixes had just confirmed, it takes more to believe so.
                self._contest_factor = self._config.contest_factor_sound if self._sound else 1.0
            return
        self._fixes.add(record)
        if record.accepted:
            self._sound = self.healthy and self._fits >= 10
            self._fits += 1
            if self._fits >= 2:
                self._gps_apart_m = None
            self._contest_fits += 1
            self._steps.refused = 0
        else:
            self._contest_fits = 0

    def on_picture(
        self, fix: PoseFix, used: bool, travelled_m: float, footprint_m: float, scale_sigma: float = 0.0
    ) -> None:
        """A frame's search on the map: a fix that the fusion `used`, or none. `travelled_m` is the distance flown by
        then, `footprint_m` about the length of ground that the frame shows: its height above ground, which is known to
        the part `scale_sigma` of it."""
        if used:
            self.silence = silence.fitted(self.silence, travelled_m, footprint_m, self._config)
            self._contest(travelled_m)
        elif not fix.accepted and (fix.reason not in silence.NOT_COUNTED or self._unconfirmed_off_map(fix)):
            shown = (scale_sigma, fix.gates.get("map_cells", math.inf))
            self.silence = silence.unmatched(self.silence, travelled_m, footprint_m, self._config, *shown)

    def _unconfirmed_off_map(self, fix: PoseFix) -> bool:
        """Whether a state that no fix has confirmed says that the map is elsewhere: it was made for this flight."""
        return self._fits == 0 and fix.reason == RejectReason.OUTSIDE_MAP

    def _contest(self, travelled_m: float) -> None:
        """After a relocation the old state is dropped once enough fixes over enough ground have fitted the new one."""
        if self._contested_since_m is None:
            return
        if math.isnan(self._contested_since_m):
            self._contested_since_m = travelled_m
        over_m = travelled_m - self._contested_since_m
        fixes, ground_m = self._config.contest_fixes, self._config.contest_m
        if self._contest_fits >= fixes * self._contest_factor and over_m >= ground_m * self._contest_factor:
            self._contested_since_m = None
            self.drop_rival = True

    def on_gps(self, place_en_m: FloatArray | None, estimate: Estimate | None) -> bool:
        """Where a GPS that says nothing wrong of itself puts the aircraft (2,); None for one that does. Returns whether
        that changed what is thought of the state.

        A state that no map fix has confirmed rests on a place that somebody entered: then a GPS elsewhere is as likely
        to be right, and the position may be at either. What was seen stays, whatever becomes of the GPS, until fixes
        confirm the state or the GPS agrees.
        """
        if self._fits >= 2 or place_en_m is None or estimate is None or not estimate.position_known:
            return False
        apart, before = place_en_m - estimate.position_enu_m[:2], self._gps_apart_m
        spread = estimate.covariance[:2, :2] + np.eye(2) * self._config.gps_sigma_m**2
        far = float(apart @ np.linalg.solve(spread, apart)) > self._config.gps_gate
        self._gps_apart_m = apart if far else None
        return (before is None) is not (self._gps_apart_m is None)

    @property
    def elsewhere_probability(self) -> float:
        """That the state is elsewhere, by the map's silence, or by a GPS elsewhere (as likely right as not)."""
        by_silence = silence.probability_wrong(self.silence, self._config)
        return by_silence if self._gps_apart_m is None else max(by_silence, 0.5)

    @property
    def elsewhere_m(self) -> float:
        """How far around the state it may be, one sigma, when the map's silence makes that likely enough; else 0."""
        apart_m = 0.0 if self._gps_apart_m is None else float(np.linalg.norm(self._gps_apart_m))
        wrong = silence.probability_wrong(self.silence, self._config)
        if self.silence.silent <= 0.0 or wrong <= WRONG_TOLD:
            return apart_m
        return max(silence.elsewhere_sigma_m(self.silence, self._config), apart_m)

    def trusted(self, step: OdometryStep) -> OdometryStep:
        """The step with the covariance that it has where frames match, or do not match, the map."""
        more = silence.cloud_variance_m2(self.silence, (step.t1_ns - step.t0_ns) * 1e-9, self._config)
        covariance = step.covariance.copy()
        covariance[0, 0] += more
        covariance[1, 1] += more
        return replace(step, covariance=covariance)

    def protect(self, estimate: Estimate | None) -> Estimate | None:
        """The estimate with a covariance that its measurements and its subsets agree with, and its protection level."""
        if estimate is None or not estimate.position_known:
            return estimate
        position, own = estimate.position_enu_m[:2], estimate.covariance[:2, :2]
        found = self._separations(estimate)
        velocity = estimate.velocity_enu_mps[:2] * min(self.camera_clock_sigma_s, self._config.camera_clock_sigma_s)
        lag_m = float(np.hypot(*estimate.velocity_enu_mps[:2])) * self.picture_lag_s
        wide = covering(position, own, found) * self._factor() + np.outer(velocity, velocity) + np.eye(2) * lag_m**2
        wide = wide + np.eye(2) * silence.radius_m(self.silence, WRONG_TOLD, self._config) ** 2 / CHI2_95_2DOF
        if self._gps_apart_m is not None:
            wide = wide + 0.25 * np.outer(self._gps_apart_m, self._gps_apart_m)
        covariance = estimate.covariance.copy()
        covariance[:2, :2] = wide
        level_m = max(
            protection_level_m(position, wide, estimate.subsets, self._config),
            silence.radius_m(self.silence, self._config.fault_risk, self._config),
        )
        return replace(
            estimate,
            covariance=covariance,
            protection_level_m=min(level_m, self._config.protection_m_max),
            healthy=self.healthy,
            anchored=self.anchored,
        )

    def _separations(self, estimate: Estimate) -> tuple[Separation, ...]:
        """Of the subsets that speak: the one without the map only while a relocation is contested."""
        subsets = [s for s in estimate.subsets if s.without is not ExcludedSource.MAP or self.contested]
        position, covariance = estimate.position_enu_m[:2], estimate.covariance[:2, :2]
        return separations(position, covariance, subsets, self._config)

    def _factor(self) -> float:
        """By how much the position's variance is larger than the fusion thinks, from the fixes' innovations."""
        mean = self._fixes.mean_square
        return mean if mean > self._config.inflate_above else 1.0

    @property
    def contested(self) -> bool:
        """Whether the state from before a relocation is not ruled out yet."""
        return self._contested_since_m is not None

    def assess(self, estimate: Estimate | None) -> str | None:
        """Decide the verdict with the state of now; the reason where it changed ("" for healthy again), else None."""
        self.reason = self._verdict(estimate)
        kind = self.reason.partition(":")[0]
        if kind == self._told:
            return None
        self._told = kind
        return self.reason

    def _verdict(self, estimate: Estimate | None) -> str:
        config = self._config
        if self._fixes.mean_square > config.unhealthy_above:
            return f"map fixes do not fit: {self._fixes.mean_square:.0f} times their variance"
        if self._steps.refused >= 3 and self._steps.run > config.run_gate:
            return f"odometry does not fit: {self._steps.refused} steps refused on one side"
        if self._gps_apart_m is not None:
            return f"the GPS is not at the take-off place: {float(np.linalg.norm(self._gps_apart_m)):.0f} m away"
        if self.elsewhere_m > 0.0:
            return "the map does not confirm the position"
        if self._contested_since_m is not None:
            return "relocated: the old position is not ruled out yet"
        if estimate is not None and estimate.position_known:
            for separation in self._separations(estimate):
                if separation.ratio > CERTAIN_RATIO:
                    without = separation.solution.without.value
                    return f"sources disagree: {separation.distance_m:.0f} m without {without}"
        return ""
