"""Fit the log-likelihood ratios of localisation/evidence.py, and write their table and the fit's report.

    .venv/bin/python tools/fit_evidence.py --classic build/evidence*.jsonl --learned build/learned*.jsonl \\
        --table src/gps_denied_onboard/localisation/evidence_table.py --report _docs/evidence.md

A logistic regression with weights of one sign (more agreement never speaks against a place), ridge, and no set of
pictures counts for more than 40 of its places. The ridge is the one that predicts left-out sets best; the figures of
the report are of sets that the fit had not seen.

With --judge nothing is fitted: what the committed table of `classic` says of these places is told, which tests it where
they are of sets that its fit had not seen.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from scipy.optimize import minimize

from gps_denied_onboard.localisation.evidence import EvidenceModel, Terms, wrong_probability
from gps_denied_onboard.localisation.evidence_table import CLASSIC
from gps_denied_onboard.localisation.pose_config import GateConfig

Array = npt.NDArray[np.float64]
FIRST = {
    "log_agreeing": 1, "shift_cells": -1, "log_margin": 1, "window_log_margin": 1, "tilt_off_rad": -1,
    "height_sigmas": -1,
}  # fmt: skip
SECOND = {"second_log_inliers": 1, "second_shift_cells": -1}
MATCHERS = {"classic": (FIRST, SECOND), "learned": (FIRST, SECOND)}
"""Features of each pass and the sign that their weight may have. The patches' scores are left out: how high they are is
the sensors' and the season's, and a fit on one pair of sensors is wrong about another."""
RIDGES = (0.3, 1.0, 3.0, 10.0)
WRONG_BEYOND = 0.6
"""Of the frame's ground length: nearer places share ground with the right one, and solutions are drawn towards it."""
SHOWN_TWICE = ("deervision",)
"""Maps that show the same ground at several places (a mosaic whose pictures are up to 20 m off; wrong places have up to
68 agreeing patches on it): whether a place on it is wrong nobody can tell. Other sets on it count."""
HEIGHT_PLAUSIBLE = 0.2
"""A place whose height is farther off than this part is not the right one, wherever it lies."""
SET_PLACES = 40
TAIL_EXCESSES = 10.0
TRIED = 30_000.0
"""Independent places that the searches of the collection compared, by `GridPlace.tried`: 20,000 to 40,000."""
KEY = ("set", "map", "frame", "near", "rank")
TAIL_RATIOS = (2.0, 4.0, 6.0, 8.0)
BINS = (0.0, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Places as rows: features (N, F), whether right (N,), set and map of each, and `key`: set, map, frame, whether its
    position was told, rank of the place in its search."""

    x: Array
    right: npt.NDArray[np.bool_]
    group: npt.NDArray[np.str_]
    place: npt.NDArray[np.str_]
    key: list[tuple[Any, ...]]


def read(paths: Sequence[Path], names: Sequence[str]) -> Data:
    """Places of all files that have these features; those of which nobody knows whether they are right are left out."""
    rows, right, group, place, key = [], [], [], [], []
    for path in paths:
        for text in path.read_bytes().splitlines():
            told: dict[str, Any] = orjson.loads(text)
            features = told["features"]
            is_right = told["right"] and abs(told["log_height"]) < HEIGHT_PLAUSIBLE
            near = 0.0 <= told["off"] < WRONG_BEYOND and not is_right
            repeats = told["set"] == told["map"] and told["map"] in SHOWN_TWICE and not is_right
            if near or repeats or told["right"] != is_right or any(name not in features for name in names):
                continue
            rows.append([features[name] for name in names])
            right.append(is_right)
            group.append(told["set"])
            place.append(told["map"])
            key.append(tuple(told[name] for name in KEY))
    return Data(np.array(rows), np.array(right), np.array(group), np.array(place), key)


def share_ahead(paths: Sequence[Path]) -> float:
    """Of the right places, one a picture, the share that was the first of its search; one more of each counted."""
    ranks: dict[tuple[Any, ...], int] = {}
    for path in paths:
        for told in map(orjson.loads, path.read_bytes().splitlines()):
            if told["right"] and abs(told["log_height"]) < HEIGHT_PLAUSIBLE:
                key = tuple(told[name] for name in KEY[:-1])
                ranks[key] = min(ranks.get(key, told["rank"]), told["rank"])
    return (sum(rank == 0 for rank in ranks.values()) + 1) / (len(ranks) + 2)


def weights_of(data: Data, keep: npt.NDArray[np.bool_]) -> Array:
    """Equal weight of the classes; within each no set counts more than SET_PLACES of its places would."""
    weight = np.zeros(len(data.right))
    for of_class in (True, False):
        for name in np.unique(data.group[keep & (data.right == of_class)]):
            chosen = keep & (data.right == of_class) & (data.group == name)
            weight[chosen] = min(1.0, SET_PLACES / chosen.sum())
        weight[data.right == of_class] *= 0.5 / max(weight[data.right == of_class].sum(), 1e-12)
    return weight


def fit(
    data: Data, signs: Sequence[int], ridge: float, keep: npt.NDArray[np.bool_]
) -> tuple[float, Array, Array, Array]:
    """Bias, weights, and the range in which each feature counts: from nearly the lowest to most right ones."""
    low, high = np.quantile(data.x[keep], 0.005, axis=0), np.quantile(data.x[keep & data.right], 0.95, axis=0)
    high = np.maximum(high, np.quantile(data.x[keep], 0.95, axis=0))
    clipped = np.clip(data.x, low, high)
    mean, scale = clipped[keep].mean(axis=0), clipped[keep].std(axis=0) + 1e-9
    z = (clipped[keep] - mean) / scale
    y, weight = np.where(data.right[keep], 1.0, -1.0), weights_of(data, keep)[keep]

    def loss(parameters: Array) -> tuple[float, Array]:
        margin = y * (parameters[0] + z @ parameters[1:])
        value = float(weight @ np.logaddexp(0.0, -margin) + 0.5 * ridge / 100.0 * parameters[1:] @ parameters[1:])
        slope = -weight * y / (1.0 + np.exp(np.clip(margin, -700.0, 700.0)))
        return value, np.concatenate([[slope.sum()], slope @ z + ridge / 100.0 * parameters[1:]])

    bounds = [(None, None)] + [(0.0, None) if sign > 0 else (None, 0.0) for sign in signs]
    found = minimize(loss, np.zeros(z.shape[1] + 1), jac=True, bounds=bounds, method="L-BFGS-B").x
    weights = found[1:] / scale
    factor, shift = calibrated(clipped[keep] @ weights, data.right[keep], weight)
    return shift, factor * weights, low, high


def calibrated(score: Array, right: npt.NDArray[np.bool_], weight: Array) -> tuple[float, float]:
    """Factor and shift that make of the regression's score a log-likelihood ratio where it matters: beyond the wrong.

    A regression that is held back by its ridge says less than the places do. The wrong ones' scores fall off like an
    exponential beyond their 95 % quantile (peaks over threshold: Coles, "An Introduction to Statistical Modeling of
    Extreme Values", 4.2), which continues the tail to where no place of the fit was. Its rate is only as sure as there
    are places beyond: it is that of the posterior predictive (a Lomax distribution) at TAIL_EXCESSES mean excesses.
    The right ones count as spread evenly over their 90 % range.
    """
    order = np.argsort(score[~right])
    sorted_wrong, share = score[~right][order], np.cumsum(weight[~right][order])
    threshold = float(np.interp(0.95 * share[-1], share, sorted_wrong))
    beyond = sorted_wrong[sorted_wrong > threshold] - threshold
    count = max(len(beyond), 4)
    rate = (count + 1) * np.log1p(TAIL_EXCESSES / count) / TAIL_EXCESSES / float(beyond.mean())
    spread = float(np.subtract(*np.quantile(score[right], [0.95, 0.05])))
    return rate, -float(np.log(max(spread, 1e-9) * 0.05 * rate)) - rate * threshold


def shown_at_most(wrong_ratio: Array) -> float:
    """The log-likelihood ratio that the best wrong place of a search passes as rarely as a fix may be wrong.

    By the ratios (N,) of wrong places held out: the highest, or where the tail beyond their 95 % quantile, continued
    as in `calibrated`, is that thin.
    """
    threshold = float(np.quantile(wrong_ratio, 0.95))
    beyond = wrong_ratio[wrong_ratio > threshold] - threshold
    if len(beyond) == 0:
        return float(wrong_ratio.max())
    share, count = len(beyond) / len(wrong_ratio), len(beyond)
    excess = count * float(beyond.mean()) * ((share / GateConfig().wrong_probability_max) ** (1.0 / (count + 1)) - 1.0)
    return float(max(threshold + excess, wrong_ratio.max()))


def held_out(data: Data, signs: Sequence[int], ridge: float) -> Array:
    """Log-likelihood ratio of every place by a fit that has seen neither its set nor its map's own set."""
    out = np.zeros(len(data.right))
    for name in np.unique(data.group):
        chosen = data.group == name
        bias, weights, low, high = fit(data, signs, ridge, ~chosen & (data.place != name))
        out[chosen] = bias + np.clip(data.x[chosen], low, high) @ weights
    return out


def log_loss(data: Data, ratio: Array) -> float:
    """Weighted mean of -log of the probability that was given to what is true."""
    y = np.where(data.right, 1.0, -1.0)
    return float(weights_of(data, np.ones(len(y), bool)) @ np.logaddexp(0.0, -y * ratio))


def best_fit(data: Data, names: Sequence[str], signs: Sequence[int]) -> tuple[Terms, float, Array]:
    """Terms, the ridge that predicts left-out sets best, and the held-out ratios."""
    tried = {ridge: held_out(data, signs, ridge) for ridge in RIDGES}
    ridge = min(RIDGES, key=lambda one: log_loss(data, tried[one]))
    bias, weights, low, high = fit(data, signs, ridge, np.ones(len(data.right), bool))
    rounded = [tuple(float(f"{v:.5g}") for v in values) for values in (weights, low, high)]
    return Terms(float(f"{bias:.5g}"), tuple(names), *rounded), ridge, tried[ridge]


def reliability(data: Data, ratio: Array) -> list[str]:
    """Of held-out places by the claimed probability of being wrong (right and wrong as likely): how many were."""
    claimed = 1.0 / (1.0 + np.exp(np.clip(ratio, -700.0, 700.0)))
    lines = ["| claimed to be wrong | places | of these wrong | right |", "|---|---|---|---|"]
    for low, high in itertools.pairwise(BINS):
        inside = (claimed >= low) & ((claimed < high) | (high == 1.0))
        wrong = int((inside & ~data.right).sum())
        lines.append(f"| {low:g} to {high:g} | {int(inside.sum())} | {wrong} | {int(inside.sum()) - wrong} |")
    return lines


def by_set(data: Data, ratio: Array) -> list[str]:
    """Of every set the worst wrong place and the quantiles of the right ones, held out."""
    lines = ["| set | right places | their log ratio: 10 %, median | wrong places | their log ratio: 99 %, highest |"]
    lines.append("|---|---|---|---|---|")
    for name in np.unique(data.group):
        right, wrong = (ratio[(data.group == name) & (data.right == of)] for of in (True, False))
        told = f"{np.quantile(right, 0.1):.1f}, {np.median(right):.1f}" if len(right) else "-"
        against = f"{np.quantile(wrong, 0.99):.1f}, {wrong.max():.1f}" if len(wrong) else "-"
        lines.append(f"| {name} | {len(right)} | {told} | {len(wrong)} | {against} |")
    return lines


def tail(data: Data, ratio: Array) -> list[str]:
    """Of held-out wrong places: how many have at least this log ratio, and how many may, if it is what it says."""
    wrong, count = ratio[~data.right], int((~data.right).sum())
    lines = ["| log ratio of a wrong place, at least | places | by what it claims, at most |", "|---|---|---|"]
    lines += [f"| {least:g} | {int((wrong >= least).sum())} | {count * np.exp(-least):.2g} |" for least in TAIL_RATIOS]
    return lines


def decided(first: Data, first_ratio: Array, both: Data, both_ratio: Array, ahead: float) -> list[str]:
    """Of held-out looks, all their places weighed against one another as in flight: how many give a fix."""
    gates, nothing = GateConfig(), Terms(0.0, (), (), (), ())
    model = EvidenceModel(nothing, nothing, TRIED, ahead, 0.0)
    seconds = dict(zip(both.key, both_ratio, strict=True))
    looks: dict[tuple[Any, ...], list[tuple[float, bool, int]]] = {}
    for key, ratio, right in zip(first.key, first_ratio, first.right, strict=True):
        looks.setdefault(key[:-1], []).append((float(ratio), bool(right), key[-1]))
    lines = ["| looks | with the right place | of these found | wrong fixes |", "|---|---|---|---|"]
    for title, own in (("on their own map", True), ("on the map of another place", False)):
        chosen = {key: places for key, places in looks.items() if (key[0] == key[1]) == own}
        found = wrong = 0
        for key, places in chosen.items():
            among = gates.right_among_tracked if key[3] else gates.right_among
            prior = {rank: model.prior_log_odds(among, rank, max(3, len(places)), TRIED) for _, _, rank in places}
            _, is_right, rank = best = max(places)
            second = seconds.get((*key, rank))
            rivals = [ratio + prior[other] for ratio, _, other in places if other != best[2]]
            if second is None or wrong_probability(second + prior[rank], rivals) > gates.wrong_probability_max:
                continue
            found, wrong = found + is_right, wrong + (not is_right)
        there = sum(any(right for _, right, _ in places) for places in chosen.values())
        lines.append(f"| {title}, {len(chosen)} | {there} | {found} | {wrong} |")
    return lines


def terms_text(name: str, terms: Terms) -> str:
    rows = "\n".join(f"    {tuple_!r}," for tuple_ in (terms.names, terms.weights, terms.low, terms.high))
    return f"{name} = Terms(\n    {terms.bias!r},\n{rows}\n)\n"


def section(title: str, data: Data, terms: Terms, ridge: float, ratio: Array) -> list[str]:
    lines = [f"## {title}", "", f"{len(data.right)} places, {int(data.right.sum())} of them right. Ridge {ridge:g}."]
    lines += ["", "| feature | weight | counts from | to | share of the evidence |", "|---|---|---|---|---|"]
    spans = [abs(w) * (h - low) for w, low, h in zip(terms.weights, terms.low, terms.high, strict=True)]
    for k, name in enumerate(terms.names):
        share = spans[k] / max(sum(spans), 1e-9)
        lines.append(f"| {name} | {terms.weights[k]:.3g} | {terms.low[k]:.3g} | {terms.high[k]:.3g} | {share:.0%} |")
    sure = float((ratio[data.right] >= -np.log(BINS[1])).mean())
    lines += ["", f"Of the right places {sure:.0%} are wrong with less than {BINS[1]:g} by their own evidence."]
    return [*lines, "", *reliability(data, ratio), "", *tail(data, ratio), "", *by_set(data, ratio), ""]


def judged_by_table(paths: Sequence[Path]) -> list[str]:
    """What the committed table says of places: how high wrong ones reach, by set, and which looks give a fix."""
    judged: list[tuple[Data, Array]] = []
    report = []
    for terms, title in ((CLASSIC.first, "first pass"), (CLASSIC.both, "both passes")):
        data = read(paths, terms.names)
        ratio = np.array([terms.log_ratio(dict(zip(terms.names, row, strict=True))) for row in data.x])
        judged.append((data, ratio))
        shown = ", ".join(f"{value:.1f}" for value in np.quantile(ratio[~data.right], (0.5, 0.9, 0.99, 1.0)))
        report += [f"{title.capitalize()}: {len(ratio)} places.", ""]
        report += [f"Log ratio of the wrong ones, median, 90 %, 99 %, highest: {shown}.", ""]
        report += [*tail(data, ratio), "", *by_set(data, ratio), ""]
    return [*report, *decided(*judged[0], *judged[1], CLASSIC.ahead)]


def main() -> None:
    """Fit both passes of each matcher and write table and report."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in MATCHERS:
        options.add_argument(f"--{name}", type=Path, nargs="+", default=[], help="what was collected with this matcher")
    options.add_argument("--judge", action="store_true", help="fit nothing, tell what the committed table says")
    options.add_argument("--table", type=Path)
    options.add_argument("--report", type=Path)
    told = options.parse_args()
    if not any(getattr(told, name) for name in MATCHERS):
        options.error("give what tools/collect_evidence.py wrote, with --classic or --learned.")
    if told.judge:
        print("\n".join(judged_by_table(told.classic)))
        return
    body, made, report = [], [], []
    for name, (first, second) in MATCHERS.items():
        places, alike = getattr(told, name), 0.0
        if not places:
            continue
        judged: list[tuple[Data, Array]] = []
        for kind, signs in (("first", first), ("both", first | second)):
            data = read(places, list(signs))
            terms, ridge, ratio = best_fit(data, list(signs), list(signs.values()))
            body.append(terms_text(f"_{name}_{kind}".upper(), terms))
            title = f"`{name}`, {'first pass' if kind == 'first' else 'both passes'}"
            report += section(title, data, terms, ridge, ratio)
            judged.append((data, ratio))
            alike = max(alike, shown_at_most(ratio[~data.right]))
        ahead = share_ahead(places)
        report += [f"Of the right places {ahead:.0%} were the best of their search.", ""]
        report += [*decided(*judged[0], *judged[1], ahead), ""]
        parts = f"_{name}_first, _{name}_both".upper()
        made.append(f"{name.upper()} = EvidenceModel({parts}, {TRIED!r}, {ahead:.3f}, {alike:.2f})")
    if told.table:
        head = '"""Fitted by tools/fit_evidence.py: see _docs/evidence.md. Not to be edited."""\n\n'
        head += "from gps_denied_onboard.localisation.evidence import EvidenceModel, Terms\n\n"
        told.table.write_text("\n".join([head + "\n".join(body), *made, ""]), encoding="utf-8")
    if told.report:
        text = told.report.read_text(encoding="utf-8") if told.report.exists() else ""
        marker = "<!-- fit -->"
        told.report.write_text("\n".join([text.split(marker)[0] + marker, "", *report]), encoding="utf-8")
    print("\n".join(report))


if __name__ == "__main__":
    main()
