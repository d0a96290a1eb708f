"""Attitudes that come with photographs: of their metadata or of a table, as an autopilot's would come in flight."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.camera_metadata import RecordedAngles
from gps_denied_onboard.frames.photo_info import PhotoInfo, body_from_gimbal
from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU, quaternion_from_matrix, rotation_zyx
from gps_denied_onboard.messages import FloatArray, Quaternion
from gps_denied_operator.scoring.truth import (
    FRAME,
    NAME,
    finite_number,
    frame_number,
    name_stem,
    plain_name,
    read_rows,
)
from gps_denied_operator.scoring.units import scale_of, split_unit

LEVEL_SIGMA_DEG = 2.0
FLIGHT_SIGMA_DEG = 1.5
GIMBAL_SIGMA_DEG = 0.7
YAW_SIGMA_DEG = 6.0
GIMBAL_DOWN_DEG = -45.0
TURNED_DEG = 20.0


class AttitudeSource(StrEnum):
    """Where attitudes come from."""

    TABLE = "table"
    CAMERA = "gimbal or camera angles"
    FLIGHT = "flight angles"
    HEADING = "heading alone"


@dataclass(frozen=True, slots=True)
class Attitude:
    """Yaw, pitch, roll in degrees (ZYX, NED) of a FRD body that carries a camera looking straight down."""

    yaw_deg: float
    pitch_deg: float = 0.0
    roll_deg: float = 0.0

    @property
    def rotation_body_to_ned(self) -> FloatArray:
        """(3, 3)."""
        return rotation_zyx(*(math.radians(angle) for angle in (self.yaw_deg, self.pitch_deg, self.roll_deg)))

    @property
    def rotation_body_to_enu(self) -> FloatArray:
        """(3, 3)."""
        return np.asarray(ROTATION_NED_TO_ENU @ self.rotation_body_to_ned)

    @property
    def quaternion_body_to_ned(self) -> Quaternion:
        """(w, x, y, z)."""
        return quaternion_from_matrix(self.rotation_body_to_ned)


@dataclass(frozen=True, slots=True)
class PhotoAttitudes:
    """Attitudes by frame index. `tilt_sigma_deg` is what each of pitch and roll is off from picture to picture."""

    source: AttitudeSource
    by_frame: Mapping[int, Attitude]
    tilt_sigma_deg: float
    yaw_sigma_deg: float = YAW_SIGMA_DEG
    notes: tuple[str, ...] = ()

    def levelled(self, tilt_sigma_deg: float = LEVEL_SIGMA_DEG) -> PhotoAttitudes:
        """The same headings of a camera that a gimbal keeps level."""
        level = {index: Attitude(one.yaw_deg) for index, one in self.by_frame.items()}
        return replace(self, source=AttitudeSource.HEADING, by_frame=level, tilt_sigma_deg=tilt_sigma_deg)


def attitudes_of_photos(photos: Sequence[PhotoInfo]) -> PhotoAttitudes | None:
    """What the pictures' metadata say: the camera's own angles, else the aircraft's; None where they say nothing.

    A gimbal whose angles are zero in every picture recorded none. A picture without angles takes those of the one
    before, and that is told.
    """
    gimbal_notes, yaw_told = _gimbal_doubts(photos)
    own: list[Attitude | None] = [
        Attitude(p.yaw_deg, p.pitch_deg, p.roll_deg)
        if yaw_told and p.yaw_deg is not None and p.pitch_deg is not None and p.roll_deg is not None
        else None
        for p in photos
    ]
    flight = [_flight_attitude(p.camera.flight) for p in photos]
    if 2 * sum(one is not None for one in own) >= len(photos):
        source, chosen, sigma = AttitudeSource.CAMERA, own, GIMBAL_SIGMA_DEG
    elif any(one is not None for one in flight):
        source, chosen, sigma = AttitudeSource.FLIGHT, flight, FLIGHT_SIGMA_DEG
    else:
        return None
    missing = sum(one is None for one in chosen)
    notes = [*gimbal_notes]
    if missing:
        notes.append(f"{missing} of {len(photos)} pictures do not tell their attitude; that of a neighbour is used.")
    return PhotoAttitudes(source, _filled(chosen), sigma, notes=tuple(notes))


def headings_of_photos(photos: Sequence[PhotoInfo]) -> PhotoAttitudes | None:
    """Only the azimuth of each picture's top, the camera taken as level; None where no picture tells it."""
    notes, yaw_told = _gimbal_doubts(photos)
    yaws = [p.yaw_deg if yaw_told and p.yaw_deg is not None else p.camera.flight.yaw_deg for p in photos]
    chosen = [None if yaw is None else Attitude(yaw % 360.0) for yaw in yaws]
    if not any(one is not None for one in chosen):
        return None
    return PhotoAttitudes(AttitudeSource.HEADING, _filled(chosen), LEVEL_SIGMA_DEG, notes=tuple(notes))


def _gimbal_doubts(photos: Sequence[PhotoInfo]) -> tuple[list[str], bool]:
    """Notes on gimbal angles that mean nothing, and whether the pictures' own yaw can be used."""
    gimbals = [p.camera.gimbal for p in photos if p.camera.gimbal.complete]
    if not gimbals:
        return [], True
    if all(not any((g.yaw_deg, g.pitch_deg, g.roll_deg)) for g in gimbals):
        return [f"The gimbal's angles are recorded as zero in all of {len(gimbals)} pictures and are not used."], False
    flown = [p.camera.flight.yaw_deg for p in photos if p.camera.flight.yaw_deg is not None]
    if flown and not any(g.yaw_deg for g in gimbals) and _turned_deg(flown) > TURNED_DEG:
        return ["The gimbal's yaw is recorded as zero while the aircraft turned; the aircraft's yaw is used."], False
    return [], True


def _turned_deg(yaws_deg: Sequence[float]) -> float:
    """Largest difference of a yaw from the first."""
    return max(abs(math.remainder(yaw - yaws_deg[0], 360.0)) for yaw in yaws_deg)


def _flight_attitude(told: RecordedAngles) -> Attitude | None:
    if told.yaw_deg is None or told.pitch_deg is None or told.roll_deg is None:
        return None
    if abs(told.pitch_deg) > 60.0 or abs(told.roll_deg) > 75.0:
        return None
    return Attitude(told.yaw_deg % 360.0, told.pitch_deg, told.roll_deg)


def _filled(told: Sequence[Attitude | None]) -> dict[int, Attitude]:
    """By index; a gap takes the last one before it, the first ones that of the first known."""
    last = next(one for one in told if one is not None)
    filled = {}
    for index, one in enumerate(told):
        last = one or last
        filled[index] = last
    return filled


# --- of a table -------------------------------------------------------------------------------------------------------

ANGLES = ("roll_deg", "pitch_deg", "yaw_deg")


def attitudes_of_table(path: Path, names: Sequence[str]) -> PhotoAttitudes:
    """A CSV with `file` (or `frame`), `roll_deg`, `pitch_deg`, `yaw_deg` of the aircraft or camera body against NED.

    Another unit of the angles stands in their columns' names, as `yaw_rad` or `Yaw [rad]`.

    `names` are the pictures' file names by index; empty for a video, whose table goes by frame number. UserError,
    naming file and line, for whatever cannot be read. A gimbal's convention (pitch -90 looks down) is recognised.
    """
    header, rows = read_rows(path, "--attitude", "file (or frame), roll_deg, pitch_deg and yaw_deg")
    plain = [cell.strip().lower() for cell in header]
    angles = [_angle_column(path, header, name) for name in ANGLES]
    key = next((cell for cell in plain if cell in (*NAME, *FRAME)), None)
    columns = [column for column in angles if column is not None]
    if len(columns) < len(ANGLES) or key is None:
        absent = [name for name, column in zip(ANGLES, angles, strict=True) if column is None]
        wanted = ", ".join(absent) if absent else "file (or frame)"
        raise UserError(f"{path} has no column {wanted} (it has {', '.join(header)[:200]}); add it.")
    by_name = {named(name): k for named in (plain_name, name_stem) for k, name in enumerate(names)}
    found: dict[int, Attitude] = {}
    for line, row in rows:
        told = row[plain.index(key)].strip()
        if key in FRAME:
            index: int | None = frame_number(path, line, told)
        else:
            index = by_name.get(plain_name(told), by_name.get(name_stem(told)))
        roll, pitch, yaw = (
            finite_number(path, line, row[column].strip(), name) * scale
            for name, (column, scale) in zip(ANGLES, columns, strict=True)
        )
        if abs(pitch) > 90.0 or abs(roll) > 180.0 or abs(yaw) > 360.0:
            raise UserError(f"{path}, line {line}: {roll:g}, {pitch:g}, {yaw:g} are no roll, pitch, yaw in degrees.")
        if index is not None:
            found[index] = Attitude(yaw, pitch, roll)
    if not found:
        raise UserError(f"no row of {path} belongs to one of the pictures; give the table of these pictures.")
    notes = []
    if float(np.median([one.pitch_deg for one in found.values()])) < GIMBAL_DOWN_DEG:
        found = {k: Attitude(*body_from_gimbal(one.yaw_deg, one.pitch_deg, one.roll_deg)) for k, one in found.items()}
        notes.append(f"{path.name} gives a gimbal's angles (pitch -90 looks down); they were turned into the body's.")
    if names and len(found) < len(names):
        missing = f"{len(names) - len(found)} of {len(names)} pictures have no row in {path.name}"
        notes.append(f"{missing}; a neighbour's is used.")
        found = _filled([found.get(k) for k in range(len(names))])
    return PhotoAttitudes(AttitudeSource.TABLE, found, FLIGHT_SIGMA_DEG, notes=tuple(notes))


def _angle_column(path: Path, header: Sequence[str], name: str) -> tuple[int, float] | None:
    """The column of an angle, and its factor to degrees; None where there is none that tells its unit."""
    bare = name.removesuffix("_deg")
    for number, cell in enumerate(header):
        plain, unit = split_unit(cell)
        try:
            scale = scale_of("angle", plain, unit, bare, needs_unit=True)
        except ValueError as error:
            raise UserError(f"{path}: {bare} is in '{error}', a unit that is not known; give {name}.") from None
        if scale is not None:
            return number, scale
    return None
