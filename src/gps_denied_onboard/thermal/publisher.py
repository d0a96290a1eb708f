"""The thermal state on a thread of its own: polled, its last snapshot kept, its changes handed to the flight's loop."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from gps_denied_onboard.messages import Alert, Severity, ThermalSample, ThermalState
from gps_denied_onboard.thermal.sources import JetsonSource, NvmlSource, SysfsSource, ThermalSource
from gps_denied_onboard.thermal.state import ThermalConfig, ThermalWatch

WARNING_INTERVAL_NS = 600_000_000_000


class ThermalPublisher:
    """Polls the configured sources inside its context; `take` gives what has happened since the last call."""

    def __init__(self, config: ThermalConfig, clock_ns: Callable[[], int]) -> None:
        self._config = config
        self._clock_ns = clock_ns
        self._watch = ThermalWatch(config.clear_after_s)
        self._sources = [self._open(name) for name in config.sources]
        self._events: queue.SimpleQueue[ThermalSample | Alert] = queue.SimpleQueue()
        self._warned_ns: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="thermal", daemon=True)

    @property
    def last(self) -> ThermalSample | None:
        """The newest snapshot."""
        return self._watch.last

    def poll(self) -> None:
        """Read all sources once. The thread calls it."""
        t_ns = self._clock_ns()
        readings = [reading for source in self._sources if (reading := source.read()) is not None]
        changed = self._watch.update(t_ns, readings)
        if changed is not None:
            self._events.put(changed)
        missing = self._watch.last is not None and self._watch.last.state is ThermalState.UNKNOWN
        if missing and (self._warned_ns is None or t_ns - self._warned_ns >= WARNING_INTERVAL_NS):
            self._warned_ns = t_ns
            self._events.put(Alert(t_ns, Severity.WARNING, "thermal telemetry missing; flown as not hot"))

    def take(self) -> list[ThermalSample | Alert]:
        """Changes of the state, and warnings; never waits."""
        out = []
        with contextlib.suppress(queue.Empty):
            while True:
                out.append(self._events.get_nowait())
        return out

    def __enter__(self) -> ThermalPublisher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.close()

    def close(self) -> None:
        """Stop what the sources run."""
        for source in self._sources:
            source.close()

    def _run(self) -> None:
        while True:
            self.poll()
            if self._stop.wait(self._config.poll_interval_s):
                return

    def _open(self, name: str) -> ThermalSource:
        if name == "nvml":
            return NvmlSource()
        if name == "jetson":
            return JetsonSource(self._config.jetson_python, self._config.poll_interval_s)
        return SysfsSource(Path(self._config.sysfs_directory))
