"""What each MAVLink mission command with a position means for the way flown: MAV_CMD of common.xml and all.xml.

The autopilot's id decides, not whether an item carries numbers: a region of interest may lie in another country.
"""

from __future__ import annotations

from enum import Enum


class CommandMeaning(Enum):
    """What the aircraft does with the position of a command."""

    FLOWN = "flown to"
    LOOKED_AT = "looked at"
    MARKER = "a marker"
    HOME = "the home position"
    FENCE = "a geofence"
    RALLY = "a rally point"
    RETURN = "return to launch"
    NONE = "without a position"
    UNKNOWN = "not known"


NAV_LAST = 95
"""MAV_CMD_NAV_LAST: commands below it steer the aircraft ("the end of NAV commands in the enumeration")."""
RETURN_TO_LAUNCH = 20
MISSION_FRAME = 2
"""MAV_FRAME_MISSION: of an item without a place."""
JUMPS = {177, 601}  # DO_JUMP, DO_JUMP_TAG
ARC = 36
RADIUS_PARAMETER = {17: 2, 18: 2, 19: 2, 31: 1, 34: 0, 35: 0}
"""Index of the parameter that is the circle's radius in metres, negative where it is flown to the left: of the loiters,
the orbit and the figure of eight."""
_FLOWN = {
    16, 17, 18, 19,  # waypoint, the loiters
    21, 22,  # land, take-off
    25, 31, 34, 35, 36,  # follow, loiter to altitude, orbit, figure of eight, arc
    81, 82, 84, 85, 94,  # path planning, spline, VTOL take-off and land, payload place
    192, 252,  # reposition, override and go to
    4001,  # guided circle
    30001,  # payload, prepare to deploy: "includes the navigation to reach the required release position"
    *range(31000, 31005),  # user waypoints: a ground station shows the vehicle as flying through them
}  # fmt: skip
_LOOKED_AT = {80, 195, 201}  # NAV_ROI, DO_SET_ROI_LOCATION, DO_SET_ROI
_MARKER = {
    188, 189,  # start of a return path, of a landing sequence: which one is nearest, never flown to
    611, 4501, 43003,  # origin of the estimator, gate, position told from outside
    *range(31005, 31010),  # user items that a ground station does not show as flown through
}  # fmt: skip
_TABLE = {
    **dict.fromkeys(_FLOWN, CommandMeaning.FLOWN),
    **dict.fromkeys(_LOOKED_AT, CommandMeaning.LOOKED_AT),
    **dict.fromkeys(_MARKER, CommandMeaning.MARKER),
    **dict.fromkeys(range(5001, 5005), CommandMeaning.FENCE),
    5000: CommandMeaning.RALLY,  # where a breach of the fence sends the aircraft
    5100: CommandMeaning.RALLY,
    179: CommandMeaning.HOME,
    RETURN_TO_LAUNCH: CommandMeaning.RETURN,
    # Steering without a place in latitude and longitude: local frames, continue, altitude wait, guided, delay.
    **dict.fromkeys((23, 24, 30, 32, 33, 83, 92, 93, NAV_LAST), CommandMeaning.NONE),
}
# Commands that carry no place, by the ranges in which MAVLink has put them; outside of all, nothing is known.
_NO_PLACE = (
    range(96, 611), range(1000, 1100), range(2000, 4001), range(4002, 4501), range(5005, 5006), range(5200, 5301),
    range(10001, 10152), range(30002, 30003), range(31010, 31015), range(32000, 32001), range(40001, 40003),
    range(42000, 43003), range(43004, 43006),
)  # fmt: skip


def meaning(command: int) -> CommandMeaning:
    """What the position of a command means; UNKNOWN for a NAV_ command or a range that is not known here."""
    known = _TABLE.get(command)
    if known is not None:
        return known
    return CommandMeaning.NONE if any(command in ids for ids in _NO_PLACE) else CommandMeaning.UNKNOWN
