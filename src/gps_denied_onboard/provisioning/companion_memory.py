"""What a companion remembers of its manifests: its own name, and the highest counter; beside its tile store.

A manifest is for one companion, and an older one is not flown with again, though the same key signed it. Whoever
removes the file gets a companion of another name, which no manifest of before is for.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import orjson

from gps_denied_onboard.atomic_file import write_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.cache_manifest import COMPANION_ID
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.json import field, read_json

MEMORY_FILE = ".companion.json"
_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class CompanionMemory:
    """`companion_id`: 32 hexadecimal digits, drawn once; `counter`: the highest that was verified, else 0."""

    companion_id: str
    counter: int


def memory_of(root: Path) -> CompanionMemory:
    """The memory beside the tile store `root`, made where there is none. UserError where it is damaged."""
    path = root / MEMORY_FILE
    try:
        told = read_json(read_file(path, _BYTES_MAX, follow=False), str(path), _BYTES_MAX)
        memory = CompanionMemory(field(told, "companion_id", str, str(path)), field(told, "counter", int, str(path)))
        if COMPANION_ID.fullmatch(memory.companion_id) is None or memory.counter < 0:
            raise UntrustedError(f"{path} holds no companion's name and counter.")
    except FileNotFoundError:
        memory = CompanionMemory(secrets.token_hex(16), 0)
        _write(path, memory)
    except (OSError, UntrustedError) as error:
        raise UserError(
            f"{error} It remembers which manifests were flown: put it back from a copy; or remove it, and build the "
            "cache anew, which no older manifest then replaces."
        ) from None
    return memory


def remember(root: Path, counter: int) -> None:
    """Note that a manifest with this counter was verified; a lower one than before changes nothing."""
    memory = memory_of(root)
    if counter > memory.counter:
        _write(root / MEMORY_FILE, CompanionMemory(memory.companion_id, counter))


def _write(path: Path, memory: CompanionMemory) -> None:
    tree = {"companion_id": memory.companion_id, "counter": memory.counter}
    write_whole(path, orjson.dumps(tree, option=orjson.OPT_APPEND_NEWLINE))
