"""Unpack wheels: install_wheels.py SITE_PACKAGES [--commands PREFIX] [--exclude LIST] WHEEL...

PREFIX/bin gets the console scripts and programs, PREFIX the wheels' data files. LIST holds glob patterns, one a line,
of paths below SITE_PACKAGES that are left out. Two wheels with different files of one name are an error.
"""

from __future__ import annotations

import argparse
import configparser
import fnmatch
import zipfile
from collections.abc import Iterator
from pathlib import Path

SCRIPT = """#!{python}
import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({function}())
"""


def place(name: str, site: Path, prefix: Path | None) -> Path | None:
    """Where a file of a wheel goes; None for what only a commands' prefix would take."""
    parts = name.split("/")
    if not parts[0].endswith(".data"):
        return site / name
    rest = Path(*parts[2:])
    if parts[1] in ("purelib", "platlib"):
        return site / rest
    folders = {"scripts": "bin", "data": ".", "headers": "include"}
    return prefix / folders[parts[1]] / rest if prefix else None


def scripts(entry_points: str, python: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of each console script."""
    reader = configparser.ConfigParser(delimiters=("=",))
    reader.optionxform = str  # type: ignore[assignment,method-assign]
    reader.read_string(entry_points)
    for name, target in reader["console_scripts"].items() if "console_scripts" in reader else ():
        module, _, function = target.split("[")[0].strip().partition(":")
        first = function.split(".")[0]
        yield name, SCRIPT.format(python=python, module=module, first=first, function=function)


def put(path: Path, data: bytes, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_bytes() != data:
        raise SystemExit(f"two wheels hold a different {path}")
    if not path.exists():
        path.write_bytes(data)
    path.chmod(0o555 if executable else 0o444)


def install(wheel: Path, site: Path, prefix: Path | None, excluded: list[str]) -> None:
    """Unpack one wheel."""
    python = prefix / "bin" / "python3" if prefix else Path()
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.is_dir() or any(fnmatch.fnmatch(member.filename, pattern) for pattern in excluded):
                continue
            path = place(member.filename, site, prefix)
            if path is None:
                continue
            data = archive.read(member)
            command = path.parent.name == "bin" and ".data/scripts/" in member.filename
            if command and data.startswith(b"#!python"):
                data = f"#!{python}".encode() + data[data.index(b"\n") :]
            put(path, data, command or bool((member.external_attr >> 16) & 0o111))
            if prefix and member.filename.endswith(".dist-info/entry_points.txt"):
                for name, text in scripts(data.decode(), python):
                    put(prefix / "bin" / name, text.encode(), True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("site", type=Path)
    parser.add_argument("--commands", type=Path)
    parser.add_argument("--exclude", type=Path)
    parser.add_argument("wheels", nargs="+", type=Path)
    arguments = parser.parse_args()
    lines = arguments.exclude.read_text().splitlines() if arguments.exclude else []
    excluded = [line for line in lines if line and not line.startswith("#")]
    for wheel in sorted(arguments.wheels, key=lambda path: path.name.partition("-")[2]):
        install(wheel, arguments.site, arguments.commands, excluded)


if __name__ == "__main__":
    main()
