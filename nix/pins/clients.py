"""The package clients as nix/prefetch and nix/pins/refresh call them: their own configuration names the servers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).resolve().parent
ROOT = PINS.parents[1]
ARCHITECTURES = ("amd64", "arm64")
# Only the release itself: its packages stay for as long as it does, so that an old commit still builds.
RELEASE_ONLY = """Package: *
Pin: release o=Debian, n=bookworm
Pin-Priority: 990

Package: *
Pin: release o=*
Pin-Priority: -1
"""


class ClientError(Exception):
    """A client cannot do what was asked; the message says what to do next."""


def store_name(file: str) -> str:
    """The name of a downloaded file as a store path may hold it: no `%3a`, no `~`."""
    return file.replace("%3a", "-").replace("~", "-")


class Apt:
    """apt-get for both architectures on a state of its own: nothing installed, no root needed."""

    def __init__(self, folder: Path, any_suite: bool = True) -> None:
        """Keep lists and packages in `folder`; any_suite: use every configured suite, else the release's alone."""
        if shutil.which("apt-get") is None:
            raise ClientError("apt-get is missing: pins are fetched on Debian, or taken from a bundle (--from DIR).")
        self.folder = folder
        for name in ("lists/partial", "archives/partial", "preferences.d"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").write_text("")
        (folder / "preferences").write_text("" if any_suite else RELEASE_ONLY)

    def options(self, architecture: str) -> list[str]:
        """The settings of a private state, where `architecture` is the native one."""
        own = self.folder
        values = {
            "Dir::State": own, "Dir::State::status": own / "status", "Dir::State::lists": own / "lists",
            "Dir::Cache": own, "Dir::Cache::archives": own / "archives",
            "Dir::Etc::preferences": own / "preferences", "Dir::Etc::preferencesparts": own / "preferences.d",
            "APT::Architecture": architecture, "APT::Install-Recommends": "false", "Debug::NoLocking": "true",
            "APT::Sandbox::User": "", "Acquire::Languages": "none", "APT::Get::AllowUnauthenticated": "false",
        }  # fmt: skip
        words = [f"{name}={value}" for name, value in values.items()]
        words += [f"APT::Architectures::={name}" for name in (architecture, *ARCHITECTURES)]
        return [word for value in ("APT::Architectures=", *words) for word in ("-o", value)]

    def call(self, architecture: str, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run apt-get; the caller looks at the return code."""
        command = ["apt-get", "-qq", *self.options(architecture), *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)

    def update(self) -> None:
        """Fetch the package lists of both architectures."""
        done = self.call("amd64", "update")
        if done.returncode != 0 or not any((self.folder / "lists").glob("*Packages*")):
            raise ClientError(
                f"apt-get update fails: {last_line(done.stderr)}. Repair its sources, or use a bundle (--from DIR)."
            )


def pip() -> list[str]:
    """The command of a pip: of the checkout's .venv, of this Python, or on PATH."""
    for command in ([str(ROOT / ".venv/bin/python"), "-m", "pip"], [sys.executable, "-m", "pip"], ["pip3"]):
        if shutil.which(command[0]) and subprocess.run([*command, "--version"], capture_output=True).returncode == 0:
            return [*command, "--disable-pip-version-check", "--no-input"]
    raise ClientError("pip is missing: run `make setup`, or have an administrator install python3-pip.")


def pip_platform(platform: str) -> list[str]:
    """The options that make pip choose wheels of CPython 3.11 on a `platform` with glibc 2.28 or newer."""
    tags = [f"manylinux_2_{minor}_{platform}" for minor in range(28, 16, -1)] + [f"manylinux2014_{platform}"]
    words = [word for tag in tags for word in ("--platform", tag)]
    return [*words, "--python-version", "3.11", "--implementation", "cp", "--only-binary", ":all:", "--no-deps"]


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


def cache_folder() -> Path:
    """Where lists and half-fetched files may stay between two runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gps-denied-onboard"
