"""A folder of photographs as a frame source: in the order of time, with what each picture says of itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.photo_info import PhotoInfo, read_photo_info
from gps_denied_onboard.messages import Frame, ImageArray
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.picture import FILE_BYTES_MAX, as_stored, check_coding, open_picture
from gps_denied_onboard.untrusted.text import shown

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
NANOSECONDS = 1_000_000_000
NOMINAL_STEP_S = 1.0
PHOTOMETRIC = 262  # TIFF's PhotometricInterpretation


class FolderSource:
    """Yields the pictures of a folder; `photos[i]` and `times_ns[i]` belong to the frame with index i.

    Ordered by the time of exposure, else by the receiver's time, else by file name (numbers by value). `time_known`
    tells whether the times mean anything; without it frames are a nominal second apart. Pictures that cannot be read
    are skipped and told in `problems`. UserError when there is no picture or when sizes differ.
    """

    def __init__(self, folder: Path, *, grey: bool = False) -> None:
        self._grey = grey
        self._problems: dict[str, None] = {}
        readable = self._read_all(_picture_files(folder))
        if not readable:
            raise UserError(
                f"none of the pictures in {folder} can be read (first: {self.problems[0]}). Give a folder of JPEG, PNG "
                "or TIFF pictures."
            )
        _refuse_mixed_sizes(readable)
        order, times_s = in_time_order(readable)
        self.time_known = times_s is not None
        self.photos: tuple[PhotoInfo, ...] = tuple(readable[k] for k in order)
        seconds = times_s if times_s is not None else [k * NOMINAL_STEP_S for k in range(len(order))]
        self._note_remarks()
        self.times_ns: tuple[int, ...] = tuple(round((s - seconds[0]) * NANOSECONDS) for s in seconds)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of every frame."""
        return self.photos[0].width_px, self.photos[0].height_px

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self._problems)

    def __len__(self) -> int:
        return len(self.photos)

    def __iter__(self) -> Iterator[Frame]:
        for index, (photo, t_ns) in enumerate(zip(self.photos, self.times_ns, strict=True)):
            try:
                image = read_image(photo.path, grey=self._grey)
            except (OSError, ValueError, SyntaxError) as error:
                self._skip(photo.path, error)
                continue
            yield Frame(t_ns, index, image, photo.path.name)

    def _note_remarks(self) -> None:
        """Tell once what pictures say of themselves that was not used, and of how many."""
        for remark, count in Counter(remark for photo in self.photos for remark in photo.remarks).items():
            self._problems[f"{count} of {len(self.photos)} pictures: {remark}"] = None
        heights = sum(photo.altitude_ellipsoid_m is not None for photo in self.photos)
        if heights:
            self._problems[
                f"{heights} of {len(self.photos)} pictures tell their altitude above the ellipsoid, not above mean sea "
                "level: it is not compared"
            ] = None

    def _read_all(self, files: Sequence[Path]) -> list[PhotoInfo]:
        found = []
        for file in files:
            try:
                found.append(read_photo_info(file))
            except (OSError, ValueError, SyntaxError) as error:
                self._skip(file, error)
        return found

    def _skip(self, path: Path, error: Exception) -> None:
        reason = str(error).splitlines()[0].replace(str(path), path.name) if str(error) else type(error).__name__
        self._problems[f"{shown(path.name)} cannot be read and was skipped: {shown(reason)}"] = None


def _picture_files(folder: Path) -> list[Path]:
    """Picture files of the folder in natural order of their names."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give a folder of photographs.")
    files = [f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith(".") and f.is_file()]
    if not files:
        inner = sorted(d.name for d in folder.iterdir() if d.is_dir())
        hint = f"; perhaps they are in its folder '{inner[0]}'" if inner else ""
        raise UserError(
            f"{folder} holds no pictures (JPEG, PNG, TIFF, BMP, WebP){hint}. Give the folder that holds them."
        )
    return sorted(files, key=natural_key)


def natural_key(path: Path) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sorts IMG_9 before IMG_10; ties by the plain name."""
    parts = re.split(r"(\d+)", path.name.lower())
    return tuple((0, int(p), "") if p.isdigit() and p.isascii() else (1, 0, p) for p in parts), path.name


def _refuse_mixed_sizes(photos: Sequence[PhotoInfo]) -> None:
    sizes = Counter((p.width_px, p.height_px) for p in photos)
    if len(sizes) == 1:
        return
    (usual, count), (other, _) = sizes.most_common(2)
    odd = next(p for p in photos if (p.width_px, p.height_px) == other)
    raise UserError(
        f"the pictures have different sizes: {count} of {len(photos)} are {usual[0]}x{usual[1]}, {odd.path.name} is "
        f"{other[0]}x{other[1]}. Give pictures of one camera in one mode; move the others to a folder of their own."
    )


def in_time_order(photos: Sequence[PhotoInfo]) -> tuple[list[int], list[float] | None]:
    """Order of `photos` (given in natural order of names), and their strictly increasing times in s, or None.

    The clock that all pictures have is used. Where only some have one, names give the order and the missing times are
    interpolated, provided that the known ones agree with the names.
    """
    shifted = [
        p.taken_s - p.utc_offset_s if p.taken_s is not None and p.utc_offset_s is not None else None for p in photos
    ]
    known_zones = {p.utc_offset_s for p in photos}
    taken = shifted if len(known_zones) > 1 and None not in known_zones else [p.taken_s for p in photos]
    clocks = (taken, [p.gps_time_s for p in photos])
    for clock in clocks:
        known = [t for t in clock if t is not None]
        if len(known) == len(photos) and (len(photos) == 1 or max(known) > min(known)):
            order = sorted(range(len(photos)), key=lambda k: (known[k], k))
            return order, _spread_equal([known[k] for k in order])
    names = list(range(len(photos)))
    for clock in clocks:
        rows = [k for k, t in enumerate(clock) if t is not None]
        values = [t for t in clock if t is not None]
        if len(rows) >= 2 and len(rows) >= len(photos) // 2 and values == sorted(values) and values[0] < values[-1]:
            step = (values[-1] - values[0]) / (rows[-1] - rows[0])
            first = values[0] - step * rows[0]
            last = values[-1] + step * (len(photos) - 1 - rows[-1])
            ends = [(-1, first - step), *zip(rows, values, strict=True), (len(photos), last + step)]
            filled = np.interp(names, [k for k, _ in ends], [t for _, t in ends])
            return names, _spread_equal([float(t) for t in filled])
    return names, None


def _spread_equal(times_s: list[float]) -> list[float]:
    """Spread pictures with one and the same time over the second (or less) that follows it."""
    out = list(times_s)
    start = 0
    for k in range(1, len(out) + 1):
        if k < len(out) and times_s[k] == times_s[start]:
            continue
        room = min(1.0, times_s[k] - times_s[start]) if k < len(out) else 1.0
        for j in range(start, k):
            out[j] += room * (j - start) / (k - start)
        start = k
    return out


def read_image(path: Path, *, grey: bool = False) -> ImageArray:
    """(H, W, 3) BGR or (H, W) grey pixels as stored, orientation flag ignored. OSError where the file is damaged.

    Pillow decodes: unlike OpenCV it does not pass off a torn picture as a whole one.
    """
    try:
        data = read_file(path, FILE_BYTES_MAX)
        check_coding(data)
        with open_picture(data) as image:
            # Pillow inverts pictures with white as the lowest value (MINISWHITE) of 8 bits only
            inverted = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0
            stored = as_stored(image)
            if stored.mode.startswith(("I", "F")):
                values = np.asarray(stored, dtype=np.float64)
                return _eight_bit(-values if inverted else values, grey=grey)
            if grey:
                return np.asarray(stored.convert("L"))
            return np.ascontiguousarray(np.asarray(stored.convert("RGB"))[:, :, ::-1])
    except UntrustedError as error:
        raise OSError(str(error)) from error


def _eight_bit(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], *, grey: bool) -> ImageArray:
    """Stretch 16- and 32-bit pixels to 8 bits between their 0.5 and 99.5 per cent points."""
    finite = values[np.isfinite(values)]
    low, high = (float(v) for v in np.percentile(finite, (0.5, 99.5))) if finite.size else (0.0, 1.0)
    scaled = (np.nan_to_num(values) - low) * (255.0 / max(high - low, 1e-9))
    image: ImageArray = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return image if grey else np.repeat(image[:, :, None], 3, axis=2)
