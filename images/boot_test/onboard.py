"""What an operator puts on the data partition before a flight: configuration, map, and here a video for a camera."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_operator.images.disk import partitions

FOLDER = "lib/gps-denied/config"
"""On the partition, which the aircraft mounts on /var."""
CHUNK_BYTES = 1 << 20
SIZE_PX = (160, 120)
FLIGHT = """[mission]
origin_latitude_deg = {latitude_deg}
origin_longitude_deg = {longitude_deg}
ground_altitude_amsl_m = {altitude_m}
takeoff_known = true
[map]
directory = "/var/{folder}/tiles"
source = "{source}"
[camera]
width_px = {width}
height_px = {height}
fx_px = 190.0
fy_px = 190.0
cx_px = 79.5
cy_px = 59.5
[frames]
source = "video:/var/{folder}/dark.avi"
rate_hz = 0.5
[autopilot]
address = "/dev/ttyS1,921600"
[recorder]
cap_mib = 256
"""


def put_configuration(disk: Path, recording: Path, scratch: Path, more: dict[str, Path]) -> None:
    """Write flight.toml, the recording's map and a dark video to the data partition of a disk that does not run.

    more: further files by their place beside flight.toml.
    """
    meta = read_meta(recording)
    video, config = scratch / "dark.avi", scratch / "flight.toml"
    write_dark_video(video)
    values = {
        "latitude_deg": meta.origin_latitude_deg,
        "longitude_deg": meta.origin_longitude_deg,
        "altitude_m": meta.origin_altitude_m,
        "source": meta.tiles_source,
        "width": SIZE_PX[0],
        "height": SIZE_PX[1],
    }
    config.write_text(FLIGHT.format(folder=FOLDER, **values))
    assert meta.tiles_directory is not None
    tiles = recording / meta.tiles_directory
    lines = [f"mkdir {folder}" for folder in reversed([FOLDER, *map(str, Path(FOLDER).parents)][:-1])]
    lines += [f"write {config} {FOLDER}/flight.toml", f"write {video} {FOLDER}/dark.avi", f"mkdir {FOLDER}/tiles"]
    lines += [f"mkdir {FOLDER}/{folder}" for folder in sorted({str(Path(place).parent) for place in more} - {"."})]
    lines += [f"write {path} {FOLDER}/{place}" for place, path in more.items()]
    for path in sorted(tiles.rglob("*")):
        inside = f"{FOLDER}/tiles/{path.relative_to(tiles)}"
        lines.append(f"mkdir {inside}" if path.is_dir() else f"write {path} {inside}")
    commands = scratch / "debugfs.commands"
    commands.write_text("\n".join(lines) + "\n")
    place, partition = partitions(disk)["data"], scratch / "data.img"
    copy_range(disk, place.start_bytes, partition, 0, place.size_bytes)
    checked = subprocess.run(["e2fsck", "-fy", partition], check=False, capture_output=True, text=True)
    if checked.returncode > 1:
        raise SystemExit(f"the data partition is not whole: {checked.stdout}{checked.stderr}")
    done = subprocess.run(["debugfs", "-w", "-f", commands, partition], check=True, capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if not re.search("^debugfs |already exists", line)]
    if complaints:
        raise SystemExit(f"the data partition cannot be filled: {complaints[0]}")
    copy_range(partition, 0, disk, place.start_bytes, place.size_bytes)
    partition.unlink()


def copy_range(source: Path, source_bytes: int, target: Path, target_bytes: int, size_bytes: int) -> None:
    """Copy a range between files, writing only what differs, so that holes stay holes. (e2fsck cannot work in place: it
    forgets the offset after taking the journal in.)"""
    target.touch()
    with source.open("rb") as reader, target.open("r+b") as writer:
        writer.truncate(max(target_bytes + size_bytes, target.stat().st_size))
        for at in range(0, size_bytes, CHUNK_BYTES):
            count = min(CHUNK_BYTES, size_bytes - at)
            reader.seek(source_bytes + at)
            writer.seek(target_bytes + at)
            chunk = reader.read(count)
            if chunk != writer.read(count):
                writer.seek(target_bytes + at)
                writer.write(chunk)


def write_dark_video(path: Path) -> None:
    """Some black pictures: a camera with its cap on."""
    import cv2
    import numpy as np

    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 2.0, SIZE_PX)
    for _ in range(4):
        video.write(np.zeros((SIZE_PX[1], SIZE_PX[0], 3), np.uint8))
    video.release()
