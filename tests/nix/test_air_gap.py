"""A build host without a network: every pin comes from a bundle, into a store that was empty, and a build starts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .tree import ROOT, copy_tree, needs_nix, settings

NOWHERE = "http://127.0.0.1:9/"

pytestmark = [pytest.mark.slow, needs_nix]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What nix/prefetch --bundle copies out of this machine's store; skips where the pins are not in it."""
    listed = subprocess.run([ROOT / "nix" / "prefetch", "--list"], capture_output=True, text=True, check=True).stdout
    store = Path(os.environ.get("NIX_REMOTE", "") + "/nix/store")
    have = {path.name[33:] for path in store.iterdir()} if store.is_dir() else set()
    if missing := [line.split()[1] for line in listed.splitlines() if line.split()[1] not in have]:
        pytest.skip(f"{len(missing)} pins are not in the store: run nix/prefetch")
    folder = tmp_path_factory.mktemp("bundle")
    environment = {**os.environ, "NIX_CONFIG": settings()}
    subprocess.run([ROOT / "nix" / "prefetch", "--bundle", folder], check=True, capture_output=True, env=environment)
    return folder


@pytest.fixture
def host(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a host with an empty store, whose package clients are configured to reach nothing."""
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {NOWHERE}\nfind-links =\n")
    (tmp_path / "sources.list").write_text(f"deb {NOWHERE} bookworm main\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "{tmp_path}";\n'
    )
    yield {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "NIX_REMOTE": str(tmp_path / "store"),
        "NIX_CONFIG": settings(), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "APT_CONFIG": str(tmp_path / "apt.conf"), "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }  # fmt: skip
    subprocess.run(["chmod", "-R", "u+w", tmp_path / "store"], check=False, capture_output=True)
    shutil.rmtree(tmp_path / "store", ignore_errors=True)


def offline(host: dict[str, str], *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a network of its own, which holds nothing."""
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    return subprocess.run([*alone, *command], capture_output=True, text=True, env=host, cwd=ROOT, check=False)


def test_a_bundle_fills_an_empty_store(bundle: Path, host: dict[str, str], tmp_path: Path) -> None:
    """Without the bundle the host gets nothing; with it every pin is there, a build runs, the image could follow."""
    refused = offline(host, ROOT / "nix" / "prefetch")
    assert refused.returncode != 0
    assert "(--from DIR)" in refused.stderr
    filled = offline(host, ROOT / "nix" / "prefetch", "--from", bundle)
    assert filled.returncode == 0, filled.stderr
    assert f"{len(list(bundle.iterdir()))} pinned files are in the store" in filled.stdout
    tree = f"path:{copy_tree(tmp_path / 'tree')}"
    built = offline(host, "nix", "build", "--no-link", f"{tree}#checks.x86_64-linux.pins")
    assert built.returncode == 0, built.stderr
    planned = offline(host, "nix", "build", "--dry-run", f"{tree}#companion-rootfs")
    assert planned.returncode == 0, planned.stderr
    assert "-companion-rootfs.drv" in planned.stderr
    assert ".whl.drv" not in planned.stderr
    assert ".deb.drv" not in planned.stderr


def test_one_wrong_byte_names_the_file(bundle: Path, host: dict[str, str]) -> None:
    """A bundle with one flipped byte is refused with the file's name, and the file is not added to the store."""
    file = next(iter(sorted(bundle.glob("bash_*_amd64.deb"))))
    good = file.read_bytes()
    try:
        file.write_bytes(good[:5000] + bytes([good[5000] ^ 1]) + good[5001:])
        refused = offline(host, ROOT / "nix" / "prefetch", "--from", bundle)
    finally:
        file.write_bytes(good)
    assert refused.returncode != 0
    assert f"{file} does not have the pinned SHA-256. Copy the bundle again." in refused.stderr
    assert not list(Path(host["NIX_REMOTE"], "nix/store").glob(f"*-{file.name}"))


def test_a_missing_file_of_a_bundle_is_named(bundle: Path, host: dict[str, str]) -> None:
    """A bundle that lacks a file is refused before anything is added after it, with the file's name."""
    file = next(iter(sorted(bundle.glob("bash_*_amd64.deb"))))
    away = file.rename(bundle.parent / file.name)
    try:
        refused = offline(host, ROOT / "nix" / "prefetch", "--from", bundle)
    finally:
        away.rename(file)
    assert refused.returncode != 0
    assert f"{file} is missing. Copy the bundle again." in refused.stderr
