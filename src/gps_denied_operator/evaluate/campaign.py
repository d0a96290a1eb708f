"""`evaluate campaign`: attacks on GPS and blackouts of the camera over simulated flights, and what came of them.

Rendered once for each flight: its pictures and its map. Computed once for each flight: odometry, map fixes and the
fused state, which no GPS claim can change (a test compares whole replays). Run for every attack: the simulator's GPS
receiver and the integrity monitor, the same class with the same calls as in flight. Blackouts change pictures: there
everything is computed anew, from the flight's own pictures with dark ones between them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gps_denied_operator.evaluate import campaign_plan, campaign_worker, machine, recordings
from gps_denied_operator.evaluate.campaign_score import AttackScore, BlackoutScore
from gps_denied_operator.evaluate.campaign_worker import CampaignTask
from gps_denied_operator.evaluate.processes import Step, Steps
from gps_denied_operator.evaluate.recordings import FlightKey
from gps_denied_operator.evaluate.step_runner import step_runner
from gps_denied_operator.scoring.metrics import level_spread, spread

SCENARIO = "cruise"
Scores = list[AttackScore] | list[BlackoutScore]


@dataclass(frozen=True, slots=True)
class CampaignRequest:
    """What to do: `count` attacks of each kind and blackouts of each length, over flights of these seeds. `cluster` as
    in FlightsRequest."""

    seeds: tuple[int, ...]
    minutes: float
    count: int
    workers: int
    recordings: Path
    config_path: Path | None = None
    cluster: str = ""


def run_campaign(request: CampaignRequest, progress: Callable[[int, str, int, int], None]) -> dict[str, Any]:
    """Fly what is not recorded yet, run all attacks and blackouts, and return the figures."""
    began, load = time.monotonic(), machine.load_average()
    came: list[tuple[CampaignTask, Scores]] = []
    tasks = _tasks(request)
    with step_runner(request.workers, request.cluster, request.recordings, progress) as steps:
        for task in tasks:
            if task.folder.is_dir():
                _add(steps, request, task)
            else:
                steps.add(Step(_name(task), campaign_worker.simulate, task))
        for done, scores in steps.results():
            if scores is None:
                _add(steps, request, done.argument)
            else:
                came.append((done.argument, scores))
    came.sort(key=lambda one: (one[0].turn, one[0].key.seed))  # whoever was ready first: the same figures
    each = [score for _, scores in came for score in scores]
    attacks = [score for score in each if isinstance(score, AttackScore)]
    blackouts = [score for score in each if isinstance(score, BlackoutScore)]
    return {
        "flights": len(request.seeds),
        "minutes": request.minutes,
        **{kind: attack_figures([a for a in attacks if a.kind == kind]) for kind in campaign_plan.ATTACKS},
        **{
            f"blackout-{length_s:.0f}s": blackout_figures(_of_length(blackouts, length_s)[: request.count])
            for length_s in campaign_plan.BLACKOUTS_S
        },
        "wall_s": round(time.monotonic() - began, 1),
        "commit": machine.commit(),
        "cores": machine.cores(),
        "load_average": machine.load_over(load),
    }


def _of_length(scores: Sequence[BlackoutScore], length_s: float) -> list[BlackoutScore]:
    return [score for score in scores if round(score.length_s, 3) == length_s]


def _name(task: CampaignTask) -> str:
    return f"campaign flight with seed {task.key.seed}"


def _tasks(request: CampaignRequest) -> list[CampaignTask]:
    """One for each flight; the attacks are shared out among the flights."""
    simulator = recordings.simulator_hash()
    request.recordings.mkdir(parents=True, exist_ok=True)
    number = len(request.seeds)
    out = []
    for k, seed in enumerate(request.seeds):
        key = FlightKey(SCENARIO, seed, request.minutes)
        share = request.count // number + (k < request.count % number)
        folder = recordings.recording_folder(request.recordings, key, simulator)
        out.append(CampaignTask(key, folder, request.config_path, share))
    return out


def _add(steps: Steps[Any], request: CampaignRequest, task: CampaignTask) -> None:
    """The flight's attacks, and as many passes of blackouts as all flights need to reach the count."""
    steps.add(Step(_name(task), campaign_worker.attack, task))
    a_pass = len(campaign_plan.blackouts(task.key.seed, 0, request.minutes * 60.0)) // len(campaign_plan.BLACKOUTS_S)
    for turn in range(math.ceil(request.count / (max(a_pass, 1) * len(request.seeds)))):
        steps.add(Step(_name(task), campaign_worker.black_out, replace(task, turn=turn)))


def attack_figures(scores: Sequence[AttackScore]) -> dict[str, Any]:
    """Figures of one kind of attack. See AttackScore for what they mean."""
    return {
        "attacks": len(scores),
        "gps_in_use": sum(s.taken for s in scores),
        "left": sum(s.promotion_ms is not None for s in scores),
        "promotion_ms": spread(_known(s.promotion_ms for s in scores)),
        "moved_m": spread(_known(s.moved_m for s in scores)),
        "forged_followed": sum(s.followed for s in scores),
        "forged_sent_on": sum(s.sent_on for s in scores),
        "readmitted": sum(s.readmitted_ms is not None for s in scores),
        "readmitted_ms": spread(_known(s.readmitted_ms for s in scores)),
        "readmitted_forged_m_max": max((s.readmitted_forged_m for s in scores), default=0.0),
        "false_alarms": sum(s.false_alarms for s in scores),
        "each": [asdict(s) for s in scores],
    }


def blackout_figures(scores: Sequence[BlackoutScore]) -> dict[str, Any]:
    """Figures of the blackouts of one length. See BlackoutScore for what they mean."""
    return {
        "blackouts": len(scores),
        "dead_reckoned": sum(s.dark_ms is not None for s in scores),
        "dead_reckoned_ms": spread(_known(s.dark_ms for s in scores)),
        "two_d_late_ms": spread(_known(s.two_d_ms for s in scores)),
        "no_fix": sum(s.no_fix_ms is not None for s in scores),
        "no_fix_late_ms": spread(_known(s.no_fix_ms for s in scores)),
        "failsafe_told": sum(s.failsafe_told for s in scores),
        "in_order": sum(s.in_order for s in scores),
        "ellipse_shrunk_m_max": max((s.shrunk_m for s in scores), default=0.0),
        "operator_asked": sum(s.asked_ms is not None for s in scores),
        "operator_asked_late_ms": spread(_known(s.asked_ms for s in scores)),
        "seen_again": sum(s.seen_again_ms is not None for s in scores),
        "seen_again_ms": spread(_known(s.seen_again_ms for s in scores)),
        "error_m": spread([s.error_m for s in scores]),
        "ellipse_m": spread([s.ellipse_m for s in scores]),
        "inside_95": sum(s.inside_95 for s in scores),
        "hazardous": sum(s.hazardous for s in scores),
        "protection_level_m": level_spread([level for s in scores for level in s.levels_m]),
        "forged_gps_followed": sum(s.gps_followed for s in scores),
        "each": [{k: v for k, v in asdict(s).items() if k != "levels_m"} for s in scores],
    }


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def without_lists(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures for stdout: without each attack and blackout."""
    return {
        name: {k: v for k, v in value.items() if k != "each"} if isinstance(value, dict) else value
        for name, value in figures.items()
    }
