"""Which folder of tile files belongs to which database: two halves that were parted must not be taken for one store.

Without this, a folder that is opened with another database (moved without it, DATABASE_URL of another store) would have
all of its tiles removed as leftovers of a crash.
"""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import Any

import psycopg

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import files

IDENTITY_FILE = ".store-id"


def settle(root: Path, connection: psycopg.Connection[Any], *, private: bool) -> None:
    """Check that folder and database belong together, or join a new pair; UserError where they do not.

    private: the database is kept by this folder's own server, so a folder that was emptied may take it over.
    """
    connection.execute("LOCK TABLE store_identity IN EXCLUSIVE MODE")
    row = connection.execute("SELECT store_id FROM store_identity").fetchone()
    in_database = row[0] if row else None
    in_folder: uuid.UUID | None = None
    with contextlib.suppress(OSError, ValueError):
        in_folder = uuid.UUID((root / IDENTITY_FILE).read_text().strip())
    if in_folder is not None and in_folder == in_database:
        return
    if in_database is None:
        if holds_tiles(root):
            raise UserError(
                f"{root} holds tile files but their database is not here: give the store's own database "
                "(DATABASE_URL), or import this folder into a new store."
            )
    elif in_folder is not None or not private or holds_tiles(root):
        raise UserError(
            f"This database belongs to a tile store in another folder than {root}: give that folder, or "
            "another database."
        )
    wanted = in_folder or in_database or uuid.uuid4()
    if in_folder is None:
        with contextlib.suppress(FileNotFoundError):
            (root / IDENTITY_FILE).unlink()
        files.write_files([(root / IDENTITY_FILE, f"{wanted}\n".encode())])
    connection.execute("INSERT INTO store_identity (store_id) VALUES (%s) ON CONFLICT DO NOTHING", (wanted,))


def holds_tiles(root: Path) -> bool:
    """Return whether a folder holds anything like `<source>/<z>/<x>/<y>.jpg`."""
    return any(files.TILE_FILE.fullmatch(path.name) for path in root.glob("[a-z0-9]*/[0-9]*/[0-9]*/*"))
