"""The wind that a schedule has: steady, changing within a minute, and discrete gusts."""

from __future__ import annotations

import math

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.schedule import Scenario

SHIFT_S = 40.0
"""How long a `wind_shift` takes to grow."""
CLOUD_WIND_GAIN = 1.3
CLOUD_WIND_VEER_RAD = math.radians(15.0)
"""Wind at the clouds against that at the aircraft: stronger and veered, as in the Ekman layer of the northern half."""


def scheduled_wind_mps(scenario: Scenario, steady_mps: tuple[float, float], count: int, dt_s: float) -> FloatArray:
    """(count, 3) wind ENU: the steady one (east, north), with what the events `wind_shift`, `gust` and `updraught` add.

    A gust is a 1-cosine (MIL-F-8785C 3.7.1.3): from nothing to its value at the middle of its time, and back.
    """
    t_s = np.arange(count) * dt_s
    out = np.tile((*steady_mps, 0.0), (count, 1))
    for event in scenario.events:
        if event.kind == "wind_shift":
            share = np.clip((t_s - event.start_s) / SHIFT_S, 0.0, 1.0)
        elif event.kind in ("gust", "updraught"):
            part = np.clip((t_s - event.start_s) / (event.end_s - event.start_s), 0.0, 1.0)
            share = 0.5 * (1.0 - np.cos(2.0 * math.pi * part))
        else:
            continue
        azimuth = math.radians(event.azimuth_deg)
        up = event.kind == "updraught"
        direction = (0.0, 0.0, 1.0) if up else (math.sin(azimuth), math.cos(azimuth), 0.0)
        out += event.value * share[:, None] * np.array(direction)
    return out


def cloud_drift_mps(wind_east_mps: float, wind_north_mps: float) -> tuple[float, float]:
    """East and north drift of the clouds over a place with this wind at flying height."""
    c, s = math.cos(CLOUD_WIND_VEER_RAD), math.sin(CLOUD_WIND_VEER_RAD)
    east, north = c * wind_east_mps + s * wind_north_mps, -s * wind_east_mps + c * wind_north_mps
    return CLOUD_WIND_GAIN * east, CLOUD_WIND_GAIN * north
