"""Each phase of build-cache fails with its own name, exit code and advice, and leaves the lock free."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.provisioning.mission_file import MissionFile
from gps_denied_onboard.provisioning.trusted_keys import TrustedKeys
from gps_denied_operator.cache.build import BuildReport, Order, build_cache
from gps_denied_operator.companion.config import CompanionSettings
from gps_denied_operator.terrain.library import keep_heights

from ...gps_denied_onboard.live.peer import free_port
from .ssh_server import new_ssh_key

ORDER = Order(
    MissionFile("m", "f", 49.0, 37.0, (36.9, 48.9, 37.1, 49.1)), "provider", 18, bytes(32), TrustedKeys({}), ""
)


@pytest.fixture
def build(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BuildReport]:
    """Return a function that builds for a companion that nobody reaches."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    nowhere = CompanionSettings(
        "127.0.0.1", "nobody", str(new_ssh_key(tmp_path / "identity")), free_port(socket.SOCK_STREAM)
    )
    return lambda fetch=None: build_cache(ORDER, tmp_path / "store", nowhere, fetch, lambda _line: None)


def refuse(_mission: Any, _store: Any) -> dict[str, Any]:
    raise UserError("the provider's certificate is not accepted; give --ca.")


def nothing(_mission: Any, _store: Any) -> dict[str, Any]:
    return {"outcome": "failure", "reason": "no tile of the area could be had"}


def break_down(_mission: Any, _store: Any) -> dict[str, Any]:
    raise ZeroDivisionError


def test_every_failure_has_its_phase_and_exit_code(build: Callable[..., BuildReport], tmp_path: Path) -> None:
    """Download refused, download empty, companion unreachable, lock held: 20, 20, 30, 50; a bug comes through."""
    reports = [build(refuse), build(nothing), build()]
    with pytest.raises(ZeroDivisionError):
        build(break_down)
    with FileLock(tmp_path / "store" / ".build-cache.lock"):
        reports.append(build())
    reports.append(build())
    assert [(r.failure_phase, r.exit_code) for r in reports] == [
        ("download", 20), ("download", 20), ("companion", 30), ("lock", 50), ("companion", 30)
    ]  # fmt: skip
    assert [r.exception for r in reports[1:4]] == ["DownloadFailedError", "CompanionNotReadyError", "LockHeldError"]
    assert all(r.outcome == "failure" and r.reason and r.remediation for r in reports)


def test_a_route_without_map_ends_before_the_companion_is_asked(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leg without a tile is exit code 22 with the km that lack; --allow-gaps goes on to the companion."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    nowhere = CompanionSettings(
        "127.0.0.1", "nobody", str(new_ssh_key(tmp_path / "identity")), free_port(socket.SOCK_STREAM)
    )
    mission = dataclasses.replace(ORDER.mission, paths_deg=(((49.0, 37.0), (49.05, 37.0)),))
    said: list[str] = []
    codes = []
    for allowed in (False, True):
        order = dataclasses.replace(ORDER, mission=mission, allow_gaps=allowed)
        report = build_cache(order, tmp_path / "store", nowhere, None, said.append)
        codes.append((report.failure_phase, report.exit_code))
        assert "0.0 of 5.6 km of the route have map (0.0 %)" in report.reason + " ".join(said)
    assert codes == [("route", 22), ("companion", 30)]


def test_heights_are_a_phase_of_their_own(build: Callable[..., BuildReport], tmp_path: Path) -> None:
    """A damaged import ends with 21 before the companion is asked; without heights flat ground is told."""
    flat = build()
    assert (flat.failure_phase, flat.phases["terrain"]["file"]) == ("companion", None)
    assert "flat ground" in flat.phases["terrain"]["told"]
    about: dict[str, object] = {}
    heights = np.full((300, 300), 120.0, dtype="<f4")
    keep_heights(tmp_path / "store", "some", TerrainGrid(48.85, 36.85, 0.001, 0.001, heights, 5.0), about)
    good = build().phases["terrain"]
    assert (good["names"], good["file"]["sigma_m"], good["holes_share_of_box"]) == (["some"], 5.0, 0.0)
    file = tmp_path / "store" / "terrain" / "some.grid"
    file.write_bytes(file.read_bytes()[:-1])
    bad = build()
    assert (bad.failure_phase, bad.exit_code) == ("terrain", 21)
    assert "--no-terrain" in bad.remediation
