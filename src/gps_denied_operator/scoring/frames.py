"""One scored frame: what was true, what was said, what it took; and what is known about the run as a whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gps_denied_onboard.messages import AidRecord, FixType, NavState, OdometryStep, PoseFix

FIX_TYPE_USABLE = FixType.FIX_2D
"""Below this the system itself tells the autopilot that it has no position (1: none, 2: 2D, 3: 3D)."""

STAGES = ("odometry", "place", "match", "pose", "fusion")


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """One frame of one flight.

    `truth_*` is None where the frame has no truth: it is then not scored. `state` is the state at the frame's time
    with the frame's own measurements in it. `stage_ms` holds what ran, by the names of STAGES. `aids` are the
    measurements fused with or since the last frame. The two JPEGs are filled for the few frames that the report
    shows: the frame, and the map as seen from where the frame was placed.
    """

    t_ns: int
    index: int
    name: str
    truth_latitude_deg: float | None = None
    truth_longitude_deg: float | None = None
    truth_altitude_m: float | None = None
    state: NavState | None = None
    fix: PoseFix | None = None
    step: OdometryStep | None = None
    latency_ms: float | None = None
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    aids: tuple[AidRecord, ...] = ()
    frame_jpeg: bytes | None = None
    map_jpeg: bytes | None = None
    cpu_ms: float | None = None

    @property
    def scored(self) -> bool:
        """Whether the frame has a true position."""
        return self.truth_latitude_deg is not None and self.truth_longitude_deg is not None

    @property
    def estimate(self) -> NavState | None:
        """The state, if it is a position that the system stands by: finite, and not sent as "no fix"."""
        state = self.state
        if state is None or state.fix_type < FIX_TYPE_USABLE:
            return None
        return state if math.isfinite(state.latitude_deg) and math.isfinite(state.longitude_deg) else None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the machine says about a run; None: not known. `load_average`: of one minute, `before` and `after` it."""

    wall_s: float
    rss_peak_mb: float
    commit: str
    cores: int
    true_gps_left: int | None = None
    load_average: dict[str, float | None] | None = None
