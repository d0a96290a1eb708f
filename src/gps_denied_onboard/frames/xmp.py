"""XMP packets as plain names and texts, structures kept apart.

Makers put several attitudes into one packet, each with a Yaw of its own (Skydio: of the vehicle, of the camera in two
frames; MicaSense: of the light sensor, in radians). A property inside a structure is therefore "Structure/Name".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

MAX_XMP_BYTES = 4 << 20
PATH_CHARACTERS_MAX = 200
_TRANSPARENT = {"xmpmeta", "xapmeta", "RDF", "Description", "Seq", "Bag", "Alt", "li"}
_RDF_NAMES = {"about", "parseType", "lang", "ID", "nodeID", "xmptk"}
_DECIMAL_COMMA = re.compile(r"^(\s*[+-]?\d{1,5}),(\d{1,12})(?=\s*[^\d\s,.;/]*\s*$)")
"""One comma between digits and no other mark: "-89,90", "120,5 m"; not "12, 5", "1.5,2" or "1,2,3"."""
# Namespaces of other sensors than the camera, and the maker whose roll has another sign.
_OTHER_SENSORS = {"http://micasense.com/DLS/1.0/": "DLS"}
_MARKED = {"http://ns.sensefly.com/Camera/1.0/": "senseFly"}


def parse_xmp(packet: bytes | str) -> dict[str, str]:
    """Local name -> text of all attributes and leaf elements of an XMP packet, first one wins; {} when it is broken.

    Names inside a structure are "Structure/Name"; those of another sensor "Sensor/Name"; of senseFly's own namespace
    "senseFly/Name" stands beside "Name". Document types are refused: nothing in a photograph may define entities.
    """
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
    start = text.find("<")
    if len(text) > MAX_XMP_BYTES or start < 0 or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return {}
    try:
        root = ElementTree.fromstring(text[start:].rstrip("\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, RecursionError):
        return {}
    found: dict[str, str] = {}
    waiting: list[tuple[ElementTree.Element, str]] = [(root, "")]
    while waiting:
        element, path = waiting.pop()
        own = _step(path, element.tag)
        for name, value in element.attrib.items():
            if name.rpartition("}")[2] not in _RDF_NAMES:
                _keep(found, own, name, value)
        if len(element) == 0 and element.text and element.text.strip():
            local = element.tag.rpartition("}")[2]
            _keep(found, path, own.rpartition("/")[2] if local in _TRANSPARENT else element.tag, element.text)
        waiting += [(child, own) for child in reversed(element)]
    return found


def _step(path: str, tag: str) -> str:
    uri, _, local = tag.rpartition("}")
    if local in _TRANSPARENT or len(path) > PATH_CHARACTERS_MAX:  # deeper than any maker's: no names without end
        return path
    local = f"{_OTHER_SENSORS[uri.lstrip('{')]}/{local}" if uri.lstrip("{") in _OTHER_SENSORS else local
    return f"{path}/{local}" if path else local


def _keep(found: dict[str, str], path: str, name: str, value: str) -> None:
    uri, _, local = name.rpartition("}")
    uri = uri.lstrip("{")
    if path.rpartition("/")[2] == local:  # the text of a list's entry belongs to the list's own name
        path = path.rpartition("/")[0]
    parts = [part for part in (path, _OTHER_SENSORS.get(uri, ""), local) if part]
    found.setdefault("/".join(parts), value.strip())
    if uri in _MARKED:
        found.setdefault(f"{_MARKED[uri]}/{local}", value.strip())


def number(value: Any) -> float | None:
    """A finite float of a rational, int, float or text; None for everything else (0/0 rationals are NaN)."""
    try:
        result = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def xmp_number(xmp: Mapping[str, str], *names: str) -> float | None:
    """The first of `names` that holds a number; units behind it, further numbers and rationals like 12/5 are
    understood, and a comma for the decimal point where it can be nothing else."""
    for name in names:
        text = _DECIMAL_COMMA.sub(r"\1.\2", xmp.get(name, ""))
        match = re.match(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?:/(\d+))?", text)
        if match:
            value = number(match[1])
            below = number(match[2] or 1)
            if value is not None and below:
                return value / below
    return None


def xmp_angle(xmp: Mapping[str, str], name: str) -> float | None:
    """An angle in degrees; with the unit rad behind it, it is turned into degrees."""
    value = xmp_number(xmp, name)
    in_radians = value is not None and re.search(r"\brad(ians?)?\b", xmp.get(name, "").lower())
    return math.degrees(value) if in_radians and value is not None else value
