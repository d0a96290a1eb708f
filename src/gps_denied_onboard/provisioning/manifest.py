"""The manifest: which files belong on board, their sizes and SHA-256; pure, and closed to whatever it does not name.

{"schema_version": 1, "artefacts": [{"path": "models/xfeat.onnx", "size_bytes": 123, "sha256": "9f86d0..."}]}
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import orjson

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.json import read_json

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
MANIFEST_BYTES_MAX = 64 * 1024 * 1024
_KEYS = {"path", "size_bytes", "sha256"}


class ManifestError(UserError):
    """A manifest, or a file that it should name, cannot be trusted; nothing of it is used."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file: `path` relative to the manifest's folder with forward slashes, size, and SHA-256 in lower-case hex."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Artefacts by path."""

    artefacts: Mapping[str, Artefact]

    def checked(self, path: str, data: bytes) -> bytes:
        """`data` itself, when it is what the manifest names for `path`; ManifestError otherwise."""
        expected = self.artefacts.get(path)
        if expected is None:
            known = ", ".join(sorted(self.artefacts)[:8]) or "nothing"
            raise ManifestError(
                f"'{path}' is not in the manifest, which names {known}; provision it, or correct the configuration."
            )
        if len(data) != expected.size_bytes:
            raise ManifestError(
                f"'{path}' has {len(data)} bytes, the manifest says {expected.size_bytes}; copy it on board again."
            )
        if hashlib.sha256(data).hexdigest() != expected.sha256:
            raise ManifestError(f"'{path}' is not the file that the manifest names (SHA-256); copy it on board again.")
        return data


def artefact_of(path: str, data: bytes) -> Artefact:
    """The entry of a file. ManifestError for a path that no manifest may hold."""
    return Artefact(_plain_path(path), len(data), hashlib.sha256(data).hexdigest())


def parse_manifest(data: bytes) -> Manifest:
    """The manifest of its bytes. ManifestError for anything that is not exactly one of this version."""
    try:
        tree = read_json(data, "the manifest", MANIFEST_BYTES_MAX, text_max=4096)
    except UntrustedError as error:
        raise ManifestError(f"{error} Provision again.") from None
    if not isinstance(tree, dict) or set(tree) != {"schema_version", "artefacts"}:
        raise ManifestError("the manifest must hold schema_version and artefacts, nothing else. Provision again.")
    if type(tree["schema_version"]) is not int or tree["schema_version"] != SCHEMA_VERSION:
        raise ManifestError(
            f"the manifest has version {tree['schema_version']!r}, this program reads {SCHEMA_VERSION}; "
            "provision with the program of the same release."
        )
    if not isinstance(tree["artefacts"], list):
        raise ManifestError("the manifest's artefacts must be a list. Provision again.")
    artefacts: dict[str, Artefact] = {}
    for entry in tree["artefacts"]:
        artefact = artefact_from_tree(entry)
        if artefact.path in artefacts:
            raise ManifestError(f"the manifest names '{artefact.path}' twice. Provision again.")
        artefacts[artefact.path] = artefact
    return Manifest(artefacts)


def manifest_bytes(artefacts: Iterable[Artefact]) -> bytes:
    """The manifest of these files: the same bytes for the same files."""
    entries = [
        {"path": a.path, "size_bytes": a.size_bytes, "sha256": a.sha256}
        for a in sorted(artefacts, key=lambda a: a.path)
    ]
    tree = {"schema_version": SCHEMA_VERSION, "artefacts": entries}
    return orjson.dumps(tree, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def artefact_from_tree(entry: Any) -> Artefact:
    """One entry of a manifest's list of files. ManifestError for a path that could leave the manifest's folder."""
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        raise ManifestError(f"an artefact of the manifest must hold {', '.join(sorted(_KEYS))} only. Provision again.")
    path, size, digest = entry["path"], entry["size_bytes"], entry["sha256"]
    if type(size) is not int or not 0 <= size < 2**53:
        raise ManifestError(f"the manifest gives {path!r} a size of {size!r}. Provision again.")
    if not isinstance(digest, str) or re.fullmatch(r"[0-9a-f]{64}", digest) is None:
        raise ManifestError(f"the manifest gives {path!r} no SHA-256 of 64 lower-case hex digits. Provision again.")
    return Artefact(_plain_path(path), size, digest)


def _plain_path(path: Any) -> str:
    """A path that stays inside its folder and has one spelling only."""
    if (
        not isinstance(path, str)
        or not path
        or not path.isprintable()
        or "\\" in path
        or path.startswith("/")
        or str(PurePosixPath(path)) != path
        or ".." in PurePosixPath(path).parts
        or path == "."
    ):
        raise ManifestError(f"the manifest names {path!r}, which is no plain relative path. Provision again.")
    return path
