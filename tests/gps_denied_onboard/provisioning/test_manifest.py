"""A manifest names files exactly, and nothing that it does not name is let through."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest

from gps_denied_onboard.provisioning.manifest import (
    Artefact,
    ManifestError,
    artefact_of,
    manifest_bytes,
    parse_manifest,
)

DATA = b"a model"
DIGEST = hashlib.sha256(DATA).hexdigest()
GOOD = {"path": "models/a.onnx", "size_bytes": len(DATA), "sha256": DIGEST}


def tree(**changes: Any) -> bytes:
    return orjson.dumps({"schema_version": 1, "artefacts": [GOOD | changes]})


def test_what_is_written_is_read() -> None:
    """A manifest of two files comes back, written in one order, and lets exactly these bytes through."""
    both = [artefact_of("b/c.engine", b"x"), artefact_of("models/a.onnx", DATA)]
    data = manifest_bytes(both)
    assert data == manifest_bytes(reversed(both))
    manifest = parse_manifest(data)
    assert manifest.artefacts["models/a.onnx"] == Artefact("models/a.onnx", 7, DIGEST)
    assert manifest.checked("models/a.onnx", DATA) == DATA


@pytest.mark.parametrize(
    ("path", "data", "says"),
    [
        ("models/a.onnx", b"a mOdel", "SHA-256"),
        ("models/a.onnx", b"a model.", "8 bytes, the manifest says 7"),
        ("models/b.onnx", DATA, "not in the manifest, which names models/a.onnx"),
        ("./models/a.onnx", DATA, "not in the manifest"),
    ],
)
def test_other_bytes_are_refused(path: str, data: bytes, says: str) -> None:
    """A byte more, a byte changed, or a name that is not listed is refused with what to do."""
    with pytest.raises(ManifestError, match=says):
        parse_manifest(tree()).checked(path, data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"schema_version": 1}',
        orjson.dumps({"schema_version": 2, "artefacts": []}),
        orjson.dumps({"schema_version": True, "artefacts": []}),
        orjson.dumps({"schema_version": 1, "artefacts": {}}),
        orjson.dumps({"schema_version": 1, "artefacts": [], "more": 1}),
        orjson.dumps({"schema_version": 1, "artefacts": [3]}),
        orjson.dumps({"schema_version": 1, "artefacts": [GOOD, GOOD]}),
        tree(more=1),
        tree(size_bytes=-1),
        tree(size_bytes=7.0),
        tree(size_bytes=True),
        tree(sha256=DIGEST.upper()),
        tree(sha256=DIGEST[:-1]),
        tree(sha256=DIGEST + "\n"),
        tree(sha256=None),
        *(
            tree(path=path)
            for path in ("", ".", "/etc/passwd", "../a", "a/../b", "a//b", "a/", "./a", "a\\b", "a\nb", 3, "a/./b")
        ),
    ],
)
def test_anything_else_is_no_manifest(data: bytes) -> None:
    """Other versions, other keys, wrong types, paths that leave the folder or have two spellings: nothing is used."""
    with pytest.raises(ManifestError):
        parse_manifest(data)


def test_random_damage_never_passes_as_another_manifest() -> None:
    """Each byte of a manifest changed in turn is refused, or still reads as something that refuses the file."""
    good = manifest_bytes([artefact_of("a.onnx", DATA)])
    parsed = 0
    for at in range(len(good)):
        damaged = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        try:
            manifest = parse_manifest(damaged)
        except ManifestError:
            continue
        parsed += 1
        with pytest.raises(ManifestError):
            manifest.checked("a.onnx", DATA)
    assert parsed > 50  # most changed digests and names are well-formed: the comparison itself was put to work
