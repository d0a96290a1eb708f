#!/usr/bin/env python3
"""Measure 400 km2: import and provisioning at zoom 17 and 18, sizes on the disk, and kidnapped starts all over it.

Usage: bench_area.py OUT.json [SIDE_KM] [STARTS]. The area is simulated ground in the map's look, painted once and kept
beside OUT.json. Each start is a short flight somewhere on it, without GPS and without a take-off place, replayed over
the provisioned cache as the aircraft flies it.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gps_denied_onboard.config import Config, MapConfig, MissionConfig
from gps_denied_onboard.geometry.geodesy import LocalFrame, geodetic_from_mercator_px
from gps_denied_onboard.messages import SourceLabel
from gps_denied_onboard.provisioning.mission_file import MissionFile
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import read_meta, write_meta
from gps_denied_onboard.replay.recording import FrameTrace, replay_recording
from gps_denied_onboard.tiles.server import LocalServer
from gps_denied_operator.scoring.metrics import FALSE_ANCHOR_M, offset_m
from gps_denied_operator.scoring.protection import ellipses_away
from gps_denied_sim.recording import FlyRequest, Prepared, prepare, write_recording
from gps_denied_sim.render.appearance import map_look
from gps_denied_sim.render.map_tiles import BLOCK, JPEG_QUALITY, ZOOM, TilePainter, tiles_around
from gps_denied_sim.render.world import GroundPicture, World
from gps_denied_sim.schedule import Event

SEED = 77
SECONDS, FRAME_RATE_HZ = 20.0, 0.5
EDGE_M = 800.0
"""Starts keep this far from the edge of the map, so that the flight stays over it."""
PYTHON = [sys.executable, "-m"]
os.environ.setdefault("OMP_NUM_THREADS", "1")
"""As in flight."""


def area(side_m: float) -> tuple[Prepared, list[tuple[int, int]]]:
    """The ground's camera and place on Earth, and the tiles of a square around its origin."""
    ground = prepare(FlyRequest(SEED, SECONDS / 60.0, frame_rate_hz=FRAME_RATE_HZ, buffer_m=20.0))
    half = side_m / 2.0
    corners = np.array([[-half, -half, 0.0], [half, half, 0.0]])
    return ground, tiles_around(ground.frame, corners, 0.0, whole_box=True)


def paint(job: tuple[float, Path, int, int]) -> int:
    """Write every n-th band of blocks of both zooms; returns how many tiles of the finer one."""
    side_m, folder, first, step = job
    ground, tiles = area(side_m)
    picture = GroundPicture(World(SEED, ground.scenario.style), map_look(SEED, ground.scenario.map_age, 1.0), 0.5, 64)
    painter = TilePainter(picture, ground.frame)
    bands = sorted({y // BLOCK for _, y in tiles})
    count = 0
    for band in bands[len(bands) * first // step : len(bands) * (first + 1) // step]:
        mine = {(x, y) for x, y in tiles if y // BLOCK == band}
        for column in sorted({x // BLOCK for x, _ in mine}):
            block = painter.block(column * BLOCK, band * BLOCK)
            half = cv2.resize(block, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            for zoom, image, side in ((ZOOM, block, BLOCK), (ZOOM - 1, half, BLOCK // 2)):
                for j in range(side):
                    for i in range(side):
                        x, y = column * side + i, band * side + j
                        if zoom == ZOOM and (x, y) not in mine:
                            continue
                        tile = image[j * 256 : j * 256 + 256, i * 256 : i * 256 + 256]
                        file = folder / str(zoom) / str(x) / f"{y}.jpg"
                        file.parent.mkdir(parents=True, exist_ok=True)
                        made, data = cv2.imencode(".jpg", tile, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
                        assert made
                        file.write_bytes(data.tobytes())
                        count += zoom == ZOOM
    return count


def timed(*words: str, **environment: str) -> tuple[float, dict[str, Any]]:
    """Seconds of one of our commands, and the object that it prints last; SystemExit where it fails."""
    print(" ".join(words), flush=True)
    began = time.perf_counter()
    done = subprocess.run([*PYTHON, *words], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"bench_area: {words[0]} ended with {done.returncode}: see its words above")
    lines = done.stdout.splitlines()
    return round(time.perf_counter() - began, 1), json.loads(lines[-1]) if lines and lines[-1][:1] == "{" else {}


def disk_mb(path: Path) -> float:
    """What a tree takes on the disk."""
    return round(sum(file.lstat().st_blocks * 512 for file in path.rglob("*")) / 1e6, 1)


def start_somewhere(ground: Prepared, side_m: float, k: int, out: Path, origin: LocalFrame) -> None:
    """Write a flight that begins at a random place of the area; its recording tells nothing of where that is."""
    other = prepare(replace(ground.request, seed=SEED + 1 + k))
    rng = np.random.default_rng((SEED, k))
    offset = np.append(rng.uniform(EDGE_M - side_m / 2.0, side_m / 2.0 - EDGE_M, 2), 0.0)
    position = other.flight.position_enu_m + offset - np.append(other.flight.position_enu_m[0, :2], 0.0)
    jam = Event("gps_jam", 0.0, 1e6)
    haze = [event for event in other.scenario.events if event.kind == "camera_haze"]
    flown = replace(
        ground,
        flight=replace(other.flight, position_enu_m=position),
        scenario=replace(other.scenario, events=(jam, *haze), origin="absent", style=ground.scenario.style),
    )
    write_recording(flown, out, lambda *_: None)
    meta = replace(
        read_meta(out), origin_latitude_deg=origin.latitude_deg, origin_longitude_deg=origin.longitude_deg,
        origin_altitude_m=origin.altitude_m, ground_sigma_m=12.0,
    )  # fmt: skip
    write_meta(out, meta)


def kidnapped(ground: Prepared, origin: LocalFrame, side_m: float, k: int, config: Config) -> dict[str, float]:
    """One start: seconds of searching until the first anchor, or until its end; frames until then and its error, NaN
    where it found none. `anchored` states, those more than 50 m off and those inside the 95 % ellipse that they
    claimed, until its end."""
    with tempfile.TemporaryDirectory(prefix="gps-denied-bench-") as folder:
        recording = Path(folder) / "flight"
        start_somewhere(ground, side_m, k, recording, origin)
        truth = [(s.t_ns, s.latitude_deg, s.longitude_deg) for s in RecordingReader(recording).truth()]
        times, *where = np.array(truth).T
        searched, frames, found = [], 0, {"frames": math.nan, "error_m": math.nan}
        anchored = false_anchors = inside = 0

        def look(trace: FrameTrace) -> None:
            nonlocal frames, anchored, false_anchors, inside
            state = trace.state
            if trace.fix is not None and math.isnan(found["frames"]):
                frames += 1
                searched.append(sum(trace.stage_ms.values()) / 1e3)
            if state is None or state.source_label is not SourceLabel.SATELLITE_ANCHORED:
                return
            latitude_deg, longitude_deg = (float(np.interp(state.t_ns, times, degrees)) for degrees in where)
            error = offset_m((latitude_deg, longitude_deg), (state.latitude_deg, state.longitude_deg))
            error_m = math.hypot(*error)
            anchored += 1
            false_anchors += error_m > FALSE_ANCHOR_M
            inside += ellipses_away(state, *error) <= 1.0
            if math.isnan(found["frames"]):
                found.update(frames=frames, error_m=error_m)

        replay_recording(recording, config, None, look)
        counts = {"anchored": anchored, "false_anchors": false_anchors, "inside_95": inside}
        out = {"s": sum(searched), **found, "one_search_s_max": max(searched, default=math.nan), **counts}
        print(f"start {k}: {json.dumps(out)}", flush=True)
        return out


def measure(out: Path, side_m: float, starts: int) -> dict[str, Any]:
    """Everything, one after the other."""
    tiles = out.parent / f"area-{side_m / 1000.0:g}km-aged" / "tiles"
    workers = len(os.sched_getaffinity(0))
    if not tiles.is_dir():
        unfinished = tiles.with_name("unfinished")
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(paint, [(side_m, unfinished, n, workers) for n in range(workers)]))
        unfinished.rename(tiles)
    ground, wanted = area(side_m)
    low, high = np.array(wanted).min(axis=0), np.array(wanted).max(axis=0) + 1
    figures: dict[str, Any] = {"side_km": side_m / 1000.0, "tiles": len(wanted)}
    with tempfile.TemporaryDirectory(prefix="gps-denied-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)
        store, keys = work / "store", work / "keys"
        database = LocalServer(store).data_folder
        timed("gps_denied_operator.cli", "keys", "new", "--keys", str(keys), "--json")
        (private,) = keys.glob("*.key")
        for zoom in (ZOOM - 1, ZOOM):
            words = ["--zoom", str(zoom), "--root", str(store), "--captured", "2025-06-01", "--json"]
            figures[f"zoom_{zoom}_import_s"], _ = timed(
                "gps_denied_operator.cli", "tiles", "import", str(tiles), *words
            )
            (south, west), (north, east) = geodetic_from_mercator_px(
                [[low[0] * 256 + 1, high[1] * 256 - 1], [high[0] * 256 - 1, low[1] * 256 + 1]], ZOOM
            ).tolist()
            middle = ((south + north) / 2.0, (west + east) / 2.0)
            mission = MissionFile("area", "bench", *middle, (west, south, east, north))
            (work / "mission.json").write_bytes(mission.to_bytes())
            camera = asdict(ground.calibration)
            del camera["rotation_camera_to_body"]  # the default: the mount is found in flight
            lines = [f"{key} = {json.dumps(value)}\n" for key, value in camera.items()]
            flown = f'[map]\ndirectory = "{store}"\nuse_store = true\nzoom = {zoom}\n[camera]\n'
            (work / "flight.toml").write_text(flown + "".join(lines), encoding="utf-8")
            words = ["--mission", str(work / "mission.json"), "--config", str(work / "flight.toml")]
            words += ["--out", str(work / f"cache-{zoom}"), "--key", str(private), "--json"]
            figures[f"zoom_{zoom}_provision_s"], _ = timed("gps_denied_onboard.cli.main", "provision", *words)
            figures[f"zoom_{zoom}_provision_again_s"], _ = timed("gps_denied_onboard.cli.main", "provision", *words)
            figures[f"zoom_{zoom}_cache_mb"] = disk_mb(work / f"cache-{zoom}")
        figures["tiles_mb"] = round(disk_mb(store), 1)
        figures["database_mb"] = disk_mb(database)
        config = replace(
            Config(), map=MapConfig(str(store), "provider", ZOOM, True), camera=ground.calibration,
            mission=MissionConfig(manifest=str(work / f"cache-{ZOOM}" / "manifest.json"), trusted_keys=str(keys)),
        )  # fmt: skip
        origin = LocalFrame(*middle, ground.frame.altitude_m)
        found = [kidnapped(ground, origin, side_m, k, config) for k in range(starts)]
    return figures | starts_figures(found)


def starts_figures(found: list[dict[str, float]]) -> dict[str, Any]:
    """What the starts come to."""
    seconds_s = [one["s"] for one in found]
    frames = [one["frames"] for one in found if math.isfinite(one["frames"])]
    errors = [one["error_m"] for one in found if math.isfinite(one["error_m"])]
    return {
        "starts": len(found),
        "found": len(frames),
        "frames_until_found_p50_max": np.percentile(frames, (50, 100)).tolist() if frames else [],
        **{key: int(sum(one[key] for one in found)) for key in ("anchored", "false_anchors", "inside_95")},
        "search_s_p50_p95_max": np.percentile(seconds_s, (50, 95, 100)).round(1).tolist(),
        "one_search_s_max": round(max(one["one_search_s_max"] for one in found), 1),
        "error_m_p50_max": np.percentile(errors, (50, 100)).round(1).tolist() if errors else [],
    }


def main() -> int:
    began = time.perf_counter()
    out = Path(sys.argv[1]).resolve()
    side_km = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    figures = measure(out, side_km * 1000.0, int(sys.argv[3]) if len(sys.argv) > 3 else 50)
    figures["wall_s"] = round(time.perf_counter() - began)
    out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
