"""Folders of photographs come in the order of time, whatever their names are."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.folder import FolderSource, in_time_order, natural_key
from gps_denied_onboard.frames.photo_info import PhotoInfo


def picture(path: Path, shade: int, taken: str | None = None, fraction: str | None = None, size: int = 64) -> None:
    image = Image.fromarray(np.full((size, size + 16, 3), shade, np.uint8))
    exif = Image.Exif()
    if taken is not None:
        exif.get_ifd(0x8769)[0x9003] = taken
        if fraction is not None:
            exif.get_ifd(0x8769)[0x9291] = fraction
    image.save(path, quality=95, exif=exif)


def shades(source: FolderSource) -> list[int]:
    return [int(np.median(frame.image)) for frame in source]


def test_time_orders_and_names_do_not(tmp_path: Path) -> None:
    """Shuffled names do not matter where the pictures know when they were taken."""
    names = [f"{k:04d}.jpg" for k in range(12)]
    random.Random(3).shuffle(names)
    for k, name in enumerate(names):
        picture(tmp_path / name, 20 * k, f"2024:05:01 10:00:{k * 3:02d}", "25")
    source = FolderSource(tmp_path)
    assert shades(source) == pytest.approx([20 * k for k in range(12)], abs=1)
    assert source.times_ns == tuple(k * 3_000_000_000 for k in range(12))
    assert source.time_known
    assert [photo.path.name for photo in source.photos] == names
    assert source.size_px == (80, 64)


def test_pictures_of_one_second_keep_apart(tmp_path: Path) -> None:
    """Where the clock counts whole seconds, pictures of one second are spread over it in the order of their names."""
    for k, second in enumerate((0, 0, 0, 1, 1, 4)):
        picture(tmp_path / f"{k}.jpg", 40 * k, f"2024:05:01 10:00:{second:02d}")
    times_s = [t / 1e9 for t in FolderSource(tmp_path).times_ns]
    assert times_s == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0, 1.5, 4.0])


def test_without_time_names_count_by_value(tmp_path: Path) -> None:
    """Without EXIF the names order, 9 before 10, and the times are said to mean nothing."""
    for k in (1, 2, 9, 10, 11, 100):
        picture(tmp_path / f"IMG_{k}.png", 2 * k)
    source = FolderSource(tmp_path)
    assert shades(source) == [2, 4, 18, 20, 22, 200]
    assert not source.time_known
    assert source.times_ns == tuple(k * 1_000_000_000 for k in range(6))


def test_a_missing_time_is_filled_in() -> None:
    """One picture without a time takes its place between its neighbours by name."""
    times = [0.0, 2.0, None, 6.0, 8.0, None]
    photos = [PhotoInfo(Path(f"{k}.jpg"), 64, 64, taken_s=t) for k, t in enumerate(times)]
    order, found = in_time_order(photos)
    assert order == list(range(6))
    assert found == pytest.approx([0.0, 2.0, 4.0, 6.0, 8.0, 9.6], abs=0.5)
    assert found == sorted(found)


def test_the_receivers_time_stands_in() -> None:
    """Where the camera's clock says nothing, or always the same, the time of the position fix orders."""
    photos = [PhotoInfo(Path(f"{k}.jpg"), 64, 64, taken_s=5.0, gps_time_s=100.0 - k) for k in range(4)]
    assert in_time_order(photos) == ([3, 2, 1, 0], [97.0, 98.0, 99.0, 100.0])


def test_natural_order_of_names() -> None:
    """Numbers in names count by value, letters without case; ties are stable."""
    names = ["b1.jpg", "A10.jpg", "a9.jpg", "a09.jpg", "a.jpg", "10.jpg", "9.jpg"]
    ordered = sorted((Path(name) for name in names), key=natural_key)
    assert [path.name for path in ordered] == ["9.jpg", "10.jpg", "a09.jpg", "a9.jpg", "A10.jpg", "a.jpg", "b1.jpg"]


def test_sizes_must_agree(tmp_path: Path) -> None:
    """Pictures of another size are named, with both sizes."""
    for k in range(3):
        picture(tmp_path / f"{k}.jpg", 50)
    picture(tmp_path / "odd.jpg", 50, size=96)
    with pytest.raises(UserError, match=r"3 of 4 are 80x64, odd\.jpg is 112x96"):
        FolderSource(tmp_path)
