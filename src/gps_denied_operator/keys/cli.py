"""`operator-tool keys`: make, list and revoke the keys that manifests are signed with."""

from __future__ import annotations

from typing import Annotated

import typer

from gps_denied_operator.console import JsonOption, print_json
from gps_denied_operator.keys.options import KeysOption

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Keys that the manifests of caches are signed with."
)


@app.callback()
def keys() -> None:
    """Keys that the manifests of caches are signed with."""


@app.command()
def new(folder: KeysOption = None, json: JsonOption = False) -> None:
    """Make a key; from now on it signs. Keys made before stay trusted until they are revoked."""
    from gps_denied_operator.keys.keyring import default_keys_folder, new_key

    where = folder or default_keys_folder()
    name = new_key(where)
    if json:
        print_json({"fingerprint": name, "folder": str(where)})
    else:
        typer.echo(f"{name} in {where} signs from now on; tell the aircraft with `operator-tool companion trust`")


@app.command("list")
def list_(folder: KeysOption = None, json: JsonOption = False) -> None:
    """List the keys: which signs, which are trusted, which are revoked."""
    from dataclasses import asdict

    from gps_denied_operator.keys.keyring import default_keys_folder, list_keys

    where = folder or default_keys_folder()
    found = list_keys(where)
    if json:
        print_json({"folder": str(where), "keys": [asdict(entry) for entry in found]})
        return
    for entry in found:
        typer.echo(f"{entry.fingerprint}  {entry.state}{'' if entry.signs else '  (public half only)'}")
    if not found:
        typer.echo(f"no keys in {where}; make one with `operator-tool keys new`")


@app.command()
def revoke(
    fingerprint: Annotated[str, typer.Argument(help="The key's 32 hexadecimal digits, as `keys list` shows them.")],
    folder: KeysOption = None,
    json: JsonOption = False,
) -> None:
    """Revoke a key for good; its private half is removed. Send the list on with `operator-tool companion trust`."""
    from gps_denied_operator.keys.keyring import default_keys_folder, revoke_key

    where = folder or default_keys_folder()
    revoke_key(where, fingerprint)
    if json:
        print_json({"revoked": fingerprint, "folder": str(where)})
    else:
        typer.echo(f"{fingerprint} is revoked here; aircraft learn of it by `operator-tool companion trust`")
