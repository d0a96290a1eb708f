"""The flight recorder in a replay: written as the replay goes, so that nothing is lost however fast that is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import TracebackType

from gps_denied_onboard.config import Config
from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.live.flight_recording import aboard
from gps_denied_onboard.live.recording_observer import RecordingObserver
from gps_denied_onboard.recorder.chain import FlightKey, fingerprint
from gps_denied_onboard.recorder.client import THUMBNAIL_SLOT_BYTES, RecorderClient
from gps_denied_onboard.recorder.config import PictureKeeping
from gps_denied_onboard.recorder.meta import TERRAIN_FILE, RecordingMeta, iso_from_unix_ns, write_meta
from gps_denied_onboard.recorder.pictures import PictureStore
from gps_denied_onboard.recorder.records import HeaderRecord
from gps_denied_onboard.recorder.snapshots import TileSnapshots
from gps_denied_onboard.recorder.writer import FlightWriter
from gps_denied_onboard.runtime_root.strategies import Composition
from gps_denied_onboard.tiles.terrain_file import write_terrain


class ReplayTap:
    """Records a replay into `folder` as a flight; `utc_ns` is the recording's own. A context manager.

    OSError when the disk does not take it.
    """

    def __init__(
        self, folder: Path, meta: RecordingMeta, config: Config, composition: Composition, terrain: TerrainGrid | None
    ) -> None:
        write_meta(folder, replace(meta, terrain_file=None if terrain is None else TERRAIN_FILE))
        if terrain is not None:
            write_terrain(folder / TERRAIN_FILE, terrain)
        key = FlightKey()
        zero_ns = meta.unix_ns_at_zero or 0
        what = aboard(config, composition)
        header = HeaderRecord(
            0,
            f"replay-{fingerprint(key.public)}",
            iso_from_unix_ns(zero_ns),
            "",
            what.versions,
            what.image,
            what.composition_sha256,
            what.config,
            what.calibration,
            what.manifest_sha256,
            key.public,
            "",
        )
        self._t_ns = 0
        self._errors: list[str] = []
        self._writer = FlightWriter(
            folder, header, key, config.recorder, lambda: zero_ns + self._t_ns, self._publish_alerts
        )
        self.flight_id = header.flight_id
        flight = RecorderClient("flight", config.recorder.ring_slots)
        pictures = RecorderClient("pictures", 64, THUMBNAIL_SLOT_BYTES)
        of_tiles = RecorderClient("tiles", 256)
        self.tiles = TileSnapshots(folder, of_tiles)
        self._writer.add_producer(of_tiles)
        self._writer.add_producer(flight)
        self._writer.add_producer(pictures)
        keep = None
        if config.recorder.keeping is not PictureKeeping.NONE:
            kept = RecorderClient("kept", 64)
            self._writer.add_producer(kept)
            store = PictureStore(config.recorder, folder, self.flight_id, kept)
            keep = lambda frame: store.keep(frame) if store.wants(frame.t_ns) else None  # noqa: E731
        offset_ns = round((config.camera or meta.camera).time_offset_s * 1e9)
        self.observer = RecordingObserver(flight, pictures, offset_ns, keep)

    def step(self, t_ns: int) -> None:
        """Write what has come up to now."""
        self._t_ns = t_ns
        self._writer.step(t_ns)
        if self._errors:
            raise OSError(self._errors[0])

    def __enter__(self) -> ReplayTap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close(self._t_ns, error is None)
        finally:
            self._writer.abandon()

    def _publish_alerts(self, severity: int, text: str) -> None:
        if severity <= 3:
            self._errors.append(text)
