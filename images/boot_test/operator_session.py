"""The operator at the emulated aircraft's computer: keys on its data partition, then our own commands over SSH."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gps_denied_operator.cache.consent import NotAgreedError

SOURCES = Path(__file__).resolve().parents[2] / "src"
STARTS = r"bless: good boot"
"""On the console: from here on the processor has time for it."""
HOST_KEY = r"ssh: host key (SHA256:\S+)"
LIMIT_S = 1800.0
BUFFER_M = "30"
COMPANION = """host = "127.0.0.1"
port = {port}
user = "operator"
identity = "{identity}"
known_hosts = "{known_hosts}"
host_key_sha256 = "{host_key}"
config = "/var/{config}"
connect_timeout_s = 120.0
"""
CONFIG = """[mission]
manifest = "/var/lib/gps-denied/cache/manifest.json"
trusted_keys = "/var/lib/gps-denied/config/keys"
[map]
use_store = true
directory = "/var/lib/gps-denied/tiles"
source = "provider"
zoom = {zoom}
[camera]
width_px = 160
height_px = 120
fx_px = 190.0
fy_px = 190.0
cx_px = 79.5
cy_px = 59.5
[autopilot]
address = "/dev/ttyS1,921600"
"""


class OperatorSession:
    """Prepared by `write_key`; begins by itself once `note` has seen a good boot; `faults` when `ended`.

    tiles: a folder zoom/x/y of pictures, some of which become a cache there. config: its configuration's place below
    /var. route_deg: a route over the tiles, (longitude, latitude).
    """

    def __init__(self, scratch: Path, tiles: Path, config: str, route_deg: list[list[float]]) -> None:
        self._folder = scratch / "operator"
        self._folder.mkdir()
        self._tiles, self._config, self._route_deg = tiles, config, route_deg
        self._zoom = max(int(path.name) for path in tiles.iterdir() if path.name.isdigit())
        self.port = _free_port()
        self._host_key = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.faults: list[str] = []

    @property
    def ended(self) -> bool:
        return self._thread.ident is not None and not self._thread.is_alive()

    def write_files(self) -> dict[str, Path]:
        """What has to be on the data partition, by its place beside flight.toml."""
        private, public, config = (self._folder / name for name in ("ssh_key", "ssh_key.pub", "cache.toml"))
        key, encoding, plain = Ed25519PrivateKey.generate(), serialization.Encoding, serialization.NoEncryption()
        private.write_bytes(key.private_bytes(encoding.PEM, serialization.PrivateFormat.OpenSSH, plain))
        private.chmod(0o600)
        known = key.public_key().public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        public.write_bytes(known + b" operator\n")
        config.write_text(CONFIG.format(zoom=self._zoom))
        return {"ssh/authorized_keys": public, Path(self._config).name: config}

    def note(self, line: str) -> None:
        """Take a line of the console."""
        if found := re.search(HOST_KEY, line):
            self._host_key = found[1]
        if re.search(STARTS, line) and self._thread.ident is None:
            self._thread.start()

    def _run(self) -> None:
        try:
            self.faults += self._refusals()
            self.faults += self._build()
        except Exception as error:  # a fault of any kind is the test's to report
            self.faults.append(f"the operator's session: {type(error).__name__}: {error}")

    def _refusals(self) -> list[str]:
        """Nobody gets in without the key, as root, or to a shell."""
        import paramiko

        key = paramiko.PKey.from_path(self._folder / "ssh_key")
        faults = []
        for user in ("operator", "root"):
            with paramiko.Transport(("127.0.0.1", self.port)) as transport:
                transport.banner_timeout = transport.auth_timeout = 120
                transport.start_client(timeout=120)
                try:
                    transport.auth_password(user, "operator", fallback=False)
                    faults.append(f"{user} got in by a password")
                except paramiko.BadAuthenticationType as refused:
                    if refused.allowed_types != ["publickey"]:
                        faults.append(f"{user} is offered {refused.allowed_types}")
            with paramiko.Transport(("127.0.0.1", self.port)) as transport:
                transport.banner_timeout = transport.auth_timeout = 120
                transport.start_client(timeout=120)
                try:
                    transport.auth_publickey(user, key)
                except paramiko.AuthenticationException:
                    faults += [] if user == "root" else [f"{user} is refused with the key"]
                    continue
                faults += ["root got in"] if user == "root" else self._no_shell(transport)
        return faults

    def _no_shell(self, transport: Any) -> list[str]:
        channel = transport.open_session(timeout=120)
        channel.exec_command("id; gps-denied-onboard run")
        said, status = channel.makefile("rb").read(), channel.recv_exit_status()
        try:
            transport.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 1), timeout=120)
        except Exception as refused:  # paramiko's ChannelException, or an end
            print(f"ssh: a command that is not ours ends with {status}; a tunnel is refused: {refused}", flush=True)
            return [] if status == 126 and not said else [f"a shell's command answered {status}, {said!r}"]
        return ["a tunnel was opened"]

    def _build(self) -> list[str]:
        companion, plan = self._folder / "companion.toml", self._folder / "plan.geojson"
        companion.write_text(
            COMPANION.format(
                port=self.port, identity=self._folder / "ssh_key", known_hosts=self._folder / "known_hosts",
                host_key=self._host_key, config=self._config,
            )
        )  # fmt: skip
        plan.write_text(json.dumps({"type": "LineString", "coordinates": self._route_deg}))
        store, zoom = ("--root", str(self._folder / "store")), ("--zoom", str(self._zoom))
        captured = ("--captured", f"{date.today():%Y-%m-%d}")
        self._tool("keys", "new")
        self._tool("tiles", "import", str(self._tiles), "--source", "provider", *captured, *zoom, *store)
        self._tool("companion", "trust", str(companion))
        checked = self._tool("companion", "check", str(companion))
        for item in checked["items"]:
            print(f"companion check: {'ok ' if item['good'] else 'NOT'} {item['name']}: {item['told']}", flush=True)
        build = ("build-cache", "--companion", str(companion), "--flight-file", str(plan), "--buffer", BUFFER_M)
        offered = self._tool(*build, *zoom, *store, ends_with=NotAgreedError.exit_code)
        # What the aircraft brings of its own is shown once, and agreed to as an operator does, by its digits.
        found = re.search(r"--accept ([0-9a-f]+)", str(offered["reason"]))
        if found is None:
            return [f"build-cache does not ask for what the companion brings: {offered}"]
        built = self._tool(*build, *zoom, *store, "--accept", found[1])
        print(f"build-cache: {json.dumps(built['phases'])}", flush=True)
        verified = built["phases"].get("verify", {}).get("outcome")
        faults = [f"{item['name']}: {item['told']}" for item in checked["items"] if not item["good"]]
        return faults + ([] if built["outcome"] == verified == "success" else [f"build-cache: {built}"])

    def _tool(self, *arguments: str, ends_with: int = 0) -> Any:
        """`operator-tool ... --json`, as the operator runs it; its object. RuntimeError where it ends otherwise."""
        own = {"PYTHONPATH": str(SOURCES), "GPS_DENIED_KEYS": str(self._folder / "keys")}
        begin_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "gps_denied_operator.cli", *arguments, "--json"],
            env={**os.environ, **own}, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        took_s = time.monotonic() - begin_s
        print(f"operator-tool {' '.join(arguments[:2])}: exit code {done.returncode}, {took_s:.0f} s", flush=True)
        if done.returncode != ends_with:
            raise RuntimeError(f"operator-tool {arguments[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return json.loads(done.stdout)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
