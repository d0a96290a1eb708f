"""Pictures and videos that a stranger made: their size is read before their pixels, and nothing else is followed."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.folder import FolderSource, read_image
from gps_denied_onboard.frames.photo_info import read_photo_info
from gps_denied_onboard.frames.video import VideoSource
from gps_denied_onboard.tiles import codec
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.picture import check_size, open_picture


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(9000))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", packed) + part(b"IEND", b"")


def photo(size: int = 64) -> bytes:
    """A small JPEG."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (size, size, 3), dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize("size", [(16384, 16384), (10_000, 10_000), (65_000, 65_000), (2**31 - 1, 1)])
def test_a_picture_of_more_pixels_than_its_bytes_tell_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    """Header, photograph, tile and mask: none of them is decoded."""
    data = png(*size)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UntrustedError, match="it claims"), open_picture(data):
        pass
    for read in (read_image, read_photo_info):
        with pytest.raises(OSError, match="it claims"):
            read(tmp_path / "a.png")
    with pytest.raises(ValueError, match="256x256"):
        codec.decode_tile(data, None)
    with pytest.raises(ValueError, match="256x256"):
        codec.decode_mask(data)


def test_photographs_of_large_cameras_are_taken() -> None:
    """150 megapixels in 60 megabytes are a photograph, and so is a drawn picture of 20 in one."""
    check_size((14204, 10652), 60_000_000)
    check_size((5000, 4000), 1_000_000)


def test_a_jpeg_of_scans_without_end_is_refused(tmp_path: Path) -> None:
    """Each scan costs as much as a picture: thousands of them are no photograph and no tile."""
    data = photo(256)
    bent = data[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 5000 + b"\xff\xd9"
    (tmp_path / "a.jpg").write_bytes(bent)
    with pytest.raises(OSError, match="scans"):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="scans"):
        codec.check_jpeg_tile(bent)


def test_formats_that_run_programs_are_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript under the name of a photograph starts no interpreter."""
    ran = tmp_path / "ran"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n%%EOF\n"
    (tmp_path / "a.jpg").write_bytes(text)
    for read in (read_image, read_photo_info):
        with pytest.raises(OSError, match="identify"):
            read(tmp_path / "a.jpg")
    assert not ran.exists()


def test_one_bad_picture_costs_itself_alone(tmp_path: Path) -> None:
    """A folder with a bomb, a pipe and a link to a device among its pictures is read without them."""
    (tmp_path / "a.jpg").write_bytes(photo())
    (tmp_path / "b.png").write_bytes(png(16384, 16384))
    (tmp_path / "b\x1b[2J.png").write_bytes(b"no picture")
    os.mkfifo(tmp_path / "c.jpg")
    (tmp_path / "d.jpg").symlink_to("/dev/zero")
    source = FolderSource(tmp_path)
    assert len(list(source)) == 1
    assert any("b.png" in problem for problem in source.problems)
    assert all(problem.isprintable() for problem in source.problems)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
        "ffconcat version 1.0\nfile /etc/passwd\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>',
        "[Reference]\nRef1=http://127.0.0.1:9/a\n",
        "RTSPtextrtsp://127.0.0.1:9/a",
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a_%03d.png"])
def test_a_list_of_other_files_is_no_video(tmp_path: Path, text: str, name: str) -> None:
    """Playlists and descriptions of streams are not handed to the decoder, whatever they are called."""
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="is not followed"):
        VideoSource(tmp_path / name)


def claiming(claim: int, tail: bytes = b"", part: bytes = b"IDAT") -> bytes:
    """A PNG of 256x256 pixels, a part of which claims so many bytes."""
    whole = codec.encode_mask(np.eye(256, dtype=bool))
    assert whole is not None
    at = whole.index(part)
    return whole[: at - 4] + struct.pack(">I", claim) + whole[at:] + tail


@pytest.mark.parametrize("part", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("claim", [0xFFFFFE30, 0x7FFFFFFF, 100_000])
def test_a_png_that_claims_more_than_it_holds_is_never_decoded(tmp_path: Path, claim: int, part: bytes) -> None:
    """OpenCV takes the memory that a part claims, 4 GB for a mask of some hundred bytes: found by a fuzzer."""
    data = claiming(claim, bytes(2_000), part)
    jpeg = codec.encode_jpeg(np.zeros((256, 256), dtype=np.uint8))
    (tmp_path / "a.png").write_bytes(data)
    for read in (lambda: codec.decode_mask(data), lambda: codec.decode_tile(jpeg, data),
                 lambda: codec.decode_tile(memoryview(data), None)):  # fmt: skip
        with pytest.raises(ValueError, match="claims more bytes than it has"):
            read()
    with pytest.raises(OSError, match="claims more bytes than it has"):
        read_image(tmp_path / "a.png")


def test_a_png_that_ends_before_its_pixels_is_never_decoded(tmp_path: Path) -> None:
    """OpenCV looks for pixels behind the end, and takes the 2 GB that a part there claims: found by a fuzzer."""
    whole = codec.encode_mask(np.eye(256, dtype=bool))
    assert whole is not None
    first = whole.index(b"IDAT") - 4
    data = whole[:first] + whole[-12:] + struct.pack(">I", 0x7FFFFFFF) + b"IDAT"
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ValueError, match="without pixels"):
        codec.decode_mask(data)
    with pytest.raises(OSError, match="without pixels"):
        read_image(tmp_path / "a.png")


def test_whole_pngs_are_decoded() -> None:
    """Several parts of data, text behind them, and bytes behind the end are no reason to refuse one."""
    whole = codec.encode_mask(np.eye(256, dtype=bool))
    assert whole is not None
    end = whole.rindex(b"IEND") - 4
    text = struct.pack(">I", 3) + b"tEXtabc" + struct.pack(">I", zlib.crc32(b"tEXtabc"))
    for data in (whole, whole[:end] + text + whole[end:], whole + b"more"):
        assert (codec.decode_mask(data) == np.eye(256, dtype=bool)).all()
