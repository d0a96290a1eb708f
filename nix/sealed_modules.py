"""Refuse a sealed tree that holds, or loads, what a forbidden list names.

    sealed_modules.py --forbidden LIST --listing FILES --site SITE_PACKAGES --import-from FOLDER

FILES has `path size` on each line: all files of the root. SITE_PACKAGES are the image's libraries. FOLDER holds the
image's own packages for this machine: each of their modules is imported, and none may load a forbidden library.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import pkgutil
import sys
from pathlib import Path


def rules(file: Path, kind: str) -> list[str]:
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return [words[1] for words in lines if len(words) == 2 and words[0] == kind]


def offences_of_files(listing: Path, globs: list[str]) -> list[str]:
    """Paths of the listing, or folders above them, that a rule names."""
    files = [line.rpartition(" ")[0] for line in listing.read_text(encoding="utf-8").splitlines()]
    if not files:
        raise SystemExit(f"{listing} names no file: nothing was checked")
    paths = {parent.as_posix() for file in files for parent in (Path(file), *Path(file).parents)}
    return [f"{path} (path {glob})" for path in sorted(paths) for glob in globs if fnmatch.fnmatchcase(path, glob)]


def offences_of_libraries(site: Path, modules: list[str]) -> list[str]:
    """Forbidden libraries that lie in site-packages, whether anything imports them or not."""
    places = {module: [site / module.replace(".", "/"), site / f"{module.replace('.', '/')}.py"] for module in modules}
    return [f"{place} (import {module})" for module, found in places.items() for place in found if place.exists()]


def import_all(folder: Path) -> list[str]:
    """Import every module of every package in the folder; return their names."""
    sys.path.insert(0, str(folder))
    names = [module.name for module in pkgutil.iter_modules([str(folder)])]
    for name in list(names):
        package = importlib.import_module(name)
        names += [module.name for module in pkgutil.walk_packages(package.__path__, f"{name}.")]
    names = [name for name in names if ".migrations" not in name]  # alembic runs these, with a database
    for name in names:
        importlib.import_module(name)
    return names


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("forbidden", "listing", "site", "import-from"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    modules = rules(arguments.forbidden, "import")
    offences = offences_of_files(arguments.listing, rules(arguments.forbidden, "path"))
    offences += offences_of_libraries(arguments.site, modules)
    imported = import_all(arguments.import_from)
    foreign = [name for name in modules if name.split(".")[0] not in sys.stdlib_module_names]
    offences += [f"{name} is loaded by the image's modules (import {name})" for name in foreign if name in sys.modules]
    for offence in offences:
        print(f"forbidden: {offence}")
    print(f"{len(imported)} modules imported, {len(offences)} offences")
    if offences or not imported:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
