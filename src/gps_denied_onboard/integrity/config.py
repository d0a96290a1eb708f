"""Numbers of the integrity monitor: GPS health, spoofing gate, failsafe ladder. Units are in the names.

Gates are chi-square thresholds of a whole horizontal innovation (two degrees of freedom).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from gps_denied_onboard.errors import UserError


@dataclass(frozen=True, slots=True)
class IntegrityConfig:
    """Defaults suit a GPS at 5 Hz, a map good to some metres and pictures at 0.5 to 3 Hz."""

    # A sample's own quality: below this the GPS is DEGRADED.
    satellites_min: int = 6
    accuracy_m_max: float = 15.0
    silence_s: float = 1.0
    poor_samples: int = 2

    # A sample against our state: beyond this the GPS is SPOOFED.
    position_gate: float = 16.0
    velocity_gate: float = 16.0
    drift_gate: float = 16.0
    drift_time_s: float = 3.0
    wrong_m_min: float = 8.0
    wrong_samples: int = 2
    wrong_velocity_samples: int = 3
    gps_floor_m: float = 2.0
    gps_believed_m_max: float = 5.0
    gps_speed_floor_mps: float = 0.5
    jump_m_max: float = 20.0
    creep_mps_max: float = 2.0
    time_jump_s_max: float = 1.0

    # What it takes to call the GPS good: our own state must be able to tell.
    reference_sigma_m_max: float = 20.0
    stable_after_s: float = 1.0

    # The spoofing gate.
    gate_stable_s: float = 10.0
    gate_fix: float = 16.0
    gate_fix_m_max: float = 30.0
    gate_estimate_m_max: float = 200.0
    gate_sample_age_s_max: float = 0.5

    # Failsafe.
    degraded_95_m: float = 100.0
    failsafe_95_m: float = 500.0
    failsafe_blackout_s: float = 30.0
    no_estimate_s: float = 3.0
    reloc_frames: int = 3
    reloc_s: float = 2.0
    reloc_repeat_s: float = 30.0

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not math.isfinite(value) or value <= 0:
                raise UserError(f"integrity.{f.name} must be a positive number, got {value}; correct it.")
        if self.failsafe_95_m <= self.degraded_95_m:
            raise UserError("integrity.failsafe_95_m must be more than integrity.degraded_95_m.")
