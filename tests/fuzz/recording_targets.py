"""Hostile bytes for the readers of recordings.

A third of the inputs are raw bytes; the others are well-formed files, checksums included, whose records are hostile: so
that what lies behind the checksums is reached.
"""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
import zlib
from pathlib import Path

import orjson
import zstandard
from mcap.exceptions import McapError
from mcap.reader import make_reader

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.kinds import KIND_BY_NUMBER
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.verify import verify_flight
from gps_denied_operator.fdr.repair import Repair

from .choices import Choices


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def payload(fuzzed: Choices, kind: str, t_ns: int) -> bytes:
    """An envelope with hostile values under the kind's own names, or any bytes."""
    if fuzzed.integer(0, 3) == 0:
        return bytes(fuzzed.bytes(60))
    known = next(k for k in KIND_BY_NUMBER if k.name == kind)
    names = orjson.loads(known.schema)["properties"]["payload"]["properties"]
    values = [0, -1, 2**63, 1.5, "NaN", "", None, True, [], [1.0, 2.0, 3.0], [[1.0], []], {}, {"a": {}}]
    body = {name: fuzzed.pick(values) for name in names if fuzzed.integer(0, 9)}
    envelope = {"schema_version": 1, "kind": kind, "t_ns": t_ns, "producer": "p", "payload": body}
    return orjson.dumps(envelope)


def chunk(fuzzed: Choices) -> bytes:
    """A chunk with a good checksum: channels and messages, some of them hostile."""
    inner = b""
    for _ in range(fuzzed.integer(1, 12)):
        number = fuzzed.integer(0, len(KIND_BY_NUMBER) - 1)
        kind = KIND_BY_NUMBER[number].name
        t_ns = fuzzed.integer(0, 2**64 - 1) if fuzzed.boolean() else number
        head = struct.pack("<HIQQ", number + 1, fuzzed.integer(0, 9), t_ns, t_ns)
        inner += record(container.CHANNEL, struct.pack("<HH", number + 1, 0) + text(b"/" + kind.encode()) + bytes(8))
        inner += record(container.MESSAGE, head + payload(fuzzed, kind, t_ns))
        if fuzzed.integer(0, 5) == 0:
            inner += struct.pack("<BQ", fuzzed.integer(0, 20), fuzzed.integer(0, 2**64 - 1))
    packed, name = (zstandard.compress(inner), b"zstd") if fuzzed.boolean() else (inner, b"")
    times = [fuzzed.integer(0, 2**64 - 1) if fuzzed.boolean() else 0 for _ in range(2)]
    head = struct.pack("<QQQI", *times, len(inner), zlib.crc32(inner))
    return record(container.CHUNK, head + text(name) + struct.pack("<Q", len(packed)) + packed)


def metadata(fuzzed: Choices) -> bytes:
    keys = [b"flight_id", b"segment", b"public_key", b"previous_sha256", b"signed_bytes", b"kept_bytes", b"signature"]
    entries = b"".join(text(key) + text(bytes(fuzzed.bytes(5))) for key in keys if fuzzed.boolean())
    names = [b"gps_denied.segment", b"gps_denied.signature", b"gps_denied.recovered"]
    return record(container.METADATA, text(fuzzed.pick(names)) + text(entries))


def well_formed(fuzzed: Choices) -> bytes:
    """A file whose outer form and checksums are good."""
    out = container.MAGIC + record(container.HEADER, text(b"") + text(b"")) + metadata(fuzzed)
    places = []
    for _ in range(fuzzed.integer(0, 4)):
        places.append(len(out))
        out += chunk(fuzzed)
        out += metadata(fuzzed) if fuzzed.boolean() else b""
    if fuzzed.boolean():
        return out
    out += record(container.DATA_END, bytes(4))
    at = len(out)
    for place in places:
        offset = place if fuzzed.integer(0, 9) else fuzzed.integer(0, 2**64 - 1)
        out += record(container.CHUNK_INDEX, struct.pack("<QQQQ", 0, 2**63, offset, 0) + bytes(32))
    footer = struct.pack("<BQQQ", container.FOOTER, 20, at, 0)
    return out + footer + struct.pack("<I", zlib.crc32(footer, zlib.crc32(out[at:]))) + container.MAGIC


def fuzz_recording(data: bytes) -> None:
    """Read it in every way that there is; only a UserError may come out, and a mended copy opens or is refused."""
    fuzzed = Choices(data)
    if fuzzed.integer(0, 2):
        data = well_formed(fuzzed)
    with tempfile.TemporaryDirectory(prefix="gps-denied-fuzz-") as name, contextlib.suppress(UserError):
        folder = Path(name)
        (folder / "segment-000000.mcap").write_bytes(data)
        list(FlightReader(folder).records())
        list(FlightReader(folder).messages([kind.name for kind in KIND_BY_NUMBER]))
        list(RecordingReader(folder).events())
        verify_flight(folder)
    copy = io.BytesIO()
    mending = Repair(io.BytesIO(data), len(data), copy)
    try:
        mending.run()
    except container.DamagedError:
        return
    if mending.problems and mending.messages:
        copy.seek(0)
        refused = (McapError, ValueError, KeyError, struct.error)  # what `fdr recover` tells as beyond mending
        with contextlib.suppress(*refused):
            assert sum(1 for _ in make_reader(copy, validate_crcs=True).iter_messages()) == mending.messages


def recording_seeds() -> list[bytes]:
    """Choices that lead to well-formed files, and a file."""
    lead = [bytes([kind, *range(seed, seed + 250)]) for kind in (1, 2) for seed in range(5)]
    return [*lead, b"\x00" + well_formed(Choices(bytes(range(250))))]
