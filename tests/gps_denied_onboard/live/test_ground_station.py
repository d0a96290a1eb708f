"""MAVProxy, a real ground station, hears the flying program and sends it a hint."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymavlink import mavutil

from gps_denied_onboard.recorder.meta import read_meta

from .flying import start, write_config, write_video
from .peer import Autopilot, free_port

PATIENCE_S = 40.0


class MavProxy:
    """MAVProxy listening on `port` of loopback; `log` is what it heard, `screen` what it said."""

    def __init__(self, folder: Path, port: int) -> None:
        self.log = folder / "heard.tlog"
        self._screen = (folder / "screen.txt").open("w+")
        program = Path(sys.executable).parent / "mavproxy.py"
        self._process = subprocess.Popen(
            [sys.executable, str(program), f"--master=udpin:127.0.0.1:{port}", f"--logfile={self.log}",
             f"--state-basedir={folder}", "--default-modules=log,message", "--source-system=255"],
            stdin=subprocess.PIPE, stdout=self._screen, stderr=subprocess.STDOUT, text=True, cwd=folder,
            env={**os.environ, "HOME": str(folder), "MAVLINK20": "1"},
        )  # fmt: skip

    def type(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def screen(self) -> str:
        self._screen.seek(0)
        return self._screen.read()

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=PATIENCE_S)
        self._screen.close()

    def heard(self, kind: str) -> list[Any]:
        log = mavutil.mavlink_connection(str(self.log), dialect="ardupilotmega")
        out = []
        while (message := log.recv_match(type=kind)) is not None:
            out.append(message)
        return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mavproxy").mkdir()
    return tmp_path


def wait(condition: Callable[[], bool], said: Callable[[], str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, said()
        time.sleep(0.02)


@pytest.mark.slow
def test_mavproxy_hears_positions_and_its_hint_is_acknowledged(short_recording: Path, folder: Path) -> None:
    """Over a link of its own: position once or twice a second, label and verdict; RELOC is answered."""
    begin_ns = write_video(short_recording, folder / "frames.avi")
    meta = read_meta(short_recording)
    port, ground_port = free_port(), free_port()
    more = f'[gcs]\naddress = "udpout:127.0.0.1:{ground_port}"\n'
    config = write_config(short_recording, folder / "frames.avi", port, folder / "flight.toml", "", more)
    autopilot = Autopilot(port, short_recording, begin_ns)
    station = MavProxy(folder / "mavproxy", ground_port)
    process = start(config, "--seconds", "40")
    try:
        wait(lambda: "Detected vehicle 1:191" in station.screen(), station.screen)
        place = f"{meta.origin_latitude_deg:.5f},{meta.origin_longitude_deg:.5f},500"
        station.type(f"message STATUSTEXT 6 \"b'RELOC:{place}'\" 0 0")
        wait(lambda: "RELOC taken" in station.screen(), station.screen)
        station.type("message STATUSTEXT 6 \"b'RELOC:north'\" 0 0")
        wait(lambda: "RELOC refused: want RELOC:<lat>,<lon>,<radius_m>, from 255/" in station.screen(), station.screen)
        wait(lambda: len(station.heard("GLOBAL_POSITION_INT_COV")) >= 6, station.screen)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
        station.close()
        autopilot.close()
    assert process.returncode == 0, errors
    positions = station.heard("GLOBAL_POSITION_INT_COV")
    took_s = (positions[-1].time_usec - positions[0].time_usec) / 1e6
    assert 1.0 <= (len(positions) - 1) / took_s <= 2.1
    assert {message.get_srcComponent() for message in positions} == {191}
    names = {message.name for message in station.heard("NAMED_VALUE_FLOAT")}
    assert names >= {"nav_source", "nav_95_m", "nav_anch_s", "nav_gps"}
