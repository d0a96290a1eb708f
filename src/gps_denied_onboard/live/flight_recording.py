"""The flight recorder of a live flight: opened before the rest, fed by an observer, closed last."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import logging
import os
import time
import traceback
from base64 import b64encode
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from gps_denied_onboard import VERSION
from gps_denied_onboard.config import Config
from gps_denied_onboard.live.picture_keeper import PictureKeeper
from gps_denied_onboard.live.recording_observer import RecordingObserver
from gps_denied_onboard.messages import AirspeedSample, Alert, BaroSample, Severity, TakeoffOrigin, Telemetry
from gps_denied_onboard.recorder.client import THUMBNAIL_SLOT_BYTES
from gps_denied_onboard.recorder.config import PictureKeeping
from gps_denied_onboard.recorder.flight import BuildInfo, boot_id, flights_root, open_flight
from gps_denied_onboard.recorder.log_bridge import LogBridge
from gps_denied_onboard.recorder.meta import TERRAIN_FILE, RecordingMeta
from gps_denied_onboard.recorder.pictures import PictureStore
from gps_denied_onboard.recorder.records import (
    AutopilotOutRecord,
    KeyFingerprintRecord,
    LogRecord,
    StatusRecord,
    TileRecord,
)
from gps_denied_onboard.recorder.resume import find_resumable, resumed_origin
from gps_denied_onboard.recorder.snapshots import DOWNGRADED, TileSnapshots
from gps_denied_onboard.runtime_root.build import World
from gps_denied_onboard.runtime_root.composition import COMPOSITION_ENV
from gps_denied_onboard.runtime_root.strategies import Composition
from gps_denied_onboard.tiles.terrain_file import write_terrain

FEW_SLOTS = 64
PROTOCOLS = {"ardupilot": "mavlink2", "inav": "msp2"}
OURS = "gps-denied-onboard"
LIBRARIES = ("numpy", "opencv-python-headless", "gtsam", "onnxruntime", "mcap", "pymavlink")


class FlightRecording:
    """A context manager around everything else of a flight. RecorderOpenError when nothing can be recorded.

    Leaving it by an exception records that; the footer then says that the flight did not end as it should.
    """

    def __init__(self, config: Config, world: World, composition: Composition) -> None:
        self._config = config
        settings = config.recorder
        now_ns, here = time.monotonic_ns(), boot_id()
        self.resumable = find_resumable(flights_root(settings), settings, now_ns, time.time_ns(), here)
        resumed = self.resumable.flight_id if self.resumable else ""
        self._recorder = open_flight(settings, flight_meta(config, world), aboard(config, composition), resumed)
        if world.terrain is not None:  # a flight is replayed from its recording alone
            write_terrain(self._recorder.folder / TERRAIN_FILE, world.terrain)
        self.flight = self._recorder.client("flight")
        self._pictures = self._recorder.client("pictures", FEW_SLOTS, THUMBNAIL_SLOT_BYTES)
        self.tiles = TileSnapshots(self._recorder.folder, self._recorder.client("tiles", FEW_SLOTS * 4))
        keeping = config.recorder.keeping is not PictureKeeping.NONE
        of_pictures = self._recorder.client("kept", FEW_SLOTS) if keeping else None
        self._store = (
            None
            if of_pictures is None
            else PictureStore(settings, self._recorder.folder, self._recorder.flight_id, of_pictures)
        )
        self._keeper = None if self._store is None else PictureKeeper(self._store)
        self.bridge = LogBridge(self._recorder.client("log", FEW_SLOTS * 4), time.monotonic_ns)
        self.flight.record(KeyFingerprintRecord(now_ns, "flight", self._recorder.fingerprint))

    def __enter__(self) -> FlightRecording:
        logging.getLogger().addHandler(self.bridge)
        if self._keeper is not None:
            self._keeper.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            self._keeper.__exit__(kind, error, trace)
            self.flight.record(StatusRecord(time.monotonic_ns(), dict(self._keeper.counters())))
        logging.getLogger().removeHandler(self.bridge)
        if error is not None:
            fields = {"error": "".join(traceback.format_exception(kind, error, trace))[-3000:]}
            self.flight.record(LogRecord(time.monotonic_ns(), "error", "the flight ended by an error", fields))
        self._recorder.close(self._recorder.flight_id, clean=error is None)

    @property
    def observer(self) -> RecordingObserver:
        """What records the flight, for `build_pipeline`."""
        assert self._config.camera is not None
        offset_ns = round(self._config.camera.time_offset_s * 1e9)
        keep = None if self._keeper is None else self._keeper.offer
        return RecordingObserver(self.flight, self._pictures, offset_ns, keep)

    @property
    def flight_id(self) -> str:
        """The flight's name."""
        return self._recorder.flight_id

    def announcements(self, t_ns: int) -> list[Alert]:
        """What the ground should note: the flight, its key's fingerprint, and that it keeps pictures where it does."""
        told = [Alert(t_ns, Severity.INFO, f"flight {self._recorder.flight_id} key {self._recorder.fingerprint}")]
        if self._store is not None:
            told.append(Alert(t_ns, Severity.NOTICE, self._store.announcement, always=True))
        return told

    def alerts(self, t_ns: int) -> list[Alert]:
        """What happened to the recorder, and to the pictures of a test flight."""
        told = [*self._recorder.alerts(), *(() if self._store is None else self._store.alerts())]
        return [Alert(t_ns, severity, text, always=severity <= Severity.ERROR) for severity, text in told]

    def sent(self, t_ns: int, packet: bytes) -> None:
        """Bytes that went to the autopilot."""
        protocol = PROTOCOLS.get(self._config.strategies.autopilot, self._config.strategies.autopilot)
        self.flight.record(AutopilotOutRecord(t_ns, protocol, b64encode(packet).decode("ascii")))

    def note_old_map(self, zoom: int) -> None:
        """The map is older than its land allows for full trust, and is flown with."""
        now_ns, source = time.monotonic_ns(), self._config.map.source
        self.flight.record(TileRecord(now_ns, DOWNGRADED, source, zoom, -1, -1, "some of its tiles are old"))

    def status(self, t_ns: int, values: dict[str, Any]) -> dict[str, int]:
        """Record the status line; returns the recorder's own counters for it, those of kept pictures too."""
        counters = self._recorder.counters() | ({} if self._keeper is None else self._keeper.counters())
        self.flight.record(StatusRecord(t_ns, {**values, **counters}))
        return counters

    def resumed(self, t_ns: int) -> tuple[TakeoffOrigin, Alert] | None:
        """Where to go on from, in the air; None when there is nothing to go on from."""
        found = self.resumable
        if found is None:
            return None
        origin = resumed_origin(found, t_ns, self._config.recorder)
        text = f"resumed {found.age_s:.0f} s after the last position, sigma {origin.sigma_horizontal_m:.0f} m"
        return origin, Alert(t_ns, Severity.WARNING, text)


class AirborneCheck:
    """Whether the aircraft flies, by its first samples: airspeed, or height over the ground; pure.

    `add` gives None while that is open, at most DECIDE_NS long; then it is taken to stand.
    """

    AIRSPEED_MPS = 8.0
    HEIGHT_M = 50.0
    DECIDE_NS = 1_500_000_000

    def __init__(self, ground_altitude_m: float, ground_sigma_m: float) -> None:
        self._height_m = ground_altitude_m + 3.0 * ground_sigma_m + self.HEIGHT_M
        self._first_ns: int | None = None

    def add(self, message: Telemetry) -> bool | None:
        self._first_ns = message.t_ns if self._first_ns is None else self._first_ns
        if isinstance(message, AirspeedSample) and message.true_airspeed_mps >= self.AIRSPEED_MPS:
            return True
        if isinstance(message, BaroSample) and message.altitude_amsl_m >= self._height_m:
            return True
        return False if message.t_ns - self._first_ns > self.DECIDE_NS else None


def flight_meta(config: Config, world: World) -> RecordingMeta:
    """The recording.json of a flight."""
    return RecordingMeta(
        camera=world.camera,
        origin_latitude_deg=world.local.latitude_deg,
        origin_longitude_deg=world.local.longitude_deg,
        origin_altitude_m=world.ground_altitude_m,
        ground_sigma_m=world.ground_sigma_m,
        utc_at_zero=config.mission.utc_at_zero or None,
        scenario="flight",
        terrain_file=None if world.terrain is None else TERRAIN_FILE,
    )


def aboard(config: Config, composition: Composition) -> BuildInfo:
    """What the header says."""
    named = os.environ.get(COMPOSITION_ENV)
    manifest = Path(config.inference.manifest) if config.inference.manifest else None
    return BuildInfo(
        versions={OURS: VERSION} | {name: importlib.metadata.version(name) for name in LIBRARIES if _installed(name)},
        image=composition.image,
        composition_sha256=_sha256(Path(named)) if named else "",
        config=orjson.loads(orjson.dumps(dataclasses.asdict(config))),
        calibration={} if config.camera is None else dataclasses.asdict(config.camera),
        manifest_sha256=_sha256(manifest) if manifest is not None else "",
    )


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
