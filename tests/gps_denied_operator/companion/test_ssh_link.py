"""The connection to the companion, against a real sshd on loopback."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_operator.companion.config import CompanionSettings
from gps_denied_operator.companion.ssh import (
    CompanionLink,
    CompanionNotReadyError,
    RemoteCommandError,
    RemoteOutputError,
)

from ...gps_denied_onboard.live.peer import free_port
from .ssh_server import new_ssh_key, sshd


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompanionSettings]:
    """Return settings that reach a running server."""
    with sshd(tmp_path_factory.mktemp("sshd")) as settings:
        yield settings


def script(settings: CompanionSettings, folder: Path, text: str) -> CompanionSettings:
    """Settings whose program on the companion is a shell script."""
    path = folder / "program.sh"
    path.write_text(text)
    return dataclasses.replace(settings, command=f"sh {path}")


def test_the_host_key_is_pinned_on_first_use(server: CompanionSettings, tmp_path: Path) -> None:
    """The first connection pins, the second finds it pinned; another key under the address is refused with both."""
    settings = dataclasses.replace(server, known_hosts=str(tmp_path / "pins"))
    with CompanionLink(settings) as first:
        assert first.pinned_now
    with CompanionLink(settings) as second:
        assert not second.pinned_now
        assert second.fingerprint == first.fingerprint
    other = new_ssh_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2]
    (tmp_path / "pins").write_text(f"[127.0.0.1]:{server.port} {' '.join(other)}\n")
    with pytest.raises(CompanionNotReadyError, match=r"another machine than before: .*SHA256:.*SHA256:"):
        CompanionLink(settings).__enter__()


def test_an_expected_host_key_is_asked_for_on_first_use(server: CompanionSettings, tmp_path: Path) -> None:
    """With a fingerprint in the companion file a first connection to another machine is refused and not pinned."""
    settings = dataclasses.replace(server, known_hosts=str(tmp_path / "pins"), host_key_sha256="SHA256:nobody")
    with pytest.raises(CompanionNotReadyError, match="expects SHA256:nobody"):
        CompanionLink(settings).__enter__()
    assert not (tmp_path / "pins").exists()


def test_an_expected_host_key_decides_whatever_is_pinned(server: CompanionSettings, tmp_path: Path) -> None:
    """Two aircraft with one address are two: the file's fingerprint counts against a pin of either of them."""
    pins = dataclasses.replace(server, known_hosts=str(tmp_path / "pins"))
    with CompanionLink(pins) as first:
        mine = first.fingerprint
    with pytest.raises(CompanionNotReadyError, match="expects SHA256:nobody"):  # pinned, and yet not the one named
        CompanionLink(dataclasses.replace(pins, host_key_sha256="SHA256:nobody")).__enter__()
    other = new_ssh_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2]
    (tmp_path / "pins").write_text(f"[127.0.0.1]:{server.port} {' '.join(other)}\n")
    for told in (mine, f"{mine}="):  # with the filling of base64 it is the same; another one is pinned there
        with CompanionLink(dataclasses.replace(pins, host_key_sha256=told)) as named:
            assert named.fingerprint == mine
    with pytest.raises(UserError, match="ssh-keygen"):
        dataclasses.replace(pins, host_key_sha256="12:ab:cd")


def test_a_foreign_key_and_a_closed_port_are_refused_in_words(server: CompanionSettings, tmp_path: Path) -> None:
    """A key that the companion does not know, a missing key and nobody listening are each one sentence."""
    foreign = dataclasses.replace(server, identity=str(new_ssh_key(tmp_path / "foreign")))
    with pytest.raises(CompanionNotReadyError, match="authorized_keys"):
        CompanionLink(foreign).__enter__()
    with pytest.raises(CompanionNotReadyError, match="cannot be used"):
        CompanionLink(dataclasses.replace(server, identity=str(tmp_path / "missing"))).__enter__()
    with pytest.raises(CompanionNotReadyError, match="cannot be reached"):
        CompanionLink(dataclasses.replace(server, port=free_port(socket.SOCK_STREAM))).__enter__()


def test_output_is_told_as_it_comes_and_the_last_line_is_the_report(server: CompanionSettings, tmp_path: Path) -> None:
    """Lines of both outputs are told, redacted and cut; the last line of stdout comes back as JSON."""
    text = (
        'echo step 1 >&2\necho "api_key=planted-api-key-1 x"\necho "from postgres://u:planted-password@h/db" >&2\n'
        "head -c 5000 /dev/zero | tr '\\0' a; echo\n"
        'printf \'{"outcome": "success", "got": "%s"}\\n\' "$1 $2"\n'
    )
    told: list[str] = []
    with CompanionLink(script(server, tmp_path, text), told.append) as link:
        assert link.run("one", "two ; exit 3") == {"outcome": "success", "got": "one two ; exit 3"}
    assert sorted(len(line) for line in told)[-1] == 2000
    assert {"step 1", "api_key=*** x", "from postgres://u:***@h/db"} <= set(told)


def test_output_after_the_exit_status_is_read(server: CompanionSettings, tmp_path: Path) -> None:
    """A server may tell that a program ended before it sends the rest of what it said: nothing of that is lost."""
    late = script(server, tmp_path, "(sleep 0.3; echo '{\"late\": true}') & exit 0")
    with CompanionLink(late) as link:
        assert link.run("anything") == {"late": True}


def test_output_that_is_held_open_does_not_hold_us(
    server: CompanionSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a program left running keeps its output open: its report counts all the same, once it has ended."""
    monkeypatch.setattr("gps_denied_operator.companion.ssh.HELD_OPEN_S", 0.2)
    left = script(server, tmp_path, "echo '{\"done\": true}'; sleep 30 & echo $! >&2")
    told: list[str] = []
    with CompanionLink(left, told.append) as link:
        assert link.run("anything") == {"done": True}
    os.kill(int(told[-1]), signal.SIGKILL)


@pytest.mark.parametrize(
    ("text", "error", "why"),
    [
        ("echo trouble >&2; exit 7", RemoteCommandError, r"exit code 7; its last lines:\n  \| trouble"),
        ("echo not json", RemoteOutputError, r"did not end with a report.*\n  \| not json"),
        ("echo '[1]'", RemoteOutputError, "did not end with a report"),
        ("true", RemoteOutputError, "did not end with a report"),
        ("echo '{}'; kill -9 $$", RemoteCommandError, "was cut off"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_an_error_with_the_tail(
    server: CompanionSettings, tmp_path: Path, text: str, error: type[RemoteCommandError], why: str
) -> None:
    """A failed command, a last line that is no JSON object, silence and a killed program are told apart."""
    with CompanionLink(script(server, tmp_path, text)) as link, pytest.raises(error, match=why):
        link.run("anything")


def test_a_silent_companion_is_given_up(server: CompanionSettings, tmp_path: Path) -> None:
    """A program that says nothing for longer than allowed ends in an error, not in waiting for ever."""
    quiet = dataclasses.replace(script(server, tmp_path, "exec sleep 30"), silence_timeout_s=0.2)
    with CompanionLink(quiet) as link, pytest.raises(CompanionNotReadyError, match="nothing was heard"):
        link.run("anything")


def test_a_file_that_was_sent_in_part_is_not_sent_again(server: CompanionSettings, tmp_path: Path) -> None:
    """Only what is missing crosses; a whole file is not sent at all; the bytes are right."""
    data = bytes(range(256)) * 1000
    folder = tmp_path / "deep" / "staging"
    with CompanionLink(server) as link:
        link.make_folder(str(folder))
        (folder / "a.parcel.part").write_bytes(data[:100_000])
        assert link.put_resumable(str(folder), "a.parcel", data) == len(data) - 100_000
        assert link.put_resumable(str(folder), "a.parcel", data) == 0
        link.put_whole(str(folder / "note"), b"one")
        link.put_whole(str(folder / "note"), b"two")
        link.remove_others(str(folder), {"a.parcel", "note"})
        assert link.read_small(str(folder / "note")) == b"two"
        with pytest.raises(RemoteCommandError, match="missing"):
            link.read_small(str(folder / "nothing"))
    assert (folder / "a.parcel").read_bytes() == data
    assert sorted(file.name for file in folder.iterdir()) == ["a.parcel", "note"]


def test_a_disk_that_cannot_be_written_is_said(server: CompanionSettings) -> None:
    """A refused write is one sentence that names what to look at."""
    with CompanionLink(server) as link, pytest.raises(RemoteCommandError, match="check free disk and the user's"):
        link.put_whole("/proc/nothing/here", b"x")
