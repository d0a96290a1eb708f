"""A manifest that was changed in any way is not believed, and every fault is told at once."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from gps_denied_onboard.provisioning.cache_manifest import (
    CacheBody,
    Signature,
    parse_cache_manifest,
    seal,
    sign,
)
from gps_denied_onboard.provisioning.manifest import MANIFEST_FILE, Artefact, ManifestError
from gps_denied_onboard.provisioning.trusted_keys import TrustedKeys
from gps_denied_onboard.provisioning.verify import (
    CacheNotTrustedError,
    Expected,
    FoundFile,
    faults,
    read_artefact,
    verify_cache,
)
from gps_denied_onboard.tiles.coverage import TileBlock

from .making import FINGERPRINT, PRIVATE_KEY, PUBLIC_KEY, TRUSTED

BODY = CacheBody(
    "m1", "f1", 49.0, 37.0, (36.9, 48.9, 37.1, 49.1), "ab" * 32, "provider", 18, False,
    (TileBlock(4934, 2818, 7, "cd" * 32),), (Artefact("overview/a", 5, "ef" * 32),),
    "12" * 16, 3,
)  # fmt: skip
FOUND = {"overview/a": FoundFile(5, "ef" * 32)}


def all_faults(data: bytes, trusted: TrustedKeys = TRUSTED, found: dict[str, FoundFile] | None = None) -> list[str]:
    try:
        sealed = parse_cache_manifest(data)
    except ManifestError as error:
        return [str(error)]
    return list(faults(sealed, trusted, FOUND if found is None else found, None, Expected("ab" * 32)))


def test_an_honest_manifest_has_no_fault() -> None:
    """What was signed by a trusted key and lies there as signed may fly."""
    assert all_faults(seal(BODY, sign(BODY, PRIVATE_KEY))) == []


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_every_changed_byte_is_refused(flip: int) -> None:
    """At every position of manifest and signature, a flipped bit, a changed case or a set top bit is a fault."""
    data = seal(BODY, sign(BODY, PRIVATE_KEY))
    believed = [k for k in range(len(data)) if not all_faults(data[:k] + bytes([data[k] ^ flip]) + data[k + 1 :])]
    assert believed == []


def test_cut_and_lengthened_manifests_are_refused() -> None:
    """No part of a manifest is one, nor is one with more behind it."""
    data = seal(BODY, sign(BODY, PRIVATE_KEY))
    assert [k for k in range(len(data)) if not all_faults(data[:k])] == []
    assert all_faults(data + b" ")
    assert all_faults(data + data)


def test_all_faults_are_told_at_once() -> None:
    """Wrong files, a revoked key, an origin outside of the box and other software are all named together."""
    body = dataclasses.replace(
        BODY, origin_latitude_deg=50.0, composition_sha256="",
        artefacts=(*BODY.artefacts, Artefact("overview/b", 1, "aa" * 32)),
    )  # fmt: skip
    revoked = TrustedKeys({FINGERPRINT: PUBLIC_KEY}, frozenset({FINGERPRINT}))
    found = {"overview/a": FoundFile(5, "00" * 32)}
    told = "\n".join(all_faults(seal(body, sign(body, PRIVATE_KEY)), revoked, found))
    for part in ("revoked", "outside of the mission's", "composition", "overview/a is not", "overview/b is missing"):
        assert part in told


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        (None, "nobody has signed"),
        (Signature("0" * 32, "00" * 64), "not trusted here"),
        (Signature(FINGERPRINT, "00" * 64), "is not one of key"),
        (Signature(FINGERPRINT, sign(BODY, PRIVATE_KEY).ed25519.upper()), "is not one of key"),
        (Signature(FINGERPRINT, sign(BODY, bytes(32)).ed25519), "is not one of key"),
    ],
)
def test_a_signature_that_is_none(signature: Signature | None, why: str) -> None:
    """No signature, an unknown key, another key's signature and another spelling are faults."""
    assert any(why in fault for fault in all_faults(seal(BODY, signature)))


@pytest.mark.parametrize(
    "change", [{"mission_id": "m2"}, {"squares": (TileBlock(4934, 2818, 7, "ce" * 32),)}, {"zoom": 17}]
)
def test_a_signature_is_good_for_one_body_alone(change: dict[str, Any]) -> None:
    """Another body, its own SHA-256 made right again, is not believed by the signature of the first."""
    told = all_faults(seal(dataclasses.replace(BODY, **change), sign(BODY, PRIVATE_KEY)))
    assert len(told) == 1
    assert "is not one of key" in told[0]


HOSTILE = {
    "future schema": ({"schema_version": 3}, "one release"),
    "absolute path": ({"artefacts": [{"path": "/etc/passwd", "sha256": "0" * 64, "size_bytes": 1}]}, "plain relative"),
    "path with ..": ({"artefacts": [{"path": "a/../../b", "sha256": "0" * 64, "size_bytes": 1}]}, "plain relative"),
    "unknown key": ({"more": 1}, "nothing else"),
    "not a box": ({"bbox_deg": [1.0, 2.0]}, "no box"),
    "number as text": ({"origin": {"latitude_deg": "49", "longitude_deg": 37.0}}, "no number"),
    "coverage that does not add up": (
        {"coverage": {"sha256": "0" * 64, "tiles": 7, "squares": [[4934, 2818, 7, "cd" * 32]]}}, "add up",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_body_is_refused_whoever_signed_it(case: str) -> None:
    """Bodies that no honest program writes are refused by their shape."""
    changes, why = HOSTILE[case]
    tree = orjson.loads(seal(BODY, sign(BODY, PRIVATE_KEY)))
    tree["body"].update(changes)
    told = all_faults(orjson.dumps(tree, option=orjson.OPT_SORT_KEYS) + b"\n")
    assert any(why in fault for fault in told), told


def a_cache(folder: Path) -> Path:
    """Write a cache of one artefact, signed, and no tiles to look at."""
    content = b"a map"
    artefact = Artefact("overview/a", len(content), hashlib.sha256(content).hexdigest())
    body = dataclasses.replace(BODY, artefacts=(artefact,))
    (folder / "overview").mkdir(parents=True)
    (folder / "overview" / "a").write_bytes(content)
    (folder / MANIFEST_FILE).write_bytes(seal(body, sign(body, PRIVATE_KEY)))
    return folder


@pytest.mark.parametrize(
    ("linked", "why"),
    [("overview/a", "is missing, or is no plain file"), (MANIFEST_FILE, "manifest"), ("overview", "")],
)
def test_the_same_bytes_behind_a_link_are_not_the_file(tmp_path: Path, linked: str, why: str) -> None:
    """A link may lead elsewhere a moment later: manifest, artefacts and their folder are plain themselves."""
    cache = a_cache(tmp_path / "cache")
    expected = Expected(BODY.composition_sha256)
    assert verify_cache(cache, TRUSTED, expected=expected).mission_id == BODY.mission_id
    (cache / linked).rename(cache / "aside")
    (cache / linked).symlink_to(cache / "aside")
    with pytest.raises(CacheNotTrustedError, match=why):
        verify_cache(cache, TRUSTED, expected=expected)


def test_an_artefact_is_read_where_it_was_verified(tmp_path: Path) -> None:
    """The bytes that are used come from the plain file: a link to the same ones is no longer it."""
    cache = a_cache(tmp_path / "cache")
    (artefact,) = verify_cache(cache, TRUSTED, expected=Expected(BODY.composition_sha256)).artefacts
    assert read_artefact(cache, artefact) == b"a map"
    (cache / "overview" / "a").rename(cache / "aside")
    (cache / "overview" / "a").symlink_to(cache / "aside")
    with pytest.raises(CacheNotTrustedError, match="not the one that was verified"):
        read_artefact(cache, artefact)


@pytest.mark.parametrize(
    ("box", "origin", "why"),
    [
        ((37.1, 48.9, 36.9, 49.1), (49.0, 37.0), "no box"),
        ((36.9, 49.1, 37.1, 48.9), (49.0, 37.0), "no box"),
        ((37.0, 48.9, 37.0, 49.1), (49.0, 37.0), "no box"),
        ((36.9, 49.0, 37.1, 49.0), (49.0, 37.0), "no box"),
        ((179.9, 48.9, 180.1, 49.1), (49.0, 180.0), "no box"),
        ((36.9, -90.0, 37.1, 49.1), (49.0, 37.0), "no box"),
        ((36.9, 48.9, 37.1, 49.1), (48.8, 37.0), "outside of the mission's box"),
        ((36.9, 48.9, 37.1, 49.1), (49.2, 37.0), "outside of the mission's box"),
        ((36.9, 48.9, 37.1, 49.1), (49.0, 36.8), "outside of the mission's box"),
        ((36.9, 48.9, 37.1, 49.1), (49.0, 37.2), "outside of the mission's box"),
    ],
)
def test_a_box_that_is_none_or_without_its_origin(
    box: tuple[float, float, float, float], origin: tuple[float, float], why: str
) -> None:
    """Sides exchanged, without a size, beyond the map; an origin off any one side: a fault, whoever signed it."""
    body = dataclasses.replace(BODY, bbox_deg=box, origin_latitude_deg=origin[0], origin_longitude_deg=origin[1])
    told = all_faults(seal(body, sign(body, PRIVATE_KEY)))
    assert len(told) == 1
    assert why in told[0]


@pytest.mark.parametrize(
    ("box", "origin"),
    [
        ((36.9, 48.9, 37.1, 49.1), (48.9, 36.9)),
        ((36.9, 48.9, 37.1, 49.1), (49.1, 37.1)),
        ((-180.0, -89.9, 180.0, 89.9), (0.0, 0.0)),
    ],
)
def test_an_origin_on_the_boxs_edge_is_inside(
    box: tuple[float, float, float, float], origin: tuple[float, float]
) -> None:
    """A corner of the box belongs to it, and a box may reach the date line."""
    body = dataclasses.replace(BODY, bbox_deg=box, origin_latitude_deg=origin[0], origin_longitude_deg=origin[1])
    assert all_faults(seal(body, sign(body, PRIVATE_KEY))) == []


@pytest.mark.parametrize(("count", "last"), [(20, "20. fault 19"), (21, "... and 1 more")])
def test_many_faults_are_numbered_and_counted(count: int, last: str) -> None:
    """Twenty are shown, from 1 on; of more it is said how many there are, and all of them are kept."""
    error = CacheNotTrustedError(Path("cache"), [f"fault {number}" for number in range(count)])
    lines = str(error).splitlines()
    assert lines[1] == "  1. fault 0"
    assert lines[-2] == f"  {last}"
    assert len(lines) == min(count, 20) + 2 + (count > 20)
    assert len(error.faults) == count


@pytest.mark.parametrize(
    ("held", "said"),
    [((), "0 of 7 are there"), ((TileBlock(4934, 2818, 5, "cd" * 32),), "5 of 7 are there"),
     ((TileBlock(4934, 2818, 7, "ce" * 32),), "7 of 7 are there, or others"),
     ((TileBlock(2818, 4934, 7, "cd" * 32),), "0 of 7 are there")],
)  # fmt: skip
def test_tiles_that_are_not_the_signed_ones(held: tuple[TileBlock, ...], said: str) -> None:
    """None, fewer, others, or those of another square: the square is named with how many of its tiles are there."""
    sealed = parse_cache_manifest(seal(BODY, sign(BODY, PRIVATE_KEY)))
    (fault,) = faults(sealed, TRUSTED, FOUND, held, Expected())
    assert "square 4934/2818 (zoom 18)" in fault
    assert said in fault
    assert list(faults(sealed, TRUSTED, FOUND, BODY.squares, Expected())) == []
