"""Why a map fix was not taken, in words and with the numbers behind it; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gps_denied_onboard.fusion.reasons import FilterReason
from gps_denied_onboard.localisation.pose_config import GateConfig
from gps_denied_onboard.messages import AidRecord, PoseFix, RejectReason

DEFAULT_LIMITS: Mapping[str, float] = asdict(GateConfig())

# reason -> (sentence, number of the fix, how it is written, limit's key, how the limit is meant)
REFUSED: dict[str, tuple[str, str, str, str, str]] = {
    RejectReason.NO_TEXTURE: ("the picture shows too little texture", "texture", "{:.1f} grey levels", "texture_min",
                              "at least"),
    RejectReason.OUTSIDE_MAP: ("the search found no map there", "", "", "", ""),
    RejectReason.NO_CONSISTENT_MATCH: ("no patches of the picture agreed on one place", "place_score", "score {:.1f}",
                                       "", ""),
    RejectReason.NOT_REFINED: ("the second, finer pass did not confirm the place", "inlier_ratio", "{:.0%} agreed",
                               "", ""),
    RejectReason.FEW_INLIERS: ("too few patches agree on one pose", "inliers", "{:.0f}", "inliers_min", "at least"),
    RejectReason.INLIER_RATIO: ("too small a share of the patches agrees", "inlier_ratio", "{:.0%}",
                                "inlier_ratio_min", "at least"),
    RejectReason.SECOND_RATIO: ("too small a share of the fine patches agrees", "second_ratio", "{:.0%}",
                                "second_ratio_min", "at least"),
    RejectReason.SCORE: ("the patches are not alike enough", "score", "correlation {:.2f}", "score_min", "at least"),
    RejectReason.SPREAD: ("the agreeing patches lie in one corner of the picture", "spread", "spread {:.2f}",
                          "spread_min", "at least"),
    RejectReason.REPROJECTION: ("the patches fit the pose badly", "reprojection_m", "{:.1f} m RMS",
                                "reprojection_m_max", "at most, in map cells,"),
    RejectReason.TILT: ("the pose is tilted more than the aircraft flies", "tilt_rad", "{:.2f} rad", "tilt_max_rad",
                        "at most"),
    RejectReason.HEIGHT: ("the height contradicts the other sensors", "", "", "", ""),
    RejectReason.UNSURE: ("the evidence leaves too much doubt that it is the right place", "wrong_probability",
                          "chance of {:.2%}", "wrong_probability_max", "at most"),
    RejectReason.AMBIGUOUS: ("the place was found without help and is not clear enough to stand alone", "rival",
                             "the next place reaches {:.0%} of its support", "global_support_ratio_max", "at most"),
    RejectReason.RIVAL: ("another place fits nearly as well", "rival", "{:.0%} of the support", "rival_ratio_max",
                         "at most"),
}  # fmt: skip
NUMBERS = (
    ("inliers", "{:.0f} agreeing"), ("inlier_ratio", "{:.0%} first pass"), ("second_ratio", "{:.0%} second pass"),
    ("log_ratio", "log-likelihood ratio {:.1f}"),
    ("score", "correlation {:.2f}"), ("rival", "rival {:.2f}"), ("reprojection_m", "{:.2f} m RMS"),
)  # fmt: skip


def limits_of(config: Mapping[str, Any]) -> Mapping[str, float]:
    """The gates that a flight was flown with, by its header's configuration; defaults for what it does not say."""
    told = config.get("gates")
    learned = config.get("learned")
    strategy = config.get("strategies")
    matcher = strategy.get("matching") if isinstance(strategy, Mapping) else None
    if matcher == "learned" and isinstance(learned, Mapping):
        told = learned.get("gates", told)
    numbers = told if isinstance(told, Mapping) else {}
    return {**DEFAULT_LIMITS, **{k: float(v) for k, v in numbers.items() if isinstance(v, int | float)}}


def refusal(fix: PoseFix, fused: AidRecord | None, limits: Mapping[str, float]) -> str:
    """Why a fix was not taken, with its number and limit; empty where it was.

    fused: what the fusion said about it, None where it was never asked.
    """
    if not fix.accepted:
        return _of_match(fix, limits)
    if fused is None or fused.accepted:
        return ""
    if fused.reason in (FilterReason.OUTSIDE_GATE, "innovation"):
        return f"it contradicts the fused position: test ratio {fused.test_ratio:.1f} (at most 1)"
    return fused.reason + (f", test ratio {fused.test_ratio:.2g}" if fused.test_ratio else "")


def evidence(fix: PoseFix) -> str:
    """The numbers behind a decision in one line; the chance that it is wrong first, where the recording holds it."""
    said = []
    if math.isfinite(fix.wrong_probability):
        said.append(f"chance that it is wrong {_chance(fix.wrong_probability)}")
    said += [_put(form, value) for key, form in NUMBERS if math.isfinite(value := fix.gates.get(key, math.nan))]
    return ", ".join(said)


def _of_match(fix: PoseFix, limits: Mapping[str, float]) -> str:
    found = REFUSED.get(fix.reason)
    if found is None:
        return fix.reason.replace("_", " ") or "no reason is recorded"
    sentence, key, form, limit, meant = found
    value = fix.wrong_probability if key == "wrong_probability" else fix.gates.get(key, math.nan)
    if not math.isfinite(value):
        return sentence
    most = limits.get(limit, math.nan)
    if not math.isfinite(most):
        return f"{sentence}: {_put(form, value)}"
    bare = "{:" + form.split("{:")[1].split("}")[0] + "}"
    return f"{sentence}: {_put(form, value)} ({meant} {_put(bare, most)})"


def _put(form: str, value: float) -> str:
    return form.format(value).replace("%", " %")


def _chance(probability: float) -> str:
    return f"1 in {1.0 / probability:,.0f}" if 0.0 < probability < 0.01 else f"{100.0 * probability:.1f} %"
