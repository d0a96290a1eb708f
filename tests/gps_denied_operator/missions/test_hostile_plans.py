"""Plans that a stranger wrote are read, or refused with a sentence; none is waited for or grows."""

from __future__ import annotations

import io
import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gps_denied_operator.missions.errors import FlightMalformedError, FlightResolutionError
from gps_denied_operator.missions.plan_files import parse_route, read_plan

ITEM: dict[str, Any] = {"type": "SimpleItem", "command": 16, "frame": 3, "params": [0, 0, 0, 0, 49.0, 37.0, 100]}


def plan(**changes: Any) -> bytes:
    return json.dumps({"fileType": "Plan", "mission": {"items": [ITEM | changes]}}).encode()


@pytest.mark.parametrize("value", [[], {}, [16], "16", None, True, 1e300, -1, {"a": []}])
@pytest.mark.parametrize("name", ["command", "frame", "params", "type", "TransectStyleComplexItem", "coordinate"])
def test_an_item_of_other_types_is_a_sentence(name: str, value: Any) -> None:
    """Whatever stands in the place of a number, a list or a name, no traceback comes of it."""
    points: list[tuple[float, float]] = []
    with suppress(FlightResolutionError):
        points = parse_route(plan(**{name: value}), "a.plan").points_deg
    assert points in ([], [(49.0, 37.0)])


@pytest.mark.parametrize(
    "data",
    [
        b"{" * 100_000, b'{"mission":' * 50_000, b'{"type": "FeatureCollection", "features": [' + b"[" * 100_000,
        b'{"type": "LineString", "coordinates": [[1e999, 2]]}', b'{"type": "LineString", "coordinates": [[NaN, 2]]}',
        b'{"fileType": "Plan", "fileType": "Plan", "mission": {"items": []}}',
        b'{"type": "LineString", "coordinates": [[' + b"9" * 5000 + b", 2]]}",
        b"{" + b'"a":[' + b"[]," * 2_000_000 + b"[]]}",
        b"<kml>" + b"<a>" * 1_000_000, b"<kml>" + b"<a/>" * 1_000_000 + b"</kml>",
        b"<kml " + b"".join(b'a%d="" ' % k for k in range(600_000)) + b"/>",
        b'<!DOCTYPE kml [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><kml>&b;</kml>',
        b'<!DOCTYPE kml [<!ENTITY x SYSTEM "file:///etc/passwd">]><kml>&x;</kml>',
        b"QGC WPL 110\n" + b"0 0 0 " + b"9" * 5000 + b" 0 0 0 0 1 2 3 1\n",
        b"QGC WPL 110\n0 0 0 16 0 0 0 0 1e999 nan 3 1\n",
    ],
)  # fmt: skip
def test_plans_that_were_made_to_hurt_are_a_sentence(data: bytes) -> None:
    """Nesting, numbers and elements without end, and entities, are refused."""
    with pytest.raises(FlightResolutionError):
        parse_route(data, "a.plan")


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    """A plan is a plain file."""
    os.mkfifo(tmp_path / "pipe.plan")
    (tmp_path / "zero.plan").symlink_to("/dev/zero")
    for name in ("pipe.plan", "zero.plan"):
        with pytest.raises(FlightResolutionError, match="plain file"):
            read_plan(tmp_path / name)


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_kmz_packed_in_another_way_is_not_unpacked(packed: int) -> None:
    """Only deflate is unpacked piece by piece; what else a zip archive may hold is refused before its first byte."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", packed) as archive:
        archive.writestr("doc.kml", b"<kml>" + b" " * 1_000_000)
    with pytest.raises(FlightMalformedError, match="packed in another way"):
        parse_route(data.getvalue(), "a.kmz")


def test_a_kmz_whose_bytes_are_damaged_is_a_sentence() -> None:
    """A deflate stream that is none ends in a sentence, not in zlib's own error."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("doc.kml", "<kml>" + "".join(map(str, range(5000))))
    bent = bytearray(data.getvalue())
    bent[60:200] = b"\xff" * 140
    with pytest.raises(FlightMalformedError, match="cannot be opened"):
        parse_route(bytes(bent), "a.kmz")
