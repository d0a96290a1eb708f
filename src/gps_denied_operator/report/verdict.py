"""Figures against the acceptance criteria: a table, and one sentence; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gps_denied_onboard.recorder.verify import CLEAN, DAMAGED, Verdict
from gps_denied_operator.scoring.metrics import EllipseVerdict

GOOD, WARN, BAD, NONE = "good", "warn", "bad", "none"
NOTHING_ANCHORED = (
    "No frame could be anchored to the map: the map probably shows another place, or ground that has changed too much; "
    "give a map of the place that was flown over."
)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One figure with its limits: `level` is good (aim met), warn (must met), bad, or none (nothing to judge)."""

    name: str
    value: str
    must: str = ""
    aim: str = ""
    level: str = NONE

    @property
    def status(self) -> str:
        """What the level says in a word or two."""
        met = {GOOD: "aim met" if self.aim else "met", WARN: "must met" if self.must else "aim not met", BAD: "not met"}
        return met.get(self.level, "no data" if self.must else "")


def criteria(figures: Mapping[str, Any], seeing: bool = True) -> list[Criterion]:
    """The figures that the acceptance criteria limit, and the ones that explain them.

    `seeing` False: the camera was blinded on purpose, so that registration, which is limited on normal segments only,
    is shown but not judged.
    """
    within, error, odometry = figures["within_m"], figures["error_m"], figures["odometry"]
    latency, anchored = figures["latency_ms"], figures["anchored_error_m"]
    coverage, scored = figures["coverage_95"], figures["scored"]
    return [
        _share("frames within 50 m", within["50"], 0.80, None),
        _share("frames within 20 m", within["20"], 0.60, None),
        _share("frames within 10 m", within["10"], None, 0.95),
        _share("frames within 5 m", within["5"], None, 0.80),
        Criterion("error, median / p95 / max", _three(error)),
        Criterion("anchored, median / p95 / max", _three(anchored)),
        Criterion(
            "false anchors (> 50 m off)", str(figures["false_anchors"]), "0", "",
            NONE if not scored else GOOD if figures["false_anchors"] == 0 else BAD,
        ),
        Criterion("error inside 95 % ellipse", _percent(coverage), "≥ 95 %", "", _coverage_level(coverage)),
        _ellipse(figures["ellipse_95"]),
        *_promises(figures),
        Criterion("NEES, mean", _number(figures["nees_mean"], 2), "", "2 if honest"),
        _share("odometry: pairs registered", odometry["registered"], *((0.95, 0.995) if seeing else (None, None))),
        Criterion(
            "odometry: drift of distance", _number(odometry["drift_percent"], 2, " %"), "", "< 1 %",
            NONE if odometry["drift_percent"] is None else GOOD if odometry["drift_percent"] < 1.0 else WARN,
        ),
        _below("latency p95", latency["p95"], 400.0, 150.0, " ms"),
        _below("memory peak", figures["rss_peak_mb"], 8000.0, 2000.0, " MB"),
    ]  # fmt: skip


def _ellipse(ellipse: Mapping[str, Any]) -> Criterion:
    """The size of the ellipses, and whether the errors ask for it: a fault on either side."""
    judged, sizes = ellipse["verdict"], [_number(ellipse[key], 1) for key in ("median_m", "p95_m")]
    return Criterion(
        "95 % ellipse, median / p95", f"{' / '.join(sizes)} m, {judged}" if judged else "–", "", "honest",
        NONE if judged is None else GOOD if judged == EllipseVerdict.HONEST else WARN,
    )  # fmt: skip


def _promises(figures: Mapping[str, Any]) -> list[Criterion]:
    """What integrity asks for beside the coverage of all frames together."""
    worst, level, left = figures["worst_flight"], figures["protection_level_m"], figures["true_gps_left"]
    share, scored = worst["coverage_95"], figures["scored"]
    name = "" if share is None or worst["flight"] is None else f" ({worst['flight']})"
    return [
        Criterion(
            "the same, worst flight", _percent(share) + name, "≥ 90 %", "",
            NONE if share is None else GOOD if share >= 0.90 else BAD,
        ),
        Criterion(
            "hazardous (beyond protection level)", str(figures["hazardous"]), "0", "",
            NONE if not scored else GOOD if figures["hazardous"] == 0 else BAD,
        ),
        Criterion("protection level, median / p95 / max", _three(level)),
        Criterion(
            "true GPS left", "–" if left is None else str(left), "0", "",
            NONE if left is None else GOOD if left == 0 else BAD,
        ),
    ]  # fmt: skip


def verdict(figures: Mapping[str, Any], seeing: bool = True) -> tuple[str, str]:
    """Level and sentence for the head of the report."""
    scored, within, false = figures["scored"], figures["within_m"], figures["false_anchors"]
    if figures["anchored"] == 0:
        return BAD, NOTHING_ANCHORED
    if not scored:
        count = f"{figures['anchored']} of {figures['frames']}"
        return WARN, f"{count} frames were anchored; no frame has truth to score by."
    reach = f"{_percent(within['50'])} of {scored} scored frames within 50 m, {_percent(within['10'])} within 10 m"
    if false:
        frames = "one frame is" if false == 1 else f"{false} frames are"
        return BAD, f"Not safe: {frames} labelled satellite-anchored but more than 50 m off; {reach}."
    if figures["hazardous"]:
        frames = "one position is" if figures["hazardous"] == 1 else f"{figures['hazardous']} positions are"
        return BAD, f"Not safe: {frames} sent as a fix but beyond the protection level or 3.5 ellipses; {reach}."
    broken = [row.name for row in criteria(figures, seeing) if row.level == BAD]
    if broken:
        return WARN, f"No false anchor, but not every figure is met ({', '.join(broken)}): {reach}."
    return GOOD, f"Every must is met: {reach}, no false anchor."


def worst(levels: Sequence[str]) -> str:
    """The worst of some levels."""
    return max(levels, key=(NONE, GOOD, WARN, BAD).index, default=NONE)


def recording_level(checked: Verdict) -> str:
    """The colour of a recording's sentence."""
    return {CLEAN: GOOD, DAMAGED: BAD}.get(checked.state, WARN)


def recording_sentence(checked: Verdict) -> str:
    """What is known about a recording itself, in a sentence or two."""
    more = "; ".join([*checked.errors[:3], *checked.notes[:3]])
    lost = f"{checked.records} records, {checked.lost} lost in flight and told."
    return f"The recording is {checked.state}: {lost} {more}".strip().rstrip(".") + "."


def cards(figures: Mapping[str, Any]) -> list[dict[str, str]]:
    """The few figures that stand large at the head."""
    levels = {row.name: row.level for row in criteria(figures)}
    within, error, latency = figures["within_m"], figures["error_m"], figures["latency_ms"]
    coverage, false = figures["coverage_95"], figures["false_anchors"]
    count = f"{figures['anchored']} anchored"
    return [
        _card("within 50 m", _percent(within["50"]), levels["frames within 50 m"], "must ≥ 80 %"),
        _card("within 20 m", _percent(within["20"]), levels["frames within 20 m"], "must ≥ 60 %"),
        _card("within 10 m", _percent(within["10"]), levels["frames within 10 m"], "aim ≥ 95 %"),
        _card("median error", _number(error["median"], 2, " m"), NONE, f"p95 {_number(error['p95'], 1, ' m')}"),
        _card("false anchors", str(false), levels["false anchors (> 50 m off)"], count),
        _card("hazardous", str(figures["hazardous"]), levels["hazardous (beyond protection level)"], "must be 0"),
        _card("error inside 95 %", _percent(coverage), levels["error inside 95 % ellipse"], "must ≥ 95 %"),
        _card("latency p95", _number(latency["p95"], 0, " ms"), levels["latency p95"],
              f"max {_number(latency['max'], 0, ' ms')}"),
        _card("memory peak", _number(figures["rss_peak_mb"], 0, " MB"), levels["memory peak"], "aim < 2000 MB"),
    ]  # fmt: skip


def _card(name: str, value: str, level: str, note: str) -> dict[str, str]:
    number, _, unit = value.partition(" ")
    return {"name": name, "value": number, "unit": unit, "level": level, "note": note}


def _share(name: str, value: float | None, must: float | None, aim: float | None) -> Criterion:
    level = NONE
    if value is not None and (must, aim) != (None, None):
        level = BAD if must is not None and value < must else WARN if aim is not None and value < aim else GOOD
    return Criterion(name, _percent(value), _at_least(must), _at_least(aim), level)


def _below(name: str, value: float | None, must: float, aim: float, unit: str) -> Criterion:
    level = NONE if value is None else GOOD if value < aim else WARN if value < must else BAD
    return Criterion(name, _number(value, 0, unit), f"< {must:g}{unit}", f"< {aim:g}{unit}", level)


def _coverage_level(coverage: float | None) -> str:
    return NONE if coverage is None else GOOD if coverage >= 0.95 else BAD


def _at_least(share: float | None) -> str:
    return "" if share is None else f"≥ {100 * share:g} %"


def _percent(share: float | None) -> str:
    """Percent that never round up to 100: one bad frame in ten thousand still shows."""
    if share is None:
        return "–"
    percent = 100.0 * share
    if percent in (0.0, 100.0):
        return f"{percent:.0f} %"
    return f"{min(percent, 99.99):.2f} %" if percent > 99.9 else f"{percent:.1f} %"


def _number(value: float | None, digits: int, unit: str = "") -> str:
    if value is None:
        return "–"
    if unit == " ms" and value >= 9950.0:
        return f"{value / 1000.0:.0f} s"
    return f"{value:.{digits}f}{unit}"


def _three(spread: Mapping[str, float | None]) -> str:
    return " / ".join(_short(spread[key]) for key in ("median", "p95", "max")) + " m"


def _short(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 9.95 else f"{value:.1f}" if value < 99.5 else f"{value:.0f}"
