"""A live camera through OpenCV: a device number, a device path or a stream address."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.video import FILES, STREAMS, open_quietly
from gps_denied_onboard.messages import Frame

MAX_FAILED_READS = 10
CLOCK_RUNS_AFTER = 3


class CameraLostError(RuntimeError):
    """The camera stopped giving pictures; whoever runs the flight opens it again."""


class SourceClock:
    """Whether the stamps that a source itself gives its pictures stand still, in ms; most sources have none.

    A source whose stamps have risen a few times and then do not is sending its last picture again.
    """

    def __init__(self) -> None:
        self._last_ms = 0.0
        self._rises = 0

    def stands(self, stamp_ms: float) -> bool:
        """Whether this picture has the stamp of the one before, from a source whose clock runs."""
        if not stamp_ms > 0.0:  # none, also NaN
            self._rises = 0
            return False
        rise_ms, self._last_ms = stamp_ms - self._last_ms, stamp_ms
        if rise_ms == 0.0:
            return self._rises >= CLOCK_RUNS_AFTER
        self._rises = self._rises + 1 if rise_ms > 0.0 else 0
        return False


class CameraSource:
    """Yields frames as the camera gives them, stamped by `clock_ns` when the picture has arrived.

    `exposure_delay_ns` is what the camera needs from the middle of the exposure to delivery, and is taken off. The size
    and rate asked for are wishes: `size_px` is what the camera really gives. UserError when it cannot be opened,
    CameraLostError when it stops, or when the clock of its pictures does.
    """

    def __init__(
        self,
        device: int | str,
        clock_ns: Callable[[], int],
        *,
        width_px: int = 0,
        height_px: int = 0,
        rate_hz: float = 0.0,
        exposure_delay_ns: int = 0,
    ) -> None:
        import cv2

        self._device = device
        self._clock_ns = clock_ns
        self._exposure_delay_ns = exposure_delay_ns
        self._problems: dict[str, None] = {}
        self._index = 0
        self._clock = SourceClock()
        remote = isinstance(device, str) and "://" in device
        self._capture = open_quietly(device, STREAMS if remote else FILES)
        if not self._capture.isOpened():
            self._capture.release()
            raise UserError(
                f"camera '{device}' cannot be opened: is it plugged in, is the name right, may this user read it "
                "(group video), and does no other program use it?"
            )
        wishes = (
            (cv2.CAP_PROP_FRAME_WIDTH, float(width_px)),
            (cv2.CAP_PROP_FRAME_HEIGHT, float(height_px)),
            (cv2.CAP_PROP_FPS, rate_hz),
            (cv2.CAP_PROP_BUFFERSIZE, 1.0),
        )
        for wish, value in wishes:
            if value > 0.0:
                self._capture.set(wish, value)
        self.size_px = (
            int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self._problems)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            yield self.read()

    def read(self) -> Frame:
        """The next picture; waits for it. CameraLostError after MAX_FAILED_READS failures in a row."""
        import cv2

        stood = False
        for _ in range(MAX_FAILED_READS):
            grabbed = self._capture.grab()
            t_ns = self._clock_ns() - self._exposure_delay_ns
            if not grabbed:
                continue
            stood = self._clock.stands(float(self._capture.get(cv2.CAP_PROP_POS_MSEC)))
            if stood:
                self._problems[f"camera '{self._device}': a picture with the last one's stamp was skipped"] = None
                continue
            decoded, image = self._capture.retrieve()
            self._index += 1
            if decoded and image is not None and image.size:
                return Frame(t_ns, self._index - 1, np.asarray(image, dtype=np.uint8))
            self._problems[f"camera '{self._device}': a picture arrived damaged and was skipped"] = None
        what = "new picture (the clock of its pictures stands still)" if stood else "picture"
        raise CameraLostError(f"camera '{self._device}' gave no {what} {MAX_FAILED_READS} times in a row")

    def close(self) -> None:
        """Release the device; a second call does nothing."""
        self._capture.release()
