"""Numbers of the state's own health. Units are in the names; probabilities are of a moment unless they say an hour."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from gps_denied_onboard.errors import UserError

SHARES = (
    "fault_risk",
    "match_probability",
    "blind_share",
    "origin_wrong",
    "relocation_wrong",
    "fix_wrong_factor",
    "wrong_floor",
    "match_memory",
)


@dataclass(frozen=True, slots=True)
class StateHealthConfig:
    """Defaults suit pictures at 0.5 to 3 Hz. Chi-square thresholds are of two degrees of freedom."""

    # Windows of normalised innovations, refused ones included.
    window: int = 12
    counted_max: float = 25.0
    """One innovation counts as this many times its variance at most: one outlier is not a trend."""
    inflate_above: float = 2.5
    unhealthy_above: float = 8.0
    run_gate: float = 25.0
    """Chi-square of the mean of a window's signed innovations: beyond it they are of one sign."""

    # Separation of the solutions without one source.
    separation_sigmas: float = 3.0
    separation_floor_m: float = 2.0
    map_lane_renewed_s: float = 40.0
    """A solution without the map is this old at most; there are two, so that one is half as old at least."""
    contest_fixes: int = 6
    contest_m: float = 100.0
    contest_factor_sound: float = 5.0
    """What it takes to drop the old state after a relocation: this many fixes that fit, over so much ground."""

    # Protection level.
    integrity_risk_per_hour: float = 1e-4
    independent_per_hour: float = 60.0
    """How many independent errors an hour holds (Gauss-Markov errors of about a minute)."""
    fault_risk: float = 1e-3
    protection_m_max: float = 100_000.0

    # Silence: frames that should have matched where the state says, and did not.
    match_probability: float = 0.6
    blind_share: float = 0.25
    """How often a whole stretch of ground matches nothing though the state is right: cloud, forest, a changed map."""
    origin_wrong: float = 0.045
    relocation_wrong: float = 0.02
    fix_wrong_factor: float = 0.2
    """By how much a fix that fits where the state says makes it less likely to be wrong."""
    wrong_floor: float = 1e-5
    independent_share: float = 0.3
    """Frames that lie further apart than this part of the ground they show count in full, nearer ones in part."""
    scale_known: float = 0.07
    """A height above ground that is known to this part of it is no reason why a frame should not match: one step of the
    place search."""
    cells_known: float = 700.0
    """A frame with so many map cells along its longer side matches half as often as it does from high up: simulated
    flights at 200, 260, 330 and 420 m (390 to 830 cells) matched 0, 2, 18 and 22 frames of a hundred, none below."""
    silence_sigma_m: float = 300.0
    silence_growth: float = 1.5
    silence_sigma_m_max: float = 6000.0

    # A GPS elsewhere than a state that no map fix has confirmed.
    gps_sigma_m: float = 5.0
    gps_gate: float = 30.0  # 2

    # The camera's clock against the autopilot's, until turns have told it (fusion/time_offset.py).
    camera_clock_sigma_s: float = 0.04

    # Odometry over ground that matches nothing may be of cloud.
    cloud_speed_mps: float = 2.0
    cloud_time_s: float = 30.0
    match_memory: float = 0.75

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not math.isfinite(value) or value <= 0:
                raise UserError(f"state_health.{f.name} must be a positive number, got {value}; correct it.")
        for name in SHARES:
            if getattr(self, name) >= 1.0:
                raise UserError(f"state_health.{name} must be less than 1, got {getattr(self, name)}; correct it.")
        if self.silence_growth <= 1.0:
            raise UserError(f"state_health.silence_growth must be more than 1, got {self.silence_growth}; correct it.")
        if self.integrity_risk_per_hour >= self.independent_per_hour:
            raise UserError(
                "state_health.integrity_risk_per_hour must be less than state_health.independent_per_hour; correct it."
            )
