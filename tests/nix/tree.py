"""A copy of what the images are built from, and Nix called with the settings of nix/setup."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("flake.nix", "flake.lock", "pyproject.toml", "nix", "images", "src", "cpp", "migrations", "tests/conftest.py")

needs_nix = pytest.mark.skipif(shutil.which("nix") is None, reason="Nix is not installed: see nix/setup")


def copy_tree(folder: Path) -> Path:
    """The parts of the checkout that a build reads, without what a checkout gathers besides."""
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(source, target)
    return folder


def settings() -> str:
    """What nix/setup would write, for NIX_CONFIG."""
    return subprocess.run([ROOT / "nix" / "setup", "--print"], capture_output=True, text=True, check=True).stdout


def nix(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run nix; the caller looks at the return code."""
    own = {**os.environ, "NIX_CONFIG": settings()}
    return subprocess.run(["nix", *words], capture_output=True, text=True, errors="replace", env=own, check=False)


def outputs(*packages: str) -> list[Path]:
    """Where packages of this checkout lie in the store; skips where they have not been built."""
    done = nix("path-info", *(f"{ROOT}#{package}" for package in packages))
    if done.returncode:
        pytest.skip(f"{', '.join(packages)} are not built yet: make images")
    paths = [Path(line) for line in done.stdout.split()]
    return [next(path for path in paths if path.name.endswith(f"-{package}")) for package in packages]
