"""JSON from outside: one reading for answers, manifests, plans and files, and typed looks into what was read.

RFC 8259 and stricter: UTF-8, finite numbers, integers of 64 bits, each key once, and a length, a depth and a count of
values that the caller allows. What is refused is an UntrustedError that names what was read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.text import shown

DEPTH_MAX = 32
VALUES_MAX = 1_000_000
TEXT_CHARACTERS_MAX = 1 << 20
_WHOLE_LOW, _WHOLE_HIGH = -(2**63), 2**64 - 1
_NUMBER_CHARACTERS_MAX = 400

Kind = TypeVar("Kind")


def read_json(
    data: bytes, what: str, bytes_max: int, *, depth_max: int = DEPTH_MAX, values_max: int = VALUES_MAX,
    text_max: int = TEXT_CHARACTERS_MAX,
) -> Any:  # fmt: skip
    """The value that JSON bytes hold: dict, list, str, int, float (finite), bool or None.

    `depth_max` counts lists and objects inside one another, `values_max` all values, `text_max` the characters of one
    text or key. UntrustedError for anything else.
    """
    if len(data) > bytes_max:
        raise UntrustedError(f"{what} has {len(data)} bytes; it may have at most {bytes_max}.")
    if data.count(b",") > values_max:  # before anything is made of it: a value takes up to fifty times its own bytes
        raise UntrustedError(f"{what} holds more than {values_max} values, which is more than it may.")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number, parse_float=_real,
            parse_int=_whole,
        )  # fmt: skip
    except RecursionError:
        raise UntrustedError(f"{what} is nested more than {depth_max} deep, which is more than it may.") from None
    except UnicodeDecodeError:
        raise UntrustedError(f"{what} is not JSON: its text is not UTF-8.") from None
    except ValueError as error:
        raise UntrustedError(f"{what} is not JSON that can be used: {shown(error, 160)}.") from None
    _check(value, what, depth_max, values_max, text_max)
    return value


def field(tree: Any, name: str, kind: type[Kind], what: str) -> Kind:
    """The value of a key of a JSON object, which must be there and be a `kind`: str, int, float, bool, list or dict.

    A whole number is taken for a float and made one; true is no number. UntrustedError otherwise.
    """
    if not isinstance(tree, dict):
        raise UntrustedError(f"{what} is not a JSON object.")
    if name not in tree:
        raise UntrustedError(f"{what} lacks '{name}'.")
    return of_kind(tree[name], kind, f"{what}: '{name}'")


def optional(tree: Any, name: str, kind: type[Kind], what: str) -> Kind | None:
    """As `field`; None where the key is absent or null."""
    if isinstance(tree, dict) and tree.get(name) is None:
        return None
    return field(tree, name, kind, what)


def of_kind(value: Any, kind: type[Kind], what: str) -> Kind:
    """`value`, which must be exactly a `kind`; as `field`."""
    if kind is float and type(value) is int:
        return cast(Kind, float(value))
    if type(value) is not kind:
        raise UntrustedError(f"{what} must be {_KINDS[kind]}, and is {_KINDS.get(type(value), 'null')}.")
    return value


def in_range(value: float, low: float, high: float, what: str) -> float:
    """`value` within `low` and `high`, both allowed; UntrustedError otherwise."""
    if not low <= value <= high:
        raise UntrustedError(f"{what} is {value:g}; it must be from {low:g} to {high:g}.")
    return value


def list_of(value: Any, kind: type[Kind], what: str, length: int | None = None) -> list[Kind]:
    """A JSON list of one kind of values, `length` of them where it is given."""
    found: Sequence[Any] = of_kind(value, list, what)
    if length is not None and len(found) != length:
        raise UntrustedError(f"{what} must hold {length} values, and holds {len(found)}.")
    return [of_kind(entry, kind, f"{what}[{at}]") for at, entry in enumerate(found)]


_KINDS: dict[Any, str] = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "an object",
}  # fmt: skip


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"it names '{shown(twice, 40)}' twice")
    return made


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _real(digits: str) -> float:
    value = float(digits) if len(digits) <= _NUMBER_CHARACTERS_MAX else math.inf
    if not math.isfinite(value):
        raise ValueError(f"{shown(digits, 30)} is no number of 64 bits")
    return value


def _whole(digits: str) -> int:
    value = int(digits) if len(digits) <= 20 else _WHOLE_HIGH + 1
    if not _WHOLE_LOW <= value <= _WHOLE_HIGH:
        raise ValueError(f"{shown(digits, 30)} is no whole number of 64 bits")
    return value


def _check(value: Any, what: str, depth_max: int, values_max: int, text_max: int) -> None:
    """Walk it level by level: no recursion, so that what is nested deeply is refused and not a traceback."""
    level, values, depth = [value], 0, 0
    while level:
        values += len(level)
        if values > values_max:
            raise UntrustedError(f"{what} holds more than {values_max} values, which is more than it may.")
        below: list[Any] = []
        nested = False
        for entry in level:
            if type(entry) is str:
                _check_text(entry, what, text_max)
            elif type(entry) is dict:
                nested = True
                for key in entry:
                    _check_text(key, what, text_max)
                below.extend(entry.values())
            elif type(entry) is list:
                nested = True
                below.extend(entry)
        depth += nested
        if depth > depth_max:
            raise UntrustedError(f"{what} is nested more than {depth_max} deep, which is more than it may.")
        level = below


def _check_text(text: str, what: str, text_max: int) -> None:
    if len(text) > text_max:
        raise UntrustedError(f"{what} holds a text of {len(text)} characters; it may have at most {text_max}.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise UntrustedError(f"{what} is not JSON that can be used: a text holds half a character.") from None
