#!/usr/bin/env python3
"""Measure the tile store and the download against `curl --parallel`; write build/bench/tiles.json.

Usage: bench_tiles.py OUT.json [TILES] [ROWS]. Provider, curl and the download run on this machine, one after the other,
on the same files. Rows are made in the database alone, except for those that are evicted, which have their files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gps_denied_onboard import geo
from gps_denied_onboard.tiles.budget import CacheBudget
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.server import LocalServer
from gps_denied_onboard.tiles.store import TileStore

ZOOM, X0, Y0 = 18, 157_000, 90_000
EVICTED = 10_000
PYTHON = sys.executable


def pictures() -> list[bytes]:
    """Return a hundred JPEG tiles of some kilobytes."""
    rng = np.random.default_rng(1)
    coarse = (rng.integers(0, 256, (64, 64), dtype=np.uint8) for _ in range(100))
    return [cv2.imencode(".jpg", cv2.resize(one, (256, 256)))[1].tobytes() for one in coarse]


def offer(folder: Path, side: int) -> int:
    """Write side x side tiles; return their bytes."""
    made, total = pictures(), 0
    for x in range(X0, X0 + side):
        (folder / str(ZOOM) / str(x)).mkdir(parents=True)
        for y in range(Y0, Y0 + side):
            data = made[(x * 7 + y) % 100]
            (folder / str(ZOOM) / str(x) / f"{y}.jpg").write_bytes(data)
            total += len(data)
    return total


def curl(url: str, side: int, out: Path) -> float:
    """Fetch all tiles with curl, eight at a time; return the seconds."""
    out.mkdir()
    command = ["curl", "--silent", "--fail", "--noproxy", "*", "--parallel", "--parallel-max", "8", "--output",
               str(out / "#1-#2.jpg"), f"{url}/tiles/{ZOOM}/[{X0}-{X0 + side - 1}]/[{Y0}-{Y0 + side - 1}]"]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert sum(1 for _ in out.iterdir()) == side * side
    return time.perf_counter() - began


def resident_mb(pid: int, stop: threading.Event, found: list[float]) -> None:
    """Note a process' resident memory every half second."""
    while not stop.wait(0.5):
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return
        found += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")]


def download(url: str, side: int, root: Path) -> dict[str, Any]:
    """Run `operator-tool tiles download`; return its report, with the memory over time."""
    corners = [[X0 * 256 + 1, (Y0 + side) * 256 - 1], [(X0 + side) * 256 - 1, Y0 * 256 + 1]]
    (south, west), (north, east) = geo.geodetic_from_mercator_px(corners, ZOOM).tolist()
    command = [PYTHON, "-m", "gps_denied_operator.cli", "tiles", "download", "--provider", url,
               f"--bbox={west},{south},{east},{north}", "--zoom", str(ZOOM), "--root", str(root), "--json"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stop, memory = threading.Event(), list[float]()
    watch = threading.Thread(target=resident_mb, args=(process.pid, stop, memory))
    watch.start()
    report: dict[str, Any] = json.loads(process.communicate()[0])
    stop.set()
    watch.join()
    quarter = max(len(memory) // 4, 1)
    report["rss_mb_quarters"] = [round(max(memory[n : n + quarter]), 1) for n in range(0, 4 * quarter, quarter)
                                 if memory[n : n + quarter]]  # fmt: skip
    return report


def exchange(folder: Path, tiles: int) -> dict[str, Any]:
    """Return the rates of curl and of the download, from the same server."""
    side = round(tiles**0.5)
    size_bytes = offer(folder / "offered", side)
    command = [PYTHON, "-m", "gps_denied_sim.cli", "provider", "--tiles", str(folder / "offered"), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        curl_s = curl(url, side, folder / "by-curl")
        report = download(url, side, folder / "store")
    finally:
        server.terminate()
        server.wait()
    assert report["downloaded"] == side * side, report
    return {
        "tiles": side * side, "mb": round(size_bytes / 1e6, 1), "curl_tiles_per_s": round(side * side / curl_s, 1),
        "download_tiles_per_s": round(side * side / report["seconds"], 1),
        "download_over_curl": round(curl_s / report["seconds"], 3), "rss_mb_quarters": report["rss_mb_quarters"],
    }  # fmt: skip


ROWS_SQL = """
    INSERT INTO tiles (source, zoom, x, y, tile_size_m, content_sha256, size_bytes, ground_resolution_m_px,
        last_access_at)
    SELECT 'provider', 18, 100000 + n / 1000, 90000 + n %% 1000, 100, sha256(n::text::bytea), 12000, 0.4, now()
    FROM generate_series(0, %s) AS n
"""


def store_of(folder: Path, rows: int) -> dict[str, Any]:
    """Return the times of a store of so many rows: boxes, eviction of 10,000 tiles, opening while its server runs."""
    folder.mkdir()
    server = LocalServer(folder)
    url = server.start()
    data = pictures()[0]
    with TileStore.open(folder, url) as store:
        for start in range(0, EVICTED, 1000):
            store.insert([NewTile(TileKey("provider", ZOOM, X0 + n // 100, Y0 + n % 100), data, 0.4)
                          for n in range(start, start + 1000)])  # fmt: skip
        with store.connection() as connection:
            connection.execute(ROWS_SQL, (rows - EVICTED - 1,))
            connection.execute("ANALYZE tiles")
        rng = np.random.default_rng(2)
        spent_ms = []
        for x, y in rng.integers((100_000, 90_000), (100_000 + rows // 1000, 90_990), (500, 2)):
            began = time.perf_counter()
            store.query_tiles("provider", ZOOM, int(x), int(y), int(x) + 8, int(y) + 8)
            spent_ms.append((time.perf_counter() - began) * 1e3)
        size_bytes = store.totals()[1]
    began = time.perf_counter()
    with TileStore.open(folder, url) as store:
        open_s = time.perf_counter() - began
        assert store.totals()[0] == rows
        began = time.perf_counter()
        CacheBudget(store, size_bytes - EVICTED * len(data)).reserve_headroom(0)
        evict_s = time.perf_counter() - began
        assert store.totals()[0] == rows - EVICTED
    server.stop()
    return {
        "rows": rows, "box_p50_ms": round(float(np.percentile(spent_ms, 50)), 2),
        "box_p99_ms": round(float(np.percentile(spent_ms, 99)), 2), "evict_10000_s": round(evict_s, 2),
        "open_s": round(open_s, 2),
    }  # fmt: skip


def main() -> int:
    out = Path(sys.argv[1])
    tiles, rows = (int(sys.argv[n]) if len(sys.argv) > n else default for n, default in ((2, 100_000), (3, 1_000_000)))
    with tempfile.TemporaryDirectory(prefix="gps-denied-bench-") as folder:
        Path(folder).chmod(0o755)
        found = {"exchange": exchange(Path(folder), tiles), "store": store_of(Path(folder) / "rows", rows)}
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
