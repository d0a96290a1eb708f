"""Videos: the container's times, only the frames asked for, and clear words about damage."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.container import missing_bytes, shown_seconds
from gps_denied_onboard.frames.video import FrameClock, VideoSource


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames at 12 a second, each with its own brightness."""
    path = tmp_path_factory.mktemp("video") / "flight.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (160, 96))
    texture = np.random.default_rng(1).integers(0, 40, (96, 160, 3), dtype=np.uint8)
    for k in range(60):
        writer.write(texture + np.uint8(3 * k))
    writer.release()
    return path


def test_every_frame_has_its_time(video: Path) -> None:
    """All frames come in order with the container's times and their own pixels."""
    source = VideoSource(video)
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(60))
    assert [frame.t_ns / 1e9 for frame in frames] == pytest.approx([k / 12.0 for k in range(60)], abs=1e-6)
    levels = [float(frame.image.mean()) for frame in frames]
    assert np.diff(levels) == pytest.approx(np.full(59, 3.0), abs=1.0)
    assert source.problems == ()
    assert source.size_px == (160, 96)


def test_every_tenth_frame(video: Path) -> None:
    """Every n-th frame keeps its number and its time."""
    frames = list(VideoSource(video, every=10, grey=True))
    assert [frame.index for frame in frames] == [0, 10, 20, 30, 40, 50]
    assert frames[3].t_ns == 2_500_000_000
    assert frames[0].image.shape == (96, 160)


def test_chosen_frames(video: Path) -> None:
    """Frames named by number come in the order of time, those beyond the end not at all."""
    source = VideoSource(video, indices=[33, 5, 900])
    assert [frame.index for frame in source] == [5, 33]


def test_a_torn_video_is_used_up_to_the_tear(video: Path, tmp_path: Path) -> None:
    """A video whose end is missing gives its frames up to there and says so, or is refused with a sentence."""
    torn = tmp_path / "torn.avi"
    data = video.read_bytes()
    torn.write_bytes(data[: len(data) // 2])
    source = VideoSource(torn)
    frames = list(source)
    assert 20 <= len(frames) < 45
    assert source.claimed_frames == 60 or not source.problems
    assert [frame.index for frame in frames] == list(range(len(frames)))


@pytest.mark.parametrize("content", [b"", b"this is a text", bytes(4000)])
def test_no_video_is_refused(content: bytes, tmp_path: Path) -> None:
    """A file that is no video is the user's mistake."""
    path = tmp_path / "flight.mp4"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be opened as a video"):
        VideoSource(path)
    with pytest.raises(UserError, match="is not a file"):
        VideoSource(tmp_path)
    with pytest.raises(UserError, match="at least 1"):
        VideoSource(path, every=0)


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """(type, content) of the boxes of an MP4 (ISO/IEC 14496-12)."""
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        found.append((kind, data[at + 8 : at + size]))
        at += size
    return found


def with_frame_times(data: bytes, runs: list[tuple[int, int]]) -> bytes:
    """The MP4 with other durations of its frames: (how many, units each); edit lists are dropped."""
    out = b""
    for kind, content in boxes(data):
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            content = with_frame_times(content, runs)
        elif kind == b"stts":
            content = struct.pack(">II", 0, len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)
        elif kind == b"edts":
            kind = b"free"
        out += struct.pack(">I4s", len(content) + 8, kind) + content
    return out


def test_variable_frame_rate_keeps_the_containers_times(tmp_path: Path) -> None:
    """Frames a tenth of a second and then two seconds apart have just these times, not those of a mean rate."""
    path = tmp_path / "phone.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (160, 96))
    for k in range(12):
        writer.write(np.full((96, 160, 3), 20 * k, np.uint8))
    writer.release()
    data = path.read_bytes()
    path.write_bytes(with_frame_times(data, [(6, 1024), (6, 20480)]))
    source = VideoSource(path)
    times_s = [frame.t_ns / 1e9 for frame in source]
    step = times_s[1]
    assert times_s == pytest.approx([k * step for k in range(7)] + [(6 + 20 * k) * step for k in range(1, 6)], rel=1e-6)
    assert source.problems == ()


def test_missing_time_stamps_fall_back_to_the_rate() -> None:
    """Stamps that stand still, run back or are no numbers are replaced by the nominal step, and that is told."""
    problems: dict[str, None] = {}
    clock = FrameClock("a.mp4", 10.0, problems)
    stamps = [40.0, 140.0, 140.0, math.nan, 90.0, 1040.0]
    assert [clock.time_ns(stamp) for stamp in stamps] == [k * 100_000_000 for k in (0, 1, 2, 3, 4, 10)]
    assert len(problems) == 1
    assert "nominal 10.000 frames/s" in next(iter(problems))


def test_neither_stamps_nor_rate_is_refused() -> None:
    """Without any notion of time the video cannot be used."""
    clock = FrameClock("a.mp4", 0.0, {})
    clock.time_ns(0.0)
    with pytest.raises(UserError, match="neither time stamps nor a frame rate"):
        clock.time_ns(0.0)


def test_a_trimmed_video_is_whole(case_file: Callable[[str], Path]) -> None:
    """A video cut without coding again counts more frames than its edit list shows: nothing is torn."""
    source = VideoSource(case_file("14-video-edit-list/trimmed.mp4"))
    assert (len(list(source)), source.claimed_frames) == (77, 110)
    assert source.problems == ()


def test_a_cut_off_video_is_told_by_its_own_sizes(video: Path, tmp_path: Path) -> None:
    """Missing bytes are told whatever the frame count says; a whole file and an empty tail are not torn."""
    assert missing_bytes(video) == 0
    torn = tmp_path / "torn.avi"
    torn.write_bytes(video.read_bytes()[:-1000])
    assert missing_bytes(torn) == 1000
    source = VideoSource(torn)
    list(source)
    assert "1000 bytes are missing" in source.problems[0]


def box(kind: bytes, *inside: bytes) -> bytes:
    data = b"".join(inside)
    return struct.pack(">I", 8 + len(data)) + kind + data


def matroska(claimed: int, held: int) -> bytes:
    return b"\x1a\x45\xdf\xa3\x84abcd\x18\x53\x80\x67\x01" + claimed.to_bytes(7, "big") + bytes(held)


CONTAINERS = {
    "whole MP4": (box(b"ftyp", b"isom") + box(b"mdat", bytes(100)), 0),
    "MP4 without its end": (box(b"ftyp", b"isom") + box(b"mdat", bytes(100))[:60], 48),
    "MP4 whose last box goes to the end": (box(b"ftyp", b"isom") + b"\0\0\0\0mdat" + bytes(9), 0),
    "MP4 of large boxes": (box(b"ftyp", b"isom") + b"\0\0\0\1mdat" + struct.pack(">Q", 116) + bytes(90), 10),
    "whole Matroska": (matroska(50, 50), 0),
    "Matroska without its end": (matroska(50, 20), 30),
    "Matroska of unknown length": (matroska((1 << 56) - 1, 20), 0),
    "no container": (b"MThd" * 10, 0),
}


@pytest.mark.parametrize("what", CONTAINERS)
def test_missing_bytes_of_containers(what: str, tmp_path: Path) -> None:
    """Boxes, RIFF and Matroska's segment tell how long the file has to be."""
    data, missing = CONTAINERS[what]
    (tmp_path / "a").write_bytes(data)
    assert missing_bytes(tmp_path / "a") == missing


def test_an_edit_list_says_how_much_is_shown(tmp_path: Path) -> None:
    """The shown time leaves out pauses before the video, and there is no limit without a list."""
    header = box(b"mvhd", bytes(12), struct.pack(">I", 1000), bytes(80))
    edits = struct.pack(">II", 0, 2) + struct.pack(">IiI", 500, -1, 65536) + struct.pack(">IiI", 3000, 8200, 65536)
    track = box(b"trak", box(b"edts", box(b"elst", edits)), box(b"hdlr", b"vide"))
    (tmp_path / "a").write_bytes(box(b"ftyp", b"isom") + box(b"moov", header, track))
    assert shown_seconds(tmp_path / "a") == 3.0
    (tmp_path / "b").write_bytes(box(b"moov", header, box(b"trak", box(b"hdlr", b"vide"))))
    assert shown_seconds(tmp_path / "b") == math.inf


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An MP4 of ten frames of 160x96, its boxes behind its data, so that they may grow."""
    path = tmp_path_factory.mktemp("movie") / "flight.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (160, 96))
    for k in range(10):
        frame = np.full((96, 160, 3), 40 + k, dtype=np.uint8)
        frame[:48, :80] = 220  # bright in the upper left of what the sensor saw
        writer.write(frame)
    writer.release()
    return path.read_bytes()


IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
TURNED = {
    90: struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30),
    180: struct.pack(">9i", -(1 << 16), 0, 0, 0, -(1 << 16), 0, 0, 0, 1 << 30),
}


@pytest.mark.parametrize("degrees", TURNED)
def test_a_rotation_for_display_turns_no_frame(degrees: int, movie: bytes, tmp_path: Path) -> None:
    """Frames are those of the sensor, as pictures are, and that they are shown turned is told."""
    head, _, rest = movie.partition(b"tkhd")
    (tmp_path / "a.mp4").write_bytes(head + b"tkhd" + rest.replace(IDENTITY, TURNED[degrees], 1))
    source = VideoSource(tmp_path / "a.mp4")
    frame = next(iter(source))
    assert source.size_px == (160, 96)
    assert frame.image[:40, :70].mean() > 180 > 100 > frame.image[56:, 90:].mean()
    assert "to be shown turned by" in source.problems[0]


def with_box(data: bytes, path: tuple[bytes, ...], inserted: bytes) -> bytes:
    """Return an MP4 with a box put at the end of the one at `path`; boxes around it grow."""
    at, end, starts = 0, len(data), []
    for kind in path:
        while data[at + 4 : at + 8] != kind:
            at += int.from_bytes(data[at : at + 4], "big")
        starts.append(at)
        end = at + int.from_bytes(data[at : at + 4], "big")
        at += {b"stsd": 16, b"mp4v": 86}.get(kind, 8)
    grown = bytearray(data)
    for start in starts:
        size = int.from_bytes(data[start : start + 4], "big") + len(inserted)
        grown[start : start + 4] = size.to_bytes(4, "big")
    return bytes(grown[:end] + inserted + grown[end:])


def test_pixels_that_are_not_square_are_made_so(movie: bytes, tmp_path: Path) -> None:
    """A video whose pixels are twice as wide as high comes out twice as wide, and that is told."""
    to_entry = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4v")
    (tmp_path / "a.mp4").write_bytes(with_box(movie, to_entry, box(b"pasp", struct.pack(">II", 2, 1))))
    source = VideoSource(tmp_path / "a.mp4")
    frame = next(iter(source))
    assert source.size_px == (320, 96)
    assert frame.image.shape == (96, 320, 3)
    assert "2.000 times as wide as high" in source.problems[0]


def test_a_coding_that_cannot_be_decoded_is_named(movie: bytes, tmp_path: Path) -> None:
    """A whole file of which no frame decodes is refused with its coding, and is not called torn."""
    at = movie.index(b"mdat") + 4
    size = int.from_bytes(movie[at - 8 : at - 4], "big") - 8
    (tmp_path / "a.mp4").write_bytes(movie[:at] + bytes(size) + movie[at + size :])
    with pytest.raises(UserError, match=r"its coding \(.{4}\) is none that is known"):
        list(VideoSource(tmp_path / "a.mp4"))
