"""Do several fixes that the state refuses agree with one another? Pure.

Between two fixes the aircraft moved by the integral of its velocity, whatever its absolute position, and turned by the
integral of its rates, whatever its absolute heading. Fixes on the right place agree under that motion; wrong ones lie
all over the map, and those of another moment turn otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gps_denied_onboard.messages import FloatArray

TURN_SIGMA_RAD = math.radians(1.0)
"""How well the state follows the camera's turns from fix to fix, each time: stamps in gusts, the mount's share."""


@dataclass(frozen=True, slots=True, eq=False)
class PendingFix:
    """A fix that waits for others: its position with covariance, and how far the aircraft had travelled by then.

    `travelled_enu_m` is the integral of the velocity from any moment that held fixes share; corrections of the position
    are not in it. `velocity_sigma_mps` is the state's velocity uncertainty at the fix's time. `turned_rad` (3,) is the
    rotation vector in ENU that takes the state's camera to the fix's, `turned_covariance_rad2` that of the fix's.
    """

    t_ns: int
    position_enu_m: FloatArray
    covariance_enu_m2: FloatArray
    travelled_enu_m: FloatArray
    velocity_sigma_mps: float
    turned_rad: FloatArray
    turned_covariance_rad2: FloatArray


def agree(a: PendingFix, b: PendingFix, drift_fraction: float, gate: float) -> bool:
    """True when the two fixes differ by the motion between them.

    Allowed are both covariances, `drift_fraction` of the distance flown, and the velocity's uncertainty over the time
    between (at most 20 s of it: beyond that the rule would allow anything). `gate` is chi-square, three degrees, of the
    places and of the turns, each for itself.
    """
    turned = b.turned_rad - a.turned_rad
    turn = a.turned_covariance_rad2 + b.turned_covariance_rad2 + np.eye(3) * 2.0 * TURN_SIGMA_RAD**2
    if float(turned @ np.linalg.solve(turn, turned)) > gate:
        return False
    moved = b.travelled_enu_m - a.travelled_enu_m
    residual = (b.position_enu_m - a.position_enu_m) - moved
    dt_s = min(abs(b.t_ns - a.t_ns) * 1e-9, 20.0)
    drift_m2 = (drift_fraction * float(np.linalg.norm(moved))) ** 2
    drift_m2 += (max(a.velocity_sigma_mps, b.velocity_sigma_mps) * dt_s) ** 2
    covariance = a.covariance_enu_m2 + b.covariance_enu_m2 + np.eye(3) * (drift_m2 + 1.0)
    return float(residual @ np.linalg.solve(covariance, residual)) <= gate


def agreeing(held: Sequence[PendingFix], drift_fraction: float, gate: float) -> list[PendingFix]:
    """Those of `held` that agree with the last one, the last one included, in their order."""
    if not held:
        return []
    last = held[-1]
    return [fix for fix in held[:-1] if agree(fix, last, drift_fraction, gate)] + [last]
