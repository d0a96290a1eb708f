"""The flight recorder: opened before anything else, closed last. One folder a flight under the flight root.

flights/20260401T101500Z-1a2b3c/   recording.json  segment-000000.mcap  segment-000001.mcap ...
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder.chain import FlightKey, fingerprint
from gps_denied_onboard.recorder.client import SLOT_BYTES, RecorderClient
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.meta import RecordingMeta, write_meta
from gps_denied_onboard.recorder.records import HeaderRecord, Json
from gps_denied_onboard.recorder.writer import FlightWriter

FLIGHTS_ENV = "GPS_DENIED_FLIGHTS"
LOCK_FILE = ".recorder.lock"
POLL_S = 0.1
ERROR_NS = 10_000_000_000

log = logging.getLogger(__name__)


class RecorderOpenError(UserError):
    """The recorder cannot be opened: nothing may fly."""


class FlightIdMismatchError(ValueError):
    """Somebody closes another flight than the one that is open."""


class RecorderNotOpenError(RuntimeError):
    """The recorder was closed already, or never opened."""


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What the header says of the aircraft: libraries, image, configuration, calibration, manifest."""

    versions: Json
    image: str
    composition_sha256: str
    config: Json
    calibration: Json
    manifest_sha256: str = ""


def flights_root(config: RecorderConfig) -> Path:
    """The configured flight root, else GPS_DENIED_FLIGHTS, else a folder among the user's data."""
    named = config.directory or os.environ.get(FLIGHTS_ENV)
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "gps-denied" / "flights"


def boot_id() -> str:
    """What the kernel calls this boot; empty where it does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class FlightRecorder:
    """An open flight. `client` gives a producer its ring; `close` ends the flight and writes the footer.

    Nothing that the disk does is raised into the flight: `alerts` tells of it. Made by `open_flight`.
    """

    def __init__(
        self,
        folder: Path,
        header: HeaderRecord,
        key: FlightKey,
        config: RecorderConfig,
        release: Callable[[], None],
        clock_ns: Callable[[], int],
        utc_ns: Callable[[], int],
    ) -> None:
        self.folder = folder
        self.flight_id = header.flight_id
        self.fingerprint = fingerprint(key.public)
        self._config = config
        self._release = release
        self._clock_ns = clock_ns
        self._alerts: deque[tuple[int, str]] = deque(maxlen=64)
        self._logged_ns = -ERROR_NS
        self._writer = FlightWriter(folder, header, key, config, utc_ns, self._tell)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._open = True
        self._thread.start()

    def client(self, name: str, slots: int = 0, slot_bytes: int = SLOT_BYTES) -> RecorderClient:
        """A new producer's end. `slots` 0: as configured."""
        if not self._open:
            raise RecorderNotOpenError(f"flight {self.flight_id} is closed; no producer can join it")
        made = RecorderClient(name, slots or self._config.ring_slots, slot_bytes, self._config.check_producers)
        self._writer.add_producer(made)
        return made

    def alerts(self) -> list[tuple[int, str]]:
        """(severity, text) of what happened to the recorder since the last call, for the ground."""
        out = []
        while self._alerts:
            out.append(self._alerts.popleft())
        return out

    @property
    def degraded(self) -> bool:
        """The disk takes nothing now."""
        return self._writer.degraded

    def counters(self) -> dict[str, int]:
        """For the log."""
        return {"recorded": self._writer.records_written, "not_recorded": self._writer.records_dropped}

    def close(self, flight_id: str, *, clean: bool) -> None:
        """Write what is left and the footer. `clean`: the flight ended as it should.

        FlightIdMismatchError for another flight's id, RecorderNotOpenError for a second call.
        """
        if flight_id != self.flight_id:
            raise FlightIdMismatchError(f"flight {flight_id} is to be closed, but {self.flight_id} is open")
        if not self._open:
            raise RecorderNotOpenError(f"flight {flight_id} is closed already")
        self._open = False
        self._stop.set()
        self._thread.join()
        try:
            self._writer.close(self._clock_ns(), clean)
        except OSError as error:
            log.error("the flight recorder could not write its end: %s", error)
        finally:
            self._writer.abandon()
            self._release()

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                self._writer.step(self._clock_ns())
            except Exception:  # the flight goes on whatever becomes of its recorder
                self._tell(3, "recorder: failed; see the log")
                log.exception("the flight recorder failed")

    def _tell(self, severity: int, text: str) -> None:
        self._alerts.append((severity, text))
        now_ns = self._clock_ns()
        if severity <= 3 and now_ns - self._logged_ns >= ERROR_NS:
            self._logged_ns = now_ns
            log.error("%s", text)


def open_flight(
    config: RecorderConfig,
    meta: RecordingMeta,
    aboard: BuildInfo,
    resumed_from: str = "",
    clock_ns: Callable[[], int] = time.monotonic_ns,
    utc_ns: Callable[[], int] = time.time_ns,
) -> FlightRecorder:
    """Open a new flight under the flight root. RecorderOpenError when it cannot be written or another one writes."""
    root = flights_root(config)
    release = _locked(root)
    try:
        key = FlightKey()
        started_ns = utc_ns()
        utc = datetime.fromtimestamp(started_ns / 1e9, UTC)
        flight_id = f"{utc:%Y%m%dT%H%M%SZ}-{fingerprint(key.public)[:6]}"
        folder = root / flight_id
        folder.mkdir()
        write_meta(folder, meta)
        header = HeaderRecord(
            clock_ns(),
            flight_id,
            utc.isoformat(timespec="microseconds"),
            boot_id(),
            aboard.versions,
            aboard.image,
            aboard.composition_sha256,
            aboard.config,
            aboard.calibration,
            aboard.manifest_sha256,
            key.public,
            resumed_from,
        )
        return FlightRecorder(folder, header, key, config, release, clock_ns, utc_ns)
    except OSError as error:
        release()
        raise RecorderOpenError(_cannot(root, error)) from error
    except BaseException:
        release()
        raise


def _locked(root: Path) -> Callable[[], None]:
    """Take the flight root for this process; returns what gives it back."""
    from filelock import FileLock, Timeout

    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / LOCK_FILE)
        lock.acquire(timeout=0)
    except Timeout:
        raise RecorderOpenError(
            f"the flight recorder cannot be opened: another process records into {root}. Stop it, or name another "
            "folder in recorder.directory."
        ) from None
    except OSError as error:
        raise RecorderOpenError(_cannot(root, error)) from error
    return lock.release


def _cannot(root: Path, error: OSError) -> str:
    return (
        f"the flight recorder cannot be opened: {root}: {error.strerror or error}. Make room there or mend its rights, "
        "or name another folder in recorder.directory."
    )
