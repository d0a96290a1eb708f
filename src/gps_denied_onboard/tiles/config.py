"""Settings of the tile store: budget, freshness, candidates made in flight."""

from __future__ import annotations

from dataclasses import dataclass

from gps_denied_onboard.errors import UserError

SECTOR_CLASSES = ("active_conflict", "stable_rear")  # strictest first


@dataclass(frozen=True, slots=True)
class TilesConfig:
    """`budget_gb` bounds the store's tiles (10^9 bytes). A tile older than its sector class allows is stale:
    refused in `active_conflict`, kept with a downgraded label in `stable_rear`. Land outside of all sectors has
    `default_sector_class`. A map with downgraded tiles is `downgraded_sigma_factor` times less sure of its places.
    Candidates: see gps_denied_onboard.localisation.tile_candidates.
    """

    budget_gb: float = 10.0
    active_conflict_age_days_max: float = 180.0
    stable_rear_age_days_max: float = 365.0
    default_sector_class: str = "stable_rear"
    downgraded_sigma_factor: float = 2.0
    candidates: bool = False
    candidate_zoom: int = 18
    candidate_interval_s: float = 10.0
    candidate_sharpness_min: float = 20.0
    companion_id: str = "companion"

    def __post_init__(self) -> None:
        if self.default_sector_class not in SECTOR_CLASSES:
            raise UserError(
                f"tiles.default_sector_class is '{self.default_sector_class}'; use {' or '.join(SECTOR_CLASSES)}."
            )
        for name in ("budget_gb", "active_conflict_age_days_max", "stable_rear_age_days_max", "candidate_interval_s"):
            if getattr(self, name) <= 0.0:
                raise UserError(f"tiles.{name} must be positive, got {getattr(self, name)}.")
        if self.downgraded_sigma_factor < 1.0:
            raise UserError(f"tiles.downgraded_sigma_factor must be 1 or more, got {self.downgraded_sigma_factor}.")
        if not 14 <= self.candidate_zoom <= 22:
            raise UserError(f"tiles.candidate_zoom must be 14 to 22, got {self.candidate_zoom}.")

    @property
    def budget_bytes(self) -> int:
        return round(self.budget_gb * 1e9)

    def age_days_max(self, sector_class: str) -> float:
        """Return the age from which a tile of a sector class is stale."""
        active = sector_class == "active_conflict"
        return self.active_conflict_age_days_max if active else self.stable_rear_age_days_max
