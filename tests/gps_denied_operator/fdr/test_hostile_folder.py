"""A recording's folder that leads elsewhere: nothing but the recording is copied out of it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import NavState
from gps_denied_onboard.recorder import container
from gps_denied_operator.cli import app
from gps_denied_operator.fdr.recover import recover_flight

from ..report.recordings import forged_flight


@pytest.fixture
def recording(tmp_path: Path, make_state: Callable[..., NavState], origin: LocalFrame) -> Path:
    """Return a recorded flight with one tile's picture beside it."""
    folder = forged_flight(tmp_path / "flights", make_state, origin)
    (folder / "snapshots").mkdir(exist_ok=True)
    (folder / "snapshots" / "18-1-1.jpg").write_bytes(b"a")
    return folder


def test_links_pipes_and_devices_are_not_copied(recording: Path, tmp_path: Path) -> None:
    """What a stranger put among the snapshots as links to this machine's own files stays out of the copy."""
    snapshots = recording / "snapshots"
    (tmp_path / "secret").write_text("secret")
    (snapshots / "secret.jpg").symlink_to(tmp_path / "secret")
    (snapshots / "home").symlink_to(tmp_path)
    os.mkfifo(snapshots / "pipe.jpg")
    recover_flight(recording, tmp_path / "out")
    copied = tmp_path / "out" / "snapshots"
    assert [(file.name, file.read_bytes()) for file in copied.iterdir()] == [("18-1-1.jpg", b"a")]
    assert (tmp_path / "out" / "recording.json").read_bytes() == (recording / "recording.json").read_bytes()


def test_a_linked_folder_of_snapshots_is_not_entered(recording: Path, tmp_path: Path) -> None:
    """Pictures that lie elsewhere are no part of the recording."""
    (recording / "snapshots").rename(tmp_path / "elsewhere")
    (recording / "snapshots").symlink_to(tmp_path / "elsewhere")
    recover_flight(recording, tmp_path / "out")
    assert not (tmp_path / "out" / "snapshots").exists()


@pytest.mark.parametrize("command", ["info", "verify", "tail"])
def test_what_a_recording_says_cannot_act_on_the_terminal(tmp_path: Path, command: str) -> None:
    """Names of kinds, values and lines of a stranger's recording are shown as numbers where they cannot be printed."""

    def record(opcode: int, content: bytes) -> bytes:
        return struct.pack("<BQ", opcode, len(content)) + content

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value.encode())) + value.encode()

    topic = "/\x1b[2J\u202e"
    body = '{"t_ns": 1, "producer": "a",\r "payload": {"a": "\x9b31m\u202e"}}'.encode()
    channel = struct.pack("<HH", 1, 0) + text(topic) + text("json") + struct.pack("<I", 0)
    message = struct.pack("<HIQQ", 1, 0, 1, 1) + body
    inner = record(container.CHANNEL, channel) + record(container.MESSAGE, message)
    chunk = struct.pack("<QQQII", 1, 1, len(inner), 0, 0) + struct.pack("<Q", len(inner)) + inner
    head = text("gps_denied_segment") + text("")
    (tmp_path / "segment-000000.mcap").write_bytes(
        container.MAGIC + record(container.HEADER, head) + record(container.CHUNK, chunk)
        + record(container.DATA_END, bytes(4))
    )  # fmt: skip
    done = CliRunner().invoke(app, ["fdr", command, str(tmp_path)])
    assert done.exit_code in (0, 1)
    assert done.output
    assert all(line.isprintable() for line in done.output.splitlines())


@pytest.mark.parametrize("target", ["/etc/hostname", "nowhere"])
def test_a_linked_description_is_no_part_of_a_recording(recording: Path, tmp_path: Path, target: str) -> None:
    """The description beside the segments is copied where it is a file of the folder itself."""
    (recording / "recording.json").unlink()
    (recording / "recording.json").symlink_to(target)
    recover_flight(recording, tmp_path / "out")
    assert not os.path.lexists(tmp_path / "out" / "recording.json")
    assert list((tmp_path / "out").glob("segment-*.mcap"))
