"""The provider as a running server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from gps_denied_sim.provider.app import Provider
from gps_denied_sim.provider.catalogue import Catalogue
from gps_denied_sim.provider.faults import App, Faults, FaultyApp
from gps_denied_sim.provider.flights import load_flights
from gps_denied_sim.provider.heights import ProviderHeights
from gps_denied_sim.provider.ingest import Ingest


def provider_app(
    tiles: Path, api_key: str, faults: Faults, seed: int = 0, keep: Path | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC), flights: Path | None = None,
    heights: Path | None = None,
) -> FaultyApp:  # fmt: skip
    """Return the whole application; UserError where a folder or file holds nothing of its kind."""
    served = None if heights is None else ProviderHeights(heights)
    provider = Provider(Catalogue(tiles), Ingest(now, keep), api_key, load_flights(flights), served)
    return FaultyApp(provider, faults, seed, now)


def server(app: App, port: int, certificate: Path | None = None, key: Path | None = None) -> uvicorn.Server:
    """Return a server on loopback; port 0 takes a free one."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="critical", access_log=False, lifespan="off",
        ssl_certfile=certificate, ssl_keyfile=key, timeout_graceful_shutdown=1,
    )  # fmt: skip
    return uvicorn.Server(config)


@contextmanager
def running(app: App, certificate: Path | None = None, key: Path | None = None) -> Iterator[int]:
    """Run a server on a thread of this process while the context is open; give its port."""
    made = server(app, 0, certificate, key)
    made.config.load()
    listener = made.config.bind_socket()
    thread = threading.Thread(target=made.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        made.should_exit = True
        thread.join()
        listener.close()
