"""Feeds a synthetic flight to an estimator and compares with truth, the way that an aircraft lives it: causally."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from gps_denied_onboard.fusion import Fusion
from gps_denied_onboard.geometry.rotations import log_rotation
from gps_denied_onboard.messages import AidRecord, FloatArray

from .synthetic import SECOND_NS, Flight


@dataclass
class Score:
    """One row a check, twice a second of flight time, of the estimate propagated to that time."""

    t_s: list[float] = field(default_factory=list)
    error_m: list[FloatArray] = field(default_factory=list)
    covariance: list[FloatArray] = field(default_factory=list)
    attitude_error_rad: list[FloatArray] = field(default_factory=list)
    records: list[AidRecord] = field(default_factory=list)

    def horizontal_m(self) -> FloatArray:
        """(N,) horizontal errors."""
        return np.array([math.hypot(e[0], e[1]) for e in self.error_m])

    def nees(self) -> FloatArray:
        """(N,) normalised squared errors of the three position components."""
        return np.array([e @ np.linalg.solve(c[:3, :3], e) for e, c in zip(self.error_m, self.covariance, strict=True)])

    def inside_95(self) -> FloatArray:
        """(N,) 1 where the horizontal error lies inside the 95 % ellipse."""
        q = [e[:2] @ np.linalg.solve(c[:2, :2], e[:2]) for e, c in zip(self.error_m, self.covariance, strict=True)]
        return (np.array(q) <= 5.991).astype(float)

    def sigma_m(self) -> FloatArray:
        """(N,) worst horizontal sigma."""
        return np.array([math.sqrt(np.linalg.eigvalsh(c[:2, :2])[-1]) for c in self.covariance])


def score(fusion: Fusion, flight: Flight, every_s: float = 0.5, keep: bool = True) -> Score:
    """Play the flight in order of arrival and look at the estimate every `every_s`."""
    out = Score()
    step = round(every_s * SECOND_NS)
    due = flight.t_ns[0] + step
    for arrival_ns, message in flight.messages:
        while arrival_ns > due:
            check(fusion, flight, due, out)
            due += step
        records = fusion.update(message)
        if keep:
            out.records.extend(records)
    return out


def check(fusion: Fusion, flight: Flight, t_ns: int, out: Score) -> None:
    """Add one row."""
    estimate = fusion.estimate(t_ns)
    if estimate is None or t_ns > flight.t_ns[-1]:
        return
    row = flight.row(t_ns)
    out.t_s.append((t_ns - flight.t_ns[0]) * 1e-9)
    out.error_m.append(flight.position[row] - estimate.position_enu_m)
    out.covariance.append(estimate.covariance)
    out.attitude_error_rad.append(log_rotation(flight.rotation[row] @ estimate.rotation_body_to_enu.T))
