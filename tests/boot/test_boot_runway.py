"""What the boot test holds out to an emulated aircraft: an autopilot, and files on its data partition."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from gps_denied_onboard.messages import AirspeedSample, AttitudeSample, BaroSample, ImuSample

IMAGES = Path(__file__).resolve().parents[2] / "images"
ALTITUDE_M = 106.0


@pytest.fixture(autouse=True)
def boot_test_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """images/ is no package; the boot test puts it on the path itself."""
    monkeypatch.syspath_prepend(str(IMAGES))
    for name in [name for name in sys.modules if name.split(".")[0] == "boot_test"]:
        monkeypatch.delitem(sys.modules, name)


def gps_input() -> bytes:
    """A position as the companion sends it."""
    from pymavlink.dialects.v20 import ardupilotmega as mavlink

    packer = mavlink.MAVLink(None, srcSystem=1, srcComponent=191)
    rest = (0.0,) * 9
    return bytes(mavlink.MAVLink_gps_input_message(0, 0, 0, 0, 0, 3, 485000000, 364000000, *rest, 12).pack(packer))


def test_the_autopilot_is_silent_until_it_hears_the_companion() -> None:
    """It proves that the companion speaks first, and what it heard is kept with its place."""
    from boot_test.fake_autopilot import FakeAutopilot

    autopilot = FakeAutopilot(ALTITUDE_M)
    assert autopilot.turn(b"", 1_000_000_000) == b""
    assert autopilot.turn(gps_input(), 2_000_000_000) != b""
    assert autopilot.heard.counts == {"GPS_INPUT": 1}
    assert autopilot.heard.places_deg == [pytest.approx((48.5, 36.4))]


def test_the_companion_understands_an_aircraft_at_rest() -> None:
    """A second of the autopilot's bytes is, to the companion's own decoder, an aircraft that lies still and level."""
    from boot_test.fake_autopilot import FakeAutopilot
    from pymavlink.dialects.v20 import ardupilotmega as mavlink

    from gps_denied_onboard.autopilot.mavlink.clock import ClockAlignment
    from gps_denied_onboard.autopilot.mavlink.telemetry import TelemetryDecoder

    autopilot, parser, decoder = (
        FakeAutopilot(ALTITUDE_M),
        mavlink.MAVLink(None),
        TelemetryDecoder(ClockAlignment(), -1),
    )
    found: list[Any] = []
    for now_ns in range(0, 1_000_000_000, 10_000_000):
        for message in parser.parse_buffer(autopilot.turn(gps_input() if now_ns == 0 else b"", now_ns)) or []:
            found += decoder.decode(message, now_ns)
    imu = [m for m in found if isinstance(m, ImuSample)]
    assert len(imu) == 50
    assert imu[0].accel_body_mps2 == pytest.approx((0.0, 0.0, -9.80665))
    assert {m.quaternion_body_to_ned for m in found if isinstance(m, AttitudeSample)} == {(1.0, 0.0, 0.0, 0.0)}
    assert [m.altitude_amsl_m for m in found if isinstance(m, BaroSample)] == [pytest.approx(ALTITUDE_M)] * 5
    assert not [m for m in found if isinstance(m, AirspeedSample)]
    assert decoder.malformed == 0


def test_the_configuration_for_the_emulated_flight_can_be_flown(tmp_path: Path) -> None:
    """What the boot test puts on the data partition has no unknown key and lacks nothing that a flight needs."""
    from boot_test.onboard import FLIGHT, FOLDER, SIZE_PX

    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.live.service import missing_for_flight

    place = {"latitude_deg": 48.5, "longitude_deg": 36.4, "altitude_m": ALTITUDE_M, "source": "provider"}
    file = tmp_path / "flight.toml"
    file.write_text(FLIGHT.format(folder=FOLDER, width=SIZE_PX[0], height=SIZE_PX[1], **place))
    assert missing_for_flight(load_config(file)) == ()
