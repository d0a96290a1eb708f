"""A look at a TIFF's directories before GDAL reads them: how many there are, and how much metadata they hold.

GDAL takes time with the square of the items of its metadata tag, and with the square of the directories.
Format: TIFF 6.0 section 2; BigTIFF, https://www.awaresystems.be/imaging/tiff/bigtiff.html.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

GDAL_METADATA_TAG = 42112
METADATA_BYTES_MAX = 1 << 20
ENTRIES_MAX = 2_000
DIRECTORIES_MAX = 200


class TiffHeadError(ValueError):
    """Directories that no raster has."""


def check_directories(file: BinaryIO) -> None:
    """Walk the chain of directories. TiffHeadError where it is longer, or its metadata larger, than it may be."""
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    number, offset, entry = ("Q", "Q", "HHQQ") if big else ("H", "I", "HHII")
    at = struct.unpack_from(order + offset, head, 8 if big else 4)[0]
    seen: set[int] = set()
    while at and at not in seen:
        seen.add(at)
        if len(seen) > DIRECTORIES_MAX:
            raise TiffHeadError(f"it holds more than {DIRECTORIES_MAX} pictures")
        entries = _unpacked(file, at, order + number)
        if entries is None or entries > ENTRIES_MAX:
            raise TiffHeadError("a directory of it is damaged")
        start, size = at + struct.calcsize(order + number), struct.calcsize(order + entry)
        file.seek(start)
        table = file.read(entries * size)
        for place in range(0, len(table) - size + 1, size):
            tag, _, count, _ = struct.unpack_from(order + entry, table, place)
            if tag == GDAL_METADATA_TAG and count > METADATA_BYTES_MAX:
                raise TiffHeadError(f"it holds {count} bytes of metadata, more than {METADATA_BYTES_MAX}")
        at = _unpacked(file, start + entries * size, order + offset) or 0


def _unpacked(file: BinaryIO, at: int, form: str) -> int | None:
    """A number at a place of the file, None behind its end."""
    if at >= 1 << 62:
        return None
    file.seek(at)
    data = file.read(struct.calcsize(form))
    return int(struct.unpack(form, data)[0]) if len(data) == struct.calcsize(form) else None
