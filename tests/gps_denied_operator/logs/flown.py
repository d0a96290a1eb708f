"""A simulated flight with pictures, and the log that an autopilot would have written of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from gps_denied_onboard.messages import GpsSample, TakeoffOrigin
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_sim.recording import FlyRequest, make_recording
from tests.gps_denied_operator.logs.log_files import WRITERS, Messages, Sensor, dataflash_of, receiver


def fly(folder: Path, minutes: float, seed: int = 3) -> Path:
    """A recording of the simulator with small pictures."""
    out = folder / "flown"
    make_recording(FlyRequest(seed, minutes, width_px=684, height_px=456, buffer_m=600.0), out, lambda *_: None)
    return out


def log_of(recording: Path) -> tuple[Messages, list[int]]:
    """What its autopilot would have logged, with a good receiver, and when the pictures were taken."""
    reader = RecordingReader(recording)
    sensed = [m for m in reader.messages() if isinstance(m, Sensor) and not isinstance(m, GpsSample | TakeoffOrigin)]
    messages = sorted([*sensed, *receiver(list(reader.truth()), 3)], key=lambda m: m.t_ns)
    return messages, [frame.t_ns for frame in reader.frames()]


def write_log(folder: Path, suffix: str, recording: Path, *, events: bool = True) -> Path:
    """The log's file, with or without camera messages."""
    messages, pictures_ns = log_of(recording)
    path = folder / f"log{suffix}"
    if suffix == ".csv" or not events:
        path.write_bytes(WRITERS[suffix](messages))
    else:
        path.write_bytes(dataflash_of(messages, pictures_ns=pictures_ns) if suffix == ".bin" else
                         _with_pictures(suffix, messages, pictures_ns))  # fmt: skip
    return path


def _with_pictures(suffix: str, messages: Messages, pictures_ns: list[int]) -> bytes:
    from tests.gps_denied_operator.logs import log_files

    made = {".tlog": log_files.tlog_of, ".ulg": log_files.ulog_of}[suffix]
    return made(messages, pictures_ns=pictures_ns)


def stills(folder: Path, recording: Path) -> Path:
    """The pictures in a folder of their own, as a camera's card holds them."""
    out = folder / "DCIM"
    shutil.copytree(recording / "frames", out)
    return out
