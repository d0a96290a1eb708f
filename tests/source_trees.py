"""The syntax trees of the tree's source files, parsed and walked through once a process."""

from __future__ import annotations

import ast
import functools
import gc
from pathlib import Path


@functools.cache
def tree_of(file: Path) -> ast.Module:
    """Return a file's syntax tree.

    The collector rests meanwhile: it would walk all trees made so far again and again, two thirds of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    finally:
        if collecting:
            gc.enable()


@functools.cache
def nodes_of(tree: ast.AST) -> tuple[ast.AST, ...]:
    """Return what `ast.walk` yields but for the marks of what is loaded and stored: half of it, which nobody asks for.

    A dozen tests look at the same trees, and to find their nodes takes longer than to parse them.
    """
    found = [tree]
    for node in found:
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                found += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                found.append(value)
    return tuple(found)


STATEMENTS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields of a statement that hold others."""


@functools.cache
def statements_of(tree: ast.Module) -> tuple[ast.AST, ...]:
    """Return a module's statements, the inner ones too: functions, classes and imports stand in no expression."""
    found: list[ast.AST] = [tree]
    for node in found:
        for field in STATEMENTS:
            found += getattr(node, field, ())
    return tuple(found)
