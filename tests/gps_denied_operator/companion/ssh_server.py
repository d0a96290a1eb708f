"""A real sshd on loopback, started by the test with its own keys and port."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gps_denied_operator.companion.config import CompanionSettings

from ...gps_denied_onboard.live.peer import free_port

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def new_ssh_key(path: Path, kind: str = "ed25519") -> Path:
    """Make a key pair without a passphrase. Skips where OpenSSH is missing."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd: apt-get install openssh-server")
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
    return path


@contextmanager
def sshd(folder: Path, port: int = 0, host_key: Path | None = None) -> Iterator[CompanionSettings]:
    """Run a server while the context is open; give settings that reach it. Skips where there is no sshd."""
    if SSHD is None:
        pytest.skip("no sshd: apt-get install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # the packaged server insists on it when root runs it
    folder.mkdir(parents=True, exist_ok=True)
    host_key = host_key or new_ssh_key(folder / "host_key")
    identity = folder / "identity"
    if not identity.exists():
        new_ssh_key(identity)
    port = port or free_port(socket.SOCK_STREAM)
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {identity}.pub\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nMaxSessions 20\n"
    )
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=(folder / "sshd.log").open("wb"))
    try:
        _wait_for(port, server, folder / "sshd.log")
        yield CompanionSettings(
            "127.0.0.1", getpass.getuser(), str(identity), port, str(folder / "known_hosts"),
            config=str(folder / "flight.toml"), cache=str(folder / "cache"), staging=str(folder / "staging"),
            trusted_keys=str(folder / "keys"), connect_timeout_s=30.0,
        )  # fmt: skip
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(500):
        if server.poll() is not None:
            raise RuntimeError(f"sshd ended: {log.read_text()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("sshd does not listen")
