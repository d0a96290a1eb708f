"""An SSH server on loopback that does not keep to what it says: paramiko's own server, bent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import paramiko

from gps_denied_operator.companion.config import CompanionSettings

SAID_BYTES = 10


class EndlessFile(paramiko.SFTPHandle):
    """A file that is said to have ten bytes, and gives bytes at any place."""

    taken = 0

    def read(self, _offset: int, length: int) -> bytes:
        EndlessFile.taken += length
        return b"x" * length


class Files(paramiko.SFTPServerInterface):
    """All paths are such a file."""

    def stat(self, _path: str) -> paramiko.SFTPAttributes:
        found = paramiko.SFTPAttributes()
        found.st_size, found.st_mode = SAID_BYTES, 0o100644
        return found

    lstat = stat

    def open(self, _path: str, _flags: int, _attributes: Any) -> EndlessFile:
        return EndlessFile()


class Door(paramiko.ServerInterface):
    """Lets anyone in; `speak` answers commands."""

    def __init__(self, speak: Callable[[paramiko.Channel], None]) -> None:
        self._speak = speak

    def check_auth_publickey(self, _user: str, _key: paramiko.PKey) -> int:
        return int(paramiko.AUTH_SUCCESSFUL)

    def get_allowed_auths(self, _user: str) -> str:
        return "publickey"

    def check_channel_request(self, _kind: str, _number: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, _command: bytes) -> bool:
        threading.Thread(target=self._answer, args=(channel,), daemon=True).start()
        return True

    def _answer(self, channel: paramiko.Channel) -> None:
        with suppress(OSError, EOFError, paramiko.SSHException):
            # An answer to this comes through the thread that grants the command: so it has been granted by then.
            channel.get_transport().global_request("granted@gps-denied", wait=True)
            self._speak(channel)
        channel.close()


def said(*lines: bytes, status: int = 0) -> Callable[[paramiko.Channel], None]:
    """Say these lines, then end."""

    def speak(channel: paramiko.Channel) -> None:
        for line in lines:
            channel.sendall(line)
        channel.send_exit_status(status)

    return speak


def endless(piece: bytes) -> Callable[[paramiko.Channel], None]:
    """Say this without end."""

    def speak(channel: paramiko.Channel) -> None:
        while not channel.closed:
            channel.sendall(piece)

    return speak


@cache
def _host_key() -> paramiko.RSAKey:
    return paramiko.RSAKey.generate(2048)


@contextmanager
def strange_server(folder: Path, speak: Callable[[paramiko.Channel], None]) -> Iterator[CompanionSettings]:
    """Run the server; give settings that reach it."""
    from .ssh_server import new_ssh_key

    identity = new_ssh_key(folder / "identity")
    host_key = _host_key()
    listener = socket.create_server(("127.0.0.1", 0))
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        with suppress(OSError, EOFError, paramiko.SSHException):
            while True:
                transport = paramiko.Transport(listener.accept()[0])
                transports.append(transport)
                transport.add_server_key(host_key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
                transport.start_server(server=Door(speak))

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield CompanionSettings(
            "127.0.0.1", "anyone", str(identity), listener.getsockname()[1], str(folder / "pins"),
            cache=str(folder / "cache"), silence_timeout_s=10.0, connect_timeout_s=20.0,
        )  # fmt: skip
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for transport in transports:
            transport.close()
