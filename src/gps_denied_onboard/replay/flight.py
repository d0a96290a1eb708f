"""A flown recording again: its inputs in the order in which the flight took them, so that the same positions come out.

Without pictures, odometry steps and map fixes are taken from the recording and everything behind them is computed.
With a folder of frames, those are computed too, for each frame whose picture is there: a test flight may have kept one
a second (see recorder.pictures). The recorded positions are compared bit by bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.config import Config, config_from_tree, without_places
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.recording import RecordingFrames
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import Frame, NavState, Output, PoseFix, ThermalSample
from gps_denied_onboard.pipeline import Pipeline
from gps_denied_onboard.pipeline_parts import MatchJob, OdometryJob, Stage
from gps_denied_onboard.recorder.kinds import KINDS, TELEMETRY_KINDS, encoded
from gps_denied_onboard.recorder.mcap_io import SEGMENT_FILES, TELEMETRY_FILE
from gps_denied_onboard.recorder.meta import FRAMES_FOLDER, RecordingMeta, read_meta, terrain_inside, tiles_inside
from gps_denied_onboard.recorder.navlog import NavLog
from gps_denied_onboard.recorder.output_folder import OutputFolder
from gps_denied_onboard.recorder.pictures import file_name
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.records import (
    FrameRecord,
    HeaderRecord,
    JobTakenRecord,
    MovedRecord,
    OverrunRecord,
    TickRecord,
)
from gps_denied_onboard.runtime_root.build import World, build_pipeline, open_map
from gps_denied_onboard.runtime_root.provisioned_cache import open_provisioned
from gps_denied_onboard.runtime_root.strategies import load_composition
from gps_denied_onboard.tiles.terrain_file import read_terrain
from gps_denied_onboard.untrusted.folders import inside, plain_files
from gps_denied_onboard.untrusted.text import shown

INPUT_KINDS = (*TELEMETRY_KINDS, "frame", "moved", "job_taken", "fix", "tick", "thermal", "overrun", "navstate")
_NAVSTATE = KINDS["navstate"]


@dataclass(frozen=True, slots=True)
class FlightReplaySummary:
    """`states` positions came out; `identical` of them are the recorded ones bit by bit, and `first_difference_ns` is
    when the first other one was due (None: there is none). `pictures`: odometry and map search were computed too, for
    `frames_with_picture` frames; the recording's own results stand for `frames_without_picture`."""

    states: int
    recorded: int
    identical: int
    first_difference_ns: int | None
    pictures: bool
    problems: tuple[str, ...]
    frames_with_picture: int = 0
    frames_without_picture: int = 0


def is_flight(recording: Path) -> bool:
    """Whether a recording is a flight's (segments) and not a simulation's."""
    return not (recording / TELEMETRY_FILE).is_file() and bool(plain_files(recording, SEGMENT_FILES))


def replay_flight(
    recording: Path, config: Config | None, out: Path | None, pictures: Path | None = None, stage: Stage | None = None
) -> FlightReplaySummary:
    """Replay a flight into `out` (None: keep nothing), with the configuration that it was flown with, or another.

    pictures: the folder in which a test flight kept its pictures, where that is not the recording itself. stage: told
    of each stage that runs.
    """
    meta = read_meta(recording)
    reader = FlightReader(recording)
    header = reader.first("header")
    if not isinstance(header, HeaderRecord):
        raise UserError(f"{recording} holds no flight header; run operator-tool fdr verify on it.")
    flown = config or _flown_config(recording, header)
    with ExitStack() as stack:
        folder = stack.enter_context(OutputFolder(out, "replay")) if out is not None else None
        log = stack.enter_context(NavLog(folder)) if folder is not None else None
        kept = _kept_pictures(recording, pictures)
        problems = _without_pictures(recording, header, kept)
        if kept == recording and config is None and tiles_inside(recording, meta) is None:
            problems.append(
                "pictures were kept, but no map is at hand: give --config with map.directory to search anew"
            )
            kept = None
        try:
            replayed = _FlightReplay(recording, meta, flown, kept, stack, stage or _untimed)
            summary = replayed.run(reader, log.write if log is not None else _drop)
            return replace(summary, problems=(*problems, *summary.problems))
        except (ArithmeticError, ValueError, MemoryError) as error:
            if config is not None:
                raise
            raise UserError(
                f"the configuration in the header of {recording} cannot be flown ({shown(error) or 'no memory'}); give "
                "--config with one that can."
            ) from error


def _kept_pictures(recording: Path, pictures: Path | None) -> Path | None:
    """The folder that holds the flight's `frames`; None without. UserError for a named one that has none."""
    if pictures is None:
        return recording if inside(recording, FRAMES_FOLDER).is_dir() else None
    if not inside(pictures, FRAMES_FOLDER).is_dir():
        raise UserError(
            f"--pictures {shown(pictures)} holds no folder '{FRAMES_FOLDER}'; give the folder of the flight's name "
            "under recorder.pictures_dir."
        )
    return pictures


def _without_pictures(recording: Path, header: HeaderRecord, kept: Path | None) -> list[str]:
    """A sentence where a flight kept pictures that are not here. Where it kept them is told, and never opened."""
    told = header.config.get("recorder")
    keeping = told.get("pictures", "none") if isinstance(told, dict) else "none"
    if kept is not None or keeping == "none":
        return []
    where = told.get("pictures_dir") if isinstance(told, dict) else ""
    return [
        f"the flight kept pictures ({shown(keeping, 20)}) in {shown(where or 'its own folder', 120)}, they are not in "
        f"{shown(recording)}: give --pictures to search for them on the map again"
    ]


def _flown_config(recording: Path, header: HeaderRecord) -> Config:
    """What the header says of the estimator. No place of a file, a server or a link is ever taken from a recording."""
    try:
        flown = config_from_tree(header.config)
        return without_places(flown)
    except UserError as error:
        raise UserError(
            f"{recording} was flown by another version ({error}); give --config with one that this version knows."
        ) from error


def _untimed(_name: str) -> AbstractContextManager[None]:
    return nullcontext()


def _drop(_output: Output) -> None:
    return None


class _FlightReplay:
    def __init__(
        self,
        recording: Path,
        meta: RecordingMeta,
        config: Config,
        pictures: Path | None,
        stack: ExitStack,
        stage: Stage,
    ) -> None:
        composition = load_composition()
        provisioned = open_provisioned(config, composition, stack) if pictures is not None else None
        config = config if provisioned is None else provisioned.config
        camera = config.camera or meta.camera
        local = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
        heights = terrain_inside(recording, meta)
        terrain = None if provisioned is None else provisioned.terrain
        terrain = terrain if heights is None else read_terrain(heights)
        world = World(local, meta.origin_altitude_m, meta.ground_sigma_m, camera, terrain)
        tiles = tiles_inside(recording, meta)
        mosaic = None if provisioned is None else provisioned.mosaic
        if pictures is not None and mosaic is None:
            mosaic = open_map(config, stack, tiles)
        self._pipeline: Pipeline = build_pipeline(config, world, mosaic, composition, stage, stack)
        self._offset_ns = round(camera.time_offset_s * 1e9)
        size = (camera.width_px, camera.height_px)
        self._frames = None if pictures is None else RecordingFrames(pictures, expected_size_px=size, grey=True)
        there = () if pictures is None else plain_files(inside(pictures, FRAMES_FOLDER))
        self._there = frozenset(path.name for path in there)
        self._with_picture = self._without_picture = 0
        self._moves: dict[int, OdometryJob | None] = {}
        self._jobs: deque[MatchJob] = deque(maxlen=64)
        self._calls: dict[type[Any], Callable[[Any], list[Output]]] = {
            FrameRecord: self._on_frame,
            MovedRecord: self._on_moved,
            JobTakenRecord: self._on_job_taken,
            PoseFix: self._on_fix,
            ThermalSample: self._pipeline.on_thermal,
            TickRecord: lambda tick: self._pipeline.on_tick(tick.t_ns, tick.frame_index),
        }
        self._problems: dict[str, None] = {}

    def run(self, reader: FlightReader, write: Callable[[Output], None]) -> FlightReplaySummary:
        told: deque[NavState] = deque()
        states = recorded = identical = 0
        first_difference_ns: int | None = None
        for message in reader.messages(INPUT_KINDS):
            if isinstance(message, NavState):
                recorded += 1
                again = told.popleft() if told else None
                if again is not None and encoded(_NAVSTATE, again, "") == encoded(_NAVSTATE, message, ""):
                    identical += 1
                elif first_difference_ns is None:
                    first_difference_ns = message.t_ns
                continue
            if isinstance(message, OverrunRecord):
                if message.from_producer == "flight":
                    self._problems[f"{message.lost} records were lost in flight: {message.reason}"] = None
                continue
            if told and first_difference_ns is None:
                first_difference_ns = told[0].t_ns
            told.clear()
            for output in self._calls.get(type(message), self._pipeline.on_telemetry)(message):
                write(output)
                if isinstance(output, NavState):
                    states += 1
                    told.append(output)
        missed = () if self._frames is None else self._frames.problems
        problems = (*reader.problems, *self._problems, *missed)
        return FlightReplaySummary(
            states, recorded, identical, first_difference_ns, self._frames is not None, problems, self._with_picture,
            self._without_picture,
        )  # fmt: skip

    def _on_frame(self, record: FrameRecord) -> list[Output]:
        named = replace(record, name=file_name(record))
        loaded = self._frames.load(named) if self._frames is not None and named.name in self._there else None
        self._with_picture += loaded is not None
        self._without_picture += loaded is None
        frame = loaded or Frame(record.t_ns, record.index, np.zeros((0, 0), np.uint8), record.name)
        moved = replace(frame, t_ns=frame.t_ns + self._offset_ns)
        job = self._pipeline.begin(moved)
        self._moves[moved.t_ns if job is None else job.frame.t_ns] = job
        return []

    def _on_moved(self, record: MovedRecord) -> list[Output]:
        job = self._moves.pop(record.t_ns, None)
        if job is None:
            self._problems[f"the odometry of frame {record.index} is recorded, the frame is not"] = None
            return []
        seen = job.frame.image.size > 0 and (job.previous is None or job.previous.image.size > 0)
        step = self._pipeline.run_odometry(job) if seen else record.step
        return self._pipeline.on_odometry(job, step)

    def _on_job_taken(self, record: JobTakenRecord) -> list[Output]:
        job = self._pipeline.take_job()
        if job is None or job.frame.t_ns != record.t_ns:
            self._problems[f"frame {record.index} was searched for in flight, here it does not wait"] = None
        if job is not None:
            self._jobs.append(job)
        return []

    def _on_fix(self, fix: PoseFix) -> list[Output]:
        if self._frames is not None:
            job = next((job for job in self._jobs if job.frame.t_ns == fix.t_ns), None)
            if job is None:
                self._problems[f"the map fix of frame {fix.frame_index} is recorded, its search is not"] = None
                return []
            fix = self._pipeline.locate(job) if job.frame.image.size else fix
        return self._pipeline.on_fix(fix)
