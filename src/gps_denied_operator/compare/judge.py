"""Is B better or worse than A? Flights are paired, their frames too, and only what noise does not explain counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.compare import bootstrap, figures
from gps_denied_operator.compare.bootstrap import Difference, Statistic
from gps_denied_operator.compare.figures import COUNTED, Figure, Made, Way
from gps_denied_operator.compare.model import FlightColumns, Side, SourceKind
from gps_denied_operator.evaluate.configuration import differences
from gps_denied_operator.scoring.metrics import offset_m

BLOCK_S, BLOCK_S_MIN, BLOCKS = 30.0, 10.0, 10
"""Of one flight a block of time is a unit: a tenth of it, within these bounds. Errors of the smoothed position are
alike over some ten seconds."""
BLOCK_FRAMES_MIN, BLOCKS_MIN = 5, 5
DIGITS = 6
TICK_NS = 60_000_000
"""Positions of two flights are of the same moment when they are not further apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What came out. `figures`: name -> Difference; every judged one is in `better`, `worse` or `same`, the others in
    `not_judged`. `pairs`: the flights of A and B with the same frames; `unit` is what was drawn again, `units` how
    many."""

    a: Side
    b: Side
    pairs: tuple[tuple[FlightColumns, FlightColumns], ...]
    figures: dict[str, Difference]
    better: tuple[str, ...]
    worse: tuple[str, ...]
    same: tuple[str, ...]
    not_judged: tuple[str, ...]
    unit: str
    units: int
    notes: tuple[str, ...] = field(default=())

    def told(self) -> dict[str, Any]:
        """As the JSON object of the command."""
        return {
            "better": list(self.better),
            "worse": list(self.worse),
            "same": list(self.same),
            "figures": {name: shown_difference(found) for name, found in self.figures.items()},
            "not_judged": list(self.not_judged),
            "flights": len(self.pairs),
            "unit": self.unit,
            "units": self.units,
            "a": _told_side(self.a),
            "b": _told_side(self.b),
            "configuration_differences": [
                {"key": key, "a": one, "b": other} for key, one, other in self.configuration_differences()
            ],
            "notes": list(self.notes),
        }

    def configuration_differences(self) -> list[tuple[str, Any, Any]]:
        """(key, A's, B's) of what was configured differently; nothing where one side does not say."""
        if self.a.configuration is None or self.b.configuration is None:
            return []
        return differences(self.a.configuration, self.b.configuration)


def shown_difference(found: Difference) -> dict[str, Any]:
    """{a, b, difference, interval_95}, null for what is not known."""
    known = found.low is not None and found.high is not None
    interval = [_rounded(found.low), _rounded(found.high)] if known else None
    return {"a": _rounded(found.a), "b": _rounded(found.b), "difference": _rounded(found.b - found.a),
            "interval_95": interval}  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, DIGITS)


def _told_side(side: Side) -> dict[str, Any]:
    return {
        "path": str(side.path), "kind": side.kind.value, "flights": len(side.flights), "commit": side.commit,
        "version": side.version, "cores": side.cores, "configuration_sha256": side.configuration_sha256 or None,
    }  # fmt: skip


def compare(a: Side, b: Side) -> Comparison:
    """Compare two sides. UserError where they have no flight in common, or are of different kinds."""
    if a.kind is not b.kind:
        raise UserError(
            f"{shown(a.path)} is of kind '{a.kind.value}', {shown(b.path)} of '{b.kind.value}': give two of one kind."
        )
    notes = [*(f"A: {note}." for note in a.notes), *(f"B: {note}." for note in b.notes)]
    paired, pairs = _paired(a, b, notes)
    notes += _of_versions(a, b, pairs)
    framed = a.framed and b.framed
    if a.kind is not SourceKind.CAMPAIGN and framed:
        pairs = _same_frames(pairs, a.kind is SourceKind.FLIGHT, notes)
    elif a.kind is not SourceKind.CAMPAIGN:
        notes.append("Without the frames of both a figure is the mean of the flights' own, not that of all frames.")
    units, unit = _units(pairs, framed, notes)
    scored = a.scored and b.scored
    if not scored:
        notes.append("Nothing is scored: the truth is not known. Only what was sent is compared; give --truth.")
    found = _differences(units, pairs, framed, a.kind is SourceKind.CAMPAIGN, paired=paired)
    return _judged(a, b, tuple(pairs), found, unit, len(units), notes, scored=scored)


def noise_of(side: Side) -> dict[str, Difference]:
    """Each figure of one side (as `b`; `a` is 0) and the interval that other such flights, or other stretches of the
    only one, would give; bounds are None where that is not known."""
    pairs = [(flight, flight) for flight in side.flights]
    framed, campaign = side.framed, side.kind is SourceKind.CAMPAIGN
    units, _ = _units(pairs, framed, [])
    found = _differences(units, pairs, framed, campaign, paired=True, against_nothing=True)
    return {figure.name: difference for figure, difference in found.items()}


# --- which flights and frames -----------------------------------------------------------------------------------------

Pairs = list[tuple[FlightColumns, FlightColumns]]


def _paired(a: Side, b: Side, notes: list[str]) -> tuple[bool, Pairs]:
    """The flights that both have, in A's order; two single flights are a pair whatever they are called."""
    of_b = {flight.key: flight for flight in b.flights}
    pairs = [(flight, of_b[flight.key]) for flight in a.flights if flight.key in of_b]
    if a.kind is SourceKind.FLIGHT:
        pairs = [(a.flights[0], b.flights[0])]
        if a.flights[0].key != b.flights[0].key:
            notes.append(f"A is '{shown(a.flights[0].key, 60)}', B '{shown(b.flights[0].key, 60)}'.")
    if not pairs:
        named = [shown(_names(side.flights), 160) for side in (a, b)]
        raise UserError(
            f"A and B have no flight in common (A: {named[0]}; B: {named[1]}): evaluate the same seeds, scenario and "
            "length with both, then compare them."
        )
    for name, side in (("A", a), ("B", b)):
        rest = len(side.flights) - len(pairs)
        if rest:
            notes.append(f"{rest} of {len(side.flights)} flights of {name} are not in the other: left out.")
    return not (a.kind is SourceKind.CAMPAIGN and any("attack" in flight.key for flight, _ in pairs)), pairs


def _names(flights: Sequence[FlightColumns]) -> str:
    some = [flight.key for flight in flights[:3]]
    return ", ".join(some) + (f" and {len(flights) - 3} more" if len(flights) > 3 else "")


def _of_versions(a: Side, b: Side, pairs: Pairs) -> list[str]:
    notes = []
    if a.commit != b.commit or a.version != b.version:
        notes.append(f"Made by different versions: A {a.commit} {a.version}".rstrip()
                     + f", B {b.commit} {b.version}".rstrip() + ".")  # fmt: skip
    simulators = [(one.simulator, other.simulator) for one, other in pairs if one.simulator != other.simulator]
    if any(one and other for one, other in simulators):
        notes.append(
            "The simulators differ: the same seed is not the same flight to the pixel; that is in the figures."
        )
    elif simulators:
        notes.append("One side does not say which simulator flew: whether the pictures are the same is not known.")
    if a.cores != b.cores:
        notes.append(f"A ran on {a.cores} cores, B on {b.cores}: times do not compare.")
    return notes


def _same_frames(pairs: Pairs, by_time: bool, notes: list[str]) -> Pairs:
    """Each pair with the frames that both have, so that nothing is better for what it left out; with how far apart the
    two positions of a frame are."""
    out: Pairs = []
    lost = 0
    for one, other in pairs:
        rows_a, rows_b = _nearest(one, other) if by_time else _equal(one, other)
        lost += len(one.index) + len(other.index) - 2 * len(rows_a)
        if not len(rows_a):
            notes.append(f"'{shown(one.key, 60)}' has no frame in common: left out.")
            continue
        a, b = one.of_frames(rows_a), other.of_frames(rows_b)
        apart = _apart_m(a, b)
        nothing = np.zeros(len(apart))
        out.append((_with(a, {"apart_m": nothing}), _with(b, {"apart_m": apart})))
    if not out:
        raise UserError("A and B have no frame in common: they are of other times or other flights; compare the same.")
    if lost:
        notes.append(f"{lost} frames are in one of both alone: left out.")
    return out


def _with(flight: FlightColumns, more: dict[str, FloatArray]) -> FlightColumns:
    columns = {**flight.columns, **more}
    return FlightColumns(flight.key, flight.index, columns, flight.figures, flight.simulator)


def _equal(one: FlightColumns, other: FlightColumns) -> tuple[Any, Any]:
    _, rows_a, rows_b = np.intersect1d(one.index, other.index, return_indices=True)
    return rows_a, rows_b


def _nearest(one: FlightColumns, other: FlightColumns) -> tuple[Any, Any]:
    """Of each position of A the nearest in time of B."""
    place = np.clip(np.searchsorted(other.index, one.index), 1, max(len(other.index) - 1, 1))
    place = np.minimum(place, len(other.index) - 1)
    before = np.maximum(place - 1, 0)
    nearer = np.abs(other.index[before] - one.index) <= np.abs(other.index[place] - one.index)
    rows_b = np.where(nearer, before, place)
    fits = np.abs(other.index[rows_b] - one.index) <= TICK_NS
    return np.flatnonzero(fits), rows_b[fits]


def _apart_m(a: FlightColumns, b: FlightColumns) -> FloatArray:
    columns = [a.columns["latitude_deg"], a.columns["longitude_deg"], b.columns["latitude_deg"],
               b.columns["longitude_deg"]]  # fmt: skip
    return np.array([
        math.hypot(*offset_m((p, q), (r, s))) if all(map(math.isfinite, (p, q, r, s))) else math.nan
        for p, q, r, s in zip(*(column.tolist() for column in columns), strict=True)
    ])  # fmt: skip


# --- what is drawn again ----------------------------------------------------------------------------------------------


def _units(pairs: Pairs, framed: bool, notes: list[str]) -> tuple[Pairs, str]:
    """The pairs; or the blocks of time of the only one."""
    if len(pairs) > 1 or not framed:
        if len(pairs) == 1:
            notes.append("One flight without frames: how much of a difference is noise is not known.")
        return pairs, "flight"
    one, other = pairs[0]
    length_s = block_length_s(one.t_s)
    blocks = block_rows(one.t_s, length_s)
    if len(blocks) < BLOCKS_MIN:
        notes.append("One short flight: how much of a difference is noise is not known.")
        return pairs, "flight"
    notes.append(
        "One flight: how much flights differ is not known. The intervals are by blocks of "
        f"{length_s:.0f} s within it ({len(blocks)} of them), since neighbouring frames err alike; they hold for this "
        "flight alone."
    )
    return [(one.of_frames(rows), other.of_frames(rows)) for rows in blocks], f"block of {length_s:.0f} s"


def block_length_s(t_s: FloatArray) -> float:
    """How long the blocks of a flight with frames at these times are."""
    return min(max(float(np.ptp(t_s)) / BLOCKS, BLOCK_S_MIN), BLOCK_S)


def block_rows(t_s: FloatArray, length_s: float) -> list[Any]:
    """Rows of each block of one flight: of that length, and BLOCK_FRAMES_MIN frames at least."""
    order = np.argsort(t_s, kind="stable")
    out: list[Any] = []
    first = 0
    for at in range(1, len(order) + 1):
        long = at == len(order) or t_s[order[at]] - t_s[order[first]] >= length_s
        if long and (at - first >= BLOCK_FRAMES_MIN or at == len(order)):
            out.append(order[first:at])
            first = at
    if len(out) > 1 and len(out[-1]) < max(BLOCK_FRAMES_MIN, len(out[-2]) // 2):
        out[-2:] = [np.concatenate(out[-2:])]
    return out


# --- figures ----------------------------------------------------------------------------------------------------------


def _differences(
    units: Pairs, pairs: Pairs, framed: bool, campaign: bool, *, paired: bool, against_nothing: bool = False
) -> dict[Figure, Difference]:
    out = {}
    for figure in figures.of_kind(campaign):
        of_flights = figure.made is Made.FLIGHTS or not (framed or campaign)
        drawn = pairs if of_flights else units
        make: Callable[[Figure, list[FlightColumns]], Statistic | None] = _of_flights if of_flights else _of_columns
        a, b = make(figure, [one for one, _ in drawn]), make(figure, [other for _, other in drawn])
        if a is None or b is None:
            continue
        a = bootstrap.nothing if against_nothing else a
        values = sum(len(one.index) for one, _ in drawn)
        draws = bootstrap.DRAWS if values < bootstrap.LARGE_VALUES else bootstrap.DRAWS_LARGE
        found = bootstrap.difference(a, b, len(drawn), paired=paired, draws=draws, judged=figure.counted)
        if math.isfinite(found.a) or math.isfinite(found.b):
            out[figure] = found
    return out


def _of_flights(figure: Figure, flights: list[FlightColumns]) -> Statistic | None:
    """A figure of the flights' own figures: their mean, or of a count their sum."""
    known = [flight.figures.get(figure.name, math.nan) for flight in flights]
    if not all(map(math.isfinite, known)):
        return None
    return bootstrap.ratio(known, None if figure.name in COUNTED else [1.0] * len(known))


def _of_columns(figure: Figure, flights: list[FlightColumns]) -> Statistic | None:
    columns = [flight.columns.get(figure.column, np.zeros(0)) for flight in flights]
    if not any(np.isfinite(column).any() for column in columns):
        return None
    if figure.made is Made.SUM:
        return bootstrap.ratio([float(np.nansum(column)) for column in columns])
    if figure.made is Made.MEAN:
        counts = [float(np.isfinite(column).sum()) for column in columns]
        return bootstrap.ratio([float(np.nansum(column)) for column in columns], counts)
    return bootstrap.percentile(columns, float(figure.made.value))


def _judged(
    a: Side, b: Side, pairs: tuple[tuple[FlightColumns, FlightColumns], ...], found: dict[Figure, Difference],
    unit: str, units: int, notes: list[str], *, scored: bool,
) -> Comparison:  # fmt: skip
    """Sort the figures; with many of them some are out by chance alone, which `stand_together` allows for."""
    judged = [figure for figure in found if figure.way is not Way.UNJUDGED and _may_be_judged(figure, scored)]
    tested = [f for f in judged if found[f].p is not None and found[f].a != found[f].b]
    stands = dict(zip(tested, bootstrap.stand_together([found[f].p or 0.0 for f in tested]), strict=True))
    lists: dict[float, list[str]] = {1.0: [], -1.0: [], 0.0: []}
    for figure in judged:
        way = 0.0
        if stands.get(figure, False):
            counted = figure.counted(np.array([found[figure].a, found[figure].b]))
            way = float(np.sign(counted[1] - counted[0])) * figure.way.value
        lists[way].append(figure.name)
    notes += list(_unsafe(found, lists[-1.0]))
    left = tuple(figure.name for figure in found if figure not in judged)
    named = {figure.name: difference for figure, difference in found.items()}
    return Comparison(
        a, b, pairs, named, tuple(lists[1.0]), tuple(lists[-1.0]), tuple(lists[0.0]), left, unit, units, tuple(notes)
    )


def _may_be_judged(figure: Figure, scored: bool) -> bool:
    """Without truth only whether there was a position, and an anchored one, is better or worse."""
    return scored or figure.name in ("with_estimate", "anchored")


def _unsafe(found: dict[Figure, Difference], worse: Iterable[str]) -> Iterable[str]:
    """What is too rare to show beyond noise and must be looked at all the same."""
    for figure, difference in found.items():
        dangerous = figure.name.rpartition(".")[2] in ("hazardous", "false_anchors", "forged_sent_on")
        if dangerous and difference.b > difference.a and figure.name not in worse:
            yield (f"B has more of '{figure.name}' ({difference.b:g}, A {difference.a:g}): too few to tell from "
                   "noise, but each is a danger: look at them.")  # fmt: skip
