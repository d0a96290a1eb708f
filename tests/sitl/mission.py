"""A flight around a figure of legs, and how far from its legs an aircraft was."""

from __future__ import annotations

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import FloatArray

FOR_EVER = -1


def round_trip(home: LocalFrame, corners_en_m: FloatArray, height_m: float) -> list[mavlink.MAVLink_message]:
    """Take-off ahead, then from corner to corner (N, 2) at a height over home, again and again."""
    frame = mavlink.MAV_FRAME_GLOBAL_RELATIVE_ALT

    def item(seq: int, command: int, numbers: tuple[float, ...], en_m: FloatArray | None, up_m: float) -> object:
        latitude = longitude = 0.0
        if en_m is not None:
            latitude, longitude, _ = home.geodetic_from_enu(np.array([en_m[0], en_m[1], 0.0]))
        at = round(float(latitude) * 1e7), round(float(longitude) * 1e7)
        return mavlink.MAVLink_mission_item_int_message(1, 1, seq, frame, command, 0, 1, *numbers, *at, up_m)

    here = np.zeros(2)
    items = [
        item(0, mavlink.MAV_CMD_NAV_WAYPOINT, (0.0,) * 4, here, 0.0),
        item(1, mavlink.MAV_CMD_NAV_TAKEOFF, (15.0, 0.0, 0.0, 0.0), here, 60.0),
    ]
    for corner in corners_en_m:
        items.append(item(len(items), mavlink.MAV_CMD_NAV_WAYPOINT, (0.0,) * 4, corner, height_m))
    items.append(item(len(items), mavlink.MAV_CMD_DO_JUMP, (2.0, float(FOR_EVER), 0.0, 0.0), None, 0.0))
    return items


def off_track_m(corners_en_m: FloatArray, positions_en_m: FloatArray) -> FloatArray:
    """(M,) distance of positions (M, 2) from the nearest of the closed figure's legs.

    Turns count like the rest: what is flown outside of a corner is as far off as its distance from the corner's legs.
    """
    best = np.full(len(positions_en_m), np.inf)
    for a, b in zip(corners_en_m, np.roll(corners_en_m, -1, axis=0), strict=True):
        along = np.clip((positions_en_m - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
        best = np.minimum(best, np.hypot(*(positions_en_m - a - along[:, None] * (b - a)).T))
    return best
