"""Attitudes that photographs bring along: which of the recorded angles are believed, and tables of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.camera_metadata import CameraMetadata, RecordedAngles
from gps_denied_onboard.frames.photo_info import PhotoInfo, attitude
from gps_denied_operator.evaluate.photo_attitude import (
    AttitudeSource,
    attitudes_of_photos,
    attitudes_of_table,
    headings_of_photos,
)

FLOWN = [(10.0, 2.0, -3.0), (100.0, -4.0, 1.0), (190.0, 0.5, 6.0)]


def photo(gimbal: tuple[float, float, float] | None, flight: tuple[float, float, float] | None) -> PhotoInfo:
    """Metadata with yaw, pitch, roll of gimbal and aircraft as a camera would have them."""
    axes = ("Yaw", "Pitch", "Roll")
    xmp = {f"Gimbal{axis}Degree": str(v) for axis, v in zip(axes, gimbal or (), strict=False)}
    yaw, pitch, roll = attitude(xmp)
    camera = CameraMetadata(gimbal=RecordedAngles(*(gimbal or ())), flight=RecordedAngles(*(flight or ())))
    return PhotoInfo(Path("p.jpg"), 640, 480, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll, camera=camera)


def test_gimbal_angles_come_before_those_of_the_aircraft() -> None:
    """A gimbal that looks down at 30 degrees is level with the top at 30, whatever the aircraft does."""
    told = attitudes_of_photos([photo((30.0, -90.0, 0.0), angles) for angles in FLOWN])
    assert told is not None
    assert told.source is AttitudeSource.CAMERA
    assert all(abs(a.pitch_deg) < 1e-6 and a.yaw_deg == pytest.approx(30.0) for a in told.by_frame.values())


def test_gimbal_angles_recorded_as_zero_mean_nothing() -> None:
    """The aircraft's angles are used then, and that is said."""
    told = attitudes_of_photos([photo((0.0, 0.0, 0.0), angles) for angles in FLOWN])
    assert told is not None
    assert told.source is AttitudeSource.FLIGHT
    assert [(a.yaw_deg, a.pitch_deg, a.roll_deg) for a in told.by_frame.values()] == FLOWN
    assert "zero in all of 3 pictures" in told.notes[0]


def test_a_gimbal_yaw_of_zero_while_the_aircraft_turns_is_not_a_heading() -> None:
    """The aircraft's yaw is the heading where the gimbal's stays zero over turns."""
    told = headings_of_photos([photo((0.0, -90.0, 0.0), angles) for angles in FLOWN])
    assert told is not None
    assert [a.yaw_deg for a in told.by_frame.values()] == [10.0, 100.0, 190.0]
    assert "recorded as zero while the aircraft turned" in told.notes[0]


def test_a_picture_without_angles_takes_its_neighbours() -> None:
    """A gap is filled and told; no angles at all are None."""
    told = attitudes_of_photos([photo(None, None), photo(None, FLOWN[1]), photo(None, None)])
    assert told is not None
    assert [a.yaw_deg for a in told.by_frame.values()] == [100.0] * 3
    assert "2 of 3 pictures" in told.notes[-1]
    assert attitudes_of_photos([photo(None, None)]) is None


def test_a_table_by_file_name(tmp_path: Path) -> None:
    """Names match without their folder and suffix; a gimbal's convention is turned into the body's."""
    table = tmp_path / "t.csv"
    table.write_text("file,roll_deg,pitch_deg,yaw_deg\nb/A.JPG,1,2,3\nb.jpg,0,0,90\n")
    told = attitudes_of_table(table, ["a.jpg", "b.jpg"])
    assert (told.by_frame[0].roll_deg, told.by_frame[0].pitch_deg, told.by_frame[0].yaw_deg) == (1.0, 2.0, 3.0)
    table.write_text("frame,roll_deg,pitch_deg,yaw_deg\n0,0,-80,45\n7,0,-80,45\n")
    body = attitudes_of_table(table, []).by_frame[7]
    assert (body.yaw_deg, body.pitch_deg) == (pytest.approx(45.0), pytest.approx(10.0))
    looks = body.rotation_body_to_enu @ np.array([0.0, 0.0, 1.0])
    assert (looks[:2] > 0.0).all(), "pitch -80 looks ten degrees forward of the vertical"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,roll_deg,yaw_deg\na.jpg,1,2\n", "no column pitch_deg"),
        ("roll_deg,pitch_deg,yaw_deg\n1,2,3\n", "no column file"),
        ("file,roll_deg,pitch_deg,yaw_deg\na.jpg,1,2,x\n", "line 2"),
        ("file,roll_deg,pitch_deg,yaw_deg\na.jpg,1,95,0\n", "no roll, pitch, yaw"),
        ("file,roll_deg,pitch_deg,yaw_deg\nz.jpg,1,2,3\n", "no row of"),
        ("", "is empty; give a table with file .or frame., roll_deg, pitch_deg and yaw_deg"),
        ("x," * 5001, "more than 5000; give a table with file .or frame., roll_deg, pitch_deg and yaw_deg"),
    ],
)
def test_a_table_that_cannot_be_used_is_said(tmp_path: Path, text: str, sentence: str) -> None:
    """The error names what is missing or where the wrong value stands."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=sentence):
        attitudes_of_table(tmp_path / "t.csv", ["a.jpg"])


def test_a_table_that_is_not_there_names_its_own_option(tmp_path: Path) -> None:
    """The sentence tells to correct --attitude, not the truth that the same reader reads."""
    with pytest.raises(UserError, match="does not exist; give --attitude exif or the path of a CSV file"):
        attitudes_of_table(tmp_path / "nothing.csv", ["a.jpg"])


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("file,Roll_rad,Pitch_rad,Yaw_rad", "0.1,-0.05,1.5"),
        ("file;roll [rad];pitch [rad];yaw [rad]", "0,1;-0,05;1,5"),
        ("file,roll_cd,pitch_cd,yaw_cd", "572.9578,-286.4789,8594.367"),
        ("file,Roll(deg),Pitch(deg),Yaw(deg)", "5.729578,-2.864789,85.94367"),
    ],
)
def test_a_table_is_read_in_its_columns_units(tmp_path: Path, header: str, row: str) -> None:
    """Radians, hundredths of a degree and degrees by their columns' names are the same attitude."""
    table = tmp_path / "attitude.csv"
    table.write_text(f"{header}\na.jpg{';' if ';' in header else ','}{row}\n", encoding="utf-8")
    one = attitudes_of_table(table, ["a.jpg"]).by_frame[0]
    assert (one.roll_deg, one.pitch_deg, one.yaw_deg) == pytest.approx((5.729578, -2.864789, 85.94367), abs=1e-4)


def test_an_angle_of_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    """Mils are not passed off for degrees."""
    table = tmp_path / "attitude.csv"
    table.write_text("file,roll(mil),pitch(deg),yaw(deg)\na.jpg,1,2,3\n", encoding="utf-8")
    with pytest.raises(UserError, match="roll is in 'mil', a unit that is not known"):
        attitudes_of_table(table, ["a.jpg"])
