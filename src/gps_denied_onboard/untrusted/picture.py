"""Opening pictures from outside: formats that cameras and maps have, sizes before pixels, and what a video may be.

Pillow knows formats that run other programs (EPS) and formats nobody flies with; a picture of a megabyte can claim a
quarter of a gigapixel, and hours of scans.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import open_file
from gps_denied_onboard.untrusted.text import shown

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
FILE_BYTES_MAX = 2 << 30
PIXELS_MAX = 250_000_000
PIXELS_FREE = 30_000_000
PIXELS_PER_BYTE_MAX = 100
"""Of a file with more than PIXELS_FREE; a photograph has 1 to 20, a drawn one of few colours up to 100."""
SCANS_MAX = 100
ORIENTATION, FIRST_ON_ITS_SIDE, LAST_ORIENTATION = 0x112, 5, 8
_HEAD_BYTES = 64
_PNG_BEGINS = b"\x89PNG\r\n\x1a\n"


@contextlib.contextmanager
def open_picture(source: Path | bytes, pixels_max: int = PIXELS_MAX) -> Iterator[Image.Image]:
    """A picture by its header, nothing decoded: it has at most `pixels_max`, and no more than its bytes can tell.

    OSError (UnidentifiedImageError) for what is no picture; UntrustedError for one that is too large; what a broken one
    raises besides (ValueError, SyntaxError, OSError) is Pillow's, while it is decoded as well.
    """
    from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401 (or Pillow would load all of its plugins)

    with contextlib.ExitStack() as stack:
        stream: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else open_file(source, FILE_BYTES_MAX)
        stack.enter_context(stream)
        size_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of odd metadata and of large pictures, which are judged here
        try:
            image = stack.enter_context(Image.open(stream, formats=FORMATS))
        except UnidentifiedImageError as error:  # Pillow names its own stream in it
            told = "is empty" if size_bytes == 0 else "cannot identify image file: no JPEG, PNG, TIFF, BMP or WebP"
            raise UnidentifiedImageError(told) from error
        except Image.DecompressionBombError as error:
            raise UntrustedError(f"it claims to be enormous ({shown(error, 120)})") from None
        check_size(image.size, size_bytes, pixels_max)
        yield image


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an open picture as stored; Pillow gives those of a TIFF as its orientation flag turns it."""
    return image.size[::-1] if _turn(image) >= FIRST_ON_ITS_SIDE else image.size


def as_stored(image: Image.Image) -> Image.Image:
    """An open picture with its pixels as stored: Pillow turns a TIFF by its orientation flag when it decodes it."""
    from PIL import Image

    method = Image.Transpose
    back = {2: method.FLIP_LEFT_RIGHT, 3: method.ROTATE_180, 4: method.FLIP_TOP_BOTTOM, 5: method.TRANSPOSE,
            6: method.ROTATE_90, 7: method.TRANSVERSE, 8: method.ROTATE_270}  # fmt: skip
    turn = _turn(image)  # decoding takes the flag away
    return image.transpose(back[turn]) if turn in back else image


def _turn(image: Image.Image) -> int:
    """The orientation flag of a TIFF (1 to 8); 1 of other pictures, which Pillow never turns."""
    told = getattr(image, "tag_v2", {}).get(ORIENTATION, 1)
    return told if isinstance(told, int) and 1 <= told <= LAST_ORIENTATION else 1


def check_size(size_px: tuple[int, int], size_bytes: int, pixels_max: int = PIXELS_MAX) -> None:
    """UntrustedError where a picture of `size_bytes` claims more pixels than one may have, or than it can tell."""
    pixels = size_px[0] * size_px[1]
    if pixels > min(pixels_max, max(PIXELS_FREE, size_bytes * PIXELS_PER_BYTE_MAX)):
        raise UntrustedError(f"it claims {size_px[0]}x{size_px[1]} pixels in {size_bytes} bytes, more than it may")


def check_coding(data: bytes | memoryview) -> None:
    """UntrustedError for what would cost a decoder far more than its bytes, before one sees it.

    A JPEG of more scans than any camera makes: each costs as much as a picture. A PNG of which a part claims more bytes
    than follow: OpenCV takes memory for what it claims, up to 4 GB, also behind an end that comes before any pixels.
    """
    if data[:2] == b"\xff\xd8":
        if bytes(data).count(b"\xff\xda") > SCANS_MAX:
            raise UntrustedError(f"it is a JPEG of more than {SCANS_MAX} scans")
    elif data[:8] == _PNG_BEGINS:
        at = len(_PNG_BEGINS)
        kind, pixels = b"", False
        while at < len(data) and kind != b"IEND":
            kind = bytes(data[at + 4 : at + 8])
            pixels |= kind == b"IDAT"
            at += 12 + int.from_bytes(data[at : at + 4])
            if at > len(data):
                raise UntrustedError("it is a PNG that is cut off, or that claims more bytes than it has")
        if not pixels:
            raise UntrustedError("it is a PNG without pixels")


def is_video(path: Path) -> bool:
    """Whether a file begins as a container or stream of pictures, and not as a list of other files or addresses."""
    with open_file(path, 1 << 62) as stream:
        head = stream.read(4 * _HEAD_BYTES)
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}:
        return True
    if head[:1] == b"\x47" and head[188:189] in {b"\x47", b""}:  # MPEG transport stream
        return True
    if head[4:5] == b"\x47" and head[196:197] in {b"\x47", b""}:
        return True
    return head.startswith(_VIDEO)


_VIDEO = (
    b"RIFF", b"\x1a\x45\xdf\xa3", b"\0\0\0\1", b"\0\0\1", b"FLV", b"OggS", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    b"\x06\x0e\x2b\x34", b"\xff\xd8\xff", b"DKIF", b"YUV4MPEG2",
)  # fmt: skip
"""AVI, Matroska and WebM, H.264 and H.265 streams and MPEG, FLV, Ogg, ASF, MXF, Motion JPEG, IVF, raw frames."""
