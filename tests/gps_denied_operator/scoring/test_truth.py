"""Truth tables as people have them, and the sentences for those that would make the score wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import TruthSample
from gps_denied_operator.scoring.truth import TruePlace, read_truth_csv, truth_of_samples


def table(folder: Path, text: str, name: str = "truth.csv") -> Path:
    """Write a table."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("frame,t_s,latitude_deg,longitude_deg\n0,0,33.1,72.2\n10,0.3,33.2,72.3\n", (10, "x", 0)),
        ("\ufeffFrame;Lat;Lon;Alt (m)\r\n0;33.1;72.2;500\r\n10;33.2;72.3;\r\n", (10, "x", 0)),
        ("Image Name\tLat [deg]\tLong [deg]\nDCIM\\A1.JPG\t33.1\t72.2\nB2.jpg\t33.2\t72.3\n", (7, "b2.JPG", 0)),
        ("file,lat,lng\na.tif,33.1,72.2\nb,33.2,72.3\n", (7, "b.jpg", 0)),
        ("t_s,latitude,longitude\n0.0,33.1,72.2\n1.5,33.2,72.3\n", (7, "x", 1_510_000_000)),
    ],
)
def test_spellings_of_columns(tmp_path: Path, text: str, frame: tuple[int, str, int]) -> None:
    """Comma, semicolon or tab, byte order mark, units in brackets, names with folders: all read the same place."""
    place = read_truth_csv(table(tmp_path, text)).lookup()(*frame)
    assert place is not None
    assert (place.latitude_deg, place.longitude_deg) == (33.2, 72.3)


def test_gaps_are_frames_without_truth(tmp_path: Path) -> None:
    """Rows with an empty position and frames without a row have no truth; the others keep theirs."""
    read = read_truth_csv(table(tmp_path, "frame,latitude_deg,longitude_deg\n0,33.1,72.2\n10,,\n\n30,33.3,72.4\n"))
    assert read.frame_numbers() == (0, 30)
    look_up = read.lookup()
    assert look_up(10, "", 0) is None
    assert look_up(20, "", 0) is None
    assert look_up(30, "", 0) == TruePlace(33.3, 72.4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("frame,x,y\n0,1,2\n", "no column for latitude"),
        ("latitude_deg,longitude_deg\n1,2\n", "does not say which frame"),
        ("frame,latitude_deg,longitude_deg\n0,nan,72\n", "line 2: latitude is 'nan'"),
        ("frame,latitude_deg,longitude_deg\n0,33.1,\n", "line 2: longitude is ''"),
        ("frame,latitude_deg,longitude_deg\n0,33,7x\n", "line 2: longitude is '7x'"),
        ("frame,latitude_deg,longitude_deg\n0,133.0,-35.0\n", "look swapped"),
        ("frame,latitude_deg,longitude_deg\n0,313785,3724364\n", "no place in degrees"),
        ("frame,latitude_deg,longitude_deg\n9,33,72\n3,33,72\n", "frame number 3 stands after 9"),
        ("t_s,latitude_deg,longitude_deg\n1.0,33,72\n0.5,33,72\n", "time 0.5 stands after 1"),
        ("t_s,latitude_deg,longitude_deg\n1.0,33,72\n1.0,33,72\n", "time 1 stands after 1"),
        ("frame,latitude_deg,longitude_deg\n1.5,33,72\n", "frame number '1.5'"),
        ("file,latitude_deg,longitude_deg\na.jpg,33,72\na.jpg,34,72\n", "a second, different position"),
        ("frame,latitude_deg,longitude_deg\n0,33\n", "line 2: 2 columns"),
        ("frame,latitude_deg,longitude_deg\n0,,\n", "no row with a position"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    """Whatever would make the score wrong is named with file and line."""
    path = table(tmp_path, text)
    with pytest.raises(UserError) as caught:
        read_truth_csv(path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_and_binary_tables_are_refused(tmp_path: Path) -> None:
    """A path that does not exist, and a picture given as a table."""
    with pytest.raises(UserError, match="does not exist"):
        read_truth_csv(tmp_path / "none.csv")
    (tmp_path / "p.jpg").write_bytes(b"\xff\xd8\xff\xe0" * 100)
    with pytest.raises(UserError, match="cannot be read as a CSV"):
        read_truth_csv(tmp_path / "p.jpg")


def test_simulated_truth_is_interpolated() -> None:
    """Between two true states the position is on the straight line; outside them there is none."""
    samples = [TruthSample(t, 48.0 + t / 1e10, 37.0, 100.0 + t / 1e9, (0, 0, 0), (1, 0, 0, 0)) for t in (0, 10**9)]
    look_up = truth_of_samples(samples)
    place = look_up(0, "", 250_000_000)
    assert place is not None
    assert (place.latitude_deg, place.altitude_m) == pytest.approx((48.025, 100.25))
    assert look_up(0, "", 10**9 + 1) is None
    assert truth_of_samples([])(0, "", 0) is None


def test_the_table_handed_out_with_the_video(shared_data: Path) -> None:
    """The real video's table is read by frame number, every tenth."""
    read = read_truth_csv(shared_data / "islamabad" / "truth.csv")
    assert read.key == "frame"
    assert read.frame_numbers()[:3] == (0, 10, 20)
    assert read.lookup()(1350, "", 0) == TruePlace(33.64501555, 72.98669914)
