"""A matcher that is really worse by a tenth, through flights, scores and the comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.localisation.matching.classic import ClassicMatcher
from gps_denied_onboard.localisation.matching.map_projector import PassResult
from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.runtime_root.strategies import STRATEGIES
from gps_denied_operator.compare.judge import Comparison, compare
from gps_denied_operator.compare.sides import read_any
from gps_denied_operator.evaluate import flight_worker
from gps_denied_operator.evaluate.configuration import configuration_facts
from gps_denied_operator.evaluate.flight_worker import FlightOutcome, FlightTask
from gps_denied_operator.evaluate.flights import FlightsRequest, evaluate_flights
from gps_denied_operator.evaluate.output import result_files
from gps_denied_operator.evaluate.processes import Tell
from gps_denied_operator.evaluate.results_folder import RECORDINGS

FLIGHTS = tuple(range(10))
MINUTES = 0.25
WORSE = 1.1
real_replay = flight_worker.replay


def scatter_m(pixel_px: FloatArray, ground_enu_m: FloatArray) -> float:
    """One sigma, east and north alike, of matched points about the affine map that fits them best."""
    rows = np.column_stack([pixel_px, np.ones(len(pixel_px))])
    fitted = rows @ np.linalg.lstsq(rows, ground_enu_m[:, :2], rcond=None)[0]
    return float(np.sqrt(np.mean((ground_enu_m[:, :2] - fitted) ** 2)))


class WorseMatcher(ClassicMatcher):
    """Its points scatter a tenth more than those of the matcher that it is."""

    def match(self, *args: Any) -> PassResult | None:
        found = super().match(*args)
        if found is None:
            return None
        ground = found.matches.ground_enu_m.copy()
        more_m = scatter_m(found.matches.pixel_px, ground) * float(np.sqrt(WORSE**2 - 1.0))
        rng = np.random.default_rng(found.matches.t_ns % 2**63)
        ground[:, :2] += rng.normal(0.0, more_m, (len(ground), 2))
        return replace(found, matches=replace(found.matches, ground_enu_m=ground))


def worse_replay(task: FlightTask, tell: Tell) -> FlightOutcome:
    """What runs in a flight's process in place of the replay."""
    STRATEGIES["matching"]["classic"] = f"{__name__}:{WorseMatcher.__name__}"
    return real_replay(task, tell)


def flown(out: Path, seeds: tuple[int, ...] = FLIGHTS) -> None:
    """Evaluate flights into a folder; recordings that there are are taken."""
    out.mkdir(exist_ok=True)
    report = evaluate_flights(FlightsRequest(seeds, MINUTES, "cruise", 1), out, "test", lambda *_: None)
    facts = {"evaluation": "flights", "minutes": MINUTES, "scenario": "cruise", **configuration_facts(None)}
    for name, data in result_files(report, facts).items():
        (out / name).write_bytes(data)


def compared(a: Path, b: Path) -> Comparison:
    return compare(read_any(a, None), read_any(b, None))


@pytest.mark.slow
def test_a_matcher_a_tenth_worse_is_worse_and_a_repeated_run_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten short flights, their points scattered a tenth more in B, are called worse; two of them again are the same."""
    for name in ("a", "again", "b"):
        (tmp_path / name).mkdir()
        if name != "a":
            (tmp_path / name / RECORDINGS).symlink_to(tmp_path / "a" / RECORDINGS)
    flown(tmp_path / "a")
    flown(tmp_path / "again", FLIGHTS[:2])
    monkeypatch.setattr(flight_worker, "replay", worse_replay)
    flown(tmp_path / "b")
    same, worse = compared(tmp_path / "a", tmp_path / "again"), compared(tmp_path / "a", tmp_path / "b")
    assert (same.better, same.worse) == ((), ())
    assert "reprojection_px.mean" in worse.worse
