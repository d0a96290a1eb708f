"""The navigation service on the ground: switched on long before take-off, with an autopilot that stands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from pymavlink import mavutil

from gps_denied_onboard.recorder.meta import read_meta

from .flying import start, write_config, write_video
from .peer import AUTOPILOT, FIXED_WING, free_port

ARMED = 128
STAND_S, FLY_S = 4.0, 3.0


class Parked:
    """An ArduPilot at rest, until it is told to fly east."""

    def __init__(self, port: int) -> None:
        self._link = mavutil.mavlink_connection(f"udpin:127.0.0.1:{port}", source_system=1, source_component=1)
        self._beat_s = 0.0

    def run(self, seconds: float, flies: bool) -> list[Any]:
        """Go on for so long after the first position that arrives; returns what was heard meanwhile."""
        heard: list[Any] = []
        end_s = time.monotonic() + 60.0
        while (now_s := time.monotonic()) < end_s:
            while (message := self._link.recv_msg()) is not None:
                if message.get_type() == "GPS_INPUT" and not any(m.get_type() == "GPS_INPUT" for m in heard):
                    end_s = now_s + seconds
                heard.append(message)
            if heard:
                self._publish_alerts(now_s, 22.0 if flies else 0.4, ARMED if flies else 0)
            time.sleep(0.02)
        return heard

    def close(self) -> None:
        self._link.close()

    def _publish_alerts(self, now_s: float, airspeed_mps: float, mode: int) -> None:
        mav = self._link.mav
        if now_s - self._beat_s > 0.5:
            self._beat_s = now_s
            mav.heartbeat_send(FIXED_WING, AUTOPILOT, mode, 0, 4)
        half = 0.5**0.5
        mav.highres_imu_send(int(now_s * 1e6), 0, 0, -9.81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3F)
        mav.attitude_quaternion_send(int(now_s * 1e3) & 0xFFFFFFFF, half, 0.0, 0.0, half, 0, 0, 0)
        mav.vfr_hud_send(airspeed_mps, airspeed_mps, 90, 0, 120.0, 0.0)


@pytest.mark.slow
def test_it_stays_at_the_takeoff_place_until_it_flies(short_recording: Path, tmp_path: Path) -> None:
    """A full fix there, and the real receiver is to be followed; in the air the place is an estimate, and less sure."""
    write_video(short_recording, tmp_path / "frames.avi")
    meta = read_meta(short_recording)
    mission = (
        f"[mission]\norigin_latitude_deg = {meta.origin_latitude_deg}\n"
        f"origin_longitude_deg = {meta.origin_longitude_deg}\ntakeoff_known = true\n"
        f"ground_altitude_amsl_m = {meta.origin_altitude_m}\nground_sigma_m = {meta.ground_sigma_m}\n"
    )
    port = free_port()
    process = start(write_config(short_recording, tmp_path / "frames.avi", port, tmp_path / "flight.toml", mission))
    parked = Parked(port)
    stood, flew = parked.run(STAND_S, False), parked.run(FLY_S, True)
    process.terminate()
    _, errors = process.communicate(timeout=30)
    parked.close()
    assert process.returncode == 0, errors
    at_rest = [m for m in stood if m.get_type() == "GPS_INPUT"]
    assert len(at_rest) > 5 * STAND_S
    place = (round(meta.origin_latitude_deg * 1e7), round(meta.origin_longitude_deg * 1e7))
    assert {(m.lat, m.lon, m.fix_type, m.vn, m.ve, m.vd) for m in at_rest} == {(*place, 3, 0.0, 0.0, 0.0)}
    followed = [m.param_value for m in stood if m.get_type() == "PARAM_SET" and m.param_id == "GPS_PRIMARY"]
    assert set(followed) == {1.0}
    last = [m for m in flew if m.get_type() == "GPS_INPUT"][-1]
    assert at_rest[0].horiz_accuracy == 5.0
    assert last.horiz_accuracy > 20.0
