"""Replay: a recording through the same pipeline as in flight, with the recording's own time as the clock.

The slow stages' results arrive a fixed delay after their frame, one worker, so a replay's output depends on the
recording and the configuration alone: two replays write the same bytes. Times that it took are only returned.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.tlog import TlogWriter
from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.recording import RecordingFrames
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.live.candidate_worker import build_candidate_writer
from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    Alert,
    Frame,
    GpsSample,
    NavState,
    OdometryStep,
    Output,
    PoseFix,
    RejectReason,
)
from gps_denied_onboard.pipeline import Pipeline
from gps_denied_onboard.pipeline_parts import PipelineObserver
from gps_denied_onboard.recorder.kinds import FrameRecord
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import RecordingMeta, read_meta, terrain_inside, tiles_inside
from gps_denied_onboard.recorder.navlog import NavLog
from gps_denied_onboard.recorder.output_folder import OutputFolder
from gps_denied_onboard.replay.recorder_tap import ReplayTap
from gps_denied_onboard.runtime_root.build import World, build_pipeline, check_map_reaches, open_map
from gps_denied_onboard.runtime_root.provisioned_cache import open_provisioned
from gps_denied_onboard.runtime_root.stopwatch import Stopwatch
from gps_denied_onboard.runtime_root.strategies import load_composition
from gps_denied_onboard.tiles.grid import flight_uuid
from gps_denied_onboard.tiles.terrain_file import read_terrain

GPS_INPUT_FILE = "gps_input.tlog"
HEARTBEAT_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class FrameTrace:
    """What became of one frame: the state at its own time, with its own measurements in it."""

    t_ns: int
    index: int
    name: str
    state: NavState | None
    fix: PoseFix | None
    step: OdometryStep | None
    aids: tuple[AidRecord, ...]
    stage_ms: Mapping[str, float]
    latency_ms: float
    alerts: tuple[Alert, ...] = ()
    cpu_ms: float | None = None


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """Counts of one replay; `problems` are sentences about what of the recording could not be used."""

    frames: int
    fixes: int
    anchored: int
    states: int
    gps_input: int
    problems: tuple[str, ...]


Observer = Callable[[FrameTrace], None]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a caller wants of a replay: see `replay_recording`."""

    observer: Observer
    observers: Sequence[PipelineObserver]
    gps: Mapping[int, GpsSample]
    record: bool
    heights: bool


@dataclass(slots=True)
class _Counts:
    frames: int = 0
    fixes: int = 0
    anchored: int = 0
    outside_map: int = 0
    states: int = 0
    gps_input: int = 0


@dataclass(slots=True)
class _Pending:
    """A frame on its way through the slow stages."""

    due_ns: int
    fix: PoseFix
    frame: Frame
    step: OdometryStep | None
    stage_ms: dict[str, float]
    latency_ms: float = 0.0


@dataclass(slots=True)
class _Sinks:
    """Where outputs go; absent when nothing is kept."""

    log: NavLog | None = None
    tlog: TlogWriter | None = None
    aids: list[AidRecord] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)


def replay_recording(
    recording: Path,
    config: Config,
    out: Path | None,
    observer: Observer | None = None,
    observers: Sequence[PipelineObserver] = (),
    gps: Mapping[int, GpsSample] | None = None,
    record: bool = False,
    heights: bool = True,
) -> ReplaySummary:
    """Replay a recording folder into `out` (None: keep nothing). UserError when the recording cannot be used.

    `observer` is told of each frame, `observers` hear the pipeline. `gps` replaces the autopilot's samples of the same
    time in ns, as an attack would. `record`: `out` holds a flight recording as well, as if it had been flown. `heights`
    False: the recording's heights of the ground are left alone.
    """
    with ExitStack() as stack:
        meta = read_meta(recording)
        folder = stack.enter_context(OutputFolder(out, "replay")) if out is not None else None
        wanted = _Wanted(observer or _ignore, observers, gps or {}, record, heights)
        return _Replay(recording, meta, config, folder, stack, wanted).run()


def _ignore(_trace: FrameTrace) -> None:
    return None


def _outside_map(counts: _Counts) -> tuple[str, ...]:
    """A sentence when a tenth of the pictures or more had no map under them."""
    if counts.outside_map == 0 or counts.outside_map < counts.fixes / 10.0:
        return ()
    return (
        f"{counts.outside_map} of {counts.fixes} pictures lay outside the map and could not be anchored; "
        "give a map that covers the whole flight.",
    )


class _Replay:
    def __init__(
        self,
        recording: Path,
        meta: RecordingMeta,
        config: Config,
        folder: Path | None,
        stack: ExitStack,
        wanted: _Wanted,
    ) -> None:
        composition = load_composition()
        provisioned = open_provisioned(config, composition, stack)
        config = config if provisioned is None else provisioned.config
        self._config = config
        self._observer = wanted.observer
        self._gps = wanted.gps
        camera = config.camera or meta.camera
        local = LocalFrame(meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
        tiles = tiles_inside(recording, meta)
        self._watch = Stopwatch(time.perf_counter_ns)
        mosaic = open_map(config, stack, tiles) if provisioned is None else provisioned.mosaic
        terrain = None if provisioned is None else provisioned.terrain
        brought = terrain_inside(recording, meta)
        if terrain is None and brought is not None and wanted.heights:
            terrain = read_terrain(brought)
        world = World(local, meta.origin_altitude_m, meta.ground_sigma_m, camera, terrain)
        check_map_reaches(mosaic, world)
        self._tap: ReplayTap | None = None
        if wanted.record and folder is not None:
            self._tap = stack.enter_context(ReplayTap(folder, meta, config, composition, terrain))
        observers = wanted.observers if self._tap is None else (*wanted.observers, self._tap.observer)
        self._pipeline: Pipeline = build_pipeline(
            config, world, mosaic, composition, self._watch.stage, stack, observers
        )
        self._reader = RecordingReader(recording)
        self._frames = RecordingFrames(recording, expected_size_px=(camera.width_px, camera.height_px), grey=True)
        self._offset_ns = round(camera.time_offset_s * 1e9)
        ap = config.autopilot
        self._encoder = MavlinkEncoder(
            gps_id=ap.gps_id,
            system_id=ap.system_id,
            component_id=ap.component_id,
            unix_ns_at_zero=meta.unix_ns_at_zero,
        )
        # The same for each replay of a recording, unless the replay is recorded as a flight of its own.
        flight_id = flight_uuid(recording.resolve().name if self._tap is None else self._tap.flight_id)
        snapshots = None if self._tap is None else self._tap.tiles
        self._candidates = build_candidate_writer(config, world, flight_id, meta.unix_ns_at_zero, stack, snapshots)
        self._sinks = _Sinks()
        if folder is not None:
            self._sinks.log = stack.enter_context(NavLog(folder))
            self._sinks.tlog = stack.enter_context(TlogWriter(folder / GPS_INPUT_FILE, meta.unix_ns_at_zero))
        self._counts = _Counts()
        self._pending: list[tuple[int, int, _Pending]] = []
        self._worker_free_ns = 0
        self._next_tick_ns: int | None = None
        self._next_beat_ns = 0

    def run(self) -> ReplaySummary:
        last_ns = -1
        for event in self._reader.events():
            last_ns = event.t_ns
            self._advance(event.t_ns)
            if self._tap is not None:
                self._tap.step(event.t_ns)
            if isinstance(event, FrameRecord):
                self._on_frame(event)
            else:
                told = self._gps.get(event.t_ns, event) if isinstance(event, GpsSample) else event
                self._publish(self._pipeline.on_telemetry(told))
        if last_ns < 0:
            why = " ".join(self._reader.problems) or "it is empty."
            raise UserError(f"{self._reader.path} holds no message that can be used: {why}")
        self._advance(last_ns + round((self._config.pipeline.worker_delay_s + 0.01) * 1e9))
        for _, _, waiting in sorted(self._pending, key=lambda p: p[:2]):
            self._deliver(waiting)
        c = self._counts
        problems = (*self._reader.problems, *self._frames.problems, *_outside_map(c))
        return ReplaySummary(c.frames, c.fixes, c.anchored, c.states, c.gps_input, problems)

    def _advance(self, t_ns: int) -> None:
        """Results and ticks that are due before `t_ns`, in the order of time."""
        step_ns = round(1e9 / self._config.pipeline.output_rate_hz)
        if self._next_tick_ns is None:
            self._next_tick_ns = t_ns - t_ns % step_ns + step_ns
        while True:
            due_ns = self._pending[0][0] if self._pending else None
            if due_ns is not None and due_ns <= min(t_ns, self._next_tick_ns):
                self._deliver(heapq.heappop(self._pending)[2])
            elif self._next_tick_ns <= t_ns:
                self._tick(self._next_tick_ns)
                self._next_tick_ns += step_ns
            else:
                return

    def _on_frame(self, record: FrameRecord) -> None:
        loaded = self._frames.load(record)
        if loaded is None:
            return
        frame = replace(loaded, t_ns=loaded.t_ns + self._offset_ns)
        self._counts.frames += 1
        began_ns = time.perf_counter_ns()
        outputs = self._pipeline.on_frame(frame)
        self._publish(outputs)
        step = next((o for o in outputs if isinstance(o, OdometryStep)), None)
        job = self._pipeline.take_job()
        if job is None:
            self._observer(self._trace(frame, None, step, self._watch.take(), began_ns))
            return
        # One worker: a job starts when the one before is done, and its result arrives the configured delay later.
        start_ns = max(frame.t_ns, self._worker_free_ns)
        self._worker_free_ns = start_ns + round(self._config.pipeline.worker_delay_s * 1e9)
        fix = self._pipeline.locate(job)
        pending = _Pending(self._worker_free_ns, fix, job.frame, step, self._watch.take())
        pending.latency_ms = (time.perf_counter_ns() - began_ns) / 1e6
        heapq.heappush(self._pending, (pending.due_ns, frame.index, pending))

    def _deliver(self, pending: _Pending) -> None:
        began_ns = time.perf_counter_ns()
        outputs = self._pipeline.on_fix(pending.fix)
        self._publish(outputs)
        self._counts.fixes += 1
        self._counts.outside_map += pending.fix.reason is RejectReason.OUTSIDE_MAP
        anchored = any(isinstance(o, AidRecord) and o.source == AidSource.FIX and o.accepted for o in outputs)
        self._counts.anchored += anchored
        if anchored and self._candidates is not None and self._candidates.due(pending.fix.t_ns):
            candidate = self._pipeline.candidate_of(pending.frame, pending.fix)
            self._publish([*self._candidates.write(candidate, self._watch.stage)] if candidate else [])
        spent = pending.stage_ms
        for name, ms in self._watch.take().items():
            spent[name] = spent.get(name, 0.0) + ms
        judged = next((o for o in outputs if isinstance(o, PoseFix)), pending.fix)
        trace = self._trace(pending.frame, judged, pending.step, spent, began_ns)
        self._observer(replace(trace, latency_ms=trace.latency_ms + pending.latency_ms))

    def _trace(
        self, frame: Frame, fix: PoseFix | None, step: OdometryStep | None, stage_ms: dict[str, float], began_ns: int
    ) -> FrameTrace:
        state = self._pipeline.state_at(frame.t_ns, frame.index)
        aids, self._sinks.aids = tuple(self._sinks.aids), []
        alerts, self._sinks.alerts = tuple(self._sinks.alerts), []
        latency_ms = (time.perf_counter_ns() - began_ns) / 1e6
        return FrameTrace(frame.t_ns, frame.index, frame.name, state, fix, step, aids, stage_ms, latency_ms, alerts)

    def _tick(self, t_ns: int) -> None:
        self._publish(self._pipeline.on_tick(t_ns))
        if t_ns >= self._next_beat_ns and self._sinks.tlog is not None:
            self._next_beat_ns = t_ns + HEARTBEAT_NS
            self._sinks.tlog.write(t_ns, self._encoder.heartbeat())

    def _publish(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, AidRecord):
                self._sinks.aids.append(output)
            if isinstance(output, Alert):
                self._sinks.alerts.append(output)
            if self._sinks.log is not None:
                self._sinks.log.write(output)
            if isinstance(output, NavState):
                self._counts.states += 1
                self._send(output)
            elif isinstance(output, Alert) and self._sinks.tlog is not None:
                for packet in self._encoder.statustext(output):
                    self._sinks.tlog.write(output.t_ns, packet)

    def _send(self, state: NavState) -> None:
        packet = self._encoder.gps_input(state)
        if isinstance(packet, Alert):
            self._publish([packet])
            return
        self._counts.gps_input += 1
        if self._sinks.tlog is not None:
            self._sinks.tlog.write(state.t_ns, packet)
            self._sinks.tlog.write(state.t_ns, self._encoder.source_label(state))
            self._sinks.tlog.write(state.t_ns, self._encoder.protection_level(state))
