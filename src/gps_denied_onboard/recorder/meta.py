"""`recording.json`: what is known about a recording before its first message."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import NADIR_CAMERA_TO_BODY, CameraModel
from gps_denied_onboard.geometry.geodesy import check_latitude_longitude
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.folders import inside
from gps_denied_onboard.untrusted.json import read_json
from gps_denied_onboard.untrusted.text import shown

META_FILE = "recording.json"
TERRAIN_FILE = "terrain.grid"
"""What a recording's heights of the ground are called."""
FORMAT_VERSION = 1
FRAMES_FOLDER = "frames"
META_BYTES_MAX = 4 * 1024 * 1024
SOURCE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RecordingMeta:
    """Everything about a recording that is not a message.

    `camera` is the calibration that the navigation may use (not the simulator's truth). The local ENU frame has its
    origin at `origin_latitude_deg`, `origin_longitude_deg` (WGS84) and `origin_altitude_m`, the altitude above mean sea
    level of the ground, known to `ground_sigma_m`. `utc_at_zero` is the UTC time of t_ns = 0, ISO 8601 with "Z"; None
    when no trusted clock knew it. `tiles_directory` is relative to the recording and holds `tiles_source` in the layout
    source/z/x/y.jpg at `tiles_zoom`; None without tiles. `terrain_file` is a file of heights inside the recording, None
    without. `schedule` is for people and reports: what was done to whom.
    """

    camera: CameraModel
    origin_latitude_deg: float
    origin_longitude_deg: float
    origin_altitude_m: float
    ground_sigma_m: float
    utc_at_zero: str | None = None
    scenario: str = ""
    seed: int | None = None
    tiles_directory: str | None = None
    tiles_source: str = ""
    tiles_zoom: int | None = None
    schedule: tuple[dict[str, Any], ...] = field(default=())
    terrain_file: str | None = None
    format_version: int = FORMAT_VERSION

    @property
    def unix_ns_at_zero(self) -> int | None:
        """UTC nanoseconds since 1970 at t_ns = 0, leap seconds not counted."""
        return None if self.utc_at_zero is None else unix_ns_from_iso(self.utc_at_zero)


def unix_ns_from_iso(text: str) -> int:
    """UTC nanoseconds since 1970 of an ISO 8601 time (microseconds kept). ValueError when it has no time zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"'{text}' has no time zone")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def iso_from_unix_ns(unix_ns: int) -> str:
    """ISO 8601 with "Z" of UTC nanoseconds since 1970, to the microsecond."""
    moment = _EPOCH + timedelta(microseconds=unix_ns // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def write_meta(directory: Path, meta: RecordingMeta) -> None:
    """Write `recording.json` into an existing folder; the same bytes for the same values."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    (directory / META_FILE).write_bytes(orjson.dumps(meta, option=options))


def read_meta(directory: Path) -> RecordingMeta:
    """Read `recording.json`. UserError where it is missing, of another version, or holds what cannot be."""
    path = directory / META_FILE
    try:
        held = read_file(path, META_BYTES_MAX, follow=False)
    except FileNotFoundError:
        raise UserError(
            f"{directory} is not a recording: it holds no {META_FILE}. Give the folder that gps-denied-sim fly wrote."
        ) from None
    except NotADirectoryError:
        raise UserError(f"{directory} is not a folder; give the folder of a recording.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); restore it from a copy.") from error
    try:
        data = read_json(held, shown(path), META_BYTES_MAX)
    except UntrustedError as error:
        raise UserError(f"{path} is not valid JSON ({error}); write it again or restore it from a copy.") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} holds no JSON object; write it again or restore it from a copy.")
    version = data.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format_version {version!r}, this program reads {FORMAT_VERSION}; "
            "record again with this version, or read it with the version that wrote it."
        )
    return _Checked(path, data).meta()


class _Checked:
    """Typed access to the keys of one JSON object, with errors that name the file and the key."""

    def __init__(self, path: Path, data: dict[str, Any], where: str = "") -> None:
        self._path, self._data, self._where = path, data, where

    def meta(self) -> RecordingMeta:
        latitude, longitude = self.number("origin_latitude_deg"), self.number("origin_longitude_deg")
        check_latitude_longitude(latitude, longitude, f"{self._path}: origin")
        altitude, sigma = self.number("origin_altitude_m"), self.number("ground_sigma_m")
        if not -1000.0 <= altitude <= 9000.0:
            raise self.wrong("origin_altitude_m", "must be the ground's altitude in metres, -1000 to 9000")
        if sigma <= 0.0:
            raise self.wrong("ground_sigma_m", "must be positive")
        utc = self.text("utc_at_zero", None)
        if utc is not None:
            try:
                unix_ns_from_iso(utc)
            except ValueError:
                raise self.wrong("utc_at_zero", "must be a time like 2025-07-01T06:00:00Z, or null") from None
        schedule = self._data.get("schedule", [])
        if not isinstance(schedule, list) or not all(isinstance(entry, dict) for entry in schedule):
            raise self.wrong("schedule", "must be a list of objects")
        return RecordingMeta(
            camera=_Checked(self._path, self.object("camera"), "camera.").camera(),
            origin_latitude_deg=latitude,
            origin_longitude_deg=longitude,
            origin_altitude_m=altitude,
            ground_sigma_m=sigma,
            utc_at_zero=utc,
            scenario=self.text("scenario", "") or "",
            seed=self.integer("seed", None),
            tiles_directory=self.inside("tiles_directory"),
            tiles_source=self.name("tiles_source"),
            tiles_zoom=self.integer("tiles_zoom", None),
            schedule=tuple(schedule),
            terrain_file=self.inside("terrain_file"),
        )

    def camera(self) -> CameraModel:
        rows = self._data.get("rotation_camera_to_body", [list(row) for row in NADIR_CAMERA_TO_BODY])
        if not isinstance(rows, list) or len(rows) != 3 or any(not isinstance(r, list) or len(r) != 3 for r in rows):
            raise self.wrong("rotation_camera_to_body", "must be three rows of three numbers")
        r = [[self.finite("rotation_camera_to_body", v) for v in row] for row in rows]
        for a in range(3):
            for b in range(3):
                if abs(sum(r[a][k] * r[b][k] for k in range(3)) - (a == b)) > 1e-3:
                    raise self.wrong("rotation_camera_to_body", "must be a rotation: rows of length 1, at right angles")
        distortion = self._data.get("distortion", [])
        if not isinstance(distortion, list):
            raise self.wrong("distortion", "must be a list of numbers")
        numbers = {name: self.number(name) for name in ("fx_px", "fy_px", "cx_px", "cy_px")}
        size = {name: self.integer(name, None) for name in ("width_px", "height_px")}
        if None in size.values():
            raise self.wrong("width_px", "and height_px must be given")
        return CameraModel(
            width_px=size["width_px"] or 0,
            height_px=size["height_px"] or 0,
            **numbers,
            distortion_model=self.text("distortion_model", "none") or "none",
            distortion=tuple(self.finite("distortion", v) for v in distortion),
            rotation_camera_to_body=tuple((row[0], row[1], row[2]) for row in r),
            time_offset_s=self.finite("time_offset_s", self._data.get("time_offset_s", 0.0)),
        )

    def wrong(self, key: str, what: str) -> UserError:
        shown = repr(self._data.get(key))
        return UserError(
            f"{self._path}: {self._where}{key} {what}, got {shown[:80]}. Correct it there or record the flight again."
        )

    def finite(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(key, "must be a finite number")
        return float(value)

    def number(self, key: str) -> float:
        return self.finite(key, self._data.get(key))

    def integer(self, key: str, default: int | None) -> int | None:
        value = self._data.get(key, default)
        if value is not None and type(value) is not int:
            raise self.wrong(key, "must be an integer")
        return value

    def text(self, key: str, default: str | None) -> str | None:
        value = self._data.get(key, default)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, "must be a text")
        return value

    def object(self, key: str) -> dict[str, Any]:
        value = self._data.get(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "must be an object")
        return value

    def inside(self, key: str) -> str | None:
        """The plain name of a folder or file inside the recording."""
        value = self.text(key, None)
        if value is not None and SOURCE_NAME.fullmatch(value) is None:
            raise self.wrong(key, "must be a plain name inside the recording")
        return value

    def name(self, key: str) -> str:
        """A plain name of a folder, or ""."""
        value = self.text(key, "") or ""
        if value and SOURCE_NAME.fullmatch(value) is None:
            raise self.wrong(key, "must be a plain name: letters, digits, '.', '_' and '-'")
        return value


def tiles_inside(directory: Path, meta: RecordingMeta) -> Path | None:
    """The folder of plain tiles that a recording brings, None where it names none.

    UntrustedError where a link lies on the way: nothing outside of the recording is a part of it.
    """
    if meta.tiles_directory is None:
        return None
    names = (meta.tiles_directory, meta.tiles_source) if meta.tiles_source else (meta.tiles_directory,)
    return inside(directory, *names)


def terrain_inside(directory: Path, meta: RecordingMeta) -> Path | None:
    """The file of heights that a recording brings, None where it names none; UntrustedError as for `tiles_inside`."""
    return None if meta.terrain_file is None else inside(directory, meta.terrain_file)
