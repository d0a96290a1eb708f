"""What the companion claimed in a flight, by its own recorder, held against where the aircraft truly was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import FixType, FloatArray, NavState
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_operator.scoring.metrics import CHI2_95_2DOF
from gps_denied_operator.scoring.protection import is_hazardous

from .truth import Track

COURSE_NS = 200_000_000


@dataclass(frozen=True, slots=True)
class Claims:
    """The companion's own recorded positions against the truth at the moment that each is of."""

    along_m: FloatArray
    """(N,) error along the true track, and `across_m` to the right of it."""
    across_m: FloatArray
    sigma_m: FloatArray
    """(N,) the larger horizontal standard deviation that was claimed."""
    inside: npt.NDArray[np.bool_]
    """(N,) whether the truth lay within the 95 % ellipse."""
    hazardous: npt.NDArray[np.bool_]
    """(N,) whether the truth lay beyond the protection level, or beyond 3.5 times the ellipse."""

    @property
    def off_m(self) -> FloatArray:
        """(N,) horizontal distance from the truth."""
        return np.hypot(self.along_m, self.across_m)


def claims(flights: Path, track: Track, home: LocalFrame, from_ns: int, to_ns: int) -> Claims:
    """What the companion said within a time; it must have ended."""
    folders = sorted(path for path in flights.iterdir() if path.is_dir())
    states = [state for folder in folders for state in FlightReader(folder).messages({"navstate"}, from_ns, to_ns)]
    return claims_of([state for state in states if isinstance(state, NavState)], track, home)


def claims_of(states: Iterable[NavState], track: Track, home: LocalFrame) -> Claims:
    """Positions against a track on the same clock. Every one counts that has a fix and a truth."""
    rows = []
    for state in states:
        truth, before = track.at_ns(state.t_ns), track.at_ns(state.t_ns - 200_000_000)
        if truth is None or before is None or state.fix_type < FixType.FIX_2D:
            continue
        said = home.enu_from_geodetic(state.latitude_deg, state.longitude_deg, 0.0)[:2]
        error = np.asarray(said) - truth.position_enu_m[:2]
        ahead = truth.position_enu_m[:2] - before.position_enu_m[:2]
        ahead /= max(float(np.hypot(*ahead)), 1e-9)
        covariance = np.array(state.covariance_enu_m2).reshape(3, 3)[:2, :2]
        square = float(error @ np.linalg.solve(covariance, error))
        right = np.array([ahead[1], -ahead[0]])
        sigma_m = float(np.linalg.eigvalsh(covariance)[-1]) ** 0.5
        hazardous = is_hazardous(state, float(error[0]), float(error[1]))
        rows.append((error @ ahead, error @ right, sigma_m, square <= CHI2_95_2DOF, hazardous))
    along, across, sigma, inside, hazardous_too = np.array(rows).reshape(-1, 5).T
    return Claims(along, across, sigma, inside > 0.5, hazardous_too > 0.5)
