"""An SSH connection to the companion: host key pinned on first use, keys only, commands streamed, files resumed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import os
import posixpath
import shlex
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file, read_promised
from gps_denied_onboard.untrusted.json import read_json
from gps_denied_onboard.untrusted.text import shown as foreign
from gps_denied_operator.companion.config import CompanionSettings
from gps_denied_operator.companion.redact import shown

if TYPE_CHECKING:
    import paramiko

TAIL_LINES = 30
JSON_BYTES_MAX = 16 * 1024 * 1024
SMALL_FILE_BYTES_MAX = 64 * 1024 * 1024
POLL_S = 0.02
HELD_OPEN_S = 10.0
"""Silence after a program's exit that ends the wait for its output, which something that it started may hold open."""
PIECE_BYTES = 32 * 1024
OUTPUT_BYTES_MAX = 256 * 1024 * 1024
PINS_BYTES_MAX = 1024 * 1024
FOLDER_FILES_MAX = 100_000
STRANGE_ANSWERS = (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error, OverflowError)
"""What paramiko raises besides its own where a peer does not speak as it should."""
KEEPALIVE_S = 15
Tell = Callable[[str], None]


class CompanionNotReadyError(UserError):
    """The companion cannot be reached, is another machine, or is not fit to take a cache."""

    exit_code = 30


class RemoteCommandError(UserError):
    """A command on the companion failed; `tail` are its last lines, redacted."""

    exit_code = 21

    def __init__(self, what: str, tail: Sequence[str]) -> None:
        said = "".join(f"\n  | {line}" for line in tail)
        super().__init__(f"{what}{'; its last lines:' if tail else '.'}{said}")
        self.tail = tuple(tail)


class RemoteOutputError(RemoteCommandError):
    """The companion's last line is not the JSON report that was asked for."""


class HostKeyError(OSError):
    """The host key is not the one that the companion file names."""


def known_hosts_path(settings: CompanionSettings) -> Path:
    """Where the companions' host keys are pinned."""
    if settings.known_hosts:
        return Path(settings.known_hosts).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "gps-denied-onboard" / "known_hosts"


class CompanionLink:
    """A connection, open while used as a context manager."""

    def __init__(
        self, settings: CompanionSettings, tell: Tell = lambda _line: None, secrets: Sequence[str] = ()
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._secrets = tuple(secrets)
        self._client: paramiko.SSHClient | None = None
        self._sftp: paramiko.SFTPClient | None = None
        self.fingerprint = ""
        self.pinned_now = False

    def __enter__(self) -> CompanionLink:
        import paramiko

        logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # its tracebacks show what the peer said as it is
        settings, where = self._settings, f"{self._settings.user}@{self._settings.host}:{self._settings.port}"
        key = _identity(Path(settings.identity).expanduser())
        client = paramiko.SSHClient()
        pins = known_hosts_path(settings)
        try:
            if not settings.host_key_sha256:
                _load_pins(client, pins)
            client.set_missing_host_key_policy(_PinOnFirstUse(self, pins, settings.host_key_sha256))
            client.connect(
                settings.host, settings.port, settings.user, pkey=key, allow_agent=False, look_for_keys=False,
                timeout=settings.connect_timeout_s, banner_timeout=settings.connect_timeout_s,
                auth_timeout=settings.connect_timeout_s,
            )  # fmt: skip
        except paramiko.BadHostKeyException as error:
            client.close()
            raise CompanionNotReadyError(
                f"{where} is another machine than before: its host key is {sha256_of(error.key)}, pinned in {pins} is "
                f"{sha256_of(error.expected_key)}. If it was flashed anew, remove its line there; else do not use it."
            ) from None
        except paramiko.AuthenticationException:
            client.close()
            raise CompanionNotReadyError(
                f"{where} refuses the key {settings.identity}: add its .pub to the user's authorized_keys there."
            ) from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            client.close()
            raise CompanionNotReadyError(
                f"{where} cannot be reached ({foreign(error)}): check cable, power, address and port, then run again."
            ) from None
        except STRANGE_ANSWERS as error:
            client.close()
            raise CompanionNotReadyError(
                f"{where} does not speak SSH as it should ({type(error).__name__}): is it the companion?"
            ) from error
        except BaseException:
            client.close()
            raise
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(KEEPALIVE_S)
        self.fingerprint = sha256_of(transport.get_remote_server_key())
        self._client = client
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._sftp = None

    def run(self, *arguments: str) -> dict[str, Any]:
        """Run the companion's program; its last line as JSON. Other lines are told as they come, redacted.

        Raises RemoteCommandError where it fails, RemoteOutputError where the last line is no JSON object,
        CompanionNotReadyError where the connection breaks off.
        """
        what = f"`{self._settings.command} {arguments[0]}` on the companion"
        command = shlex.join([*shlex.split(self._settings.command), *arguments])
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        last = b""
        status = -1
        with self._broken_off(what):
            assert self._client is not None
            transport = self._client.get_transport()
            assert transport is not None
            channel = transport.open_session(timeout=self._settings.connect_timeout_s)
            try:
                channel.exec_command(command)
                settings = self._settings
                for line, is_report in _lines(channel, settings.silence_timeout_s, settings.command_timeout_s):
                    if last:
                        self._say(last, tail)
                        last = b""
                    if is_report:
                        last = line
                    else:
                        self._say(line, tail)
                status = channel.recv_exit_status() if channel.exit_status_ready() else -1
            finally:
                channel.close()
        report: Any = None
        with contextlib.suppress(UntrustedError):
            report = read_json(last, "the report", JSON_BYTES_MAX)
        if status == -1:
            self._say(last, tail)
            raise RemoteCommandError(f"{what} was cut off: run again, it goes on where it stopped", tail)
        if not isinstance(report, dict):
            self._say(last, tail)
            if status != 0:
                raise RemoteCommandError(f"{what} failed with exit code {status}", tail)
            raise RemoteOutputError(f"{what} did not end with a report: is it the same release as this tool?", tail)
        if status != 0 and report.get("outcome") != "failure":
            raise RemoteCommandError(f"{what} failed with exit code {status}", tail)
        return report

    def _say(self, line: bytes, tail: deque[str]) -> None:
        text = shown(line.decode(errors="replace").rstrip(), self._secrets)
        if text:
            tail.append(text)
            self._tell(text)

    def put_resumable(self, folder: str, name: str, data: bytes) -> int:
        """Put a file whose name stands for its bytes; what came across before a break is not sent again. Bytes sent."""
        target = posixpath.join(folder, name)
        part = f"{target}.part"
        with self._broken_off(f"sending {name}"):
            sftp = self._files()
            if _size(sftp, target) == len(data):
                return 0
            start = _size(sftp, part)
            start = start if 0 <= start <= len(data) else 0
            with sftp.open(part, "r+b" if start else "wb") as stream:
                stream.set_pipelined(True)
                stream.seek(start)
                for at in range(start, len(data), PIECE_BYTES):
                    stream.write(data[at : at + PIECE_BYTES])
            sftp.posix_rename(part, target)
        return len(data) - start

    def put_whole(self, path: str, data: bytes) -> None:
        """Put a file in the place of another one at once."""
        with self._broken_off(f"writing {path}"):
            sftp = self._files()
            with sftp.open(f"{path}.part", "wb") as stream:
                stream.write(data)
            sftp.posix_rename(f"{path}.part", path)

    def read_small(self, path: str) -> bytes:
        """A file's bytes. RemoteCommandError where it is not there, is too large, or is not as long as was said."""
        with self._broken_off(f"reading {path}"):
            sftp = self._files()
            size = _size(sftp, path)
            if not 0 <= size <= SMALL_FILE_BYTES_MAX:
                raise RemoteCommandError(f"{path} on the companion is missing, or is too large ({size} bytes)", ())
            with sftp.open(path, "rb") as stream:
                try:
                    return read_promised(stream, size, SMALL_FILE_BYTES_MAX, path)
                except UntrustedError as error:
                    raise RemoteCommandError(f"Of a file on the companion: {str(error).rstrip('.')}", ()) from None

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it, where they are missing."""
        with self._broken_off(f"making {path}"):
            sftp = self._files()
            made = "/"
            for part in path.strip("/").split("/"):
                made = posixpath.join(made, part)
                if _size(sftp, made) < 0:
                    sftp.mkdir(made)

    def remove_others(self, folder: str, keep: set[str]) -> None:
        """Remove files of a folder but those named."""
        with self._broken_off(f"tidying {folder}"):
            sftp = self._files()
            for number, entry in enumerate(sftp.listdir_iter(folder)):
                if number >= FOLDER_FILES_MAX:
                    raise RemoteCommandError(f"{folder} on the companion holds more than {FOLDER_FILES_MAX} files", ())
                if entry.filename not in keep and "/" not in entry.filename:
                    sftp.remove(posixpath.join(folder, entry.filename))

    def _files(self) -> paramiko.SFTPClient:
        assert self._client is not None
        if self._sftp is None:
            self._sftp = self._client.open_sftp()
            channel = self._sftp.get_channel()
            assert channel is not None
            channel.settimeout(self._settings.silence_timeout_s)
        return self._sftp

    @contextlib.contextmanager
    def _broken_off(self, what: str) -> Iterator[None]:
        """A connection that breaks is one sentence, not a traceback."""
        import paramiko

        try:
            yield
        except (paramiko.SSHException, EOFError, ConnectionError, TimeoutError) as error:
            raise CompanionNotReadyError(
                f"The connection to the companion broke off while {what} ({foreign(error) or type(error).__name__}): "
                "run again, it goes on where it stopped."
            ) from None
        except STRANGE_ANSWERS as error:
            raise CompanionNotReadyError(
                f"The companion answered with what is no SSH while {what} ({type(error).__name__}): is it it?"
            ) from error
        except OSError as error:
            raise RemoteCommandError(
                f"{what} failed ({foreign(error)}): check free disk and the user's rights on the companion, then run "
                "again",
                (),
            ) from None


def _load_pins(client: paramiko.SSHClient, pins: Path) -> None:
    """The keys of a file of pins. A line that cannot be read is refused: its host would be pinned anew."""
    from paramiko.hostkeys import HostKeyEntry

    try:
        lines = read_file(pins, PINS_BYTES_MAX).decode("ascii", "replace").splitlines()
    except FileNotFoundError:
        if os.path.lexists(pins):
            raise CompanionNotReadyError(f"{pins} is a link to nothing: mend it; keys are pinned there.") from None
        return
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry: Any = None
        with contextlib.suppress(Exception):  # a damaged key raises almost anything
            entry = HostKeyEntry.from_line(line.strip(), number)
        if entry is None or entry.key is None:
            raise CompanionNotReadyError(
                f"Line {number} of {pins} is damaged: its host would be believed anew. Mend it from a copy, or remove "
                "it if the host key was checked by other means."
            )
        for host in entry.hostnames:
            held = client.get_host_keys().lookup(host) if not host.startswith("|") else None
            if held is not None and held.get(entry.key.get_name()) not in (None, entry.key):
                raise CompanionNotReadyError(f"{pins} holds two keys of {foreign(host)}: remove the wrong one.")
            client.get_host_keys().add(host, entry.key.get_name(), entry.key)


class _PinOnFirstUse:
    """paramiko asks this about a host that is not in the list yet, and about each one that the companion file names.

    A fingerprint in the companion file decides alone: two aircraft may have one address at different times, and their
    files tell them apart. Without one the key of the first use is pinned to the address.
    """

    def __init__(self, link: CompanionLink, pins: Path, expected: str) -> None:
        self._link, self._pins, self._expected = link, pins, expected

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        found = sha256_of(key)
        if self._expected and found != self._expected.rstrip("="):
            raise HostKeyError(
                f"its host key ({key.get_name()}) is {found}, the companion file expects {self._expected}: it is "
                "another machine, or was flashed anew"
            )
        if self._expected:
            return
        self._pins.parent.mkdir(parents=True, exist_ok=True)
        held = self._pins.read_bytes() if self._pins.exists() else b""
        with self._pins.open("a", encoding="ascii") as stream:
            begun = "\n" if held and not held.endswith(b"\n") else ""  # or two lines would become one damaged one
            stream.write(f"{begun}{hostname} {key.get_name()} {key.get_base64()}\n")
        client.get_host_keys().add(hostname, key.get_name(), key)
        self._link.pinned_now = True


def sha256_of(key: Any) -> str:
    """A host key's fingerprint as `ssh-keygen -l` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


def _identity(path: Path) -> paramiko.PKey:
    import paramiko

    try:
        return paramiko.PKey.from_path(path)
    except paramiko.PasswordRequiredException:
        raise CompanionNotReadyError(
            f"The SSH key {path} has a passphrase: make one for this tool alone (`ssh-keygen -t ed25519`)."
        ) from None
    except (OSError, ValueError, TypeError, paramiko.SSHException, paramiko.UnknownKeyType) as error:
        raise CompanionNotReadyError(f"The SSH key {path} cannot be used ({error}): give a private key.") from None


def _size(sftp: paramiko.SFTPClient, path: str) -> int:
    """A file's size, -1 where there is none."""
    try:
        return int(sftp.stat(path).st_size or 0)
    except FileNotFoundError:
        return -1


def _lines(channel: Any, silence_timeout_s: float, command_timeout_s: float) -> Iterator[tuple[bytes, bool]]:
    """Lines of both outputs as they come; True for those of stdout, which may hold the report. Memory is bounded."""
    held = {True: bytearray(), False: bytearray()}
    taken = 0
    heard_s = began_s = time.monotonic()
    exited = False
    while True:
        # Not the exit status: a server may send it before the last of the output.
        ended = channel.closed or channel.eof_received
        some = not exited and channel.exit_status_ready()
        exited = exited or some
        for out, ready, receive in (
            (False, channel.recv_stderr_ready, channel.recv_stderr),
            (True, channel.recv_ready, channel.recv),
        ):
            if not ready():
                continue
            some = True
            piece = receive(PIECE_BYTES)
            taken += len(piece)
            *whole, rest = piece.split(b"\n")
            for line in whole:
                full = bytes(held[out]) + line
                held[out].clear()
                if full.strip():
                    yield full, out
            held[out] += rest
            if len(held[out]) > JSON_BYTES_MAX or taken > OUTPUT_BYTES_MAX:
                raise TimeoutError(f"it sends more than {JSON_BYTES_MAX} bytes in a line, or {OUTPUT_BYTES_MAX} in all")
        if time.monotonic() - began_s > command_timeout_s:
            raise TimeoutError(f"it has not ended after {command_timeout_s:g} s")
        if some:
            heard_s = time.monotonic()
        elif exited and (ended or time.monotonic() - heard_s > HELD_OPEN_S):
            break
        elif time.monotonic() - heard_s > silence_timeout_s:
            raise TimeoutError(f"nothing was heard for {silence_timeout_s:.0f} s")
        else:
            time.sleep(POLL_S)
    for out in (False, True):
        if held[out].strip():
            yield bytes(held[out]), out
