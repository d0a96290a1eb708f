"""When tiles were last read, written to the database in batches by a thread of its own: reading never waits for it."""

from __future__ import annotations

import logging
import threading
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

log = logging.getLogger(__name__)

FLUSH_S = 5.0
BATCH_ROWS = 10_000
IDS_MAX = 1_000_000  # a database that is away must not fill the memory


class AccessLog:
    """Notes row ids; the thread starts with the first of them."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection[Any]]) -> None:
        self._pool = pool
        self._noted: dict[int, None] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, row_id: int) -> None:
        """Remember that a tile was read just now."""
        self._noted[row_id] = None
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._stop.is_set():
                    self._thread = threading.Thread(target=self._run, name="tile accesses", daemon=True)
                    self._thread.start()

    def flush(self) -> None:
        """Write what is noted. Raises psycopg.Error or PoolTimeout where the database does not take it."""
        noted, self._noted = self._noted, {}
        ids = sorted(noted)
        for start in range(0, len(ids), BATCH_ROWS):
            with self._pool.connection() as connection:
                connection.execute(
                    "UPDATE tiles SET last_access_at = now() WHERE id = ANY(%s)", (ids[start : start + BATCH_ROWS],)
                )

    def close(self) -> None:
        """Stop the thread and write what is left."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_S):
            try:
                self.flush()
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("which tiles were read is not written: %s", error)
            if len(self._noted) > IDS_MAX:
                self._noted = {}
