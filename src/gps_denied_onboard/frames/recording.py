"""The pictures of a recording, loaded one by one as their records come by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.folder import read_image
from gps_denied_onboard.messages import Frame
from gps_denied_onboard.recorder.kinds import FrameRecord
from gps_denied_onboard.recorder.meta import FRAMES_FOLDER
from gps_denied_onboard.untrusted.folders import inside, is_plain
from gps_denied_onboard.untrusted.text import shown


class RecordingFrames:
    """Loads the pictures that a recording's frame records name.

    `expected_size_px` is the calibration's (width, height), as a picture of another shape must not be navigated by.
    Pictures that are missing or cannot be read are left out and told in `problems`.
    """

    def __init__(
        self,
        directory: Path,
        records: Iterable[FrameRecord] = (),
        *,
        expected_size_px: tuple[int, int] | None = None,
        grey: bool = False,
    ) -> None:
        self._folder = inside(directory, FRAMES_FOLDER)
        self._records = records
        self._size_px = expected_size_px
        self._grey = grey
        self._problems: dict[str, None] = {}
        if not self._folder.is_dir():
            raise UserError(
                f"{directory} holds no folder '{FRAMES_FOLDER}'; give a whole recording, pictures included."
            )

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self._problems)

    def __iter__(self) -> Iterator[Frame]:
        for record in self._records:
            frame = self.load(record)
            if frame is not None:
                yield frame

    def load(self, record: FrameRecord) -> Frame | None:
        """The frame of a record, or None (and a noted problem) where its picture cannot be had."""
        plain = bool(record.name) and Path(record.name).name == record.name and "\0" not in record.name
        if not plain or record.name in (".", ".."):
            name = shown(record.name, 80)
            self._problems[f"frame {record.index}: '{name}' is not a plain file name; left out"] = None
            return None
        path = self._folder / record.name
        if path.is_symlink() or (path.exists() and not is_plain(path)):
            self._problems[f"frame {record.index}: '{shown(record.name, 80)}' is no plain file; left out"] = None
            return None
        try:
            image = read_image(path, grey=self._grey)
        except FileNotFoundError:
            self._problems[f"frame {record.index}: {record.name} is missing; left out"] = None
            return None
        except (OSError, ValueError, SyntaxError) as error:
            reason = str(error).splitlines()[0].replace(str(path), record.name) if str(error) else "damaged"
            self._problems[f"frame {record.index}: {record.name} cannot be read and was left out: {reason}"] = None
            return None
        size = (image.shape[1], image.shape[0])
        if self._size_px is not None and size != self._size_px:
            raise UserError(
                f"{path} is {size[0]}x{size[1]}, the camera calibration is for "
                f"{self._size_px[0]}x{self._size_px[1]}. Give the calibration of this camera and mode."
            )
        self._size_px = size
        return Frame(record.t_ns, record.index, image, record.name)
