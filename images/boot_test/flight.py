"""From firmware to a flight: partitions made, services up, boot blessed, a minute replayed, an autopilot served."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

from boot_test.console import watch
from boot_test.fake_autopilot import FakeAutopilot, Listener
from boot_test.flips import copy_disk, direct_start, flip
from boot_test.machine import Machine
from boot_test.onboard import FOLDER, put_configuration
from boot_test.operator_session import OperatorSession

from gps_denied_onboard.recorder.meta import RecordingMeta, read_meta
from gps_denied_operator.images.disk import partitions

SOURCES = Path(__file__).resolve().parents[2] / "src"
FIRST_LIMIT_S, FLIGHT_LIMIT_S = 600.0, 2400.0
DISK_BYTES = 4 << 30
FLIPPED_BYTE = 100_000_000
PICTURE_NS = 2_000_000_000
"""The recording's first picture comes later than this."""
STANDS_WITHIN_M = 1000.0
METRES_A_DEGREE = 111_320.0
ROUTE_M = 60.0
RECORDING = ["--seed", "4", "--minutes", "1", "--frame-rate", "0.2", "--imu-rate", "50", "--map-buffer", "300"]
FIRST_BOOT = {
    "slot A refused": r"slot root-a refused: a block is damaged",
    "slot B accepted": r"slot root-b accepted",
    "partitions made": r"making the data and recorder partitions",
    "data mounted": r"/var/lib/gps-denied is|Reached target basic\.target",
}
NEXT_BOOT = {
    "boot loader": r"EFI stub: Booting Linux Kernel",
    "verity root": r"slot root-b accepted",
    "software loads": r"good for image 'companion'",
    "database": r"Started .*postgresql",
    "navigation ready": r"Started .*gps-denied\.service",
    "blessed": r"bless: good boot, .* 3 tries again",
    "navigation still up": r"ActiveState=active",
    "its watchdog fed": r"WatchdogTimestamp=\w",
    "replayed": r"replay-done",
}


def check_flight(image: Path, scratch: Path) -> list[str]:
    """Everything of this module's first line, with a damaged slot A; returns what went wrong."""
    content = scratch / "content"
    content.mkdir()
    run(scratch, "gps_denied_sim.cli", "fly", *RECORDING, "--out", content / "recording")
    run(scratch, "gps_denied_onboard.cli.main", "replay", content / "recording", "--out", scratch / "here")
    extra = scratch / "replay.img"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "replay", "-d", content, extra, "128M"], check=True)
    disk = copy_disk(image, scratch / "flight.img")
    flip(disk, partitions(disk)["root-a"].start_bytes + FLIPPED_BYTE)
    with disk.open("r+b") as stream:
        stream.truncate(DISK_BYTES)
    meta = read_meta(content / "recording")
    tiles = content / "recording" / str(meta.tiles_directory) / meta.tiles_source
    session = OperatorSession(scratch, tiles, f"{FOLDER}/cache.toml", route(meta))
    faults = watch(Machine(disk, scratch, direct=direct_start(image, scratch)), FIRST_BOOT, FIRST_LIMIT_S)
    if faults:
        return faults
    put_configuration(disk, content / "recording", scratch, session.write_files())
    autopilot = FakeAutopilot(meta.origin_altitude_m)
    link = lambda got: autopilot.turn(got, time.monotonic_ns())  # noqa: E731
    machine = Machine(disk, scratch, extra_disk=extra, link=link, ssh_port=session.port)
    enough = lambda: session.ended and len(autopilot.heard.places_deg) > 10  # noqa: E731
    faults = watch(machine, NEXT_BOOT, FLIGHT_LIMIT_S, enough, session.note) + session.faults
    replayed = Listener()
    replayed.take(machine.serial)
    return faults or compare(extra, scratch) + served(replayed, autopilot, meta)


def run(scratch: Path, *arguments: str | Path) -> None:
    """A command of this checkout, in one thread as on the aircraft."""
    threads = {"PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", *arguments], check=True, env={**os.environ, **threads}, cwd=scratch)


def compare(extra: Path, scratch: Path) -> list[str]:
    """NavState of the image's replay against this machine's: the same bytes, or as near as OpenCV's rounding allows.

    OpenCV's float kernels sum in another order for each vector width; what differs in the last digits is amplified
    where a correspondence is just taken or just not (the same machine with its vector instructions turned off differs
    by as much). So: nearly equal before the first picture; then each state within its own stated standard deviation,
    with the same label.
    """
    there = scratch / "there.jsonl"
    subprocess.run(["debugfs", "-R", f"dump out/navstate.jsonl {there}", extra], check=True, capture_output=True)
    ours, theirs = (scratch / "here/navstate.jsonl").read_bytes(), there.read_bytes()
    if ours == theirs:
        print(f"NavState: {len(ours)} bytes, identical with this machine's")
        return []
    if len(ours.splitlines()) != len(theirs.splitlines()):
        return [f"{len(theirs.splitlines())} NavStates, {len(ours.splitlines())} on this machine"]
    pairs = [(json.loads(a), json.loads(b)) for a, b in zip(ours.splitlines(), theirs.splitlines(), strict=True)]
    apart_m = [distance_m(a, b) for a, b in pairs]
    before_m = max(m for m, (a, _) in zip(apart_m, pairs, strict=True) if a["t_ns"] - pairs[0][0]["t_ns"] < PICTURE_NS)
    sigmas = max(m / a["horizontal_accuracy_m"] for m, (a, _) in zip(apart_m, pairs, strict=True))
    labels = sum(a["source_label"] != b["source_label"] for a, b in pairs)
    print(
        f"NavState: {len(pairs)} states; before the first picture {before_m * 1000:.6f} mm apart at most, then "
        f"{max(apart_m):.3f} m, {sigmas:.2f} of the stated standard deviation (allowed 1); {labels} labels differ"
    )
    return [] if before_m < 1e-3 and sigmas <= 1.0 and not labels else ["NavState differs by too much"]


def route(meta: RecordingMeta) -> list[list[float]]:
    """Some metres of a route where the aircraft stands, (longitude, latitude) in degrees."""
    east_deg, north_deg = meta.origin_longitude_deg, meta.origin_latitude_deg
    return [[east_deg, north_deg], [east_deg, north_deg + ROUTE_M / METRES_A_DEGREE]]


def distance_m(a: dict[str, float], b: dict[str, float]) -> float:
    """Between two NavStates a few metres apart, on the ground."""
    east_deg = (a["longitude_deg"] - b["longitude_deg"]) * math.cos(math.radians(a["latitude_deg"]))
    return METRES_A_DEGREE * math.hypot(a["latitude_deg"] - b["latitude_deg"], east_deg)


def served(replayed: Listener, autopilot: FakeAutopilot, meta: RecordingMeta) -> list[str]:
    """GPS_INPUT as pymavlink reads it outside: the replay's stream on ttyS0, the navigation service's on ttyS1."""
    sent, live = replayed.heard.counts.get("GPS_INPUT", 0), autopilot.heard.places_deg
    origin = meta.origin_latitude_deg, meta.origin_longitude_deg
    away_m = [METRES_A_DEGREE * max(abs(a - b) for a, b in zip(place, origin, strict=True)) for place in live]
    print(f"heard on ttyS0: {replayed.heard.counts}")
    print(f"heard on ttyS1: {autopilot.heard.counts}; first position {away_m[0]:.1f} m from where the aircraft stands")
    faults = [] if sent > 100 else [f"only {sent} GPS_INPUT of the replay were heard"]
    return faults if away_m[0] < STANDS_WITHIN_M else [*faults, f"the aircraft stands {away_m[0]:.0f} m away"]
