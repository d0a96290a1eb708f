"""Pictures that cannot be read are skipped by name; folders without pictures are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.folder import FolderSource, read_image


def noise(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 255, (96, 128, 3), dtype=np.uint8)


def fill(folder: Path, count: int = 5) -> None:
    for k in range(count):
        Image.fromarray(noise(k)).save(folder / f"{k}.jpg", quality=90)


def test_a_torn_picture_in_the_middle(tmp_path: Path) -> None:
    """A picture that ends in the middle of its data is skipped and named; the others keep their numbers."""
    fill(tmp_path)
    whole = (tmp_path / "2.jpg").read_bytes()
    (tmp_path / "2.jpg").write_bytes(whole[: len(whole) // 2])
    source = FolderSource(tmp_path)
    assert [frame.index for frame in source] == [0, 1, 3, 4]
    assert len(source.problems) == 1
    assert source.problems[0].startswith("2.jpg cannot be read and was skipped: ")


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\xff\xd8\xff\xe0" + bytes(50)])
def test_a_file_that_is_no_picture(content: bytes, tmp_path: Path) -> None:
    """A file that only has a picture's name is skipped and named."""
    fill(tmp_path)
    (tmp_path / "2.jpg").write_bytes(content)
    source = FolderSource(tmp_path)
    assert [frame.name for frame in source] == ["0.jpg", "1.jpg", "3.jpg", "4.jpg"]
    assert source.problems[0].startswith("2.jpg cannot be read")


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    """Texts, logs, hidden files and folders beside the pictures are no problem."""
    fill(tmp_path)
    (tmp_path / "flight.csv").write_text("a,b")
    (tmp_path / "._0.jpg").write_bytes(b"resource fork")
    (tmp_path / "more.jpg").mkdir()
    source = FolderSource(tmp_path)
    assert len(list(source)) == 5
    assert source.problems == ()


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    """An empty folder, an absent one, and one whose pictures are a level deeper each get their sentence."""
    with pytest.raises(UserError, match="holds no pictures"):
        FolderSource(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        FolderSource(tmp_path / "absent")
    (tmp_path / "100MEDIA").mkdir()
    with pytest.raises(UserError, match="its folder '100MEDIA'"):
        FolderSource(tmp_path)


def test_a_folder_of_unreadable_pictures_is_refused(tmp_path: Path) -> None:
    """When nothing can be read the first reason is given."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match=r"none of the pictures .*a\.jpg cannot be read"):
        FolderSource(tmp_path)


def test_orientation_flag_is_ignored(tmp_path: Path) -> None:
    """Looking down, a camera's idea of upright means nothing: pixels stay as the sensor gave them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(1)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), noise(1)[:, :, ::-1])


def test_grey_and_sixteen_bit_pictures(tmp_path: Path) -> None:
    """Grey pictures become BGR or grey as asked for; 16-bit ones are stretched to 8 bits."""
    grey = noise(2)[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png", grey=True), grey)
    assert read_image(tmp_path / "grey.png").shape == (96, 128, 3)
    deep = np.linspace(1000, 5000, 96 * 128).reshape(96, 128).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    flat = read_image(tmp_path / "deep.tif", grey=True)
    assert flat.dtype == np.uint8
    assert (flat[0, 0], flat[-1, -1]) == (0, 255)
    assert abs(int(flat[48, 0]) - 128) < 3
