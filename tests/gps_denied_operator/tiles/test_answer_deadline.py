"""A provider that never finishes: each whole answer has one deadline, whatever comes before its body."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.missions.api import FlightsApi
from gps_denied_operator.missions.errors import FlightNetworkError
from gps_denied_operator.tiles.admission import Admission
from gps_denied_operator.tiles.answer_deadline import DeadlineHttpx
from gps_denied_operator.tiles.download import TileDownloader
from gps_denied_operator.tiles.http import HttpClient, ProviderRefusedError, ProviderUnavailableError, RetrySchedule
from gps_denied_sim.provider.faults import Faults

from .providers import QUICK, area, feed, offer_folder, provider

ONCE = RetrySchedule(attempts=1, timeout_s=20.0, body_timeout_s=0.15)
PATIENT = RetrySchedule(attempts=1, timeout_s=20.0, body_timeout_s=20.0)
SPOKEN_S = 3.0  # then the stranger hangs up, so that a client without a deadline fails here instead of hanging
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[bytes, bytes]] = {  # said at once, said again and again
    "nothing": (b"", b""),
    "status line": (b"HTTP/1.1 20", b"0"),
    "head": (HEAD + b"x-a: ", b"a"),
    "many headers": (HEAD, b"a:b\r\n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
    "chunk size": (CHUNKED, b"0"),
    "chunk extension": (CHUNKED + b"5;", b"a"),
    "chunks": (CHUNKED, b"1\r\nx\r\n"),
    "trailers": (CHUNKED + b"0\r\n", b"a:b\r\n"),
    "body": (HEAD + b"content-length: 1000000\r\n\r\n", b"x"),
    "body without length": (HEAD + b"\r\n", b"x"),
}


@contextmanager
def dribbling(first: bytes, again: bytes) -> Iterator[str]:
    """Run a server that says `first`, then `again` every few milliseconds."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def speak(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(first)
            end_s = time.monotonic() + SPOKEN_S
            while time.monotonic() < end_s and not done.wait(0.005):
                connection.sendall(again)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=speak, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def plain(client: HttpClient, _url: str) -> object:
    return client.get("/tiles/1/2/3")


def by_httpx(client: HttpClient, url: str) -> object:
    return client.get(f"{url}/tiles/1/2/3")


def post(client: HttpClient, _url: str) -> object:
    return client.post("/inventory", 200, bytes.upper, json={})


@pytest.mark.parametrize(
    ("kind", "ask"), [*((kind, ask) for kind in ENDLESS for ask in (plain, post)), ("head", by_httpx)]
)
def test_an_answer_without_end_is_left_at_its_deadline(kind: str, ask: Callable[[HttpClient, str], object]) -> None:
    """Heads, continues, chunk sizes, trailers and bodies that trickle: the client says that it took too long."""
    with (
        dribbling(*ENDLESS[kind]) as host,
        closing(HttpClient(f"http://{host}", {}, None, ONCE, 1)) as client,
        # http.client takes an early hint for the answer, and too many headers for none: ended, too
        pytest.raises(
            (ProviderUnavailableError, ProviderRefusedError), match=r"took longer than|ProtocolError|HTTPException|103"
        ),
    ):
        ask(client, f"http://{host}")


@pytest.mark.parametrize("ask", [plain, post])
def test_a_handshake_without_end_is_left_at_its_deadline(ask: Callable[[HttpClient, str], object]) -> None:
    """A server that says nothing, or the beginning of a TLS record and then letter by letter, is left as well."""
    for first, again in ((b"", b""), (b"\x16\x03\x03\x3f\xff\x02", b"\x00")):
        with (
            dribbling(first, again) as host,
            closing(HttpClient(f"https://{host}", {}, None, ONCE, 1)) as client,
            pytest.raises(ProviderUnavailableError, match="took longer than"),
        ):
            ask(client, f"https://{host}")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_without_end_is_left_at_its_deadline(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """The way over a proxy, and the tunnel that it is asked for, have the same deadline."""
    with dribbling(*ENDLESS["head"]) as host:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://{host}")
        monkeypatch.delenv("no_proxy", raising=False)
        with (
            closing(HttpClient(f"{scheme}://tiles.example.org", {}, None, ONCE, 1)) as client,
            pytest.raises(ProviderUnavailableError, match="took longer than"),
        ):
            plain(client, "")


def test_the_store_is_free_after_a_provider_without_end(store: TileStore) -> None:
    """A download from such a provider ends with a report, and the store can be written again."""
    with dribbling(*ENDLESS["head"]) as host, feed(f"http://{host}", ONCE) as tiles:
        admission = Admission(store, TilesConfig(), lambda: datetime(2026, 6, 1, tzinfo=UTC))
        report = TileDownloader(store, tiles, admission, 2).download_tiles_for_area(area(1))
    assert report.outcome == "failure"
    assert "took longer than" in report.reason
    with store.writing("the test", timeout_s=0.0):
        pass


@pytest.mark.slow
def test_a_run_of_slow_answers_ends(store: TileStore, tmp_path: Path) -> None:
    """Answers each within their deadline, but all too slow: the run ends, keeps what came, and frees the store."""
    schedule = RetrySchedule(attempts=2, wait_first_s=0.01, run_s=0.5, run_s_per_answer=0.01, run_bytes_per_s=1e9)
    admission = Admission(store, TilesConfig(), lambda: datetime(2026, 6, 1, tzinfo=UTC))
    with provider(offer_folder(tmp_path / "offered", 8), Faults(latency_s=0.1)) as (url, app):
        with feed(url, schedule) as tiles:
            report = TileDownloader(store, tiles, admission, 4).download_tiles_for_area(area(8))
        asked = app.requests
        with feed(url, QUICK) as tiles:
            again = TileDownloader(store, tiles, admission, 4).download_tiles_for_area(area(8))
    assert report.outcome == "failure"
    assert "too slowly" in report.reason
    assert asked < 40
    assert again.outcome == "success"
    assert 0 < again.already_stored < 64


def test_the_flights_api_has_the_same_deadline() -> None:
    """A flight is not waited for without end either."""
    with (
        dribbling(*ENDLESS["continue"]) as host,
        FlightsApi(f"http://{host}", "", None, ONCE) as api,
        pytest.raises(FlightNetworkError, match="took longer than"),
    ):
        api.flight("11111111-1111-1111-1111-111111111111")


@pytest.mark.parametrize(
    "head",
    [
        b"x: " + b"a" * 10_000_000,
        b"".join(b"x-%d: 1\r\n" % number for number in range(100_000)),
        b"content-length: -5\r\n\r\n",
        b"content-length: 99999999999999999999999\r\n\r\nabc",
        b"content-length: 5\r\ncontent-encoding: gzip\r\n\r\nhello",
        b"transfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc",
        b"transfer-encoding: chunked\r\n\r\n-5\r\nabc",
        b"transfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n\x00",
    ],
    ids=["line", "lines", "negative", "vast", "gzip", "chunk", "minus", "twice"],
)
@pytest.mark.parametrize("ask", [plain, post])
def test_heads_that_no_server_sends_are_a_sentence(head: bytes, ask: Callable[[HttpClient, str], object]) -> None:
    """Heads of megabytes, impossible lengths and packed bodies end in the sentence of a provider that is not there."""
    with (
        dribbling(HEAD + head, b"") as host,
        closing(HttpClient(f"http://{host}", {}, None, ONCE, 1)) as client,
        pytest.raises(ProviderUnavailableError, match="Run the same command again"),
    ):
        ask(client, f"http://{host}")


def test_a_server_that_asks_to_wait_again_and_again_ends_the_run() -> None:
    """Waits that a server asks for have a bound over all answers together, however short each is."""
    busy = b"HTTP/1.1 429 Busy\r\nretry-after: 0.01\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    schedule = RetrySchedule(attempts=1_000_000, body_timeout_s=20.0, asked_waits_max_s=0.1)
    with (
        dribbling(busy, b"") as host,
        closing(HttpClient(f"http://{host}", {}, None, schedule, 1)) as client,
        pytest.raises(ProviderUnavailableError, match="429"),
    ):
        plain(client, "")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(tmp_path: Path, status: int) -> None:
    """An answer that points elsewhere, also to a file of this machine, is a refusal."""
    (tmp_path / "a").write_text("secret")
    for target in (b"/tiles/1/2/3", (tmp_path / "a").as_uri().encode()):
        answer = b"HTTP/1.1 %d Moved\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % (status, target)
        with (
            dribbling(answer, b"") as host,
            closing(HttpClient(f"http://{host}", {}, None, PATIENT, 1)) as client,
            pytest.raises(ProviderRefusedError, match=str(status)),
        ):
            plain(client, "")


def test_no_thread_is_left_where_no_client_can_be_made() -> None:
    """A client that cannot be made is its error each time; nothing runs after it, and closing does nothing."""

    def refuse() -> httpx.AsyncClient:
        raise OSError("no certificates")

    asking = DeadlineHttpx(refuse)
    before = threading.active_count()
    for _ in range(2):
        with pytest.raises(OSError, match="no certificates"):
            asking.ask("GET", "/", {}, (200,), 10, 1.0)
    assert threading.active_count() == before
    asking.close()
