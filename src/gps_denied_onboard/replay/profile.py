"""Where the time of a replay goes: by stage, from a run at full speed, and by function, from a second one under the
standard library's profiler, which makes Python slower than it is and leaves C as it is."""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2

import gps_denied_onboard
from gps_denied_onboard.config import Config
from gps_denied_onboard.pipeline_parts import Stage
from gps_denied_onboard.replay.flight import is_flight, replay_flight
from gps_denied_onboard.replay.recording import FrameTrace, replay_recording
from gps_denied_onboard.runtime_root.stopwatch import Stopwatch

REST = "rest"
"""Reading, decoding of pictures, integrity, and what leaves: all outside of the pipeline's stages."""
SOURCE = Path(gps_denied_onboard.__path__[0]).parent


@dataclass(frozen=True, slots=True)
class FunctionTime:
    """A function's calls, its own time and that of all it called, s; `name` is file:line(function) or a built-in."""

    name: str
    calls: int
    own_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class ReplayProfile:
    """`stages_s` sums to `wall_s`, REST included; both of the run at full speed. `profiled_s` is the other's length."""

    frames: int
    wall_s: float
    cpu_s: float
    stages_s: Mapping[str, float]
    profiled_s: float
    functions: tuple[FunctionTime, ...]
    stats: pstats.Stats
    problems: tuple[str, ...]


def profile_replay(recording: Path, config: Config | None, pictures: Path | None = None) -> ReplayProfile:
    """Replay a recording twice and tell where its time goes, on one thread. UserError as the replay's."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        frames, stages_s, problems = _timed(recording, config, pictures)
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_began_s
        profiler = cProfile.Profile()
        again_s = time.perf_counter()
        with profiler:
            _timed(recording, config, pictures)
        profiled_s = time.perf_counter() - again_s
    finally:
        cv2.setNumThreads(threads)
    stats = pstats.Stats(profiler)
    rest_s = max(wall_s - sum(stages_s.values()), 0.0)
    return ReplayProfile(
        frames, wall_s, cpu_s, {**stages_s, REST: rest_s}, profiled_s, function_times(stats), stats, problems
    )


def _timed(
    recording: Path, config: Config | None, pictures: Path | None
) -> tuple[int, dict[str, float], tuple[str, ...]]:
    """Frames, seconds of each stage, and problems of one replay that keeps nothing."""
    if is_flight(recording):
        watch = Stopwatch(time.perf_counter_ns)
        stage: Stage = watch.stage
        flown = replay_flight(recording, config, None, pictures, stage)
        count = flown.frames_with_picture + flown.frames_without_picture
        return count, {name: ms / 1e3 for name, ms in watch.take().items()}, flown.problems
    spent: dict[str, float] = {}
    summary = replay_recording(recording, config or Config(), None, _summed(spent))
    return summary.frames, spent, summary.problems


def _summed(spent: dict[str, float]) -> Callable[[FrameTrace], None]:
    def observer(trace: FrameTrace) -> None:
        for name, ms in trace.stage_ms.items():
            spent[name] = spent.get(name, 0.0) + ms / 1e3

    return observer


def function_times(stats: pstats.Stats) -> tuple[FunctionTime, ...]:
    """All functions, the one with the most time of its own first."""
    held: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = stats.stats  # type: ignore[attr-defined]
    out = [FunctionTime(_name(*key), calls, own_s, total_s) for key, (_, calls, own_s, total_s, _) in held.items()]
    return tuple(sorted(out, key=lambda one: (-one.own_s, one.name)))


def _name(path: str, line: int, function: str) -> str:
    """As pstats writes it, paths below our source without what is before it."""
    if path == "~":
        return function
    file = Path(path)
    shown = file.relative_to(SOURCE) if file.is_relative_to(SOURCE) else Path(*file.parts[-2:])
    return f"{shown}:{line}({function})"
