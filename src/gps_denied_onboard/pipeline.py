"""The whole flow: messages in, messages out. No clock, no socket, no thread; time is only in the messages.

frame -> odometry -> fusion, and frame -> (place -> match -> pose) as a job that a worker does outside; its fix comes
back through `on_fix`, stamped with the frame's own time, and is fused there. `on_tick` gives the autopilot's position.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TypeVar, TypeVarTuple

import numpy as np

from gps_denied_onboard.fusion.reasons import FilterReason
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.integrity.ground_watch import GroundWatch
from gps_denied_onboard.integrity.source_label import horizontal_sigma_m, navstate_from_estimate
from gps_denied_onboard.integrity.state_monitor import StateMonitor
from gps_denied_onboard.localisation.belief import Judged, Motion
from gps_denied_onboard.localisation.tile_candidates import CandidateJob, ground_sigma_m
from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    Alert,
    AttitudeSample,
    CameraPrior,
    Estimate,
    FloatArray,
    Frame,
    GpsSample,
    ImuSample,
    InferenceRecord,
    NavState,
    OdometryStep,
    Output,
    PoseFix,
    RelocHint,
    Severity,
    SourceLabel,
    TakeoffOrigin,
    Telemetry,
    ThermalSample,
    ThermalState,
)
from gps_denied_onboard.odometry import InertialOdometry
from gps_denied_onboard.pipeline_parts import (
    Input,
    MatchJob,
    OdometryDone,
    OdometryJob,
    PipelineObserver,
    PipelineParts,
    Stage,
    Tick,
)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


EDGE_SLANT = 0.4
"""How far ground at a picture's edge lies aside in it for each metre that its height is wrong."""


class Pipeline:
    """State of one flight. Every `on_...` takes one message and returns what leaves, in order."""

    def __init__(
        self,
        parts: PipelineParts,
        stage: Stage = lambda _name: nullcontext(),
        engines: tuple[InferenceRecord, ...] = (),
        observers: Sequence[PipelineObserver] = (),
    ) -> None:
        self._local = parts.local
        self._ground = GroundWatch(parts.terrain)
        self._odometry = parts.odometry
        self._inertial = parts.odometry if isinstance(parts.odometry, InertialOdometry) else None
        self._localiser = parts.localiser
        self._fusion = parts.fusion
        self._limits = parts.limits
        self._config = parts.config
        self._integrity = parts.integrity
        self._camera_clock = parts.camera_clock
        self._watch = parts.watch
        self._state_health = parts.state_health
        self._stage = stage
        self._engines = engines
        self._observers = observers
        self._monitor = StateMonitor(self._state_health)
        self._previous: Frame | None = None
        self._belief = parts.belief
        self._jobs: deque[MatchJob] = deque()
        self._throttled = False
        self._last_job_ns: int | None = None
        self._flown_m = 0.0
        self._travelled: FloatArray | None = None
        self._renewed_ns: int | None = None

    def _take(self, taken: Input) -> None:
        for observer in self._observers:
            observer.on_input(taken)

    def _tell(self, outputs: list[Output]) -> list[Output]:
        for observer in self._observers:
            for told in outputs:
                observer.on_output(told)
        return outputs

    def _ask(self, method: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Call a method of the integrity monitor in the observers' hearing."""
        answer = method(*arguments)
        for observer in self._observers:
            observer.on_integrity(self._integrity, method.__name__, arguments, answer)
        return answer

    def on_telemetry(self, message: Telemetry) -> list[Output]:
        """Anything that the autopilot or the operator says. The autopilot's GPS is watched, never fused."""
        self._take(message)
        return self._tell(self._heard(message))

    def _heard(self, message: Telemetry) -> list[Output]:
        if isinstance(message, GpsSample):
            known = self._integrity.is_comparable(message.t_ns)
            told = self._ask(self._integrity.on_gps, message, self._estimate(message.t_ns) if known else None)
            return [*told, *(self._beside_gps(message.t_ns) if known else [])]
        if isinstance(message, RelocHint):
            return self.on_hint(message)
        self._integrity.on_sample(message.t_ns)
        if isinstance(message, TakeoffOrigin):
            place = (message.latitude_deg, message.longitude_deg, message.altitude_amsl_m)
            self._ground.on_origin(message, self._local.enu_from_geodetic(*place))
        if isinstance(message, ImuSample):
            self._camera_clock.on_imu(message)
            if self._inertial is not None:
                self._inertial.on_imu(message)
        elif isinstance(message, AttitudeSample) and self._watch is not None:
            self._watch.on_attitude(message)
        return list(self._fusion.update(message))

    def _beside_gps(self, t_ns: int) -> list[Output]:
        """What a GPS elsewhere says of a state that nothing has confirmed."""
        if self._monitor.on_gps(self._integrity.sound_gps_en_m, self._fusion.estimate(t_ns)):
            return self._assessed(t_ns)
        return []

    def on_hint(self, hint: RelocHint) -> list[Output]:
        """The operator's place: the next frames are searched there until one is found, for two minutes at most."""
        if not (
            0.0 < hint.radius_m <= 100_000.0 and abs(hint.latitude_deg) <= 85.0 and abs(hint.longitude_deg) <= 180.0
        ):
            return [Alert(hint.t_ns, Severity.WARNING, "RELOC refused: latitude, longitude or radius is out of range")]
        estimate = self._fusion.estimate(hint.t_ns)
        place = self._local.enu_from_geodetic(hint.latitude_deg, hint.longitude_deg, 0.0)[:2]
        self._belief.tell(hint.t_ns, place, hint.radius_m / 2.0, self._motion(estimate))
        return [
            Alert(
                hint.t_ns,
                Severity.NOTICE,
                f"RELOC taken: {hint.latitude_deg:.5f},{hint.longitude_deg:.5f},{hint.radius_m:.0f}",
            )
        ]

    def on_frame(self, frame: Frame) -> list[Output]:
        """Odometry against the frame before, and a job for the worker (see `take_job`): the three next calls in one."""
        job = self.begin(frame)
        if job is None:
            return self._of_pictures() or [_unused(frame)]
        return self.on_odometry(job, self.run_odometry(job))

    def begin(self, frame: Frame) -> OdometryJob | None:
        """A frame in its order; None (and nothing more to do) while there is no attitude, or where it is not new.

        From here on its time is on the autopilot's clock: see `TimeOffsetEstimator`.
        """
        self._take(frame)
        if (t_ns := self._camera_clock.moved_ns(frame.t_ns)) != frame.t_ns:
            frame = replace(frame, t_ns=t_ns)
        previous, self._previous = self._previous, frame
        self._ask(self._integrity.on_frame, frame.t_ns)
        estimate = self._estimate(frame.t_ns)
        prior = None if estimate is None else self._camera(estimate)
        if self._watch is not None and not self._watch.on_frame(frame, estimate, prior):
            self._previous = previous
            return None
        if prior is None:
            return None
        before = self._prior(previous.t_ns) if previous is not None and previous.t_ns < frame.t_ns else None
        return OdometryJob(previous, before, frame, prior)

    def run_odometry(self, job: OdometryJob, stage: Stage | None = None) -> OdometryStep | None:
        """Odometry of a frame; None without a frame before. May run beside the other calls, one job after the other."""
        if job.previous is None or job.before is None:
            return None
        with (stage or self._stage)("odometry"):
            return self._odometry.step(job.previous, job.before, job.frame, job.prior)

    def on_odometry(self, job: OdometryJob, step: OdometryStep | None) -> list[Output]:
        """The odometry of a frame, however late; queues the frame for the map."""
        self._take(OdometryDone(job, step))
        return self._tell(self._moved(job, step))

    def _moved(self, job: OdometryJob, step: OdometryStep | None) -> list[Output]:
        out: list[Output] = []
        frame, prior = job.frame, job.prior
        if step is not None:
            out.append(step)
            before = self._fusion.estimate(frame.t_ns)
            used = self._watch is None or self._watch.on_step(frame, step, before)
            self._doubt_pictures()
            with self._stage("fusion"):
                over = self._ground.on_step(step, before)
                records = self._fusion.update(self._monitor.trusted(over)) if used else []
            out.extend([*records, *self._of_pictures()])
            self._monitor.on_records(records)
            self._ask(self._integrity.on_odometry, frame.t_ns, any(r.accepted for r in records))
        if job.before is not None:
            prior = self._prior(frame.t_ns) or prior
        if self._too_soon(frame.t_ns):
            return [*out, _passed_over(frame, "passed over: the computer is throttled for heat")]
        if len(self._jobs) >= self._config.queue_length:
            dropped = self._jobs.popleft()
            out.append(_passed_over(dropped.frame, "dropped: the queue was full"))
        self._last_job_ns = frame.t_ns
        motion = self._motion(self._fusion.estimate(frame.t_ns))
        prior = self._on_ground(prior)
        where = self._belief.look(prior, motion, self._monitor.elsewhere_m, self._monitor.elsewhere_probability)
        where = self._ground.opened(where, self._fusion.estimate(frame.t_ns) if where is prior else None)
        self._jobs.append(MatchJob(frame, where))
        return [*out, *self._ground.take()]

    def _on_ground(self, prior: CameraPrior) -> CameraPrior:
        """The prior with the ground on which its frame is to be found."""
        if self._ground.has_heights:
            estimate = self._estimate(prior.t_ns)
            if self._ground.looks_flat(prior.t_ns, estimate) and estimate is not None:
                return camera_prior(estimate, self._ground.level, self._ground.off_level(estimate))
        return prior

    def _motion(self, estimate: Estimate | None) -> Motion | None:
        """How far the aircraft has come; None of pictures alone: nothing tells by how much two show other ground."""
        if estimate is None or estimate.travelled_enu_m is None:
            return None
        travelled = estimate.travelled_enu_m
        if self._travelled is not None:
            self._flown_m += float(np.linalg.norm(travelled - self._travelled))
        self._travelled = travelled.copy()
        ground_m = self._ground.ground.up_m(estimate.position_enu_m[:2] if estimate.position_known else np.zeros(2))
        speed_sigma_mps = math.sqrt(float(np.linalg.eigvalsh(estimate.covariance[3:5, 3:5])[-1]))
        footprint_m = max(float(estimate.position_enu_m[2]) - ground_m, 20.0)
        return Motion(travelled[:2].copy(), self._flown_m, speed_sigma_mps, footprint_m)

    def on_thermal(self, sample: ThermalSample) -> list[Output]:
        """A change of the computer's thermal state. Throttled: fewer frames are searched for, positions go on."""
        self._take(sample)
        was, self._throttled = self._throttled, sample.state is ThermalState.THROTTLED
        told: list[Output] = [sample]
        if self._throttled:
            told.append(Alert(sample.t_ns, Severity.WARNING, f"throttled for heat: {sample.detail}"))
        elif was:
            told.append(Alert(sample.t_ns, Severity.NOTICE, "no longer throttled for heat"))
        return self._tell(told)

    def _of_pictures(self) -> list[Output]:
        """What there is to tell of pictures that were not used."""
        return [] if self._watch is None else [*self._watch.take()]

    def _too_soon(self, t_ns: int) -> bool:
        if not self._throttled or self._last_job_ns is None:
            return False
        early = 0.9  # frames do not come on the dot
        return t_ns - self._last_job_ns < early * self._config.throttled_matching_interval_s * 1e9

    def take_job(self) -> MatchJob | None:
        """The oldest waiting job, for the worker to hand to `locate`."""
        if not self._jobs:
            return None
        job = self._jobs.popleft()
        self._take(job)
        return job

    def locate(self, job: MatchJob, stage: Stage | None = None) -> PoseFix:
        """The slow stages. Uses nothing of the flight's state: may run beside the other calls, with its own `stage`."""
        assert self._localiser is not None, "a pipeline without a map takes fixes, it finds none"
        fix = self._localiser.locate(job.frame, job.prior, stage or self._stage)
        for observer in self._observers:
            observer.on_located(job, fix)
        return fix

    def on_fix(self, fix: PoseFix) -> list[Output]:
        """A job's result, however late."""
        self._take(fix)
        return self._tell(self._found(fix))

    def _found(self, found: PoseFix) -> list[Output]:
        judged = self._belief.judged(found)
        fix = judged.fix
        out: list[Output] = [fix, *_of_belief(judged)]
        before = self._fusion.estimate(fix.t_ns)
        if self._watch is not None and not self._watch.on_fix(fix, before):
            return [*out, *self._of_pictures()]
        used_fix = self._ground.on_fix(fix, before)
        with self._stage("fusion"):
            records = self._fusion.update(used_fix)
        out.extend([*records, *self._ground.take()])
        estimate = self._fusion.estimate(fix.t_ns)
        out.extend(self._time_of(fix, estimate))
        used = any(r.accepted for r in records)
        if self._watch is not None and before is not None and estimate is not None and _relocated(records):
            self._watch.on_relocation(before, estimate)
        elif self._watch is not None and used:
            self._watch.on_used()
        self._doubt_pictures()
        self._monitor.on_records(records)
        if used or judged.of_state:
            out.extend(self._on_picture(fix, used, estimate, judged.motion))
        if used:
            self._ground.on_used(fix)
            self._belief.settled()
            out.extend(self._ask(self._integrity.on_fix, fix, self._estimate(fix.t_ns)))
        elif fix.accepted and any(r.reason == FilterReason.OLDER_THAN_HISTORY for r in records):
            # As over a whole map: it tells the next ones where to look.
            sigma_m = math.sqrt(float(np.linalg.eigvalsh(fix.covariance[:2, :2])[-1]))
            self._belief.tell(fix.t_ns, fix.position_enu_m[:2], sigma_m, judged.motion)
        return out

    def _doubt_pictures(self) -> None:
        """Let the covariance hold a lag of the pictures until turns have shown that there is none."""
        doubt_s = 0.0 if self._watch is None else self._watch.doubt_s
        if doubt_s > self._monitor.picture_lag_s:
            self._camera_clock.forget()
        self._monitor.picture_lag_s = doubt_s

    def _on_picture(self, fix: PoseFix, used: bool, estimate: Estimate | None, motion: Motion | None) -> list[Output]:
        """What a frame's search says of the state itself: doubt, verdict, and whether an old state is ruled out."""
        if estimate is None or not estimate.position_known:
            return []
        motion = motion or self._motion(estimate)
        if motion is None:
            return []
        camera = self._camera(estimate)
        scale_sigma = camera.height_sigma_m / camera.height_m
        self._monitor.on_picture(fix, used, motion.flown_m, motion.footprint_m, scale_sigma)
        return self._assessed(fix.t_ns, renew=True)

    def _assessed(self, t_ns: int, renew: bool = False) -> list[Output]:
        """Doubt and verdict anew, and what there is to tell of them."""
        self._fusion.doubt(self._monitor.elsewhere_m)
        if renew:
            self._renew(t_ns)
        reason = self._monitor.assess(self._fusion.estimate(t_ns))  # after the doubt and the renewal
        if reason is None:
            return []
        text = f"state is UNHEALTHY: {reason}" if reason else "state is healthy again"
        severity = Severity.WARNING if reason else Severity.NOTICE
        healthy = not reason
        record = AidRecord(t_ns, AidSource.STATE_HEALTH, (), (), (), (), 0.0, healthy, reason or "healthy")
        return [record, Alert(t_ns, severity, text, always=True)]

    def _renew(self, t_ns: int) -> None:
        """Let the solutions without the map begin anew in turn, but not while they are the old state in a contest."""
        if self._monitor.drop_rival:
            self._monitor.drop_rival = False
            self._fusion.renew_without_map(t_ns, both=True)
            self._renewed_ns = t_ns
        due_ns = self._state_health.map_lane_renewed_s * 0.5e9
        if self._monitor.contested or (self._renewed_ns is not None and t_ns - self._renewed_ns < due_ns):
            return
        self._fusion.renew_without_map(t_ns, both=self._renewed_ns is None)
        self._renewed_ns = t_ns

    def _estimate(self, t_ns: int) -> Estimate | None:
        """The state with a covariance and a protection level that hold up: see `StateMonitor.protect`."""
        self._monitor.camera_clock_sigma_s = self._camera_clock.sigma_s
        return self._monitor.protect(self._fusion.estimate(t_ns))

    def _time_of(self, fix: PoseFix, estimate: Estimate | None) -> list[Output]:
        """What a fix tells of its picture's time."""
        clock = self._camera_clock
        if estimate is None or not fix.accepted or not clock.on_fix(fix, estimate.rotation_camera_to_body):
            return []
        text = f"camera's clock is off: pictures moved {clock.offset_ns / 1e6:+.0f} ms; add that to time_offset_s"
        found = (clock.estimate_s,), (clock.sigma_s**2,)
        return [
            AidRecord(fix.t_ns, AidSource.CAMERA_CLOCK, *found, (), (), 0.0, True, "pictures are moved by this"),
            Alert(fix.t_ns, Severity.WARNING, text),
        ]

    def candidate_of(self, frame: Frame, fix: PoseFix) -> CandidateJob | None:
        """What tiles may be made of after `on_fix`; None unless the frame is satellite anchored by that fix."""
        estimate = self._estimate(fix.t_ns)
        if estimate is None or not fix.accepted or fix.global_search or fix.t_ns != frame.t_ns:
            return None
        if self._state_of(estimate, fix.frame_index).source_label is not SourceLabel.SATELLITE_ANCHORED:
            return None
        ground = self._ground.ground
        ground_up_m = ground.up_m(fix.position_enu_m[:2])
        sigma_m = max(horizontal_sigma_m(estimate), ground_sigma_m(fix, ground_up_m))
        sigma_m = math.hypot(sigma_m, EDGE_SLANT * self._ground.relief_sigma_m(fix.position_enu_m))
        return CandidateJob(
            frame, fix.position_enu_m, fix.rotation_camera_to_enu, fix.covariance, sigma_m, ground_up_m, ground
        )

    def on_tick(self, t_ns: int, frame_index: int = -1) -> list[Output]:
        """The position now, for the autopilot, with what there is to tell of it and of the autopilot's own GPS."""
        self._take(Tick(t_ns, frame_index))
        estimate = self._estimate(t_ns)
        by_itself = None if estimate is None else self._state_of(estimate, frame_index)
        known = estimate is not None and estimate.position_known
        state, told = self._ask(self._integrity.on_tick, t_ns, by_itself, known)
        engines, self._engines = self._engines, ()
        return self._tell([*_told(engines, t_ns), *self._of_pictures(), *([] if state is None else [state]), *told])

    def state_at(self, t_ns: int, frame_index: int = -1) -> NavState | None:
        """The position at `t_ns` by all that has been fused so far, as that moment is seen by itself."""
        estimate = self._estimate(t_ns)
        return None if estimate is None else self._state_of(estimate, frame_index)

    def _state_of(self, estimate: Estimate, frame_index: int) -> NavState:
        labels = self._integrity.labels
        return navstate_from_estimate(
            estimate,
            labels.label(estimate.t_ns, horizontal_sigma_m(estimate), self._limits, estimate.healthy),
            labels.anchor_age_ms(estimate.t_ns),
            self._local,
            frame_index,
            labels.visual_outage_s(estimate.t_ns),
            self._integrity.config,
        )

    def _prior(self, t_ns: int) -> CameraPrior | None:
        estimate = self._estimate(t_ns)
        return None if estimate is None else self._camera(estimate)

    def _camera(self, estimate: Estimate) -> CameraPrior:
        return camera_prior(estimate, self._ground.ground, self._ground.off_level(estimate))


def camera_prior(estimate: Estimate, terrain: Terrain, off_level_m: tuple[float, float] | None = None) -> CameraPrior:
    """What the state says of the camera, for odometry and place search. `off_level_m` is how much more than by
    `terrain` is under it, and its sigma, which then counts."""
    position: FloatArray = estimate.position_enu_m
    tilt, yaw = estimate.camera_covariance_rad2[:2, :2], estimate.camera_covariance_rad2[2, 2]
    ground_up_m = terrain.up_m(position[:2] if estimate.position_known else np.zeros(2))
    more_m, known_sigma_m = off_level_m or (0.0, None)
    height_m = max(float(position[2]) - ground_up_m + more_m, 5.0)
    place_sigma_m = horizontal_sigma_m(estimate) if estimate.position_known else math.inf
    ground_sigma = terrain.sigma_m(position[:2], place_sigma_m) if known_sigma_m is None else known_sigma_m
    height_sigma_m = math.hypot(math.sqrt(max(float(estimate.covariance[2, 2]), 0.0)), ground_sigma)
    return CameraPrior(
        t_ns=estimate.t_ns,
        position_enu_m=position,
        covariance_enu_m2=estimate.covariance[:3, :3],
        rotation_camera_to_enu=estimate.rotation_body_to_enu @ estimate.rotation_camera_to_body,
        tilt_sigma_rad=math.sqrt(max(float(np.linalg.eigvalsh(tilt)[-1]), 0.0)),
        yaw_sigma_rad=math.sqrt(max(float(yaw), 0.0)),
        height_m=height_m,
        height_sigma_m=height_sigma_m,
        position_known=estimate.position_known,
        ground_flat=terrain.flat is None,
        rotation_camera_to_body=estimate.rotation_camera_to_body,
    )


def _of_belief(judged: Judged) -> list[Output]:
    """A record where frames together decided."""
    if judged.frames == 0:
        return []
    fix = judged.fix
    wrong = f"wrong with probability {fix.wrong_probability:.1e}"
    said = f"{judged.frames} frames together: {wrong}" if fix.accepted else f"another place is as likely: {wrong}"
    place = (float(fix.position_enu_m[0]), float(fix.position_enu_m[1]))
    variance = (float(fix.covariance[0, 0]), float(fix.covariance[1, 1]))
    return [AidRecord(fix.t_ns, AidSource.BELIEF, place, variance, (), (), 0.0, fix.accepted, said)]


def _relocated(records: Sequence[AidRecord]) -> bool:
    return any(record.reason == FilterReason.RELOCATED for record in records)


def _unused(frame: Frame) -> Alert:
    return Alert(frame.t_ns, Severity.INFO, "frame not used: no attitude yet")


def _passed_over(frame: Frame, why: str) -> AidRecord:
    """That a frame was not looked at on the map."""
    return AidRecord(frame.t_ns, AidSource.FRAME, (float(frame.index),), (), (), (), 0.0, False, why)


def _told(engines: Sequence[InferenceRecord], t_ns: int) -> list[Output]:
    """On what the models run, once; one alert for all that run on less than the first choice."""
    out: list[Output] = [replace(engine, t_ns=t_ns) for engine in engines]
    slower = sorted({engine.provider.removesuffix("ExecutionProvider") for engine in engines if engine.fallback})
    if slower:
        out.append(Alert(t_ns, Severity.WARNING, f"inference fell back to {', '.join(slower)}"))
    return out
