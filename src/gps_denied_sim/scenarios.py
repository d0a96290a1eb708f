"""What goes wrong in a flight, and when: named scenarios as schedules of events."""

from __future__ import annotations

from dataclasses import replace

from gps_denied_onboard.errors import UserError
from gps_denied_sim.noise import stream
from gps_denied_sim.scene.terrain import DEFAULT_STYLE, LOW_TEXTURE_STYLE
from gps_denied_sim.schedule import Event, Scenario, Season
from gps_denied_sim.weather_scenarios import BUILDERS, weather_scenario

WEATHER_NAMES = tuple(BUILDERS)
"""Scenarios of weather and faults, see `weather_scenarios`."""
RELIEF_M = {"relief-50": 50.0, "relief-150": 150.0, "relief-300": 300.0}
"""Scenarios over hills, and how high these rise."""
NAMES = (
    "cruise",
    "turns",
    "blackout",
    "spoof-jump",
    "spoof-ramp",
    "spoof-replay",
    "jam",
    "kidnap",
    "low-texture",
    "old-map",
    "cloud",
    *WEATHER_NAMES,
    *Season,
    *RELIEF_M,
)
SEASON_MAP_AGE = 1.1
"""In another season also more was built, cleared and divided since."""


def make_scenario(name: str, seed: int, duration_s: float) -> Scenario:
    """The schedule of scenario `name` for one seed and length; UserError for an unknown name."""
    if name not in NAMES:
        raise UserError(f"unknown scenario '{name}'; choose one of: {', '.join(NAMES)}.")
    rng = stream(seed, "scenario")
    d = duration_s
    jam_start = 0.0 if seed % 2 else min(30.0, 0.2 * d)
    jam = Event("gps_jam", jam_start, d + 1.0)
    azimuth = float(rng.uniform(0.0, 360.0))
    base = Scenario(name, (jam,))
    if rng.random() < 0.5:
        haze = Event("camera_haze", 0.0, d + 1.0, float(rng.uniform(0.03, 0.16)))
        base = replace(base, events=(jam, haze))
    if name == "turns":
        return replace(base, route="turns")
    if name == "jam":
        return replace(base, events=(Event("gps_jam", 0.2 * d, d + 1.0),))
    if name == "blackout":
        dark = [
            Event(kind, start * d, min(start * d + length, (start + 0.16) * d), 1.0)
            for kind, start, length in (
                ("camera_dark", 0.15, 15.0),
                ("camera_cloud", 0.38, float(rng.uniform(20.0, 45.0))),
                ("camera_dark", 0.66, float(rng.uniform(30.0, 75.0))),
            )
        ]
        return replace(base, events=(*base.events, *dark))
    if name.startswith("spoof-"):
        start, end = min(60.0, 0.2 * d), 0.75 * d
        value = {
            "spoof-jump": float(rng.uniform(300.0, 900.0)),
            "spoof-ramp": float(rng.uniform(0.5, 2.0)),
            "spoof-replay": start * 0.8,
        }[name]
        return replace(base, events=(Event("gps_" + name[6:], start, end, value, azimuth), *base.events[1:]))
    if name == "kidnap":
        start, end = min(60.0, 0.15 * d), 0.6 * d
        events = (
            Event("gps_jam", 0.0, d + 1.0),
            Event("camera_dark", start, end),
            Event("pitot_blocked", start, d + 1.0),
            Event("wind_shift", start, d + 1.0, 6.0, azimuth),
        )
        offset = (float(rng.uniform(1500.0, 2500.0)), float(rng.uniform(-2500.0, -1500.0)))
        return replace(
            base, events=events, route="transfer", origin="wrong" if seed % 2 else "absent", origin_offset_m=offset
        )
    if name == "low-texture":
        haze = Event("camera_haze", 0.0, d + 1.0, float(rng.uniform(0.25, 0.45)))
        return replace(base, events=(jam, haze), style=LOW_TEXTURE_STYLE)
    if name in tuple(Season):
        return replace(base, season=Season(name), map_age=SEASON_MAP_AGE)
    if name in RELIEF_M:
        return replace(base, style=replace(DEFAULT_STYLE, relief_m=RELIEF_M[name]))
    if name == "old-map":
        return replace(base, map_age=2.5)
    if name == "cloud":
        cover = Event("camera_cloud", 0.0, d + 1.0, float(rng.uniform(0.3, 0.6)))
        return replace(base, events=(jam, cover))
    if name in WEATHER_NAMES:
        return weather_scenario(base, seed, d)
    return base
