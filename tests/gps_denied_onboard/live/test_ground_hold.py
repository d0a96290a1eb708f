"""Before take-off the position is the operator's, for as long as the aircraft stands there and not a moment longer."""

from __future__ import annotations

import pytest

from gps_denied_onboard.autopilot.mavlink.messages import why_not_sent
from gps_denied_onboard.config import MissionConfig
from gps_denied_onboard.live.ground_hold import SILENT_NS, UNDECIDED_NS, GroundHold
from gps_denied_onboard.messages import AirspeedSample, BaroSample, ImuSample, SourceLabel, Telemetry

MISSION = MissionConfig(48.3, 37.2, 120.0, takeoff_known=True)
NOW_NS = 50_000_000_000


def imu(t_ns: int) -> ImuSample:
    return ImuSample(t_ns, (0.0, 0.0, -9.8), (0.0, 0.0, 0.0))


def test_it_stands_where_the_operator_said() -> None:
    """A full fix at rest with the operator's own accuracy, an hour later as well, which may be sent."""
    standing = GroundHold(MISSION)
    later_ns = NOW_NS + 3_600_000_000_000
    assert standing.holds(imu(NOW_NS), False)
    assert standing.holds(imu(later_ns), False)
    state = standing.state(later_ns + SILENT_NS)
    assert state is not None
    assert (state.latitude_deg, state.longitude_deg, state.altitude_amsl_m) == (48.3, 37.2, 120.0)
    assert (state.fix_type, state.velocity_ned_mps, state.horizontal_accuracy_m) == (3, (0.0, 0.0, 0.0), 5.0)
    assert state.source_label is SourceLabel.DEAD_RECKONED
    assert why_not_sent(state) == ""


@pytest.mark.parametrize(
    ("message", "armed"),
    [
        (BaroSample(NOW_NS + 2, 128.5), True),
        (AirspeedSample(NOW_NS + 1, 8.0), False),
        (imu(NOW_NS + UNDECIDED_NS + 1), None),
    ],
)
def test_what_ends_it_ends_it_for_ever(message: Telemetry, armed: bool | None) -> None:
    """In moving air, risen since armed, or motors unknown for too long: never held again, its position not sent."""
    standing = GroundHold(MISSION)
    assert standing.holds(imu(NOW_NS), None)
    assert standing.holds(AirspeedSample(NOW_NS, 7.9), None)
    assert standing.holds(BaroSample(NOW_NS, 100.0), False)
    assert standing.holds(BaroSample(NOW_NS + 1, 120.0), True)
    assert standing.holds(BaroSample(NOW_NS + 1, 128.0), True)
    assert standing.state(NOW_NS) is not None
    assert not standing.holds(message, armed)
    assert standing.state(NOW_NS) is None
    assert not standing.holds(AirspeedSample(NOW_NS + 2, 0.0), False)
    assert standing.state(NOW_NS) is None


def test_no_position_without_a_sign_that_it_stands() -> None:
    """Not before the autopilot has said anything of motors or air, nor when it is not heard any more, nor unasked."""
    standing = GroundHold(MISSION)
    assert standing.state(NOW_NS) is None
    assert standing.holds(imu(NOW_NS), None)
    assert standing.state(NOW_NS) is None
    assert standing.holds(imu(NOW_NS), False)
    assert standing.state(NOW_NS + SILENT_NS) is not None
    assert standing.state(NOW_NS + SILENT_NS + 1) is None
    unasked = GroundHold(MissionConfig(48.3, 37.2, 120.0))
    assert not unasked.holds(imu(NOW_NS), False)
    assert unasked.state(NOW_NS) is None
