"""A result of `evaluate` as a side of a comparison: results.json, and frames.csv beside it where that is whole.

Anyone may have made either file: each value is checked, what cannot be used is left out and told.
"""

from __future__ import annotations

import csv
import io
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import FloatArray, OdometryStatus, SourceLabel
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import open_file
from gps_denied_onboard.untrusted.json import of_kind
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.compare.figures import BLACKOUTS, flattened
from gps_denied_operator.compare.model import PLACE_COLUMNS, FlightColumns, Side, SourceKind
from gps_denied_operator.evaluate import campaign_plan
from gps_denied_operator.evaluate.configuration import CONFIGURATION, SHA256, configuration_sha256
from gps_denied_operator.evaluate.results_folder import RESULTS_FILE, read_results
from gps_denied_operator.scoring.frames import STAGES
from gps_denied_operator.scoring.metrics import FALSE_ANCHOR_M, WITHIN_M

FRAMES_FILE = "frames.csv"
FRAMES_BYTES_MAX = 4 << 30
FLIGHTS_MAX = 100_000
TITLE = re.compile(r"(.*), seed (\d{1,9})")
NUMBERS = (
    "t_s", "index", *PLACE_COLUMNS, "error_m", "inside_95", "nees", "protection_level_m", "hazardous", "latency_ms",
    *(f"{stage}_ms" for stage in STAGES), "ellipse_semi_major_m", "fix_error_m",
    "reprojection_px",
)  # fmt: skip
WORDS = {"source_label": SourceLabel.SATELLITE_ANCHORED.value, "odometry": OdometryStatus.OK.value}
"""Columns of words, and the one that counts as 1; another is 0, none NaN."""
NEEDED = ("flight", "t_s", "index", "latitude_deg", "longitude_deg", "error_m")


def read_side(path: Path) -> Side:
    """A results.json, or the folder that holds it. UserError where it is no result, or an empty one."""
    file = path / RESULTS_FILE if path.is_dir() else path
    try:
        held = read_results(file)
        kind = _kind(held, file)
        flights, notes = _attacks(held, file) if kind is SourceKind.CAMPAIGN else _flights(held, kind, file)
        tree = held.get(CONFIGURATION)
        tree = of_kind(tree, dict, f"{shown(file)}: '{CONFIGURATION}'") if tree is not None else None
    except OSError as error:
        raise UserError(f"{shown(file)} cannot be read ({error.strerror}); give the folder of a result.") from error
    if not flights:
        raise UserError(f"{shown(file)} holds no flight: there is nothing to compare; run the evaluation again.")
    sha256 = held.get(SHA256)
    if tree is None:
        notes.append("does not name its configuration: made by an earlier version")
    elif sha256 != configuration_sha256(tree):
        notes.append("the configuration that it names is not the one of its hash: it was changed by hand")
    cores = held.get("cores")
    return Side(
        path, kind, tuple(flights), shown(held.get("commit", "unknown"), 60), shown(held.get("version", ""), 40),
        cores if type(cores) is int else 0, tree, sha256 if isinstance(sha256, str) else "", tuple(notes),
        kind is SourceKind.CAMPAIGN or any(_scored(flight) for flight in flights),
    )  # fmt: skip


def _scored(flight: FlightColumns) -> bool:
    """Whether any frame of a flight has an error."""
    if len(flight.index):
        return bool(np.isfinite(flight.columns["error_m"]).any())
    return "error_m.median" in flight.figures


def _kind(held: Mapping[str, Any], file: Path) -> SourceKind:
    """What was evaluated: as it says, or as results of earlier versions look."""
    told = held.get("evaluation")
    if told in (SourceKind.FLIGHTS, SourceKind.CAMPAIGN, SourceKind.PHOTOS):
        return SourceKind(told)
    if any(isinstance(held.get(kind), dict) for kind in campaign_plan.ATTACKS):
        return SourceKind.CAMPAIGN
    if isinstance(held.get("flights"), list):
        return SourceKind.PHOTOS if "photos" in held else SourceKind.FLIGHTS
    raise UserError(f"{shown(file)} is no result of evaluate flights, campaign or photos; give the folder of one.")


# --- flights and photographs ------------------------------------------------------------------------------------------


def _flights(held: Mapping[str, Any], kind: SourceKind, file: Path) -> tuple[list[FlightColumns], list[str]]:
    entries = of_kind(held.get("flights"), list, f"{shown(file)}: 'flights'")
    if len(entries) > FLIGHTS_MAX:
        raise UntrustedError(f"{shown(file)} holds more than {FLIGHTS_MAX} flights.")
    notes: list[str] = []
    frames = _frames(file.with_name(FRAMES_FILE), notes)
    out = []
    without = 0
    for entry in entries:
        told = of_kind(entry, dict, f"{shown(file)}: a flight")
        title = of_kind(told.get("title", ""), str, f"{shown(file)}: a flight's title")
        figures = flattened(told)
        columns = frames.get(title, {})
        if columns and len(columns["index"]) != figures.get("frames"):
            notes.append(f"{FRAMES_FILE} holds {len(columns['index'])} frames of '{shown(title, 60)}', not all")
            columns = {}
        if columns and not _fits(columns, figures):
            notes.append(f"{FRAMES_FILE} and {file.name} tell different errors of '{shown(title, 60)}'")
            columns = {}
        without += not columns
        index = columns["index"].astype(np.int64) if columns else np.zeros(0, np.int64)
        simulator = told.get("simulator", "")
        out.append(FlightColumns(_key(held, told, title, kind), index, columns, figures,
                                 simulator if isinstance(simulator, str) else ""))  # fmt: skip
    twice = [key for key, count in Counter(flight.key for flight in out).items() if count > 1]
    if twice:
        raise UserError(f"{shown(file)} holds '{shown(twice[0], 80)}' twice; run the evaluation again.")
    if without and entries:
        notes.append(f"no frames of {without} of {len(entries)} flights: compared by the flights' own figures")
        out = [FlightColumns(f.key, np.zeros(0, np.int64), {}, f.figures, f.simulator) for f in out]
    return out, notes


def _fits(columns: Mapping[str, FloatArray], figures: Mapping[str, float]) -> bool:
    """Whether the frames of a flight have the median error that its figures tell: both files are of one run."""
    errors, told = columns["error_m"], figures.get("error_m.median")
    known = errors[np.isfinite(errors)]
    if told is None or not len(known):
        return told is None and not len(known)
    return math.isclose(float(np.median(known)), told, rel_tol=1e-3, abs_tol=1e-3)


def _key(held: Mapping[str, Any], told: Mapping[str, Any], title: str, kind: SourceKind) -> str:
    """What makes a flight the same as one of another result: scenario, seed and length, or the photographs."""
    if kind is SourceKind.PHOTOS:
        return title
    found = TITLE.fullmatch(title)
    seed = told.get("seed", int(found[2]) if found else None)
    scenario = told.get("scenario", found[1] if found else held.get("scenario"))
    minutes = told.get("minutes", held.get("minutes"))
    if type(seed) is not int or not isinstance(scenario, str) or not isinstance(minutes, int | float):
        return title
    return f"{scenario}, seed {seed}, {minutes:g} min"


def _frames(file: Path, notes: list[str]) -> dict[str, dict[str, FloatArray]]:
    """The columns of each flight of a frames.csv; nothing, and a note, where there is none that can be used."""
    try:
        with open_file(file, FRAMES_BYTES_MAX) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
            rows = csv.reader(text)
            header = next(rows, [])
            missing = [name for name in NEEDED if name not in header]
            if missing:
                notes.append(f"{FRAMES_FILE} has no column '{missing[0]}'")
                return {}
            return _columns(header, rows, notes)
    except FileNotFoundError:
        return {}
    except (OSError, csv.Error, UntrustedError) as error:
        notes.append(f"{FRAMES_FILE} cannot be used: {shown(error, 120)}")
        return {}


def _columns(header: Sequence[str], rows: Iterator[list[str]], notes: list[str]) -> dict[str, dict[str, FloatArray]]:
    """Packed as they are read: a thousand flights are half a million lines."""
    numbers = {name: header.index(name) for name in NUMBERS if name in header}
    words = {name: (header.index(name), meant) for name, meant in WORDS.items() if name in header}
    title_at = header.index("flight")
    packed: dict[str, dict[str, array[float]]] = {}
    bad = 0
    for row in rows:
        if len(row) != len(header):
            bad += 1
            continue
        title = row[title_at].removeprefix("'")
        flight = packed.setdefault(title, {name: array("d") for name in (*numbers, *words)})
        for name, at in numbers.items():
            value = _number(row[at])
            bad += row[at] != "" and math.isnan(value)
            flight[name].append(value)
        for name, (at, meant) in words.items():
            flight[name].append(float(row[at] == meant) if row[at] else math.nan)
    if bad:
        notes.append(f"{bad} values of {FRAMES_FILE} are no numbers, or lines cut off: left out")
    return {title: derived(_arrays(columns)) for title, columns in packed.items()}


def _number(text: str) -> float:
    """A cell; NaN for what is no finite number."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) and abs(value) < 1e15 else math.nan


def _arrays(packed: Mapping[str, array[float]]) -> dict[str, FloatArray]:
    """All columns that are known of, NaN where the file has none."""
    count = len(packed["t_s"])
    out = {name: np.array(packed.get(name, [math.nan] * count), dtype=float) for name in (*NUMBERS, *WORDS)}
    out["index"] = np.where(np.isfinite(out["index"]), out["index"], -1.0)
    out["label"], out["registered"] = out.pop("source_label"), out.pop("odometry")
    return out


def derived(columns: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """The columns that figures are made of, added to those of the frames: see figures.OF_FRAMES."""
    error, truth = columns["error_m"], np.isfinite(columns["truth_latitude_deg"])
    scored = truth if truth.any() else np.isfinite(error)
    told = np.isfinite(columns["latitude_deg"])
    counted = scored if scored.any() else np.ones(len(error), bool)
    anchored = (columns["label"] == 1.0) & told
    out = dict(columns)
    out["estimate"] = np.where(counted, told.astype(float), 0.0)
    out["anchored"] = np.where(counted, anchored.astype(float), 0.0)
    out["anchored_error_m"] = np.where(anchored, error, math.nan)
    out["false_anchor"] = (anchored & (np.nan_to_num(error) > FALSE_ANCHOR_M)).astype(float)
    for limit in WITHIN_M:
        out[f"within_{limit}"] = np.where(scored, (np.nan_to_num(error, nan=math.inf) <= limit).astype(float), math.nan)
    out["ellipse_m"] = columns["ellipse_semi_major_m"]
    return out


# --- a campaign -------------------------------------------------------------------------------------------------------


def _attacks(held: Mapping[str, Any], file: Path) -> tuple[list[FlightColumns], list[str]]:
    """The attacks and blackouts of each flight; each its own unit where nobody told of which flight it is."""
    notes: list[str] = []
    of_flight: dict[str, dict[str, list[float]]] = {}
    minutes = held.get("minutes")
    told_length = f"{minutes:g} min" if isinstance(minutes, int | float) else "length unknown"
    untold = undecided = 0
    for kind in (*campaign_plan.ATTACKS, *BLACKOUTS):
        part = of_kind(held.get(kind, {}), dict, f"{shown(file)}: '{kind}'")
        for number, one in enumerate(of_kind(part.get("each", []), list, f"{shown(file)}: '{kind}'")):
            values = of_kind(one, dict, f"{shown(file)}: one of '{kind}'")
            seed = values.get("flight", -1)
            known = type(seed) is int and seed >= 0
            untold += not known
            key = f"campaign, seed {seed}, {told_length}" if known else f"attack {number}"
            undecided += kind in BLACKOUTS and "inside_95" not in values
            columns = of_flight.setdefault(key, {})
            for name, value in _scores(values, kind in campaign_plan.ATTACKS).items():
                columns.setdefault(f"{kind}.{name}", []).append(value)
    if untold:
        notes.append("does not say of which flight each attack is (an earlier version): each counts as a flight")
    if undecided:
        notes.append("does not say which blackouts ended inside the ellipse (an earlier version): left out")
    return [
        FlightColumns(key, np.zeros(0, np.int64), {name: np.array(values) for name, values in columns.items()})
        for key, columns in of_flight.items()
    ], notes


def _scores(values: Mapping[str, Any], attack: bool) -> dict[str, float]:
    """One attack or blackout as numbers; NaN for what did not happen."""
    out = {name: _score(value) for name, value in values.items() if name not in ("kind", "levels_m")}
    if attack:
        happened = {"left": "promotion_ms", "readmitted": "readmitted_ms"}
    else:
        happened = {"dead_reckoned": "dark_ms", "seen_again": "seen_again_ms"}
    return out | {name: float(math.isfinite(out.get(source, math.nan))) for name, source in happened.items()}


def _score(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan
