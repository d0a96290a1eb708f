"""What is wrong with the build host or with what was asked for is said in a sentence, before anything is built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .tree import ROOT

PROGRAMS = ("sh", "env", "id", "getent", "sed", "grep", "mkdir", "touch", "dirname", "unshare", "true", "make", "ls")


@pytest.fixture
def host(tmp_path: Path) -> dict[str, str]:
    """The environment of an account on a machine that has the ordinary programs and no Nix."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        found = shutil.which(name, path="/usr/bin:/bin") or shutil.which(name)
        if found:
            (programs / name).symlink_to(found)
    return {"PATH": str(programs), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def run(host: dict[str, str], *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env=host, cwd=ROOT, check=False)


@pytest.mark.parametrize(
    "program", [[ROOT / "nix/setup"], [sys.executable, ROOT / "nix/prefetch"]], ids=["setup", "prefetch"]
)
def test_without_nix_the_package_is_named(host: dict[str, str], program: list[str | Path]) -> None:
    """A machine without Nix is told what to install; nothing is fetched or written."""
    done = run(host, *program)
    assert done.returncode != 0
    assert "Nix is missing: have an administrator run" in done.stderr
    assert "apt-get install nix-bin" in done.stderr
    assert {entry.name for entry in Path(host["HOME"]).iterdir()} == {"bin"}


@pytest.mark.parametrize(("version", "good"), [("2.3.7", False), ("2.7.0", False), ("2.8.0", True), ("2.30.1", True)])
def test_an_old_nix_is_told_apart(host: dict[str, str], version: str, good: bool) -> None:
    """Before 2.8 flakes were other ones: refused with the version that is needed, and no settings are written."""
    if good and run(host, "unshare", "--user", "--map-root-user", "true").returncode != 0:
        pytest.skip("no user namespaces here")
    nix = Path(host["PATH"]) / "nix"
    nix.write_text(f"#!/bin/sh\necho 'nix (Nix) {version}'\n")
    nix.chmod(0o755)
    done = run(host, ROOT / "nix" / "setup")
    written = Path(host["HOME"], ".config", "nix", "nix.conf")
    assert (done.returncode == 0) == good
    assert written.exists() == good
    if good:
        assert "sandbox-fallback = false" in written.read_text()
        before = written.read_bytes()
        assert run(host, ROOT / "nix" / "setup").returncode == 0
        assert written.read_bytes() == before
    else:
        assert f"Nix {version} is too old for flakes as used here: 2.8" in done.stderr


def test_an_unknown_board_is_refused_with_those_there_are(host: dict[str, str]) -> None:
    """`make images` for a board that nobody described names the boards that there are, and needs no Nix for that."""
    done = run(host, "make", "images", "BOARD=moon")
    assert done.returncode != 0
    assert "there is no board 'moon'; there are: jetson-orin qemu-virt" in done.stdout


def test_a_vendors_pins_are_made_for_boards_that_need_them(host: dict[str, str]) -> None:
    """A board without a vendor, or no board at all, is refused before a package client is asked."""
    for board in ("qemu-virt", "moon"):
        done = run({**host, "PATH": os.environ["PATH"]}, sys.executable, ROOT / "nix/pins/refresh", "--vendor", board)
        assert done.returncode != 0
        assert f"there is no board '{board}' that needs a vendor's packages" in done.stderr
