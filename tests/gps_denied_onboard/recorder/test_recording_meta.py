"""recording.json: read as written; what cannot be is refused with the key's name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import orjson
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.recorder.meta import (
    META_FILE,
    RecordingMeta,
    iso_from_unix_ns,
    read_meta,
    unix_ns_from_iso,
    write_meta,
)

META = RecordingMeta(
    camera=CameraModel(1368, 912, 1180.5, 1181.5, 683.1, 455.2, "brown", (-0.1, 0.01, 1e-4, -1e-4), time_offset_s=0.01),
    origin_latitude_deg=48.25,
    origin_longitude_deg=37.5,
    origin_altitude_m=131.0,
    ground_sigma_m=12.0,
    utc_at_zero="2025-07-01T06:00:00Z",
    scenario="cruise",
    seed=3,
    tiles_directory="tiles",
    tiles_source="provider",
    tiles_zoom=18,
    schedule=({"kind": "gps_jam", "start_s": 60.0},),
    terrain_file="terrain.grid",
)


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    """All values survive, calibration and schedule included, and the bytes are the same each time."""
    write_meta(tmp_path, META)
    first = (tmp_path / META_FILE).read_bytes()
    assert read_meta(tmp_path) == META
    write_meta(tmp_path, read_meta(tmp_path))
    assert (tmp_path / META_FILE).read_bytes() == first


def test_utc_is_exact() -> None:
    """The time of t_ns = 0 is exact to the microsecond, in both directions."""
    assert META.unix_ns_at_zero == 1_751_349_600_000_000_000
    assert unix_ns_from_iso(iso_from_unix_ns(1_751_349_600_123_456_000)) == 1_751_349_600_123_456_000


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("format_version", 2, "format_version 2"),
        ("format_version", None, "format_version None"),
        ("origin_latitude_deg", None, "origin_latitude_deg"),
        ("origin_latitude_deg", "48", "origin_latitude_deg"),
        ("origin_latitude_deg", 95.0, "outside the map"),
        ("origin_longitude_deg", True, "origin_longitude_deg"),
        ("origin_altitude_m", 1e6, "origin_altitude_m"),
        ("ground_sigma_m", 0.0, "ground_sigma_m"),
        ("utc_at_zero", "yesterday", "utc_at_zero"),
        ("utc_at_zero", "2025-07-01T06:00:00", "utc_at_zero"),
        ("utc_at_zero", 5, "utc_at_zero"),
        ("seed", 1.5, "seed"),
        ("tiles_directory", "../../etc", "inside the recording"),
        ("tiles_directory", "/etc", "inside the recording"),
        ("tiles_zoom", "18", "tiles_zoom"),
        ("schedule", {"a": 1}, "schedule"),
        ("terrain_file", "../terrain.grid", "terrain_file"),
        ("camera", None, "camera"),
        ("camera.fx_px", None, "camera.fx_px"),
        ("camera.fx_px", -5.0, "focal lengths"),
        ("camera.width_px", None, "width_px"),
        ("camera.width_px", 10, "too small"),
        ("camera.distortion", ["a", 1, 2, 3], "distortion"),
        ("camera.distortion_model", "wide", "distortion_model"),
        ("camera.rotation_camera_to_body", [[1, 0, 0], [0, 1, 0], [0, 0, 2]], "must be a rotation"),
        ("camera.rotation_camera_to_body", [[1, 0], [0, 1]], "three rows"),
    ],
)
def test_bad_values_are_refused_by_name(key: str, value: Any, named: str, tmp_path: Path) -> None:
    """Each value that cannot be gives one sentence that names the key or says what is wrong."""
    write_meta(tmp_path, META)
    data = orjson.loads((tmp_path / META_FILE).read_bytes())
    place, _, inner = key.partition(".")
    if inner:
        data[place][inner] = value
    else:
        data[place] = value
    (tmp_path / META_FILE).write_bytes(orjson.dumps(data))
    with pytest.raises(UserError) as caught:
        read_meta(tmp_path)
    assert named in str(caught.value)


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    """NaN is written as null and refused when read."""
    write_meta(tmp_path, META)
    text = (tmp_path / META_FILE).read_text()
    (tmp_path / META_FILE).write_bytes(text.replace("131.0", "NaN").encode())
    with pytest.raises(UserError, match="not valid JSON"):
        read_meta(tmp_path)
    (tmp_path / META_FILE).write_bytes(text.replace("131.0", orjson.dumps(math.nan).decode()).encode())
    with pytest.raises(UserError, match="origin_altitude_m"):
        read_meta(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_broken_files_are_refused(content: bytes, tmp_path: Path) -> None:
    """A file that holds no JSON object is refused."""
    (tmp_path / META_FILE).write_bytes(content)
    with pytest.raises(UserError, match=r"JSON"):
        read_meta(tmp_path)


def test_a_folder_without_it_is_no_recording(tmp_path: Path) -> None:
    """A missing file or a path that is no folder gives a sentence, not a traceback."""
    with pytest.raises(UserError, match="not a recording"):
        read_meta(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a folder"):
        read_meta(tmp_path / "file")


def test_unknown_keys_do_nothing(tmp_path: Path) -> None:
    """A later version's additional keys are passed over."""
    write_meta(tmp_path, META)
    data = orjson.loads((tmp_path / META_FILE).read_bytes())
    data["weather"] = "fine"
    data["camera"]["serial"] = "A1"
    (tmp_path / META_FILE).write_bytes(orjson.dumps(data))
    assert read_meta(tmp_path) == META
