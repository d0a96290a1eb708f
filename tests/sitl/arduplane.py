"""A real ArduPlane simulator as a process, and the ground station's end of its link. Everything is on loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega as mavlink
from pymavlink.mavparm import MAVParmDict

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU, matrix_from_quaternion

from .truth import Pose, Track

TRUTH_HZ = 40.0
WATCHED_HZ = {"GPS_RAW_INT": 5.0, "GPS2_RAW": 5.0, "GLOBAL_POSITION_INT": 5.0, "EKF_STATUS_REPORT": 2.0}
ASK_AGAIN_S = 0.5
AIRFRAME = {
    "INS_ACCOFFS_X": 0.001,  # an accelerometer that was calibrated: without this it may not be armed
    "INS_ACCOFFS_Y": 0.001,
    "INS_ACCOFFS_Z": 0.001,
    "INS_ACCSCAL_X": 1.001,
    "INS_ACCSCAL_Y": 1.001,
    "INS_ACCSCAL_Z": 1.001,
    "INS_ACC2OFFS_X": 0.001,
    "INS_ACC2OFFS_Y": 0.001,
    "INS_ACC2OFFS_Z": 0.001,
    "INS_ACC2SCAL_X": 1.001,
    "INS_ACC2SCAL_Y": 1.001,
    "INS_ACC2SCAL_Z": 1.001,
    "AIRSPEED_CRUISE": 22,
    "ARSPD_USE": 1,
    "WP_RADIUS": 60,
    "RLL_RATE_P": 0.3,
    "RLL_RATE_I": 0.25,
    "RLL_RATE_D": 0.017,
    "RLL_RATE_FF": 0.24,
    "PTCH_RATE_P": 0.15,
    "PTCH_RATE_I": 0.11,
    "PTCH_RATE_D": 0.007,
    "PTCH_RATE_FF": 0.6,
    "NAVL1_PERIOD": 15,
    "RC3_MIN": 1000,
    "RC3_MAX": 2000,
    "RC3_TRIM": 1000,
    "SERVO3_MIN": 1000,
    "SERVO3_MAX": 2000,
}
"""The simulated aircraft itself: sensors that were calibrated, and its control loops."""


class ArduPlane:
    """Starts `binary` in `folder` with nothing but AIRFRAME set; the companion's port is its SERIAL2.

    `track` is where the aircraft truly is, by the simulator's own word, in ENU of `home`; `on_pose` hears of
    each. `heard` holds (arrival on the monotonic clock in ns, message) by type.
    """

    def __init__(
        self, binary: Path, folder: Path, home: LocalFrame, heading_deg: float, on_pose: Callable[[Pose], None]
    ) -> None:
        self.companion_port, ground_port = free_udp_port(), free_udp_port()
        self._home, self._on_pose = home, on_pose
        self.track = Track()
        self.heard: defaultdict[str, list[tuple[int, Any]]] = defaultdict(list)
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._link = mavutil.mavlink_connection(f"udpin:127.0.0.1:{ground_port}", source_system=255)
        folder.mkdir(parents=True, exist_ok=True)
        defaults = folder / "airframe.parm"
        defaults.write_text("".join(f"{name} {value}\n" for name, value in AIRFRAME.items()))
        self._log = (folder / "simulator.log").open("w")
        place = f"{home.latitude_deg},{home.longitude_deg},{home.altitude_m},{heading_deg}"
        self._process = subprocess.Popen(
            [
                str(binary), "--model", "plane", "--speedup", "1", "--home", place,
                "--defaults", str(defaults), "--rc-in-port", str(free_udp_port()),
                "--serial0", f"udpclient:127.0.0.1:{ground_port}", "--serial1", "none",
                "--serial2", f"udpclient:127.0.0.1:{self.companion_port}",
            ],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self._kept: BinaryIO | None = None
        self._stop = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End the simulator."""
        self._stop.set()
        self._reader.join()
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._link.close()
        self._log.close()
        if self._kept is not None:
            self._kept.close()

    def keep_telemetry(self, file: Path, rates_hz: Mapping[str, float]) -> None:
        """Keep all that is heard from now on as a ground station's .tlog, with these messages as often; it asks for the
        parameters as a ground station does."""
        self._kept = file.open("wb")
        self.send(mavlink.MAVLink_param_request_list_message(1, 1))
        for name, rate_hz in rates_hz.items():
            number = getattr(mavlink, f"MAVLINK_MSG_ID_{name}")
            self.command(mavlink.MAV_CMD_SET_MESSAGE_INTERVAL, number, 1e6 / rate_hz, timeout_s=20.0)

    def wait(self, kind: str, right: Callable[[Any], bool], timeout_s: float, again: Callable[[], None]) -> Any:
        """A message of this type that is `right`, newer than this call; `again` asks for it now and twice a second."""
        end_s = time.monotonic() + timeout_s
        with self._changed:
            seen = len(self.heard[kind])
        while time.monotonic() < end_s:
            again()
            with self._changed:
                self._changed.wait_for(lambda: any(right(m) for _, m in self.heard[kind][seen:]), ASK_AGAIN_S)
                for _, message in self.heard[kind][seen:]:
                    if right(message):
                        return message
        said = [m.text for _, m in self.heard["STATUSTEXT"][-12:]]
        raise AssertionError(f"no right {kind} within {timeout_s:.0f} s; the autopilot said {said}")

    def send(self, message: Any) -> None:
        """Send a message as the ground station."""
        with self._sending:
            self._link.mav.send(message)

    def set_parameter(self, name: str, value: float) -> None:
        """Set a parameter and see that the autopilot has it."""
        request = mavlink.MAVLink_param_set_message(1, 1, name.encode(), value, mavlink.MAV_PARAM_TYPE_REAL32)
        close = 1e-5 * max(1.0, abs(value))
        self.wait(
            "PARAM_VALUE",
            lambda m: m.param_id == name and abs(m.param_value - value) <= close,
            5.0,
            lambda: self.send(request),
        )

    def parameter(self, name: str) -> float:
        """A parameter as the autopilot has it."""
        request = mavlink.MAVLink_param_request_read_message(1, 1, name.encode(), -1)
        got = self.wait("PARAM_VALUE", lambda m: m.param_id == name, 5.0, lambda: self.send(request))
        return float(got.param_value)

    def load(self, file: Path) -> list[str]:
        """Load a parameter file as a ground station does; returns the names."""
        found = MAVParmDict()
        assert found.load(str(file), check=False)
        for name, value in found.items():
            self.set_parameter(name, value)
        return list(found)

    def command(self, number: int, *values: float, timeout_s: float = 5.0) -> None:
        """A command that must be accepted; it is given again until then."""
        request = mavlink.MAVLink_command_long_message(1, 1, number, 0, *(*values, *(0.0,) * 7)[:7])
        self.wait(
            "COMMAND_ACK",
            lambda m: m.command == number and m.result == mavlink.MAV_RESULT_ACCEPTED,
            timeout_s,
            lambda: self.send(request),
        )

    def restart(self) -> None:
        """Restart the autopilot, as after loading parameters."""
        self.command(mavlink.MAV_CMD_PREFLIGHT_REBOOT_SHUTDOWN, 1)
        time.sleep(2.0)
        self.watch()

    def watch(self) -> None:
        """Ask for the true pose and for what the autopilot says of its receivers and its own position."""
        self.wait("HEARTBEAT", lambda m: m.get_srcComponent() == 1, 30.0, lambda: None)
        for name, rate_hz in {"SIM_STATE": TRUTH_HZ, **WATCHED_HZ}.items():
            number = getattr(mavlink, f"MAVLINK_MSG_ID_{name}")
            self.command(mavlink.MAV_CMD_SET_MESSAGE_INTERVAL, number, 1e6 / rate_hz, timeout_s=20.0)
        self.wait("GLOBAL_POSITION_INT", lambda _: bool(self.track.poses), 20.0, lambda: None)

    def upload(self, items: list[Any]) -> None:
        """Give it a mission."""
        begin = len(self.heard["MISSION_REQUEST"]) + len(self.heard["MISSION_REQUEST_INT"])
        self.send(mavlink.MAVLink_mission_count_message(1, 1, len(items), 0))
        end_s = time.monotonic() + 20.0
        answered = begin
        while time.monotonic() < end_s:
            with self._changed:
                self._changed.wait(0.2)
                asked = [*self.heard["MISSION_REQUEST"], *self.heard["MISSION_REQUEST_INT"]]
                done = bool(self.heard["MISSION_ACK"])
            for _, request in asked[answered:]:
                self.send(items[request.seq])
            answered = len(asked)
            if done:
                assert self.heard["MISSION_ACK"][-1][1].type == mavlink.MAV_MISSION_ACCEPTED
                return
        raise AssertionError("the autopilot did not take the mission")

    def _read(self) -> None:
        beat_ns = 0
        while not self._stop.is_set():
            message = self._link.recv_match(blocking=True, timeout=0.05)
            now_ns = time.monotonic_ns()
            if now_ns >= beat_ns:
                beat_ns = now_ns + 1_000_000_000
                self.send(
                    mavlink.MAVLink_heartbeat_message(mavlink.MAV_TYPE_GCS, mavlink.MAV_AUTOPILOT_INVALID, 0, 0, 0, 3)
                )
            if message is None or message.get_type() == "BAD_DATA":
                continue
            if self._kept is not None:
                self._kept.write(struct.pack(">Q", time.time_ns() // 1000) + message.get_msgbuf())
            if message.get_type() == "SIM_STATE":
                self._on_truth(now_ns, message)
                continue
            if message.get_type() == "STATUSTEXT":
                print(f"{now_ns / 1e9:.1f} {message.text}", file=self._log, flush=True)
            with self._changed:
                self.heard[message.get_type()].append((now_ns, message))
                self._changed.notify_all()

    def _on_truth(self, now_ns: int, m: Any) -> None:
        position = self._home.enu_from_geodetic(m.lat_int / 1e7, m.lon_int / 1e7, m.alt)
        rotation = ROTATION_NED_TO_ENU @ matrix_from_quaternion((m.q1, m.q2, m.q3, m.q4))
        pose = Pose(now_ns, np.asarray(position, dtype=float), rotation)
        self.track.add(pose)
        self._on_pose(pose)


def free_udp_port() -> int:
    """A UDP port of loopback that nobody uses."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def binary_from_environment(name: str) -> Path | None:
    """The program that an environment variable names; None where it names none."""
    found = os.environ.get(name)
    return Path(found) if found else None
