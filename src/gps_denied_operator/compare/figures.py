"""Which figures are compared, of which column, and which way is better; the names are those of results.json. Of frames
alone there are error_m.mean, which of all tells a small change of every frame best, apart_m, ellipse_m, fix_error_m and
reprojection_px. Those two are of the map fixes before any fusion, which errors of neighbouring frames do not tie
together: how far an accepted fix is off, and how far matched points are from where the fix puts them, accepted or not.
A matcher is judged by the second with few flights; the first is mostly the camera's tilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_operator.evaluate import campaign_plan
from gps_denied_operator.scoring.frames import STAGES


class Way(Enum):
    """Which way a figure is better; UNJUDGED: it depends on the machine, or is better neither way."""

    HIGHER = 1.0
    LOWER = -1.0
    UNJUDGED = 0.0


class Made(StrEnum):
    """How a figure comes of a column: its sum, its mean, a percentile; FLIGHTS: the mean of the flights' own."""

    SUM = "sum"
    MEAN = "mean"
    P50 = "50"
    P90 = "90"
    P95 = "95"
    FLIGHTS = "flights"


@dataclass(frozen=True, slots=True)
class Figure:
    """`enough`: beyond this it is not judged any more: a coverage of 0.99 is no better than one of 0.95."""

    name: str
    column: str
    made: Made
    way: Way
    enough: float | None = None

    def counted(self, values: FloatArray) -> FloatArray:
        """What is judged of the figure's values."""
        if self.enough is None:
            return values
        cut = np.minimum if self.way is Way.HIGHER else np.maximum
        return np.asarray(cut(values, self.enough), dtype=float)


OF_FRAMES: tuple[Figure, ...] = (
    Figure("with_estimate", "estimate", Made.SUM, Way.HIGHER),
    Figure("anchored", "anchored", Made.SUM, Way.HIGHER),
    *(Figure(f"within_m.{limit}", f"within_{limit}", Made.MEAN, Way.HIGHER) for limit in (5, 10, 20, 50)),
    Figure("error_m.median", "error_m", Made.P50, Way.LOWER),
    Figure("error_m.mean", "error_m", Made.MEAN, Way.LOWER),
    Figure("error_m.p90", "error_m", Made.P90, Way.LOWER),
    Figure("error_m.p95", "error_m", Made.P95, Way.LOWER),
    Figure("anchored_error_m.median", "anchored_error_m", Made.P50, Way.LOWER),
    Figure("anchored_error_m.p95", "anchored_error_m", Made.P95, Way.LOWER),
    Figure("fix_error_m.median", "fix_error_m", Made.P50, Way.LOWER),
    Figure("fix_error_m.mean", "fix_error_m", Made.MEAN, Way.LOWER),
    Figure("reprojection_px.mean", "reprojection_px", Made.MEAN, Way.LOWER),
    Figure("false_anchors", "false_anchor", Made.SUM, Way.LOWER),
    Figure("hazardous", "hazardous", Made.SUM, Way.LOWER),
    Figure("coverage_95", "inside_95", Made.MEAN, Way.HIGHER, 0.95),
    Figure("nees_mean", "nees", Made.MEAN, Way.LOWER, 2.0),
    Figure("protection_level_m.median", "protection_level_m", Made.P50, Way.LOWER),
    Figure("odometry.registered", "registered", Made.MEAN, Way.HIGHER),
    Figure("odometry.drift_percent", "odometry.drift_percent", Made.FLIGHTS, Way.LOWER),
    Figure("true_gps_left", "true_gps_left", Made.FLIGHTS, Way.LOWER),
    Figure("apart_m.median", "apart_m", Made.P50, Way.UNJUDGED),
    Figure("apart_m.p95", "apart_m", Made.P95, Way.UNJUDGED),
    Figure("ellipse_m.median", "ellipse_m", Made.P50, Way.UNJUDGED),
    Figure("latency_ms.p50", "latency_ms", Made.P50, Way.UNJUDGED),
    Figure("latency_ms.p95", "latency_ms", Made.P95, Way.UNJUDGED),
    *(Figure(f"stage_ms_p95.{stage}", f"{stage}_ms", Made.P95, Way.UNJUDGED) for stage in STAGES),
    Figure("rss_peak_mb", "rss_peak_mb", Made.FLIGHTS, Way.UNJUDGED),
)  # fmt: skip
COUNTED = frozenset(figure.name for figure in OF_FRAMES if figure.made is Made.SUM) | {"true_gps_left"}

_OF_ATTACKS = (
    ("gps_in_use", "taken", Made.SUM, Way.UNJUDGED), ("left", "left", Made.SUM, Way.HIGHER),
    ("promotion_ms.median", "promotion_ms", Made.P50, Way.LOWER),
    ("promotion_ms.p95", "promotion_ms", Made.P95, Way.LOWER), ("moved_m.p95", "moved_m", Made.P95, Way.LOWER),
    ("forged_followed", "followed", Made.SUM, Way.LOWER), ("forged_sent_on", "sent_on", Made.SUM, Way.LOWER),
    ("readmitted", "readmitted", Made.SUM, Way.HIGHER),
    ("readmitted_ms.median", "readmitted_ms", Made.P50, Way.LOWER),
    ("false_alarms", "false_alarms", Made.SUM, Way.LOWER),
)  # fmt: skip
_OF_BLACKOUTS = (
    ("dead_reckoned", "dead_reckoned", Made.SUM, Way.HIGHER), ("in_order", "in_order", Made.SUM, Way.HIGHER),
    ("failsafe_told", "failsafe_told", Made.SUM, Way.UNJUDGED), ("seen_again", "seen_again", Made.SUM, Way.HIGHER),
    ("seen_again_ms.median", "seen_again_ms", Made.P50, Way.LOWER),
    ("error_m.median", "error_m", Made.P50, Way.LOWER), ("error_m.p95", "error_m", Made.P95, Way.LOWER),
    ("ellipse_m.median", "ellipse_m", Made.P50, Way.UNJUDGED),
    ("inside_95", "inside_95", Made.SUM, Way.HIGHER), ("hazardous", "hazardous", Made.SUM, Way.LOWER),
    ("forged_gps_followed", "gps_followed", Made.SUM, Way.LOWER),
)  # fmt: skip
BLACKOUTS = tuple(f"blackout-{length_s:.0f}s" for length_s in campaign_plan.BLACKOUTS_S)

OF_CAMPAIGN: tuple[Figure, ...] = tuple(
    Figure(f"{kind}.{name}", f"{kind}.{column}", made, way)
    for kinds, rows in ((campaign_plan.ATTACKS, _OF_ATTACKS), (BLACKOUTS, _OF_BLACKOUTS))
    for kind in kinds
    for name, column, made, way in rows
)


def flattened(figures: Mapping[str, object], where: str = "") -> dict[str, float]:
    """Every number of an object of figures under its dotted name."""
    out: dict[str, float] = {}
    for key, value in figures.items():
        if isinstance(value, Mapping):
            out |= flattened(value, f"{where}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            out[f"{where}{key}"] = float(value)
    return out


def of_kind(campaign: bool) -> Sequence[Figure]:
    """The figures of a campaign, or of frames."""
    return OF_CAMPAIGN if campaign else OF_FRAMES
