"""One deadline over each whole HTTP answer: connection, TLS, head, whatever goes before it, and body.

A timeout of each wait alone does not end: a head that comes byte by byte, `100 Continue` without end or a chunk's size
that dribbles in keep every single wait short.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


class AnswerTooLateError(TimeoutError):
    """The whole answer was not there by its deadline."""


class AnswerTooLargeError(Exception):
    """The body has more bytes than it may."""


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """Status, a header's value by its name in any case, and the body; empty where the status was not asked for."""

    status: int
    header: Callable[[str], str | None]
    body: bytes


class DeadlineConnection(HTTPConnection):
    """A kept connection of the standard library: no wait of it is longer than `wait_s`, none ends after `end_s`.

    `end_s`: a time of `time.monotonic`, set anew before each request. AnswerTooLateError when it has passed.
    """

    end_s = 0.0

    def __init__(self, host: str, port: int | None, wait_s: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port if port is not None else (443 if tls else 80))
        self._wait_s, self._tls = wait_s, tls

    def left_s(self) -> float:
        """How long the next wait may be."""
        left = self.end_s - time.monotonic()
        if left <= 0.0:
            raise AnswerTooLateError("the time for one answer has passed")
        return min(left, self._wait_s)

    def connect(self) -> None:
        """Connect to the first address that answers; the deadline is theirs together, not the name's look-up's."""
        failed: OSError = OSError(f"no address for {self.host}")
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM):
            connected = socket.socket(family, kind, protocol)
            try:
                connected.settimeout(self.left_s())
                connected.connect(address)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    connected.settimeout(self.left_s())
                    connected = self._tls.wrap_socket(connected, server_hostname=self.host)
                self.sock: Any = _DeadlineSocket(connected, self.left_s)
                return
            except OSError as error:
                connected.close()
                if isinstance(error, AnswerTooLateError | ssl.SSLError):
                    raise
                failed = error
        raise failed


class _DeadlineSocket:
    """As much of a socket as http.client uses."""

    def __init__(self, connected: socket.socket, left_s: Callable[[], float]) -> None:
        self._socket, self._left_s = connected, left_s

    def sendall(self, data: Any) -> None:
        self._socket.settimeout(self._left_s())
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._socket, self._left_s))

    def close(self) -> None:
        self._socket.close()


class _Reader(io.RawIOBase):
    def __init__(self, connected: socket.socket, left_s: Callable[[], float]) -> None:
        self._socket, self._left_s = connected, left_s
        self._raw = connected.makefile("rb", buffering=0)  # it holds the socket open where the connection is let go

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._left_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class DeadlineHttpx:
    """httpx on an event loop of its own thread, where a deadline cancels whatever is being waited for.

    Threads may share it. The client and the loop are made when first asked.
    """

    def __init__(self, client: Callable[[], httpx.AsyncClient]) -> None:
        self._make = client
        self._lock = threading.Lock()
        self._held = ExitStack()
        self._portal: Any = None
        self._client: httpx.AsyncClient | None = None

    def ask(
        self, method: str, address: str, content: Mapping[str, Any], good: tuple[int, ...], bytes_max: int,
        deadline_s: float,
    ) -> WholeAnswer:  # fmt: skip
        """One answer whole within `deadline_s` from now. AnswerTooLateError, AnswerTooLargeError, errors of httpx."""
        with self._lock:
            if self._portal is None:
                from anyio.from_thread import start_blocking_portal

                client = self._make()
                portal = self._held.enter_context(start_blocking_portal())
                self._held.callback(portal.call, portal.stop, True)
                self._held.callback(portal.call, client.aclose)
                self._portal, self._client = portal, client
        answer: WholeAnswer = self._portal.call(self._asked, method, address, content, good, bytes_max, deadline_s)
        return answer

    async def _asked(
        self, method: str, address: str, content: Mapping[str, Any], good: tuple[int, ...], bytes_max: int,
        deadline_s: float,
    ) -> WholeAnswer:  # fmt: skip
        import anyio

        assert self._client is not None
        body = bytearray()
        with anyio.move_on_after(deadline_s):
            async with self._client.stream(method, address, **content) as response:
                if response.status_code in good:
                    async for part in response.aiter_raw():
                        body += part
                        if len(body) > bytes_max:
                            raise AnswerTooLargeError
                return WholeAnswer(response.status_code, response.headers.get, bytes(body))
        raise AnswerTooLateError("the time for one answer has passed")

    def close(self) -> None:
        """Let go of connections and the thread, and end what is still being asked."""
        with self._lock:
            self._portal = None
            self._held.close()
