"""The workstation's keys: made, rotated, revoked; and what a manifest is worth after each."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.cache_manifest import CacheBody, SealedManifest, body_bytes, sign
from gps_denied_onboard.provisioning.trusted_keys import read_trusted_keys
from gps_denied_onboard.provisioning.verify import Expected, faults
from gps_denied_onboard.tiles.coverage import TileBlock
from gps_denied_operator.cli import app
from gps_denied_operator.keys.keyring import list_keys, new_key, revoke_key, signing_key

BODY = CacheBody(
    "m",
    "f",
    49.0,
    37.0,
    (36.0, 48.0, 38.0, 50.0),
    "",
    "provider",
    18,
    False,
    (TileBlock(1, 2, 3, "ab" * 32),),
    (),
    "12" * 16,
    1,
)


def told(folder: Path, private_key: bytes) -> list[str]:
    """Faults of a manifest that this key signed, by the folder's keys."""
    import hashlib

    sealed = SealedManifest(BODY, hashlib.sha256(body_bytes(BODY)).hexdigest(), sign(BODY, private_key))
    return list(faults(sealed, read_trusted_keys(folder), {}, None, Expected()))


def test_a_new_key_signs_and_the_old_one_stays_trusted_until_revoked(tmp_path: Path) -> None:
    """Rotation: both are believed, the newer one signs; revoked, the old one's manifests are refused by name."""
    old = new_key(tmp_path / "keys")
    old_private, _ = signing_key(tmp_path / "keys")
    new = new_key(tmp_path / "keys")
    new_private, trusted = signing_key(tmp_path / "keys")
    assert old_private != new_private
    assert set(trusted.good) == {old, new}
    assert told(tmp_path / "keys", old_private) == told(tmp_path / "keys", new_private) == []
    revoke_key(tmp_path / "keys", old)
    assert "revoked" in "".join(told(tmp_path / "keys", old_private))
    assert told(tmp_path / "keys", new_private) == []
    states = {entry.fingerprint: (entry.state, entry.signs) for entry in list_keys(tmp_path / "keys")}
    assert states == {old: ("revoked", False), new: ("active", True)}


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    """The private half has no rights for others; one that got some is not used."""
    name = new_key(tmp_path / "keys")
    path = tmp_path / "keys" / f"{name}.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(UserError, match="can be read by others"):
        signing_key(tmp_path / "keys")


def test_without_an_active_key_nothing_is_signed(tmp_path: Path) -> None:
    """An empty folder and a revoked active key both say how to get one."""
    with pytest.raises(UserError, match="keys new"):
        signing_key(tmp_path / "keys")
    revoke_key(tmp_path / "keys", new_key(tmp_path / "keys"))
    with pytest.raises(UserError, match="keys new"):
        signing_key(tmp_path / "keys")


@pytest.mark.parametrize("content", ["", "zz" * 32, "ab" * 32, "AB" * 32])
def test_a_public_key_of_another_name_is_refused(tmp_path: Path, content: str) -> None:
    """A .pub file whose content is not the key of its name makes the folder worthless, and says which file."""
    name = new_key(tmp_path / "keys")
    (tmp_path / "keys" / f"{name}.pub").write_text(content)
    with pytest.raises(UserError, match=f"{name}.pub"):
        read_trusted_keys(tmp_path / "keys")


@pytest.mark.parametrize("kind", ["dangling", "folder", "pipe", "device", "text", "large"])
def test_a_list_of_revoked_keys_that_cannot_be_read_fails_closed(tmp_path: Path, kind: str) -> None:
    """A link to nothing is no absent list: nothing is believed until the list can be read; nothing is waited for."""
    folder = tmp_path / "keys"
    new_key(folder)
    listed = folder / "revoked"
    if kind in ("dangling", "device"):
        listed.symlink_to("nowhere" if kind == "dangling" else "/dev/zero")
    elif kind == "folder":
        listed.mkdir()
    elif kind == "pipe":
        os.mkfifo(listed)
    else:
        listed.write_text("\x1b[2J" if kind == "text" else "a" * 2_000_000)
    with pytest.raises(UserError) as refused:
        read_trusted_keys(folder)
    assert str(refused.value).isprintable()
    with pytest.raises(UserError):
        signing_key(folder)


def test_a_key_that_is_a_pipe_or_endless_is_not_waited_for(tmp_path: Path) -> None:
    """Keys are small plain files."""
    folder = tmp_path / "keys"
    name = new_key(folder)
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("nowhere")):
        (folder / f"{name}.pub").unlink()
        make(folder / f"{name}.pub")
        with pytest.raises(UserError):
            read_trusted_keys(folder)


def test_the_commands_make_list_and_revoke(tmp_path: Path) -> None:
    """`keys new`, `keys list`, `keys revoke` work on the folder given; an unknown fingerprint is the user's mistake."""
    runner, where = CliRunner(), ["--keys", str(tmp_path / "keys")]
    assert runner.invoke(app, ["keys", "new", *where]).exit_code == 0
    (entry,) = list_keys(tmp_path / "keys")
    assert f"{entry.fingerprint}  active" in runner.invoke(app, ["keys", "list", *where]).output
    assert runner.invoke(app, ["keys", "revoke", entry.fingerprint, *where]).exit_code == 0
    assert f"{entry.fingerprint}  revoked" in runner.invoke(app, ["keys", "list", *where]).output
    assert isinstance(runner.invoke(app, ["keys", "revoke", "0" * 32, *where]).exception, UserError)
