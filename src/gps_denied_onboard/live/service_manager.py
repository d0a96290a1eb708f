"""What systemd is told about this process: ready, alive, stopping (sd_notify(3)). Without NOTIFY_SOCKET, nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """Sends to the socket that the service manager named in `environment`; never waits, and a lost message is no error.

    `alive` is for the main loop to call as often as it likes; it sends a quarter of the watchdog's time apart.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._period_ns = int(environment.get("WATCHDOG_USEC") or 0) * 1000 // 4
        self._next_ns = 0

    def ready(self) -> None:
        """The service answers."""
        self._send("READY=1")

    def alive(self, now_ns: int) -> None:
        """The main loop goes round; `now_ns` is its clock."""
        if self._period_ns and now_ns >= self._next_ns:
            self._next_ns = now_ns + self._period_ns
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends of its own accord."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
                out.sendto(state.encode(), self._address)
        except OSError:
            return
