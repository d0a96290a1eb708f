"""`operator-tool verify-image` and `operator-tool flash`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gps_denied_onboard.errors import UserError
from gps_denied_operator.console import JsonOption, print_json

KeyOption = Annotated[Path, typer.Option(help="Public key of who made the release: 64 hexadecimal digits in a file.")]


def verify_image(
    release: Annotated[Path, typer.Argument(help="Folder of a signed release.")],
    key: KeyOption,
    json: JsonOption = False,
) -> None:
    """Check a release's signature and every file of it."""
    from gps_denied_operator.images.release import read_key, verify_release

    found = verify_release(release, read_key(key, "public"))
    if json:
        print_json({"version": found.version, "board": found.board, "files": len(found.files)})
    else:
        print(f"{release}: version {found.version} for {found.board}, {len(found.files)} files, as signed")


def flash(
    release: Annotated[Path, typer.Argument(help="Folder of a signed release.")],
    device: Annotated[Path, typer.Argument(help="The whole disk, such as /dev/sdb; a plain file also works.")],
    key: KeyOption,
    slot: Annotated[bool, typer.Option("--slot", help="Update: write only the slot that is not in use.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Write a release to a disk: verified first, read back after."""
    from gps_denied_operator.images.disk import find_target
    from gps_denied_operator.images.flash import flash_slot, flash_whole
    from gps_denied_operator.images.release import read_key, verify_release

    found = verify_release(release, read_key(key, "public"))
    target = find_target(device)
    what = "The slot that is not in use is replaced on" if slot else "EVERYTHING IS ERASED on"
    if not yes and not typer.confirm(f"{what} {target}. Are you sure?", default=False):
        raise UserError(f"nothing was written to {device}.")
    if slot:
        print(f"\nversion {found.version} is in slot {flash_slot(found, target, _progress)} of {target}")
    else:
        flash_whole(found, target, _progress)
        print(f"\nversion {found.version} is on {target}, read back and equal")


def _progress(what: str, done_bytes: int, all_bytes: int) -> None:
    print(f"\r{what}: {done_bytes / 1e6:.0f} of {all_bytes / 1e6:.0f} MB", end="", file=sys.stderr, flush=True)
