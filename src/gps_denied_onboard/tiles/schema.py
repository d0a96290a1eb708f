"""The database's schema: where the migrations lie and how a database is brought to the newest one.

Migrations are found in GPS_DENIED_MIGRATIONS, else beside the package (as an installed wheel carries them in
`gps_denied_onboard/migrations`), else at the top of the source tree.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg

from gps_denied_onboard.errors import UserError

CONNECT_TIMEOUT_S = 10
MIGRATION_LOCK = 7_205_121_944  # any constant: two programs that open one database migrate it one after the other


def migrations_folder() -> Path:
    """Return the folder of alembic's env.py and versions/; UserError where there is none."""
    package = Path(__file__).resolve().parents[1]
    named = os.environ.get("GPS_DENIED_MIGRATIONS")
    places = [Path(named)] if named else [package / "migrations", package.parents[1] / "migrations"]
    for place in places:
        if (place / "env.py").is_file():
            return place
    raise UserError(
        f"The tile store's migrations are not in {' or '.join(str(place) for place in places)}: "
        "set GPS_DENIED_MIGRATIONS to the repository's migrations folder."
    )


def newest_revision() -> str:
    """Return the last revision's number, taken from the file names (NNNN_name.py), without importing alembic."""
    return max(file.name[:4] for file in (migrations_folder() / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def current_revision(connection: psycopg.Connection[Any]) -> str | None:
    """Return the revision that a database is at; None for an empty one."""
    exists = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
    if exists is None or exists[0] is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def upgrade(url: str) -> None:
    """Bring a database to the newest revision; quick where it is there already.

    Raises UserError where the database was written by a newer program.
    """
    newest = newest_revision()
    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        if current_revision(connection) == newest:
            return
        connection.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        current = current_revision(connection)
        if current is not None and current > newest:
            raise UserError(
                f"The tile store's database is at revision {current} and this program knows {newest} at most: "
                "use the program that wrote it, or a newer one."
            )
        if current != newest:
            migrate(url, newest)


def migrate(url: str, revision: str) -> None:
    """Move a database up or down to a revision ('base' is the empty database) with alembic."""
    import sqlalchemy
    from alembic import command, config

    alembic = config.Config()
    alembic.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        alembic.attributes["connection"] = connection
        current = current_revision(connection.connection.driver_connection)  # type: ignore[arg-type]
        connection.rollback()
        down = revision == "base" or (current is not None and revision < current)
        (command.downgrade if down else command.upgrade)(alembic, revision)
