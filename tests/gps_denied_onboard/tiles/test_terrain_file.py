"""The file of heights: whole and bounded, or refused."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.geometry.terrain import TerrainGrid
from gps_denied_onboard.tiles.terrain_file import (
    BYTES_MAX,
    HEADER_BYTES,
    TerrainFileError,
    read_terrain,
    terrain_bytes,
    terrain_summary,
    write_terrain,
)


def made() -> TerrainGrid:
    heights = np.random.default_rng(3).uniform(-400.0, 8800.0, (600, 31)).astype("<f4")
    heights[5:9, 7] = np.nan
    return TerrainGrid(48.0, 37.0, 0.001, 0.0015, heights, 5.5)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every number and post comes back; the heights are a view of the mapped file and cannot be written."""
    grid = made()
    write_terrain(tmp_path / "a.grid", grid)
    digest = hashlib.sha256((tmp_path / "a.grid").read_bytes()).hexdigest()
    found = read_terrain(tmp_path / "a.grid", digest)
    np.testing.assert_array_equal(found.heights_amsl_m, grid.heights_amsl_m)
    for field in dataclasses.fields(grid):
        if field.name != "heights_amsl_m":
            assert getattr(found, field.name) == getattr(grid, field.name)
    assert not found.heights_amsl_m.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        found.heights_amsl_m[0, 0] = 1.0
    assert (tmp_path / "a.grid").stat().st_size == HEADER_BYTES + 4 * 600 * 31


def test_the_same_grid_gives_the_same_bytes() -> None:
    """Kinds of NaN, byte order and layout of the array do not show."""
    grid = made()
    odd = grid.heights_amsl_m.astype(">f8")
    odd[np.isnan(odd)] = -np.nan
    other = dataclasses.replace(grid, heights_amsl_m=np.asfortranarray(odd))
    assert terrain_bytes(other) == terrain_bytes(grid)


def changed(offset: int, form: str, *values: object) -> bytes:
    data = bytearray(terrain_bytes(made()))
    struct.pack_into(form, data, offset, *values)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (terrain_bytes(made())[:40], "40 bytes"),
        (terrain_bytes(made())[:-1], "truncated"),
        (terrain_bytes(made()) + b"\0", "truncated, or more"),
        (changed(0, "<8s", b"GDTERR02"), "does not begin"),
        (changed(60, "<B", 1), "does not begin"),
        (changed(8, "<2I", 2**31, 2**31), "truncated, or more"),
        (changed(8, "<2I", 0, 0), "posts"),
        (changed(8, "<2I", 1, 18600), "posts"),
        (changed(16, "<d", np.nan), "number"),
        (changed(24, "<d", np.inf), "number"),
        (changed(16, "<d", 84.9), "box"),
        (changed(24, "<d", -200.0), "box"),
        (changed(32, "<d", -0.001), "degrees apart"),
        (changed(40, "<d", 0.0), "degrees apart"),
        (changed(48, "<d", 0.0), "sigma"),
        (changed(48, "<d", 1e6), "sigma"),
        (changed(HEADER_BYTES, "<f", np.inf), "heights beyond"),
        (changed(HEADER_BYTES + 4 * 600 * 31 - 4, "<f", 8849.0), "heights beyond"),
        (changed(HEADER_BYTES, "<f", -9999.0), "heights beyond"),
    ],
)
def test_a_hostile_file_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    """Whatever is not exactly such a file is a sentence, and nothing of it is used."""
    (tmp_path / "a.grid").write_bytes(data)
    with pytest.raises(TerrainFileError, match=why):
        read_terrain(tmp_path / "a.grid")


def test_a_huge_file_a_link_and_a_pipe_are_refused(tmp_path: Path) -> None:
    """A file over the limit is not read, a link is not followed, and a pipe does not hang."""
    import os

    with (tmp_path / "huge.grid").open("wb") as stream:
        stream.write(terrain_bytes(made()))
        stream.truncate(BYTES_MAX + 1)
    write_terrain(tmp_path / "good.grid", made())
    (tmp_path / "link.grid").symlink_to(tmp_path / "good.grid")
    os.mkfifo(tmp_path / "pipe.grid")
    for name in ("huge", "link", "pipe", "none"):
        with pytest.raises(TerrainFileError):
            read_terrain(tmp_path / f"{name}.grid")


def test_another_file_than_was_signed_is_refused(tmp_path: Path) -> None:
    """What is mapped is hashed: a good grid that is not the signed one is not used."""
    write_terrain(tmp_path / "a.grid", made())
    signed = hashlib.sha256((tmp_path / "a.grid").read_bytes()).hexdigest()
    write_terrain(tmp_path / "a.grid", dataclasses.replace(made(), sigma_m=1.0))
    with pytest.raises(TerrainFileError, match="not the file that was signed"):
        read_terrain(tmp_path / "a.grid", signed)


def test_a_grid_that_may_not_fly_is_not_written(tmp_path: Path) -> None:
    """Heights that no ground has never become a file."""
    heights = made().heights_amsl_m.copy()
    heights[3, 3] = -32768.0
    with pytest.raises(TerrainFileError, match="heights beyond"):
        write_terrain(tmp_path / "a.grid", dataclasses.replace(made(), heights_amsl_m=heights))
    assert not (tmp_path / "a.grid").exists()


def test_its_summary() -> None:
    """Box, distance of posts, sigma, lowest, highest and holes are those of the grid."""
    grid = made()
    told = terrain_summary(grid)
    assert told["box_deg"] == [37.0, 48.0, 37.045, 48.599]
    assert (told["rows"], told["columns"], told["sigma_m"]) == (600, 31, 5.5)
    assert told["step_m"] == pytest.approx(111.2, abs=0.1)
    assert told["lowest_m"] == pytest.approx(float(np.nanmin(grid.heights_amsl_m)), abs=0.01)
    assert told["holes_share"] == pytest.approx(4 / (600 * 31), abs=1e-6)
