"""Live pictures on a thread of their own: a camera or a video at its own speed, thinned to the rate that is wanted."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from gps_denied_onboard.config import FramesConfig
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.camera import CameraLostError, CameraSource
from gps_denied_onboard.frames.video import VideoSource
from gps_denied_onboard.messages import Frame

WAITING_FRAMES = 2
REOPEN_S = 1.0
JOIN_S = 2.0
VIDEO_PREFIX = "video:"


class FrameReader:
    """Reads the configured source on a thread; `take` gives the oldest picture that waits, grey, stamped by `clock_ns`.

    At most WAITING_FRAMES wait; the oldest is dropped and counted. A camera that is lost is opened again for as long as
    it takes. `notes` are sentences for the log and the ground station. UserError when the source cannot be opened or
    gives another size than `size_px` (width, height), the calibration's. A context manager: the thread runs inside it.
    """

    def __init__(self, config: FramesConfig, size_px: tuple[int, int], clock_ns: Callable[[], int]) -> None:
        if not 0.0 < config.rate_hz <= 100.0:
            raise UserError(f"frames.rate_hz must be more than 0 and at most 100, got {config.rate_hz}.")
        if config.width_px < 0 or config.height_px < 0:
            raise UserError("frames.width_px and frames.height_px must not be negative; 0: as calibrated.")
        self._config = config
        self._size_px = size_px
        self._clock_ns = clock_ns
        self._period_ns = round(1e9 / config.rate_hz)
        self._queue: queue.Queue[Frame] = queue.Queue(WAITING_FRAMES)
        self._notes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self.read = self.dropped = 0
        self._camera: CameraSource | None = None
        self._video: VideoSource | None = None
        if config.source.startswith(VIDEO_PREFIX):
            self._video = VideoSource(Path(config.source.removeprefix(VIDEO_PREFIX)))
            self._check_size(self._video.size_px)
        else:
            self._camera = self._open_camera()
            try:
                self._check_size(self._camera.size_px)
            except UserError:
                self._camera.close()
                raise

    def take(self) -> Frame | None:
        """The oldest picture that waits, or None; never waits."""
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return None

    def notes(self) -> list[str]:
        """What has happened since the last call, one sentence each."""
        out = []
        with contextlib.suppress(queue.Empty):
            while True:
                out.append(self._notes.get_nowait())
        return out

    def __enter__(self) -> FrameReader:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(JOIN_S)
        if self._camera is not None and not self._thread.is_alive():
            self._camera.close()

    def _run(self) -> None:
        try:
            for frame in self._video_frames(self._video) if self._video is not None else self._camera_frames():
                self._put(frame)
                if self._stop.is_set():
                    return
        except Exception as error:  # the flight goes on without pictures, and says so
            self._notes.put(f"pictures have ended: {error}")
            return
        if not self._stop.is_set():
            self._notes.put("pictures have ended: the video is over")

    def _put(self, frame: Frame) -> None:
        if (frame.image.shape[1], frame.image.shape[0]) != self._size_px:
            self.dropped += 1
            self._notes.put("a picture of another size than the calibration's was dropped")
            return
        self.read += 1
        while True:
            try:
                self._queue.put_nowait(_grey(frame))
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._queue.get_nowait()
                    self.dropped += 1

    def _video_frames(self, video: VideoSource) -> Iterator[Frame]:
        """Frames at the times that the video gives them, the first one now."""
        start_ns = self._clock_ns()
        due_ns = 0
        for frame in video:
            if frame.t_ns < due_ns - self._period_ns // 10:
                continue
            due_ns = max(due_ns + self._period_ns, frame.t_ns)
            t_ns = start_ns + frame.t_ns
            while (wait_ns := t_ns - self._clock_ns()) > 0:
                if self._stop.wait(wait_ns / 1e9):
                    return
            yield replace(frame, t_ns=t_ns)

    def _camera_frames(self) -> Iterator[Frame]:
        """Frames as the camera gives them; after a loss the camera is opened again."""
        due_ns = 0
        while not self._stop.is_set():
            try:
                camera = self._camera = self._camera or self._open_camera()
                frame = camera.read()
            except (CameraLostError, UserError) as error:
                self._notes.put(str(error))
                if self._camera is not None:
                    self._camera.close()
                    self._camera = None
                self._stop.wait(REOPEN_S)
                continue
            if frame.t_ns >= due_ns - self._period_ns // 10:
                due_ns = max(due_ns + self._period_ns, frame.t_ns)
                yield frame

    def _open_camera(self) -> CameraSource:
        source = self._config.source
        return CameraSource(
            int(source) if source.isascii() and source.isdigit() else source,
            self._clock_ns,
            width_px=self._config.width_px or self._size_px[0],
            height_px=self._config.height_px or self._size_px[1],
            rate_hz=0.0,
            exposure_delay_ns=round(self._config.exposure_delay_s * 1e9),
        )

    def _check_size(self, size_px: tuple[int, int]) -> None:
        if size_px != self._size_px:
            raise UserError(
                f"frames.source '{self._config.source}' gives {size_px[0]}x{size_px[1]} px, the camera calibration is "
                f"for {self._size_px[0]}x{self._size_px[1]}. Give the calibration of this camera mode, or set "
                "frames.width_px and frames.height_px to a mode that the camera has."
            )


def _grey(frame: Frame) -> Frame:
    if frame.image.ndim == 2:
        return frame
    import cv2
    import numpy as np

    return replace(frame, image=np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), dtype=np.uint8))
