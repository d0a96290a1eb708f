"""Positions that mislead: beyond what was promised of them, sent as a fix all the same; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gps_denied_onboard.messages import NavState

HAZARDOUS_ELLIPSES = 3.5


def protection_level_m(state: NavState | None) -> float | None:
    """The state's protection level; None where there is none: no estimate, or a recording from before it was sent."""
    level_m = math.nan if state is None else state.protection_level_m
    return level_m if math.isfinite(level_m) and level_m > 0.0 else None


def is_hazardous(state: NavState, east_m: float, north_m: float) -> bool:
    """Whether an error (estimate minus truth) of a position sent as a 2D or 3D fix lies beyond the protection level, or
    beyond 3.5 times the 95 % ellipse in its own direction."""
    level_m = protection_level_m(state)
    if level_m is not None and math.hypot(east_m, north_m) > level_m:
        return True
    return ellipses_away(state, east_m, north_m) > HAZARDOUS_ELLIPSES


def ellipses_away(state: NavState, east_m: float, north_m: float) -> float:
    """How many times the 95 % ellipse must grow to reach an error; infinite for an ellipse of no size."""
    azimuth = math.radians(state.ellipse_azimuth_deg)
    along = north_m * math.cos(azimuth) + east_m * math.sin(azimuth)
    across = -north_m * math.sin(azimuth) + east_m * math.cos(azimuth)
    major, minor = max(state.ellipse_semi_major_m, 1e-9), max(state.ellipse_semi_minor_m, 1e-9)
    return math.hypot(along / major, across / minor)


def worst_flight(coverage: Sequence[tuple[str, float | None]]) -> dict[str, object]:
    """Name and coverage of the flight with the lowest coverage; the first of equals, nulls where there is none."""
    known = [(share, name) for name, share in coverage if share is not None]
    if not known:
        return {"flight": None, "coverage_95": None}
    share, name = min(known, key=lambda pair: pair[0])
    return {"flight": name, "coverage_95": share}
