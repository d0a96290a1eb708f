"""Work on the workers of a Dask scheduler, where one machine would take too long: squares of a map, flights.

Source of the interface: distributed.Client.get_executor. Every worker sees the same folders under the same names.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import distributed

from gps_denied_onboard.errors import UserError

SAME_EVERYWHERE = ("gps_denied_onboard", "cv2", "numpy")
"""What the results come from; Dask itself asks for the same Python, Dask and serializers."""


@contextmanager
def cluster(address: str, timeout_s: float = 15.0) -> Iterator[Executor]:
    """Give an executor on the workers of the scheduler at `address`. UserError as `connected`."""
    with connected(address, timeout_s) as client:
        yield client.get_executor(pure=False)


@contextmanager
def connected(address: str, timeout_s: float = 15.0) -> Iterator[Any]:
    """Give Dask's client of the scheduler at `address` (tcp://host:8786, or tls:// with the certificates of Dask's own
    configuration). UserError where none answers, it has no workers, their libraries differ, or they die."""
    dask: Any = distributed  # it has no types
    try:
        where = urlsplit(address)
        if where.scheme not in {"tcp", "tls"} or where.hostname is None or where.port is None:
            raise ValueError("it is no address")
        with socket.create_connection((where.hostname, where.port), timeout_s):
            pass  # Dask itself asks for half a minute
        security = dask.Security() if where.scheme == "tls" else None
        client = dask.Client(address, timeout=timeout_s, set_as_default=False, security=security)
    except (OSError, ValueError) as error:
        raise UserError(
            f"No Dask scheduler answers at {address} ({error}): start one with `dask scheduler`, give its address as "
            "tcp://host:8786, or leave --cluster out."
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise UserError(f"The Dask scheduler {address} has no workers: start `dask worker {address}` somewhere.")
        try:
            client.get_versions(check=True, packages=list(SAME_EVERYWHERE))
        except ValueError as error:
            raise UserError(
                f"The workers of {address} would not make the same bytes: give each the same pinned libraries. {error}"
            ) from error
        try:
            yield client
        except dask.KilledWorker as error:
            raise UserError(f"Workers of {address} died ({error}): see their logs, then run this again.") from error
