"""Records that exist only in a flight's recording; what parts exchange is in messages.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gps_denied_onboard.messages import OdometryStep

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """That a picture was taken; the picture itself is the file `name` in the recording's folder of frames."""

    t_ns: int
    index: int
    name: str


@dataclass(frozen=True, slots=True)
class HeaderRecord:
    """First of a flight: what flew it, and with what. `resumed_from` is the flight that this one goes on with."""

    t_ns: int
    flight_id: str
    utc: str
    boot_id: str
    versions: Json
    image: str
    composition_sha256: str
    config: Json
    calibration: Json
    manifest_sha256: str
    public_key: str
    resumed_from: str


@dataclass(frozen=True, slots=True)
class FooterRecord:
    """Last of a flight that was closed: the counters that a reader must find again."""

    t_ns: int
    flight_id: str
    clean_shutdown: bool
    records_written: int
    records_dropped_overrun: int
    bytes_written: int
    rollover_count: int


@dataclass(frozen=True, slots=True)
class OverrunRecord:
    """`lost` records of `from_producer` are not in the file: those from `first_sequence` on, or those that a policy
    held back; `reason` says which."""

    t_ns: int
    from_producer: str
    lost: int
    first_sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class SegmentRolloverRecord:
    """A closed segment was removed to keep the flight under its cap."""

    t_ns: int
    segment: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A warning or an error of the log."""

    t_ns: int
    level: str
    event: str
    fields: Json


@dataclass(frozen=True, slots=True)
class ClockRecord:
    """The machine's idea of UTC at `t_ns`, once a flush."""

    t_ns: int
    utc_ns: int


@dataclass(frozen=True, slots=True)
class MovedRecord:
    """The odometry of frame `index` was taken over now; None: there was none. `t_ns` is the frame's own time."""

    t_ns: int
    index: int
    step: OdometryStep | None


@dataclass(frozen=True, slots=True)
class JobTakenRecord:
    """Frame `index` left the queue for the map search now; `t_ns` is the frame's own time."""

    t_ns: int
    index: int


@dataclass(frozen=True, slots=True)
class TickRecord:
    """A position was asked for."""

    t_ns: int
    frame_index: int


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """Something that positions say (`what`: source_label, gps_health, position_source) changed."""

    t_ns: int
    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ThumbnailRecord:
    """A small JPEG (base64) of a frame that could not be placed on the map."""

    t_ns: int
    index: int
    reason: str
    jpeg: str


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """The picture of frame `index` was kept as the file `name`, of so many `bytes`, with this SHA-256: on a test flight
    alone, see recorder.pictures. `t_ns` is the frame's own time."""

    t_ns: int
    index: int
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class AutopilotOutRecord:
    """Bytes (base64) that were sent to the autopilot; `protocol` is mavlink2 or msp2."""

    t_ns: int
    protocol: str
    data: str


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """Counters of the links and the loop, every ten seconds."""

    t_ns: int
    values: Json


@dataclass(frozen=True, slots=True)
class TileRecord:
    """`event` of a map tile, see recorder.snapshots; x and y are -1 where it is the whole map's."""

    t_ns: int
    event: str
    source: str
    zoom: int
    x: int
    y: int
    detail: str


@dataclass(frozen=True, slots=True)
class KeyFingerprintRecord:
    """SHA-256 of a public key, or of a secret that links share, under its `purpose`."""

    t_ns: int
    purpose: str
    sha256: str
