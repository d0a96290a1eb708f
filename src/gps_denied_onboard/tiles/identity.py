"""Which folder of tile files belongs to which database: two halves that were parted must not be taken for one store.

Without this, a folder that is opened with another database (moved without it, DATABASE_URL of another store) would have
all of its tiles removed as leftovers of a crash.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Any

import psycopg

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import files

IDENTITY_FILE = ".store-id"
ID_BYTES_MAX = 64


def id_in(root: Path) -> uuid.UUID | None:
    """The id that a store's folder holds, None where it holds none; links are not followed."""
    with contextlib.suppress(OSError, ValueError), files.open_plain(root / IDENTITY_FILE) as file:
        return uuid.UUID(file.read(ID_BYTES_MAX).decode("ascii").strip())
    return None


def give_id(root: Path) -> uuid.UUID:
    """Give a folder without one an id; where two processes do so at once, both get the first one's."""
    wanted = uuid.uuid4()
    aside = root / f"{IDENTITY_FILE}.{wanted.hex}"
    files.write_files([(aside, f"{wanted}\n".encode())])
    try:
        os.link(aside, root / IDENTITY_FILE, follow_symlinks=False)
    except FileExistsError:
        found = id_in(root)
        if found is not None:
            return found
        _put(aside, root)
    except OSError:  # a filesystem without second names
        _put(aside, root)
    finally:
        aside.unlink(missing_ok=True)
    return wanted


def _put(aside: Path, root: Path) -> None:
    try:
        os.replace(aside, root / IDENTITY_FILE)
    except OSError as error:
        raise UserError(
            f"{root / IDENTITY_FILE} is in the way ({error.strerror}): no tile store holds such a thing; remove it."
        ) from None


def settle(root: Path, connection: psycopg.Connection[Any]) -> None:
    """Check that folder and database belong together, or join a new pair; UserError where they do not."""
    connection.execute("LOCK TABLE store_identity IN EXCLUSIVE MODE")
    row = connection.execute("SELECT store_id FROM store_identity").fetchone()
    in_database = row[0] if row else None
    in_folder = id_in(root)
    if in_folder is not None and in_folder == in_database:
        return
    if in_database is None:
        if holds_tiles(root):
            raise UserError(
                f"{root} holds tile files but their database is not here: give the store's own database "
                "(DATABASE_URL), or import this folder into a new store."
            )
    else:
        raise UserError(
            f"This database belongs to a tile store in another folder than {root}: give that folder, or "
            "another database."
        )
    wanted = in_folder or give_id(root)
    connection.execute("INSERT INTO store_identity (store_id) VALUES (%s) ON CONFLICT DO NOTHING", (wanted,))


def holds_tiles(root: Path) -> bool:
    """Return whether a folder holds anything like `<source>/<z>/<x>/<y>.jpg`."""
    return any(files.TILE_FILE.fullmatch(path.name) for path in root.glob("[a-z0-9]*/[0-9]*/[0-9]*/*"))
