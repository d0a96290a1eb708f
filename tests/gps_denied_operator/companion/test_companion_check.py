"""What `companion check` makes of a companion's own description, heard over a real SSH connection."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gps_denied_onboard.provisioning.trusted_keys import TrustedKeys
from gps_denied_operator.companion.check import CompanionState, check_companion
from gps_denied_operator.companion.config import CompanionSettings
from gps_denied_operator.companion.ssh import CompanionLink, CompanionNotReadyError

from .ssh_server import sshd

ACTIVE, REVOKED = "a" * 32, "b" * 32
TRUSTED = TrustedKeys({ACTIVE: bytes(32), REVOKED: bytes(32)}, frozenset({REVOKED}))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompanionSettings]:
    """Return settings that reach a running server."""
    with sshd(tmp_path_factory.mktemp("sshd")) as settings:
        yield dataclasses.replace(settings, composition_sha256="12" * 32)


def checked(server: CompanionSettings, folder: Path, **changes: Any) -> CompanionState:
    """Check a companion that describes itself like this."""
    said = {
        "version": "1.2.3", "image": "companion", "composition_sha256": "12" * 32, "unix_time_s": time.time(),
        "store_free_bytes": 50e9, "cache_free_bytes": 50e9, "trusted_keys": [ACTIVE], "problems": [],
        "revoked_keys": [], "source": "provider", "zoom": 18, "use_store": True, "matching": "classic",
        "companion_id": "c" * 32, "manifest_counter": 0,
    } | changes  # fmt: skip
    (folder / "said.json").write_text(json.dumps({key: value for key, value in said.items() if value is not None}))
    settings = dataclasses.replace(server, command=f"sh -c 'cat {folder / 'said.json'}; echo' -")
    with CompanionLink(settings) as link:
        return check_companion(link, settings, "1.2.3", TRUSTED, ACTIVE, time.time)


def test_a_good_companion_is_ready(server: CompanionSettings, tmp_path: Path) -> None:
    """Nothing is wrong with one that is as it should be."""
    assert checked(server, tmp_path).ready


@pytest.mark.parametrize(
    ("changes", "item", "why"),
    [
        ({"store_free_bytes": 5e8}, "disk", "0.5 GB free"),
        ({"cache_free_bytes": 0}, "disk", "free some"),
        ({"unix_time_s": 0.0}, "clock", "set the companion's clock"),
        ({"unix_time_s": 4e9}, "clock", "set the companion's clock"),
        ({"version": "1.2.2"}, "version", "flash the release"),
        ({"composition_sha256": "34" * 32}, "composition", "expects 1212"),
        ({"trusted_keys": []}, "trusted keys", "companion trust"),
        ({"trusted_keys": [ACTIVE, REVOKED]}, "trusted keys", "was revoked here"),
        ({"problems": ["no autopilot"]}, "configuration", "no autopilot"),
    ],
)
def test_what_is_wrong_is_named(
    server: CompanionSettings, tmp_path: Path, changes: dict[str, Any], item: str, why: str
) -> None:
    """Each thing that is wrong is found alone, with what to do, and keeps a cache from being built."""
    state = checked(server, tmp_path, **changes)
    assert [(one.name, why in one.told) for one in state.items if not one.good] == [(item, True)]
    with pytest.raises(CompanionNotReadyError, match=why):
        state.require_ready()


def test_another_release_that_says_less_is_refused(server: CompanionSettings, tmp_path: Path) -> None:
    """A description without a part that is needed is another release's."""
    with pytest.raises(CompanionNotReadyError, match="another release"):
        checked(server, tmp_path, trusted_keys=None)
