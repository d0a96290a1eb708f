"""Packages import in one direction: no loop between packages, none between files."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from .source_trees import nodes_of, tree_of

SRC = Path(__file__).resolve().parents[1] / "src"


def modules(source: Path) -> dict[str, Path]:
    """Return dotted name -> file of every module below `source`."""
    found = {}
    for file in sorted(source.rglob("*.py")):
        parts = file.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@functools.cache
def imports(source: Path) -> dict[str, set[str]]:
    """Return module -> the project's modules that it imports, late and for types only included."""
    known = modules(source)
    graph: dict[str, set[str]] = {}
    for name, file in known.items():
        found: set[str] = set()
        for node in nodes_of(tree_of(file)):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                inner = (f"{node.module}.{alias.name}" for alias in node.names)
                found.update(name if name in known else node.module for name in inner)
        graph[name] = (found & known.keys()) - {name}
    return graph


def package_of(module: str, file: Path) -> str:
    """Return the package below the distribution's package, or the module itself where it lies directly in that."""
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 or file.name == "__init__.py" else module


def package_imports(source: Path) -> dict[str, set[str]]:
    known = modules(source)
    graph: dict[str, set[str]] = {}
    for module, targets in imports(source).items():
        own = package_of(module, known[module])
        graph.setdefault(own, set()).update({package_of(target, known[target]) for target in targets} - {own})
    return graph


def loop(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the members of one loop of the graph, in order; nothing where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_loop_between_packages() -> None:
    """No package imports, over any number of others, a package that imports it."""
    assert loop(package_imports(SRC)) == []


def test_no_loop_between_files() -> None:
    """No module imports, over any number of others, a module that imports it; a late import counts."""
    assert loop(imports(SRC)) == []


@pytest.mark.parametrize("late", [False, True])
def test_a_planted_loop_is_found(tmp_path: Path, late: bool) -> None:
    """Two packages that import each other are named, also where one does so inside a function."""
    for package, other in (("near", "far"), ("far", "near")):
        folder = tmp_path / "flying" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text('"""Planted."""\n')
        line = f"from flying.{other}.thing import value\n"
        body = f"def look():\n    {line}" if late and package == "far" else line
        (folder / "thing.py").write_text(body)
    assert set(loop(package_imports(tmp_path))) == {"flying.near", "flying.far"}
