"""A manifest is for one companion, for the mission that is flown, and not older than one that was verified."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import orjson
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.cache_manifest import CacheBody, parse_cache_manifest, seal, sign
from gps_denied_onboard.provisioning.companion_memory import MEMORY_FILE, memory_of, remember
from gps_denied_onboard.provisioning.manifest import ManifestError
from gps_denied_onboard.provisioning.verify import Expected, faults
from gps_denied_onboard.tiles.coverage import TileBlock

from .making import PRIVATE_KEY, TRUSTED

BODY = CacheBody(
    "friday", "f1", 49.0, 37.0, (36.9, 48.9, 37.1, 49.1), "", "provider", 18, False,
    (TileBlock(4934, 2818, 7, "cd" * 32),), (), "12" * 16, 6,
)  # fmt: skip


def told(expected: Expected, body: CacheBody = BODY) -> list[str]:
    sealed = parse_cache_manifest(seal(body, sign(body, PRIVATE_KEY)))
    return list(faults(sealed, TRUSTED, {}, None, expected))


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        (Expected(companion_id="34" * 16), "it was made for the companion 1212"),
        (Expected(counter_min=7), r"its counter is 6, and a later one \(7\) was verified here"),
        (Expected(mission_id="monday"), "it is for the mission friday, the configuration names monday"),
    ],
)
def test_another_companion_an_older_counter_another_mission_are_faults(expected: Expected, why: str) -> None:
    """The same key signed all of them; none of them is flown with."""
    (fault,) = told(expected)
    assert re.search(why, fault)


def test_its_own_companion_may_fly_it_again_and_again() -> None:
    """The highest counter itself, the companion's own name and its mission are no faults."""
    assert told(Expected(companion_id="12" * 16, counter_min=6, mission_id="friday")) == []


def test_manifests_of_before_are_refused_with_what_to_do() -> None:
    """A manifest of the first version, which names no companion, says to build the cache again."""
    tree = orjson.loads(seal(BODY))
    tree["body"]["schema_version"] = 1
    del tree["body"]["companion_id"], tree["body"]["counter"]
    with pytest.raises(ManifestError, match=r"names no companion.*Build the cache again"):
        parse_cache_manifest(orjson.dumps(tree, option=orjson.OPT_SORT_KEYS) + b"\n")


@pytest.mark.parametrize(
    "changes", [{"companion_id": ""}, {"companion_id": "A" * 32}, {"counter": 0}, {"counter": 2**31}]
)
def test_a_manifest_without_a_name_or_a_counter_is_none(changes: dict[str, object]) -> None:
    """Empty names, names of other letters and counters that are none are refused."""
    with pytest.raises(ManifestError):
        parse_cache_manifest(seal(dataclasses.replace(BODY, **changes)))  # type: ignore[arg-type]


def test_a_companion_keeps_its_name_and_the_highest_counter(tmp_path: Path) -> None:
    """The name is drawn once; a lower counter changes nothing."""
    first = memory_of(tmp_path)
    remember(tmp_path, 6)
    remember(tmp_path, 5)
    assert memory_of(tmp_path) == dataclasses.replace(first, counter=6)
    assert memory_of(tmp_path / "other").companion_id != first.companion_id


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"companion_id": "a", "counter": 1}', b"x" * 10_000, b"link", b"gone"]
)
def test_a_damaged_memory_fails_closed(tmp_path: Path, content: bytes) -> None:
    """A memory that is torn, forged, or a link elsewhere is not begun anew in silence."""
    path = tmp_path / MEMORY_FILE
    if content in (b"link", b"gone"):
        (tmp_path / "elsewhere").write_bytes(b'{"companion_id": "' + b"a" * 32 + b'", "counter": 0}')
        path.symlink_to("elsewhere" if content == b"link" else "nowhere")
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match="remembers which manifests were flown"):
        memory_of(tmp_path)
