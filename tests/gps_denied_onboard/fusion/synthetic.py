"""A small seeded flight with all measurements, errors as real sensors have them: slow biases, not only white noise."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import (
    ROTATION_NED_TO_ENU,
    exp_rotation,
    image_up_yaw,
    log_rotation,
    quaternion_from_matrix,
    rotation_z,
    wrap_angle,
)
from gps_denied_onboard.messages import (
    AirspeedSample,
    AttitudeSample,
    BaroSample,
    FloatArray,
    ImuSample,
    OdometryStatus,
    OdometryStep,
    PoseFix,
    RejectReason,
    TakeoffOrigin,
)

GRAVITY_MPS2 = 9.80665
SECOND_NS = 1_000_000_000
FRAME = LocalFrame(48.5, 37.0, 120.0)
CAMERA = CameraModel.from_fov(1368, 912, 60.0)
Message = ImuSample | AttitudeSample | AirspeedSample | BaroSample | TakeoffOrigin | OdometryStep | PoseFix


@dataclass(frozen=True)
class Plan:
    """What to fly and what fails; `blackouts_s` are spans without odometry and fixes.

    `gyro_drift_radps2`: how quickly each axis' zero runs away, as a gyro's does that warms up. `swing_rad`: how
    far the pitch swings in turbulence.
    """

    seed: int
    duration_s: float = 120.0
    imu_hz: float = 100.0
    frame_s: float = 1.0
    height_m: float = 500.0
    turns: bool = True
    blackouts_s: tuple[tuple[float, float], ...] = ()
    no_fix_s: tuple[tuple[float, float], ...] = ()
    map_sigma_m: float = 1.0
    fix_delay_s: float = 0.3
    odometry_delay_s: float = 0.05
    origin: bool = True
    gyro_drift_radps2: float = 0.0
    fix_pixel_px: float = 1.5
    swing_rad: float = 0.0


@dataclass
class Flight:
    """Truth at the IMU's times, and (arrival time, message) pairs in order of arrival."""

    plan: Plan
    t_ns: list[int]
    position: FloatArray
    velocity: FloatArray
    rotation: list[FloatArray]
    mount: FloatArray
    messages: list[tuple[int, Message]] = field(default_factory=list)

    def row(self, t_ns: int) -> int:
        """Index of the true state at `t_ns`."""
        return round((t_ns - self.t_ns[0]) * 1e-9 * self.plan.imu_hz)


def wander(rng: np.random.Generator, count: int, dt_s: float, sigma: float, time_s: float) -> FloatArray:
    """(count,) Gauss-Markov process."""
    decay = math.exp(-dt_s / time_s)
    out = np.empty(count)
    out[0] = rng.normal(0.0, sigma)
    drive = rng.normal(0.0, sigma * math.sqrt(1.0 - decay * decay), count)
    for k in range(1, count):
        out[k] = decay * out[k - 1] + drive[k]
    return out


def _fly(plan: Plan, rng: np.random.Generator) -> tuple[Flight, FloatArray, FloatArray, FloatArray]:
    """Truth, true specific force and rate (body), air speed; coordinated turns, mild gusts, constant wind."""
    n, dt = round(plan.duration_s * plan.imu_hz) + 1, 1.0 / plan.imu_hz
    wind = rng.normal(0.0, 4.0, 2)
    gust = np.stack([wander(rng, n, dt, 0.5, 5.0), wander(rng, n, dt, 0.5, 5.0)], axis=1)
    heading, bank, speed = float(rng.uniform(-math.pi, math.pi)), 0.0, 17.0
    period = float(rng.uniform(25.0, 45.0))
    position = np.empty((n, 3))
    velocity = np.empty((n, 3))
    rotation: list[FloatArray] = []
    airspeed = np.full(n, speed)
    p = np.array([*rng.uniform(-2000.0, 2000.0, 2), plan.height_m])
    for k in range(n):
        phase = (k * dt) % period
        wanted = 0.5 if plan.turns and phase > period - 7.0 else 0.02 * math.sin(0.3 * k * dt)
        bank += (wanted - bank) * dt / 0.6
        heading += GRAVITY_MPS2 * math.tan(bank) / speed * dt
        climb = 0.6 * math.sin(0.05 * k * dt)
        air = np.array([speed * math.sin(heading), speed * math.cos(heading), climb])
        velocity[k] = air + np.array([*(wind + gust[k]), 0.0])
        c, s = math.cos(bank), math.sin(bank)
        yaw = rotation_z(heading)
        pitch = math.asin(climb / speed) + 0.05 + plan.swing_rad * math.sin(4.6 * k * dt)
        cp, sp = math.cos(pitch), math.sin(pitch)
        level = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
        rotation.append(ROTATION_NED_TO_ENU @ yaw @ level @ np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]]))
        position[k] = p
        p = p + velocity[k] * dt
    position[1:] = position[0] + np.cumsum(0.5 * (velocity[1:] + velocity[:-1]) * dt, axis=0)
    force, rate = np.empty((n, 3)), np.empty((n, 3))
    for k in range(1, n):
        rate[k] = log_rotation(rotation[k - 1].T @ rotation[k]) / dt
        middle = rotation[k - 1] @ exp_rotation(0.5 * dt * rate[k])
        force[k] = middle.T @ ((velocity[k] - velocity[k - 1]) / dt + np.array([0.0, 0.0, GRAVITY_MPS2]))
    force[0], rate[0] = force[1], rate[1]
    tilt = np.radians(rng.normal(0.0, 3.0, 3))
    mount = exp_rotation(tilt) @ CAMERA.mount
    t_ns = [10 * SECOND_NS + round(k * dt * SECOND_NS) for k in range(n)]
    return Flight(plan, t_ns, position, velocity, rotation, mount), force, rate, airspeed


def _sensors(
    flight: Flight, force: FloatArray, rate: FloatArray, airspeed: FloatArray, rng: np.random.Generator
) -> None:
    plan, n = flight.plan, len(flight.t_ns)
    white = math.sqrt(plan.imu_hz)
    accel = force + rng.normal(0.0, 0.05, 3) + rng.standard_normal((n, 3)) * 0.003 * white
    gyro = rate + rng.normal(0.0, 0.003, 3) + rng.standard_normal((n, 3)) * 0.00015 * white
    elapsed_s = (np.arange(n) / plan.imu_hz)[:, None]
    gyro += plan.gyro_drift_radps2 * elapsed_s * np.array([1.0, -1.0, 1.0])
    attitude_step, slow_step = round(plan.imu_hz / 25.0), round(plan.imu_hz / 10.0)
    count = n // attitude_step + 1
    level = math.radians(float(rng.uniform(0.3, 0.7)))
    error = np.stack([wander(rng, count, 0.04, level, 50.0), wander(rng, count, 0.04, level, 50.0),
                      wander(rng, count, 0.04, math.radians(0.7), 90.0)], axis=1)  # fmt: skip
    error[:, 2] += math.radians(float(rng.uniform(1.0, 4.0))) * float(rng.choice([-1.0, 1.0]))
    drift = wander(rng, n // slow_step + 1, 0.1, 2.0, 600.0) + rng.normal(0.0, 2.0)
    scale = 1.0 + float(rng.normal(0.0, 0.025))
    altitude = FRAME.geodetic_from_enu(flight.position)[:, 2]
    for k, t in enumerate(flight.t_ns):
        flight.messages.append((t, ImuSample(t, tuple(accel[k].tolist()), tuple(gyro[k].tolist()))))
        if k % attitude_step == 0:
            e = error[k // attitude_step] + rng.normal(0.0, math.radians(0.05), 3)
            ned = ROTATION_NED_TO_ENU.T @ exp_rotation(e) @ flight.rotation[k]
            flight.messages.append((t, AttitudeSample(t, quaternion_from_matrix(ned))))
        if k % slow_step == 0:
            j = k // slow_step
            flight.messages.append((t, BaroSample(t, float(altitude[k] + drift[j] + rng.normal(0.0, 0.3)))))
            speed = float(np.linalg.norm(airspeed[k])) * scale + float(rng.normal(0.0, 0.4))
            flight.messages.append((t, AirspeedSample(t, speed)))


def pose_covariance(height_m: float, pixel_px: float = 1.5, inliers: int = 60) -> FloatArray:
    """(6, 6) covariance of a camera pose from points spread over the frame: tilt and position hang together."""
    half_x, half_y = 0.5 * height_m * CAMERA.width_px / CAMERA.fx_px, 0.5 * height_m * CAMERA.height_px / CAMERA.fx_px
    xs, ys = np.meshgrid(np.linspace(-half_x, half_x, 8), np.linspace(-half_y, half_y, 6))
    information = np.zeros((6, 6))
    sigma = pixel_px * height_m / CAMERA.fx_px * math.sqrt(xs.size / inliers)
    for x, y in zip(xs.ravel(), ys.ravel(), strict=True):
        h = height_m
        # Ground error of a ray for a shift of the camera (east, north, up) and a turn of it about the same axes.
        j = np.array([[1.0, 0.0, x / h, 0.0, -h - x * x / h, -y], [0.0, 1.0, y / h, h + y * y / h, 0.0, x]])
        j[0, 3] = x * y / h
        j[1, 4] = -x * y / h
        information += j.T @ j / sigma**2
    return np.asarray(np.linalg.inv(information), dtype=np.float64)


def _pictures(flight: Flight, rng: np.random.Generator) -> None:
    plan = flight.plan
    step = round(plan.frame_s * plan.imu_hz)
    rows = list(range(step // 2, len(flight.t_ns), step))

    def dark(t_s: float, spans: Sequence[tuple[float, float]]) -> bool:
        return any(a <= t_s < b for a, b in spans)

    covariance = pose_covariance(plan.height_m, plan.fix_pixel_px)
    root = np.linalg.cholesky(covariance)
    offset = np.stack([wander(rng, len(rows), plan.frame_s, plan.map_sigma_m, 60.0) for _ in range(2)], axis=1)
    ground_error = float(rng.normal(0.0, 4.0))
    height_scale = 1.0 + float(rng.normal(0.0, 0.01))
    before: int | None = None
    for j, k in enumerate(rows):
        t_s = (flight.t_ns[k] - flight.t_ns[0]) * 1e-9
        if dark(t_s, plan.blackouts_s):
            before = None
            continue
        camera = flight.rotation[k] @ flight.mount
        if before is not None:
            flight.messages.append(
                (
                    flight.t_ns[k] + round(plan.odometry_delay_s * SECOND_NS),
                    _odometry(flight, before, k, height_scale, rng),
                )
            )
        before = k
        if dark(t_s, plan.no_fix_s):
            continue
        noise = root @ rng.standard_normal(6)
        position = flight.position[k] + np.array([*offset[j], ground_error]) - noise[:3]
        seen = exp_rotation(-noise[3:]) @ camera
        fix = PoseFix(flight.t_ns[k], True, RejectReason.NONE, position, seen, covariance, 60, 70, 1.0, False, {}, j)
        flight.messages.append((flight.t_ns[k] + round(plan.fix_delay_s * SECOND_NS), fix))


def _odometry(flight: Flight, k0: int, k1: int, height_scale: float, rng: np.random.Generator) -> OdometryStep:
    yaw0 = image_up_yaw(flight.rotation[k0] @ flight.mount)
    yaw1 = image_up_yaw(flight.rotation[k1] @ flight.mount)
    prior_error = math.radians(float(rng.normal(0.0, 2.0)))
    moved = flight.position[k1] - flight.position[k0]
    sigma = np.array([0.4, 0.4, 0.8, 0.004])
    noise = rng.normal(0.0, 1.0, 4) * sigma
    turned = rotation_z(prior_error) @ moved * height_scale + noise[:3]
    height = flight.plan.height_m
    return OdometryStep(
        flight.t_ns[k0], flight.t_ns[k1], OdometryStatus.OK, "", turned, wrap_angle(yaw1 - yaw0 + float(noise[3])),
        wrap_angle(yaw0 + prior_error), np.diag(sigma**2), 1.0, 200, 180, 0.5, height, 5.0,
    )  # fmt: skip


@functools.lru_cache(maxsize=16)
def make_flight(plan: Plan) -> Flight:
    """The flight of a plan: the same for the same plan, made once and shared by the tests; do not change it."""
    rng = np.random.default_rng(plan.seed)
    flight, force, rate, airspeed = _fly(plan, rng)
    if plan.origin:
        start = flight.position[0] + rng.normal(0.0, 3.5, 3)
        lat, lon, alt = (float(v) for v in FRAME.geodetic_from_enu(start))
        east, north, up = (float(v) for v in flight.velocity[0] + rng.normal(0.0, 0.2, 3))
        t0 = flight.t_ns[0]
        flight.messages.append((t0, TakeoffOrigin(t0, lat, lon, alt, 5.0, 5.0, (north, east, -up))))
    _sensors(flight, force, rate, airspeed, rng)
    _pictures(flight, rng)
    flight.messages.sort(key=lambda pair: pair[0])
    return flight
