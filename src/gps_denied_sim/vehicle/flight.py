"""A small fixed-wing aircraft in wind: guidance, bank-limited coordinated turns, height and speed hold, turbulence.

The true states are such that specific force and body rate, each constant over one step, integrate back to them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU
from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.noise import stream
from gps_denied_sim.schedule import Scenario
from gps_denied_sim.vehicle.airframe import GRAVITY_MPS2, SPAN_M, cruise_speed_mps, fly_through
from gps_denied_sim.vehicle.dryden import dryden_air, turbulence
from gps_denied_sim.vehicle.route import CRUISE_MPS
from gps_denied_sim.vehicle.wind import SHIFT_S, scheduled_wind_mps

ROLL_RATE_LIMIT_RADPS = math.radians(45.0)
CLIMB_LIMIT_RAD = math.radians(7.0)


@dataclass(frozen=True, slots=True, eq=False)
class FlightTruth:
    """True motion at a fixed rate: N states, `dt_s` apart. ENU is the tangent plane at the world's origin.

    `specific_force_body_mps2` (N, 3) and `rate_body_radps` (N, 3) hold over the step that ends at the state; row 0
    repeats row 1. `rotation_body_to_enu` (N, 3, 3).
    """

    dt_s: float
    position_enu_m: FloatArray
    velocity_enu_mps: FloatArray
    rotation_body_to_enu: FloatArray
    specific_force_body_mps2: FloatArray
    rate_body_radps: FloatArray
    airspeed_mps: FloatArray

    def at(self, t_s: float) -> tuple[FloatArray, FloatArray]:
        """Position (3,) and rotation body to ENU (3, 3) at any time of the flight."""
        u = min(max(t_s / self.dt_s, 0.0), len(self.position_enu_m) - 1.0)
        k = min(int(u), len(self.position_enu_m) - 2)
        tau = (u - k) * self.dt_s
        v0, v1 = self.velocity_enu_mps[k], self.velocity_enu_mps[k + 1]
        position = self.position_enu_m[k] + v0 * tau + (v1 - v0) * (tau * tau / (2.0 * self.dt_s))
        return position, self.rotation_body_to_enu[k] @ exp_rotations(self.rate_body_radps[k + 1 : k + 2] * tau)[0]


@dataclass(frozen=True, slots=True)
class Air:
    """The air of one flight: mean wind (east, north) in m/s, turbulence strength in m/s."""

    wind_east_mps: float
    wind_north_mps: float
    turbulence_mps: float


def make_air(seed: int) -> Air:
    """0 to 8 m/s of wind from anywhere, light to moderate turbulence."""
    rng = stream(seed, "air")
    speed, direction = 8.0 * float(rng.random()) ** 0.8, float(rng.uniform(0.0, 2.0 * math.pi))
    return Air(speed * math.sin(direction), speed * math.cos(direction), float(rng.uniform(0.25, 1.1)))


def exp_rotations(vectors: FloatArray) -> FloatArray:
    """(N, 3, 3) rotation matrices of rotation vectors (N, 3) (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=1)
    small = angle < 1e-9
    safe = np.where(small, 1.0, angle)
    a = np.where(small, 1.0, np.sin(safe) / safe)[:, None, None]
    b = np.where(small, 0.5, (1.0 - np.cos(safe)) / safe**2)[:, None, None]
    k = np.zeros((len(vectors), 3, 3))
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 2] = -vectors[:, 2], vectors[:, 1], -vectors[:, 0]
    k[:, 1, 0], k[:, 2, 0], k[:, 2, 1] = vectors[:, 2], -vectors[:, 1], vectors[:, 0]
    return np.asarray(np.eye(3) + a * k + b * (k @ k))


def log_rotations(matrices: FloatArray) -> FloatArray:
    """(N, 3) rotation vectors of small rotations (N, 3, 3), angles below about 2 rad."""
    axis = np.stack(
        [
            matrices[:, 2, 1] - matrices[:, 1, 2],
            matrices[:, 0, 2] - matrices[:, 2, 0],
            matrices[:, 1, 0] - matrices[:, 0, 1],
        ],
        axis=1,
    )
    sine = np.linalg.norm(axis, axis=1) / 2.0
    angle = np.arctan2(sine, (np.trace(matrices, axis1=1, axis2=2) - 1.0) / 2.0)
    factor = np.where(sine < 1e-9, 0.5, angle / (2.0 * np.where(sine < 1e-9, 1.0, sine)))
    return np.asarray(axis * factor[:, None])


def rotations_body_to_enu(roll: FloatArray, pitch: FloatArray, yaw: FloatArray) -> FloatArray:
    """(N, 3, 3) rotations FRD to ENU of the usual aircraft angles in rad."""
    cr, sr, cp, sp, cy, sy = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw)
    ned = np.empty((len(roll), 3, 3))
    ned[:, 0] = np.stack([cp * cy, sr * sp * cy - cr * sy, cr * sp * cy + sr * sy], axis=1)
    ned[:, 1] = np.stack([cp * sy, sr * sp * sy + cr * cy, cr * sp * sy - sr * cy], axis=1)
    ned[:, 2] = np.stack([-sp, sr * cp, cr * cp], axis=1)
    return np.asarray(ROTATION_NED_TO_ENU @ ned)


class _Guidance:
    """Follows the route: bank from Park's L1 law (Park, Deyst, How 2004), height per leg."""

    def __init__(self, route: FloatArray, bank_limit_rad: float) -> None:
        self._points = [(float(p[0]), float(p[1]), float(p[2])) for p in route]
        self._leg = 1
        self._bank_limit = bank_limit_rad

    def command(self, x: float, y: float, ve: float, vn: float) -> tuple[float, float]:
        """Bank in rad (right positive) and height in m for a position and ground velocity."""
        ax, ay, _ = self._points[self._leg - 1]
        bx, by, bz = self._points[self._leg]
        speed = max(math.hypot(ve, vn), 5.0)
        dx, dy = bx - ax, by - ay
        length = max(math.hypot(dx, dy), 1.0)
        along = ((x - ax) * dx + (y - ay) * dy) / length
        radius = speed * speed / (GRAVITY_MPS2 * math.tan(self._bank_limit))
        if along > length - 1.1 * radius and self._leg < len(self._points) - 1:
            self._leg += 1
            return self.command(x, y, ve, vn)
        reach = max(5.0 * speed, 60.0)
        target = min(along + reach, length + reach)
        tx, ty = ax + dx / length * target - x, ay + dy / length * target - y
        eta = math.remainder(math.atan2(tx, ty) - math.atan2(ve, vn), 2.0 * math.pi)
        eta = min(max(eta, -1.5), 1.5)
        bank = math.atan(2.0 * speed * speed / max(math.hypot(tx, ty), 40.0) * math.sin(eta) / GRAVITY_MPS2)
        return min(max(bank, -self._bank_limit), self._bank_limit), bz


def _gusts(rng: np.random.Generator, count: int, dt_s: float, strength: float) -> FloatArray:
    """(count, 3) gusts east, north, up: first-order Gauss-Markov with Dryden's length scales at flying speed."""
    from scipy.signal import lfilter

    out = np.empty((count, 3))
    for axis, (scale_m, sigma) in enumerate(((200.0, strength), (200.0, strength), (60.0, 0.6 * strength))):
        decay = math.exp(-dt_s * CRUISE_MPS / scale_m)
        drive = rng.standard_normal(count) * sigma * math.sqrt(1.0 - decay * decay)
        drive[0] = 0.0
        out[:, axis] = lfilter([1.0], [1.0, -decay], drive)
    return out


def _shake(rng: np.random.Generator, count: int, dt_s: float, sigma_rad: float) -> FloatArray:
    """(count,) smooth angle disturbance of about 1 Hz (second-order resonance, damping 0.5)."""
    from scipy.signal import lfilter

    w, z = 2.0 * math.pi * 0.8, 0.5
    a1, a2 = -2.0 * math.exp(-z * w * dt_s) * math.cos(w * math.sqrt(1 - z * z) * dt_s), math.exp(-2.0 * z * w * dt_s)
    signal = lfilter([1.0], [1.0, a1, a2], rng.standard_normal(count + 400))[400:]
    return np.asarray(signal * (sigma_rad / signal.std()) if count > 400 else signal * sigma_rad * w * w * dt_s**1.5)


def _start_course(route: FloatArray) -> float:
    return math.atan2(float(route[1, 0] - route[0, 0]), float(route[1, 1] - route[0, 1]))


def fly(scenario: Scenario, route: FloatArray, air: Air, seed: int, duration_s: float, rate_hz: float) -> FlightTruth:
    """Simulate the flight along `route` (N, 3) from its first waypoint, already at height and speed."""
    air = scheduled_air(scenario, air)
    if scenario.rough:
        return _truth_of(_fly_rough(scenario, route, air, seed, duration_s, rate_hz), route, 1.0 / rate_hz)
    rng = stream(seed, "flight")
    dt = 1.0 / rate_hz
    count = round(duration_s * rate_hz) + 1
    gusts = _gusts(rng, count, dt, air.turbulence_mps)
    shake = [_shake(rng, count, dt, math.radians(s) * air.turbulence_mps) for s in (1.3, 0.7, 0.8)]
    states = _integrate(scenario, route, air, gusts, dt)
    states[:, 3:6] += np.stack(shake, axis=1)
    return _truth_of(states, route, dt)


def scheduled_air(scenario: Scenario, air: Air) -> Air:
    """The seed's air with the schedule's steady wind, where it has one."""
    wind = scenario.active("wind", 0.0)
    if wind is None:
        return air
    azimuth = math.radians(wind.azimuth_deg)
    return replace(air, wind_east_mps=wind.value * math.sin(azimuth), wind_north_mps=wind.value * math.cos(azimuth))


def _fly_rough(
    scenario: Scenario, route: FloatArray, air: Air, seed: int, duration_s: float, rate_hz: float
) -> FloatArray:
    """(N, 7) states as of `_integrate`, of an airframe with six degrees of freedom in Dryden's turbulence."""
    count, dt = round(duration_s * rate_hz) + 1, 1.0 / rate_hz
    wind = scheduled_wind_mps(scenario, (air.wind_east_mps, air.wind_north_mps), count, dt)
    severity = max(e.value for e in scenario.events if e.kind == "turbulence")
    speed = cruise_speed_mps(CRUISE_MPS, math.hypot(air.wind_east_mps, air.wind_north_mps))
    air_moves = dryden_air(float(route[:, 2].mean()), severity)
    rough = turbulence(stream(seed, "rough-air"), air_moves, speed, SPAN_M, count, dt)
    guidance = _Guidance(route, math.radians(40.0 if scenario.route == "turns" else 30.0))
    x, y, z = (float(v) for v in route[0])
    return fly_through(guidance.command, (x, y, z), _start_course(route), CRUISE_MPS, wind, rough, dt)


def _truth_of(states: FloatArray, route: FloatArray, dt: float) -> FlightTruth:
    """The truth of states (N, 7), with the specific force and body rates that lead from each to the next."""
    velocity = states[:, 0:3]
    steps = (velocity[1:] + velocity[:-1]) * (dt / 2.0)
    start = np.array([route[0, 0], route[0, 1], route[0, 2]])
    position = np.concatenate([[start], start + np.cumsum(steps, axis=0)])
    rotation = rotations_body_to_enu(states[:, 3], states[:, 4], states[:, 5])
    rate = log_rotations(np.swapaxes(rotation[:-1], 1, 2) @ rotation[1:]) / dt
    middle = rotation[:-1] @ exp_rotations(rate * (dt / 2.0))
    acceleration = np.diff(velocity, axis=0) / dt + np.array([0.0, 0.0, GRAVITY_MPS2])
    force = np.einsum("nji,nj->ni", middle, acceleration)
    return FlightTruth(
        dt_s=dt,
        position_enu_m=position,
        velocity_enu_mps=velocity,
        rotation_body_to_enu=rotation,
        specific_force_body_mps2=np.concatenate([force[:1], force]),
        rate_body_radps=np.concatenate([rate[:1], rate]),
        airspeed_mps=states[:, 6],
    )


def _integrate(scenario: Scenario, route: FloatArray, air: Air, gusts: FloatArray, dt: float) -> FloatArray:
    """(N, 7): ground velocity east, north, up; roll, pitch, yaw; airspeed."""
    bank_limit = math.radians(45.0 if scenario.route == "turns" else 30.0)
    guidance = _Guidance(route, bank_limit)
    x, y, z = (float(v) for v in route[0])
    course = _start_course(route)
    speed, bank, bank_rate, climb, climb_rate = CRUISE_MPS, 0.0, 0.0, 0.0, 0.0
    shift = next((e for e in scenario.events if e.kind == "wind_shift"), None)
    felt = [0.0, 0.0, 0.0]
    out = np.empty((len(gusts), 7))
    ve, vn = speed * math.sin(course), speed * math.cos(course)
    bank_command, height_command = 0.0, z
    for k, gust in enumerate(gusts.tolist()):
        if k % 5 == 0:
            bank_command, height_command = guidance.command(x, y, ve, vn)
        bank_rate += (4.8 * (bank_command - bank) - 3.6 * bank_rate) * dt
        bank_rate = min(max(bank_rate, -ROLL_RATE_LIMIT_RADPS), ROLL_RATE_LIMIT_RADPS)
        bank += bank_rate * dt
        wanted = min(max(0.06 * (height_command - z) / speed, -CLIMB_LIMIT_RAD), CLIMB_LIMIT_RAD)
        climb_rate += (1.0 * (wanted - climb) - 1.8 * climb_rate) * dt
        climb += climb_rate * dt
        speed += ((CRUISE_MPS - speed) / 6.0 - 0.12 * GRAVITY_MPS2 * math.sin(climb)) * dt
        course += GRAVITY_MPS2 * math.tan(bank) / speed * dt
        felt = [f + (g - f) * dt / 0.9 for f, g in zip(felt, gust, strict=True)]
        we, wn = air.wind_east_mps, air.wind_north_mps
        if shift is not None:
            grown = min(max((k * dt - shift.start_s) / SHIFT_S, 0.0), 1.0) * shift.value
            we += grown * math.sin(math.radians(shift.azimuth_deg))
            wn += grown * math.cos(math.radians(shift.azimuth_deg))
        sin_c, cos_c, cos_g = math.sin(course), math.cos(course), math.cos(climb)
        ve = speed * cos_g * sin_c + we + felt[0]
        vn = speed * cos_g * cos_c + wn + felt[1]
        vu = speed * math.sin(climb) + felt[2]
        x, y, z = x + ve * dt, y + vn * dt, z + vu * dt
        across = (gust[0] - felt[0]) * cos_c - (gust[1] - felt[1]) * sin_c
        head = (gust[0] - felt[0]) * sin_c + (gust[1] - felt[1]) * cos_c
        load = 1.0 / max(math.cos(bank), 0.4)
        attack = math.radians(5.0) * load * (CRUISE_MPS / speed) ** 2 - math.radians(2.5)
        out[k] = (ve, vn, vu, bank, climb + attack, course - 0.5 * across / speed, speed - head)
    return out
