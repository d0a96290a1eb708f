"""Alembic's entry: run the steps on the connection that the program hands over, or on DATABASE_URL."""

from __future__ import annotations

import os

import sqlalchemy
from alembic import context

given = context.config.attributes.get("connection")


def run(connection: sqlalchemy.Connection) -> None:
    context.configure(connection=connection, target_metadata=None, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


if given is not None:
    run(given)
else:
    url = sqlalchemy.make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")
    with sqlalchemy.create_engine(url).connect() as connection:
        run(connection)
