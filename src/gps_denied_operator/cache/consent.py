"""What a companion offers to be signed and this workstation does not hold itself: shown, asked for, and remembered.

Kept by the companion's SSH host key, beside the file where that key is pinned: what was agreed to, and the counter of
the last manifest that was signed for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gps_denied_onboard.atomic_file import write_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.cache_manifest import CacheBody, body_bytes
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted import json as outside
from gps_denied_onboard.untrusted.bounded import read_file

BYTES_MAX = 16 * 1024 * 1024
TOKEN_DIGITS = 16
Ask = Callable[[Sequence[str]], bool]


class NotAgreedError(UserError):
    """The companion offers what nobody here has agreed to."""

    exit_code = 21


@dataclass(frozen=True, slots=True)
class Offered:
    """One thing that a signature would cover. `kind`: calibration, model ...; `told`: what a person can judge."""

    kind: str
    digest: str
    told: str


def token_of(offered: Sequence[Offered]) -> str:
    """What stands for these things and no others on a command line: 16 hexadecimal digits."""
    listed = "".join(sorted(f"{one.kind} {one.digest}\n" for one in offered))
    return hashlib.sha256(listed.encode()).hexdigest()[:TOKEN_DIGITS]


@dataclass(slots=True)
class Ledger:
    """What was agreed to and signed for the companion with this host key."""

    path: Path
    host_key: str
    _all: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            told = outside.read_json(read_file(self.path, BYTES_MAX), str(self.path), BYTES_MAX)
            for key, entry in outside.of_kind(told, dict, str(self.path)).items():
                self._all[key] = {
                    "companion_id": outside.field(entry, "companion_id", str, key),
                    "counter": outside.field(entry, "counter", int, key),
                    "signed": outside.field(entry, "signed", str, key),
                    "agreed": outside.list_of(outside.field(entry, "agreed", list, key), str, key),
                }
        except FileNotFoundError:
            pass
        except (OSError, UntrustedError) as error:
            raise UserError(
                f"{self.path} cannot be read ({error}): it remembers what was signed for which companion; put it back "
                "from a copy, or remove it and look at everything again."
            ) from None

    def check(self, body: CacheBody, offered: Sequence[Offered], own: set[str], accept: str, ask: Ask | None) -> None:
        """Whether a body may be signed. own: digests that this workstation holds itself; accept: a token, or ''.

        NotAgreedError with what is new and how to agree, and for the name of another companion or an old counter.
        """
        never: dict[str, Any] = {"companion_id": body.companion_id, "counter": 0, "signed": "", "agreed": []}
        mine = self._all.get(self.host_key, never)
        taken = [key for key, entry in self._all.items() if entry["companion_id"] == body.companion_id]
        if mine["companion_id"] != body.companion_id or taken not in ([], [self.host_key]):
            raise NotAgreedError(
                f"The companion with the host key {self.host_key} calls itself {body.companion_id}; signed for was "
                f"{mine['companion_id']} under {', '.join(taken) or self.host_key}. If it was set up anew, remove its "
                f"entry from {self.path}."
            )
        if body.counter < mine["counter"] or (body.counter == mine["counter"] and _digest(body) != mine["signed"]):
            raise NotAgreedError(
                f"The companion built a manifest with the counter {body.counter}, and {mine['counter']} was signed for "
                f"it already: build again; if it was set up anew, remove its entry from {self.path}."
            )
        new = [one for one in offered if one.digest not in own and f"{one.kind} {one.digest}" not in mine["agreed"]]
        token = token_of(new)
        lines = [f"{one.kind}: {one.told}" for one in new]
        if new and accept != token and not (ask is not None and ask(lines)):
            listed = "".join(f"\n  {line}" for line in lines)
            raise NotAgreedError(
                f"The companion offers what was never signed for it from here:{listed}\nLook at each; if all of it is "
                f"right, run again with --accept {token}."
            )

    def note(self, body: CacheBody, offered: Sequence[Offered]) -> None:
        """Remember that this was signed."""
        mine = self._all.setdefault(self.host_key, {"agreed": []})
        agreed = sorted({*mine["agreed"], *(f"{one.kind} {one.digest}" for one in offered)})
        mine |= {"companion_id": body.companion_id, "counter": body.counter, "signed": _digest(body), "agreed": agreed}
        write_whole(self.path, orjson.dumps(self._all, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), 0o600)


def _digest(body: CacheBody) -> str:
    return hashlib.sha256(body_bytes(body)).hexdigest()
