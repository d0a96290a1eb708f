"""A video file as a frame source, each frame with the time that the container gives it."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.container import missing_bytes, shown_seconds
from gps_denied_onboard.frames.interlace import says_interlaced
from gps_denied_onboard.messages import Frame, ImageArray
from gps_denied_onboard.untrusted.picture import PIXELS_MAX, is_video
from gps_denied_onboard.untrusted.text import shown

if TYPE_CHECKING:
    import cv2

NANOSECONDS = 1_000_000_000
PROBED_FRAMES = 4
COUNTED = frozenset({".mp4", ".mov", ".m4v", ".avi"})


class VideoSource:
    """Yields every `every`-th frame, or the frames numbered in `indices`; the others are not converted to pixels.

    `t_ns` is the container's time stamp, so variable frame rates are right; where it has none the nominal rate is used
    and `problems` says so. Pixels are those that the sensor stored: a rotation for display turns nothing, as a
    picture's orientation flag does not; pixels that are not square are made so in width. Both are told, and a torn end.
    UserError when the file is no video that can be opened, or one in fields (interlaced), of which the decoder gives
    no pictures.
    """

    def __init__(
        self, path: Path, *, every: int = 1, indices: Collection[int] | None = None, grey: bool = False
    ) -> None:
        if every < 1:
            raise UserError(f"every n-th frame: n must be at least 1, got {every}.")
        self._path = path
        self._every = every
        self._indices = None if indices is None else frozenset(indices)
        self._grey = grey
        self._problems: dict[str, None] = {}
        import cv2

        capture = self._open()
        try:
            stored = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
            self._stored_px = stored
            self.size_px = (round(stored[0] * self._pixel_aspect(capture)), stored[1])
            self._fourcc = capture.get(cv2.CAP_PROP_FOURCC)
            self._note_rotation(float(capture.get(cv2.CAP_PROP_ORIENTATION_META)))
            self.claimed_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            if max(stored[0], self.size_px[0]) * stored[1] > PIXELS_MAX:
                raise UserError(f"{path} claims frames of {self.size_px[0]}x{self.size_px[1]}; give a smaller video.")
            rate = float(capture.get(cv2.CAP_PROP_FPS))
            self.nominal_rate_hz = rate if math.isfinite(rate) and 0.01 <= rate <= 1000.0 else 0.0
            self._last_in_fields: Any = None
            self._may_be_in_fields = says_interlaced(path)
            if self._may_be_in_fields:
                self._check_pictures(capture)
        finally:
            capture.release()

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self._problems)

    def __iter__(self) -> Iterator[Frame]:
        import cv2

        last_wanted = max(self._indices, default=-1) if self._indices is not None else None
        capture = self._open()
        clock = FrameClock(self._path.name, self.nominal_rate_hz, self._problems)
        self._last_in_fields = None
        index = 0
        try:
            while last_wanted is None or index <= last_wanted:
                if not capture.grab():
                    self._note_short(index)
                    return
                t_ns = clock.time_ns(float(capture.get(cv2.CAP_PROP_POS_MSEC)))
                if self._wanted(index):
                    image = self._pixels(capture, index)
                    if image is not None:
                        yield Frame(t_ns, index, image, f"{self._path.name}#{index}")
                index += 1
        finally:
            capture.release()

    def _check_pictures(self, capture: cv2.VideoCapture) -> None:
        """UserError where the decoder gives the same buffer for each picture."""
        first: Any = None
        for _ in range(PROBED_FRAMES):
            decoded, image = capture.read()
            if not decoded or image is None:
                return
            if first is not None and not np.array_equal(image, first):
                return
            first = image
        raise UserError(
            f"{self._path} is interlaced: its pictures are stored in fields, of which the decoder gives none. Convert "
            f"it with `ffmpeg -i {self._path.name} -vf bwdif -c:v libx264 -crf 14 frames.mp4`, or let the camera "
            "record whole frames (progressive)."
        )

    def _wanted(self, index: int) -> bool:
        return index in self._indices if self._indices is not None else index % self._every == 0

    def _pixels(self, capture: cv2.VideoCapture, index: int) -> ImageArray | None:
        import cv2

        decoded, image = capture.retrieve()
        if not decoded or image is None or image.size == 0:
            self._problems[f"{self._path.name}: frame {index} cannot be decoded and was skipped"] = None
            return None
        if (image.shape[1], image.shape[0]) != self._stored_px:
            raise UserError(
                f"{self._path}: frame {index} is {image.shape[1]}x{image.shape[0]}, the video began as "
                f"{self._stored_px[0]}x{self._stored_px[1]}. Cut it where the size changes and give one part."
            )
        if self._may_be_in_fields:
            repeated = self._last_in_fields is not None and np.array_equal(image, self._last_in_fields)
            self._last_in_fields = image
            if repeated:
                self._problems[
                    f"{self._path.name}: some of its frames are interlaced, of which the decoder gives none; they were "
                    f"skipped. `ffmpeg -i {self._path.name} -vf bwdif -c:v libx264 -crf 14 frames.mp4` makes them whole"
                ] = None
                return None
        pixels = np.asarray(image, dtype=np.uint8)
        if self.size_px != self._stored_px:
            pixels = np.asarray(cv2.resize(pixels, self.size_px, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), dtype=np.uint8) if self._grey else pixels

    def _note_short(self, frames: int) -> None:
        """Tell where frames are lost: the file is shorter than its container says, or an exact count is not reached.

        The count is exact in MP4, MOV (less what an edit list leaves out) and AVI; in others it is the product of a
        duration and a rate, which a start offset makes too large.
        """
        missing = missing_bytes(self._path)
        if not frames and not missing:
            code = max(int(self._fourcc), 0).to_bytes(4, "little").decode("ascii", "replace")
            raise UserError(
                f"{self._path}: no picture of it can be decoded; its coding ({shown(code, 8)}) is none that is known "
                f"here, or it is damaged: convert it with `ffmpeg -i {self._path.name} -c:v libx264 -crf 14 "
                "frames.mp4`."
            )
        expected = float(self.claimed_frames) if self._path.suffix.lower() in COUNTED else 0.0
        if self.nominal_rate_hz > 0.0:
            expected = min(expected, 0.9 * shown_seconds(self._path) * self.nominal_rate_hz)
        if missing or frames < expected - 2:
            why = f"{missing} bytes are missing at its end" if missing else "it is torn or damaged"
            self._problems[
                f"{self._path.name} ends after {frames} of {self.claimed_frames} frames: {why}; "
                "what came before was used. Copy it again if the original is whole."
            ] = None

    def _note_rotation(self, degrees: float) -> None:
        if degrees % 360.0:
            self._problems[
                f"{self._path.name} is to be shown turned by {degrees % 360.0:g} degrees; its frames are used as the "
                "sensor stored them, their top is the sensor's"
            ] = None

    def _pixel_aspect(self, capture: cv2.VideoCapture) -> float:
        """Width of a pixel over its height."""
        import cv2

        across, down = (float(capture.get(p)) for p in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
        aspect = across / down if across > 0.0 and down > 0.0 else 1.0
        if not 0.25 <= aspect <= 4.0 or abs(aspect - 1.0) < 1e-3:
            return 1.0
        self._problems[
            f"{self._path.name} has pixels {aspect:.3f} times as wide as high; its frames were stretched to square ones"
        ] = None
        return aspect

    def _open(self) -> cv2.VideoCapture:
        if not self._path.is_file():
            raise UserError(f"{self._path} is not a file; give a video file.")
        if not is_video(self._path):  # the decoder would follow a playlist to other files and addresses
            raise UserError(
                f"{self._path} cannot be opened as a video: it does not begin as one (MP4, MOV, AVI, Matroska, MPEG). "
                "A playlist or description of other files is not followed; give the video itself."
            )
        import cv2

        capture = open_quietly(str(self._path))
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        if not capture.isOpened():
            raise UserError(
                f"{self._path} cannot be opened as a video: it is damaged, incomplete (an MP4 that was cut off has no "
                "index) or of a kind that is not supported. Repair it or convert it to H.264 in MP4."
            )
        return capture


class FrameClock:
    """Strictly increasing times of successive frames, zero at the first; what is not so is told in `problems`."""

    def __init__(self, name: str, rate_hz: float, problems: dict[str, None]) -> None:
        self._name, self._problems = name, problems
        self._rate_hz = rate_hz
        self._last_ns: int | None = None
        self._first_stamp_ns = 0

    def time_ns(self, stamp_ms: float) -> int:
        """Time of the next frame, whose container says `stamp_ms`."""
        stamp_ns = round(stamp_ms * 1e6) if math.isfinite(stamp_ms) else -1
        if self._last_ns is None:
            self._first_stamp_ns = max(stamp_ns, 0)
            self._last_ns = 0
            return 0
        t_ns = stamp_ns - self._first_stamp_ns
        if t_ns <= self._last_ns:
            t_ns = self._last_ns + self._step_ns()
        self._last_ns = t_ns
        return t_ns

    def _step_ns(self) -> int:
        if self._rate_hz <= 0.0:
            raise UserError(
                f"{self._name} has neither time stamps nor a frame rate; convert it with a stated rate (for example "
                "ffmpeg -r 30) and try again."
            )
        self._problems[
            f"{self._name}: some frames have no increasing time stamp; the nominal {self._rate_hz:.3f} frames/s "
            "was used for them. Speeds may be wrong where the frame rate varies."
        ] = None
        return round(NANOSECONDS / self._rate_hz)


FILES = "protocol_whitelist;file"
STREAMS = "rtsp_flags;prefer_tcp|protocol_whitelist;http,https,httpproxy,rtmp,rtp,rtsp,srtp,tcp,tls,udp"
"""Options of the decoder. A file of a stranger may name an address inside it, which must not be reached; that of a
camera comes from the operator. RTSP goes over TCP where the camera can, as it does where no option is given."""
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def open_quietly(source: str | int, options: str = FILES) -> cv2.VideoCapture:
    """Open a capture without the decoder's own lines on stderr: callers say in a sentence what is wrong. `options` of
    the decoder give way to those that are in the environment already."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    own = _OPTIONS in os.environ
    if not own:
        os.environ[_OPTIONS] = options
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(source) if isinstance(source, int) else cv2.VideoCapture(source, cv2.CAP_FFMPEG)
    except cv2.error:
        return cv2.VideoCapture()
    finally:
        cv2.utils.logging.setLogLevel(level)
        if not own:
            del os.environ[_OPTIONS]
