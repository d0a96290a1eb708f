"""Writes messages as MCAP with JSON payloads, byte for byte the same for the same messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson


def write_mcap(path: Path, records: Iterable[tuple[str, int, Mapping[str, Any]]]) -> None:
    """Write (kind, t_ns, payload) records, one channel a kind, each `{schema_version, kind, t_ns, producer, payload}`."""
    from mcap.writer import CompressionType, Writer

    with path.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.ZSTD)
        writer.start(profile="", library="gps-denied-sim")
        channels: dict[str, int] = {}
        for kind, t_ns, payload in records:
            if kind not in channels:
                schema = writer.register_schema(kind, "jsonschema", b'{"type":"object"}')
                channels[kind] = writer.register_channel(f"/{kind}", "json", schema)
            body = {"schema_version": 1, "kind": kind, "t_ns": t_ns, "producer": "sim", "payload": payload}
            writer.add_message(channels[kind], log_time=t_ns, publish_time=t_ns, data=orjson.dumps(body))
        writer.finish()
