"""The GPS monitor over a log: when each verdict on its receiver would have changed, and why.

The verdicts are those of `integrity.gps_health`, as they fly. There is no map here: the receiver is compared with dead
reckoning by the log's own sensors (`gps_reference`), and with itself. Three contradictions are looked for besides,
which the flown monitor does not watch: its altitude against the barometer's, a position that stands still while the air
or its own velocity does not, and one that leaves the sum of its own velocities little by little.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.integrity import gps_health
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.gps_health import GpsMeasurement, HealthState
from gps_denied_onboard.integrity.monitor import measurement_of
from gps_denied_onboard.messages import AirspeedSample, BaroSample, FixType, GpsHealth, GpsSample, ImuSample
from gps_denied_operator.evaluate.gps_reference import Apart, DeadReckoning, fusion_for, has_airspeed, thinned
from gps_denied_operator.logs.flight_log import FlightLog

SETTLED_S = 10.0
"""A receiver is listened to once it has been good for so long: before, it is only finding its first place."""
DEGRADED_ALARM_S = 2.0
CLEARING_SIGMA_M = 12.0
"""What was called spoofed is called good again only by a state as sure as this: less would not see what moved it."""
JUDGING_SIGMA_M = 60.0
"""Dead reckoning by the log that is surer than this calls a receiver good: there is no map that could do better."""
BACK_M, BACK_SHARE, BACK_S_MAX = 12.0, 0.3, 20.0
"""A receiver is back when it is where it was before against dead reckoning, to within this, or this share of how far it
had gone: a glitch is over then. Later dead reckoning no longer knows."""
BACK_SAMPLES = 10
FORGIVEN_S = 60.0
"""A receiver that contradicted itself and that nothing can judge any more is looked at anew after this."""
SPEED_FLOOR_MPS = {True: 1.0, False: 2.0}
"""Of a receiver's velocity in a log, with airspeed and without: it is some tenths of a second late, and what flies
without airspeed accelerates fast."""
ALTITUDE_APART_M, ALTITUDE_SHARE = 40.0, 0.08
"""A receiver's altitude may leave the barometer's by so much, and by this share of a climb: air that is 20 degrees
warmer than the standard's is 7 % thinner."""
ALTITUDE_SAMPLES = 5
ALTITUDE_TIME_S = 900.0
FROZEN_S = 3.0
FLYING_MPS, MOVING_MPS = 10.0, 1.0
"""Airspeed that is surely flight, and a receiver's own velocity that is surely motion: its place cannot be the same."""
SLOW_CREEP_S, SLOW_CREEP_M, SLOW_CREEP_ACCURACIES = 60.0, 25.0, 4.0
"""Over this time a receiver's place follows the sum of its velocities to within so many metres, or so many times its
accuracy: of 25 flights of real receivers the worst was 17 m at an accuracy of 6 m."""
GAP_S, PAUSE_S = 0.5, 5.0
"""Nothing at all for so long is no receiver's silence, and for longer the log has stopped: its clock may have been set
in between."""
START_REASON = "the receiver has found no place yet"


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """From `t_s` on (seconds since the log's first message) the verdict is this one."""

    t_s: float
    verdict: GpsHealth
    reason: str


@dataclass(frozen=True, slots=True)
class GpsLogResult:
    """What the monitor says of one log. `alarms` counts the times at which a receiver that had been good was called
    spoofed, or degraded for DEGRADED_ALARM_S; `watched_s` is how long it was watched in all. `slowest_drift_mps`: a
    receiver that drifts more slowly than this, its velocity agreeing, is not told; None: no drift is, however fast."""

    log: str
    duration_s: float
    gps_samples: int
    verdicts: tuple[VerdictChange, ...]
    spoofed_s: float
    degraded_s: float
    alarms: int
    watched_s: float
    compared_with: str
    notes: tuple[str, ...]
    slowest_drift_mps: float | None = None
    track: tuple[tuple[float, float, float], ...] = ()


@dataclass(slots=True)
class _Extra:
    """What is remembered for the contradictions that only a log shows."""

    baro_m: float | None = None
    airspeed_mps: float = 0.0
    apart_m: float | None = None
    apart_ns: int = 0
    apart_count: int = 0
    climb_from_m: float = 0.0
    place: tuple[float, float, float] | None = None
    place_ns: int = 0
    last: GpsMeasurement | None = None
    crept: deque[tuple[int, float, float]] = field(default_factory=deque)

    def faults(self, sample: GpsSample, claim: GpsMeasurement, config: IntegrityConfig) -> tuple[str, ...]:
        """Contradictions of a sample that has a fix; `claim` is the same in the local frame."""
        found = {"altitude": self._altitude(sample), "frozen": self._frozen(sample),
                 "slow creep": self._crept(claim, config)}  # fmt: skip
        return tuple(name for name, there in found.items() if there)

    def settle(self) -> None:
        """From now on the receiver counts: what it said while it found its place does not."""
        self.apart_m, self.apart_count = None, 0
        self.last = None
        self.crept.clear()

    def _altitude(self, sample: GpsSample) -> bool:
        """Whether its height has left the barometer's, by more than weather and receivers do."""
        if self.baro_m is None:
            return False
        apart_m = sample.altitude_amsl_m - self.baro_m
        if self.apart_m is None:
            self.apart_m, self.apart_ns, self.climb_from_m = apart_m, sample.t_ns, self.baro_m
        allowed_m = ALTITUDE_APART_M + ALTITUDE_SHARE * abs(self.baro_m - self.climb_from_m)
        off = abs(apart_m - self.apart_m) > allowed_m
        self.apart_count = self.apart_count + 1 if off else 0
        if not off:
            weight = 1.0 - math.exp(-max(sample.t_ns - self.apart_ns, 0) / (ALTITUDE_TIME_S * 1e9))
            self.apart_m += weight * (apart_m - self.apart_m)
            self.climb_from_m += weight * (self.baro_m - self.climb_from_m)
        self.apart_ns = sample.t_ns
        return self.apart_count >= ALTITUDE_SAMPLES

    def _frozen(self, sample: GpsSample) -> bool:
        """Whether its place has not changed by a bit for too long, in flight by the airspeed or its own word."""
        place = (sample.latitude_deg, sample.longitude_deg, sample.altitude_amsl_m)
        if place != self.place:
            self.place, self.place_ns = place, sample.t_ns
        moving = self.airspeed_mps > FLYING_MPS or math.hypot(*sample.velocity_ned_mps[:2]) > MOVING_MPS
        return moving and sample.t_ns - self.place_ns > FROZEN_S * 1e9

    def _crept(self, claim: GpsMeasurement, config: IntegrityConfig) -> bool:
        """Whether its place has left the sum of its own velocities over SLOW_CREEP_S; begins anew after a gap, a jump
        or a velocity that was not told."""
        last = self.last
        if last is not None and claim.t_ns <= last.t_ns:
            return False
        self.last = claim
        told = last is not None and gps_health.NOWHERE not in (last.velocity_en_mps, claim.velocity_en_mps)
        followed = last is not None and told and gps_health.follows(last, claim, config)
        step_m = gps_health.unexplained_m(last, claim) if last is not None and followed else gps_health.NOWHERE
        if not followed or math.hypot(*step_m) > config.jump_m_max:
            self.crept.clear()
        _, east, north = self.crept[-1] if self.crept else (0, 0.0, 0.0)
        self.crept.append((claim.t_ns, east + step_m[0], north + step_m[1]))
        while claim.t_ns - self.crept[0][0] > SLOW_CREEP_S * 1e9:
            self.crept.popleft()
        (_, e0, n0), (_, e1, n1) = self.crept[0], self.crept[-1]
        return math.hypot(e1 - e0, n1 - n0) > max(SLOW_CREEP_M, SLOW_CREEP_ACCURACIES * claim.accuracy_m)


@dataclass(slots=True)
class _Monitor:
    """The monitor's state while a log goes by. `sensors`: whether it holds more than the receiver."""

    local: LocalFrame
    config: IntegrityConfig
    reckoning: DeadReckoning
    sensors: bool
    state: HealthState = field(default_factory=HealthState)
    extra: _Extra = field(default_factory=_Extra)
    changes: list[VerdictChange] = field(default_factory=list)
    settled: bool = False
    good_since_ns: int | None = None
    accused_ns: int = 0
    sound: Apart | None = None
    back: int = 0
    furthest_m: float = 0.0
    last_ns: int = 0
    resumed_ns: int = 0
    watched_ns: int = 0

    def on_gap(self, t_ns: int) -> None:
        """A part of the log is missing before `t_ns`."""
        self.reckoning.restart()
        self.extra = _Extra()
        self.resumed_ns = t_ns
        self.settled, self.good_since_ns = False, None
        self.state = HealthState()
        self._tell(t_ns, GpsHealth.UNKNOWN, "the log has a gap")

    def tick(self, t_ns: int) -> None:
        """Time goes by: a receiver that is silent while others speak is degraded."""
        if self.last_ns and t_ns - self.last_ns > PAUSE_S * 1e9 and self.sensors:
            self.on_gap(t_ns)
        elif t_ns - self.last_ns > GAP_S * 1e9:
            self.resumed_ns = t_ns
        elif self.settled:
            self.watched_ns += max(t_ns - self.last_ns, 0)
        self.last_ns = max(t_ns, self.last_ns)
        heard_ns = self.resumed_ns if self.state.last is None else max(self.resumed_ns, self.state.last.t_ns)
        if self.settled and t_ns - heard_ns > self.config.silence_s * 1e9:
            self.state = gps_health.silent(self.state, t_ns, self.config)
            self._tell(t_ns, self.state.health, self.state.reason)

    def on_gps(self, sample: GpsSample) -> None:
        """A claim of the receiver."""
        claim = measurement_of(sample, self.local)
        good = not gps_health.quality_faults(claim, self.config)
        if not self.settled and not self._settles(sample.t_ns, good):
            self.extra.faults(sample, claim, self.config)
            self.reckoning.on_gps(sample, claim, self.config, leads=good)
            self.state = replace(HealthState(), last=claim)
            self._tell(sample.t_ns, GpsHealth.UNKNOWN, START_REASON)
            return
        reference = self.reckoning.reference(claim, self.config)
        before = self.state
        accused = before.health is GpsHealth.SPOOFED
        config = replace(self.config, reference_sigma_m_max=CLEARING_SIGMA_M) if accused else self.config
        self.state, _ = gps_health.assess(before, claim, reference, config)
        more = self.extra.faults(sample, claim, self.config) if claim.fix_type >= FixType.FIX_3D else ()
        if more:
            said = self.state.reason if self.state.health is GpsHealth.SPOOFED else ""
            reasons = dict.fromkeys((*(r for r in said.split(", ") if r), *more))
            self.state = replace(self.state, health=GpsHealth.SPOOFED, reason=", ".join(reasons), good_since_ns=None)
        doubted = self.state.health is GpsHealth.SPOOFED
        if doubted and (more or self.state.wrong or self.state.reason != before.reason):
            self.accused_ns = sample.t_ns
        self._came_back(claim)
        self._forgive(sample.t_ns, judged=reference is not None)
        doubted = self.state.health is GpsHealth.SPOOFED
        wrong = self.state.wrong > 0 or self.state.wrong_velocity > 0
        self.reckoning.on_gps(sample, claim, self.config, leads=good and not doubted and not wrong)
        self._tell(sample.t_ns, self.state.health, self.state.reason)

    def _settles(self, t_ns: int, good: bool) -> bool:
        if not good:
            self.good_since_ns = None
            return False
        self.good_since_ns = t_ns if self.good_since_ns is None else self.good_since_ns
        self.settled = t_ns - self.good_since_ns >= SETTLED_S * 1e9
        if self.settled:
            self.extra.settle()
        return self.settled

    def _came_back(self, claim: GpsMeasurement) -> None:
        """End the accusation of a receiver that has returned to where it was before it."""
        apart = self.reckoning.apart(claim)
        if self.state.health is not GpsHealth.SPOOFED:
            self.back, self.furthest_m = 0, 0.0
            if self.state.wrong == 0 and self.state.wrong_velocity == 0:
                self.sound = apart
            return
        then = self.sound
        if then is None or apart is None or apart.solution_ns != then.solution_ns:
            return
        dt_s = (apart.t_ns - then.t_ns) / 1e9
        moved_m = math.hypot(apart.en_m[0] - then.en_m[0], apart.en_m[1] - then.en_m[1])
        self.furthest_m = max(self.furthest_m, moved_m)
        doubtful = self.state.wrong or self.state.wrong_velocity
        quiet = not doubtful and math.hypot(*self.state.creep_en_mps) < self.config.creep_mps_max
        back = quiet and dt_s < BACK_S_MAX and moved_m < max(BACK_M, BACK_SHARE * self.furthest_m)
        self.back = self.back + 1 if back else 0
        if self.back >= BACK_SAMPLES and "altitude" not in self.state.reason:
            self.state = replace(HealthState(), last=claim, reason="it came back to where it was")

    def _forgive(self, t_ns: int, *, judged: bool) -> None:
        """Where nothing can judge a spoofed receiver any more, begin anew."""
        if self.state.health is GpsHealth.SPOOFED and not judged and t_ns - self.accused_ns > FORGIVEN_S * 1e9:
            self.reckoning.restart()
            self.extra.settle()
            self.state = replace(HealthState(), last=self.state.last, reason="nothing is left to judge it by")

    def _tell(self, t_ns: int, verdict: GpsHealth, reason: str) -> None:
        last = self.changes[-1] if self.changes else None
        if last is None or last.verdict is not verdict:
            self.changes.append(VerdictChange(t_ns / 1e9, verdict, reason))


def watch_log(log: FlightLog) -> GpsLogResult:
    """Run the monitor over a log. A log without GPS gives an empty list of verdicts, and says so."""
    samples = [m for m in log.messages if isinstance(m, GpsSample)]
    notes = list(log.notes)
    with_fix = [s for s in samples if s.fix_type >= FixType.FIX_3D]
    duration_s = log.duration_ns / 1e9
    if not with_fix:
        why = "it holds no GPS" if not samples else "its GPS never had a fix"
        notes.append(f"{why}: there is nothing to watch.")
        told = () if not samples else (VerdictChange(samples[0].t_ns / 1e9, GpsHealth.DEGRADED, "no fix"),)
        degraded_s = duration_s - samples[0].t_ns / 1e9 if samples else 0.0
        return GpsLogResult(
            str(log.path), duration_s, len(samples), told, 0.0, degraded_s, 0, 0.0, "nothing", tuple(notes)
        )
    local = LocalFrame(with_fix[0].latitude_deg, with_fix[0].longitude_deg, with_fix[0].altitude_amsl_m)
    fusion = fusion_for(log.messages)
    air = has_airspeed(log.messages, fusion.airspeed_min_mps)
    imu_hz = log.rate_hz(ImuSample)
    config = IntegrityConfig(
        silence_s=max(1.0, 3.0 * _step_s(samples)),
        reference_sigma_m_max=JUDGING_SIGMA_M,
        gps_speed_floor_mps=SPEED_FLOOR_MPS[air],
    )
    sensors = any(not isinstance(m, GpsSample) for m in log.messages)
    monitor = _Monitor(local, config, DeadReckoning(local, fusion, with_airspeed=air), sensors)
    breaks = list(log.breaks_ns)
    for message in thinned(log.messages, imu_hz):
        while breaks and message.t_ns >= breaks[0]:
            monitor.on_gap(breaks.pop(0))
        monitor.tick(message.t_ns)
        if isinstance(message, GpsSample):
            monitor.on_gps(message)
            continue
        if isinstance(message, BaroSample):
            monitor.extra.baro_m = message.altitude_amsl_m
        elif isinstance(message, AirspeedSample):
            monitor.extra.airspeed_mps = message.true_airspeed_mps
        monitor.reckoning.on_message(message)
    sources = [name for name, there in (("IMU and attitude", imu_hz > 0.0), ("airspeed", air)) if there]
    if not sources:
        notes.append("it holds no IMU: the receiver is compared with itself only.")
    return _result(log, len(samples), monitor, " and ".join(sources) or "itself only", notes, with_fix)


def _result(
    log: FlightLog, count: int, monitor: _Monitor, compared: str, notes: list[str], samples: list[GpsSample]
) -> GpsLogResult:
    end_s = log.duration_ns / 1e9
    ends = [*(change.t_s for change in monitor.changes[1:]), end_s]
    spans = [(c, max(e - c.t_s, 0.0)) for c, e in zip(monitor.changes, ends, strict=True)]
    alarms = 0
    for k, (change, lasts_s) in enumerate(spans):
        before = monitor.changes[k - 1].verdict if k else GpsHealth.UNKNOWN
        if (change.verdict is GpsHealth.SPOOFED and before is not GpsHealth.SPOOFED) or (
            change.verdict is GpsHealth.DEGRADED and before is not GpsHealth.SPOOFED and lasts_s >= DEGRADED_ALARM_S
        ):
            alarms += 1
    stride = max(1, len(samples) // 4000)
    return GpsLogResult(
        log=str(log.path),
        duration_s=end_s,
        gps_samples=count,
        verdicts=tuple(monitor.changes),
        spoofed_s=sum(s for c, s in spans if c.verdict is GpsHealth.SPOOFED),
        degraded_s=sum(s for c, s in spans if c.verdict is GpsHealth.DEGRADED),
        alarms=alarms,
        watched_s=monitor.watched_ns / 1e9,
        compared_with=compared,
        notes=tuple(notes),
        slowest_drift_mps=monitor.reckoning.slowest_drift_mps,
        track=tuple((s.t_ns / 1e9, s.latitude_deg, s.longitude_deg) for s in samples[::stride]),
    )


def _step_s(samples: list[GpsSample]) -> float:
    """How far apart the receiver's samples are, by the middle."""
    steps = np.diff([s.t_ns for s in samples])
    steps = steps[steps > 0]
    return float(np.median(steps)) / 1e9 if len(steps) else 1.0
