"""Bounded reads: what was promised and one byte, of plain files and streams, and never for ever on a pipe."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Protocol

from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.text import shown

_CHUNK_BYTES = 1 << 20


class Readable(Protocol):
    """Bytes that come until there are none: a file, a pipe, an answer."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""


def open_file(path: Path, bytes_max: int, what: str = "", *, follow: bool = True) -> io.BufferedReader:
    """A plain file of at most `bytes_max` bytes, open to be read.

    What was checked is what is read, since the file is open already. UntrustedError for a pipe, a device, a folder or
    a larger file, and with `follow` false for a link; OSError as `open`. A pipe without a writer does not hang.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    name = what or shown(path)
    if not follow and path.is_symlink():
        raise UntrustedError(f"{name} is a link to another file, which is not followed; give the file itself.")
    handle = os.open(path, flags)
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise UntrustedError(f"{name} is no plain file; give a file.")
        if about.st_size > bytes_max:
            size = about.st_size
            raise UntrustedError(f"{name} has {size} bytes, more than the {bytes_max} it may have; give another file.")
        os.set_blocking(handle, True)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_file(path: Path, bytes_max: int, what: str = "", *, follow: bool = True) -> bytes:
    """All bytes of a plain file, at most `bytes_max`, though it grow while it is read. Errors as `open_file`."""
    with open_file(path, bytes_max, what, follow=follow) as stream:
        return read_stream(stream, bytes_max, what or shown(path))


def read_stream(stream: Readable, bytes_max: int, what: str) -> bytes:
    """All bytes of a stream; UntrustedError once it gives one byte more than `bytes_max`."""
    data = _up_to(stream, bytes_max + 1)
    if len(data) > bytes_max:
        raise UntrustedError(f"{what} has more than the {bytes_max} bytes that it may have; get it again.")
    return data


def read_promised(stream: Readable, promised_bytes: int, bytes_max: int, what: str) -> bytes:
    """The bytes of a stream that said how many it holds: exactly so many and then its end.

    UntrustedError where the promise is more than `bytes_max`, and where fewer or more bytes came.
    """
    if not 0 <= promised_bytes <= bytes_max:
        raise UntrustedError(f"{what} is said to have {promised_bytes} bytes; it may have at most {bytes_max}.")
    data = _up_to(stream, promised_bytes + 1)
    if len(data) != promised_bytes:
        came = "more" if len(data) > promised_bytes else str(len(data))
        raise UntrustedError(f"{what} was to have {promised_bytes} bytes, and {came} came; get it again.")
    return data


def _up_to(stream: Readable, bytes_max: int) -> bytes:
    """What a stream gives until its end, or until there are `bytes_max` of it."""
    parts: list[bytes] = []
    left = bytes_max
    while left > 0:
        part = stream.read(min(left, _CHUNK_BYTES))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
