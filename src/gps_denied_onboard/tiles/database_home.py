"""Where a tile store's private database lives: in this account's own state, never in the store's folder.

PostgreSQL runs commands that its data folder names (`restore_command`, functions of the catalogue), so it is started
only on data that this machine made. A store's folder may come from anybody: it holds an id and no database. The
database of that id lies in `<state>/<id>/` with a note of the folder that it belongs to; a folder that only claims
the id is refused. See _docs/decisions/0015-where-the-database-lives.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import identity

STATE_ENV = "GPS_DENIED_STATE"
ROOT_STATE = Path("/var/lib/gps-denied-onboard")
"""Root's: its PostgreSQL runs as another account, which does not enter root's home."""
OLD_DATA_FOLDER = ".postgres"
"""Where versions before kept the database: inside the store's folder."""
DATA_FOLDER = "data"
OWNER_FILE = "owner.json"
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
SIGNAL_FILES = ("recovery.signal", "standby.signal", "recovery.conf", "promote")
AUTO_CONF = "postgresql.auto.conf"


@dataclass(frozen=True, slots=True)
class DatabaseHome:
    """The folder of one store's database: `data` is PostgreSQL's, the rest is ours."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / DATA_FOLDER

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def users(self) -> Path:
        return self.folder / "users"

    @property
    def settings(self) -> Path:
        return self.folder / "postgresql.conf"

    @property
    def access(self) -> Path:
        return self.folder / "pg_hba.conf"


def state_folder(*, of_root: bool) -> Path:
    """Where this account keeps its databases: GPS_DENIED_STATE, else /var/lib for root, else XDG_STATE_HOME's."""
    named = os.environ.get(STATE_ENV)
    if named:
        return Path(named).expanduser().absolute()
    if of_root:
        return ROOT_STATE / "stores"
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state") / "gps-denied-onboard" / "stores"


def find_home(root: Path, *, of_root: bool) -> DatabaseHome:
    """The home of a store's database; made, empty, for a folder that is new. Nothing is started.

    UserError for a folder that another machine or a stranger filled, and what to do with it.
    """
    store_id = identity.id_in(root)
    base = state_folder(of_root=of_root)
    home = DatabaseHome(base / str(store_id)) if store_id is not None else None
    if of_root and home is not None and not home.folder.exists() and (former := _former_of_root(root)).is_dir():
        with _nobody_uses(root):
            _make_state(base, of_root=of_root)
            with _made_whole(home, of_root=of_root) as unfinished:
                shutil.move(former, unfinished / DATA_FOLDER)
                _note_owner(DatabaseHome(unfinished), root)
    if home is None or not home.folder.exists():
        _refuse_foreign(root)
        _make_state(base, of_root=of_root)
        home = DatabaseHome(base / str(store_id or identity.give_id(root)))
        with _made_whole(home, of_root=of_root) as unfinished:
            _note_owner(DatabaseHome(unfinished), root)
    check_own(home.folder)
    if not _is_of(home, root):
        raise UserError(
            f"The database of the tile store {root} belongs to the folder {_owner(home).get('root', '(unknown)')!r}: "
            "give that folder, import this one's pictures into a store of its own, or, where you moved the store "
            f"here yourself from another disk, run `operator-tool tiles adopt --root {root}` once."
        )
    _note_owner(home, root)
    return home


def _former_of_root(root: Path) -> Path:
    """Where versions before kept the database of a store that root's server could not enter: ours, not a stranger's."""
    return ROOT_STATE / f"store-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}"


def _refuse_foreign(root: Path) -> None:
    old = root / OLD_DATA_FOLDER
    if old.is_symlink() or old.exists():
        raise UserError(
            f"{root} brings a database of its own ({OLD_DATA_FOLDER}), and a database that somebody else made can run "
            "commands here: it is not started. Where you made this store yourself on this machine with an earlier "
            f"version, run `operator-tool tiles adopt --root {root}` once; else import its pictures into a new store."
        )
    if root.is_dir() and identity.holds_tiles(root):
        raise UserError(
            f"{root} holds tile files but their database is not here: give the store's own database "
            "(DATABASE_URL), or import this folder into a new store."
        )


def adopt(root: Path, *, of_root: bool, server_uid: int) -> DatabaseHome:
    """Take over a store that the operator vouches for: made here by an earlier version, or moved here by himself.

    The database is moved out of the store's folder. UserError where it runs, holds links, is anyone's to write, or
    tells PostgreSQL to run something: no store that this program made does.
    """
    store_id = identity.id_in(root)
    if store_id is None:
        raise UserError(f"{root} is no tile store: it holds no {identity.IDENTITY_FILE}. Give the store's folder.")
    base = state_folder(of_root=of_root)
    home = DatabaseHome(base / str(store_id))
    old = root / OLD_DATA_FOLDER
    if not home.folder.exists():
        if not old.is_dir() or old.is_symlink():
            raise UserError(
                f"There is no database of the tile store {root}, neither in it nor among this account's: import its "
                "pictures into a new store."
            )
        check_data(old, server_uid)
        with _nobody_uses(root):
            _make_state(base, of_root=of_root)
            with _made_whole(home, of_root=of_root) as unfinished:
                shutil.move(old, unfinished / DATA_FOLDER)
    check_own(home.folder)
    former = Path(str(_owner(home).get("root", root)))
    if former != root and not _is_of(home, root) and identity.id_in(former) == store_id:
        raise UserError(
            f"{former} still is the store of this database, so {root} is a copy of it, or claims to be: import its "
            "pictures into a store of its own."
        )
    _note_owner(home, root)
    return home


def check_own(folder: Path) -> None:
    """UserError unless a folder is a plain one of this account that nobody else may write."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & OTHERS_MAY_WRITE:
        raise UserError(
            f"{folder} belongs to another account or others may write there, so no database is started in it: run "
            f"this as the account that made the store, or name a folder of your own in {STATE_ENV}."
        )


def check_data(data: Path, uid: int) -> None:
    """UserError where a data folder could make PostgreSQL run a command or leave the folder: nothing is started."""
    for found in (data / name for name in SIGNAL_FILES):
        if found.is_symlink() or found.exists():
            raise UserError(f"{found} tells PostgreSQL to run commands, and this program never makes it: remove it.")
    for folder, folders, names in os.walk(data):
        for name in (*folders, *names):
            status = os.lstat(os.path.join(folder, name))
            plain = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode) or stat.S_ISSOCK(status.st_mode)
            if not plain or status.st_uid != uid or status.st_mode & OTHERS_MAY_WRITE:
                raise UserError(
                    f"{os.path.join(folder, name)!r} is a link, a device, or anyone's to write: this program makes no "
                    "such database, and none is started on it. Import the pictures into a new store."
                )


def _is_of(home: DatabaseHome, root: Path) -> bool:
    """Whether a store's folder is the one that the database belongs to: by its path, or moved as it is."""
    owner = _owner(home)
    status = root.stat()
    return owner.get("root") == str(root) or owner.get("inode") == [status.st_dev, status.st_ino]


def _owner(home: DatabaseHome) -> dict[str, object]:
    try:
        found = json.loads((home.folder / OWNER_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note_owner(home: DatabaseHome, root: Path) -> None:
    status = root.stat()
    owner = {"root": str(root), "inode": [status.st_dev, status.st_ino]}
    if _owner(home) != owner:
        replace_whole(home.folder / OWNER_FILE, json.dumps(owner).encode())


def _mode(*, of_root: bool) -> int:
    return 0o711 if of_root else 0o700  # root's server runs as another account, which enters by name only


def _make_state(base: Path, *, of_root: bool) -> None:
    try:
        base.mkdir(parents=True, exist_ok=True)
        if of_root:
            for folder in (base, base.parent) if STATE_ENV not in os.environ else (base,):
                folder.chmod(0o755)
    except OSError as error:
        raise UserError(
            f"{base}, where the databases of tile stores are kept, cannot be made ({error.strerror}): name a folder of "
            f"your own in {STATE_ENV}, or set DATABASE_URL to a server that runs."
        ) from None


@contextlib.contextmanager
def _made_whole(home: DatabaseHome, *, of_root: bool) -> Iterator[Path]:
    """Give a folder beside the home that becomes it at the end, unless another process was first."""
    unfinished = home.folder.with_name(f".{home.folder.name}.{uuid.uuid4().hex}")
    unfinished.mkdir(mode=_mode(of_root=of_root))
    unfinished.chmod(_mode(of_root=of_root))
    yield unfinished
    try:
        unfinished.rename(home.folder)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not home.folder.is_dir():
            raise


@contextlib.contextmanager
def _nobody_uses(root: Path) -> Iterator[None]:
    """Hold the lock by which versions before said that they use the database in a store's folder."""
    try:
        users = os.open(root / ".postgres.users", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise UserError(f"{root / '.postgres.users'} cannot be opened ({error.strerror}): remove it.") from None
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(f"The tile store {root} is in use by an earlier version: end that first.") from None
    finally:
        os.close(users)
