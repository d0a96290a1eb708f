"""Which configuration a result was made with: the whole tree, and a hash by which two results are known as the same."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from gps_denied_onboard import VERSION
from gps_denied_onboard.config import Config, load_config

CONFIGURATION, SHA256 = "configuration", "configuration_sha256"
SHORT = 12
"""Letters of a hash that people see."""


def configuration_facts(path: Path | None) -> dict[str, Any]:
    """Of the configuration file (None: the defaults), for `results.json`: the values that were used, defaults too, NaN
    as null; their SHA-256; and the program's version. UserError as `load_config`."""
    tree = configuration_tree(load_config(path))
    return {CONFIGURATION: tree, SHA256: configuration_sha256(tree), "version": VERSION}


def configuration_tree(config: Config) -> dict[str, Any]:
    """A configuration as JSON, as in the header of a flight."""
    tree: dict[str, Any] = orjson.loads(orjson.dumps(dataclasses.asdict(config)))
    return tree


def configuration_sha256(tree: Mapping[str, Any]) -> str:
    """SHA-256 of the tree as JSON with sorted keys: the order in a file and its comments change nothing."""
    return hashlib.sha256(orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)).hexdigest()


def differences(a: Mapping[str, Any], b: Mapping[str, Any], where: str = "") -> list[tuple[str, Any, Any]]:
    """(key, value of a, value of b) wherever two trees differ, by dotted key; None where one has no such key."""
    out: list[tuple[str, Any, Any]] = []
    for key in sorted(a.keys() | b.keys()):
        one, other = a.get(key), b.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            out += differences(one, other, f"{where}{key}.")
        elif one != other:
            out.append((f"{where}{key}", one, other))
    return out
