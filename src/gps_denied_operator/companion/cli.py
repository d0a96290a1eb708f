"""`operator-tool companion`: look at the aircraft's computer over SSH, and tell it which keys to trust."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gps_denied_operator.console import JsonOption, print_json
from gps_denied_operator.keys.options import KeysOption

CompanionArgument = Annotated[Path, typer.Argument(metavar="FILE", help="TOML file: host, user, identity ...")]

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="The aircraft's computer over SSH.")


@app.callback()
def companion() -> None:
    """The aircraft's computer over SSH."""


@app.command()
def check(file: CompanionArgument, keys: KeysOption = None, json: JsonOption = False) -> None:
    """Reach the companion and see whether it can take a cache: disk, clock, release, composition, keys."""
    import time
    from dataclasses import asdict

    from gps_denied_onboard import VERSION
    from gps_denied_onboard.provisioning.trusted_keys import TrustedKeys, read_trusted_keys
    from gps_denied_operator.companion.check import check_companion
    from gps_denied_operator.companion.config import read_companion
    from gps_denied_operator.companion.ssh import CompanionLink, CompanionNotReadyError
    from gps_denied_operator.keys.keyring import default_keys_folder, list_keys

    settings, folder = read_companion(file), keys or default_keys_folder()
    trusted = read_trusted_keys(folder) if folder.is_dir() else TrustedKeys({})
    active = next((entry.fingerprint for entry in list_keys(folder) if entry.state == "active"), "")
    with CompanionLink(settings) as link:
        state = check_companion(link, settings, VERSION, trusted, active, time.time)
    if json:
        print_json({
            "outcome": "success" if state.ready else "failure", "items": [asdict(item) for item in state.items],
            "companion": state.described,
        })  # fmt: skip
    else:
        for item in state.items:
            typer.echo(f"{'ok ' if item.good else 'NOT'}  {item.name}: {item.told}")
    if not state.ready:
        raise typer.Exit(CompanionNotReadyError.exit_code)


@app.command()
def trust(file: CompanionArgument, keys: KeysOption = None, json: JsonOption = False) -> None:
    """Make the companion trust the keys of this workstation, and no longer those revoked here."""
    from gps_denied_onboard.provisioning.trusted_keys import KEY_SUFFIX, REVOKED_FILE, read_trusted_keys
    from gps_denied_operator.companion.config import read_companion
    from gps_denied_operator.companion.ssh import CompanionLink
    from gps_denied_operator.keys.keyring import default_keys_folder

    settings, folder = read_companion(file), keys or default_keys_folder()
    trusted = read_trusted_keys(folder)
    with CompanionLink(settings) as link:
        link.make_folder(settings.trusted_keys)
        # Revocations first: cut off in between, the companion trusts less, not more.
        revoked = "".join(f"{name}\n" for name in sorted(trusted.revoked))
        link.put_whole(f"{settings.trusted_keys}/{REVOKED_FILE}", revoked.encode())
        for name in trusted.good:
            link.put_whole(f"{settings.trusted_keys}/{name}{KEY_SUFFIX}", f"{trusted.keys[name].hex()}\n".encode())
        names = {f"{name}{KEY_SUFFIX}" for name in trusted.good}
        link.remove_others(settings.trusted_keys, names | {REVOKED_FILE})
    if json:
        print_json({"outcome": "success", "trusted": list(trusted.good), "revoked": sorted(trusted.revoked)})
    else:
        typer.echo(f"{settings.host} trusts {', '.join(trusted.good) or 'no key'}; revoked: {len(trusted.revoked)}")
