"""Figures that only `evaluate photos` has, beside those of `metrics`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gps_denied_operator.scoring.frames import FrameResult


def photo_figures(rows: Sequence[FrameResult], boresight_deg: tuple[float, float] | None) -> dict[str, object]:
    """`wrong_probability_max` over the accepted fixes, `boresight_deg` (roll, pitch) and `cpu_ms` of a frame."""
    cpu_ms = [row.cpu_ms for row in rows if row.cpu_ms is not None]
    roll_pitch = None
    if boresight_deg is not None:
        roll_pitch = {"roll": round(boresight_deg[0], 3), "pitch": round(boresight_deg[1], 3)}
    return {
        "wrong_probability_max": _wrong_probability_max(rows),
        "boresight_deg": roll_pitch,
        "cpu_ms": {f"p{percent}": _percentile(cpu_ms, percent) for percent in (50, 95)},
    }


def _wrong_probability_max(rows: Sequence[FrameResult]) -> float | None:
    """Of the fixes that were taken; None where none says how likely it is wrong."""
    told = [
        row.fix.wrong_probability
        for row in rows
        if row.fix is not None and any(aid.source == "fix" and aid.accepted for aid in row.aids)
    ]
    known = [value for value in told if math.isfinite(value)]
    return max(known) if known else None


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 4) if values else None
