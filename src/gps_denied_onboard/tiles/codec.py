"""Tile images: 256x256 JPEG, and a 1-bit PNG beside it where part of the tile has no data."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_onboard.untrusted import UntrustedError, picture

Grey = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
JPEG_QUALITY = 92
TILE_BYTES_MAX = 5 * 1024 * 1024
_PNG_BEGINS = b"\x89PNG\r\n\x1a\n"


def encode_jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    """Return the JPEG of a (256, 256) grey or (256, 256, 3) RGB tile."""
    pixels = image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])


def encode_mask(valid: Mask) -> bytes | None:
    """Return the 1-bit PNG of a (256, 256) validity mask, white where there is data; None where all is valid."""
    if valid.all():
        return None
    return bytes(cv2.imencode(".png", valid.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])[1])


def decode_mask(data: bytes | memoryview | None) -> Mask:
    """Return the (256, 256) mask of a mask file's bytes, all valid where there is none; ValueError if unreadable."""
    if data is None:
        return np.ones((TILE_PX, TILE_PX), dtype=bool)
    if header_size(data) != (TILE_PX, TILE_PX):
        raise ValueError("the mask is not a 256x256 image")
    check_coding(data)
    mask = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None or mask.shape != (TILE_PX, TILE_PX):
        raise ValueError("the mask is not a 256x256 image")
    return np.asarray(mask > 127)


def picture_size(data: bytes) -> tuple[int, int]:
    """Return width and height as an image's header tells them, nothing decoded; ValueError where it is no image."""
    try:
        with picture.open_picture(data) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, UntrustedError) as error:
        raise ValueError("not an image") from error


def header_size(data: bytes | memoryview) -> tuple[int, int]:
    """As `picture_size`, quick for JPEG and PNG."""
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg_size(data)
    if data[:8] == _PNG_BEGINS and data[12:16] == b"IHDR":
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return picture_size(bytes(data))


def check_jpeg_tile(data: bytes) -> None:
    """Raise ValueError unless bytes are a whole 256x256 JPEG; a picture that claims to be huge is never decoded."""
    if not data.startswith(b"\xff\xd8\xff") or b"\xff\xd9" not in data[-64:]:
        raise ValueError("not a whole JPEG")
    if _jpeg_size(data) != (TILE_PX, TILE_PX):
        raise ValueError("not 256x256 pixels")
    check_coding(data)
    small = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    if small is None or small.shape != (TILE_PX // 8, TILE_PX // 8):
        raise ValueError("a JPEG that cannot be decoded")


def check_coding(data: bytes | memoryview) -> None:
    """As `untrusted.picture.check_coding`, with a ValueError."""
    try:
        picture.check_coding(data)
    except UntrustedError as error:
        raise ValueError(str(error)) from error


def _jpeg_size(data: bytes | memoryview) -> tuple[int, int]:
    """Return width and height by a JPEG's frame header, nothing decoded; ValueError where there is none."""
    at = 2
    while data[at : at + 1] == b"\xff" and at + 9 < len(data):
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 1 if marker == 0xFF else 2 + max(int.from_bytes(data[at + 2 : at + 4]), 2)  # 0xFF twice: filling
    raise ValueError("not an image")


def decode_tile(image: bytes | memoryview, mask: bytes | memoryview | None) -> tuple[Grey, Mask]:
    """Return a tile's (256, 256) grey values, 0 where there is no data, and its mask; ValueError if unreadable."""
    if header_size(image) != (TILE_PX, TILE_PX):
        raise ValueError("the tile is not a 256x256 image")
    check_coding(image)
    grey = cv2.imdecode(np.frombuffer(image, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None or grey.shape != (TILE_PX, TILE_PX):
        raise ValueError("the tile is not a 256x256 image")
    valid = decode_mask(mask)
    if mask is not None:
        grey = np.where(valid, grey, 0)
    return np.asarray(grey, dtype=np.uint8), valid
