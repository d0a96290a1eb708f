"""A stranger's recording: no path of it is followed, nothing outside of it is read, and every command ends."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from mcap.writer import Writer
from typer.testing import CliRunner

from gps_denied_onboard.cli.main import app as onboard
from gps_denied_onboard.config import Config, config_from_tree, without_places
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.messages import NavState, SourceLabel
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import BuildInfo, open_flight
from gps_denied_onboard.recorder.meta import META_FILE, RecordingMeta, read_meta, tiles_inside
from gps_denied_onboard.recorder.snapshots import FOLDER
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_onboard.tiles.sources import DirectoryTileSource
from gps_denied_operator.cli import app as operator_tool

META = RecordingMeta(CameraModel(64, 48, 50.0, 50.0, 32.0, 24.0), 48.42, 37.1, 140.0, 2.0)
STATE = NavState(
    10_000_000_000, 48.42, 37.1, 500.0, (10.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0,) * 9,
    3.0, 3.0, 0.0, 2.0, 3.0, 0.3, SourceLabel.SATELLITE_ANCHORED, 0, 3,
)  # fmt: skip
HANGS_S = 60


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    """Fail what waits for a pipe or a device instead of waiting with it."""

    def late(*_: object) -> None:
        raise TimeoutError(f"nothing came of it in {HANGS_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(HANGS_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


Recorded = Callable[..., Path]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """Return a maker of a small flight with a header that a stranger wrote."""

    def make(config: dict[str, Any], meta: RecordingMeta = META, image: str = "") -> Path:
        root = RecorderConfig(directory=str(tmp_path / "flights"))
        flight = open_flight(root, meta, BuildInfo({}, image, "", config, {}))
        client = flight.client("flight")
        for k in range(20):
            client.record(replace(STATE, t_ns=STATE.t_ns + k * 500_000_000))
        flight.close(flight.flight_id, clean=True)
        return tmp_path / "flights" / flight.flight_id

    return make


def header(**tables: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = orjson.loads(orjson.dumps(asdict(Config())))
    for name, values in tables.items():
        tree[name] |= values
    return tree


@pytest.mark.parametrize("where", ["beside", "elsewhere"])
def test_a_header_that_names_a_tile_store(recorded: Recorded, tmp_path: Path, where: str) -> None:
    """`replay` and `report` start no server on a store that a header names, and make none there."""
    store = tmp_path / "elsewhere" / "tiles"
    names = {"directory": "tiles" if where == "beside" else str(store), "use_store": True, "zoom": 18}
    flight = recorded(header(map=names, tiles={"candidates": True}))
    (flight / "frames").mkdir()
    (flight / "tiles").mkdir()
    before = sorted(flight.rglob("*"))
    done = CliRunner().invoke(onboard, ["replay", str(flight), "--out", str(tmp_path / "out")])
    assert (done.exit_code, "no map is at hand" in done.output) == (0, True), done.output
    page = tmp_path / "page.html"
    told = CliRunner().invoke(operator_tool, ["report", str(flight), "--out", str(page), "--json"])
    assert told.exit_code == 0, told.output
    assert orjson.loads(told.stdout)["map"] is False
    assert not store.exists()
    assert sorted(flight.rglob("*")) == before


def test_no_place_of_a_header_is_kept() -> None:
    """Of a recorded configuration no file, folder, address or amount of memory is taken over."""
    evil = "/somewhere/evil"
    tree = header(
        mission={"manifest": evil, "trusted_keys": evil},
        map={"directory": evil, "use_store": True, "cache_mb": 10**9},
        frames={"source": f"video:{evil}"},
        autopilot={"address": "udpout:203.0.113.1:14550", "signing_key": evil, "signing_state": evil},
        gcs={"address": "udpout:203.0.113.1:14550", "signing_key": evil, "signing_state": evil},
        inference={"models_directory": evil, "manifest": evil, "gpu_memory_mb": 10**6},
        recorder={"directory": evil},
    )
    kept = orjson.dumps(asdict(without_places(config_from_tree(tree)))).decode()
    assert "evil" not in kept
    assert "203.0.113.1" not in kept
    assert str(10**9) not in kept


@pytest.mark.parametrize("value", [1e300, -1.0])
def test_a_header_with_numbers_that_cannot_be(recorded: Recorded, tmp_path: Path, value: float) -> None:
    """An estimator's settings that no flight had end the replay in a sentence."""
    fusion = {key: value for key, default in asdict(Config().fusion).items() if isinstance(default, float)}
    done = CliRunner().invoke(onboard, ["replay", str(recorded(header(fusion=fusion))), "--out", str(tmp_path / "o")])
    assert done.exception is None or isinstance(done.exception, UserError), done.exc_info


def test_a_header_that_is_nested_without_end() -> None:
    """A configuration of a thousand tables inside one another is a sentence."""
    tree: dict[str, Any] = {}
    for _ in range(900):
        tree = {"map": tree}
    with pytest.raises(UserError):
        config_from_tree(tree)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tiles_source", "../../outside"), ("tiles_source", "/outside"), ("tiles_source", "a/b"),
        ("tiles_source", "two\nlines"), ("tiles_source", "x" * 5000), ("tiles_source", "\x1b[2J"),
        ("tiles_directory", "../outside"), ("tiles_directory", "a/../../outside"), ("tiles_directory", ".."),
    ],
)  # fmt: skip
def test_names_of_tiles_that_lead_out(tmp_path: Path, key: str, value: str) -> None:
    """The folder of a recording's tiles is named by plain names."""
    tree = orjson.loads(orjson.dumps(replace(META, tiles_directory="tiles", tiles_source="provider")))
    (tmp_path / META_FILE).write_bytes(orjson.dumps(tree | {key: value}))
    with pytest.raises(UserError, match=key) as told:
        read_meta(tmp_path)
    assert str(told.value).isprintable()


@pytest.mark.parametrize("link", ["tiles", "tiles/provider"])
def test_tiles_over_a_link(tmp_path: Path, link: str) -> None:
    """A link on the way to a recording's tiles is not followed."""
    recording, outside = tmp_path / "recording", tmp_path / "outside"
    (outside / "provider").mkdir(parents=True)
    (recording / link).parent.mkdir(parents=True)
    (recording / link).symlink_to(outside if link == "tiles" else outside / "provider")
    with pytest.raises(UserError, match="link"):
        tiles_inside(recording, replace(META, tiles_directory="tiles", tiles_source="provider"))


def test_a_tile_folder_of_links_and_pipes(tmp_path: Path) -> None:
    """Of a folder of tiles only plain files with plain numbers are tiles; nothing is waited for."""
    folder, real = tmp_path / "18" / "7", tmp_path / "real.jpg"
    folder.mkdir(parents=True)
    real.write_bytes(b"\xff\xd8\xff")
    (folder / "1.jpg").symlink_to(real)
    os.mkfifo(folder / "2.jpg")
    (folder / "3.jpg").symlink_to("/dev/zero")
    (folder / "4.jpg").symlink_to(tmp_path / "nowhere")
    (folder / f"{'9' * 200}.jpg").write_bytes(b"")
    (folder / "²3.jpg").write_bytes(b"")
    (tmp_path / "18" / "²").mkdir()
    (tmp_path / "²").mkdir()
    (tmp_path / "18" / "8").symlink_to("/")
    with pytest.raises(UserError, match="holds no tiles"):
        DirectoryTileSource(tmp_path)
    (folder / "5.jpg").write_bytes(b"")
    os.mkfifo(folder / "5.mask.png")
    source = DirectoryTileSource(tmp_path)
    assert source.bounds_tiles() == (7, 5, 8, 6)
    assert source.read_tile(7, 5) is None


@pytest.mark.parametrize("file", ["recording.json", "frames", "segment-000000.mcap"])
@pytest.mark.parametrize("kind", ["link", "pipe", "device", "dangling"])
def test_files_of_a_recording_that_are_none(recorded: Recorded, tmp_path: Path, file: str, kind: str) -> None:
    """A link, a pipe or a device in the place of a file that a command reads is a sentence; nothing is waited for."""
    flight = recorded(header())
    (flight / "frames").mkdir()
    outside = tmp_path / "outside"
    (flight / file).rename(outside)
    if kind == "pipe":
        os.mkfifo(flight / file)
    else:
        (flight / file).symlink_to({"link": outside, "device": Path("/dev/zero")}.get(kind, tmp_path / "nowhere"))
    for command in (["fdr", "info"], ["fdr", "verify"], ["report", "--out", str(tmp_path / "page.html")]):
        reads = file == "segment-000000.mcap" or (file == "recording.json" and command[0] == "report")
        done = CliRunner().invoke(operator_tool, [*command, str(flight)])
        assert isinstance(done.exception, UserError) if reads else done.exit_code == 0, done.exc_info
    done = CliRunner().invoke(onboard, ["replay", str(flight), "--out", str(tmp_path / "out")])
    if (file, kind) == ("frames", "pipe"):  # no folder: as a flight without pictures
        assert done.exit_code == 0, done.exc_info
    else:
        assert isinstance(done.exception, UserError), done.exc_info


def test_recover_copies_nothing_from_outside(recorded: Recorded, tmp_path: Path) -> None:
    """Pictures of a flight that are links into this machine are left out of the copy."""
    flight = recorded(header())
    secret = tmp_path / "secret"
    secret.write_text("precious")
    (flight / FOLDER).mkdir(exist_ok=True)
    (flight / FOLDER / "18-1-1.jpg").symlink_to(secret)
    os.mkfifo(flight / FOLDER / "18-1-2.jpg")
    (flight / FOLDER / "18-1-3.jpg").write_bytes(b"picture")
    out = tmp_path / "copy"
    assert CliRunner().invoke(operator_tool, ["fdr", "recover", str(flight), "--out", str(out)]).exit_code == 0
    assert [file.name for file in (out / FOLDER).iterdir()] == ["18-1-3.jpg"]


@pytest.mark.parametrize("number", ["9" * 5000, "٣", "-1", "1e3", ""])
def test_a_segment_with_a_number_that_is_none(recorded: Recorded, number: str) -> None:
    """A segment's head may say anything: the flight is damaged, in a sentence."""
    flight = recorded(header())
    original = (flight / "segment-000000.mcap").read_bytes()
    with (flight / "segment-000001.mcap").open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        writer.add_metadata("gps_denied.segment", {"flight_id": flight.name, "segment": number})
        writer.finish()
    assert verify_flight(flight).state == "damaged"
    assert (flight / "segment-000000.mcap").read_bytes() == original


def test_words_of_a_recording_do_not_reach_the_terminal(recorded: Recorded) -> None:
    """Escape sequences and line breaks in a header are shown, not obeyed."""
    flight = recorded(header(), image="\x1b[2J\x1b]0;owned\x07\u202e")
    for command in (["fdr", "info"], ["fdr", "verify"], ["fdr", "tail"]):
        said = CliRunner().invoke(operator_tool, [*command, str(flight)])
        assert "\x1b" not in said.output
        assert "\u202e" not in said.output
    moved = flight.with_name("\x1b[31mred\nline")
    shutil.move(flight, moved)
    said = CliRunner().invoke(operator_tool, ["fdr", "ls", str(moved.parent)])
    assert "\x1b" not in said.output
