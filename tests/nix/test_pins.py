"""The pins of the images are those of requirements/*.txt: libraries, versions and hashes, no more and no less."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "nix" / "pins"
WANTED: dict[str, Any] = tomllib.loads((PINS / "wanted.toml").read_text())
PINNED: dict[str, Any] = {kind: json.loads((PINS / f"{kind}.json").read_text()) for kind in ("debs", "wheels")}
REQUIREMENT = re.compile(
    r"^(?P<library>[A-Za-z0-9_.-]+)(\[[^]]*\])?==(?P<version>\S+)(?P<hashes>( \\\n +--hash=\S+)*)", re.MULTILINE
)


def normal(library: str) -> str:
    """A library's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", library).lower()


def required(files: list[str]) -> dict[str, tuple[str, set[str]]]:
    """library -> (version, hashes) of some requirements files."""
    found: dict[str, tuple[str, set[str]]] = {}
    for file in files:
        for match in REQUIREMENT.finditer((ROOT / "requirements" / f"{file}.txt").read_text()):
            hashes = set(re.findall(r"sha256:([0-9a-f]{64})", match["hashes"]))
            version, known = found.setdefault(normal(match["library"]), (match["version"], set()))
            assert version == match["version"], f"{match['library']} has two versions in requirements/*.txt"
            known |= hashes
    return found


def differences(name: str, wanted: dict[str, Any], pinned: dict[str, Any]) -> list[str]:
    """What a set of wheels holds that its requirements do not, and the other way round."""
    libraries = required(wanted["requirements"])
    kept = (set(wanted.get("only", libraries)) & libraries.keys()) - set(wanted.get("leave", []))
    pins = {normal(pinned["files"][file]["package"]): (file, pinned["files"][file]) for file in pinned["sets"][name]}
    found = [f"{name}: {library} is required, not pinned" for library in sorted(kept - pins.keys())]
    found += [f"{name}: {library} is pinned, not required" for library in sorted(pins.keys() - kept)]
    for library in sorted(kept & pins.keys()):
        file, pin = pins[library]
        version, hashes = libraries[library]
        if pin["version"] != version or [normal(file.split("-")[0]), file.split("-")[1]] != [library, version]:
            found.append(f"{name}: {file} is pinned, {library} {version} is required")
        if pin["sha256"] not in hashes:
            found.append(f"{name}: the hash of {file} is none of requirements/*.txt")
        if not file.endswith(("-any.whl", f"_{wanted['platform']}.whl")):
            found.append(f"{name}: {file} is not for {wanted['platform']}")
    return found


@pytest.mark.parametrize("name", WANTED["wheels"])
def test_wheels_are_those_of_the_requirements(name: str) -> None:
    """Each set holds every library that its requirements name, in that version, by a hash that they allow."""
    assert not differences(name, WANTED["wheels"][name], PINNED["wheels"]), f"run nix/pins/refresh {name}"


def test_a_difference_is_seen() -> None:
    """A library too few, another version, another hash: each is named."""
    wanted = WANTED["wheels"]["companion"]
    (numpy,) = (file for file in PINNED["wheels"]["sets"]["companion"] if file.startswith("numpy-"))
    for change, said in (
        ({"version": "1.0.0"}, f"{numpy} is pinned, numpy"),
        ({"sha256": "0" * 64}, f"the hash of {numpy}"),
        (None, "numpy is required, not pinned"),
    ):
        pins = json.loads(json.dumps(PINNED["wheels"]))
        if change:
            pins["files"][numpy] |= change
        else:
            pins["sets"]["companion"].remove(numpy)
        (found,) = differences("companion", wanted, pins)
        assert said in found


def test_debs_are_those_that_are_wanted() -> None:
    """Every wanted Debian package is pinned for its architecture, and none that is to be left out."""
    wanted = dict(WANTED["debs"])
    leave = set(wanted.pop("leave")["packages"])
    files = PINNED["debs"]["files"]
    assert PINNED["debs"]["sets"].keys() == wanted.keys()
    for name, settings in wanted.items():
        pins = [files[file] for file in PINNED["debs"]["sets"][name]]
        packages = {pin["package"] for pin in pins}
        assert set(settings["packages"]) <= packages, f"run nix/pins/refresh {name}"
        assert not packages & leave
        assert {pin["architecture"] for pin in pins} <= {settings["architecture"], "all"}


def test_every_pinned_file_is_of_a_set() -> None:
    """No file is fetched that nothing is made of, and no name can become a wrong store path."""
    for kind, page in PINNED.items():
        assert page["files"].keys() == {file for files in page["sets"].values() for file in files}, kind
        for file, pin in page["files"].items():
            assert re.fullmatch(r"[A-Za-z0-9+._?=-]+", file)
            assert re.fullmatch(r"[0-9a-f]{64}", pin["sha256"])
