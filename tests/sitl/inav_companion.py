"""The companion as a process: `gps-denied-onboard run` on a real configuration."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from gps_denied_onboard.recorder.meta import RecordingMeta

END_S = 30.0


def write_config(meta: RecordingMeta, tiles: Path, camera: str, autopilot: str, folder: Path) -> Path:
    """A configuration that flies an iNav: map, camera and origin of a recording; where it takes off is not told."""
    c = meta.camera
    rows = ", ".join(str(list(row)) for row in c.rotation_camera_to_body)
    out = folder / "flight.toml"
    out.write_text(
        f'[strategies]\nautopilot = "inav"\n'
        f"[mission]\norigin_latitude_deg = {meta.origin_latitude_deg}\n"
        f"origin_longitude_deg = {meta.origin_longitude_deg}\nground_altitude_amsl_m = {meta.origin_altitude_m}\n"
        f'ground_sigma_m = {meta.ground_sigma_m}\n[map]\ndirectory = "{tiles}"\n'
        f'[frames]\nsource = "{camera}"\nrate_hz = 1.0\n[autopilot]\naddress = "{autopilot}"\n'
        f"[camera]\nwidth_px = {c.width_px}\nheight_px = {c.height_px}\nfx_px = {c.fx_px}\nfy_px = {c.fy_px}\n"
        f'cx_px = {c.cx_px}\ncy_px = {c.cy_px}\ndistortion_model = "{c.distortion_model}"\n'
        f"distortion = {list(c.distortion)}\nrotation_camera_to_body = [{rows}]\n"
        f'[recorder]\ndirectory = "{folder / "flights"}"\n'
    )
    return out


class Companion:
    """`gps-denied-onboard run`, its log in `log`."""

    def __init__(self, config: Path, log: Path) -> None:
        self._log = log.open("w")
        command = [sys.executable, "-m", "gps_denied_onboard.cli", "run", "--config", str(config)]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)

    def kill(self) -> None:
        """As a power cut would; once it has ended this does nothing."""
        self.process.kill()
        self.process.wait()
        self._log.close()

    def end(self) -> int:
        """As an operator would; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=END_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self._log.close()
