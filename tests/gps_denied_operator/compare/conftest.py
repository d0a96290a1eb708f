"""Results of made-up flights whose errors hang together over time, written as `evaluate flights` writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from gps_denied_onboard.messages import PoseFix, RejectReason
from gps_denied_operator.compare import bootstrap
from gps_denied_operator.evaluate.configuration import configuration_facts
from gps_denied_operator.evaluate.output import frames_csv
from gps_denied_operator.scoring.frames import FrameResult, RunFacts
from gps_denied_operator.scoring.metrics import figures

RUN = RunFacts(10.0, 300.0, "0123456789ab", 2, 0)
FRAMES = 120
FIX_SIGMA_M = 2.0
Change = Callable[[int, np.ndarray], np.ndarray]


def errors_m(seed: int, frames: int) -> np.ndarray:
    """(frames, 2) errors of one flight: a slow part of some 20 s, and a size of the flight's own."""
    rng = np.random.default_rng(seed)
    slow = np.zeros(2)
    out = []
    for _ in range(frames):
        slow = 0.95 * slow + rng.normal(0.0, 0.3, 2)
        out.append(slow + rng.normal(0.0, 0.6, 2))
    return np.array(out) * rng.uniform(1.0, 2.0)


def unchanged(_seed: int, errors: np.ndarray) -> np.ndarray:
    return errors


def fix_noise_m(seed: int, frames: int, more_m: float) -> np.ndarray:
    """(frames, 2) errors of one flight's map fixes, each its own; `more_m`: sigma of what a worse matcher adds."""
    rng = np.random.default_rng(7000 + seed)
    return rng.normal(0.0, FIX_SIGMA_M, (frames, 2)) + more_m * rng.normal(0.0, 1.0, (frames, 2))


def map_fix(t_ns: int, position_enu_m: np.ndarray) -> PoseFix:
    """An accepted fix there."""
    return PoseFix(t_ns, True, RejectReason.NONE, position_enu_m, np.eye(3), np.eye(6), 40, 60, 0.8, False)


Write = Callable[..., Path]
_unchanged: dict[tuple[int, int, float], list[FrameResult]] = {}
_written: dict[tuple[range, int, float], tuple[bytes, bytes]] = {}
"""results.json and frames.csv of flights without a change: most tests have such a side."""


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw a quarter as often: no verdict here hangs on the last digits of an interval."""
    monkeypatch.setattr(bootstrap, "DRAWS", bootstrap.DRAWS_LARGE)


@pytest.fixture
def write_result(tmp_path: Path, make_state: Any, origin: Any) -> Write:
    """Return `write_flights` into folders of this test."""

    def write(name: str, *what: Any, **how: Any) -> Path:
        return write_flights(tmp_path / name, make_state, origin, *what, **how)

    return write


def write_flights(
    folder: Path, make_state: Any, origin: Any, seeds: range = range(10), change: Change = unchanged,
    frames: int = FRAMES, more: dict[str, Any] | None = None, with_frames: bool = True, fixes_m: float = 0.0,
) -> Path:  # fmt: skip
    """Write a result of flights and give its folder.

    `change` makes other errors of a flight's (seed, errors); `more` overwrites keys of results.json; `fixes_m` is how
    much noise its map fixes have beyond that of every result.
    """

    def flight_rows(seed: int, errors: np.ndarray) -> list[FrameResult]:
        rows = []
        noise = fix_noise_m(seed, len(errors), fixes_m)
        for k, error in enumerate(errors):
            truth = np.array([15.0 * k, 200.0 * seed, 400.0])
            lat, lon, alt = (float(v) for v in origin.geodetic_from_enu(truth))
            t_ns = (k + 1) * 1_000_000_000
            state = make_state(t_ns, truth + np.array([*error, 0.0]))
            fix = map_fix(t_ns, truth + np.array([*noise[k], 0.0]))
            rows.append(FrameResult(t_ns, k, f"{k}.jpg", lat, lon, alt, state, fix))
        return rows

    folder.mkdir()
    key = (seeds, frames, fixes_m)
    plain = change is unchanged and not more
    if not plain or key not in _written:
        made = _result(seeds, change, frames, fixes_m, flight_rows, more or {}, origin)
        if plain:
            _written[key] = made
    result, csv = _written[key] if plain else made
    (folder / "results.json").write_bytes(result)
    if with_frames:
        (folder / "frames.csv").write_bytes(csv)
    return folder


def _result(
    seeds: range, change: Change, frames: int, fixes_m: float,
    flight_rows: Callable[[int, np.ndarray], list[FrameResult]], more: dict[str, Any], origin: Any,
) -> tuple[bytes, bytes]:  # fmt: skip
    """results.json and frames.csv of such flights."""
    flights: list[tuple[str, list[FrameResult]]] = []
    for seed in seeds:
        if change is not unchanged:
            rows = flight_rows(seed, change(seed, errors_m(seed, frames)))
        elif (seed, frames, fixes_m) not in _unchanged:
            rows = _unchanged[seed, frames, fixes_m] = flight_rows(seed, errors_m(seed, frames))
        else:
            rows = _unchanged[seed, frames, fixes_m]
        flights.append((f"cruise, seed {seed}", rows))
    each = [
        {"title": title, "note": "", "scenario": "cruise", "seed": seed, "minutes": 2.0, "simulator": "s1"}
        | figures([rows], RUN, (title,))
        for seed, (title, rows) in zip(seeds, flights, strict=True)
    ]
    result = figures([rows for _, rows in flights], RUN, [title for title, _ in flights])
    result |= {"evaluation": "flights", "minutes": 2.0, "scenario": "cruise", **configuration_facts(None)}
    result |= {"flights": each, **more}
    return orjson.dumps(result), frames_csv([(title, rows, origin) for title, rows in flights])
