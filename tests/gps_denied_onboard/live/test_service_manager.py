"""The messages to systemd, heard on a real socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gps_denied_onboard.live.service_manager import ServiceManager


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        yield heard


def test_ready_alive_and_stopping_are_said(listener: socket.socket) -> None:
    """The service manager hears READY, then the watchdog at a quarter of its time, then STOPPING."""
    manager = ServiceManager({"NOTIFY_SOCKET": listener.getsockname(), "WATCHDOG_USEC": "4000000"})
    manager.ready()
    for now_ns in (0, 500_000_000, 1_000_000_000, 1_900_000_000, 2_000_000_000):
        manager.alive(now_ns)
    manager.stopping()
    heard = [listener.recv(100) for _ in range(5)]
    assert heard == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]
    with pytest.raises(BlockingIOError):
        listener.recv(100)


def test_without_a_watchdog_only_readiness_is_said(listener: socket.socket) -> None:
    """Where the unit sets no watchdog, `alive` is silent."""
    manager = ServiceManager({"NOTIFY_SOCKET": listener.getsockname()})
    manager.alive(1)
    manager.ready()
    assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "1"}])
def test_nobody_there_is_no_error(environment: dict[str, str]) -> None:
    """Started by hand, or with a manager that has gone, the flight goes on."""
    manager = ServiceManager(environment)
    manager.ready()
    manager.alive(1)
    manager.stopping()
