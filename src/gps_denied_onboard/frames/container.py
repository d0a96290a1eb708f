"""Whether a video file is whole, by the sizes in its own container, and how long its edit list lets it be shown.

Only outer structures are looked at: top-level boxes of ISO 14496-12 (MP4, MOV), the RIFF size of AVI, the segment's
size of Matroska (RFC 9559). Frame counts of headers are no measure: an edit list or a start offset leaves frames out.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

MOVIE_BYTES_MAX = 64 << 20
BOXES_MAX = 10_000
TRACKS_MAX = 100


def missing_bytes(path: Path) -> int:
    """Bytes that the container's sizes promise and the file does not hold; 0 where it is whole or does not say."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(16)
        if head[4:8] in {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"}:
            return max(_boxes_end(stream, size) - size, 0)
        if head[:4] == b"RIFF":
            return max(int.from_bytes(head[4:8], "little") + 8 - size, 0)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return max(_segment_end(stream, size) - size, 0)
    return 0


def shown_seconds(path: Path) -> float:
    """Seconds of the video that the edit list of an MP4 or MOV shows; infinity where there is none."""
    with path.open("rb") as stream:
        movie = movie_box(stream, path.stat().st_size)
    scale = _timescale(movie)
    tracks = [part for part in movie.split(b"trak", TRACKS_MAX)[1:] if b"vide" in part]
    if not scale or not tracks or b"elst" not in tracks[0]:
        return math.inf
    return sum(length for length, start in _edits(tracks[0]) if start >= 0) / scale


def _boxes_end(stream: BinaryIO, size: int) -> int:
    at = 0
    for _ in range(BOXES_MAX):
        length, _kind = _box(stream, at, size)
        if length < 8:
            return at
        at += length
        if at >= size:
            return at
    return at


def _box(stream: BinaryIO, at: int, size: int) -> tuple[int, bytes]:
    """Length (0: none) and kind of the box at a place; a length of 0 in the file means to its end."""
    stream.seek(at)
    head = stream.read(16)
    if len(head) < 8 or not head[4:8].isalnum():
        return 0, b""
    length = int.from_bytes(head[:4], "big")
    if length == 1 and len(head) == 16:
        length = int.from_bytes(head[8:], "big")
    return length or size - at, head[4:8]


def movie_box(stream: BinaryIO, size: int) -> bytes:
    """The `moov` box of an MP4 or MOV; nothing where there is none."""
    at = 0
    for _ in range(BOXES_MAX):
        length, kind = _box(stream, at, size)
        if kind == b"moov":
            stream.seek(at)
            return stream.read(min(length, MOVIE_BYTES_MAX))
        if length < 8 or at + length >= size:
            break
        at += length
    return b""


def _timescale(movie: bytes) -> int:
    at = movie.find(b"mvhd")
    if at < 0 or len(movie) < at + 32:
        return 0
    return int.from_bytes(movie[at + 24 : at + 28] if movie[at + 4] == 1 else movie[at + 16 : at + 20], "big")


def _edits(track: bytes) -> list[tuple[int, int]]:
    """(length, start) of each entry of a track's edit list; a start of -1 is a pause before it."""
    at = track.find(b"elst")
    if len(track) < at + 12:
        return []
    wide, count = track[at + 4] == 1, int.from_bytes(track[at + 8 : at + 12], "big")
    form = ">Qq4x" if wide else ">Ii4x"
    step = struct.calcsize(form)
    entries = track[at + 12 : at + 12 + min(count, 1000) * step]
    return [struct.unpack_from(form, entries, k) for k in range(0, len(entries) - step + 1, step)]


def _segment_end(stream: BinaryIO, size: int) -> int:
    """End of the first segment of a Matroska file; the file's size where it is not told."""
    stream.seek(0)
    data = stream.read(4096)
    header, after = _element_size(data, 4)
    if header < 0 or data[after + header : after + header + 4] != b"\x18\x53\x80\x67":
        return size
    length, begin = _element_size(data, after + header + 4)
    return size if length < 0 else begin + length


def _element_size(data: bytes, at: int) -> tuple[int, int]:
    """(size, where the content begins) of an EBML element; a size of -1 is not known."""
    if at >= len(data) or data[at] == 0:
        return -1, at
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return (-1 if value == (1 << 7 * width) - 1 else value), at + width
