"""A small aircraft with six degrees of freedom, held by a simple autopilot, in whatever air it meets.

Forces and moments are linear in angle of attack, sideslip and rates (Beard, McLain 2012, chapter 4), with stall. The
turbulence acts on the velocity and rates against the air, so that it shakes attitude, sideslip and airspeed as it
does a real one; the yaw damper coordinates a turn only in part, so that sideslip stands in turns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.vehicle.dryden import Turbulence

GRAVITY_MPS2 = 9.80665
AIR_DENSITY_KGPM3 = 1.15
SPAN_M = 2.2
MASS_PER_AREA_KGPM2 = 9.0
LIFT_SLOPE, LIFT_MAX = 4.8, 1.25
DRAG_ZERO, DRAG_INDUCED, SIDE_SLOPE = 0.035, 0.055, -0.55
REFERENCE_MPS = 20.0
SUBSTEPS = 2
LIMIT_BANK_RAD, LIMIT_PITCH_RAD = math.radians(70.0), math.radians(45.0)

Command = Callable[[float, float, float, float], tuple[float, float]]
"""Bank in rad and height in m that the guidance wants at x, y with ground velocity east, north."""


@dataclass(frozen=True, slots=True)
class Derivatives:
    """Angular accelerations at the reference speed, 1/s2 a rad of sideslip or attack, 1/s a rad/s of rate."""

    roll_damping: float = -9.0
    roll_sideslip: float = -7.0
    pitch_damping: float = -5.0
    pitch_attack: float = -45.0
    yaw_damping: float = -1.6
    yaw_sideslip: float = 18.0
    roll_limit: float = 25.0
    pitch_limit: float = 20.0


DERIVATIVES = Derivatives()


@dataclass(slots=True)
class _Body:
    """Velocity ENU, attitude (roll, pitch, yaw to north) and body rates; thrust and the height error's integral."""

    ve: float
    vn: float
    vu: float
    roll: float
    pitch: float
    yaw: float
    p: float = 0.0
    q: float = 0.0
    r: float = 0.0
    thrust: float = 0.0
    trim: float = 0.0


def cruise_speed_mps(calm_mps: float, wind_mps: float) -> float:
    """Airspeed that the autopilot holds: more in wind that would carry it away, as far as the motor reaches."""
    return calm_mps + min(max(wind_mps - 9.0, 0.0), 9.5)


def fly_through(
    command: Command,
    start: tuple[float, float, float],
    course_rad: float,
    calm_mps: float,
    wind_mps: FloatArray,
    rough: Turbulence,
    dt_s: float,
) -> FloatArray:
    """(N, 7) ground velocity east, north, up; roll, pitch, yaw; airspeed, from `start` along `course_rad`.

    `wind_mps` (N, 3) ENU; `rough` along the heading. The airspeed is the component along the pitot tube.
    """
    x, y, z = start
    wind, gusts, turns = wind_mps.tolist(), rough.velocity_mps.tolist(), rough.rate_radps.tolist()
    speed = cruise_speed_mps(calm_mps, math.hypot(wind[0][0], wind[0][1]))
    body = _Body(
        speed * math.sin(course_rad) + wind[0][0], speed * math.cos(course_rad) + wind[0][1], 0.0, 0.0, 0.06, course_rad
    )
    out = np.empty((len(wind), 7))
    bank_command, height_command, wind_known = 0.0, z, math.hypot(wind[0][0], wind[0][1])
    step = dt_s / SUBSTEPS
    for k, (we, wn, wu) in enumerate(wind):
        if k % 5 == 0:
            bank_command, height_command = command(x, y, body.ve, body.vn)
            wind_known += (math.hypot(we, wn) - wind_known) * 5.0 * dt_s / 8.0
        target = cruise_speed_mps(calm_mps, wind_known)
        gust, turn = gusts[k], turns[k]
        sin_y, cos_y = math.sin(body.yaw), math.cos(body.yaw)
        air = (we + gust[0] * sin_y + gust[1] * cos_y, wn + gust[0] * cos_y - gust[1] * sin_y, wu - gust[2])
        forward = 0.0
        for _ in range(SUBSTEPS):
            forward = _step(body, air, turn, bank_command, height_command - z, target, step)
            x, y, z = x + body.ve * step, y + body.vn * step, z + body.vu * step
        out[k] = (body.ve, body.vn, body.vu, body.roll, body.pitch, body.yaw, forward)
    return out


def _step(
    body: _Body,
    air: tuple[float, float, float],
    gust_rate: list[float],
    bank_command: float,
    below_m: float,
    target_mps: float,
    dt: float,
) -> float:
    """One step of the motion; returns the airspeed along the body's x axis."""
    sr, cr, sp, cp = math.sin(body.roll), math.cos(body.roll), math.sin(body.pitch), math.cos(body.pitch)
    sy, cy = math.sin(body.yaw), math.cos(body.yaw)
    rows = (
        (cp * cy, cp * sy, -sp),
        (sr * sp * cy - cr * sy, sr * sp * sy + cr * cy, sr * cp),
        (cr * sp * cy + sr * sy, cr * sp * sy - sr * cy, cr * cp),
    )
    north, east, down = body.vn - air[1], body.ve - air[0], -(body.vu - air[2])
    u, v, w = (a * north + b * east + c * down for a, b, c in rows)
    speed = max(math.sqrt(u * u + v * v + w * w), 6.0)
    attack, slip = math.atan2(w, max(u, 1.0)), math.asin(min(max(v / speed, -0.9), 0.9))
    pressure = 0.5 * AIR_DENSITY_KGPM3 * speed * speed / MASS_PER_AREA_KGPM2
    lift = min(max(0.25 + LIFT_SLOPE * attack, -LIFT_MAX), LIFT_MAX)
    drag = DRAG_ZERO + DRAG_INDUCED * lift * lift
    ca, sa = math.cos(attack), math.sin(attack)
    wanted = 0.6 * (target_mps - speed) + pressure * drag + GRAVITY_MPS2 * sp
    body.thrust += (min(max(wanted, 0.0), 7.0) - body.thrust) * dt / 0.4
    force = (
        body.thrust + pressure * (lift * sa - drag * ca),
        pressure * SIDE_SLOPE * slip,
        -pressure * (lift * ca + drag * sa),
    )
    accel = [sum(force[i] * rows[i][j] for i in range(3)) for j in range(3)]
    body.vn += accel[0] * dt
    body.ve += accel[1] * dt
    body.vu += (-accel[2] - GRAVITY_MPS2) * dt
    _turn(body, attack, slip, speed, gust_rate, bank_command, below_m, (sr, cr, sp, cp), dt)
    return u


def _turn(
    body: _Body,
    attack: float,
    slip: float,
    speed: float,
    gust_rate: list[float],
    bank_command: float,
    below_m: float,
    angles: tuple[float, float, float, float],
    dt: float,
) -> None:
    """Moments, the autopilot's among them, then Euler's kinematics."""
    sr, cr, sp, cp = angles
    d, fast = DERIVATIVES, speed / REFERENCE_MPS
    climb = min(max(0.25 * below_m, -1.8), 1.8)
    error = min(max(climb - body.vu, -3.0), 3.0)
    body.trim = min(max(body.trim + 0.006 * error * dt, -0.12), 0.25)
    pitch_command = 0.03 + body.trim + 0.02 * error + 0.12 * (1.0 / max(cr, 0.5) - 1.0)
    aileron = 22.0 * (bank_command - body.roll) - 4.0 * body.p
    elevator = 30.0 * (pitch_command - body.pitch) - 6.0 * body.q - d.pitch_attack * fast**2 * 0.04
    roll_limit, pitch_limit = d.roll_limit * fast**2, d.pitch_limit * fast**2
    aileron = min(max(aileron, -roll_limit), roll_limit)
    elevator = min(max(elevator, -pitch_limit), pitch_limit)
    body.p += (d.roll_damping * fast * (body.p - gust_rate[0]) + d.roll_sideslip * fast**2 * slip + aileron) * dt
    body.q += (d.pitch_damping * fast * (body.q - gust_rate[1]) + d.pitch_attack * fast**2 * attack + elevator) * dt
    body.r += (d.yaw_damping * fast * (body.r - gust_rate[2]) + d.yaw_sideslip * fast**2 * slip) * dt
    yaw_rate = (body.q * sr + body.r * cr) / max(cp, 0.3)
    body.roll += (body.p + yaw_rate * sp) * dt
    body.pitch += (body.q * cr - body.r * sr) * dt
    body.yaw += yaw_rate * dt
    body.roll = min(max(body.roll, -LIMIT_BANK_RAD), LIMIT_BANK_RAD)
    body.pitch = min(max(body.pitch, -LIMIT_PITCH_RAD), LIMIT_PITCH_RAD)
