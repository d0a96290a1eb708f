"""Pictures of a test flight, kept on a thread of their own: the flight never waits for a disk."""

from __future__ import annotations

import queue
import threading
import traceback
from types import TracebackType

from gps_denied_onboard.messages import Frame
from gps_denied_onboard.recorder.pictures import PictureStore, log

WAITING_MAX = 8
END_S = 10.0


class PictureKeeper:
    """A context manager around a PictureStore. `offer` never waits: what the disk does not take in time is lost, and
    counted. Leaving it writes what waits, for END_S at most."""

    def __init__(self, store: PictureStore) -> None:
        self._store = store
        self._waiting: queue.Queue[Frame | None] = queue.Queue(WAITING_MAX)
        self._overrun = 0
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)

    def offer(self, frame: Frame) -> None:
        """A new frame, at its own time; called by the flight's loop."""
        if not self._store.wants(frame.t_ns):
            return
        try:
            self._waiting.put_nowait(frame)
        except queue.Full:
            self._overrun += 1

    def counters(self) -> dict[str, int]:
        """For the status line: kept and lost so far, and what they take."""
        store = self._store
        return {
            "pictures": store.kept,
            "pictures_lost": store.lost + self._overrun,
            "pictures_mb": store.bytes // 10**6,
        }

    def __enter__(self) -> PictureKeeper:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._waiting.put(None, timeout=END_S)
        except queue.Full:
            return
        self._thread.join(END_S)

    def _run(self) -> None:
        while (frame := self._waiting.get()) is not None:
            try:
                self._store.keep(frame)
            except Exception:  # the flight goes on whatever becomes of its pictures
                self._store.lost += 1
                log.error("a picture could not be kept: %s", traceback.format_exc())
