"""`setup-signing` against an autopilot on a pseudo terminal that takes the key as ArduPilot does."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import threading
import tty
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega

from gps_denied_onboard.cli import signing_setup
from gps_denied_onboard.cli.signing_setup import set_up_signing
from gps_denied_onboard.config import AutopilotConfig, Config
from gps_denied_onboard.errors import UserError

KEY = bytes(range(1, 33))
ARMED = 128
MINUTE = 6_000_000


class Autopilot:
    """Beats ten times a second; signs from one minute after the given timestamp on, once it was given a key."""

    def __init__(self, base_mode: int = 0, obeys: bool = True) -> None:
        self._ours, theirs = pty.openpty()
        tty.setraw(self._ours)
        tty.setraw(theirs)
        self._theirs = theirs
        self.device = os.ttyname(theirs)
        self._mav = ardupilotmega.MAVLink(None, srcSystem=1, srcComponent=1)
        self._base_mode, self._obeys = base_mode, obeys
        self.told: list[Any] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        os.set_blocking(self._ours, False)
        self._thread.start()

    def _run(self) -> None:
        parser = ardupilotmega.MAVLink(None)
        parser.robust_parsing = True
        while not self._stop.wait(0.05):
            beat = self._mav.heartbeat_encode(1, 3, self._base_mode, 0, 4)
            os.write(self._ours, beat.pack(self._mav))
            with contextlib.suppress(BlockingIOError):
                for message in parser.parse_buffer(os.read(self._ours, 4096)) or []:
                    if message.get_type() == "SETUP_SIGNING" and self._obeys:
                        self.told.append(message)
                        self._mav.signing.secret_key = bytes(message.secret_key)
                        self._mav.signing.timestamp = message.initial_timestamp + MINUTE
                        self._mav.signing.sign_outgoing = True

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "flight.key"
    path.write_bytes(KEY)
    path.chmod(0o600)
    return path


@pytest.fixture
def state_file(key_file: Path) -> Path:
    return key_file.with_name("flight.key.state")


def config(address: str, key_file: Path | None) -> Config:
    return Config(autopilot=AutopilotConfig(address, signing_key=str(key_file) if key_file else ""))


def test_the_autopilot_gets_the_key_and_confirms(key_file: Path, state_file: Path) -> None:
    """Disarmed and over a serial line: it is told the key, signs with it, and its timestamp is kept for the flight."""
    autopilot = Autopilot()
    set_up_signing(config(f"{autopilot.device},115200", key_file))
    autopilot.close()
    assert bytes(autopilot.told[0].secret_key) == KEY
    kept = json.loads(state_file.read_text())
    assert kept["timestamp"] >= autopilot.told[0].initial_timestamp + MINUTE
    assert list(kept["streams"]) == ["0/1/1"]


def test_an_armed_autopilot_is_left_alone(key_file: Path, state_file: Path) -> None:
    """An armed autopilot is never told a key; nothing is kept."""
    autopilot = Autopilot(ARMED)
    with pytest.raises(UserError, match="armed: disarm it"):
        set_up_signing(config(f"{autopilot.device},115200", key_file))
    autopilot.close()
    assert autopilot.told == []
    assert not state_file.exists()


def test_without_confirmation_nothing_is_kept(
    key_file: Path, state_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An autopilot that goes on unsigned has not taken the key, and one that is absent is said to be so."""
    monkeypatch.setattr(signing_setup, "PATIENCE_NS", 300_000_000)
    autopilot = Autopilot(obeys=False)
    with pytest.raises(UserError, match="did not confirm"):
        set_up_signing(config(f"{autopilot.device},115200", key_file))
    autopilot.close()
    ours, theirs = pty.openpty()
    with pytest.raises(UserError, match="no autopilot with system id 1 is heard"):
        set_up_signing(config(f"{os.ttyname(theirs)},115200", key_file))
    os.close(ours)
    os.close(theirs)
    with pytest.raises(UserError, match="cannot be opened"):
        set_up_signing(config("/dev/tty-absent,115200", key_file))
    assert not state_file.exists()


@pytest.mark.parametrize("address", ["udpin:127.0.0.1:14550", "udpout:127.0.0.1:14550", "tcp:127.0.0.1:5760", ""])
def test_a_key_never_goes_over_a_network(key_file: Path, address: str) -> None:
    """Addresses of a network are refused before anything is opened; so is a configuration without a key."""
    with pytest.raises(UserError, match="never sent over a network"):
        set_up_signing(config(address, key_file))
    with pytest.raises(UserError, match=r"no key: set autopilot\.signing_key"):
        set_up_signing(config(address, None))
