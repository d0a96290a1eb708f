"""The schedule of a flight: what goes wrong, from when until when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gps_denied_sim.scene.terrain import DEFAULT_STYLE, WorldStyle


class Season(StrEnum):
    """What the camera flies over and sees with; the map stays a spring day's in visible light."""

    AUTUMN = "autumn"
    WINTER = "winter"
    NEAR_INFRARED = "near-infrared"
    THERMAL = "thermal"


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` holds from `start_s` until `end_s` of flight time; `value` and `azimuth_deg` depend on the kind.

    gps_jam; gps_jump (value: m, azimuth); gps_ramp (value: m/s, azimuth); gps_replay (value: s back in time);
    camera_dark; camera_cloud (value: cover 0..1); camera_haze (value: 0..1); pitot_blocked (silent); wind_shift (value:
    m/s more wind, azimuth that it blows to). Those of weather and faults: see `weather_scenarios`.
    """

    kind: str
    start_s: float
    end_s: float
    value: float = 0.0
    azimuth_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of flight. `origin`: given, wrong or absent. `route`: search, turns or transfer. `season` is the
    camera's, None for summer in visible light."""

    name: str
    events: tuple[Event, ...]
    style: WorldStyle = DEFAULT_STYLE
    route: str = "search"
    map_age: float = 0.3
    origin: str = "given"
    origin_offset_m: tuple[float, float] = (0.0, 0.0)
    season: Season | None = None

    @property
    def rough(self) -> bool:
        """Whether the flight is that of an airframe in moving air: the schedule has turbulence."""
        return any(event.kind == "turbulence" for event in self.events)

    def active(self, kind: str, t_s: float) -> Event | None:
        """The event of this kind that holds at `t_s`, if any."""
        for event in self.events:
            if event.kind == kind and event.start_s <= t_s < event.end_s:
                return event
        return None
