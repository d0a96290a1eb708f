"""Units in the names of a table's columns: `time(millisecond)`, `altitude(feet)`, `lat [deg*1e7]`, `alt_m`, `t_ms`."""

from __future__ import annotations

import re

FOOT_M = 0.3048
CELL_CHARACTERS_MAX = 200
E7_MIN = 2e7
"""From here on a latitude or longitude is in 1e-7 degrees, as in MAVLink: no degree and no metre of UTM is so large."""
MICRO, MILLI = ("us", "usec", "microsecond", "microseconds", "µs", "μs", "usecs"), (
    "ms", "msec", "millisecond", "milliseconds", "msecs",
)  # fmt: skip
"""Micro is written with two letters that look alike: U+00B5 and the Greek U+03BC."""
_TIME_S: dict[str, float] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(MILLI, 1e-3),
    **dict.fromkeys(MICRO, 1e-6),
    **dict.fromkeys(("ns", "nsec", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
}
_LENGTH_M: dict[str, float] = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("ft", "foot", "feet"), FOOT_M),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 1e-2),
    **dict.fromkeys(("dm", "decimeter", "decimeters", "decimetre", "decimetres"), 0.1),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e-3),
    **dict.fromkeys(("km", "kilometer", "kilometers", "kilometre", "kilometres"), 1e3),
    **dict.fromkeys(("in", "inch", "inches"), 0.0254),
    **dict.fromkeys(("yd", "yard", "yards"), 0.9144),
    **dict.fromkeys(("usft", "us-ft", "ftus", "us survey foot", "us survey feet"), 1200.0 / 3937.0),
}
_DEGREE: dict[str, float] = {
    **dict.fromkeys(("deg", "degs", "degree", "degrees", "decimal degrees", "°", "dd", "wgs84"), 1.0),
    **dict.fromkeys(("e7", "1e7", "dege7", "deg*1e7", "degrees*1e7", "deg e7", "1e-7 deg", "deg*10^7", "1e7deg"), 1e-7),
    **dict.fromkeys(("e6", "1e6", "dege6", "deg*1e6", "microdeg", "microdegree", "microdegrees"), 1e-6),
    **dict.fromkeys(("arcmin", "arcminute", "arcminutes"), 1.0 / 60.0),
    **dict.fromkeys(("arcsec", "arcsecond", "arcseconds"), 1.0 / 3600.0),
    **dict.fromkeys(("gon", "grad", "grads", "gradians"), 0.9),
    **dict.fromkeys(("rad", "radian", "radians"), 57.29577951308232),
}
_ANGLE = {
    **{unit: factor for unit, factor in _DEGREE.items() if unit not in {"dd", "wgs84"}},
    **dict.fromkeys(("cd", "cdeg", "centideg", "centidegree", "centidegrees"), 1e-2),
}
SCALES = {"angle": _ANGLE, "time": _TIME_S, "altitude": _LENGTH_M, "latitude": _DEGREE, "longitude": _DEGREE}
GLUED = ("e7", "1e7", "ms", "us")
"""Endings that are written without a joint, as ArduPilot's TimeUS."""
_NOT_A_UNIT = {
    "utc",
    "local",
    "amsl",
    "msl",
    "agl",
    "wgs84",
    "gps",
    "ellipsoid",
    "iso8601",
    "iso 8601",
    "egm96",
    "navd88",
}


_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Between the words of names as altitudeFt and GPSLatitude."""


def split_unit(cell: str) -> tuple[str, str]:
    """A column's plain name in words of letters and digits joined by _, and the unit in brackets or ""."""
    text = cell.strip()[:CELL_CHARACTERS_MAX]
    inside = re.findall(r"[\[(]([^\])]*)[\])]", text.lower())
    words = _CAMEL.sub("_", re.sub(r"[\[(].*?[\])]", "", text)).lower()
    plain = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    units = [unit.strip() for unit in inside if unit.strip() and unit.strip() not in _NOT_A_UNIT]
    words = units[0].split() if units else []  # "ft msl" is feet, whatever they are counted from
    return plain, " ".join(word for word in words if word not in _NOT_A_UNIT)


def scale_of(what: str, plain: str, unit: str, name: str, *, needs_unit: bool = False) -> float | None:
    """Factor of a column to seconds, metres or degrees where it is `name`; None where it is another column.

    A unit stands in brackets, which count first, or behind the name: "time_ms", "timeus", "alt_ft", "lat_e7".
    ValueError with the unit where it is not known: its numbers must not pass for something else.
    """
    scales = SCALES.get(what, {})
    if plain == name:
        if unit and scales:
            if unit not in scales:
                raise ValueError(unit)
            return scales[unit]
        ending = plain.rpartition("_")[2]
        return None if needs_unit else scales.get(ending, 1.0)
    for ending, scale in scales.items():
        joints = ("_", "") if ending in GLUED else ("_",)
        if any(plain == f"{name}{joint}{ending}" for joint in joints):
            return scales.get(unit, scale)
    return None
