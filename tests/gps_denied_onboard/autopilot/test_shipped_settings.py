"""The settings that we ship for the autopilots: readable by ground stations, reasoned, and as the program expects."""

from __future__ import annotations

import itertools
from pathlib import Path

from pymavlink.mavparm import MAVParmDict

from gps_denied_onboard.autopilot.mavlink.gps_primary_selector import PARAMETER
from gps_denied_onboard.autopilot.mavlink.link import RATES_HZ
from gps_denied_onboard.config import AutopilotConfig

FOLDER = Path(__file__).resolve().parents[3] / "_docs" / "autopilot"
PARAMETERS = FOLDER / "arduplane.param"


def loaded() -> MAVParmDict:
    found = MAVParmDict()
    assert found.load(str(PARAMETERS), check=False)
    return found


def test_the_parameters_fit_the_programs_defaults() -> None:
    """Which GPS is whose, the delay, and that the autopilot follows GPS_PRIMARY alone, are the same on both sides."""
    parameters, ours = loaded(), AutopilotConfig()
    assert parameters[f"GPS{ours.gps_id + 1}_TYPE"] == 14
    assert parameters[f"GPS{ours.real_gps_id + 1}_TYPE"] == 1
    assert parameters["GPS1_DELAY_MS"] == ours.gps_delay_ms
    assert parameters["GPS_AUTO_SWITCH"] == 0
    assert parameters[PARAMETER] == ours.real_gps_id


def test_the_autopilots_loop_is_quick_enough_for_what_is_asked_of_it() -> None:
    """ArduPilot refuses a message at more than 0.8 of its loop's rate."""
    assert 0.8 * loaded()["SCHED_LOOP_RATE"] >= max(RATES_HZ.values())


def test_every_parameter_has_its_reason() -> None:
    """Ground stations read every line, and a comment stands before each block of values."""
    lines = PARAMETERS.read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if line and not line.startswith("#")]
    assert set(loaded()) == {line.split()[0] for line in values}
    for before, line in itertools.pairwise(lines):
        if line and not line.startswith("#"):
            assert before.startswith("#") or before.split("_")[0] == line.split("_")[0], line


def test_the_cli_snippet_names_the_sensor() -> None:
    """What spec and iNav need: the GPS feature, MSP as its provider, saved."""
    lines = (FOLDER / "inav-cli.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["feature GPS", "set gps_provider = MSP", "save"]
