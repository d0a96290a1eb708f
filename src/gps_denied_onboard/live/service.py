"""The navigation service: camera and autopilot in, positions to the autopilot out.

One loop owns the flight's state and the autopilot link. Pictures are read, compared with the one before, and searched
for on the map on three threads; none of them can delay a position. `t_ns` is the machine's monotonic clock, zero when
the machine was started.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.live.alert_limiter import AlertLimiter
from gps_denied_onboard.live.candidate_worker import CandidateWorker, build_candidate_writer
from gps_denied_onboard.live.flight_recording import AirborneCheck, FlightRecording
from gps_denied_onboard.live.frame_reader import FrameReader
from gps_denied_onboard.live.ground_hold import GroundHold
from gps_denied_onboard.live.links import Links, build_links
from gps_denied_onboard.live.one_heap import use_one_heap
from gps_denied_onboard.live.service_manager import ServiceManager
from gps_denied_onboard.live.worker import Worker
from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    Alert,
    GpsSample,
    NavState,
    OdometryStep,
    Output,
    PoseFix,
    Severity,
    TakeoffOrigin,
    Telemetry,
)
from gps_denied_onboard.pipeline import Pipeline
from gps_denied_onboard.pipeline_parts import MatchJob, OdometryJob
from gps_denied_onboard.recorder.log_bridge import LogBridge
from gps_denied_onboard.recorder.meta import unix_ns_from_iso
from gps_denied_onboard.runtime_root.build import World, build_pipeline, check_map_reaches, open_map
from gps_denied_onboard.runtime_root.first_steps import FirstSteps
from gps_denied_onboard.runtime_root.provisioned_cache import open_provisioned
from gps_denied_onboard.runtime_root.strategies import load_composition
from gps_denied_onboard.runtime_root.value_check import camera_problems, value_problems
from gps_denied_onboard.thermal.publisher import ThermalPublisher
from gps_denied_onboard.tiles.grid import flight_uuid

POLL_S = 0.004
SWITCH_S = 0.0005
"""How long the worker may hold the interpreter while the loop waits for it; Python's own 5 ms add up in odometry."""
STATUS_NS = 10_000_000_000


def run_live(config: Config, seconds: float) -> None:
    """Fly until SIGINT, SIGTERM, or for `seconds` (0: no limit). UserError when the configuration cannot be flown."""
    if not (math.isfinite(seconds) and seconds >= 0.0):
        raise UserError(f"--seconds must be 0 or a positive number, got {seconds}.")
    use_one_heap()
    with ExitStack() as stack:
        composition = load_composition()
        provisioned = open_provisioned(config, composition, stack, flying=True)
        config = config if provisioned is None else provisioned.config
        for missing in missing_for_flight(config):
            raise UserError(missing)
        world = _world(config, None if provisioned is None else provisioned.terrain)
        stop = _stop_on_signals(stack)
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_S)
        recording = stack.enter_context(FlightRecording(config, world, composition))
        mosaic = open_map(config, stack) if provisioned is None else provisioned.mosaic
        check_map_reaches(mosaic, world)
        pipeline = build_pipeline(config, world, mosaic, composition, _untimed, stack, (recording.observer,))
        links = build_links(config, composition)
        stack.callback(links.close)
        links.transport.on_sent = recording.sent
        reader = FrameReader(config.frames, (world.camera.width_px, world.camera.height_px), time.monotonic_ns)
        for problem in camera_problems(world.camera):
            raise UserError(problem)
        zero = unix_ns_from_iso(config.mission.utc_at_zero) if config.mission.utc_at_zero else None
        flown_as = flight_uuid(recording.flight_id)
        writer = build_candidate_writer(config, world, flown_as, zero, stack, recording.tiles)
        if mosaic.downgraded:
            recording.note_old_map(mosaic.zoom)
        workers = _Workers(
            mover=stack.enter_context(Worker("odometry", pipeline.run_odometry)),
            locator=stack.enter_context(Worker("locate", pipeline.locate)),
            candidates=None if writer is None else CandidateWorker(writer, stack),
        )
        thermal = stack.enter_context(ThermalPublisher(config.thermal, time.monotonic_ns))
        flight = _Flight(config, pipeline, links, reader, workers, thermal, recording)
        stack.enter_context(reader)
        manager = ServiceManager()
        manager.ready()
        stack.callback(manager.stopping)
        flight.run(stop, seconds, manager)


def missing_for_flight(config: Config) -> tuple[str, ...]:
    """What the configuration lacks for `run`, one sentence each; a replay takes these from its recording, and a
    provisioned cache brings camera and origin."""
    out = []
    mission = config.mission
    if config.camera is None and not mission.manifest:
        out.append(
            "no camera: add a [camera] table with width_px, height_px, fx_px, fy_px, cx_px, cy_px and the distortion "
            "of its calibration."
        )
    origin = (mission.origin_latitude_deg, mission.origin_longitude_deg)
    if not all(map(math.isfinite, origin)) and not mission.manifest:
        out.append(
            "no origin: set mission.origin_latitude_deg, mission.origin_longitude_deg and "
            "mission.ground_altitude_amsl_m to a place on the ground inside the map."
        )
    if not config.map.directory:
        out.append("no map: set map.directory in the configuration to the folder that holds the tiles.")
    if not config.autopilot.address:
        out.append("no autopilot: set autopilot.address, for example udpin:127.0.0.1:14550 or /dev/ttyACM0,115200.")
    return tuple(out)


def check_values(config: Config) -> None:
    """UserError for the first value that is wrong by itself."""
    for problem in value_problems(replace(config, camera=None)):  # the camera's own once its pictures' size is known
        raise UserError(problem)


def _world(config: Config, terrain: TerrainGrid | None) -> World:
    check_values(config)
    mission = config.mission
    assert config.camera is not None
    local = LocalFrame(mission.origin_latitude_deg, mission.origin_longitude_deg, mission.ground_altitude_amsl_m)
    return World(local, mission.ground_altitude_amsl_m, mission.ground_sigma_m, config.camera, terrain)


def _stop_on_signals(stack: ExitStack) -> threading.Event:
    """An event that SIGINT and SIGTERM set while `stack` is open."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.signal(number, lambda *_: stop.set())
        stack.callback(signal.signal, number, before)
    return stop


def _untimed(_name: str) -> AbstractContextManager[None]:
    """The loop's own stages are short; the workers time theirs."""
    return nullcontext()


def _logger(bridge: LogBridge) -> Any:
    """One line an event on stderr: warnings and worse, which the recorder gets too, and the status line."""
    import structlog

    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            bridge.processor,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Workers:
    """What runs beside the loop; `candidates` None: no tiles are made in flight."""

    mover: Worker[OdometryJob, OdometryStep]
    locator: Worker[MatchJob, PoseFix]
    candidates: CandidateWorker | None


@dataclass(slots=True)
class _Counts:
    """Since the last status line; times are the longest."""

    frames: int = 0
    fixes: int = 0
    anchored: int = 0
    gap_ms: float = 0.0
    fix_age_ms: float = 0.0
    stage_ms: dict[str, float] = field(default_factory=dict)


class _Flight:
    """The main loop. Owns the pipeline's state and the link; nothing here waits longer than POLL_S."""

    def __init__(
        self,
        config: Config,
        pipeline: Pipeline,
        links: Links,
        reader: FrameReader,
        workers: _Workers,
        thermal: ThermalPublisher,
        recording: FlightRecording,
    ) -> None:
        assert config.camera is not None
        self._config = config
        self._pipeline = pipeline
        self._links = links
        self._reader = reader
        self._mover = workers.mover
        self._locator = workers.locator
        self._thermal = thermal
        self._candidates = workers.candidates
        self._recording = recording
        mission = config.mission
        self._airborne = AirborneCheck(mission.ground_altitude_amsl_m, mission.ground_sigma_m)
        self._standing = GroundHold(mission)
        self._held: list[Telemetry] = []
        self._log = _logger(recording.bridge)
        self._gate = AlertLimiter()
        self._counts = _Counts()
        self._offset_ns = round(config.camera.time_offset_s * 1e9)
        self._period_ns = round(1e9 / config.pipeline.output_rate_hz)
        self._next_tick_ns = time.monotonic_ns()
        self._last_tick_ns = 0
        self._next_status_ns = self._next_tick_ns + STATUS_NS
        self._started = self._link_missed = False
        self._state: NavState | None = None
        self._anchored_once = False
        self._steps = FirstSteps((
            "map", "pictures", f"heartbeat of system {config.autopilot.system_id}"
            if config.strategies.autopilot == "ardupilot" else "answer of iNav",
            "attitude and height", "position sent", "place found on the map",
        ))  # fmt: skip

    def run(self, stop: threading.Event, seconds: float, manager: ServiceManager) -> None:
        """Loop until `stop` or the end of `seconds`; each round tells `manager` that we live."""
        end_ns = time.monotonic_ns() + round(seconds * 1e9) if seconds > 0.0 else None
        while not stop.wait(POLL_S):
            now_ns = time.monotonic_ns()
            manager.alive(now_ns)
            if end_ns is not None and now_ns >= end_ns:
                break
            self._poll_links(now_ns)
            self._collect_odometry(now_ns)
            self._collect_fix(now_ns)
            self._tick(time.monotonic_ns())
            self._submit_odometry()
            self._hand_over(now_ns)
            self._step(now_ns)
            if now_ns >= self._next_status_ns:
                self._next_status_ns = now_ns + STATUS_NS
                self._status()
        self._publish([Alert(time.monotonic_ns(), Severity.WARNING, "navigation has ended", always=True)])

    def _step(self, now_ns: int) -> None:
        """Tick off what has come of the first steps, and show the list when it changes."""
        if self._steps.complete:
            return
        link = self._links.state(now_ns)
        came = self._steps.tick(
            True, self._reader.read > 0, link == "up", self._started or self._standing.began,
            self._state is not None, self._anchored_once,
        )  # fmt: skip
        if came:
            self._log.info("first steps", list=self._steps.shown("" if link == "up" else link))

    def _poll_links(self, now_ns: int) -> None:
        """What the autopilot and the ground station said; what the frame reader has to tell."""
        for received in self._links.poll(now_ns):
            if isinstance(received, Alert):
                self._publish_alerts([received])
            elif self._started or self._start(received):
                self._publish(self._pipeline.on_telemetry(received))
        transport = self._links.transport
        if not transport.alive and not self._link_missed:
            self._link_missed = True
            self._log.warning("autopilot link is not open; it is tried again", why=transport.last_error)
        self._publish_alerts(Alert(now_ns, Severity.WARNING, note) for note in self._reader.notes())
        self._publish_alerts(self._recording.alerts(now_ns))
        self._publish_alerts(self._candidates.told(now_ns) if self._candidates is not None else [])
        for event in self._thermal.take():
            if isinstance(event, Alert):
                self._publish_alerts([event])
            else:
                self._publish(self._pipeline.on_thermal(event))

    def _start(self, first: Telemetry) -> bool:
        """The origin before the first sample. A flight that broke off is gone on with, if the aircraft is in the air:
        until that is clear, samples are held back. Before take-off only the GPS is watched. Tells whether the flight
        has begun; then none is held back."""
        going_on = None if self._standing.began else self._recording.resumed(first.t_ns)
        if going_on is not None:
            self._held.append(first)
            flies = self._airborne.add(first)
            if flies is None:
                return False
            going_on = self._recording.resumed(self._held[0].t_ns) if flies else None
        stood = self._standing.began
        stands = going_on is None and self._standing.holds(first, self._links.armed(time.monotonic_ns()))
        if not stood:
            self._publish_alerts(self._recording.announcements(first.t_ns))
        if stands:
            self._held.clear()
            self._publish(self._pipeline.on_telemetry(first) if isinstance(first, GpsSample) else [])
            return False
        self._started = True
        if going_on is not None:
            origin, alert = going_on
            self._publish_alerts([alert])
            self._publish(self._pipeline.on_telemetry(origin))
        else:
            self._publish(self._origin(first.t_ns))
        held, self._held = self._held, []
        for message in held:
            self._publish(self._pipeline.on_telemetry(message))
        return not held

    def _origin(self, t_ns: int) -> list[Output]:
        """The take-off origin, where the operator has given one; without it the map tells where we are."""
        mission = self._config.mission
        if not mission.takeoff_known:
            return []
        origin = TakeoffOrigin(
            t_ns,
            mission.origin_latitude_deg,
            mission.origin_longitude_deg,
            mission.ground_altitude_amsl_m,
            math.hypot(mission.takeoff_sigma_horizontal_m, self._standing.run_sigma_m),
            mission.takeoff_sigma_vertical_m,
        )
        return self._pipeline.on_telemetry(origin)

    def _submit_odometry(self) -> None:
        """Give the odometry the next picture, if one waits."""
        frame = self._reader.take() if self._mover.idle else None
        if frame is None:
            return
        self._counts.frames += 1
        job = self._pipeline.begin(replace(frame, t_ns=frame.t_ns + self._offset_ns))
        if job is not None:
            self._mover.give(job)

    def _collect_odometry(self, now_ns: int) -> None:
        done = self._mover.result()
        if done is None:
            return
        self._note_times(done.stage_ms)
        if done.error:
            self._failed(now_ns, "odometry failed on a picture", done.error)
        self._publish(self._pipeline.on_odometry(done.job, done.value))

    def _hand_over(self, now_ns: int) -> None:
        """Give the map search the oldest picture whose fix can still be fused."""
        while self._locator.idle and (job := self._pipeline.take_job()) is not None:
            if now_ns - job.frame.t_ns < self._config.fusion.history_s * 0.8e9:
                self._locator.give(job)

    def _collect_fix(self, now_ns: int) -> None:
        done = self._locator.result()
        if done is None:
            return
        self._note_times(done.stage_ms)
        if done.value is None:
            self._failed(now_ns, "map search failed on a picture", done.error)
            return
        outputs = self._pipeline.on_fix(done.value)
        self._counts.fixes += 1
        anchored = any(isinstance(o, AidRecord) and o.source == AidSource.FIX and o.accepted for o in outputs)
        self._counts.anchored += anchored
        self._anchored_once |= anchored
        if anchored and self._candidates is not None and self._candidates.free(done.value.t_ns):
            self._candidates.take(self._pipeline.candidate_of(done.job.frame, done.value))
        self._counts.fix_age_ms = max(self._counts.fix_age_ms, (now_ns - done.value.t_ns) / 1e6)
        self._publish(outputs)

    def _failed(self, now_ns: int, what: str, error: str) -> None:
        self._log.error(what, error=error)
        self._publish_alerts([Alert(now_ns, Severity.ERROR, f"{what}; see the log")])

    def _note_times(self, stage_ms: dict[str, float]) -> None:
        longest = self._counts.stage_ms
        for name, ms in stage_ms.items():
            longest[name] = max(longest.get(name, 0.0), ms)

    def _tick(self, now_ns: int) -> None:
        """Send the position if it is time for it."""
        if now_ns < self._next_tick_ns:
            return
        if self._last_tick_ns:
            self._counts.gap_ms = max(self._counts.gap_ms, (now_ns - self._last_tick_ns) / 1e6)
        self._last_tick_ns = now_ns
        self._next_tick_ns = max(self._next_tick_ns + self._period_ns, now_ns + self._period_ns // 2)
        at_rest = None if self._started else self._standing.state(now_ns)
        self._publish(self._pipeline.on_tick(now_ns) if at_rest is None else [at_rest])

    def _publish_alerts(self, alerts: Iterable[Alert]) -> None:
        """Alerts that are not the pipeline's own: its observer has not seen them."""
        for alert in alerts:
            self._recording.flight.record(alert)
            self._publish([alert])

    def _publish(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, NavState):
                self._send(output)
            elif isinstance(output, Alert) and self._gate.allows(output):
                self._links.send_alert(output.t_ns, output)
                if output.severity <= 4:
                    self._log.warning(output.text)

    def _send(self, state: NavState) -> None:
        self._state = state
        self._publish_alerts(self._links.send_state(time.monotonic_ns(), state))

    def _status(self) -> None:
        counts, self._counts = self._counts, _Counts()
        state, links = self._state, self._links
        values: dict[str, Any] = {
            "label": state.source_label.value if state is not None else "no position yet",
            "ellipse_m": round(state.ellipse_semi_major_m, 1) if state is not None else None,
            "frames": counts.frames,
            "frames_dropped": self._reader.dropped,
            "fixes": counts.fixes,
            "anchored": counts.anchored,
            "gap_ms": round(counts.gap_ms),
            "fix_age_ms": round(counts.fix_age_ms),
            **{f"{name}_ms": round(ms) for name, ms in counts.stage_ms.items()},
            "link": links.state(time.monotonic_ns()),
            **links.counts(),
            "alerts_held_back": self._gate.held_back,
        }
        if not self._steps.complete:
            self._log.info("first steps", list=self._steps.shown(links.state(time.monotonic_ns())))
        self._log.info("status", **values, **self._recording.status(time.monotonic_ns(), values))
