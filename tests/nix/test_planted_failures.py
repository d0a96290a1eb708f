"""What `nix flake check` must refuse: faults planted in a copy of the tree; the check that each breaks is built."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("flake.nix", "flake.lock", "nix", "images", "src", "cpp", "migrations", "tests/conftest.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nix") is None, reason="Nix is not installed: see nix/setup"),
]


def build(tree: Path, check: str) -> subprocess.CompletedProcess[str]:
    """Build one check of a tree with the settings of nix/setup."""
    settings = subprocess.run([ROOT / "nix" / "setup", "--print"], capture_output=True, text=True, check=True).stdout
    command = ["nix", "build", "--no-link", "--print-build-logs", f"path:{tree}#checks.x86_64-linux.{check}"]
    words = [word for line in settings.splitlines() for word in ("--option", *(p.strip() for p in line.split("=", 1)))]
    return subprocess.run([*command, *words], capture_output=True, text=True, errors="replace", check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the checks read, in which the pins' check passes; skips where nix/prefetch has not been run."""
    copy = tmp_path / "tree"
    for part in PARTS:
        target = copy / part
        target.parent.mkdir(parents=True, exist_ok=True)
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copyfile(source, target)
    done = build(copy, "pins")
    if "is-missing" in done.stderr:
        pytest.skip("the pins are not in the store: run nix/prefetch")
    assert done.returncode == 0, done.stderr
    return copy


def test_the_tree_as_it_is_passes(tree: Path) -> None:
    """The copy without a fault passes the check of the companion's contents."""
    done = build(tree, "companion-contents")
    assert done.returncode == 0, done.stderr


def test_onboard_that_imports_the_operator_is_refused(tree: Path) -> None:
    """One import of the operator's package in a file that flies fails the check, which names the file."""
    file = tree / "src" / "gps_denied_onboard" / "geo.py"
    file.write_text("import gps_denied_operator\n" + file.read_text())
    done = build(tree, "companion-contents")
    assert done.returncode != 0
    assert "gps_denied_onboard/geo.py" in done.stderr


def test_a_forbidden_file_is_refused(tree: Path) -> None:
    """A key among the onboard files fails the check, which names it."""
    (tree / "src" / "gps_denied_onboard" / "upload.key").write_text("secret")
    done = build(tree, "companion-contents")
    assert done.returncode != 0
    assert "upload.key" in done.stderr


def test_a_changed_pin_is_refused(tree: Path) -> None:
    """A pin whose hash was changed is in no store: the check fails, names the file and what to run."""
    pins = tree / "nix" / "pins" / "debs.json"
    text = pins.read_text()
    at = text.index('"sha256": "') + len('"sha256": "')
    pins.write_text(text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 :])
    done = build(tree, "pins")
    assert done.returncode != 0
    assert "is-missing/run-nix-prefetch-first" in done.stderr
