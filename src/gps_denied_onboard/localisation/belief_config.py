"""Configuration of the belief over places."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from gps_denied_onboard.errors import UserError


@dataclass(frozen=True, slots=True)
class BeliefConfig:
    """How frames add up: see _docs/evidence.md. Logs are natural."""

    kept: int = 6
    """Places beside the state's that are remembered, the most likely ones."""
    opens_at_log_odds: float = -3.0
    """A place that is at least so likely is looked at again, in a window of its own."""
    gain_max: float = 8.0
    loss_max: float = 4.0
    """What one further frame adds at most, and takes."""
    missed_log_odds: float = 0.6
    """What a frame takes that was looked for at a place and not found: as silence speaks against the state."""
    independent_share: float = 0.3
    """Frames that lie further apart than this part of the ground they show count in full, nearer ones in part."""
    gate: float = 16.0
    """Chi-square of two degrees of freedom, between where a place has moved to and where a frame was found."""
    drift_fraction: float = 0.05
    """Of the way flown, one sigma: what odometry and wind are off."""
    age_s_max: float = 120.0
    """Without a frame that speaks for it a place is forgotten after this, and so is the operator's hint."""
    told_speed_mps: float = 25.0
    """How fast the aircraft may have left the place of a hint."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not math.isfinite(value) or (value <= 0 and f.name != "opens_at_log_odds"):
                raise UserError(f"belief.{f.name} must be a positive number, got {value}; correct it.")
