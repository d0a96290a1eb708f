"""From a plan to the uploaded tiles with real servers on loopback: provider, sshd, PostgreSQL, an autopilot."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gps_denied_operator.companion.config import CompanionSettings

from ...gps_denied_onboard.live import flying
from .ssh_server import sshd

SRC = Path(__file__).resolve().parents[3] / "src"
KEY = "planted-api-key-5b1f9a10"
FLIGHT_S = 12.0
ZOOM = 18


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a simulated flight with the map that it flies over."""
    from gps_denied_onboard.recorder.meta import META_FILE
    from gps_denied_sim.recording import FlyRequest, make_recording

    out = tmp_path_factory.mktemp("circle") / "recording"
    make_recording(FlyRequest(1, FLIGHT_S / 60.0, frame_rate_hz=1.0, buffer_m=400.0), out, lambda *_: None)
    meta = json.loads((out / META_FILE).read_text())
    meta["utc_at_zero"] = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()  # the provider takes no old pictures
    (out / META_FILE).write_text(json.dumps(meta))
    return out


@pytest.fixture
def world(recording: Path, tmp_path: Path, database_url: str, other_database_url: str) -> Iterator[SimpleNamespace]:
    """Return two machines: the workstation and, behind a real sshd, the aircraft's computer."""
    from gps_denied_sim.provider.faults import Faults
    from gps_denied_sim.provider.serve import provider_app, running

    app = provider_app(recording / "tiles" / "provider", KEY, Faults(), 0, heights=write_heights(recording, tmp_path))
    with running(app) as provider_port, sshd(tmp_path / "aircraft") as companion:
        both = {**os.environ, "PYTHONPATH": str(SRC)}
        folders = {"GPS_DENIED_KEYS": str(tmp_path / "keys"), "GPS_DENIED_TILES": str(tmp_path / "store")}
        yield SimpleNamespace(
            recording=recording,
            folder=tmp_path,
            companion=companion,
            home={**both, **folders, "DATABASE_URL": database_url, "GPS_DENIED_PROVIDER_KEY": KEY},
            aircraft={**both, "DATABASE_URL": other_database_url},
            provider=f"http://127.0.0.1:{provider_port}",
        )


def write_heights(recording: Path, folder: Path) -> Path:
    """Heights around the flight as a provider may have them: its flat ground, every arc second."""
    from gps_denied_onboard.geometry.terrain import TerrainGrid
    from gps_denied_onboard.recorder.meta import read_meta
    from gps_denied_onboard.tiles.terrain_file import write_terrain

    meta = read_meta(recording)
    south, west = meta.origin_latitude_deg - 0.1, meta.origin_longitude_deg - 0.15
    heights = np.full((720, 1080), meta.origin_altitude_m, dtype="<f4")
    write_terrain(folder / "heights.grid", TerrainGrid(south, west, 1 / 3600, 1 / 3600, heights, 9.0))
    return folder / "heights.grid"


def operator(world: SimpleNamespace, *arguments: str, code: int = 0, **environment: str) -> tuple[Any, str]:
    """Run `operator-tool ... --json`; its object and its stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "gps_denied_operator.cli", *arguments, "--json"],
        env={**world.home, **environment}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    assert KEY not in done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout else None, done.stderr


def interrupted(world: SimpleNamespace, *arguments: str, at: str) -> None:
    """Run a command, press ctrl-C when it says that phase `at` begins: it ends soon, with one sentence."""
    command = [sys.executable, "-m", "gps_denied_operator.cli", *arguments]
    process = subprocess.Popen(command, env=world.home, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any(line.startswith(f"{at} ...") for line in process.stderr), "it ended before"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.splitlines()[-1]) == (
        130, "operator-tool: interrupted; what was done stays. Run the same command to go on."
    ), errors  # fmt: skip
    assert "Traceback" not in errors


def write_plan(world: SimpleNamespace) -> Path:
    """The flown route as GeoJSON."""
    from gps_denied_onboard.recorder.mcap_io import RecordingReader

    truth = list(RecordingReader(world.recording).truth())
    line = [[sample.longitude_deg, sample.latitude_deg] for sample in (truth[0], truth[len(truth) // 2], truth[-1])]
    plan = world.folder / "circle.geojson"
    plan.write_text(json.dumps({"type": "LineString", "coordinates": line}))
    return plan


def write_machines(world: SimpleNamespace) -> Path:
    """companion.toml here and flight.toml there."""
    from gps_denied_onboard.recorder.meta import read_meta

    there: CompanionSettings = world.companion
    aircraft = Path(there.config).parent
    url = world.aircraft["DATABASE_URL"]
    program = f"env PYTHONPATH={SRC} DATABASE_URL={url} {sys.executable} -m gps_denied_onboard.cli.main"
    toml = world.folder / "companion.toml"
    toml.write_text(
        f'host = "{there.host}"\nport = {there.port}\nuser = "{there.user}"\nidentity = "{there.identity}"\n'
        f'known_hosts = "{there.known_hosts}"\ncommand = "{program}"\nconfig = "{there.config}"\n'
        f'cache = "{there.cache}"\nstaging = "{there.staging}"\ntrusted_keys = "{there.trusted_keys}"\n'
    )
    meta = read_meta(world.recording)
    (aircraft / "tiles").mkdir()
    (aircraft / "flight.toml").write_text(
        f'[mission]\nmanifest = "{there.cache}/manifest.json"\ntrusted_keys = "{there.trusted_keys}"\n'
        f"ground_altitude_amsl_m = {meta.origin_altitude_m}\nground_sigma_m = {meta.ground_sigma_m}\n"
        f'[map]\nuse_store = true\ndirectory = "{aircraft / "tiles"}"\nzoom = {ZOOM}\n'
        f'[autopilot]\naddress = "udpout:127.0.0.1:9"\n{flying.camera_table(meta)}'
        "[tiles]\ncandidates = true\ncandidate_interval_s = 3.0\n"
    )
    return toml


def onboard(world: SimpleNamespace, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `gps-denied-onboard` on the aircraft with its configuration."""
    return subprocess.run(
        [sys.executable, "-m", "gps_denied_onboard.cli.main", *arguments, "--config", world.companion.config],
        env=world.aircraft, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.mark.slow
def test_from_a_plan_to_the_uploaded_tiles(world: SimpleNamespace) -> None:
    """plan -> build-cache -> verify -> flight on that cache -> clean shutdown -> report -> upload, and tampering."""
    plan, companion = write_plan(world), write_machines(world)
    cache = Path(world.companion.cache)
    build = ("build-cache", "--companion", str(companion), "--flight-file", str(plan), "--buffer", "300",
             "--provider", world.provider, "--zoom", str(ZOOM))  # fmt: skip

    operator(world, "keys", "new")
    told, _ = operator(world, *build, code=30)
    assert (told["failure_phase"], told["exception"]) == ("companion", "CompanionNotReadyError")
    assert "companion trust" in told["reason"]
    operator(world, "companion", "trust", str(companion))
    checked, _ = operator(world, "companion", "check", str(companion))
    assert all(item["good"] for item in checked["items"])

    for phase in ("companion", "send", "build"):
        interrupted(world, *build, at=phase)
    assert not (cache / "manifest.json").exists()
    asked, lines = operator(world, *build, code=21)
    assert (asked["failure_phase"], asked["exception"]) == ("sign", "NotAgreedError")
    assert not (cache / "manifest.json").exists()
    assert "calibration: " in asked["reason"]
    token = asked["reason"].split("--accept ")[1].rstrip(".")
    told, _ = operator(world, *build, "--accept", token)
    assert told["outcome"] == "success"
    phases = told["phases"]
    assert phases["verify"]["tiles"] == phases["download"]["already_stored"] > 0  # the first try fetched them
    assert "map overview: 1 of" in lines
    assert phases["download"]["heights"]["outcome"] == "idempotent_no_op"
    ground = phases["terrain"]["file"]
    assert (ground["sigma_m"], ground["holes_share"]) == (9.0, 0.0)
    (heights,) = (cache / "terrain").iterdir()
    assert hashlib.sha256(heights.read_bytes()).hexdigest() == phases["terrain"]["sha256"]
    sealed = (cache / "manifest.json").read_bytes()
    again, _ = operator(world, *build)
    assert again["outcome"] == "idempotent_no_op"
    assert (cache / "manifest.json").read_bytes() == sealed

    flight = cache.parent / "flight"
    flown = onboard(world, "replay", str(world.recording), "--out", str(flight), "--record", "--json")
    assert flown.returncode == 0, flown.stderr
    assert json.loads(flown.stdout)["anchored"] > 0
    again_flown = onboard(world, "replay", str(flight), "--out", str(world.folder / "flown-again"), "--json")
    assert again_flown.returncode == 0, again_flown.stderr
    told = json.loads(again_flown.stdout)
    assert told["identical"] == told["recorded"] > 0
    there = {"DATABASE_URL": world.aircraft["DATABASE_URL"]}
    page = world.folder / "report.html"
    shown, _ = operator(world, "report", str(flight), "--truth", str(world.recording), "--out", str(page), **there)
    assert shown["recording"] == "clean"
    assert page.stat().st_size > 10_000
    tiles = str(cache.parent / "tiles")
    sent, _ = operator(world, "upload", str(flight), "--provider", world.provider, "--root", tiles, **there)
    assert sent["outcome"] == "success"
    assert sent["queued"] > 0

    for victim in (heights, sorted((cache / "overview").iterdir())[0]):
        data = bytearray(victim.read_bytes())
        data[-1] ^= 1
        victim.write_bytes(data)
        for command in (("run",), ("replay", str(world.recording), "--out", str(world.folder / "again"))):
            refused = onboard(world, *command)
            assert refused.returncode == 2
            assert victim.name in refused.stderr
    assert not (world.folder / "again").exists()
