"""The operator's account in the aircraft's image: what it may start and write, and when a flight waits for it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gps_denied_operator.companion.config import CompanionSettings

OVERLAY = Path(__file__).resolve().parents[2] / "images" / "companion" / "overlay"
PROGRAMS = OVERLAY / "usr/lib/gps-denied"
UNITS = OVERLAY / "etc/systemd/system"


def listed(name: str) -> list[str]:
    """Lines of one of the image's lists of accounts."""
    return (OVERLAY / "etc" / name).read_text().splitlines()


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the program that every login starts, as a module."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("operator_session", str(PROGRAMS / "operator-session"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("command", ["describe", "provision", "receive-tiles", "verify-cache"])
def test_what_build_cache_runs_is_started(session: Any, command: str) -> None:
    """The four commands get their arguments word by word; nothing in them is run by a shell."""
    wanted = f"gps-denied-onboard {command} --config '/a b;id' --json"
    assert session.chosen(wanted) == [session.PROGRAM, command, "--config", "/a b;id", "--json"]


@pytest.mark.parametrize(
    "wanted",
    ["", "id", "sh -c id", "gps-denied-onboard", "gps-denied-onboard run", "gps-denied-onboard setup-signing",
     "/tmp/gps-denied-onboard describe", "env gps-denied-onboard describe", "gps-denied-onboard 'describe",
     "/usr/lib/openssh/sftp-server -d /etc"],
)  # fmt: skip
def test_nothing_else_is_started(session: Any, wanted: str) -> None:
    """A shell, a flight, the autopilot's key, another program under the name: refused."""
    assert session.chosen(wanted) is None


def test_files_that_come_are_read_by_the_navigation_service_alone(session: Any) -> None:
    """SFTP lets the group read, not write, and keeps others out; the store's files are the group's to write."""
    assert session.chosen(session.SFTP) == [session.SFTP, "-u", "0027"]
    assert session.UMASK == 0o007


def test_the_later_environment_wins(session: Any, tmp_path: Path) -> None:
    """The operator's own variables replace those of the image; comments and a missing file are nothing."""
    image, own = tmp_path / "image", tmp_path / "own"
    image.write_text("A=1\nB=x y=z\n")
    own.write_text("# C=3\n\nA='2'\n")
    assert session.environment((str(image), str(own), str(tmp_path / "none"))) == {"A": "2", "B": "x y=z"}


def test_the_folders_of_a_companion_file_can_be_written() -> None:
    """Each folder that a companion file names by default is made for the operator, and in the sandbox."""
    made = [line.split() for line in (OVERLAY / "usr/lib/tmpfiles.d/companion.conf").read_text().splitlines()]
    owned = {words[1]: (words[2], words[3], words[4]) for words in made if words[0] == "d"}
    unit = (UNITS / "gps-denied-ssh@.service").read_text()
    sandbox = next(line for line in unit.splitlines() if line.startswith("ReadWritePaths=")).split("=")[1].split()
    defaults = CompanionSettings("10.41.10.2", "operator", "key")
    for folder in (defaults.cache, defaults.staging, defaults.trusted_keys):
        mode, owner, group = owned[folder]
        assert (mode[1], owner, group) == ("7", "operator", "gps-denied")
        assert folder in sandbox
    assert not any(Path(defaults.config).is_relative_to(folder) for folder in sandbox)  # flight.toml is not theirs


def test_every_account_that_is_named_exists() -> None:
    """Users and groups of units and of folders are in the image's own lists."""
    users, groups = ({line.split(":")[0] for line in listed(name)} for name in ("passwd", "group"))
    units = [line for path in UNITS.glob("*.service") for line in path.read_text().splitlines()]
    made = [line.split() for line in (OVERLAY / "usr/lib/tmpfiles.d/companion.conf").read_text().splitlines()]
    assert {line.split("=")[1] for line in units if line.startswith("User=")} | {words[3] for words in made} <= users
    assert {words[4] for words in made} <= groups
    assert {line.split(":")[0] for line in listed("shadow") if "*" in line.split(":")[1]} == users


@pytest.mark.parametrize(
    ("text", "there", "code"),
    [
        ('[mission]\nmanifest = "{manifest}"\n', False, 1),
        ('[mission]\nmanifest = "{manifest}"\n', True, 0),
        ('[inference]\nmanifest = "{manifest}"\n', False, 0),
        ("no TOML", False, 0),
    ],
)
def test_a_flight_waits_for_its_first_cache_alone(tmp_path: Path, text: str, there: bool, code: int) -> None:
    """Only a named manifest that is not there keeps the navigation service from starting; it says all else itself."""
    manifest, config = tmp_path / "manifest.json", tmp_path / "flight.toml"
    config.write_text(text.format(manifest=manifest))
    if there:
        manifest.write_text("{}")
    done = subprocess.run(
        [sys.executable, "-IS", PROGRAMS / "cache-built", config], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "build-cache" in done.stdout) == (code, code == 1)
