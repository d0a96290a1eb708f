"""Positions in the subtitles that DJI's aircraft write beside a video (SRT): one block a frame, or one a second.

Forms of many models: `[latitude: 48.5] [longitude: 37.2] [rel_alt: 5.0 abs_alt: 105.0]`, with or without blanks around
the colon, `longtitude` as older ones spell it. `GPS(a,b,c)` of others is longitude first on some and latitude first on
others, and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import signed_longitude

_RANGE = re.compile(r"(\d{1,3}):(\d\d):(\d\d)[,.](\d{1,3})\s*-->")
_COUNT = re.compile(r"\b(?:FrameCnt|SrtCnt)\s*:\s*(\d{1,9})")
_NUMBER = r"\s*:\s*([+-]?\d{1,6}(?:\.\d{1,12})?)"
_NAMES = {
    "latitude": re.compile(r"\blatitude" + _NUMBER, re.IGNORECASE),
    "longitude": re.compile(r"\blongt?itude" + _NUMBER, re.IGNORECASE),
    "altitude": re.compile(r"\b(?:abs_alt|altitude)" + _NUMBER, re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class SubtitlePlace:
    """A block with a position. `frame` counts from 0, None where the block does not count frames."""

    t_s: float
    frame: int | None
    latitude_deg: float
    longitude_deg: float
    altitude_m: float | None


def is_subtitles(text: str) -> bool:
    """Whether a text is SRT: a number, then a range of times."""
    lines = [line.strip() for line in text[:400].splitlines() if line.strip()]
    return len(lines) > 1 and lines[0].isdecimal() and _RANGE.match(lines[1]) is not None


def read_subtitles(path: Path, text: str) -> list[SubtitlePlace]:
    """The blocks with a position; 0, 0 is a receiver without a fix. UserError where there is none."""
    found = list(_places(text))
    if not found and "GPS(" in text.replace(" ", ""):
        raise UserError(
            f"{path} gives positions as GPS(a,b,c), which is latitude first on some aircraft and longitude first on "
            "others; make a table with frame, latitude_deg and longitude_deg of it."
        )
    if not found:
        raise UserError(f"{path} holds subtitles without a position: record them with GPS, or give a table.")
    return found


def _places(text: str) -> Iterator[SubtitlePlace]:
    starts = list(_RANGE.finditer(text))
    for number, match in enumerate(starts):
        end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        block = text[match.end() : end]
        told = {name: pattern.search(block) for name, pattern in _NAMES.items()}
        latitude, longitude = (float(m[1]) if (m := told[name]) else 0.0 for name in ("latitude", "longitude"))
        longitude = signed_longitude(longitude)
        if latitude == longitude == 0.0 or abs(latitude) > 90.0 or abs(longitude) > 180.0:
            continue
        hours, minutes, seconds, fraction = match.groups()
        t_s = int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")
        count = _COUNT.search(block)
        altitude = told["altitude"]
        yield SubtitlePlace(
            t_s, int(count[1]) - 1 if count and int(count[1]) > 0 else None, latitude, longitude,
            float(altitude[1]) if altitude else None,
        )  # fmt: skip
