"""Where a flight goes: waypoints with heights, in a compact area so that its map stays affordable."""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.noise import stream
from gps_denied_sim.schedule import Scenario

CRUISE_MPS = 17.0


def make_route(scenario: Scenario, seed: int, duration_s: float, height_m: float | None = None) -> FloatArray:
    """(N, 3) waypoints: x, y in world metres, height above the origin's level in metres; longer than can be flown.

    `height_m` is flown throughout, on the same way; None: the seed says how high. Over hills all of it is higher by
    what these rise over the origin's level."""
    rng = stream(seed, "route")
    length_m = CRUISE_MPS * duration_s * 1.8 + 4000.0
    start = rng.uniform(-700.0, 700.0, 2)
    heading = float(rng.uniform(0.0, 2.0 * math.pi))
    height = float(rng.uniform(380.0, 720.0))
    if scenario.route == "turns":
        points = _turns(rng, start, heading, length_m)
    elif scenario.route == "transfer":
        points = _transfer(rng, start, heading, length_m, duration_s)
    else:
        points = _search(rng, start, heading, length_m)
    heights = np.full(len(points), height)
    for k in range(2, len(points)):
        change = float(rng.choice([0.0, 0.0, 0.0, rng.uniform(-110.0, 110.0)]))
        heights[k] = float(np.clip(heights[k - 1] + change, 300.0, 800.0))
    if height_m is not None:
        heights[:] = height_m
    return np.column_stack([points, heights + scenario.style.relief_m / 2.0])


def _turned(points: FloatArray, start: FloatArray, heading: float) -> FloatArray:
    """Points given along and left of `heading`, put into the world."""
    c, s = math.cos(heading), math.sin(heading)
    return np.asarray(points @ np.array([[c, s], [-s, c]]) + start)


def _search(rng: np.random.Generator, start: FloatArray, heading: float, length_m: float) -> FloatArray:
    """A search pattern: parallel legs, there and back again, each pass displaced."""
    leg, spacing = float(rng.uniform(1500.0, 2400.0)), float(rng.uniform(380.0, 620.0))
    local, flown, direction, y, side = [np.zeros(2)], 0.0, 1.0, 0.0, 1.0
    while flown < length_m:
        x = leg if direction > 0 else 0.0
        local.append(np.array([x + rng.normal(0.0, 60.0), y + rng.normal(0.0, 50.0)]))
        y += side * spacing * float(rng.uniform(0.8, 1.2))
        if abs(y) > 2000.0:
            side = -side
        local.append(np.array([x + rng.normal(0.0, 60.0), y + rng.normal(0.0, 50.0)]))
        flown += leg + spacing
        direction = -direction
    return _turned(np.array(local), start, heading)


def _turns(rng: np.random.Generator, start: FloatArray, heading: float, length_m: float) -> FloatArray:
    """Short legs and sharp corners, kept within about 2 km of the start."""
    at, local, flown = start.copy(), [start.copy()], 0.0
    while flown < length_m:
        leg = float(rng.uniform(260.0, 620.0))
        to_start = start - at
        away = float(np.hypot(to_start[0], to_start[1]))
        home = math.remainder(math.atan2(to_start[1], to_start[0]) - heading, 2.0 * math.pi)
        turn = float(rng.choice([-1.0, 1.0])) * math.radians(float(rng.uniform(35.0, 110.0)))
        if away > 1300.0:
            turn = float(np.clip(home, -1.9, 1.9))
        heading += turn
        at = at + leg * np.array([math.cos(heading), math.sin(heading)])
        local.append(at.copy())
        flown += leg
    return np.array(local)


def _transfer(
    rng: np.random.Generator, start: FloatArray, heading: float, length_m: float, duration_s: float
) -> FloatArray:
    """A first leg, a long way straight on (flown blind), then a search pattern there."""
    first = start + CRUISE_MPS * 0.15 * duration_s * np.array([math.cos(heading), math.sin(heading)])
    heading2 = heading + float(rng.uniform(-0.6, 0.6))
    far = first + CRUISE_MPS * 0.40 * duration_s * np.array([math.cos(heading2), math.sin(heading2)])
    return np.concatenate([[start, first], _search(rng, far, heading2 + float(rng.uniform(-1.0, 1.0)), length_m)])
