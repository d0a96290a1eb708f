"""A stranger's tile folder with a database in it: nothing in it is run, and stores that we made still open."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import database_home
from gps_denied_onboard.tiles.server import LocalServer, ServerUser, installed_servers
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.cache.build import LockHeldError, _locked
from gps_denied_operator.cli import app as operator_tool
from gps_denied_operator.tiles.journal import Journal


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """Return a PostgreSQL data folder as a stranger makes it with initdb."""
    user = ServerUser.current()
    with tempfile.TemporaryDirectory(prefix="gps-denied-stranger-") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        user.own_folder(data)
        command: list[str | Path] = [installed_servers()[0] / "initdb", "-D", data, "-U", "postgres", "-A", "trust"]
        assert user.run(command, data, timeout_s=120).returncode == 0
        yield data


def command_in_recovery(data: Path, proof: Path) -> None:
    """A restore_command, as PostgreSQL runs it at a start for recovery."""
    (data / "recovery.signal").touch()
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write(f"restore_command = 'touch {proof}; false'\n")


def command_in_standby(data: Path, proof: Path) -> None:
    """The same for a standby, in the main configuration."""
    (data / "standby.signal").touch()
    with (data / "postgresql.conf").open("a") as file:
        file.write(f"restore_command = 'touch {proof}; false'\narchive_cleanup_command = 'touch {proof}'\n")


def command_for_a_pass_phrase(data: Path, proof: Path) -> None:
    """A program that is asked for the pass phrase of a TLS key."""
    with (data / "postgresql.conf").open("a") as file:
        file.write(f"ssl = on\nssl_passphrase_command = 'touch {proof}; echo x'\n")


def library_at_the_start(data: Path, proof: Path) -> None:
    """A library that is loaded at the start: here only a name, and the server would say that it lacks it."""
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write(f"shared_preload_libraries = '{proof}.so'\n")


ATTACKS = (command_in_recovery, command_in_standby, command_for_a_pass_phrase, library_at_the_start)


def planted(cluster: Path, store: Path, attack: Callable[[Path, Path], None], proof: Path) -> None:
    """Make the stranger's folder: his database with the attack in it, as the server's account owns it."""
    store.mkdir(exist_ok=True)
    (store / ".store-id").write_text("0d3f5f0e-7a52-4c0e-8a3c-0f4f3c1b2a10\n")
    shutil.copytree(cluster, store / ".postgres")
    attack(store / ".postgres", proof)
    user = ServerUser.current()
    for folder, _, names in os.walk(store / ".postgres"):
        os.chmod(folder, 0o700)
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            os.chown(path, user.uid, user.gid)


@pytest.mark.parametrize("attack", [ATTACKS[0], *(pytest.param(a, marks=pytest.mark.slow) for a in ATTACKS[1:])])
def test_a_strangers_database_is_not_started(
    open_folder: Path, cluster: Path, attack: Callable[[Path, Path], None]
) -> None:
    """`tiles stats --root` on a stranger's store refuses it in a sentence that says what to do; nothing of it ran."""
    open_folder.chmod(0o777)
    store, proof = open_folder / "tiles", open_folder / "ran"
    planted(cluster, store, attack, proof)
    with pytest.raises(UserError, match=r"brings a database of its own .* adopt") as refused:
        operator_tool(["tiles", "stats", "--root", str(store)], standalone_mode=False)
    assert "\n" not in str(refused.value)
    assert not proof.exists()
    assert not (store / ".postgres" / "server.log").exists()


def test_a_link_to_somebody_elses_database_is_refused(open_folder: Path, cluster: Path) -> None:
    """A `.postgres` that is a link counts as a database of the folder's own."""
    store = open_folder / "tiles"
    store.mkdir()
    (store / ".postgres").symlink_to(cluster)
    with pytest.raises(UserError, match="brings a database of its own"):
        TileStore.open(store)


@pytest.mark.slow
def test_the_id_of_our_store_does_not_give_its_database(open_folder: Path) -> None:
    """A folder that claims our store's id gets neither our rows nor the right to have them removed."""
    with TileStore.open(open_folder / "ours"):
        pass
    shutil.copytree(open_folder / "ours", open_folder / "theirs")
    with pytest.raises(UserError, match=r"belongs to the folder .*ours"):
        TileStore.open(open_folder / "theirs")
    with pytest.raises(UserError, match=r"ours still is the store of this database"):
        operator_tool(["tiles", "adopt", "--root", str(open_folder / "theirs")], standalone_mode=False)


@pytest.mark.slow
def test_a_moved_store_is_known_again(open_folder: Path) -> None:
    """The same folder under another name is the same store."""
    with TileStore.open(open_folder / "here"):
        pass
    (open_folder / "here").rename(open_folder / "there")
    with TileStore.open(open_folder / "there") as store:
        assert store.totals() == (0, 0)


def made_before(store: Path) -> None:
    """Put a store's database where versions before kept it."""
    with TileStore.open(store) as opened:
        home = LocalServer(opened.root).data_folder
    shutil.move(home, store / database_home.OLD_DATA_FOLDER)
    shutil.rmtree(home.parent)


@pytest.mark.slow
def test_an_older_store_opens_after_its_owner_vouches_for_it(open_folder: Path) -> None:
    """A store of an earlier version is refused with the command that takes it over, and opens after that."""
    store = open_folder / "tiles"
    made_before(store)
    with pytest.raises(UserError, match=f"operator-tool tiles adopt --root {store}"):
        TileStore.open(store)
    operator_tool(["tiles", "adopt", "--root", str(store)], standalone_mode=False)
    assert not (store / database_home.OLD_DATA_FOLDER).exists()
    with TileStore.open(store) as opened:
        assert opened.totals() == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("planted_by", ["signal", "link", "writable"])
def test_what_no_program_of_ours_makes_is_not_adopted(open_folder: Path, planted_by: str) -> None:
    """Even the owner's word does not start a database that holds a signal file, a link, or anyone's to write."""
    store = open_folder / "tiles"
    made_before(store)
    data = store / database_home.OLD_DATA_FOLDER
    if planted_by == "signal":
        (data / "recovery.signal").touch()
    elif planted_by == "link":
        (data / "pg_tblspc" / "16500").symlink_to("/etc")
    else:
        (data / "PG_VERSION").chmod(0o666)
    with pytest.raises(UserError, match=r"remove it|Import the pictures"):
        operator_tool(["tiles", "adopt", "--root", str(store)], standalone_mode=False)
    assert data.is_dir()


@pytest.mark.slow
def test_settings_in_our_own_data_run_nothing(open_folder: Path) -> None:
    """What somebody writes into the files of our database is not read: the command line wins, and a signal stops it."""
    open_folder.chmod(0o777)
    with TileStore.open(open_folder / "tiles") as store:
        data = LocalServer(store.root).data_folder
    proof = open_folder / "ran"
    for attack in (command_for_a_pass_phrase, library_at_the_start):
        attack(data, proof)
    with TileStore.open(open_folder / "tiles"):
        pass
    command_in_recovery(data, proof)
    with pytest.raises(UserError, match=r"recovery\.signal tells PostgreSQL to run commands"):
        TileStore.open(open_folder / "tiles")
    assert not proof.exists()


def test_files_of_the_store_are_not_written_over_links(open_folder: Path, database_url: str) -> None:
    """Links that lie in wait in a tile folder are never written through."""
    victim = open_folder / "victim"
    victim.write_text("precious")
    root = open_folder / "tiles"
    root.mkdir()
    for name in (".write.holder", ".settled.json", ".settled.json.unfinished", ".build-cache.holder"):
        (root / name).symlink_to(victim)
    with TileStore.open(root, database_url) as store, store.writing("something"):
        pass
    with _locked(root):
        (root / ".build-cache.holder").unlink()
        (root / ".build-cache.holder").symlink_to(victim)
        with pytest.raises(LockHeldError, match="another process"), _locked(root):
            pass
    (root / ".write.lock").unlink()
    (root / ".write.lock").symlink_to(victim)
    with contextlib.suppress(UserError):
        TileStore.open(root, database_url).close()
    assert victim.read_text() == "precious"


def test_a_download_takes_up_no_journal_over_a_link(tmp_path: Path) -> None:
    """A link in the place of a download's journal is replaced: what it leads to is neither taken up nor changed."""
    request = {"area": "here"}
    begun = Journal(tmp_path, request, 0.0)
    begun.settle("stored", [(1, 2)])
    begun.close(finished=False)
    (place,) = tmp_path.iterdir()
    victim = place.rename(tmp_path / "victim")
    before = victim.read_bytes()
    place.symlink_to(victim)
    anew = Journal(tmp_path, request, 0.0)
    anew.settle("stored", [(3, 4)])
    anew.close(finished=False)
    assert (anew.resumed, place.is_symlink(), victim.read_bytes()) == (False, False, before)


def test_an_id_that_is_no_file(open_folder: Path) -> None:
    """A folder or a pipe in the place of the store's id is a sentence, or makes way for an id."""
    for name in ("folder", "pipe"):
        (open_folder / name).mkdir()
    (open_folder / "folder" / ".store-id").mkdir()
    os.mkfifo(open_folder / "pipe" / ".store-id")
    with pytest.raises(UserError, match="is in the way"):
        LocalServer(open_folder / "folder")
    LocalServer(open_folder / "pipe")
    assert (open_folder / "pipe" / ".store-id").is_file()


@pytest.mark.slow
def test_no_shell_reads_the_stores_name(open_folder: Path) -> None:
    """A store's folder may be named like a command."""
    root = open_folder / "it's; touch ran; '$(touch ran)"
    with TileStore.open(root) as store:
        assert store.totals() == (0, 0)
    assert subprocess.run(["find", open_folder, "-name", "ran"], capture_output=True, check=True).stdout == b""
