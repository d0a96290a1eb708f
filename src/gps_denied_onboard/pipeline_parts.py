"""What a pipeline is made of, the work that it hands out, and who may listen to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gps_denied_onboard.config import PipelineConfig
from gps_denied_onboard.fusion import Fusion
from gps_denied_onboard.fusion.time_offset import TimeOffsetEstimator
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.terrain import Terrain
from gps_denied_onboard.integrity.monitor import Integrity
from gps_denied_onboard.integrity.source_label import LabelLimits
from gps_denied_onboard.integrity.state_health_config import StateHealthConfig
from gps_denied_onboard.localisation.belief import PlaceBelief
from gps_denied_onboard.localisation.localiser import Localiser
from gps_denied_onboard.messages import CameraPrior, Frame, OdometryStep, Output, PoseFix, Telemetry, ThermalSample
from gps_denied_onboard.odometry import Odometry
from gps_denied_onboard.odometry.picture_watch import PictureWatch

Stage = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, eq=False)
class PipelineParts:
    """The stages of one flight and their settings. `localiser` None: fixes are taken and none found."""

    local: LocalFrame
    terrain: Terrain
    odometry: Odometry
    localiser: Localiser | None
    fusion: Fusion
    limits: LabelLimits
    integrity: Integrity
    camera_clock: TimeOffsetEstimator
    config: PipelineConfig
    belief: PlaceBelief
    watch: PictureWatch | None = None
    state_health: StateHealthConfig = field(default_factory=StateHealthConfig)


@dataclass(frozen=True, slots=True, eq=False)
class MatchJob:
    """Work for the slow stages: find this frame on the map."""

    frame: Frame
    prior: CameraPrior


@dataclass(frozen=True, slots=True, eq=False)
class OdometryJob:
    """Work for the odometry: the frame, the one before (None for the first), and what the state says of both."""

    previous: Frame | None
    before: CameraPrior | None
    frame: Frame
    prior: CameraPrior


@dataclass(frozen=True, slots=True, eq=False)
class OdometryDone:
    """The odometry of a frame came back; `step` None: it gave nothing."""

    job: OdometryJob
    step: OdometryStep | None


@dataclass(frozen=True, slots=True)
class Tick:
    """A position was asked for."""

    t_ns: int
    frame_index: int


Input: TypeAlias = Telemetry | Frame | OdometryDone | MatchJob | PoseFix | ThermalSample | Tick
"""All that moves a pipeline's state, in the order in which it is taken; a MatchJob is one that was handed out."""


class PipelineObserver:
    """Hears a flight and changes nothing in it. Each method does nothing unless it is overridden; none may raise."""

    def on_input(self, taken: Input) -> None:
        """An input, before anything is made of it; a frame as it came, its time not yet moved."""

    def on_output(self, told: Output) -> None:
        """What leaves, once, in order; inputs that leave as they came (steps, fixes, thermal samples) included.

        What `Pipeline.on_frame` itself says of a frame that it does not use is not among it.
        """

    def on_located(self, job: MatchJob, fix: PoseFix) -> None:
        """A map search ended; called on the thread of the search, the other methods on that of the flight."""

    def on_integrity(self, monitor: Integrity, method: str, arguments: tuple[Any, ...], answer: Any) -> None:
        """The integrity monitor's `method` was called with `arguments` and gave `answer`."""
