"""The check of an image's files refuses what its list forbids and passes the rest."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = ROOT / "images" / "companion" / "forbidden.txt"


def check(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", ROOT / "nix" / "contents.sh", tree, FORBIDDEN], capture_output=True, text=True)


def put(tree: Path, name: str, text: str = "") -> None:
    file = tree / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/gps_denied_sim/render/world.py", ""),
        ("src/gps_denied_onboard/a.py", "from gps_denied_operator.tiles import x\n"),
        ("src/gps_denied_onboard/a.py", "def f():\n    import os, httpx\n"),
        ("src/gps_denied_onboard/a.py", "from urllib import parse, request\n"),
        ("src/gps_denied_onboard/a.py", "import urllib.request\n"),
        ("etc/upload.key", "secret"),
        ("usr/bin/g++-12", ""),
        ("src/gps_denied_onboard/_okvis2.cpython-311-aarch64-linux-gnu.so", ""),
    ],
)
def test_a_forbidden_file_is_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    """One forbidden path or import among good files fails the check, which names the file."""
    put(tmp_path, "src/gps_denied_onboard/good.py", "import numpy\n")
    put(tmp_path, name, text)
    done = check(tmp_path)
    assert done.returncode == 1
    assert name.split("/")[-1] in done.stdout or Path(name).parent.name in done.stdout


def test_look_alikes_pass(tmp_path: Path) -> None:
    """A longer name or a mention in a comment is no offence."""
    text = "# never import httpx here\nimport pipeline\nfrom urllib import parse\n"
    put(tmp_path, "src/gps_denied_onboard/good.py", text)
    done = check(tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1].endswith(" 0 offences")) == (0, True)


def test_an_empty_tree_proves_nothing(tmp_path: Path) -> None:
    """A tree without Python files fails the check instead of passing it."""
    assert check(tmp_path).returncode == 1


def test_the_aircrafts_sources_hold_nothing_forbidden(tmp_path: Path) -> None:
    """The onboard package as it stands passes the companion's list."""
    for file in sorted((ROOT / "src" / "gps_denied_onboard").rglob("*.py")):
        put(tmp_path, f"copy/{file.relative_to(ROOT)}", file.read_text())
    done = check(tmp_path / "copy")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("image", ["companion", "operator"])
def test_composition_files_name_strategies_that_exist(image: str) -> None:
    """Every strategy that an image links is in the registry."""
    from gps_denied_onboard.runtime_root.strategies import STRATEGIES, load_composition

    path = ROOT / "images" / image / "composition.toml"
    tree = tomllib.loads(path.read_text())
    assert tree["image"] == image
    for choice, names in load_composition(path).linked.items():
        assert names
        assert set(names) <= STRATEGIES[choice].keys()
