"""Flights on the workers of a Dask cluster: the figures of one machine, taken up again where it stopped."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.compare.judge import compare
from gps_denied_operator.compare.sides import read_any
from gps_denied_operator.evaluate import flight_worker
from gps_denied_operator.evaluate.campaign import CampaignRequest, run_campaign
from gps_denied_operator.evaluate.cluster_steps import ClusterSteps
from gps_denied_operator.evaluate.configuration import configuration_facts
from gps_denied_operator.evaluate.flight_worker import FlightTask
from gps_denied_operator.evaluate.flights import FlightsRequest, evaluate_flights
from gps_denied_operator.evaluate.output import result_files
from gps_denied_operator.evaluate.processes import Step
from gps_denied_operator.evaluate.recordings import FlightKey
from gps_denied_operator.evaluate.results_folder import ResultsFolder

FLIGHTS = 40
MINUTES = 0.1
OF_THE_MACHINE = ("latency_ms", "stage_ms_p95", "rss_peak_mb", "wall_s", "commit", "cores", "load_average")


def flown(out: Path, flights: int, cluster: str = "") -> tuple[dict[str, object], set[tuple[int, str]]]:
    """Evaluate into a folder; the figures that do not depend on the machine, and of which (seed, stage) was told."""
    told: set[tuple[int, str]] = set()
    request = FlightsRequest(tuple(range(flights)), MINUTES, "cruise", 2, cluster=cluster)
    with ResultsFolder(out) as folder:
        report = evaluate_flights(request, folder.path, "test", lambda seed, stage, *_: told.add((seed, stage)))
        facts = {"evaluation": "flights", "minutes": MINUTES, "scenario": "cruise", **configuration_facts(None)}
        folder.publish(result_files(report, facts))
    return {key: value for key, value in report.figures.items() if key not in OF_THE_MACHINE}, told


def times_made(out: Path) -> dict[str, int]:
    """When each flight's recording was made, ns."""
    return {one.name: (one / "recording.json").stat().st_mtime_ns for one in (out / "recordings").iterdir()}


@pytest.mark.slow
def test_forty_flights_on_two_workers_are_those_of_one_machine(tmp_path: Path, scheduler: Callable[[int], str]) -> None:
    """Two workers simulate and replay forty short flights: the figures are those of this machine, frame by frame, and
    progress was heard of all; a second run takes the recordings that there are."""
    address = scheduler(2)
    shared, told = flown(tmp_path / "shared", FLIGHTS, address)
    assert {(seed, stage) for seed in range(FLIGHTS) for stage in ("frames", "replay")} <= told
    made = times_made(tmp_path / "shared")
    assert len(made) == FLIGHTS
    alone, _ = flown(tmp_path / "alone", 4)
    first, _ = flown(tmp_path / "first", 4, address)
    assert alone == first
    again, told = flown(tmp_path / "shared", FLIGHTS, address)
    assert (again, times_made(tmp_path / "shared")) == (shared, made)
    assert not any(stage == "frames" for _, stage in told)
    found = compare(read_any(tmp_path / "alone", None), read_any(tmp_path / "shared", None))
    assert (len(found.pairs), found.better, found.worse) == (4, (), ())
    assert {one.b - one.a for name, one in found.figures.items() if name in found.same} == {0.0}


@pytest.mark.slow
def test_a_campaign_on_workers_is_that_of_one_machine(tmp_path: Path, scheduler: Callable[[int], str]) -> None:
    """Attacks and blackouts over two flights: each score is the same, in the same order."""
    address = scheduler(2)
    kept = tmp_path / "recordings"
    kept.mkdir()
    figures = [
        run_campaign(CampaignRequest((0, 1), 3.0, 2, 2, kept, None, cluster), lambda *_: None)
        for cluster in (address, "")
    ]
    for key in ("wall_s", "cores", "commit", "load_average"):
        assert figures[0].pop(key) is not None
        figures[1].pop(key)
    assert figures[0] == figures[1]


@pytest.mark.slow
def test_a_worker_elsewhere_is_told(tmp_path: Path, scheduler: Callable[[int], str]) -> None:
    """A folder that a worker does not see is named before any flight is flown; nobody to work for is said as well."""
    address = scheduler(1)
    with pytest.raises(UserError, match="does not see"), ClusterSteps(address, tmp_path / "nowhere", print):
        pass
    nobody = ClusterSteps[object]("tcp://127.0.0.1:9", tmp_path, print)
    with pytest.raises(UserError, match="No Dask scheduler answers"), nobody:
        pass


@pytest.mark.slow
def test_steps_on_workers_are_those_of_processes(tmp_path: Path, scheduler: Callable[[int], str]) -> None:
    """Each step's result comes once, with steps that were added on the way; a user's mistake keeps its words."""
    with ClusterSteps[bool](scheduler(2), tmp_path, print) as steps:
        for name in ("a", "b"):
            steps.add(Step(name, operator.is_not, name))
        seen = []
        for step, result in steps.results():
            seen.append((step.name, result))
            if step.name == "a":
                steps.add(Step("c", operator.is_, "c"), first=True)
        assert sorted(seen) == [("a", True), ("b", True), ("c", False)]
        task = FlightTask(FlightKey("cruise", 4, 1.0), tmp_path, None, None, 1, 100)
        steps.add(Step("flight with seed 4", flight_worker.replay, task))
        with pytest.raises(UserError, match=r"flight with seed 4: .* is not a recording"):
            list(steps.results())
