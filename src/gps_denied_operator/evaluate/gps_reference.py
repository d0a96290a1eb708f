"""Where an aircraft of a log should be by its own inertial, air and attitude data, for a while after good GPS fixes.

Solutions of the flown filter (`fusion.eskf`) run side by side, in turn. Each is led by the receiver for a while, so
that it learns biases and wind, and then goes on alone with a sigma that grows: by the newest such solution a receiver
is found to be good, by the older one it is found to be drawn away. What a receiver says while it is doubted leads none
of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.fusion.eskf import Eskf
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.gps_health import GpsMeasurement, Reference, compare
from gps_denied_onboard.messages import (
    AirspeedSample,
    AttitudeSample,
    GpsSample,
    ImuSample,
    PoseFix,
    RejectReason,
    TakeoffOrigin,
    Telemetry,
)

AIR_PERIOD_S, INERTIAL_PERIOD_S = 30.0, 8.0
"""How long a solution is led, and then goes alone before the next one takes its place: with airspeed, and without."""
LEAD_STEP_NS = 1_000_000_000
SHOCK_MPS2 = 40.0
"""A crash or a hard landing: what an accelerometer says after it is no motion."""
IMU_HZ_MAX = 110.0
NOISE_SAMPLES = 20_000
GAP_NS = 1_000_000_000
"""Over a longer gap of the sensors nothing is reckoned."""
UNPROVEN = 1.5
"""By how much all sigmas are widened before a first solution has gone its way and held; without airspeed always."""
LOST_SIGMA_M = 300.0
"""A solution that knows no more than this says nothing of a receiver."""
UNLED_RATIO = 1.0
"""A solution that contradicts the receiver by more than its gate while it is led by it is worth nothing."""
PROVEN_MARGIN = 0.6
"""How far a solution may be off, of what earlier ones were off at the most, when the receiver was good."""
LEAD_SIGMA_M = 2.0
NO_TURN_RAD2 = 1.0e4


@dataclass(slots=True)
class _Solution:
    """One filter: `origin_ns` when it was placed (None: not yet), `alone_ns` since when it goes alone; `off_sigmas` is
    how far the receiver was from it at the most, while nobody doubted the receiver; `slowest_mps` the slowest drift
    with an agreeing velocity that it would have told until now. A drift begins a period after it went alone at the
    latest: what begins later is for the next solution."""

    filter: Eskf
    born_ns: int
    origin_ns: int | None = None
    alone_ns: int | None = None
    led_ns: int = 0
    off_sigmas: float = 0.0
    slowest_mps: float = math.inf


@dataclass(frozen=True, slots=True)
class Apart:
    """A claim minus a solution's position (east, north), and which solution that was."""

    t_ns: int
    en_m: tuple[float, float]
    solution_ns: int


class DeadReckoning:
    """`on_message` with everything but GPS, `on_gps` with each of its claims and whether it may lead."""

    def __init__(self, local: LocalFrame, fusion: FusionConfig, *, with_airspeed: bool) -> None:
        self._local, self._fusion = local, fusion
        self._with_airspeed = with_airspeed
        self._period_ns = round((AIR_PERIOD_S if with_airspeed else INERTIAL_PERIOD_S) * 1e9)
        self._solutions: list[_Solution] = []
        self._sensed_ns: dict[type[Telemetry], int] = {}
        self._proven = 0
        self._off_sigmas = 0.0
        self._slowest_mps: list[float] = []

    @property
    def slowest_drift_mps(self) -> float | None:
        """The slowest drift of a receiver, its velocity agreeing, that would have been told from the errors of what it
        was compared with, by the middle of all solutions that went their whole way; None where none did."""
        return float(np.median(self._slowest_mps)) if self._slowest_mps else None

    @property
    def widened(self) -> float:
        """By what the sigmas are multiplied: no aircraft is known here, so each log's own solutions have to show what
        theirs are worth. Only those count that have gone their whole way: a receiver that is being drawn away now
        widens nothing."""
        least = 1.0 if self._proven and self._with_airspeed else UNPROVEN
        return max(least, PROVEN_MARGIN * self._off_sigmas)

    def apart(self, claim: GpsMeasurement) -> Apart | None:
        """How far the claim is from the newest solution that goes alone, to see later whether it came back."""
        alone = [s for s in self._solutions if s.alone_ns is not None]
        if not alone:
            return None
        newest = max(alone, key=lambda s: s.alone_ns or 0)
        own = _of(newest, claim.t_ns)
        if own is None:
            return None
        (east, north), (u, v) = claim.position_en_m, own.position_en_m
        return Apart(claim.t_ns, (east - u, north - v), newest.born_ns)

    def restart(self) -> None:
        """Forget everything: a part of the log is missing, or the aircraft was hit."""
        self._solutions.clear()

    def on_message(self, message: Telemetry) -> None:
        """A sample of a sensor, or the autopilot's attitude."""
        if isinstance(message, ImuSample) and any(abs(a) > SHOCK_MPS2 for a in message.accel_body_mps2):
            self.restart()
            return
        if isinstance(message, ImuSample | AttitudeSample):
            last_ns = self._sensed_ns.get(type(message), message.t_ns)
            self._sensed_ns[type(message)] = message.t_ns
            if message.t_ns - last_ns > GAP_NS:
                self.restart()
        for solution in self._solutions:
            solution.filter.update(message)

    def on_gps(self, sample: GpsSample, claim: GpsMeasurement, config: IntegrityConfig, *, leads: bool) -> None:
        """A claim of the receiver: it leads the solutions that still learn, unless it is in doubt."""
        t_ns = sample.t_ns
        if not leads:
            self._solutions = [s for s in self._solutions if s.alone_ns is not None]
            return
        learning = [s for s in self._solutions if s.alone_ns is None]
        for solution in learning:
            self._lead(solution, sample, claim, config)
        if not learning:
            self._solutions.append(_Solution(Eskf(self._local, _CAMERA, self._fusion, subsets=False), t_ns))
        alone = [s for s in self._solutions if s.alone_ns is not None]
        if len(alone) > (2 if self._with_airspeed else 1):
            oldest = min(alone, key=lambda s: s.alone_ns or 0)
            self._solutions.remove(oldest)
            self._proven += 1
            self._slowest_mps.append(oldest.slowest_mps)
            self._off_sigmas = max(self._off_sigmas, oldest.off_sigmas)

    def _lead(self, solution: _Solution, sample: GpsSample, claim: GpsMeasurement, config: IntegrityConfig) -> None:
        t_ns = sample.t_ns
        if solution.origin_ns is None:
            told = sample.velocity_ned_mps if claim.velocity_en_mps != (0.0, 0.0) else None
            sigma_m = max(claim.accuracy_m, LEAD_SIGMA_M)
            origin = TakeoffOrigin(
                t_ns, sample.latitude_deg, sample.longitude_deg, sample.altitude_amsl_m, sigma_m, 10.0, told
            )
            if any(record.accepted for record in solution.filter.update(origin)):
                solution.origin_ns = t_ns
            return
        if t_ns - solution.led_ns < LEAD_STEP_NS:
            return
        own = _of(solution, t_ns)
        late = t_ns - solution.origin_ns > self._period_ns // 2
        if own is not None and late and compare(claim, own, None, config).velocity_ratio > UNLED_RATIO:
            self._solutions.remove(solution)
            return
        if t_ns - solution.origin_ns >= self._period_ns:
            solution.alone_ns = t_ns
            return
        estimate = solution.filter.estimate(t_ns)
        if estimate is None:
            solution.origin_ns = None
            return
        solution.led_ns = t_ns
        up_m = float(estimate.position_enu_m[2])
        variance = max(claim.accuracy_m, LEAD_SIGMA_M) ** 2
        solution.filter.update(PoseFix(
            t_ns, True, RejectReason.NONE, np.array([*claim.position_en_m, up_m]),
            estimate.rotation_body_to_enu @ estimate.rotation_camera_to_body,
            np.diag([variance, variance, 400.0, NO_TURN_RAD2, NO_TURN_RAD2, NO_TURN_RAD2]), 0, 0, 0.0, False,
        ))  # fmt: skip

    def reference(self, claim: GpsMeasurement, config: IntegrityConfig) -> Reference | None:
        """What the claim is compared with: the older solution where it contradicts, else the newest; None without."""
        alone = sorted((s for s in self._solutions if s.alone_ns is not None), key=lambda s: s.alone_ns or 0)
        chosen = None
        for solution in alone:
            plain = _of(solution, claim.t_ns)
            if plain is None or plain.sigma_m > LOST_SIGMA_M:
                self._solutions.remove(solution)
                continue
            off = compare(claim, plain, None, config)
            ratio = max(off.position_ratio, off.velocity_ratio)
            solution.off_sigmas = max(solution.off_sigmas, math.sqrt(ratio * config.position_gate))
            chosen = _widened(plain, self.widened**2)
            drawn_s = (claim.t_ns - (solution.alone_ns or 0) - self._period_ns) / 1e9
            solution.slowest_mps = min(solution.slowest_mps, slowest_told_mps(claim, chosen, drawn_s, config))
            if ratio > self.widened**2:
                return chosen
        return chosen


def slowest_told_mps(claim: GpsMeasurement, reference: Reference, drawn_s: float, config: IntegrityConfig) -> float:
    """The slowest drift, agreed to by the claimed velocity, that is beyond a gate `drawn_s` after it set in at once."""
    if drawn_s <= 0.0:
        return math.inf
    fast = replace(reference, position_covariance_m2=reference.velocity_covariance_m2ps2).sigma_m
    fast_mps = math.sqrt(config.velocity_gate) * math.hypot(fast, config.gps_speed_floor_mps)
    claim_m = min(max(claim.accuracy_m, config.gps_floor_m), config.gps_believed_m_max)
    far_m = math.sqrt(config.position_gate) * math.hypot(reference.sigma_m, claim_m)
    return min(max(far_m, config.wrong_m_min) / drawn_s, fast_mps)


def _widened(reference: Reference, factor: float) -> Reference:
    p, v = reference.position_covariance_m2, reference.velocity_covariance_m2ps2
    return replace(
        reference,
        position_covariance_m2=(p[0] * factor, p[1] * factor, p[2] * factor),
        velocity_covariance_m2ps2=(v[0] * factor, v[1] * factor, v[2] * factor),
    )


_CAMERA = CameraModel.from_fov(640, 480, 60.0)


def _of(solution: _Solution, t_ns: int) -> Reference | None:
    estimate = solution.filter.estimate(t_ns)
    if estimate is None or not estimate.position_known:
        return None
    p, v, c = estimate.position_enu_m, estimate.velocity_enu_mps, estimate.covariance
    reference = Reference(
        (float(p[0]), float(p[1])), (float(v[0]), float(v[1])),
        (float(c[0, 0]), float(c[0, 1]), float(c[1, 1])), (float(c[3, 3]), float(c[3, 4]), float(c[4, 4])),
    )  # fmt: skip
    return reference if math.isfinite(reference.sigma_m) else None


def fusion_for(messages: Iterable[Telemetry]) -> FusionConfig:
    """The filter's settings for an aircraft that nobody here knows: its IMU's noise as the log shows it.

    Samples of a log are single ones of a shaking sensor: their scatter from one to the next is the noise that they add
    to an integral. The other sigmas are wider than those of the aircraft that the defaults are for.
    """
    samples = [m for m in messages if isinstance(m, ImuSample)][:NOISE_SAMPLES]
    base = FusionConfig()
    accel, gyro = base.accel_noise_mps2_rthz, base.gyro_noise_radps_rthz
    if len(samples) > 100:
        steps_s = np.diff([m.t_ns for m in samples]) / 1e9
        root = math.sqrt(max(float(np.median(steps_s)), 1e-4))
        accel = max(accel, root * _scatter([m.accel_body_mps2 for m in samples]))
        gyro = max(gyro, root * _scatter([m.gyro_body_radps for m in samples]))
    return FusionConfig(
        accel_noise_mps2_rthz=accel,
        gyro_noise_radps_rthz=gyro,
        accel_bias_sigma_mps2=0.2,
        autopilot_tilt_sigma_rad=0.02,
        attitude_noise_rad=0.01,
        wind_walk_mps_rts=0.08,
    )


def _scatter(values: list[tuple[float, float, float]]) -> float:
    """One sigma of a single value against its neighbours, of the worst axis; outliers do not count."""
    table = np.array(values)
    bend = table[2:] - 2.0 * table[1:-1] + table[:-2]  # a steady change is none
    return float(np.max(np.median(np.abs(bend), axis=0))) * 1.4826 / math.sqrt(6.0)


def thinned(messages: Iterable[Telemetry], rate_hz: float) -> Iterator[Telemetry]:
    """The messages with the IMU's at IMU_HZ_MAX or less: means of as many as that takes."""
    group = max(1, math.ceil(rate_hz / IMU_HZ_MAX))
    waiting: list[ImuSample] = []
    for message in messages:
        if group == 1 or not isinstance(message, ImuSample):
            yield message
            continue
        waiting.append(message)
        if len(waiting) == group:
            a = np.mean([m.accel_body_mps2 for m in waiting], axis=0).tolist()
            g = np.mean([m.gyro_body_radps for m in waiting], axis=0).tolist()
            yield ImuSample(message.t_ns, (a[0], a[1], a[2]), (g[0], g[1], g[2]))
            waiting.clear()


def has_airspeed(messages: Iterable[Telemetry], least_mps: float) -> bool:
    """Whether an airspeed sensor flew: a good part of its samples are of flight."""
    speeds = np.array([m.true_airspeed_mps for m in messages if isinstance(m, AirspeedSample)])
    return len(speeds) > 50 and float(np.mean(speeds > least_mps)) > 0.1
