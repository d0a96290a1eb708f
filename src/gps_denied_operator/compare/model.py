"""What two results or flights are compared by: columns of each flight, frame by frame where there are frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.messages import FloatArray

IntArray = npt.NDArray[np.int64]
PLACE_COLUMNS = ("truth_latitude_deg", "truth_longitude_deg", "latitude_deg", "longitude_deg")


class SourceKind(StrEnum):
    """What was given: a result of one of the evaluations, or one flight."""

    FLIGHTS = "flights"
    CAMPAIGN = "campaign"
    PHOTOS = "photos"
    FLIGHT = "flight"


@dataclass(frozen=True, slots=True, eq=False)
class FlightColumns:
    """One flight of a side. `index` (N,) names its frames: number of the frame in a result, ns in a flight; empty
    where no frames are known. `columns`: arrays (N,) under their names, NaN where a frame has no such value; of a
    campaign each column has a length of its own, one value an attack. `figures`: the flight's own figures."""

    key: str
    index: IntArray
    columns: Mapping[str, FloatArray]
    figures: Mapping[str, float] = field(default_factory=dict)
    simulator: str = ""

    @property
    def t_s(self) -> FloatArray:
        """(N,) seconds of the frames."""
        return self.columns["t_s"]

    def of_frames(self, rows: npt.NDArray[np.intp]) -> FlightColumns:
        """The same with some of its frames alone."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return FlightColumns(self.key, self.index[rows], columns, self.figures, self.simulator)


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A or B. `configuration` None: it does not say with what it was made; `notes` say what of it could not be used."""

    path: Path
    kind: SourceKind
    flights: tuple[FlightColumns, ...]
    commit: str = "unknown"
    version: str = ""
    cores: int = 0
    configuration: Mapping[str, Any] | None = None
    configuration_sha256: str = ""
    notes: tuple[str, ...] = ()
    scored: bool = True

    @property
    def framed(self) -> bool:
        """Whether it is known frame by frame."""
        return self.kind is not SourceKind.CAMPAIGN and all(len(flight.index) > 0 for flight in self.flights)
