"""One segment of a flight: an MCAP file that only grows, is safe on the disk after each `flush`, and knows its hash."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gps_denied_onboard.recorder.kinds import KIND_BY_NUMBER, LOCATION_FIX_NAME, LOCATION_FIX_SCHEMA

if TYPE_CHECKING:
    from mcap.writer import Writer

POSITION_TOPIC = "/position"
LOCATION_FIX_NUMBER = len(KIND_BY_NUMBER)
"""What stands for a foxglove.LocationFix where kinds are numbers."""
SEGMENT_METADATA = "gps_denied.segment"
SIGNATURE_METADATA = "gps_denied.signature"
RECOVERED_METADATA = "gps_denied.recovered"
"""Written by `operator-tool fdr recover`: only the first `kept_bytes` of the file are what was recorded."""


def segment_name(number: int) -> str:
    """The file name of a segment."""
    return f"segment-{number:06d}.mcap"


class _Tail(io.BytesIO):
    """What was not written to the disk yet; MCAP's writer asks where in the file it is."""

    def __init__(self) -> None:
        super().__init__()
        self.base = 0

    def tell(self) -> int:
        return self.base + super().tell()

    def flushed(self) -> None:
        self.base = self.tell()
        self.seek(0)
        self.truncate()


class Segment:
    """An open segment. An OSError of a write passes through, after the file was cut back to the last good flush.

    Kinds are numbers of recorder.kinds; each has a channel. `fixed` goes into the head, for the reader.
    """

    def __init__(self, folder: Path, number: int, fixed: dict[str, str]) -> None:
        from mcap.writer import CompressionType, Writer

        self.number = number
        self.path = folder / segment_name(number)
        self.records = 0
        self.size = 0
        self._hash = hashlib.sha256()
        self._tail = _Tail()
        self._writer: Writer = Writer(self._tail, chunk_size=1 << 20, compression=CompressionType.ZSTD)
        self._writer.start(profile="", library="gps-denied-onboard")
        self._writer.add_metadata(SEGMENT_METADATA, {**fixed, "segment": str(number)})
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        for kind in KIND_BY_NUMBER:
            schema = self._writer.register_schema(f"gps_denied.{kind.name}", "jsonschema", kind.schema)
            self._writer.register_channel(f"/{kind.name}", "json", schema)
        schema = self._writer.register_schema(LOCATION_FIX_NAME, "jsonschema", LOCATION_FIX_SCHEMA)
        self._writer.register_channel(POSITION_TOPIC, "json", schema)

    @property
    def sha256(self) -> str:
        """Of all that was flushed."""
        return self._hash.hexdigest()

    @property
    def pending(self) -> int:
        """Bytes that a flush would write, at least."""
        return self._tail.getbuffer().nbytes

    def add(self, number: int, t_ns: int, sequence: int, data: bytes) -> None:
        """Append a record; it is safe after the next flush. Channels are numbered from 1 in the order of the kinds."""
        self._writer.add_message(number + 1, max(t_ns, 0), data, max(t_ns, 0), sequence & 0xFFFFFFFF)
        self.records += 1

    def flush(self) -> None:
        """Close the chunk and have everything on the disk."""
        self._writer.flush()  # type: ignore[no-untyped-call]
        self._write_out()

    def sign(self, entries: dict[str, str]) -> None:
        """Append the signature; call after `flush`, with what its `sha256` and `size` were then."""
        self._writer.add_metadata(SIGNATURE_METADATA, entries)

    def finish(self) -> None:
        """Write the summary and close the file."""
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._write_out()
        self.abandon()

    def abandon(self) -> None:
        """Close the file as it is; a reader finds all that was flushed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write_out(self) -> None:
        data = self._tail.getvalue()
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fdatasync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
                os.fdatasync(self._descriptor)
            raise
        self._hash.update(data)
        self.size += len(data)
        self._tail.flushed()
