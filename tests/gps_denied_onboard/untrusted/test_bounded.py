"""Bounded reads take what was promised, and one byte more ends them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import open_file, read_file, read_promised, read_stream


class Endless:
    """Gives bytes without end, and counts what was taken."""

    taken = 0

    def read(self, size: int, /) -> bytes:
        self.taken += size
        return b"x" * size


class Dribbling(io.BytesIO):
    """Gives one byte at each read, as a pipe may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1 if size else 0)


def test_an_endless_stream_ends_one_byte_after_the_most() -> None:
    """Of a stream without end no more than one byte above the bound is taken."""
    for read in (
        lambda stream: read_stream(stream, 1000, "the answer"),
        lambda stream: read_promised(stream, 10, 1000, "the answer"),
    ):
        stream = Endless()
        with pytest.raises(UntrustedError, match="the answer"):
            read(stream)
        assert stream.taken <= 1001


def test_a_promise_is_kept_exactly_or_refused() -> None:
    """Fewer bytes, more bytes and promises above the bound or below none are refused."""
    assert read_promised(Dribbling(b"abc"), 3, 10, "x") == b"abc"
    assert read_promised(io.BytesIO(), 0, 10, "x") == b""
    for promised in (2, 4, 11, -1):
        with pytest.raises(UntrustedError):
            read_promised(io.BytesIO(b"abc"), promised, 10, "x")


def test_plain_files_are_read_up_to_the_bound(tmp_path: Path) -> None:
    """A file of exactly the bound is read, one of a byte more refused before a byte of it is."""
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    assert read_file(file, 3) == b"abc"
    with pytest.raises(UntrustedError, match="3 bytes"):
        read_file(file, 2)
    with open_file(file, 3) as stream:
        file.unlink()
        assert stream.read() == b"abc"


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")],
    ids=["pipe", "folder", "device"],
)
def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe without a writer, a folder and a device without end give a sentence at once."""
    make(tmp_path / "a")
    with pytest.raises(UntrustedError, match="plain file"):
        read_file(tmp_path / "a", 100)


def test_links_are_not_followed_where_the_caller_says_so(tmp_path: Path) -> None:
    """A link, dangling or not, is refused with `follow` false; what is not there stays an OSError."""
    (tmp_path / "real").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nothing")
    assert read_file(tmp_path / "link", 3) == b"abc"
    for name in ("link", "dangling"):
        with pytest.raises(UntrustedError, match="link"):
            read_file(tmp_path / name, 3, follow=False)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "nothing", 3)
