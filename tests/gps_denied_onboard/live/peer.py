"""An autopilot for loopback: pymavlink's own connection, fed with a recording's telemetry at its own speed."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from pathlib import Path
from typing import Any

from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega

from gps_denied_onboard.autopilot.mavlink.telemetry import true_per_equivalent_airspeed
from gps_denied_onboard.messages import AirspeedSample, AttitudeSample, BaroSample, ImuSample, Telemetry
from gps_denied_onboard.recorder.mcap_io import RecordingReader

AUTOPILOT = ardupilotmega.MAV_AUTOPILOT_ARDUPILOTMEGA
FIXED_WING = ardupilotmega.MAV_TYPE_FIXED_WING


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port of loopback, UDP without another kind, that nobody uses."""
    with contextlib.closing(socket.socket(socket.AF_INET, kind)) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Autopilot:
    """Answers on 127.0.0.1:`port` until closed; the telemetry from `start_ns` on begins with the first packet heard.

    `heard` holds (arrival, message): arrival is monotonic ns. `began_ns` is when the telemetry began.
    """

    def __init__(self, port: int, recording: Path, start_ns: int) -> None:
        self._link = mavutil.mavlink_connection(f"udpin:127.0.0.1:{port}", source_system=1, source_component=1)
        self._start_ns = start_ns
        self._script = [
            (m.t_ns - start_ns, self._packets(m)) for m in RecordingReader(recording).messages() if m.t_ns >= start_ns
        ]
        self.heard: list[tuple[int, Any]] = []
        self.began_ns: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._link.close()

    def recording_ns(self, arrival_ns: int) -> int:
        """The recording's time at a moment of the monotonic clock."""
        assert self.began_ns is not None
        return self._start_ns + arrival_ns - self.began_ns

    def _run(self) -> None:
        at = 0
        beat_ns = 0
        while not self._stop.wait(0.002):
            while (message := self._link.recv_msg()) is not None:
                self.heard.append((time.monotonic_ns(), message))
            if not self.heard:
                continue
            now_ns = time.monotonic_ns()
            if self.began_ns is None:
                self.began_ns = now_ns
            if now_ns >= beat_ns:
                beat_ns = now_ns + 1_000_000_000
                self._link.mav.heartbeat_send(FIXED_WING, AUTOPILOT, 0, 0, 4)
            while at < len(self._script) and self._script[at][0] <= now_ns - self.began_ns:
                for message in self._script[at][1]:
                    self._link.mav.send(message)
                at += 1

    def _packets(self, m: Telemetry) -> list[Any]:
        """The MAVLink messages in which an autopilot says this."""
        boot_ms = m.t_ns // 1_000_000
        if isinstance(m, ImuSample):
            nothing = (0.0,) * 3
            return [
                ardupilotmega.MAVLink_highres_imu_message(
                    m.t_ns // 1000, *m.accel_body_mps2, *m.gyro_body_radps, *nothing, 0.0, 0.0, 0.0, 0.0, 0x3F
                )
            ]
        if isinstance(m, AttitudeSample):
            q = m.quaternion_body_to_ned
            return [ardupilotmega.MAVLink_attitude_quaternion_message(boot_ms, *q, 0.0, 0.0, 0.0)]
        if isinstance(m, AirspeedSample):
            self._airspeed_mps = m.true_airspeed_mps
        if isinstance(m, BaroSample):
            indicated = getattr(self, "_airspeed_mps", math.nan) / true_per_equivalent_airspeed(m.altitude_amsl_m)
            speed = 0.0 if math.isnan(indicated) else indicated
            return [ardupilotmega.MAVLink_vfr_hud_message(speed, speed, 0, 0, m.altitude_amsl_m, 0.0)]
        return []
