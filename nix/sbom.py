"""Bill of materials of an image, in CycloneDX: every deb and wheel with version, licence and SHA-256.

    sbom.py make --image NAME --pins PINS --out FILE PACKAGE_FILE...
    sbom.py check --pins PINS SBOM KIND:SET...

`make` hashes the files themselves and reads their licences from them; `check` compares with the pins, both ways.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import tarfile
import uuid
import zipfile
from datetime import UTC, datetime
from email import message_from_string
from pathlib import Path
from typing import Any

EPOCH = datetime.fromtimestamp(1_700_000_000, UTC)
NAMESPACE = uuid.UUID("6e617600-0000-4000-8000-000000000000")
LICENCE_LINE = re.compile(r"^License:[ \t]*(\S.*)$", re.MULTILINE)
COMMON_LICENCE = re.compile(r"/usr/share/common-licenses/([A-Za-z0-9.+-]*[A-Za-z0-9])")


def store_name(file: Path) -> str:
    """The pinned name of a store path: without the hash of 32 letters in front."""
    return file.name[33:]


def deb_licences(file: Path) -> list[str]:
    """The licences that a package's copyright file names; what it cannot be read from is said."""
    data, at = file.read_bytes(), 8
    while at < len(data):
        name, size = data[at : at + 16].decode().strip(), int(data[at + 48 : at + 58])
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(data[at + 60 : at + 60 + size])) as archive:
                texts = [archive.extractfile(m) for m in archive if m.isfile() and m.name.endswith("/copyright")]
                text = "\n".join(stream.read().decode("utf-8", "replace") for stream in texts if stream)
            found = set(LICENCE_LINE.findall(text)) or set(COMMON_LICENCE.findall(text))
            return sorted(name.strip() for name in found if name[0].isalnum()) or ["see the package's copyright file"]
        at += 60 + size + size % 2
    raise SystemExit(f"{file} is no Debian package")


def wheel_licences(file: Path) -> list[str]:
    """The licence that a wheel's metadata names: the expression, else the classifiers, else the free text."""
    with zipfile.ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        about = message_from_string(archive.read(name).decode("utf-8", "replace"))
    if about.get("License-Expression"):
        return [str(about["License-Expression"])]
    classifiers = [str(line) for line in about.get_all("Classifier", []) if str(line).startswith("License ::")]
    names = [line.rpartition(" :: ")[2] for line in classifiers if not line.endswith("OSI Approved")]
    text = str(about.get("License") or "").strip().splitlines()
    return names or text[:1] or ["not stated"]


def component(file: Path, pin: dict[str, str]) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense
    from packageurl import PackageURL

    deb = file.name.endswith(".deb")
    name, version, sha256 = pin["package"], pin["version"], hashlib.sha256(file.read_bytes()).hexdigest()
    purl = (
        PackageURL("deb", "debian", name, version, {"arch": pin["architecture"]})
        if deb
        else PackageURL("pypi", None, name, version, {"file_name": store_name(file)})
    )
    licences = deb_licences(file) if deb else wheel_licences(file)
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
        licenses=[DisjunctiveLicense(name=name) for name in licences],
    )  # fmt: skip


def pins_of(folder: Path) -> dict[str, Any]:
    return {kind: json.loads((folder / f"{kind}.json").read_text()) for kind in ("debs", "wheels")}


def make(image: str, pins: dict[str, Any], files: list[Path]) -> str:
    """The document as text; the same for the same files."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    known = pins["debs"]["files"] | pins["wheels"]["files"]
    bom = Bom()
    bom.metadata.timestamp = EPOCH
    bom.metadata.component = Component(name=f"gps-denied-{image}", type=ComponentType.OPERATING_SYSTEM, bom_ref=image)
    for file in sorted(set(files), key=store_name):
        bom.components.add(component(file, known[store_name(file)]))
    contents = "".join(str(part.hashes) for part in sorted(bom.components, key=lambda part: str(part.bom_ref)))
    bom.serial_number = uuid.uuid5(NAMESPACE, image + contents)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def check(pins: dict[str, Any], sbom: Path, sets: list[str]) -> list[str]:
    """What differs between a document and the sets that it should hold: (package, version, hash) of each."""
    wanted = set()
    for kind, _, name in (word.partition(":") for word in sets):
        for file in pins[kind]["sets"][name]:
            pin = pins[kind]["files"][file]
            wanted.add((pin["package"], pin["version"], pin["sha256"]))
    parts = json.loads(sbom.read_text())["components"]
    found = {(part["name"], part["version"], part["hashes"][0]["content"]) for part in parts}
    unlicensed = [f"without a licence: {part['name']}" for part in parts if not part.get("licenses")]
    missing = [f"pinned, not in the SBOM: {' '.join(item)}" for item in sorted(wanted - found)]
    return missing + [f"in the SBOM, not pinned: {' '.join(item)}" for item in sorted(found - wanted)] + unlicensed


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    making, checking = commands.add_parser("make"), commands.add_parser("check")
    for command in (making, checking):
        command.add_argument("--pins", type=Path, required=True)
    making.add_argument("--image", required=True)
    making.add_argument("--out", type=Path, required=True)
    making.add_argument("files", nargs="+", type=Path)
    checking.add_argument("sbom", type=Path)
    checking.add_argument("sets", nargs="+")
    arguments = parser.parse_args()
    pins = pins_of(arguments.pins)
    if arguments.command == "make":
        arguments.out.write_text(make(arguments.image, pins, arguments.files))
        return
    problems = check(pins, arguments.sbom, arguments.sets)
    for problem in problems:
        print(problem)
    if problems:
        raise SystemExit(1)
    print("the SBOM holds what is pinned, nothing else")


if __name__ == "__main__":
    main()
