"""Fixtures that every part's tests share."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


PLANTED_SECRETS = ("planted-api-key", "planted-password")  # tests give these to the programs; no output may hold them


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport]:
    """Fail a test whose output or log holds a planted secret."""
    del item, call
    report: pytest.TestReport = yield
    said = [where for where, text in report.sections if any(secret in text for secret in PLANTED_SECRETS)]
    if report.passed and said:
        report.outcome = "failed"
        report.longrepr = f"a planted secret is in {', '.join(said)}"
    return report


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real photographs and maps, which is handed out beside the checkout and never inside it.

    GPS_DENIED_SHARED names the folder that holds `data`, for a checkout that lives elsewhere.
    """
    named = os.environ.get("GPS_DENIED_SHARED")
    data = (Path(named) if named else REPOSITORY.parent / "shared") / "data"
    if not data.is_dir():
        pytest.skip(f"no real photographs at {data}: put shared/ beside the checkout or name it in GPS_DENIED_SHARED")
    return data


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a fresh folder that every account may enter: root's PostgreSQL runs under another one."""
    with tempfile.TemporaryDirectory(prefix="gps-denied-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Return the address of a server that the whole run shares; its database has the newest schema and no rows."""
    import psycopg

    from gps_denied_onboard.tiles import schema
    from gps_denied_onboard.tiles.server import LocalServer

    folder = Path(tempfile.mkdtemp(prefix="gps-denied-test-"))
    folder.chmod(0o755)
    server = LocalServer(folder)
    url = server.start()
    with psycopg.connect(url, autocommit=True) as connection:  # nothing here has to outlive a power cut
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    schema.upgrade(url)
    yield url
    server.stop()
    shutil.rmtree(folder)


_databases = itertools.count(1)


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """Return the address of a fresh database with the newest schema, for one test."""
    import psycopg

    name = f"test_{next(_databases)}"
    maintenance = postgres_url.replace("/postgres?", "/template1?")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE postgres")
    yield postgres_url.replace("/postgres?", f"/{name}?")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
