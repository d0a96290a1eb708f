"""A peer that does not keep to what it says: memory stays small, the terminal whole, and nothing is pinned anew."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paramiko
import pytest

from gps_denied_operator.cache.build import BuildFailedError, _squares
from gps_denied_operator.companion import ssh
from gps_denied_operator.companion.check import described_of
from gps_denied_operator.companion.config import CompanionSettings
from gps_denied_operator.companion.ssh import CompanionLink, CompanionNotReadyError, RemoteCommandError

from .ssh_server import new_ssh_key
from .strange_ssh import SAID_BYTES, EndlessFile, endless, said, strange_server

DESCRIBED = {
    "version": "1", "image": "a", "composition_sha256": "", "unix_time_s": 1.0, "store_free_bytes": 1,
    "cache_free_bytes": 1, "trusted_keys": ["a"], "revoked_keys": [], "source": "provider", "zoom": 18,
    "use_store": True, "matching": "classic", "problems": [], "companion_id": "c" * 32, "manifest_counter": 0,
}  # fmt: skip


def test_a_file_gives_what_was_promised_and_one_byte(tmp_path: Path) -> None:
    """Of a file that was said to have ten bytes and has no end, no more than what paramiko reads ahead is taken."""
    EndlessFile.taken = 0
    with (
        strange_server(tmp_path, said()) as settings, CompanionLink(settings) as link,
        pytest.raises(RemoteCommandError, match=f"was to have {SAID_BYTES} bytes, and more came"),
    ):  # fmt: skip
        link.read_small("/manifest.json")
    assert EndlessFile.taken < 100_000


@pytest.mark.parametrize("piece", [b"x" * 8192, b"line\n" * 2000, b"\n" * 8192])
def test_output_without_end_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    """A line, lines or nothing at all without end: the command is given up at its bound of bytes."""
    monkeypatch.setattr(ssh, "JSON_BYTES_MAX", 100_000)
    monkeypatch.setattr(ssh, "OUTPUT_BYTES_MAX", 200_000)
    with (
        strange_server(tmp_path, endless(piece)) as settings, CompanionLink(settings) as link,
        pytest.raises(CompanionNotReadyError, match="sends more than"),
    ):  # fmt: skip
        link.run("describe")


def test_both_outputs_have_one_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes over either output counts towards the same bytes."""
    monkeypatch.setattr(ssh, "OUTPUT_BYTES_MAX", 200_000)

    def speak(channel: paramiko.Channel) -> None:
        channel.sendall(b"line\n" * 30_000)
        channel.sendall_stderr(b"line\n" * 30_000)
        channel.send_exit_status(0)

    with (
        strange_server(tmp_path, speak) as settings, CompanionLink(settings) as link,
        pytest.raises(CompanionNotReadyError, match="200000 in all"),
    ):  # fmt: skip
        link.run("describe")


def test_a_command_without_end_is_left(tmp_path: Path) -> None:
    """A command that says something again and again is given up after its time."""
    with strange_server(tmp_path, endless(b"working\n")) as there:
        settings = dataclasses.replace(there, command_timeout_s=0.2)
        with CompanionLink(settings) as link, pytest.raises(CompanionNotReadyError, match="has not ended after"):
            link.run("provision")


def test_what_is_told_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    """Escape sequences, carriage returns and turned text arrive as numbers, in lines and in errors."""
    line = "\x1b[2J\x1b]0;owned\x07\x9b31m\rok \u202edone\u200b\n".encode()
    told: list[str] = []
    with (
        strange_server(tmp_path, said(line, line, status=3)) as settings,
        CompanionLink(settings, told.append) as link, pytest.raises(RemoteCommandError) as refused,
    ):  # fmt: skip
        link.run("describe")
    assert len(told) == 2
    assert all(text.isprintable() for text in (*told, *str(refused.value).splitlines()))
    assert "\\x1b[2J" in told[0]


@pytest.mark.parametrize(
    "report",
    [b"[" * 100_000, b'{"a":' * 5000, b'{"outcome": NaN}', b'{"outcome": 1e999}', b'{"a": 1, "a": 2}',
     b'{"a": "\\ud800"}'],
)  # fmt: skip
def test_a_report_is_read_strictly(tmp_path: Path, report: bytes) -> None:
    """What is nested without end, no number, or has two readings is no report."""
    with (
        strange_server(tmp_path, said(report + b"\n")) as settings, CompanionLink(settings) as link,
        pytest.raises(RemoteCommandError, match="did not end with a report"),
    ):  # fmt: skip
        link.run("describe")


@pytest.mark.parametrize("name", DESCRIBED)
@pytest.mark.parametrize("value", [None, [1], {"a": 1}, "9" * 30, True, -1.5])
def test_a_description_of_other_types_is_a_sentence(name: str, value: Any) -> None:
    """Each part of a description has its type, or the companion is not ready; what is text can be shown."""
    if isinstance(value, bool) and DESCRIBED[name] is True:
        return
    try:
        found = described_of(DESCRIBED | {name: value})
    except CompanionNotReadyError:
        return
    assert type(found[name]) in (type(DESCRIBED[name]), float)
    assert described_of(DESCRIBED | {"version": "\x1b[2J"})["version"] == "\\x1b[2J"


@pytest.mark.parametrize(
    "squares",
    [None, {}, [1], [[1, 2, 3]], [[True, 2, 3, "a"]], [[1, 2, 3, 4]], [["1", 2, 3, "a"]], [[1, 2, 3, "a", 5]]],
)
def test_a_list_of_tiles_of_other_types_is_a_sentence(squares: Any) -> None:
    """The state of a companion's store is typed as well."""
    with pytest.raises(BuildFailedError):
        _squares({"squares": squares})


@pytest.mark.parametrize(
    "bend",
    [
        lambda line: line[:-9] + "\n", lambda line: line.replace("ssh-", "ssh_"),
        lambda line: line.split(" ")[0] + "\n",
        lambda line: line.rsplit(" ", 1)[0] + " AAAA\n", lambda _: "\x00\x01garbage of three words\n",
        lambda line: line.replace("AAAA", "A\u00c4AA"), lambda line: line + line.replace(line.split()[2], OTHER),
    ],
)  # fmt: skip
def test_a_damaged_pin_is_refused_and_not_made_anew(tmp_path: Path, bend: Callable[[str], str]) -> None:
    """A line of pinned keys that cannot be read ends in a sentence before anything is sent; the file stays as it is."""
    with strange_server(tmp_path, said(b"{}\n")) as settings:
        with CompanionLink(settings) as first:
            assert first.pinned_now
        pins = Path(settings.known_hosts)
        pins.write_text(bend(pins.read_text()))
        before = pins.read_bytes()
        with pytest.raises(CompanionNotReadyError, match=r"damaged|two keys|another machine"):
            CompanionLink(settings).__enter__()
        assert pins.read_bytes() == before


OTHER = "AAAAB3NzaC1yc2EAAAADAQABAAAAgQC3"


def test_pins_that_are_a_link_to_nothing_are_refused(tmp_path: Path) -> None:
    """An absent file begins a list, a dangling link does not."""
    (tmp_path / "pins").symlink_to("nowhere")
    with strange_server(tmp_path, said()) as settings, pytest.raises(CompanionNotReadyError, match="link to nothing"):
        CompanionLink(settings).__enter__()


def test_a_pinned_key_that_the_companion_file_does_not_expect_is_refused(tmp_path: Path) -> None:
    """The fingerprint of the companion file holds after the first time as well."""
    with strange_server(tmp_path, said()) as settings:
        with CompanionLink(settings):
            pass
        other = dataclasses.replace(settings, host_key_sha256="SHA256:another")
        with pytest.raises(CompanionNotReadyError, match="expects SHA256:another"):
            CompanionLink(other).__enter__()


@contextmanager
def speaking(data: bytes) -> Iterator[int]:
    """A port that says these bytes to everyone."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.sendall(data)
                    connection.recv(65_536)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(
    "data",
    [b"SSH-2.0-x\r\n" + b"\xff" * 100_000, b"\x1b[2J\r\n" * 10_000,
     b"SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14" + bytes(10),
     b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 1_000_000, b"SSH-1.5-\x1b[2J\r\n"],
)  # fmt: skip
def test_what_speaks_no_ssh_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    """Banners without end, wrong packets and other protocols are one printable sentence."""
    with speaking(data) as port:
        settings = CompanionSettings(
            "127.0.0.1", "a", str(new_ssh_key(tmp_path / "id")), port, str(tmp_path / "pins"), connect_timeout_s=2.0
        )
        with pytest.raises(CompanionNotReadyError) as refused:
            CompanionLink(settings).__enter__()
    assert str(refused.value).isprintable()


def test_the_description_is_json() -> None:
    """What the tests describe is what a companion can say."""
    assert described_of(json.loads(json.dumps(DESCRIBED)))["zoom"] == 18
