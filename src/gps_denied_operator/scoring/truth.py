"""Truth to score by: of a simulated recording, of a CSV table, of the photographs' own metadata."""

from __future__ import annotations

import csv
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.geodesy import signed_longitude
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.scoring.subtitles import SubtitlePlace, is_subtitles, read_subtitles
from gps_denied_operator.scoring.units import E7_MIN, SCALES, scale_of, split_unit

if TYPE_CHECKING:
    from gps_denied_onboard.frames.photo_info import PhotoInfo
    from gps_denied_onboard.messages import TruthSample

Key = TypeVar("Key")

TIME_TOLERANCE_S = 0.05
ROWS_MAX = 5_000_000
COLUMNS_MAX = 5_000
TABLE_BYTES_MAX = 500_000_000

LATITUDE = ("latitude_deg", "latitude", "lat", "lat_deg", "gps_latitude", "y_latitude", "y_deg")
LONGITUDE = ("longitude_deg", "longitude", "lon", "lng", "long", "lon_deg", "gps_longitude", "x_longitude", "x_deg")
ALTITUDE = (
    "altitude_above_sealevel", "altitude_above_sea_level", "altitude_amsl", "altitude_msl", "alt_amsl",
    "altitude_amsl_m", "altitude_m", "altitude", "alt", "alt_m", "height_m", "elevation_m", "elevation",
    "gps_altitude", "z_altitude",
)  # fmt: skip
BOTH = ("gps_position", "position", "gps", "lat_lon", "latlon", "lat_lng", "latlng", "lat_long", "latlong")
"""Names of one column with latitude and longitude, in this order, where neither has its own."""
FRAME = ("frame", "frame_index", "index", "frame_number", "frame_id")
NAME = (
    "file", "filename", "file_name", "name", "image", "image_name", "photo", "picture", "sourcefile", "source_file",
    "label",
)  # fmt: skip
HEMISPHERES = {
    "latitude": ("lat", "latitude", "gps_latitude"),
    "longitude": ("lon", "lng", "longitude", "gps_longitude"),
}
"""Names of columns beside which one with `_ref` holds the letter of the hemisphere, as exiftool writes them."""
TIME = ("t_s", "time_s", "timestamp_s", "seconds", "t", "time")
TIME_WITH_UNIT = (
    "timestamp", "time_boot", "flight_time", "fly_time", "flytime", "elapsed_time", "elapsed", "offset_time",
)  # fmt: skip
"""Names of clocks of many units: taken only where the unit is told."""
LOG_PREFIXES = ("osd_", "gps_", "custom_")
"""Of flight logs' tables (DJI's as exported, GPS messages): left out where nothing matches with them."""
CLOCK_S_MIN = 1e8
"""Three years: no frame is so late after the first."""


@dataclass(frozen=True, slots=True)
class TruePlace:
    """A true position; the altitude is above mean sea level where it is known."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float | None = None


Lookup = Callable[[int, str, int], TruePlace | None]
"""Truth of a frame by its index, name and t_ns; None where it has none."""


# --- of a simulated recording -----------------------------------------------------------------------------------------


def truth_of_samples(samples: Iterable[TruthSample]) -> Lookup:
    """Linear interpolation between true states; None outside them."""
    rows = [(s.t_ns, s.latitude_deg, s.longitude_deg, s.altitude_amsl_m) for s in samples]
    times_ns = np.array([row[0] for row in rows], dtype=np.int64)
    columns = np.array([row[1:] for row in rows], dtype=float).reshape(-1, 3)

    def look_up(_index: int, _name: str, t_ns: int) -> TruePlace | None:
        if not len(times_ns) or not times_ns[0] <= t_ns <= times_ns[-1]:
            return None
        since_s = (times_ns - t_ns) / 1e9
        return TruePlace(*(float(np.interp(0.0, since_s, column)) for column in columns.T))

    return look_up


# --- of the photographs themselves ------------------------------------------------------------------------------------


def truth_of_photos(photos: Sequence[PhotoInfo]) -> Lookup:
    """The position in each picture's metadata."""
    places = {k: _photo_place(photo) for k, photo in enumerate(photos)}
    return lambda index, _name, _t_ns: places.get(index)


def _photo_place(photo: PhotoInfo) -> TruePlace | None:
    if photo.latitude_deg is None or photo.longitude_deg is None:
        return None
    return TruePlace(photo.latitude_deg, photo.longitude_deg, photo.altitude_amsl_m)


# --- of a table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TruthTable:
    """A truth CSV: `key` says what its rows name ("frame", "name" or "time")."""

    path: Path
    key: str
    by_frame: Mapping[int, TruePlace]
    by_name: Mapping[str, TruePlace]
    times_s: tuple[float, ...]
    by_time: tuple[TruePlace, ...]

    def __len__(self) -> int:
        return len(self.by_frame) or len(self.by_name) or len(self.by_time)

    def lookup(self) -> Lookup:
        """Truth of a frame; times match to 50 ms, names without their folder, with or without suffix."""
        if self.key == "frame":
            return lambda index, _name, _t_ns: self.by_frame.get(index)
        if self.key == "name":
            return lambda _index, name, _t_ns: self.by_name.get(plain_name(name)) or self.by_name.get(name_stem(name))
        return lambda _index, _name, t_ns: self._at(t_ns / 1e9)

    def frame_numbers(self) -> tuple[int, ...]:
        """The frames that have truth; empty when the table does not go by frame number."""
        return tuple(sorted(self.by_frame))

    def _at(self, t_s: float) -> TruePlace | None:
        k = bisect_left(self.times_s, t_s)
        near = [j for j in (k - 1, k) if 0 <= j < len(self.times_s)]
        best = min(near, key=lambda j: abs(self.times_s[j] - t_s), default=None)
        return self.by_time[best] if best is not None and abs(self.times_s[best] - t_s) <= TIME_TOLERANCE_S else None


def read_truth_csv(path: Path, keys: Sequence[str] = ("frame", "time", "name")) -> TruthTable:
    """Read a truth table. UserError, naming file and line, for whatever could make the score wrong.

    Subtitles that DJI's aircraft write beside a video (SRT) are read, too.

    Columns by name (case, units in brackets and many spellings forgiven): latitude, longitude, and one of frame number,
    file name or time in seconds since the first frame; `keys` is the order in which these are preferred. Frames may be
    missing; rows whose position is empty are left out.
    """
    text = _text(path, "--truth")
    if is_subtitles(text):
        return _of_subtitles(path, read_subtitles(path, text))
    header, rows = _rows(path, text, "frame, latitude_deg and longitude_deg")
    header, rows = _apart(path, header, rows)
    columns = _columns(path, header)
    frames: dict[int, TruePlace] = {}
    names: dict[str, TruePlace] = {}
    times: list[tuple[float, TruePlace]] = []
    key = next(k for k in keys if k in columns)
    _refuse_parts(path, header)
    letters = {what: _hemisphere_column(header, names) for what, names in HEMISPHERES.items()}
    columns = _in_e7(columns, rows)
    for line, row in rows:
        place = _place(path, line, row, columns, letters)
        if place is None:
            continue
        told = row[columns[key][0]].strip()
        if key == "name":
            _keep(names, plain_name(told), place, path, line, told)
            names.setdefault(name_stem(told), place)
        elif key == "frame":
            _keep(frames, frame_number(path, line, told), place, path, line, told)
        else:
            times.append((finite_number(path, line, told, "time") * columns[key][1], place))
    if not (frames or names or times):
        raise UserError(f"{path} has no row with a position; fill in latitude_deg and longitude_deg.")
    if times and times[0][0] > CLOCK_S_MIN:
        raise UserError(
            f"{path}: the time {times[0][0]:.3f} s is that of a clock (since 1970 or power-up); give seconds since the "
            "first frame in a column t_s."
        )
    _refuse_disorder(path, [t for t, _ in times], "time")
    _refuse_disorder(path, list(frames), "frame number")
    return TruthTable(path, key, frames, names, tuple(t for t, _ in times), tuple(p for _, p in times))


def _of_subtitles(path: Path, blocks: Sequence[SubtitlePlace]) -> TruthTable:
    """By frame where each block counts them, as one block a frame does, else by time."""
    places = [TruePlace(block.latitude_deg, block.longitude_deg, block.altitude_m) for block in blocks]
    frames = {block.frame: place for block, place in zip(blocks, places, strict=True) if block.frame is not None}
    if len(frames) == len(blocks):
        return TruthTable(path, "frame", frames, {}, (), ())
    times = tuple(block.t_s for block in blocks)
    _refuse_disorder(path, times, "time")
    return TruthTable(path, "time", {}, {}, times, tuple(places))


def read_rows(path: Path, option: str, columns: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and numbered rows of a table. UserError, naming the command's `option` that gave it and the `columns` that
    it needs, where it is none."""
    return _rows(path, _text(path, option), columns)


def _text(path: Path, option: str) -> str:
    try:
        return _decoded(read_file(path, TABLE_BYTES_MAX))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; give {option} exif or the path of a CSV file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a CSV text file ({error}); save it as UTF-8 CSV.") from error


def _rows(path: Path, text: str, columns: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    if text.count("\n") + text.count("\r") > 2 * ROWS_MAX:
        raise UserError(f"{path} has more than {ROWS_MAX} rows; give the table of one flight.")
    text = _from_header(text)
    head = text.split("\n", 1)[0]
    separator = max(",;\t|", key=head.count)
    if separator not in head and len(head.split()) > 1:
        separator = " "
    try:
        lines = list(csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=separator == " "))
    except csv.Error as error:
        raise UserError(f"{path} cannot be read as a CSV text file ({error}); save it as UTF-8 CSV.") from error
    if not lines:
        raise UserError(f"{path} is empty; give a table with {columns}.")
    if len(lines[0]) > COLUMNS_MAX:
        raise UserError(f"{path} has {len(lines[0])} columns, more than {COLUMNS_MAX}; give a table with {columns}.")
    if len(lines) > ROWS_MAX:
        raise UserError(f"{path} has more than {ROWS_MAX} rows; give the table of one flight.")
    rows = [(n, row) for n, row in enumerate(lines[1:], 2) if any(cell.strip() for cell in row)]
    for line, row in rows:
        if len(row) < len(lines[0]):
            count = f"{len(row)} columns where the header has {len(lines[0])}"
            raise UserError(f"{path}, line {line}: {count}; complete the line.")
        if sum(bool(cell.strip()) for cell in row[len(lines[0]) :]) > 1:  # 48,5,37,2: four cells for two numbers
            count = f"{len(row)} columns where the header has {len(lines[0])}"
            raise UserError(
                f"{path}, line {line}: {count}: decimal commas in a table of commas? Save it with points, or with "
                "semicolons between the columns."
            )
    return lines[0], rows


def _from_header(text: str) -> str:
    """A table's text without what may stand before its header: Excel's own line, comments, the mark of a comment."""
    at = text.find("\n") + 1 if text[:100].strip().lower().startswith("sep=") else 0
    while text.startswith("#", at):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        more = text.startswith("#", end + 1) and "lat" not in text[at:end].lower()  # as Metashape's coordinate system
        if not more and any(text.find(mark, at, end) >= 0 for mark in ",;\t"):
            break
        at = min(end + 1, len(text))
    return text[at:].removeprefix("#")


def _decoded(data: bytes) -> str:
    """Text of UTF-8 or UTF-16, or of Windows' western encoding where its first line is plain."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    for encoding, zero in (("utf-16-le", 1), ("utf-16-be", 0)):  # without its mark: plain letters with zeros between
        head = data[:64]
        if len(head) >= 8 and not any(head[zero::2]) and all(head[1 - zero :: 2]):
            return data.decode(encoding)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        head = data.split(b"\n", 1)[0]
        if b"\0" in data or sum(byte > 126 for byte in head) * 4 > len(head):
            raise
        return data.decode("cp1252")


def _apart(
    path: Path, header: list[str], rows: list[tuple[int, list[str]]]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The table with latitude and longitude in columns of their own, where one holds both as exiftool's GPSPosition
    and radio transmitters' logs do. UserError, naming the line, for a cell that is no two angles."""
    cells = [split_unit(cell) for cell in header]
    try:
        own = _column("latitude", LATITUDE, cells) or _column("longitude", LONGITUDE, cells)
    except ValueError:  # a unit that is not known, told below
        return header, rows
    if own is not None:
        return header, rows
    at = next((number for name in BOTH for number, (plain, _) in enumerate(cells) if plain == name), None)
    if at is None:
        return header, rows
    found = []
    for line, row in rows:
        told = row[at].strip()
        pair = told.split(",") if "," in told else told.split(";") if ";" in told else told.split()
        if told and len(pair) != 2:
            raise UserError(f"{path}, line {line}: '{shown(told, 60)}' is no latitude and longitude in degrees.")
        found.append((line, [*row, *(pair if told else ("", ""))]))
    return [*header, "latitude", "longitude"], found


def _columns(path: Path, header: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Column and factor to seconds, metres or degrees of what is told. UserError for a unit that is not known."""
    cells = [split_unit(cell) for cell in header]
    wanted = {"latitude": LATITUDE, "longitude": LONGITUDE, "altitude": ALTITUDE}
    wanted |= {"frame": FRAME, "name": NAME, "time": TIME}
    found: dict[str, tuple[int, float]] = {}
    for what, spellings in wanted.items():
        try:
            column = _column(what, spellings, cells)
        except ValueError as error:
            units = ", ".join(sorted(SCALES[what])[:12])
            raise UserError(
                f"{path}: the {what} is in '{error}', a unit that is not known; name one of {units}."
            ) from None
        if column is not None:
            found[what] = column
    for what, example in (("latitude", "latitude_deg"), ("longitude", "longitude_deg")):
        if what not in found:
            raise UserError(f"{path} has no column for {what} (it has {', '.join(header)[:200]}); name it {example}.")
    if not {"frame", "name", "time"} & set(found):
        raise UserError(
            f"{path} does not say which frame a row is of (its columns: {', '.join(header)[:200]}); add a column frame "
            "(number in the video), file (name of the photograph) or t_s (seconds since the first frame)."
        )
    return found


def _column(what: str, spellings: Sequence[str], cells: Sequence[tuple[str, str]]) -> tuple[int, float] | None:
    """The first column with one of the spellings, as it stands or behind a log's prefix, and its factor."""
    strict = [(name, True) for name in TIME_WITH_UNIT] if what == "time" else []
    for cut in (False, True):
        for name, needs_unit in [*((name, False) for name in spellings), *strict]:
            for number, (plain, unit) in enumerate(cells):
                prefix = next((p for p in LOG_PREFIXES if plain.startswith(p)), "") if cut else ""
                scale = scale_of(what, plain.removeprefix(prefix), unit, name, needs_unit=needs_unit)
                if scale is not None:
                    return number, scale
    return None


def _hemisphere_column(header: Sequence[str], names: Sequence[str]) -> int | None:
    wanted = {f"{name}{ending}" for name in names for ending in ("_ref", "_hemisphere", "_dir", "_direction")}
    return next((number for number, cell in enumerate(header) if split_unit(cell)[0] in wanted), None)


def _refuse_parts(path: Path, header: Sequence[str]) -> None:
    """UserError where degrees and minutes have columns of their own: the degrees alone would be a place far off."""
    plain = [split_unit(cell)[0] for cell in header]
    parts = [cell for cell in plain if re.fullmatch(r"(lat|latitude)_(min|mins|minutes?|m)", cell)]
    if parts:
        raise UserError(f"{path} has minutes of latitude in a column {parts[0]}; give decimal degrees in one column.")


def _in_e7(
    columns: Mapping[str, tuple[int, float]], rows: Sequence[tuple[int, Sequence[str]]]
) -> dict[str, tuple[int, float]]:
    """The columns, with latitude and longitude in 1e-7 degrees where they are whole numbers too large for all else."""
    pair = [columns["latitude"][0], columns["longitude"][0]]
    whole = [row for _, row in rows if all(re.fullmatch(r"\s*[+-]?\d+\s*", row[k]) for k in pair)]
    large = whole and max(abs(int(row[k])) for row in whole[:1000] for k in pair) > E7_MIN
    if not large or columns["latitude"][1] != 1.0:
        return dict(columns)
    return {what: (k, 1e-7 if what in {"latitude", "longitude"} else f) for what, (k, f) in columns.items()}


def _place(
    path: Path,
    line: int,
    row: Sequence[str],
    columns: Mapping[str, tuple[int, float]],
    letters: Mapping[str, int | None],
) -> TruePlace | None:
    told = {what: row[column].strip() for what, (column, _) in columns.items()}
    empty = {"", "none", "null", "na", "n/a", "-"}
    if told["latitude"].lower() in empty and told["longitude"].lower() in empty:
        return None
    latitude, longitude = (
        _angle(path, line, told[what], what, "" if at is None else row[at]) * columns[what][1]
        for what, at in ((what, letters[what]) for what in ("latitude", "longitude"))
    )
    longitude = signed_longitude(longitude)
    if latitude == longitude == 0.0:  # a receiver without a fix
        return None
    if abs(latitude) > 90.0 >= abs(longitude):
        swapped = f"latitude {latitude} and longitude {longitude} look swapped"
        raise UserError(f"{path}, line {line}: {swapped}; correct the header.")
    if abs(latitude) > 90.0 or abs(longitude) > 180.0:
        raise UserError(f"{path}, line {line}: {latitude}, {longitude} is no place in degrees; give WGS84 degrees.")
    height = told.get("altitude", "")
    if height.lower() in empty:
        return TruePlace(latitude, longitude)
    height = _ABOVE_SEA.sub(lambda match: f"{'-' if match[2].lower() == 'below' else ''}{match[1]}", height)
    return TruePlace(latitude, longitude, finite_number(path, line, height, "altitude") * columns["altitude"][1])


_ABOVE_SEA = re.compile(r"^([\d.]+) m (above|below) sea level$", re.IGNORECASE)
"""As exiftool prints an altitude."""
_ANGLE = re.compile(
    r"""^(?P<first>[NSEW])?\s*(?P<sign>[+-]?)(?P<deg>\d+(?:[.,]\d+)?)\s*(?:deg|°|º|\s|:|$)?
    (?:\s*(?P<min>\d+(?:[.,]\d+)?)\s*(?:'|′|’|:|\s|$))?(?:\s*(?P<sec>\d+(?:[.,]\d+)?)\s*(?:"|″|”|''|$)?)?
    \s*(?P<last>[NSEW])?$""",
    re.IGNORECASE | re.VERBOSE,
)


def _angle(path: Path, line: int, told: str, what: str, letter: str) -> float:
    """Degrees of a cell: decimal, or in degrees, minutes and seconds, with the letter of the hemisphere here or in a
    cell of its own."""
    letter = letter.strip().upper()[:1]
    match = _ANGLE.match(told[:60])
    if match is None or not (match["first"] or match["last"] or match["min"] or "°" in told or "deg" in told):
        value = finite_number(path, line, told, what)
    else:
        degrees, minutes, seconds = (float((match[k] or "0").replace(",", ".")) for k in ("deg", "min", "sec"))
        value = degrees + minutes / 60.0 + seconds / 3600.0
        value = -value if match["sign"] == "-" else value
        letter = (match["first"] or match["last"] or letter).upper()
    if letter and letter not in ("NS" if what == "latitude" else "EW"):
        raise UserError(f"{path}, line {line}: {what} has the letter '{letter}'; correct it.")
    return -abs(value) if letter in {"S", "W"} else value


def finite_number(path: Path, line: int, told: str, what: str) -> float:
    """A cell as a number. UserError, naming file and line, where it is none."""
    try:
        value = float(re.sub(r"^([+-]?\d+),(\d+)$", r"\1.\2", told))  # a decimal comma
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path}, line {line}: {what} is '{told[:40]}', not a number; correct it, or remove the line.")
    return value


def frame_number(path: Path, line: int, told: str) -> int:
    """A cell as a frame's number. UserError, naming file and line, where it is none."""
    value = finite_number(path, line, told, "frame number")
    if value != int(value) or value < 0:
        raise UserError(f"{path}, line {line}: frame number '{told[:40]}' is not 0, 1, 2, ...; correct it.")
    return int(value)


def _refuse_disorder(path: Path, order: Sequence[float], what: str) -> None:
    for k in range(1, len(order)):
        if order[k] <= order[k - 1]:
            raise UserError(
                f"{path}: {what} {order[k]:g} stands after {order[k - 1]:g}; sort the table, one row for each frame."
            )


def _keep(kept: dict[Key, TruePlace], key: Key, place: TruePlace, path: Path, line: int, told: str) -> None:
    if kept.get(key, place) != place:
        raise UserError(f"{path}, line {line}: a second, different position for '{told[:80]}'; keep the right one.")
    kept[key] = place


def plain_name(name: str) -> str:
    """A picture's name without its folder, in small letters."""
    return re.split(r"[/\\]", name.strip())[-1].lower()


def name_stem(name: str) -> str:
    """The same without its suffix."""
    return plain_name(name).rsplit(".", 1)[0]
