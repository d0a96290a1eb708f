"""The syntax trees of the tree's source files, parsed once a process."""

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
