"""A build host without a network, an account without root: every pin comes from a bundle into a store of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .tree import ROOT, copy_tree, needs_nix, settings

NOWHERE = "http://127.0.0.1:9/"
NOBODY = 65534
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"

pytestmark = [pytest.mark.slow, needs_nix]


@dataclass(frozen=True)
class Host:
    """An account with an empty home, a checkout in it, and package clients that are configured to reach nothing."""

    home: Path
    tree: Path
    environment: dict[str, str]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command in a network of its own, which holds nothing, as that account (where the tests run as root)."""
        alone = ["unshare", "--map-root-user", "--net"]
        if os.geteuid() == 0:
            alone = ["unshare", "--net", "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        return subprocess.run(
            [*alone, *command], capture_output=True, text=True, env=self.environment, cwd=self.tree, check=False
        )


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that other accounts may enter."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    """What nix/prefetch --bundle copies out of this machine's store; skips where the pins are not in it."""
    listed = subprocess.run([ROOT / "nix" / "prefetch", "--list"], capture_output=True, text=True, check=True).stdout
    store = Path(os.environ.get("NIX_REMOTE", "") + "/nix/store")
    have = {path.name[33:] for path in store.iterdir()} if store.is_dir() else set()
    if missing := [line.split()[1] for line in listed.splitlines() if line.split()[1] not in have]:
        pytest.skip(f"{len(missing)} pins are not in the store: run nix/prefetch")
    made = folder / "bundle"
    environment = {**os.environ, "NIX_CONFIG": settings()}
    subprocess.run([ROOT / "nix" / "prefetch", "--bundle", made], check=True, capture_output=True, env=environment)
    return made


@pytest.fixture
def host(folder: Path) -> Iterator[Host]:
    """A new account for one test."""
    python = shutil.which("python3.11", path=SYSTEM_PATH)
    if python is None:
        pytest.skip("no Python 3.11 that every account can run")
    home = folder / "home"
    home.mkdir()
    tree = copy_tree(home / "checkout")
    (home / "pip.conf").write_text(f"[global]\nindex-url = {NOWHERE}\nfind-links =\n")
    (home / "sources.list").write_text(f"deb {NOWHERE} bookworm main\n")
    (home / "apt.conf").write_text(f'Dir::Etc::sourcelist "{home}/sources.list";\nDir::Etc::sourceparts "{home}";\n')
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to(python)
    environment = {
        "PATH": f"{home}/bin:{SYSTEM_PATH}", "HOME": str(home), "NIX_REMOTE": f"{home}/store",
        "PIP_CONFIG_FILE": f"{home}/pip.conf", "APT_CONFIG": f"{home}/apt.conf",
    }  # fmt: skip
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", home], check=True)
    yield Host(home, tree, environment)
    subprocess.run(["chmod", "-R", "u+w", home], check=False, capture_output=True)
    shutil.rmtree(home)


def test_a_bundle_fills_an_empty_store(bundle: Path, host: Host) -> None:
    """Without the bundle the host gets nothing; with it every pin is there, a build runs, the image could follow."""
    prepared = host.run("nix/setup")
    assert prepared.returncode == 0, prepared.stderr
    assert f"export NIX_REMOTE={host.home}/store" in prepared.stdout or os.access("/nix/var/nix", os.W_OK)
    refused = host.run("nix/prefetch")
    assert refused.returncode != 0
    assert "(--from DIR)" in refused.stderr
    filled = host.run("nix/prefetch", "--from", bundle)
    assert filled.returncode == 0, filled.stderr
    assert f"{len(list(bundle.iterdir()))} pinned files are in the store" in filled.stdout
    flake = f"path:{host.tree}"
    built = host.run("nix", "build", "--no-link", f"{flake}#checks.x86_64-linux.pins")
    assert built.returncode == 0, built.stderr
    planned = host.run("nix", "build", "--dry-run", f"{flake}#companion-rootfs")
    assert planned.returncode == 0, planned.stderr
    assert "-companion-rootfs.drv" in planned.stderr
    assert ".whl.drv" not in planned.stderr
    assert ".deb.drv" not in planned.stderr


@pytest.mark.parametrize(
    ("fault", "said"), [("a wrong byte", "does not have the pinned SHA-256"), ("no file", "is missing")]
)
def test_one_bad_file_is_named(bundle: Path, host: Host, fault: str, said: str) -> None:
    """A bundle with one flipped byte, or with a file less, is refused with the file's name; nothing was added."""
    (file,) = bundle.glob("bash_*_amd64.deb")
    good = file.read_bytes()
    file.unlink()
    try:
        if fault == "a wrong byte":
            file.write_bytes(good[:5000] + bytes([good[5000] ^ 1]) + good[5001:])
        refused = host.run("nix/prefetch", "--from", bundle)
    finally:
        file.write_bytes(good)
    assert refused.returncode != 0
    assert f"{file} {said}. Copy the bundle again." in refused.stderr
    store = host.home / "store/nix/store"
    assert not store.exists() or not [path for path in store.iterdir() if path.name.endswith((".deb", ".whl"))]


def test_a_full_disk_is_named_as_such(bundle: Path, host: Host) -> None:
    """A store without room for the pins: the sentence speaks of the disk, and says that the next run resumes."""
    store = host.environment["NIX_REMOTE"]
    small = f"mkdir {store} && mount -t tmpfs -o size=40m none {store} && nix/setup"
    command = f"{small} && exec nix/prefetch --from {bundle}"
    refused = host.run("unshare", "--map-root-user", "--mount", "sh", "-c", command)
    assert refused.returncode != 0
    assert "prefetch: no space left on the disk (the Nix store): make room, then run it again" in refused.stderr
