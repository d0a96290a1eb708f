"""A release as operating-integrator.md types it: built, copied, signed, verified, written to a plain file as disk."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

import pytest

from .tree import ROOT, needs_nix, outputs, settings

DISK_BYTES = 2 << 30

pytestmark = [pytest.mark.slow, needs_nix]


def typed() -> list[str]:
    """The commands of the section on flashing."""
    page = (ROOT / "_docs" / "operating-integrator.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^## Flash the aircraft's computer\n```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [line.split("  #")[0].strip() for line in block.splitlines()]


@pytest.fixture(scope="module")
def flashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """A folder in which every command of the section was run on a plain file, and how each ended."""
    outputs("release")
    folder = tmp_path_factory.mktemp("flash")
    with (folder / "disk").open("wb") as disk:
        disk.truncate(DISK_BYTES)
    places = {
        r"\bRELEASE\b": "RELEASE", r"(?<!~/)\brelease\.pub": "release.pub", r"\bbuild/release\b": "built",
        "/dev/sdb": "disk",
    }  # fmt: skip
    environment = {**os.environ, "HOME": str(folder), "NIX_CONFIG": settings(), "PYTHONPATH": str(ROOT / "src")}
    ended = []
    for command in typed():
        for pattern, name in places.items():
            command = re.sub(pattern, shlex.quote(str(folder / name)), command)
        command += " --yes" if "operator-tool flash" in command else ""
        ended.append(subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, cwd=ROOT))
    return folder, ended


def test_the_typed_commands_make_a_disk(flashed: tuple[Path, list[subprocess.CompletedProcess[str]]]) -> None:
    """Every command succeeds but the last; the disk begins with the signed image, read back from the medium."""
    folder, ended = flashed
    *good, _ = ended
    for done in good:
        assert done.returncode == 0, f"{done.args[-1]}: {done.stderr}"
    image = folder / "RELEASE" / "companion.img"
    subprocess.run(["cmp", "-n", str(image.stat().st_size), image, folder / "disk"], check=True)
    assert {"root.img", "companion.efi", "composition.toml", "sbom.json", "release.json", "release.json.sig"} < {
        file.name for file in (folder / "RELEASE").iterdir()
    }


def test_the_same_version_is_no_update(flashed: tuple[Path, list[subprocess.CompletedProcess[str]]]) -> None:
    """The last command, of the release that the disk already holds, is refused: an update has a higher version."""
    _, ended = flashed
    assert ended[-1].returncode == 2
    assert "the boot loader starts the higher" in ended[-1].stderr


def test_the_operator_image_flashes_with_its_own_programs(
    flashed: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    """In an empty environment the operator image's tool verifies the release and reads the disk's boot partition."""
    (rootfs,) = outputs("operator-rootfs")
    folder, _ = flashed
    tool = rootfs / "bin" / "operator-tool"
    arguments = ["flash", folder / "RELEASE", folder / "disk", "--key", folder / "release.pub", "--slot", "--yes"]
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, env={"HOME": str(folder)}, check=False)
    assert done.returncode == 2
    assert "the boot loader starts the higher" in done.stderr


def test_the_operator_image_flies_and_keeps_tiles_by_itself() -> None:
    """In an empty environment: a simulated flight is flown, replayed and scored; a tile store's PostgreSQL starts."""
    (rootfs,) = outputs("operator-rootfs")
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o711)  # root's PostgreSQL runs as another account
        alone = {"HOME": name, "GPS_DENIED_TILES": f"{name}/tiles"}
        fly = ["evaluate", "flights", "--seeds", "1-1", "--minutes", "0.3", "--out", f"{name}/out"]
        for arguments in (fly, ["tiles", "stats"]):
            tool = [rootfs / "bin" / "operator-tool", *arguments]
            done = subprocess.run(tool, capture_output=True, text=True, env=alone, cwd=name, check=False)
            assert done.returncode == 0, done.stderr
        assert Path(name, "out", "report.html").stat().st_size > 10_000
