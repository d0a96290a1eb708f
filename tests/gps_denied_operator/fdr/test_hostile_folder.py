"""A recording's folder that leads elsewhere: nothing but the recording is copied out of it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gps_denied_onboard.recorder import container
from gps_denied_operator.cli import app
from gps_denied_operator.fdr.recover import _is_plain, _no_links


def test_links_pipes_and_devices_are_not_copied(tmp_path: Path) -> None:
    """What a stranger put among the snapshots as links to this machine's own files stays out of the copy."""
    folder = tmp_path / "snapshots"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"a")
    (folder / "secret.jpg").symlink_to(tmp_path / "secret")
    (folder / "home").symlink_to(tmp_path)
    (tmp_path / "secret").write_text("secret")
    os.mkfifo(folder / "pipe.jpg")
    names = [entry.name for entry in folder.iterdir()]
    assert sorted(_no_links(str(folder), names)) == ["home", "pipe.jpg", "secret.jpg"]


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
def test_a_linked_description_is_no_part_of_a_recording(tmp_path: Path, target: str) -> None:
    """The description beside the segments is copied where it is a file of the folder itself."""
    (tmp_path / "recording.json").symlink_to(target)
    assert not _is_plain(tmp_path / "recording.json")
    (tmp_path / "recording.json").unlink()
    (tmp_path / "recording.json").write_text("{}")
    assert _is_plain(tmp_path / "recording.json")
