"""As much of an X-Plane as iNav's simulator asks for: values over UDP, 100 times a second, to who subscribes.

Protocol: `RREF\\0` frequency, index, name asks for a value; `RREF,` then pairs of index and float answer.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

PERIOD_S = 0.01
INHG_PER_PA = 1.0 / 3386.39
_ASK = struct.Struct("<4sxii")
_POSITION = "sim/flightmodel/position/"


@dataclass(frozen=True)
class Gps:
    """What a GPS receiver inside the simulator would say; `fix` 0 none, 2 three-dimensional."""

    latitude_deg: float = 0.0
    longitude_deg: float = 0.0
    altitude_m: float = 0.0
    fix: int = 0
    satellites: int = 0


class XPlane:
    """Serves `values_at(monotonic time in s)`, by X-Plane's names, on a port of loopback until closed."""

    def __init__(self, values_at: Callable[[float], dict[str, float]]) -> None:
        self._values_at = values_at
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._asked: dict[int, str] = {}
        self._peer: tuple[str, int] | None = None
        self.sent = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._hear, self._tell)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _hear(self) -> None:
        self._socket.settimeout(0.2)
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                data, peer = self._socket.recvfrom(2048)
                if data.startswith(b"RREF"):
                    self._subscribe(data, peer)

    def _subscribe(self, data: bytes, peer: tuple[str, int]) -> None:
        _, rate_hz, index = _ASK.unpack_from(data)
        if peer != self._peer:  # it was started again
            self._peer, self._asked = peer, {}
        asked = dict(self._asked)
        asked.pop(index, None)
        if rate_hz > 0:
            asked[index] = data[_ASK.size :].split(b"\0", 1)[0].decode("ascii")
        self._asked = asked

    def _tell(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            due = max(due + PERIOD_S, time.monotonic() - 0.1)
            time.sleep(max(due - time.monotonic(), 0.0))
            asked, peer = self._asked, self._peer
            if not asked or peer is None:
                continue
            values = self._values_at(time.monotonic())
            pairs = b"".join(struct.pack("<if", index, values.get(name, 0.0)) for index, name in asked.items())
            with contextlib.suppress(ConnectionRefusedError):
                self._socket.sendto(b"RREF," + pairs, peer)
                self.sent += 1


@dataclass(frozen=True)
class State:
    """What an aircraft does: height over the ground (m), angles roll, pitch, yaw; force and rate forward, right, down.

    `airspeed_mps` is what a pitot tube says: equivalent airspeed.
    """

    altitude_m: float
    height_m: float
    attitude_rad: tuple[float, float, float]
    force_body_mps2: tuple[float, float, float]
    rate_body_radps: tuple[float, float, float]
    airspeed_mps: float


def values(state: State, gps: Gps) -> dict[str, float]:
    """X-Plane's names, with iNav's plug-in, for a state and for what the simulator's own GPS receiver says."""
    roll, pitch, yaw = (math.degrees(a) for a in state.attitude_rad)
    forward, right, down = (f / 9.80665 for f in state.force_body_mps2)
    p, q, r = (math.degrees(w) for w in state.rate_body_radps)
    north_in_body = (math.cos(state.attitude_rad[2]), math.sin(state.attitude_rad[2]), 0.0)
    return {
        "inav_xitl/plugin/xitlDrefVersion": 2.0,
        "inav_xitl/gps/latitude": gps.latitude_deg,
        "inav_xitl/gps/longitude": gps.longitude_deg,
        "inav_xitl/gps/elevation": gps.altitude_m,
        "inav_xitl/gps/fix": float(gps.fix),
        "inav_xitl/gps/numSats": float(gps.satellites),
        "inav_xitl/sensors/airspeed": state.airspeed_mps,
        "inav_xitl/sensors/rangefinder": 65535.0,
        "inav_xitl/sensors/battery_voltage": 12.6,
        **{f"inav_xitl/sensors/magnetometer[{k}]": value for k, value in enumerate(north_in_body)},
        _POSITION + "y_agl": state.height_m,
        _POSITION + "phi": roll,
        _POSITION + "theta": pitch,
        _POSITION + "psi": yaw % 360.0,
        _POSITION + "P": p,
        _POSITION + "Q": q,
        _POSITION + "R": r,
        # Whoever sits in it feels a push in the other direction; "up" is plus.
        "sim/flightmodel/forces/g_axil": -forward,
        "sim/flightmodel/forces/g_side": -right,
        "sim/flightmodel/forces/g_nrml": -down,
        "sim/weather/barometer_current_inhg": pressure_pa(state.altitude_m) * INHG_PER_PA,
    }


def pressure_pa(altitude_m: float) -> float:
    """Static pressure in the standard atmosphere (ICAO 7488/3)."""
    return float(101325.0 * (1.0 - altitude_m / 44330.8) ** 5.255877)
