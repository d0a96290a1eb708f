"""A provisioning that was killed at any moment: the next run ends with the bytes of one that was left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from gps_denied_onboard.tiles.store import TileStore

from .making import CAMERA, PRIVATE_KEY, ZOOM, fill, mission

SRC = Path(__file__).resolve().parents[3] / "src"


@pytest.mark.slow
def test_killed_again_and_again_it_ends_the_same(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kills from the first file to the last leave no part behind, and at no time a manifest that names what is not."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    with TileStore.open(tmp_path / "store") as store:
        fill(store)
    (tmp_path / "mission.json").write_bytes(mission().to_bytes())
    (tmp_path / "key").write_text(PRIVATE_KEY.hex())
    camera = asdict(CAMERA)
    lines = [f"{name} = {list(map(list, v)) if name.startswith('rot') else list(v) if isinstance(v, tuple) else v!r}"
             for name, v in camera.items()]  # fmt: skip
    (tmp_path / "flight.toml").write_text(
        f'[map]\nuse_store = true\ndirectory = "{tmp_path / "store"}"\nzoom = {ZOOM}\n[camera]\n' + "\n".join(lines)
    )

    def start(out: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "gps_denied_onboard.cli.main", "provision",
             "--mission", str(tmp_path / "mission.json"),
             "--config", str(tmp_path / "flight.toml"), "--out", str(tmp_path / out), "--key", str(tmp_path / "key"),
             "--workers", "1"],
            env={**os.environ, "PYTHONPATH": str(SRC)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def files(out: str) -> dict[str, bytes]:
        found = (file for file in (tmp_path / out).rglob("*") if file.is_file() and file.name != ".lock")
        return {file.relative_to(tmp_path / out).as_posix(): file.read_bytes() for file in found}

    assert start("alone").wait() == 0
    stopped_with: list[int] = []
    for wanted in range(1, 5):
        run = start("killed")
        while run.poll() is None and len(list((tmp_path / "killed").rglob("*.overview"))) < wanted:
            time.sleep(0.002)
        run.kill()
        run.wait()
        stopped_with.append(len(list((tmp_path / "killed").rglob("*.overview"))))
        if (tmp_path / "killed" / "manifest.json").exists():
            assert files("killed").items() >= files("alone").items()
    assert stopped_with[0] < 4
    assert start("killed").wait() == 0
    assert files("killed") == files("alone")
