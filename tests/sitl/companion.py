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

from gps_denied_onboard.camera import CameraModel
from gps_denied_onboard.frames.camera import CameraSource

from .camera import DELAY_S, RATE_HZ, ROOT
from .scene import Scene

MEASURED_PICTURES = 8


def write_config(
    scene: Scene, camera: CameraModel, map_folder: Path, url: str, delay_s: float, link: str, out: Path
) -> Path:
    """Write `out`, a configuration for this scene; `link` is the table of the autopilot's link."""
    c = camera
    ground_m, sigma_m = scene.ground_level()
    rows = ", ".join(str(list(row)) for row in c.rotation_camera_to_body)
    out.write_text(
        f"[mission]\norigin_latitude_deg = {scene.home_latitude_deg}\n"
        f"origin_longitude_deg = {scene.home_longitude_deg}\n"
        f"ground_altitude_amsl_m = {ground_m:.1f}\nground_sigma_m = {sigma_m:.1f}\ntakeoff_known = true\n"
        f'[map]\ndirectory = "{map_folder}"\n'
        f'[frames]\nsource = "{url}"\nrate_hz = {RATE_HZ}\nexposure_delay_s = {delay_s:.4f}\n'
        f"[camera]\nwidth_px = {c.width_px}\nheight_px = {c.height_px}\nfx_px = {c.fx_px}\nfy_px = {c.fy_px}\n"
        f'cx_px = {c.cx_px}\ncy_px = {c.cy_px}\ndistortion_model = "{c.distortion_model}"\n'
        f"distortion = {list(c.distortion)}\nrotation_camera_to_body = [{rows}]\n"
        f'[recorder]\ndirectory = "{out.parent / "flights"}"\n{link}'
    )
    return out


class Companion:
    """The process; what it says goes to a file."""

    def __init__(self, config: Path) -> None:
        self._log = config.with_suffix(".log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gps_denied_onboard.cli", "run", "--config", str(config)],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        )

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def close(self) -> int:
        """End it as a service manager does; returns its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._log.close()


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
