"""Whether a flight's recording is what was recorded: checksums, sequences, hash chain, signatures, counters.

A flight that lost its power ends anywhere; what is there is still proven by the chain up to its last closed segment.
That such an end was not cut off by somebody cannot be told, and is not claimed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.chain import fingerprint, is_signed
from gps_denied_onboard.recorder.kinds import KINDS, MalformedRecordError
from gps_denied_onboard.recorder.policies import LOST_TO_POLICY
from gps_denied_onboard.recorder.reader import FlightReader, FlightRecord, SegmentReader
from gps_denied_onboard.recorder.records import (
    FooterRecord,
    HeaderRecord,
    OverrunRecord,
    SegmentRolloverRecord,
    TileRecord,
)
from gps_denied_onboard.recorder.segment import RECOVERED_METADATA, SIGNATURE_METADATA
from gps_denied_onboard.recorder.snapshots import FOLDER, SNAPSHOT, snapshot_name
from gps_denied_onboard.untrusted.text import whole_number

SEGMENT_MAX = 999_999_999
CLEAN, FAILED, INTERRUPTED, DAMAGED = "clean", "failed", "interrupted", "damaged"
"""Closed as it should; closed after an error; not closed, intact as far as it goes; not what was recorded."""
STATES = (CLEAN, FAILED, INTERRUPTED, DAMAGED)
"""Best first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. `errors` make it damaged; `notes` are worth knowing."""

    state: str
    flight_id: str
    fingerprint: str
    segments: int
    records: int
    lost: int
    bytes: int
    start_ns: int | None
    end_ns: int | None
    errors: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Seen:
    """Of one producer."""

    next_sequence: int = 0
    records: int = 0
    lost: int = 0
    limited: bool = False


@dataclass(slots=True)
class _Found:
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    producers: dict[str, _Seen] = field(default_factory=dict)
    rollovers: dict[int, str] = field(default_factory=dict)
    snapshots: dict[str, str] = field(default_factory=dict)
    header: HeaderRecord | None = None
    footer: FooterRecord | None = None
    records: int = 0
    held_back: int = 0
    after_footer: int = 0
    final: bool = False
    cut: bool = False


def verify_flight(folder: Path, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Verdict:
    """Read every byte of a flight and judge it. UserError when the folder is no recording."""
    reader = FlightReader(folder)
    found = _Found()
    for number, segment in enumerate(reader.segments):
        progress(number, len(reader.segments))
        _check_records(segment, reader, found, number == len(reader.segments) - 1)
    _check_chain(reader.segments, found)
    _check_counts(reader, found)
    _check_snapshots(folder / FOLDER, found)
    found.errors.extend(text for s in reader.segments for text in s.problems)
    progress(len(reader.segments), len(reader.segments))
    header = found.header
    return Verdict(
        _state(found),
        header.flight_id if header else "",
        fingerprint(header.public_key) if header else "",
        len(reader.segments),
        found.records,
        sum(seen.lost for seen in found.producers.values()),
        sum(segment.size for segment in reader.segments),
        reader.start_ns,
        reader.end_ns,
        tuple(dict.fromkeys(found.errors)),
        tuple(found.notes),
    )


def _state(found: _Found) -> str:
    if found.errors:
        return DAMAGED
    if found.footer is None or not found.final:
        found.notes.append("it ends without a footer: the power was cut, the process killed, or the end was removed")
        return INTERRUPTED
    if found.cut:
        return INTERRUPTED
    return CLEAN if found.footer.clean_shutdown else FAILED


def _check_records(segment: SegmentReader, reader: FlightReader, found: _Found, last: bool) -> None:
    """Every message of a segment; its summary against what lies in the file."""
    name = segment.path.name
    walked, torn_at = _walked(segment)
    if [chunk.offset for chunk in segment.chunks] != walked:
        found.errors.append(f"{name}: the summary does not name the chunks that are in the file")
    if torn_at is None:
        _check_end(segment, found)
    if torn_at is not None:
        found.cut |= last
        text = f"{name}: torn after {torn_at} of {segment.size} bytes"
        found.notes.append(text + ("; what comes before is whole" if last else ""))
    for message in segment.messages(0, 2**64, None):
        found.records += 1
        record = reader.record(message)
        if record is None:
            found.errors.append(f"{name}: a record is malformed")
            continue
        found.after_footer += found.footer is not None
        _check_sequence(name, record, found)
        _note_record(name, record, found)


def _walked(segment: SegmentReader) -> tuple[list[int], int | None]:
    """Offsets of the chunks that lie in the file, and where it breaks off."""
    offsets = []
    last: container.Place | None = None
    try:
        with segment.path.open("rb") as stream:
            for place in container.places(stream, segment.size):
                last = place
                if place.opcode == container.CHUNK:
                    offsets.append(place.offset)
    except container.DamagedError:
        return offsets, 0
    whole = last is not None and last.opcode == container.DATA_END
    return offsets, None if whole else last.end if last is not None else min(len(container.MAGIC), segment.size)


def _check_end(segment: SegmentReader, found: _Found) -> None:
    """Whether what follows the signature, which nothing signs, is as it was written: the end of data and a summary."""
    with segment.path.open("rb") as stream:
        end = list(container.places(stream, segment.size))[-1]
        whole = container.indexed_chunks(stream, segment.size) is not None
        if any(container.content(stream, end)) or not (whole or container.breaks_off(stream, end.end, segment.size)):
            found.errors.append(f"{segment.path.name}: its end is damaged")
        elif not whole:
            found.cut = True
            found.notes.append(f"{segment.path.name}: its summary is torn; every record is there")


def _check_sequence(name: str, record: FlightRecord, found: _Found) -> None:
    seen = found.producers.setdefault(record.producer, _Seen())
    if record.sequence < seen.next_sequence:
        found.errors.append(f"{name}: {record.producer}: record {record.sequence} comes twice or out of order")
    seen.next_sequence = record.sequence + 1
    seen.records += 1
    seen.limited |= record.kind == "thumbnail"


def _note_record(name: str, record: FlightRecord, found: _Found) -> None:
    if record.kind not in ("header", "footer", "overrun", "segment_rollover", "tile"):
        return
    try:
        message = KINDS[record.kind].message(record.t_ns, record.payload)
    except MalformedRecordError as error:
        found.errors.append(f"{name}: {error}")
        return
    if isinstance(message, HeaderRecord):
        found.header = found.header or message
    elif isinstance(message, FooterRecord):
        found.footer = message
    elif isinstance(message, OverrunRecord):
        found.producers.setdefault(message.from_producer, _Seen()).lost += message.lost
        found.held_back += message.lost if message.reason == LOST_TO_POLICY else 0
    elif isinstance(message, SegmentRolloverRecord):
        found.rollovers[message.segment] = message.sha256
    elif isinstance(message, TileRecord) and message.event == SNAPSHOT:
        found.snapshots[snapshot_name(message.zoom, message.x, message.y)] = message.detail


def _check_chain(segments: list[SegmentReader], found: _Found) -> None:
    """Each segment's head against the hash of the one before, each signature against the bytes that it covers."""
    if found.header is None:
        found.errors.append("there is no header: the first segment is missing or was exchanged")
        return
    hashes = dict(found.rollovers)
    for place, segment in enumerate(segments):
        name, head = segment.path.name, segment.metadata
        if place == len(segments) - 1 > 0 and segment.torn_at is not None and not (head or segment.chunks):
            continue  # killed while it was opened: there is nothing in it, and nothing that it could vouch for
        number = whole_number(head.get("segment", ""), SEGMENT_MAX)
        ours = head.get("flight_id") == found.header.flight_id
        if number is None or not ours or segment.path.stem != f"segment-{number:06d}":
            found.errors.append(f"{name}: it is of another flight, or was renamed")
            continue
        if head.get("public_key") != found.header.public_key:
            found.errors.append(f"{name}: it names another key than the flight's header")
        if number > 0 and hashes.get(number - 1) != head.get("previous_sha256"):
            missing = "is missing" if number - 1 not in hashes else "is not what was recorded"
            found.errors.append(f"segment {number - 1} {missing}: the chain breaks before {name}")
        signature, recovered, chunks_end = _metadata(segment)
        signed_bytes = _count(signature, "signed_bytes")
        kept_bytes = _count(recovered, "kept_bytes") if recovered is not None else segment.size
        signed_sha256, hashes[number] = _hashes(segment.path, signed_bytes, kept_bytes)
        if recovered is not None:
            found.cut = True
            found.notes.append(f"{name}: recovered; its first {kept_bytes} bytes are the original's")
        if chunks_end > kept_bytes:
            found.errors.append(f"{name}: it was damaged, and what was behind that is not proven to be as it was")
        if signature is not None:
            _check_signature(name, head, signature, signed_sha256, found, chunks_end)
        elif place < len(segments) - 1:
            found.notes.append(f"{name}: not signed, the disk failed there; the next segment vouches for it")


def _metadata(segment: SegmentReader) -> tuple[dict[str, str] | None, dict[str, str] | None, int]:
    """The signature's entries, those of a recovery, and where the last chunk ends."""
    entries: dict[str, dict[str, str]] = {}
    end = 0
    try:
        with segment.path.open("rb") as stream:
            for place in container.places(stream, segment.size):
                if place.opcode == container.METADATA:
                    name, found = container.metadata(container.content(stream, place))
                    entries[name] = found
                elif place.opcode == container.CHUNK:
                    end = place.end
    except container.DamagedError:
        return None, None, end
    return entries.get(SIGNATURE_METADATA), entries.get(RECOVERED_METADATA), end


def _count(entries: Mapping[str, str] | None, name: str) -> int:
    """A number of bytes as metadata tells it; 0 for what is none."""
    text = (entries or {}).get(name, "")
    return whole_number(text, 10**18) or 0


def _hashes(path: Path, *prefixes: int) -> tuple[str, ...]:
    """SHA-256 of the first so many bytes, for each of `prefixes`; of all where there are not so many."""
    running, at = hashlib.sha256(), 0
    found: dict[int, str] = {}
    with path.open("rb") as stream:
        for prefix in sorted(set(prefixes)):
            while at < prefix and (piece := stream.read(min(prefix - at, 1 << 20))):
                running.update(piece)
                at += len(piece)
            found[prefix] = running.hexdigest()
    return tuple(found[prefix] for prefix in prefixes)


def _check_signature(
    name: str, head: Mapping[str, str], signature: dict[str, str], signed_sha256: str, found: _Found, chunks_end: int
) -> None:
    assert found.header is not None
    try:
        signed = is_signed(signature, found.header.public_key)
    except container.DamagedError:
        signed = False
    if not signed:
        found.errors.append(f"{name}: its signature is not the flight's")
        return
    same = all(signature.get(key) == head.get(key) for key in ("flight_id", "segment", "previous_sha256"))
    if not same or signature.get("signed_sha256") != signed_sha256 or chunks_end > _count(signature, "signed_bytes"):
        found.errors.append(f"{name}: it was changed after it was signed")
    found.final |= signature.get("final") == "yes"


def _check_snapshots(folder: Path, found: _Found) -> None:
    """The tiles' pictures against the hashes that the records name."""
    for name, sha256 in found.snapshots.items():
        path = folder / name
        if not path.is_file():
            found.errors.append(f"{folder.name}/{name} is missing")
        elif _hashes(path, path.stat().st_size) != (sha256,):
            found.errors.append(f"{folder.name}/{name} is not what was recorded")
    unnamed = {path.name for path in folder.glob("*.jpg")} - found.snapshots.keys()
    if unnamed:
        found.notes.append(f"{len(unnamed)} picture(s) in {folder.name} are named by no record that is left")


def _check_counts(reader: FlightReader, found: _Found) -> None:
    """Counters of the footer, and that every number of every producer is a record or told as lost."""
    footer = found.footer
    if found.held_back:
        found.notes.append(f"{found.held_back} of the lost records are thumbnails beyond one in ten seconds")
    if found.after_footer:
        found.errors.append(f"{found.after_footer} record(s) follow the footer")
    if found.rollovers:
        found.notes.append(f"{max(found.rollovers)} segment(s) were removed to keep the flight under its cap")
    else:
        for name, seen in sorted(found.producers.items()):
            untold = seen.next_sequence - seen.records - seen.lost
            if untold > 0 and not (footer is None and seen.limited):
                found.errors.append(f"{name}: {untold} record(s) are missing and nothing tells why")
    if footer is None:
        return
    if found.header is not None and footer.flight_id != found.header.flight_id:
        found.errors.append("the footer is of another flight")
    lost = sum(seen.lost for seen in found.producers.values())
    told = {
        "records_written": (footer.records_written, found.records - 1),
        "records_dropped_overrun": (footer.records_dropped_overrun, lost),
        "rollover_count": (footer.rollover_count, max(found.rollovers, default=0)),
    }
    for counter, (said, counted) in told.items():
        if said != counted and not (found.rollovers and counter != "rollover_count"):
            found.errors.append(f"the footer says {counter} {said}, counted were {counted}")
    size = sum(segment.size for segment in reader.segments)
    if footer.bytes_written > size and not found.rollovers:
        found.errors.append(f"the footer says bytes_written {footer.bytes_written}, there are {size}")
