"""A flight as one MCAP file for Foxglove and other viewers, in UTC where it is known, and a layout that opens it well.

Every record is carried through as it is; foxglove's own schemas are added beside: LocationFix of our position and of
the receiver's claim, CompressedImage of thumbnails, Log of alerts.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from gps_denied_onboard.messages import Alert, GpsSample
from gps_denied_onboard.recorder.kinds import (
    KINDS,
    LOCATION_FIX_NAME,
    LOCATION_FIX_SCHEMA,
    MalformedRecordError,
)
from gps_denied_onboard.recorder.reader import FlightReader, FlightRecord
from gps_denied_onboard.recorder.records import ThumbnailRecord

LAYOUT = "foxglove-layout.json"
POSITION, RECEIVER, PICTURE, LOG = "/position", "/gps_position", "/thumbnail_image", "/alerts"
TIME = {"type": "object", "title": "time", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}
SCHEMAS: dict[str, dict[str, Any]] = {
    "foxglove.CompressedImage": {
        "timestamp": TIME,
        "frame_id": {"type": "string"},
        "data": {"type": "string", "contentEncoding": "base64"},
        "format": {"type": "string"},
    },
    "foxglove.Log": {
        "timestamp": TIME,
        "level": {"title": "foxglove.LogLevel", "type": "integer"},
        "message": {"type": "string"},
        "name": {"type": "string"},
        "file": {"type": "string"},
        "line": {"type": "integer", "minimum": 0},
    },
}
LOG_LEVELS = (5, 5, 5, 4, 3, 2, 2, 1)
"""foxglove.LogLevel of MAVLink's severities."""
DIAGONAL, UNKNOWN = 2, 0
"""foxglove.PositionCovarianceType."""


def flight_mcap(reader: FlightReader, target: Path, unix_ns_at_zero: int | None) -> dict[str, int]:
    """Write `flight.mcap` and the layout into a folder; returns records by kind. Times are UTC, or as recorded."""
    from mcap.writer import CompressionType, Writer

    written: dict[str, int] = {}
    with (target / "flight.mcap").open("wb") as stream:
        writer = Writer(stream, chunk_size=1 << 20, compression=CompressionType.ZSTD)
        writer.start(profile="", library="gps-denied-onboard")
        base = "UTC" if unix_ns_at_zero is not None else "the flight's own clock: it knew no UTC"
        writer.add_metadata("gps_denied", {"time_base": base, "flight": reader.folder.name})
        topics = _Topics(writer)
        zero_ns = unix_ns_at_zero or 0
        for record in reader.records():
            for topic, data in _messages(record, zero_ns):
                topics.add(topic, record, max(record.t_ns + zero_ns, 0), data)
            written[record.kind] = written.get(record.kind, 0) + 1
        writer.finish()  # type: ignore[no-untyped-call]
    layout = resources.files("gps_denied_operator.fdr").joinpath(LAYOUT).read_bytes()
    (target / LAYOUT).write_bytes(layout)
    return written


class _Topics:
    """Channels of a file, made when they are first used."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._channels: dict[str, int] = {}

    def add(self, topic: str, record: FlightRecord, at_ns: int, data: bytes) -> None:
        if topic not in self._channels:
            name, schema = _schema(topic, record.kind)
            schema_id = self._writer.register_schema(name, "jsonschema", schema) if name else 0
            self._channels[topic] = self._writer.register_channel(topic, "json", schema_id)
        self._writer.add_message(self._channels[topic], at_ns, data, at_ns, record.sequence & 0xFFFFFFFF)


def _schema(topic: str, kind: str) -> tuple[str, bytes]:
    if topic in (POSITION, RECEIVER, "/truth_position"):
        return LOCATION_FIX_NAME, LOCATION_FIX_SCHEMA
    named = {PICTURE: "foxglove.CompressedImage", LOG: "foxglove.Log"}.get(topic)
    if named is not None:
        return named, orjson.dumps({"title": named, "type": "object", "properties": SCHEMAS[named]})
    known = KINDS.get(kind)
    return ("", b"") if known is None else (f"gps_denied.{kind}", known.schema)


def _messages(record: FlightRecord, zero_ns: int) -> Iterator[tuple[str, bytes]]:
    """The record itself, and what viewers know how to show of it."""
    at = record.t_ns + zero_ns
    stamp = {"sec": at // 1_000_000_000, "nsec": at % 1_000_000_000}
    if "timestamp" in record.payload and record.kind in ("position", "truth_position"):
        yield f"/{record.kind}", orjson.dumps(record.payload | {"timestamp": stamp})
        return
    yield f"/{record.kind}", record.data
    if record.kind not in ("gps", "thumbnail", "alert"):
        return
    try:
        message = KINDS[record.kind].message(record.t_ns, record.payload)
    except MalformedRecordError:
        return
    if isinstance(message, GpsSample):
        yield RECEIVER, orjson.dumps(_location(message, stamp))
    elif isinstance(message, ThumbnailRecord):
        shown = {"timestamp": stamp, "frame_id": "camera", "data": message.jpeg, "format": "jpeg"}
        if base64.b64decode(message.jpeg[:4] or "AAAA", validate=False)[:2] == b"\xff\xd8":
            yield PICTURE, orjson.dumps(shown)
    elif isinstance(message, Alert):
        level = LOG_LEVELS[min(max(message.severity, 0), 7)]
        told = {"timestamp": stamp, "level": level, "message": message.text, "name": "companion", "file": "", "line": 0}
        yield LOG, orjson.dumps(told)  # the schema asks for all six


def _location(sample: GpsSample, stamp: dict[str, int]) -> dict[str, Any]:
    variance = sample.horizontal_accuracy_m**2
    return {
        "timestamp": stamp,
        "frame_id": "wgs84",
        "latitude": sample.latitude_deg,
        "longitude": sample.longitude_deg,
        "altitude": sample.altitude_amsl_m,
        "position_covariance": [variance, 0.0, 0.0, 0.0, variance, 0.0, 0.0, 0.0, variance],
        "position_covariance_type": DIAGONAL if variance > 0.0 else UNKNOWN,
    }
