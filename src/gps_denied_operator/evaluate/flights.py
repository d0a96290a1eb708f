"""`evaluate flights`: many simulated flights, each simulated and replayed in a process of its own, scored together."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_operator.evaluate import flight_worker, machine, recordings
from gps_denied_operator.evaluate.configuration import SHA256, SHORT, configuration_facts
from gps_denied_operator.evaluate.flight_worker import FlightOutcome, FlightTask
from gps_denied_operator.evaluate.processes import Step
from gps_denied_operator.evaluate.recordings import FlightKey
from gps_denied_operator.evaluate.results_folder import RECORDINGS, REPLAYS
from gps_denied_operator.evaluate.step_runner import step_runner
from gps_denied_operator.report.model import FlightPart, Report
from gps_denied_operator.scoring.frames import RunFacts
from gps_denied_operator.scoring.metrics import figures

SEEDS_MAX = 10_000
PAIRS_SHOWN = 60
MAP_PIXELS = 3_000_000

Progress = Callable[[int, str, int, int], None]
"""Called with seed, stage ("frames", "tiles", "telemetry", "replay"), how much is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class FlightsRequest:
    """What to evaluate. `keep`: the replays' own outputs stay under the results folder. `terrain` as the simulator's
    --terrain. `cluster`: address of a Dask scheduler whose workers do it; else `workers` processes here."""

    seeds: tuple[int, ...]
    minutes: float
    scenario: str
    workers: int
    keep: bool = False
    config_path: Path | None = None
    terrain: str = ""
    cluster: str = ""


def parse_seeds(told: str) -> tuple[int, ...]:
    """Seeds of "A-B", "A" or a comma list of both, in order. UserError for anything else."""
    seeds: set[int] = set()
    for part in told.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*", part)
        if match is None:
            raise UserError(f"--seeds '{told[:40]}' is not understood; give a range like 0-9, or numbers like 3,7.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= SEEDS_MAX:
            raise UserError(f"--seeds '{told[:40]}': give the smaller number first, and at most {SEEDS_MAX} seeds.")
        seeds.update(range(first, last + 1))
    return tuple(sorted(seeds))


def evaluate_flights(request: FlightsRequest, folder: Path, command: str, progress: Progress) -> Report:
    """Simulate what is not recorded yet, replay all, and score. UserError with the first flight's complaint."""
    began, load = time.monotonic(), machine.load_average()
    tasks = _tasks(request, folder)
    outcomes = _run(tasks, request, folder, progress)
    facts = RunFacts(
        wall_s=time.monotonic() - began,
        rss_peak_mb=max(outcome.rss_peak_mb for outcome in outcomes),
        commit=machine.commit(),
        cores=machine.cores(),
        true_gps_left=sum(outcome.true_gps_left for outcome in outcomes),
        load_average=machine.load_over(load),
    )
    return _report(request, outcomes, facts, command)


def _tasks(request: FlightsRequest, folder: Path) -> list[FlightTask]:
    simulator = recordings.simulator_hash()
    raster = recordings.asks_for_heights(request.scenario, request.terrain)
    root = folder / RECORDINGS
    root.mkdir(exist_ok=True)
    if request.keep:
        (folder / REPLAYS).mkdir(exist_ok=True)
    number = len(request.seeds)
    tasks = []
    for seed in request.seeds:
        key = FlightKey(request.scenario, seed, request.minutes, raster)
        recordings.drop_outdated(root, key, simulator)
        tasks.append(
            FlightTask(
                key=key,
                heights=request.terrain != "none",
                folder=recordings.recording_folder(root, key, simulator),
                config_path=request.config_path,
                replay_folder=folder / REPLAYS / key.stem if request.keep else None,
                worst=min(max(PAIRS_SHOWN // number, 1), 8),
                map_width_px=int(min(max((MAP_PIXELS / number) ** 0.5, 160), 1500)),
            )
        )
    return tasks


def _run(tasks: Sequence[FlightTask], request: FlightsRequest, folder: Path, progress: Progress) -> list[FlightOutcome]:
    """All flights' outcomes in the order of the tasks; a flight is replayed before the next one is simulated."""
    outcomes: dict[int, FlightOutcome] = {}
    with step_runner(request.workers, request.cluster, folder, progress) as steps:
        for task in tasks:
            step = flight_worker.replay if task.folder.is_dir() else flight_worker.simulate
            steps.add(Step(f"flight with seed {task.key.seed}", step, task))
        for step_done, outcome in steps.results():
            if outcome is None:
                again = Step(step_done.name, flight_worker.replay, step_done.argument)
                steps.add(again, first=True)
            else:
                outcomes[outcome.key.seed] = outcome
    return [outcomes[task.key.seed] for task in tasks]


def _report(request: FlightsRequest, outcomes: Sequence[FlightOutcome], facts: RunFacts, command: str) -> Report:
    from gps_denied_onboard.geometry.geodesy import LocalFrame

    simulator = recordings.simulator_hash()
    parts = [
        FlightPart(
            title=_name(outcome),
            rows=outcome.rows,
            figures=figures([outcome.rows], replace(facts, true_gps_left=outcome.true_gps_left), (_name(outcome),)),
            local=None if outcome.origin is None else LocalFrame(*outcome.origin),
            background=outcome.background,
            note=outcome.note,
            story=outcome.story,
            key={**asdict(outcome.key), "simulator": simulator},
        )
        for outcome in outcomes
    ]
    seeds = request.seeds
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
    named = configuration_facts(request.config_path)[SHA256][:SHORT]
    return Report(
        title=f"Simulated flights: {request.scenario}, {which}, {request.minutes:g} minutes each",
        figures=figures([outcome.rows for outcome in outcomes], facts, [_name(outcome) for outcome in outcomes]),
        flights=parts,
        facts=[("command", command), ("configuration", named), ("took", f"{facts.wall_s:.0f} s")],
        seeing=all(outcome.seeing for outcome in outcomes),
    )


def _name(outcome: FlightOutcome) -> str:
    return f"{outcome.key.scenario}, seed {outcome.key.seed}"
