"""What a report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_operator.report.refusals import DEFAULT_LIMITS
from gps_denied_operator.report.story import Story
from gps_denied_operator.scoring.frames import FrameResult


@dataclass(frozen=True, slots=True, eq=False)
class MapPicture:
    """A picture of the map in Web-Mercator, with the geodetic edges of its outermost pixels."""

    jpeg: bytes
    north_deg: float
    south_deg: float
    east_deg: float
    west_deg: float


@dataclass(frozen=True, slots=True, eq=False)
class FlightPart:
    """One flight of a report. `figures` is its own object of figures; `local` the frame of its PoseFix positions.

    `story`: what the recording tells of GPS, alerts and route; None where there is no recording behind the rows.
    `limits` are the gates of its map fixes, `facts` (name, value) pairs of the flight alone. `key` is what the flight
    is made of, by which two results know it as the same; it goes into results.json. `above_ground`: its altitudes are
    heights above flat ground at 0, as nobody told where that lies; true ones above the sea are not drawn beside them.
    """

    title: str
    rows: Sequence[FrameResult]
    figures: Mapping[str, Any]
    local: LocalFrame | None = None
    background: MapPicture | None = None
    note: str = ""
    story: Story | None = None
    limits: Mapping[str, float] = field(default_factory=lambda: DEFAULT_LIMITS)
    facts: Sequence[tuple[str, str]] = ()
    key: Mapping[str, Any] = field(default_factory=dict)
    above_ground: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A whole report. `figures` is of all flights together; `facts` are (name, value) pairs for the head of the page;
    `verdict` replaces the sentence that the figures would give, `level` its colour. `seeing` is False where the camera
    was blinded on purpose in any flight, `judged` where nothing is scored: then no figure that needs truth is shown."""

    title: str
    figures: Mapping[str, Any]
    flights: Sequence[FlightPart]
    facts: Sequence[tuple[str, str]] = ()
    verdict: str = ""
    seeing: bool = True
    judged: bool = True
    level: str = ""
