"""Many small GETs of one server: a kept connection for each thread, on the standard library's HTTP.

A download's tiles come this way; everything else goes through httpx (see http and decision 0010).
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from gps_denied_operator.tiles.answer_deadline import DeadlineConnection

PART_BYTES = 65_536
DROPPED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
Answer = tuple[int, Callable[[str], str | None], Iterable[bytes]]
"""Status, a header's value by its name in any case, parts of the body."""


class PlainGets:
    """Threads may share it; nothing goes over a proxy, no redirect is followed."""

    def __init__(
        self, host: str, port: int | None, headers: Mapping[str, str], tls: ssl.SSLContext | None, timeout_s: float
    ) -> None:
        """Connect nowhere yet. tls: None for http. timeout_s: of each wait for the network."""
        self._host, self._port, self._tls, self._timeout_s = host, port, tls, timeout_s
        self._headers = dict(headers)
        self._mine = threading.local()
        self._all: list[DeadlineConnection] = []

    @contextmanager
    def get(self, target: str, deadline_s: float) -> Iterator[Answer]:
        """Ask for a path; the whole answer has `deadline_s` from now.

        Raises OSError (AnswerTooLateError) and http.client.HTTPException, also while the body is read.
        """
        connection = self._connection()
        connection.end_s = time.monotonic() + deadline_s
        response: http.client.HTTPResponse | None = None
        whole = False
        try:
            response = self._asked(connection, target)
            if response.headers.defects:  # such as a head that broke off
                raise http.client.HTTPException("an answer whose head cannot be read")
            yield response.status, response.getheader, _parts(response)
            whole = response.isclosed()
        finally:
            if not whole:  # what is left of the body would be taken for the next answer
                connection.close()
                if response is not None:  # it holds the socket where the server is the one to close
                    response.close()

    def close(self) -> None:
        """Let go of all connections."""
        for connection in self._all:
            connection.close()

    def _connection(self) -> DeadlineConnection:
        made: DeadlineConnection | None = getattr(self._mine, "connection", None)
        if made is None:
            made = DeadlineConnection(self._host, self._port, self._timeout_s, self._tls)
            self._mine.connection = made
            self._all.append(made)
        return made

    def _asked(self, connection: DeadlineConnection, target: str) -> http.client.HTTPResponse:
        kept = connection.sock is not None
        try:
            connection.request("GET", target, headers=self._headers)
            return connection.getresponse()
        except DROPPED:
            connection.close()
            if not kept:
                raise
        # A server may drop a connection that was idle: no answer, and no reason to wait before asking anew.
        connection.request("GET", target, headers=self._headers)
        return connection.getresponse()


def _parts(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield a body as it comes; IncompleteRead where it ends before its length."""
    left = None if response.chunked else response.length
    while left is None or left > 0:
        part = response.read1(PART_BYTES if left is None else min(left, PART_BYTES))
        if not part:
            if left is not None:
                raise http.client.IncompleteRead(b"", left)
            break
        left = None if left is None else left - len(part)
        yield part
    response.close()
