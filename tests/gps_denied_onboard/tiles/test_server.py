"""The private server starts by itself, is shared, survives kills and leaves with its last user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.server import LocalServer, ServerUser, database_url_from_environment
from gps_denied_onboard.tiles.store import TileStore

HOLD = """
import sys
from pathlib import Path
from gps_denied_onboard.tiles.server import LocalServer
local = LocalServer(Path(sys.argv[1]))
print(local.start(), flush=True)
sys.stdin.read()
local.stop()
"""


def postmaster(folder: Path) -> int | None:
    file = LocalServer(folder).data_folder / "postmaster.pid"
    return int(file.read_text().split()[0]) if file.exists() else None


def other_user(folder: Path) -> subprocess.Popen[str]:
    """Return another process that uses the same server until its input ends."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert other.stdout is not None
    assert other.stdout.readline().startswith("postgresql://")
    return other


@pytest.mark.slow
def test_shared_killed_and_stopped(open_folder: Path) -> None:
    """Two processes share one server; it survives a user's kill, comes back after its own, stops with the last user.

    The store lies so deep in folders that a socket's name does not fit there.
    """
    store = open_folder / ("a" * 60) / ("b" * 60)
    store.mkdir(parents=True)
    local = LocalServer(store)
    url = local.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        connection.execute("CREATE TABLE kept (a int)")
    assert local.data_folder.stat().st_mode & 0o777 == 0o700
    other = other_user(store)
    local.stop()
    with psycopg.connect(url):  # the other one still uses it
        pass
    other.kill()
    other.communicate()
    first = postmaster(store)
    assert first is not None
    os.kill(first, signal.SIGKILL)  # and its pid file stays behind
    again = LocalServer(store)
    with psycopg.connect(again.start()) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    other = other_user(store)
    other.communicate("")
    with psycopg.connect(url):  # that one has left, this one has not
        pass
    again.stop()
    again.stop()
    assert postmaster(store) is None


def test_data_of_a_version_that_is_gone_is_said(open_folder: Path) -> None:
    """Data that another PostgreSQL made names the version to install."""
    local = LocalServer(open_folder)
    ServerUser.current().own_folder(local.data_folder)
    (local.data_folder / "PG_VERSION").write_text("11\n")
    with pytest.raises(UserError, match="made with PostgreSQL 11, which is not installed"):
        local.start()


def test_no_server_at_all_is_said(open_folder: Path) -> None:
    """Without any PostgreSQL the sentence names what to install, and no half-made data stays."""
    local = LocalServer(open_folder, bin_folder=open_folder / "nothing")
    with pytest.raises(UserError, match="Install the 'postgresql' package"):
        local.start()
    assert not local.data_folder.exists()


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("postgresql+psycopg://u@h/d", "postgresql://u@h/d"),
        ("postgres://u@h/d", "postgresql://u@h/d"),
        ("host=/run/postgresql dbname=tiles", "host=/run/postgresql dbname=tiles"),
        ("  ", None),
    ],
)
def test_database_url_in_the_forms_that_people_write(
    monkeypatch: pytest.MonkeyPatch, given: str, url: str | None
) -> None:
    """DATABASE_URL may be SQLAlchemy's form, Heroku's, or libpq's own; blank counts as not set."""
    monkeypatch.setenv("DATABASE_URL", given)
    assert database_url_from_environment() == url


def test_another_databases_url_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DATABASE_URL of another kind of database is said."""
    monkeypatch.setenv("DATABASE_URL", "mysql://u@h/d")
    with pytest.raises(UserError, match="not a PostgreSQL address"):
        database_url_from_environment()


def test_database_that_does_not_answer_is_said(open_folder: Path) -> None:
    """A DATABASE_URL that leads nowhere gives one sentence, and no private server is started in its place."""
    with pytest.raises(UserError, match=r"does not answer .* unset it to use a private server"):
        TileStore.open(open_folder / "store", f"postgresql://nobody@/tiles?host={open_folder}")
    assert not (open_folder / "store" / ".store-id").exists()
