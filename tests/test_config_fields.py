"""Every field of the configuration is read somewhere: a setting that nobody reads misleads whoever sets it."""

from __future__ import annotations

import ast
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gps_denied_onboard.config import Config

from .source_trees import nodes_of, tree_of

SRC = Path(__file__).resolve().parents[1] / "src"


def config_fields(kind: type) -> Iterator[tuple[str, str]]:
    """Yield (class, field) of a configuration's table and of the tables in it."""
    for field in dataclasses.fields(kind):
        yield kind.__name__, field.name
        inner = field.default_factory if field.default_factory is not dataclasses.MISSING else type(field.default)
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            yield from config_fields(inner)


def loaded(tree: ast.AST) -> Counter[str]:
    """How often each attribute's name is read in a tree."""
    nodes = nodes_of(tree)
    return Counter(node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load))


def attributes_read(source: Path, without: set[str]) -> set[str]:
    """Return the names of all attributes that are read below `source`, the checks of the classes `without` left out."""
    found: Counter[str] = Counter()
    for file in sorted(source.rglob("*.py")):
        found += loaded(tree_of(file))
        for node in nodes_of(tree_of(file)):
            if isinstance(node, ast.ClassDef) and node.name in without:
                for item in node.body:
                    if isinstance(item, ast.FunctionDef) and item.name == "__post_init__":
                        found -= loaded(item)
    return set(found)


def unread(kind: type, source: Path) -> list[str]:
    fields = sorted(set(config_fields(kind)))
    read = attributes_read(source, {owner for owner, _ in fields})
    native = "".join(file.read_text(encoding="utf-8") for file in (source.parent / "cpp").rglob("*.inc"))
    return [f"{owner}.{name}" for owner, name in fields if name not in read and name not in native]


def test_every_field_of_the_configuration_is_read() -> None:
    """No field is only declared and checked: something outside its own class reads it, in Python or in C++."""
    assert unread(Config, SRC) == []


def test_a_planted_field_is_found(tmp_path: Path) -> None:
    """A field that nothing reads but its own class's check is named with its class; one that is read is not."""

    @dataclasses.dataclass(frozen=True)
    class Planted:
        never_read_by_anybody_s: float = 1.0
        read_s: float = 1.0

    (tmp_path / "planted.py").write_text(
        "class Planted:\n    def __post_init__(self):\n        assert self.never_read_by_anybody_s\n"
        "def reader(config):\n    config.never_read_by_anybody_s = config.read_s\n"
    )
    assert unread(Planted, tmp_path) == ["Planted.never_read_by_anybody_s"]
