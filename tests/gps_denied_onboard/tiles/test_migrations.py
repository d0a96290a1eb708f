"""The schema goes up and down step by step on real servers, installed and embedded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import schema, server

SERVERS = server.installed_servers()
MAJORS = ("15", pytest.param("18", marks=pytest.mark.slow))  # Debian 12's, which the images hold, and the embedded one
INSERT = """
    INSERT INTO tiles (zoom, x, y, tile_size_m, source, content_sha256, size_bytes, ground_resolution_m_px)
    VALUES (18, 1, 2, 90, 'provider', sha256('a'), 9000, 0.5)
"""


@pytest.fixture
def url(request: pytest.FixtureRequest, open_folder: Path) -> Iterator[str]:
    folders = [folder for folder in SERVERS if server.major_version(folder) == request.param]
    if not folders:
        pytest.skip(f"PostgreSQL {request.param} is not installed here")
    if folders[0] == SERVERS[0]:  # that is the server that the whole run shares
        url = request.getfixturevalue("database_url")
        schema.migrate(url, "base")
        yield url
    else:
        local = server.LocalServer(open_folder, bin_folder=folders[0])
        yield local.start()
        local.stop()


def shape(url: str) -> list[tuple[object, ...]]:
    """Return all columns, indexes and constraints of the database, alembic's own table left out."""
    with psycopg.connect(url) as connection:
        return connection.execute("""
            SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name <> 'alembic_version'
            UNION ALL SELECT tablename, indexname, indexdef, '' FROM pg_indexes
            WHERE schemaname = 'public' AND tablename <> 'alembic_version'
            UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), '' FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass
            UNION ALL SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), '' FROM pg_trigger
            WHERE NOT tgisinternal
            UNION ALL SELECT '', proname, pg_get_functiondef(oid), '' FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace ORDER BY 1, 2, 3
        """).fetchall()


@pytest.mark.parametrize("url", MAJORS, indirect=True)
def test_every_step_goes_up_and_down(url: str, request: pytest.FixtureRequest) -> None:
    """Each step down leaves the shape that was before its step up; tiles survive all later steps up."""
    with psycopg.connect(url) as connection:
        assert connection.info.server_version // 10_000 == int(request.node.callspec.params["url"])
    revisions = sorted(file.name[:4] for file in (schema.migrations_folder() / "versions").glob("0*.py"))
    shapes = {}
    for revision in revisions:
        schema.migrate(url, revision)
        shapes[revision] = shape(url)
        if revision == "0001":
            with psycopg.connect(url) as connection:
                connection.execute(INSERT)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM tiles").fetchone() == (1,)
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(INSERT)
    for revision in reversed(revisions[:-1]):
        schema.migrate(url, revision)
        assert shape(url) == shapes[revision]
        schema.upgrade(url)
        assert shape(url) == shapes[revisions[-1]]
        schema.migrate(url, revision)
    schema.migrate(url, "base")
    assert shape(url) == []
    schema.upgrade(url)
    assert shape(url) == shapes[revisions[-1]]


def test_a_newer_database_is_not_touched(database_url: str) -> None:
    """A database at a revision that this program does not know is refused with a sentence."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match="revision 9999"):
        schema.upgrade(database_url)


def test_named_migrations_folder_must_hold_migrations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GPS_DENIED_MIGRATIONS that leads nowhere is said, with the place that was looked at."""
    monkeypatch.setenv("GPS_DENIED_MIGRATIONS", str(tmp_path))
    with pytest.raises(UserError, match=str(tmp_path)):
        schema.migrations_folder()
