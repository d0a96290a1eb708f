"""GPS_INPUT as the autopilot reads it: every field, in its units; what may not be sent is not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega

from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder, yaw_cdeg
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import Alert, NavState, SourceLabel

UNIX_NS = 1_751_349_600_000_000_000
STATE = NavState(
    t_ns=12_345_678_901,
    latitude_deg=48.123456789,
    longitude_deg=-37.2,
    altitude_amsl_m=250.5,
    velocity_ned_mps=(10.0, -5.0, 0.25),
    quaternion_body_to_ned=(math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4)),
    covariance_enu_m2=(4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 9.0),
    ellipse_semi_major_m=4.9,
    ellipse_semi_minor_m=4.9,
    ellipse_azimuth_deg=0.0,
    horizontal_accuracy_m=4.0,
    vertical_accuracy_m=6.0,
    speed_accuracy_mps=0.5,
    source_label=SourceLabel.SATELLITE_ANCHORED,
    last_satellite_anchor_age_ms=100,
    fix_type=3,
)


def decoded(packet: bytes | Alert) -> Any:
    """The one message in a packet, as an autopilot parses it."""
    assert isinstance(packet, bytes)
    assert packet[0] == 0xFD
    (message,) = ardupilotmega.MAVLink(None).parse_buffer(packet)
    return message


@pytest.mark.parametrize("level_m", [37.5, math.nan])
def test_the_protection_level_is_in_the_telemetry(level_m: float) -> None:
    """NAMED_VALUE_FLOAT nav_prot_m holds it in metres, NaN where it is not known."""
    state = replace(STATE, protection_level_m=level_m)
    encoder = MavlinkEncoder(gps_id=1, system_id=7, unix_ns_at_zero=UNIX_NS)
    message = decoded(encoder.protection_level(state))
    assert (message.get_type(), message.name) == ("NAMED_VALUE_FLOAT", "nav_prot_m")
    assert message.value == pytest.approx(level_m, nan_ok=True)


def test_every_field_has_its_unit() -> None:
    """All fields of GPS_INPUT hold the state's values in MAVLink's units, and none is ignored."""
    message = decoded(MavlinkEncoder(gps_id=1, system_id=7, unix_ns_at_zero=UNIX_NS).gps_input(STATE))
    assert message.to_dict() == {
        "mavpackettype": "GPS_INPUT",
        "time_usec": 12_345_678,
        "gps_id": 1,
        "ignore_flags": 0,
        "time_week_ms": 194_418_000 + 12_345,
        "time_week": 2373,
        "fix_type": 3,
        "lat": 481_234_568,
        "lon": -372_000_000,
        "alt": 250.5,
        "hdop": 2.0,
        "vdop": 2.0,
        "vn": 10.0,
        "ve": -5.0,
        "vd": 0.25,
        "speed_accuracy": 0.5,
        "horiz_accuracy": 4.0,
        "vert_accuracy": 6.0,
        "satellites_visible": 10,
        "yaw": 9000,
    }
    assert (message.get_srcSystem(), message.get_srcComponent()) == (7, 191)


def test_an_unsure_clock_sends_week_zero() -> None:
    """Without a trusted UTC the week stays 0: it would steer the autopilot's clock."""
    message = decoded(MavlinkEncoder().gps_input(STATE))
    assert (message.time_week, message.time_week_ms) == (0, 0)


def test_failsafe_steps_reach_the_autopilot() -> None:
    """The ladder's last step, no fix with 999 m, passes as it is, with a dilution to match."""
    lost = replace(STATE, fix_type=1, horizontal_accuracy_m=999.0, source_label=SourceLabel.DEAD_RECKONED)
    message = decoded(MavlinkEncoder().gps_input(lost))
    assert (message.fix_type, message.horiz_accuracy) == (1, 999.0)
    assert message.hdop == pytest.approx(99.99)
    assert message.satellites_visible >= 6


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(0.0, 36000), (360.0, 36000), (0.001, 36000), (0.01, 1), (90.0, 9000), (180.0, 18000), (-90.0, 27000)],
)
def test_yaw_has_north_as_36000(degrees: float, expected: int) -> None:
    """North is 36000 because 0 means that the yaw is not known."""
    half = math.radians(degrees) / 2.0
    assert yaw_cdeg((math.cos(half), 0.0, 0.0, math.sin(half))) == expected


@pytest.mark.parametrize("quaternion", [(0.0, 0.0, 0.0, 0.0), (math.nan, 0.0, 0.0, 0.0), (5.0, 0.0, 0.0, 0.0)])
def test_yaw_is_zero_when_unknown(quaternion: tuple[float, float, float, float]) -> None:
    """A quaternion that is no rotation gives no yaw."""
    assert yaw_cdeg(quaternion) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"latitude_deg": math.nan},
        {"latitude_deg": 90.1},
        {"latitude_deg": -90.1},
        {"longitude_deg": 180.1},
        {"longitude_deg": math.inf},
        {"altitude_amsl_m": math.nan},
        {"altitude_amsl_m": 1e6},
        {"velocity_ned_mps": (0.0, math.nan, 0.0)},
        {"velocity_ned_mps": (0.0, 0.0, -math.inf)},
        {"velocity_ned_mps": (2000.0, 0.0, 0.0)},
        {"horizontal_accuracy_m": -1.0},
        {"vertical_accuracy_m": math.nan},
        {"speed_accuracy_mps": math.inf},
        {"fix_type": 0},
        {"fix_type": 4},
        {"t_ns": -1},
    ],
)
def test_what_cannot_be_is_withheld(wrong: dict[str, Any]) -> None:
    """A state with a number that cannot be becomes an alert with the state's time, and uses up no sequence number."""
    encoder = MavlinkEncoder()
    found = encoder.gps_input(replace(STATE, **wrong))
    assert isinstance(found, Alert)
    assert found.text.startswith("position withheld from autopilot: ")
    assert found.t_ns == wrong.get("t_ns", STATE.t_ns)
    assert decoded(encoder.gps_input(STATE)).get_seq() == 0


@settings(max_examples=200, deadline=None)
@given(
    latitude=st.floats(-90.0, 90.0),
    longitude=st.floats(-180.0, 180.0),
    altitude=st.floats(-1000.0, 50_000.0),
    accuracy=st.floats(0.0, 1e6),
    velocity=st.tuples(*[st.floats(-1000.0, 1000.0)] * 3),
    quaternion=st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4),
)
def test_all_that_passes_decodes(
    latitude: float,
    longitude: float,
    altitude: float,
    accuracy: float,
    velocity: tuple[float, float, float],
    quaternion: tuple[float, float, float, float],
) -> None:
    """Whatever passes the check is packed, and decodes to within the message's resolution."""
    state = replace(
        STATE,
        latitude_deg=latitude,
        longitude_deg=longitude,
        altitude_amsl_m=altitude,
        horizontal_accuracy_m=accuracy,
        velocity_ned_mps=velocity,
        quaternion_body_to_ned=quaternion,
    )
    message = decoded(MavlinkEncoder().gps_input(state))
    assert message.lat == pytest.approx(latitude * 1e7, abs=0.51)
    assert message.lon == pytest.approx(longitude * 1e7, abs=0.51)
    assert message.alt == pytest.approx(altitude, abs=0.01)
    assert message.vn == pytest.approx(velocity[0], abs=1e-3)
    assert 0.5 <= message.hdop < 100.0
    assert 0 <= message.yaw <= 36000


def test_same_states_same_bytes_and_numbers_in_a_row() -> None:
    """Two encoders give the same bytes; sequence numbers run over all messages of a link and wrap at 256."""

    def stream() -> list[bytes]:
        encoder = MavlinkEncoder(unix_ns_at_zero=UNIX_NS)
        out = []
        for k in range(150):
            packet = encoder.gps_input(replace(STATE, t_ns=STATE.t_ns + k * 125_000_000))
            assert isinstance(packet, bytes)
            out += [packet, encoder.heartbeat()]
        return out

    first = stream()
    assert first == stream()
    assert [decoded(packet).get_seq() for packet in first] == [k % 256 for k in range(300)]


def test_labels_and_texts() -> None:
    """The source label is a named number; long texts go in chunks that put together give the text again."""
    encoder = MavlinkEncoder()
    label = decoded(encoder.source_label(STATE))
    assert (label.name, label.value, label.time_boot_ms) == ("nav_source", 2.0, 12_345)
    for length in (0, 10, 50, 51, 100, 120, 250):
        text = "".join(chr(ord("a") + k % 26) for k in range(length))
        chunks = [decoded(packet) for packet in encoder.statustext(Alert(1, 4, text))]
        assert "".join(chunk.text for chunk in chunks) == text[:200]
        assert [chunk.chunk_seq for chunk in chunks] == list(range(len(chunks)))
        assert len({chunk.id for chunk in chunks}) == 1
        assert (chunks[0].id == 0) == (length <= 50)
        assert chunks[0].severity == 4
    assert decoded(encoder.statustext(Alert(1, 99, "x"))[0]).severity == 7


@pytest.mark.parametrize("wrong", [{"gps_id": -1}, {"gps_id": 256}, {"system_id": 0}, {"component_id": 300}])
def test_ids_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    """Identifiers that do not fit a byte are the configuration's mistake."""
    with pytest.raises(UserError, match="must be"):
        MavlinkEncoder(**wrong)
