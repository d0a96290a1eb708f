"""What a kept recording follows from: the modules that make one, nothing else of the simulator."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import gps_denied_sim
from gps_denied_onboard.errors import UserError
from gps_denied_operator.evaluate.recordings import FlightKey, asks_for_heights, simulator_hash


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a copy of the simulator's package, and its hash."""
    copy = tmp_path_factory.mktemp("copy") / "gps_denied_sim"
    shutil.copytree(gps_denied_sim.__path__[0], copy, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gps_denied_sim, "__path__", [str(copy)])
        return copy, simulator_hash()


@pytest.mark.parametrize(
    ("changed", "thrown_away"),
    [
        ("recording.py", True),
        ("scene/terrain.py", True),
        ("render/vertical_objects.py", True),
        ("scene/vegetation.py", True),
        ("vehicle/dryden.py", True),
        ("cli.py", False),
        ("provider/app.py", False),
        ("__init__.py", False),
    ],
)
def test_only_what_makes_a_recording_counts(
    package: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, changed: str, thrown_away: bool
) -> None:
    """A change below `recording` makes a new recording; one of the command line or the tile provider does not."""
    copy, before = package
    monkeypatch.setattr(gps_denied_sim, "__path__", [str(copy)])
    unchanged = (copy / changed).read_bytes()
    (copy / changed).write_bytes(unchanged + b"\nCHANGED = True\n")
    after = simulator_hash()
    (copy / changed).write_bytes(unchanged)
    assert (after != before) is thrown_away


def test_flights_with_and_without_heights_share_what_they_can() -> None:
    """Only a raster over the plain needs a recording of its own: over hills it is in every recording, read or not."""
    assert asks_for_heights("cruise", "raster")
    for scenario, terrain in (("relief-150", "raster"), ("relief-150", "none"), ("relief-150", ""), ("cruise", "")):
        assert not asks_for_heights(scenario, terrain)
    assert FlightKey("cruise", 1, 2.0, True).stem != FlightKey("cruise", 1, 2.0).stem
    with pytest.raises(UserError, match="--terrain must be raster or none"):
        asks_for_heights("relief-150", "hills")
