"""A real iNav, in a network namespace of its own, whose only GPS is our companion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = float(os.environ.get("GPS_DENIED_SITL_SECONDS", "300"))
BESIDE_S = 420.0
"""What a flight takes beside its seconds: pictures and map are painted, iNav is set up, the companion starts again."""


@pytest.fixture
def simulator() -> str:
    """The simulator's program."""
    named = os.environ.get("INAV_SITL")
    if not named:
        pytest.skip("INAV_SITL does not name a simulator: build iNav's SITL and give the path of its SITL.elf")
    assert os.access(named, os.X_OK), f"INAV_SITL names {named}, which is no program"
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here, and iNav's simulator listens on every interface")
    return named


def run(simulator: str, what: str, seconds: float, folder: Path) -> dict[str, Any]:
    """Run one of the flights of inav_flight.py; its figures, which are also printed and kept."""
    command = ["unshare", "-rn", sys.executable, "-m", "tests.sitl.inav_flight", simulator, str(folder)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    subprocess.run(
        [*command, "--flight", what, "--seconds", str(seconds)],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=seconds + BESIDE_S,
    )
    figures: dict[str, Any] = json.loads((folder / "figures.json").read_text())
    line = json.dumps({"test": f"inav-{what}", "cores": os.cpu_count(), **figures})
    print(line)
    if out := os.environ.get("GPS_DENIED_SITL_OUT"):
        with Path(out).open("a") as file:
            file.write(line + "\n")
    return figures


@pytest.mark.slow
def test_what_inav_takes_from_a_position(simulator: str, tmp_path: Path) -> None:
    """Every field of our packet is in iNav as it was meant: degrees, metres, speeds, course and accuracies."""
    found = run(simulator, "packet", 0.0, tmp_path)
    assert found["settings"]["gps_provider"] == "MSP"
    assert found["before"] != 1
    assert found["gps_status"] == 1
    assert found["told"] == found["sent"]
    assert found["estimate_apart_m"] < 1.0
    assert found["lost_after_s"] < 2.0


@pytest.mark.slow
def test_the_only_gps_for_five_minutes(simulator: str, tmp_path: Path) -> None:
    """iNav holds a 3D fix from our stream, never says that the sensor is lost, and takes us back after a restart."""
    found = run(simulator, "alone", SECONDS, tmp_path)
    for part in (found["flight"], found["after_restart"]):
        assert part["fix_share"] == 1.0
        assert part["lost_sensor_looks"] == part["timeouts"] == part["errors"] == 0
        assert part["ours_share"] == 1.0
        assert part["gap_ms_max"] < 1000
    assert found["flight"]["off_truth_m"]["median"] < 20.0
    assert found["loss_seen_after_s"] < 2.0
    assert found["exit_code"] == 0


@pytest.mark.slow
def test_noise_on_the_line_and_a_reboot(simulator: str, tmp_path: Path) -> None:
    """One chunk in twenty is spoilt, then iNav restarts in flight: nothing false gets in, and the fix comes back."""
    found = run(simulator, "trouble", min(SECONDS, 45.0), tmp_path)
    assert found["spoilt"] > 50
    assert found["noisy"]["ours_share"] == 1.0
    assert found["noisy"]["lost_sensor_looks"] == 0
    assert found["used_again_after_reboot_s"] < 30.0
    assert found["exit_code"] == 0
