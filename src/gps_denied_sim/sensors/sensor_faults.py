"""Sensors that lie as real ones do: an attitude shaken by accelerations, a plugged pitot tube, one out of scale."""

from __future__ import annotations

import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_sim.schedule import Scenario
from gps_denied_sim.vehicle.airframe import GRAVITY_MPS2
from gps_denied_sim.vehicle.flight import FlightTruth

AHRS_TIME_S = 6.0
"""Time constant with which an autopilot levels its attitude by the accelerometers."""


def level_errors(flight: FlightTruth, share: float) -> FloatArray:
    """(N, 3) rotation vectors NED of an attitude that takes a share of the accelerations for gravity (Mahony 2008).

    The autopilot takes the centripetal acceleration out by airspeed and turn rate, as it does with any other that it
    knows of; what gusts, sideslip and wrong airspeed leave of it pulls its level over.
    """
    from scipy.signal import lfilter

    acceleration = np.gradient(flight.velocity_enu_mps, flight.dt_s, axis=0)
    forward = flight.rotation_body_to_enu[:, :, 0]
    rate = np.einsum("nij,nj->ni", flight.rotation_body_to_enu, flight.rate_body_radps)
    left = acceleration - np.cross(rate, flight.airspeed_mps[:, None] * forward)
    decay = float(np.exp(-flight.dt_s / AHRS_TIME_S))
    pulled = lfilter([1.0 - decay], [1.0, -decay], left[:, :2] / GRAVITY_MPS2, axis=0) * share
    north, east = pulled[:, 1], pulled[:, 0]
    return np.stack([east, -north, np.zeros(len(north))], axis=1)


def indicated_airspeed_mps(
    flight: FlightTruth, scenario: Scenario, t_s: FloatArray, true_mps: FloatArray
) -> FloatArray:
    """What the tube shows for true airspeeds (K,) at times (K,), under `pitot_plugged` and `pitot_scale`.

    Plugged, total pressure stays what it was while the static pressure falls with height: sqrt(v0^2 + 2 g (h - h0)).
    """
    out = true_mps.copy()
    rows = np.clip(np.round(t_s / flight.dt_s).astype(int), 0, len(flight.airspeed_mps) - 1)
    height_m = flight.position_enu_m[rows, 2]
    for event in scenario.events:
        held = (t_s >= event.start_s) & (t_s < event.end_s)
        if event.kind == "pitot_scale":
            out[held] *= event.value
        elif event.kind == "pitot_plugged" and held.any():
            first = int(np.argmax(held))
            square = out[first] ** 2 + 2.0 * GRAVITY_MPS2 * (height_m[held] - height_m[first])
            out[held] = np.sqrt(np.maximum(square, 0.0))
    return out
