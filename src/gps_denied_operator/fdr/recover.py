"""Torn and damaged files of a recording as ones that every MCAP reader opens; the original is only read.

What is whole is copied byte by byte. What is not keeps its records, byte by byte up to the first that is damaged, and
gets an index of its own; a metadata record says so, and `fdr verify` proves the part that is as it was.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.mcap_io import recording_files
from gps_denied_onboard.recorder.meta import META_FILE, TERRAIN_FILE
from gps_denied_onboard.recorder.output_folder import OutputFolder
from gps_denied_onboard.recorder.snapshots import FOLDER as SNAPSHOTS
from gps_denied_onboard.untrusted.folders import is_plain, plain_files
from gps_denied_operator.fdr.repair import Repair

WHOLE, MENDED, LEFT_OUT = "whole", "mended", "left out"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of one file. `state`: copied as it was; mended; left out, because nothing in it can be read.
    `kept_bytes` of the original's `bytes` are as they were, `problems` says what is not."""

    name: str
    state: str
    messages: int
    bytes: int
    kept_bytes: int
    problems: tuple[str, ...]


def recover_flight(folder: Path, out: Path, progress: Callable[[int], None] = lambda _done: None) -> list[Recovered]:
    """Write a copy of the recording into the new folder `out`. UserError where there is nothing to be read."""
    paths = recording_files(folder)
    if not paths:
        raise UserError(f"{folder} is not a recording; give the folder of a flight.")
    done = []
    with OutputFolder(out, "fdr recover") as target:
        for path in paths:
            done.append(_recovered(path, target / path.name))
            progress(len(done))
        if all(file.state == LEFT_OUT for file in done):
            raise UserError(f"{folder}: none of its {len(done)} file(s) holds a record that can be read.")
        for name in (META_FILE, TERRAIN_FILE):
            if is_plain(folder / name):
                shutil.copyfile(folder / name, target / name, follow_symlinks=False)
        if (folder / SNAPSHOTS).is_dir() and not (folder / SNAPSHOTS).is_symlink():
            (target / SNAPSHOTS).mkdir()
            for picture in plain_files(folder / SNAPSHOTS):
                shutil.copyfile(picture, target / SNAPSHOTS / picture.name, follow_symlinks=False)
    return done


def _recovered(path: Path, target: Path) -> Recovered:
    size = path.stat().st_size
    with path.open("rb") as source, target.open("wb") as stream:
        mending = Repair(source, size, stream)
        try:
            mending.run()
        except container.DamagedError as error:
            mending.problems[str(error)] = None
    problems = tuple(mending.problems)
    if not problems:
        shutil.copyfile(path, target)
        return Recovered(path.name, WHOLE, mending.messages, size, size, ())
    if not mending.messages:
        target.unlink()
        return Recovered(path.name, LEFT_OUT, 0, size, 0, problems)
    _check_opens(target)
    return Recovered(path.name, MENDED, mending.messages, size, mending.kept_bytes, problems)


def _check_opens(path: Path) -> None:
    """Read a copy by Foxglove's own reader: one that it does not open is no copy."""
    from mcap.exceptions import McapError
    from mcap.reader import make_reader

    with path.open("rb") as stream:
        try:
            for _ in make_reader(stream, validate_crcs=True).iter_messages(log_time_order=False):
                pass
        except (McapError, ValueError, KeyError, struct.error) as error:
            raise UserError(f"{path.name} is damaged in a way that cannot be mended ({error}).") from error
