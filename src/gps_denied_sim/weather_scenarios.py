"""Scenarios of weather and of faults that last: wind, turbulence, cameras that repeat themselves, sensors that lie.

Kinds of event that stand here, beside those of `schedule.Event`:

- `turbulence` (value: 0 moderate, 1 severe): Dryden's, over the whole flight, with an airframe of its own (`vehicle`).
- `wind` (value: m/s, azimuth that it blows to): steady, instead of the seed's own; `gust` (the same), `updraught`
  (value: m/s): 1-cosine from start to end.
- `camera_freeze`: the last picture again and again (value 1: encoded anew each time, else the same bytes);
  `camera_stutter`: every second picture is the one before; `camera_torn`: the lower half is still of the picture
  before; `camera_swap`: pictures in pairs the wrong way round; `camera_delay` (value: s older than the stamp says);
  `camera_broken` (value: share of pictures with damaged bytes).
- `cloud_shadow` (value: cover 0..1): shadows of clouds above the aircraft, drifting with the wind.
- `pitot_plugged`: pressure is trapped, the airspeed rises with height; `pitot_scale` (value: factor).
- `imu_warmup` (value: K that the sensor is still to warm by).
- `attitude_shaken` (value: share of the accelerations that the autopilot takes for gravity).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gps_denied_sim.noise import stream
from gps_denied_sim.schedule import Event, Scenario

ORIGIN_ERRORS_M = (100.0, 1000.0, 10_000.0)
WIND_LIMIT_MPS = 20.0


def weather_scenario(base: Scenario, seed: int, duration_s: float) -> Scenario:
    """The schedule of `base.name`, one of BUILDERS; `base` has the seed's haze, unless the scenario brings its own.

    By the seed the autopilot's GPS is jammed as in the other scenarios, true, or forged for part of the flight.
    """
    rng = stream(seed, f"scenario-{base.name}")
    jam = tuple(e for e in base.events if e.kind == "gps_jam")
    mode = (seed // 3 if base.name == "wrong-origin" else seed) % 3
    gps = (jam, (), (_forged(rng, duration_s),))[mode]
    built = BUILDERS[base.name](rng, seed, duration_s)
    brought = {"gps_jam", *(e.kind for e in built.events)}
    other = tuple(e for e in base.events if e.kind not in brought)
    return replace(built, name=base.name, events=(*gps, *other, *built.events))


def _forged(rng: np.random.Generator, d: float) -> Event:
    """A GPS that jumps or drifts away for a third of the flight."""
    azimuth = float(rng.uniform(0.0, 360.0))
    if rng.random() < 0.5:
        return Event("gps_jump", 0.35 * d, 0.65 * d, float(rng.uniform(200.0, 900.0)), azimuth)
    return Event("gps_ramp", 0.35 * d, 0.65 * d, float(rng.uniform(0.7, 2.5)), azimuth)


def _azimuth_deg(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.0, 360.0))


def _always(kind: str, d: float, value: float, azimuth_deg: float = 0.0) -> Event:
    return Event(kind, 0.0, d + 1.0, value, azimuth_deg)


def _storm(rng: np.random.Generator, seed: int, d: float) -> Scenario:
    """Strong wind, moderate to severe turbulence, an autopilot shaken by it, haze, damaged pictures."""
    events = [
        _always("wind", d, float(rng.uniform(12.0, WIND_LIMIT_MPS)), _azimuth_deg(rng)),
        _always("turbulence", d, float(rng.uniform(0.0, 1.0))),
        _always("attitude_shaken", d, float(rng.uniform(0.2, 0.5))),
        _always("camera_haze", d, float(rng.uniform(0.08, 0.25))),
        Event("camera_broken", 0.3 * d, 0.45 * d, float(rng.uniform(0.2, 0.5))),
    ]
    return Scenario("storm", tuple(events), route="turns" if seed % 4 == 3 else "search")


def _gusts(rng: np.random.Generator, seed: int, d: float) -> Scenario:
    """Moderate turbulence, a wind that changes by 15 m/s within a minute, gusts from all sides and from below."""
    azimuth = _azimuth_deg(rng)
    events = [
        _always("wind", d, float(rng.uniform(2.0, 5.0)), azimuth),
        _always("turbulence", d, float(rng.uniform(0.0, 0.3))),
        _always("attitude_shaken", d, float(rng.uniform(0.1, 0.4))),
        Event("wind_shift", 0.3 * d, d + 1.0, 15.0, azimuth + float(rng.uniform(-50.0, 50.0))),
    ]
    start_s = float(rng.uniform(5.0, 15.0))
    while start_s < d:
        length_s = float(rng.uniform(1.5, 8.0))
        upwards = rng.random() < 0.3
        value = float(rng.choice([-1.0, 1.0]) * rng.uniform(2.0, 5.0)) if upwards else float(rng.uniform(5.0, 12.0))
        events.append(Event("updraught" if upwards else "gust", start_s, start_s + length_s, value, _azimuth_deg(rng)))
        start_s += length_s + float(rng.uniform(8.0, 30.0))
    return Scenario("gusts", tuple(events), route="turns" if seed % 4 == 3 else "search")


def _frozen_camera(rng: np.random.Generator, seed: int, d: float) -> Scenario:
    """Repeated for 5, 20, 60 s, every second one, torn, swapped, late. Odd seeds fly turns, even ones long legs."""
    anew = float(rng.random() < 0.5)
    plan = (
        ("camera_freeze", 0.15, 5.0, 0.0),
        ("camera_freeze", 0.24, 20.0, anew),
        ("camera_stutter", 0.36, 30.0, 0.0),
        ("camera_freeze", 0.46, 60.0, 1.0 - anew),
        ("camera_torn", 0.64, 10.0, 0.0),
        ("camera_delay", 0.74, 40.0, 2.0),
        ("camera_swap", 0.88, 12.0, 0.0),
    )
    events = [Event(kind, at * d, at * d + min(length, 0.1 * d), value) for kind, at, length, value in plan]
    return Scenario("frozen-camera", tuple(events), route="turns" if seed % 2 else "search")


def _wrong_origin(rng: np.random.Generator, seed: int, _d: float) -> Scenario:
    """The take-off place told 0.1, 1 or 10 km off."""
    azimuth = float(np.radians(_azimuth_deg(rng)))
    error_m = ORIGIN_ERRORS_M[seed % len(ORIGIN_ERRORS_M)]
    offset = (error_m * float(np.sin(azimuth)), error_m * float(np.cos(azimuth)))
    return Scenario("wrong-origin", (), origin="wrong", origin_offset_m=offset)


def _pitot_fault(rng: np.random.Generator, seed: int, d: float) -> Scenario:
    """A pitot tube that plugs, or lies by a factor; some wind, so that it matters."""
    start, end = 0.2 * d, (0.75 * d if rng.random() < 0.5 else d + 1.0)
    factor = float(rng.choice([rng.uniform(0.55, 0.8), rng.uniform(1.2, 1.5)]))
    fault = Event("pitot_scale", start, end, factor) if seed % 2 else Event("pitot_plugged", start, end)
    wind = _always("wind", d, float(rng.uniform(4.0, 10.0)), _azimuth_deg(rng))
    dark = Event("camera_dark", 0.5 * d, 0.5 * d + min(30.0, 0.1 * d), 1.0)
    return Scenario("pitot-fault", (wind, fault, dark))


def _gyro_warmup(rng: np.random.Generator, _seed: int, d: float) -> Scenario:
    """Gyroscopes and accelerometers that are still warming up when the flight begins."""
    return Scenario("gyro-warmup", (_always("imu_warmup", d, float(rng.uniform(10.0, 25.0))),))


def _cloud_shadow(rng: np.random.Generator, _seed: int, d: float) -> Scenario:
    """Shadows that move across the ground with the wind, and here and there the clouds below the aircraft."""
    wind = _always("wind", d, float(rng.uniform(5.0, 12.0)), _azimuth_deg(rng))
    shadow = _always("cloud_shadow", d, float(rng.uniform(0.3, 0.6)))
    below = Event("camera_cloud", 0.4 * d, 0.7 * d, float(rng.uniform(0.15, 0.45)))
    return Scenario("cloud-shadow", (wind, shadow, below))


BUILDERS: dict[str, Callable[[np.random.Generator, int, float], Scenario]] = {
    "storm": _storm,
    "gusts": _gusts,
    "frozen-camera": _frozen_camera,
    "wrong-origin": _wrong_origin,
    "pitot-fault": _pitot_fault,
    "gyro-warmup": _gyro_warmup,
    "cloud-shadow": _cloud_shadow,
}
