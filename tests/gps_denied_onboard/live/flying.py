"""Files that let `gps-denied-onboard run` fly a recording: a video of its pictures and a configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from gps_denied_onboard.messages import FloatArray
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import RecordingMeta, read_meta

RATE_HZ = 2.0


def write_video(recording: Path, out: Path) -> int:
    """Write the recording's pictures as a video; returns the recording's time of the first one."""
    frames = list(RecordingReader(recording).frames())
    meta = read_meta(recording)
    size = (meta.camera.width_px, meta.camera.height_px)
    video = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"MJPG"), RATE_HZ, size)
    for frame in frames:
        video.write(np.asarray(cv2.imread(str(recording / "frames" / frame.name))))
    video.release()
    return frames[0].t_ns


def camera_table(meta: RecordingMeta, mount: FloatArray | None = None) -> str:
    """The recording's calibration as a [camera] table; `mount` (3, 3) is a calibrated one."""
    c = meta.camera
    rows = ", ".join(str(list(row)) for row in (c.rotation_camera_to_body if mount is None else mount.tolist()))
    return (
        f"[camera]\nwidth_px = {c.width_px}\nheight_px = {c.height_px}\nfx_px = {c.fx_px}\nfy_px = {c.fy_px}\n"
        f'cx_px = {c.cx_px}\ncy_px = {c.cy_px}\ndistortion_model = "{c.distortion_model}"\n'
        f"distortion = {list(c.distortion)}\nrotation_camera_to_body = [{rows}]\n"
    )


def mission_table(meta: RecordingMeta) -> str:
    """The recording's origin, the take-off place unknown."""
    return (
        f"[mission]\norigin_latitude_deg = {meta.origin_latitude_deg}\n"
        f"origin_longitude_deg = {meta.origin_longitude_deg}\nground_altitude_amsl_m = {meta.origin_altitude_m}\n"
        f"ground_sigma_m = {meta.ground_sigma_m}\n"
    )


def write_config(
    recording: Path,
    video: Path,
    port: int,
    out: Path,
    mission: str = "",
    more: str = "",
    mount: FloatArray | None = None,
) -> Path:
    """Write a configuration that flies `video` over the recording's map with the autopilot at a loopback port."""
    meta = read_meta(recording)
    out.write_text(
        f'{mission or mission_table(meta)}[map]\ndirectory = "{recording / "tiles"}"\n'
        f'[frames]\nsource = "video:{video}"\nrate_hz = {RATE_HZ}\n'
        f'[autopilot]\naddress = "udpout:127.0.0.1:{port}"\n{camera_table(meta, mount)}'
        f'[recorder]\ndirectory = "{out.parent / "flights"}"\n{more}'
    )
    return out


def start(config: Path, *options: str) -> subprocess.Popen[str]:
    """Start `gps-denied-onboard run` as a process."""
    command = [sys.executable, "-m", "gps_denied_onboard.cli.main", "run", "--config", str(config), *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
