"""Tiles over kept connections: whole bodies or an error, dropped connections taken up again, dribbles cut off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from gps_denied_operator.tiles.http import HttpClient, ProviderUnavailableError, RetrySchedule

ONCE = RetrySchedule(attempts=1, timeout_s=5.0, body_timeout_s=0.2)
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


@contextmanager
def answering(speak: Callable[[socket.socket, int], None]) -> Iterator[str]:
    """Run a server that reads a request's head and lets `speak` answer: (connection, number of the request)."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        number = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # the client may be gone first
                while b"\r\n\r\n" in connection.recv(65_536):
                    number += 1
                    speak(connection, number)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED])
def test_answers_follow_one_another_on_one_connection(answer: bytes) -> None:
    """Bodies of known length and in chunks come whole, and the connection serves the next request."""
    with (
        answering(lambda connection, _: connection.sendall(answer)) as url,
        closing(HttpClient(url, {}, None, ONCE, 1)) as client,
    ):
        assert [client.get("/tiles/1/2/3") for _ in range(3)] == [b"hello"] * 3


def test_a_connection_dropped_between_requests_is_made_anew() -> None:
    """A server that closes after each answer without saying so costs no try."""

    def speak(connection: socket.socket, _number: int) -> None:
        connection.sendall(WHOLE)
        connection.shutdown(socket.SHUT_RDWR)

    with answering(speak) as url, closing(HttpClient(url, {}, None, ONCE, 1)) as client:
        assert [client.get("/tiles/1/2/3") for _ in range(3)] == [b"hello"] * 3


@pytest.mark.parametrize(
    "answer", [WHOLE[:-2], CHUNKED[:-8], b"no answer at all\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-le"]
)
def test_a_torn_answer_is_an_error(answer: bytes) -> None:
    """A body that ends before its length, a chunk that ends early, and what is no HTTP are not taken for answers."""

    def speak(connection: socket.socket, _number: int) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    with (
        answering(speak) as url,
        closing(HttpClient(url, {}, None, ONCE, 1)) as client,
        pytest.raises(ProviderUnavailableError, match="Run the same command again"),
    ):
        client.get("/tiles/1/2/3")


def test_a_dribble_is_cut_off() -> None:
    """A body that never stalls and never ends is left after its time."""

    def speak(connection: socket.socket, _number: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        while True:
            connection.sendall(b"x")

    with (
        answering(speak) as url,
        closing(HttpClient(url, {}, None, ONCE, 1)) as client,
        pytest.raises(ProviderUnavailableError, match="took longer than"),
    ):
        client.get("/tiles/1/2/3")
