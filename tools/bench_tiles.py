#!/usr/bin/env python3
"""Measure the tile store, the download against `curl --parallel`, and the upload; write build/bench/tiles.json.

Usage: bench_tiles.py OUT.json [TILES] [KILLED_TILES] [ROWS] [UPLOADS]. Provider, curl and the programs run on this
machine, one after the other, on the same files. Rows are made in the database alone, except for those that are evicted,
which have their files. About eight minutes on two idle cores; needs 7 GB beside the temporary files' folder (TMPDIR).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles.budget import CacheBudget
from gps_denied_onboard.tiles.grid import TileKey
from gps_denied_onboard.tiles.records import NewTile
from gps_denied_onboard.tiles.server import LocalServer
from gps_denied_onboard.tiles.store import TileStore

ZOOM, X0, Y0 = 18, 157_000, 90_000
KILLS = 20
EVICTED = 10_000
INVENTORY = 5000
PYTHON = sys.executable
FLIGHT = uuid.UUID("6fd1f3a2-6a4c-4f9e-9b8e-2f5c5b1f9a10")
# About 30 % of the requests fail: server_error begins bursts of three, the others hit one request each.
FAULTS = {"retry_after_s": 0.2, "too_many": 0.06, "too_many_date": 0.03, "server_error": 0.03, "truncate": 0.03,
          "lost_answer": 0.06, "garbage": 0.03}  # fmt: skip


@cache
def pictures() -> list[bytes]:
    """Return a hundred JPEG tiles of some 20 kB, as satellite pictures take."""
    rng = np.random.default_rng(1)
    coarse = (rng.integers(0, 256, (44, 44), dtype=np.uint8) for _ in range(100))
    return [cv2.imencode(".jpg", cv2.resize(one, (256, 256), interpolation=cv2.INTER_CUBIC))[1].tobytes()
            for one in coarse]  # fmt: skip


def picture(x: int, y: int) -> bytes:
    return pictures()[(x * 7 + y) % 100]


def offer(folder: Path, side: int) -> int:
    """Write side x side tiles; return their bytes."""
    total = 0
    for x in range(X0, X0 + side):
        (folder / str(ZOOM) / str(x)).mkdir(parents=True)
        for y in range(Y0, Y0 + side):
            (folder / str(ZOOM) / str(x) / f"{y}.jpg").write_bytes(picture(x, y))
            total += len(picture(x, y))
    return total


@contextmanager
def provider(tiles: Path, *options: str) -> Iterator[str]:
    """Run the simulator's provider; give its address."""
    command = [PYTHON, "-m", "gps_denied_sim.cli", "provider", "--tiles", str(tiles), "--port", "0", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
    finally:
        server.terminate()
        server.wait()


def take_stock(url: str, side: int) -> None:
    """Ask for the whole inventory, so that the provider knows all digests beforehand, as one with a database does."""
    places = [{"zoom": ZOOM, "x": x, "y": y} for x in range(X0, X0 + side) for y in range(Y0, Y0 + side)]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for start in range(0, len(places), INVENTORY):
        body = json.dumps({"tiles": places[start : start + INVENTORY]}).encode()
        with opener.open(urllib.request.Request(f"{url}/api/satellite/tiles/inventory", body)) as answer:
            answer.read()


def curl(url: str, side: int, out: Path) -> float:
    """Fetch all tiles with curl, eight at a time; return the seconds."""
    out.mkdir()
    command = ["curl", "--silent", "--fail", "--noproxy", "*", "--parallel", "--parallel-max", "8", "--output",
               str(out / "#1-#2.jpg"), f"{url}/tiles/{ZOOM}/[{X0}-{X0 + side - 1}]/[{Y0}-{Y0 + side - 1}]"]  # fmt: skip
    os.sync()
    began = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    assert sum(1 for _ in out.iterdir()) == side * side
    shutil.rmtree(out)
    os.sync()
    return seconds


def resident_mb(pid: int, stop: threading.Event, found: list[float]) -> None:
    """Note a process' resident memory every half second."""
    while not stop.wait(0.5):
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return
        found += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")]


def download_command(url: str, side: int, root: Path, source: str) -> list[str]:
    corners = [[X0 * 256 + 1, (Y0 + side) * 256 - 1], [(X0 + side) * 256 - 1, Y0 * 256 + 1]]
    (south, west), (north, east) = geodesy.geodetic_from_mercator_px(corners, ZOOM).tolist()
    return [PYTHON, "-m", "gps_denied_operator.cli", "tiles", "download", "--provider", url, "--source", source,
            f"--bbox={west},{south},{east},{north}", "--zoom", str(ZOOM), "--root", str(root), "--json"]  # fmt: skip


def download(command: list[str]) -> dict[str, Any]:
    """Run a download to its end; return its report, with the memory over time."""
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


def killed(command: list[str], root: Path) -> int:
    """Start a download and kill it, twenty times; return how many were still running when they were killed.

    Half of the moments are drawn from a run's first three seconds (start, reconciliation, inventory), half from the
    second after it has stored something.
    """
    draw, count = random.Random(5), 0
    for number in range(KILLS):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = journal_bytes(root)
        while number % 2 and journal_bytes(root) <= before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draw.uniform(0.0, 1.0 if number % 2 else 3.0))
        count += process.poll() is None
        process.kill()
        process.wait()
    return count


def journal_bytes(root: Path) -> int:
    return sum(path.stat().st_size for path in root.glob(".download-*.jsonl"))


def interrupted(url: str, side: int, root: Path, database: str) -> dict[str, Any]:
    """Return what twenty kills and one run to the end leave: what lacks, is too much, torn or an orphan."""
    command = download_command(url, side, root, "killed")
    count = killed(command, root)
    report = download(command)
    with TileStore.open(root, database) as store:
        records = store.query_tiles("killed", ZOOM, X0, Y0, X0 + side, Y0 + side)
        torn = 0
        for record in records:
            image = store.image_path(record.key)
            digest = hashlib.sha256(picture(record.key.x, record.key.y)).digest()
            sidecar = image.with_name(f"{image.name}.sha256").read_text().split()[0]
            torn += not (hashlib.sha256(image.read_bytes()).digest() == record.content_sha256 == digest
                         == bytes.fromhex(sidecar))  # fmt: skip
    found = {(record.key.x, record.key.y) for record in records}
    wanted = {(x, y) for x in range(X0, X0 + side) for y in range(Y0, Y0 + side)}
    files = sum(len(names) for _, _, names in os.walk(root / "killed"))
    return {
        "tiles": len(wanted), "killed_while_running": count, "last_run": report["outcome"],
        "resumed": report["resumed"], "missing": len(wanted - found), "too_many": len(found - wanted),
        "torn": torn, "orphan_files": files - 2 * len(records),
    }  # fmt: skip


def exchange(folder: Path, tiles: int, killed_tiles: int) -> dict[str, Any]:
    """Return the rates of curl and of the download from the same server, and what kills leave."""
    side = round(tiles**0.5)
    size_bytes = offer(folder / "offered", side)
    root = folder / "store"
    server = LocalServer(root)
    database = server.start()
    try:
        with provider(folder / "offered") as url:
            take_stock(url, side)
            curl_s = curl(url, side, folder / "by-curl")
            report = download(download_command(url, side, root, "provider"))
            torn = interrupted(url, round(killed_tiles**0.5), root, database)
    finally:
        server.stop()
    shutil.rmtree(root)
    assert report["downloaded"] == side * side, report
    rates = {
        "tiles": side * side, "mb": round(size_bytes / 1e6, 1), "curl_tiles_per_s": round(side * side / curl_s, 1),
        "download_tiles_per_s": round(side * side / report["seconds"], 1),
        "download_over_curl": round(curl_s / report["seconds"], 3), "rss_mb_quarters": report["rss_mb_quarters"],
    }  # fmt: skip
    return {"download": rates, "killed download": torn}


ROWS_SQL = """
    INSERT INTO tiles (source, zoom, x, y, tile_size_m, content_sha256, size_bytes, ground_resolution_m_px,
        last_access_at)
    SELECT 'provider', 18, 100000 + n / 1000, 90000 + n %% 1000, 100, sha256(n::text::bytea), 12000, 0.4, now()
    FROM generate_series(0, %s) AS n
"""


def fill(store: TileStore, rows: int, data: bytes) -> None:
    """Make so many rows: those that will be evicted with their files, of the others the folders are there."""
    for start in range(0, EVICTED, 1000):
        store.insert([NewTile(TileKey("provider", ZOOM, X0 + n // 100, Y0 + n % 100), data, 0.4)
                      for n in range(start, start + 1000)])  # fmt: skip
    with store.connection() as connection:
        connection.execute(ROWS_SQL, (rows - EVICTED - 1,))
        connection.execute("ANALYZE tiles")


def box_times_ms(store: TileStore, rows: int) -> list[float]:
    """Return how long 2000 boxes of 8 x 8 tiles took."""
    rng = np.random.default_rng(2)
    spent_ms = []
    for x, y in rng.integers((100_000, 90_000), (100_000 + (rows - EVICTED) // 1000 - 8, 90_990), (2000, 2)):
        began = time.perf_counter()
        found = store.query_tiles("provider", ZOOM, int(x), int(y), int(x) + 8, int(y) + 8)
        spent_ms.append((time.perf_counter() - began) * 1e3)
        assert len(found) == 64
    return spent_ms


def store_of(folder: Path, rows: int) -> dict[str, Any]:
    """Return the times of a store of so many rows: boxes, opening with and without its server, eviction of 10,000."""
    server = LocalServer(folder)
    url = server.start()
    data = pictures()[0]
    for x in range(100_000, 100_000 + rows // 1000):  # before it is opened: it looks into new ones
        (folder / "provider" / str(ZOOM) / str(x)).mkdir(parents=True)
    with TileStore.open(folder, url) as store:
        fill(store, rows, data)
        spent_ms = box_times_ms(store, rows)
        size_bytes = store.totals()[1]
    began = time.perf_counter()
    TileStore.open(folder, url).close()
    open_s = time.perf_counter() - began
    server.stop()
    began = time.perf_counter()
    with TileStore.open(folder) as store:
        start_s = time.perf_counter() - began
        assert store.totals()[0] == rows
        began = time.perf_counter()
        CacheBudget(store, size_bytes - EVICTED * len(data)).reserve_headroom(0)
        evict_s = time.perf_counter() - began
        assert store.totals()[0] == rows - EVICTED
    return {
        "rows": rows, "box_p50_ms": round(float(np.percentile(spent_ms, 50)), 2),
        "box_p99_ms": round(float(np.percentile(spent_ms, 99)), 2), "evict_10000_s": round(evict_s, 2),
        "open_and_close_s": round(open_s, 2), "open_and_start_server_s": round(start_s, 2),
    }  # fmt: skip


def upload(folder: Path, count: int) -> dict[str, Any]:
    """Return what a provider that fails 30 % of requests was told of so many tiles, and what the store knows of it."""
    root, ledger = folder / "flown", folder / "ledger"
    ledger.mkdir()
    captured = datetime.now(UTC) - timedelta(hours=1)
    server = LocalServer(root)
    database = server.start()
    began = time.perf_counter()
    try:
        with TileStore.open(root, database) as store:
            store.insert([NewTile(TileKey("onboard_ingest", ZOOM, X0 + n, Y0, FLIGHT), picture(n, 0), 0.3,
                                  captured_at=captured, quality_metadata={"n": n}) for n in range(count)])  # fmt: skip
        faults = [f"--fault={name}={value}" for name, value in FAULTS.items()]
        with provider(folder / "offered", "--keep", str(ledger), "--seed", "3", *faults) as url:
            command = [PYTHON, "-m", "gps_denied_operator.cli", "tiles", "upload", "--provider", url, "--root",
                       str(root), "--json"]  # fmt: skip
            runs, outcome = 0, ""
            while runs < 10 and outcome != "idempotent_no_op":
                outcome = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)["outcome"]
                runs += 1
        with TileStore.open(root, database) as store:
            records = store.query_tiles("onboard_ingest", ZOOM, X0, Y0, X0 + count, Y0 + 1)
    finally:
        server.stop()
    said = [json.loads(line) for line in (ledger / "ledger.jsonl").read_text().splitlines()]
    new = Counter(entry["longitude"] for entry in said if entry["status"] in {"queued", "superseded"})
    acknowledged = sum(record.acknowledged for record in records)
    given_up = sum(record.voting_status == "upload_giveup" for record in records)
    return {
        "tiles": count, "runs": runs, "sent": len(said), "acknowledged": acknowledged, "given_up": given_up,
        "lost": count - acknowledged - given_up, "new_more_than_once": sum(times > 1 for times in new.values()),
        "acknowledged_but_unknown_there": max(acknowledged - len(new), 0),
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def main() -> int:
    out = Path(sys.argv[1])
    sizes = [int(text) for text in sys.argv[2:]]
    tiles, killed_tiles, rows, uploads = [*sizes, *(100_000, 40_000, 1_000_000, 500)[len(sizes) :]]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gps-denied-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        found: dict[str, Any] = {"store": store_of(folder / "rows", rows)}
        print(json.dumps(found), flush=True)
        found |= exchange(folder, tiles, killed_tiles)
        print(json.dumps(found), flush=True)
        found["upload"] = upload(folder, uploads)
    found["whole"] = {"seconds": round(time.perf_counter() - began)}
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
