"""`gps-denied-onboard run` as a process, with a configuration such as an operator writes."""

from __future__ import annotations

import http.client
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from gps_denied_onboard.frames.camera import CameraSource
from gps_denied_onboard.geometry.camera import CameraModel

from .camera import DELAY_S, RATE_HZ, ROOT

MEASURED_PICTURES = 8
END_S = 30.0


def write_config(out: Path, camera: CameraModel, map_folder: Path, mission: str, frames: str, more: str = "") -> Path:
    """Write `out`: a camera's calibration, the lines of [mission] and [frames], and other tables."""
    out.write_text(
        f'[mission]\n{mission}[map]\ndirectory = "{map_folder}"\n[frames]\n{frames}rate_hz = {RATE_HZ}\n'
        f'{camera_lines(camera)}[recorder]\ndirectory = "{out.parent / "flights"}"\n{more}'
    )
    return out


def camera_lines(camera: CameraModel) -> str:
    """The table of a camera's calibration."""
    c = camera
    rows = ", ".join(str(list(row)) for row in c.rotation_camera_to_body)
    return (
        f"[camera]\nwidth_px = {c.width_px}\nheight_px = {c.height_px}\nfx_px = {c.fx_px}\nfy_px = {c.fy_px}\n"
        f'cx_px = {c.cx_px}\ncy_px = {c.cy_px}\ndistortion_model = "{c.distortion_model}"\n'
        f"distortion = {list(c.distortion)}\nrotation_camera_to_body = [{rows}]\n"
    )


def mission_lines(latitude_deg: float, longitude_deg: float, ground_m: float, ground_sigma_m: float) -> str:
    """The flight's origin, and what a height map tells of the ground."""
    return (
        f"origin_latitude_deg = {latitude_deg}\norigin_longitude_deg = {longitude_deg}\n"
        f"ground_altitude_amsl_m = {ground_m:.1f}\nground_sigma_m = {ground_sigma_m:.1f}\n"
    )


class Companion:
    """The process; what it says goes to `log`."""

    def __init__(self, config: Path, log: Path) -> None:
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gps_denied_onboard.cli.main", "run", "--config", str(config)],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        )

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """As a power cut would; once it has ended this does nothing."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def end(self) -> int:
        """As a service manager does; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=END_S)
        finally:
            self.kill()


def measured_delay_s(url: str) -> float:
    """From the middle of a picture's exposure until the companion's camera source has it: the stream's own delay.

    What comes from the exposure to the wire is DELAY_S by construction; the way from there is measured: when a bare
    reader of the stream has the last byte of a picture, and when the source gives it.
    """
    arrived: list[int] = []

    def read() -> None:
        where = urlsplit(url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port)
        connection.request("GET", where.path)
        stream = connection.getresponse()
        while len(arrived) < MEASURED_PICTURES:
            header = b""
            while not header.endswith(b"\r\n\r\n"):
                header += stream.read(1)
            size = int(header.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            stream.read(size + 2)
            arrived.append(time.monotonic_ns())
        connection.close()

    bare = threading.Thread(target=read, daemon=True)
    bare.start()
    source = CameraSource(url, time.monotonic_ns)
    given = [source.read().t_ns for _ in range(MEASURED_PICTURES)]
    bare.join(timeout=30.0)
    source.close()
    ways_s = [min((abs(t - a), t - a) for a in arrived)[1] / 1e9 for t in given]
    return DELAY_S + statistics.median(ways_s)
