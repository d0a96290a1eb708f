"""Fixtures that every part's tests share."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import typer.main
import typer.testing
from filelock import FileLock

REPOSITORY = Path(__file__).resolve().parents[1]


GARBAGE = (20_000, 50, 50)
"""After how many new objects, and collections of younger ones, to look for garbage: a tenth of the time went there."""
PLANTED_SECRETS = ("planted-api-key", "planted-password")  # tests give these to the programs; no output may hold them


def pytest_configure(config: pytest.Config) -> None:
    """Keep the databases of the run's tile stores in a folder of its own, which every account may enter.

    The processes of a run take it over from the first one. All of them may keep what they compile, as the Makefile lets
    them: dozens of processes start in the tests, and each would compile the same files.
    """
    gc.set_threshold(*GARBAGE)
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if not hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="gps-denied-state-")
        Path(folder).chmod(0o755)
        os.environ["GPS_DENIED_STATE"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what importing and collecting made out of every later collection of garbage: it stays to the end anyway."""
    del session
    gc.collect()
    gc.freeze()
    # A program's commands are built anew at each call: right for a process that makes one, dear where a run makes 500.
    typer.main.get_command = functools.cache(typer.main.get_command)
    vars(typer.testing)["_get_command"] = typer.main.get_command


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
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


@pytest.fixture(scope="session")
def case_file() -> Callable[[str], Path]:
    """Return a function that finds a file of shared/cases (inputs of public reports); it skips without the folder."""
    named = os.environ.get("GPS_DENIED_SHARED")
    cases = (Path(named) if named else REPOSITORY.parent / "shared") / "cases"

    def find(name: str) -> Path:
        if not cases.is_dir():
            pytest.skip(f"no {name} in {cases}: put shared/ beside the checkout or name it in GPS_DENIED_SHARED")
        return cases / name

    return find


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a fresh folder that every account may enter: root's PostgreSQL runs under another one."""
    with tempfile.TemporaryDirectory(prefix="gps-denied-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all processes of one run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def postgres_url(run_folder: Path) -> Iterator[str]:
    """Return the address of a server that the processes of a run share; its database has the newest schema and no rows.

    The first process that asks makes it, the last one to leave removes it.
    """
    import psycopg

    from gps_denied_onboard.tiles import schema
    from gps_denied_onboard.tiles.server import LocalServer

    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"gps-denied-test-{run}"
    with FileLock(run_folder / "postgres.lock"):
        new = not folder.exists()
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        server = LocalServer(folder)
        url = server.start()
        if new:
            with psycopg.connect(url, autocommit=True) as connection:  # nothing here has to outlive a power cut
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    connection.execute(f"ALTER SYSTEM SET {setting} = off")
                connection.execute("SELECT pg_reload_conf()")
            schema.upgrade(url)
    yield url
    with FileLock(run_folder / "postgres.lock"):
        server.stop()
        if not (server.data_folder / "postmaster.pid").exists():
            shutil.rmtree(folder)


_databases = itertools.count(1)
_emptied: list[str] = []


@contextlib.contextmanager
def fresh_database(postgres_url: str) -> Iterator[str]:
    """Give the address of a database with the newest schema and no rows: a new one, or one that was emptied."""
    import psycopg

    from gps_denied_onboard.tiles import schema

    if not _emptied:
        name = f"test_{os.getpid()}_{next(_databases)}"
        with psycopg.connect(postgres_url.replace("/postgres?", "/template1?"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE postgres")
        _emptied.append(postgres_url.replace("/postgres?", f"/{name}?"))
    url = _emptied.pop()
    yield url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
        """)
        if schema.current_revision(connection) == schema.newest_revision():
            names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            tables = ", ".join({name for (name,) in names} - {"alembic_version", "store_totals"})
            connection.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
            connection.execute("UPDATE store_totals SET tiles = 0, bytes = 0")
            _emptied.append(url)


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """Return the address of a fresh database with the newest schema, for one test."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def other_database_url(postgres_url: str) -> Iterator[str]:
    """Return the address of a second one: another machine's."""
    with fresh_database(postgres_url) as url:
        yield url
