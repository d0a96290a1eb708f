"""Where a companion is and what lies where on it: a small TOML file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.config import read_toml
from gps_denied_onboard.errors import UserError


@dataclass(frozen=True, slots=True)
class CompanionSettings:
    """`identity` is the private SSH key, `known_hosts` where the host key is pinned on first use (empty: among the
    user's data). `host_key_sha256`, where given, decides alone whether it is this aircraft, whatever is pinned
    ("SHA256:..." as ssh-keygen -l prints it). `command` starts the companion's program; the rest are folders and files
    on the companion."""

    host: str
    user: str
    identity: str
    port: int = 22
    known_hosts: str = ""
    host_key_sha256: str = ""
    command: str = "gps-denied-onboard"
    config: str = "/var/lib/gps-denied/config/flight.toml"
    cache: str = "/var/lib/gps-denied/cache"
    staging: str = "/var/lib/gps-denied/staging"
    trusted_keys: str = "/var/lib/gps-denied/config/keys"
    composition_sha256: str = ""
    """The image's composition that is expected there; empty: any."""
    connect_timeout_s: float = 15.0
    silence_timeout_s: float = 900.0
    """A command on the companion that says nothing for this long is given up."""
    command_timeout_s: float = 6.0 * 3600.0
    """A command on the companion that has not ended after this long is given up, whatever it says."""

    def __post_init__(self) -> None:
        if re.fullmatch(r"[A-Za-z0-9.:_-]+", self.host) is None or not self.user:
            raise UserError(f"host is '{self.host}', user '{self.user}': give the companion's address, and a user.")
        if not 1 <= self.port <= 65535:
            raise UserError(f"port is {self.port}: give 1 to 65535.")
        if min(self.connect_timeout_s, self.silence_timeout_s, self.command_timeout_s) <= 0.0:
            raise UserError("connect_timeout_s, silence_timeout_s and command_timeout_s must be positive.")
        if self.host_key_sha256 and not self.host_key_sha256.startswith("SHA256:"):
            raise UserError(
                f"host_key_sha256 is '{self.host_key_sha256[:60]}': give it as `ssh-keygen -l -E sha256` prints it, "
                "SHA256:..."
            )
        for name in ("config", "cache", "staging", "trusted_keys"):
            if not getattr(self, name).startswith("/"):
                raise UserError(f"{name} is '{getattr(self, name)}': give an absolute path on the companion.")


def read_companion(path: Path) -> CompanionSettings:
    """The settings of a file. UserError names the key that is wrong."""
    return read_toml(path, CompanionSettings, "companion file")
